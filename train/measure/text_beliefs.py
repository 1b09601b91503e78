"""Belief KL on rows of a dataset: the exact law of what a reveal shows against the model's, text by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.tokenizer.encoded import encode_rows, encode_text
from trace_mine.train.held_out import Row
from trace_mine.train.measure import scores
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel, SequenceOutput

MOST_BELIEFS = 256
"""Reveals that one evaluation scores: each costs a pass over its prefix and one over each outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBelief:
    """One reveal with a belief: ``row``, its number among the rows given, and ``segment``, what it shows there; ``kl``
    and ``entropy`` in nats; ``outcomes``, how many there are; ``mass``, what the model gave to all of them together;
    ``top``, the agreement (``scores.agreement``) of the model's law among the outcomes with the exact one, and
    ``tops``, how many outcomes are likeliest under the exact one.
    """

    row: int
    segment: int
    kl: float
    entropy: float
    outcomes: int
    mass: float
    top: float
    tops: int

    def __post_init__(self) -> None:
        if not 0 < self.tops <= self.outcomes:
            raise ValueError(f"expected 1 to {self.outcomes} likeliest outcomes, got {self.tops}; give a law's own")


def belief_kl(
    model: SequenceModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    *,
    max_length: int,
    most: int = MOST_BELIEFS,
) -> dict[str, float | int]:
    """KL(exact || model) in nats at the reveals that carry an exact or bounded belief over at least two outcomes: the
    sum over outcomes of p (log p - log q), q being the probability that the model gives the outcome's text and line end
    after the text before it. What q leaves to texts outside the outcomes counts against the model.

    Scored are the first ``most`` such reveals whose prefix has at most ``max_length`` tokens; ``entropy`` is the mean
    of the exact laws', which a model that only knew the outcomes' texts could not beat.
    """
    scored, too_long = scored_beliefs(model, tokenizer, rows, max_length=max_length, most=most)
    if not scored:
        return {"num_beliefs": 0, "beliefs_too_long": too_long}
    return {
        "num_beliefs": len(scored),
        "beliefs_too_long": too_long,
        "kl": float(np.mean([each.kl for each in scored])),
        "entropy": float(np.mean([each.entropy for each in scored])),
    }


def scored_beliefs(
    model: SequenceModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    *,
    max_length: int,
    most: int = MOST_BELIEFS,
) -> tuple[list[ScoredBelief], int]:
    """The reveals that ``belief_kl`` is the mean over, and the number of those left out as too long."""
    scored: list[ScoredBelief] = []
    too_long = 0
    with evaluating(model) as device:
        for number, row in enumerate(rows):
            # sampled beliefs are estimates, whose KL would measure their error too; one outcome is no question
            wanted = [b for b in row["beliefs"] if b["method"] != "sampled" and len(b["outcomes"]) > 1]
            if not wanted or len(scored) >= most:
                continue
            encoded = encode_rows(tokenizer, [row], bos=True)[0]
            for belief in wanted:
                before = encode_rows(tokenizer, [_up_to(row, belief["segment"])], bos=True)[0].ids
                assert (encoded.ids[: len(before)] == before).all(), "a prefix's tokens are the row's"
                if len(before) > max_length or len(scored) >= most:
                    too_long += len(before) > max_length
                    continue
                prefix = model(torch.from_numpy(before[None].astype(np.int64)).to(device), return_carry=True)
                texts = _outcome_texts(row, belief)
                log_law = np.array([_log_probability(model, prefix, encode_text(tokenizer, text)) for text in texts])
                scored.append(_scored(number, belief, log_law))
    return scored, too_long


def _scored(number: int, belief: Mapping[str, Any], log_law: Floats) -> ScoredBelief:
    """The score of row ``number``'s belief where ``log_law`` [outcomes] is the model's."""
    exact = np.array(belief["probabilities"])
    # likelihoods of long texts are tiny, so they are compared as shares of what the outcomes have together
    among = np.exp(log_law - log_law.max())
    return ScoredBelief(
        row=number,
        segment=belief["segment"],
        kl=float(scores.kl(exact, log_law)),
        entropy=float(scores.entropy(exact)),
        outcomes=len(exact),
        mass=float(np.exp(log_law).sum()),
        top=float(scores.agreement(exact, among / among.sum())),
        tops=int(scores.likeliest(exact).sum()),
    )


def _outcome_texts(row: Row, belief: Mapping[str, Any]) -> list[str]:
    """What stands in the row where each outcome is shown: with its line end, if the segment has one."""
    segment = row["segments"][belief["segment"]]
    end = "\n" if row["text"][segment["start"] : segment["end"]].endswith("\n") else ""
    return [outcome + end for outcome in belief["outcomes"]]


def _up_to(row: Row, segment: int) -> dict[str, Any]:
    """The row before a segment."""
    return {"text": row["text"][: row["segments"][segment]["start"]], "segments": row["segments"][:segment]}


def _log_probability(model: SequenceModel, prefix: SequenceOutput, ids: Sequence[int]) -> float:
    """log of the probability of these tokens after the prefix that ``prefix`` is the output of."""
    assert prefix.logits is not None
    numbers = torch.tensor([ids], device=prefix.logits.device)
    logits = prefix.logits[:, -1:]
    if len(ids) > 1:
        after = model(numbers[:, :-1], prefix.carry).logits
        logits = torch.cat([logits, after], 1)
    return float(logits.double().log_softmax(-1).gather(-1, numbers[..., None]).sum())
