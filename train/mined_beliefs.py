"""Belief KL on rows of a dataset: the exact law of what a reveal shows against the model's, text by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trace_mine.train.models.language_model import SequenceModel

MOST_BELIEFS = 256
"""Reveals that one evaluation scores: each costs a pass over its prefix and one over each outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBelief:
    """One reveal with a belief: ``row``, its number among the rows given, and ``segment``, what it shows there; ``kl``
    and ``entropy`` in nats; ``outcomes``, how many there are; ``mass``, what the model gave to all of them together;
    ``top``, whether the outcome that the model holds for likeliest is a likeliest one of the law, and ``tops``, how
    many of these there are.
    """

    row: int
    segment: int
    kl: float
    entropy: float
    outcomes: int
    mass: float
    top: bool
    tops: int


def belief_kl(
    model: SequenceModel,
    tokenizer: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    max_length: int,
    most: int = MOST_BELIEFS,
) -> dict[str, Any]:
    """KL(exact || model) in nats at the reveals that carry an exact or bounded belief over at least two outcomes: the
    sum over outcomes of p (log p - log q), q being the probability that the model gives the outcome's text and line end
    after the text before it. What q leaves to texts outside the outcomes counts against the model.

    Scored are the first ``most`` such reveals whose prefix has at most ``max_length`` tokens; ``entropy`` is the mean
    of the exact laws', which a model that only knew the outcomes' texts could not beat.
    """
    found, too_long = scored_beliefs(model, tokenizer, rows, max_length=max_length, most=most)
    if not found:
        return {"num_beliefs": 0, "beliefs_too_long": too_long}
    return {
        "num_beliefs": len(found),
        "beliefs_too_long": too_long,
        "kl": float(np.mean([each.kl for each in found])),
        "entropy": float(np.mean([each.entropy for each in found])),
    }


@torch.no_grad()
def scored_beliefs(
    model: SequenceModel,
    tokenizer: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    max_length: int,
    most: int = MOST_BELIEFS,
) -> tuple[list[ScoredBelief], int]:
    """What ``belief_kl`` is the mean of, and how many reveals were left out as too long."""
    from trace_mine.tokenizer.encoded import encode_rows, encode_text

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    found: list[ScoredBelief] = []
    too_long = 0
    for number, row in enumerate(rows):
        wanted = [b for b in row["beliefs"] if b["method"] != "sampled" and len(b["outcomes"]) > 1]
        if not wanted or len(found) >= most:
            continue
        encoded = encode_rows(tokenizer, [row], bos=True)[0]
        for belief in wanted:
            segment = row["segments"][belief["segment"]]
            before = encode_rows(tokenizer, [_up_to(row, belief["segment"])], bos=True)[0].ids
            assert (encoded.ids[: len(before)] == before).all(), "a prefix's tokens are the row's"
            if len(before) > max_length or len(found) >= most:
                too_long += len(before) > max_length
                continue
            told = model(torch.from_numpy(before[None].astype(np.int64)).to(device), return_carry=True)
            p = np.array(belief["probabilities"])
            ends = "\n" if row["text"][segment["start"] : segment["end"]].endswith("\n") else ""
            q = np.array([_log_probability(model, told, encode_text(tokenizer, o + ends)) for o in belief["outcomes"]])
            kept, best = p > 0, p >= p.max() - 1e-9
            found.append(
                ScoredBelief(
                    row=number,
                    segment=belief["segment"],
                    kl=float((p[kept] * (np.log(p[kept]) - q[kept])).sum()),
                    entropy=float(-(p[kept] * np.log(p[kept])).sum()),
                    outcomes=len(p),
                    mass=float(np.exp(q).sum()),
                    top=bool(best[q.argmax()]),
                    tops=int(best.sum()),
                )
            )
    model.train(was_training)
    return found, too_long


def _up_to(row: Mapping[str, Any], segment: int) -> dict[str, Any]:
    """The row before a segment."""
    return {"text": row["text"][: row["segments"][segment]["start"]], "segments": row["segments"][:segment]}


def _log_probability(model: SequenceModel, before: Any, ids: Sequence[int]) -> float:
    """log of the probability of these tokens after the prefix that ``before`` is the output of."""
    device = before.logits.device
    numbers = torch.tensor([ids], device=device)
    logits = before.logits[:, -1:]
    if len(ids) > 1:
        after = model(numbers[:, :-1], before.carry).logits
        logits = torch.cat([logits, after], 1)
    return float(logits.double().log_softmax(-1).gather(-1, numbers[..., None]).sum())
