"""Belief KL on rows of a dataset: the exact law of a reveal's output against the model's, outcome by outcome.

In rows of real code an outcome is a text of several tokens, not a label: its probability is a product over them, and
each costs a forward pass. ``eval.mined`` takes the single scores, ``train.evaluation`` their means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.tokenizer.encoded import encode_rows, encode_text
from trace_mine.train.held_out import Row
from trace_mine.train.measure import scores
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel, SequenceOutput

MOST_BELIEFS = 256
"""Largest number of reveals of one evaluation: each costs a pass over its prefix and one over each outcome."""


class TextBelief(TypedDict):
    """The fields of a row's belief that are read here; ``docs/schema.md`` has all of them."""

    segment: int
    method: str
    outcomes: list[str]
    probabilities: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBelief:
    """The scores of a model at one reveal that carries a belief.

    Attributes:
        row: number of the row among those given.
        segment: number of the row's segment that is the reveal's output.
        kl: KL(exact || model) in nats.
        entropy: of the exact law, in nats.
        outcomes: number of outcomes of the exact law.
        mass: probability that the model gave to all outcomes together.
        top: ``scores.agreement`` of the model's law among the outcomes with the exact one.
        tops: number of outcomes that are likeliest under the exact law.

    Raises:
        ValueError: ``tops`` isn't a number from 1 to ``outcomes``.
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
    """Compute the mean KL(exact || model) over the reveals that carry an exact or bounded belief.

    KL is the sum over outcomes of p (log p - log q), where q is the probability that the model gives to the outcome's
    text and line end after the text before it. Probability given to other texts counts against the model. Scored are
    the first ``most`` reveals with at least two outcomes and a prefix of at most ``max_length`` tokens.

    Returns:
        ``num_beliefs``, reveals scored; ``beliefs_too_long``, reveals left out for their prefix; and if any was scored,
        the means of ``kl`` and ``entropy`` in nats. A model that gave all outcomes the same probability would have a KL
        of log(outcomes) - entropy.
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
    """Score the reveals that ``belief_kl`` averages over; return also the number left out for a too long prefix.

    The model runs over a reveal's prefix once, and from the carry after it over each outcome.
    """
    scored: list[ScoredBelief] = []
    too_long = 0
    with evaluating(model) as device:
        for number, row in enumerate(rows):
            beliefs = [belief for belief in row["beliefs"] if _is_scorable(belief)]
            if not beliefs or len(scored) >= most:
                continue
            encoded = encode_rows(tokenizer, [row], bos=True)[0]
            for belief in beliefs:
                ids = encode_rows(tokenizer, [_prefix_of(row, belief["segment"])], bos=True)[0].ids
                # The model was trained on tokens of whole rows. If a prefix had others, its last token would have been
                # cut by the segment's start, and KL would measure that; the encoder never lets a token span segments.
                assert (encoded.ids[: len(ids)] == ids).all(), "a prefix's tokens are the row's"
                if len(ids) > max_length or len(scored) >= most:
                    too_long += len(ids) > max_length
                    continue
                logs = _logs_after(model, tokenizer, ids, _outcome_texts(row, belief), device)
                scored.append(_scored(number, belief, logs))
    return scored, too_long


def outcome_logs(
    model: SequenceModel, tokenizer: PreTrainedTokenizerBase, prefix: Row, outcomes: Sequence[str]
) -> Floats:
    """Return the log-probability of each text [outcomes] after a prefix, a row's ``text`` and ``segments``."""
    with evaluating(model) as device:
        ids = encode_rows(tokenizer, [prefix], bos=True)[0].ids
        return _logs_after(model, tokenizer, ids, outcomes, device)


def _logs_after(
    model: SequenceModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: NDArray[np.int32],
    outcomes: Sequence[str],
    device: torch.device,
) -> Floats:
    """The model runs over the prefix ``ids`` [tokens] once, and from the carry after it over each outcome."""
    prefix = model(torch.from_numpy(ids[None].astype(np.int64)).to(device), return_carry=True)
    return np.array([_log_probability(model, prefix, encode_text(tokenizer, text)) for text in outcomes])


def _is_scorable(belief: TextBelief) -> bool:
    """Return True for a belief over several outcomes that isn't sampled.

    Sampled beliefs are estimates, and the KL from one would measure its error too.
    """
    return belief["method"] != "sampled" and len(belief["outcomes"]) > 1


def _scored(number: int, belief: TextBelief, log_law: Floats) -> ScoredBelief:
    """Score a belief of row ``number`` by the model's log-probabilities of its outcomes [outcomes]."""
    exact = np.array(belief["probabilities"])
    # Probabilities of long texts are tiny and would all tie within scores.TIES: they are compared as shares.
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


def _outcome_texts(row: Row, belief: TextBelief) -> list[str]:
    """Return the text that the row would have for each outcome: with a line end, if its segment ends with one."""
    segment = row["segments"][belief["segment"]]
    # a value at the very end of a text may lack its line end
    end = "\n" if row["text"][segment["start"] : segment["end"]].endswith("\n") else ""
    return [outcome + end for outcome in belief["outcomes"]]


def _prefix_of(row: Row, segment: int) -> Row:
    """Return the part of a row before a segment, as a row."""
    return {"text": row["text"][: row["segments"][segment]["start"]], "segments": row["segments"][:segment]}


def _log_probability(model: SequenceModel, prefix: SequenceOutput, ids: Sequence[int]) -> float:
    """Return the log-probability of tokens after a prefix, where ``prefix`` is the model's output on it."""
    assert prefix.logits is not None
    targets = torch.tensor([ids], device=prefix.logits.device)
    logits = prefix.logits[:, -1:]  # the prefix's last row predicts the first of the tokens
    if len(ids) > 1:
        after = model(targets[:, :-1], prefix.carry).logits
        logits = torch.cat([logits, after], 1)
    return float(logits.double().log_softmax(-1).gather(-1, targets[..., None]).sum())
