"""A model of ours going on with sessions: the outputs that it gives to commands, and text of its own.

A session is read token by token over the carry, so that each token is read once. Texts are what the model makes of
them: who prints them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trace_mine.tokenizer.encoded import encode_rows
from trace_mine.tracer.formats.repl import CONTINUATION, PROMPT
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.layers import Carry
from trace_mine.train.session_text import GivenSession

OUTPUTS = ("value", "error")
"""Roles of segments that a command's outcome is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The state of a model after a text: the logits [V] of the next token, and the carry to go on with."""

    logits: Tensor
    carry: list[Carry]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledAnswer:
    """A model's answer to a command whose outcome the session has.

    Attributes:
        segment: number of the outcome's segment.
        true, given: the outcome and the answer, with their line ends.
        is_whole: False where the answer was cut off at the most tokens.
        p_true, p_given: the probability that the model gives to each.
    """

    segment: int
    true: str
    given: str
    is_whole: bool
    p_true: float
    p_given: float

    @property
    def is_right(self) -> bool:
        """True if the answer is the outcome to the letter."""
        return self.true == self.given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionSampler:
    """A model with the way in which it chooses tokens.

    ``temperature`` 0 takes the likeliest token; else tokens are drawn with logits divided by it, from ``generator``.

    Raises:
        ValueError: the temperature is negative, or there is no generator to draw from.
    """

    model: SequenceModel
    tokenizer: PreTrainedTokenizerBase
    temperature: float = 0.0
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if not self.temperature >= 0 or (self.temperature and self.generator is None):
            raise ValueError(f"expected a temperature >= 0, with a generator, got {self.temperature}; 0 is greedy")

    def answers(self, session: GivenSession, most: int) -> Iterator[SampledAnswer]:
        """Yield the model's answer to each command whose outcome the session has, given the true text before it.

        Args:
            session: at least its first segment is no outcome.
            most: the most tokens of an answer.

        Raises:
            ValueError: the session has a word that a closed vocabulary lacks.
        """
        reading: Reading | None = None
        num_read = 0
        with evaluating(self.model):
            for number, segment in enumerate(session.segments):
                if segment.role not in OUTPUTS or not number:
                    continue
                before = self._ids(session.as_row(number))
                reading = self.read(before[num_read:], reading)
                num_read = len(before)
                true = session.text[segment.start : segment.end]
                ids, is_whole = self._answer(reading, most)
                given = self._text(ids)
                yield SampledAnswer(
                    segment=number,
                    true=true,
                    given=given,
                    is_whole=is_whole,
                    p_true=self.probability(reading, self._ids(session.as_row(number + 1))[num_read:]),
                    p_given=self.probability(reading, ids),
                )

    def continued(self, session: GivenSession, most: int) -> Iterator[str]:
        """Yield pieces of the text with which the model goes on after the session, of at most ``most`` tokens.

        It ends at the tokenizer's end of text, if the model gives one.
        """
        with evaluating(self.model):
            reading = self.read(self._ids(session.as_row()), None)
            pending: list[int] = []
            for _ in range(most):
                token = self._choose(reading.logits)
                if token == self.tokenizer.eos_token_id:
                    break
                pending.append(token)
                text = self._text(pending)
                # bytes of one character, four at most, decode to U+FFFD until the last of them is there
                if not text.endswith("\ufffd") or len(pending) == 4:
                    yield text
                    pending = []
                reading = self.read([token], reading)
            if pending:
                yield self._text(pending)

    def read(self, ids: Sequence[int], reading: Reading | None) -> Reading:
        """Read tokens, at least one, from what was read before on."""
        device = next(self.model.parameters()).device
        output = self.model(
            torch.tensor([[*ids]], device=device), None if reading is None else reading.carry, return_carry=True
        )
        return Reading(logits=output.logits[0, -1].double(), carry=output.carry)

    def probability(self, reading: Reading, ids: Sequence[int]) -> float:
        """Return the probability of these tokens, one after the other, after what was read."""
        if not ids:
            return 1.0
        logits = reading.logits[None]
        if len(ids) > 1:
            device = next(self.model.parameters()).device
            after = self.model(torch.tensor([[*ids[:-1]]], device=device), reading.carry).logits[0].double()
            logits = torch.cat([logits, after])
        logs = logits.log_softmax(-1)[torch.arange(len(ids)), torch.tensor([*ids])]
        return float(np.exp(logs.sum().item()))

    def _answer(self, reading: Reading, most: int) -> tuple[list[int], bool]:
        """Let the model write an outcome: its tokens up to the line end before the next prompt, and if it ended so.

        An answer of no tokens says that the command shows nothing.
        """
        ids: list[int] = []
        for _ in range(most):
            token = self._choose(reading.logits)
            text = self._text([token])
            at_line = not ids or self._text(ids).endswith("\n")
            if token == self.tokenizer.eos_token_id:
                return ids, True
            if at_line and text.startswith((PROMPT, CONTINUATION, PROMPT.rstrip())):
                return ids, True
            ids.append(token)
            reading = self.read([token], reading)
        # what was asked for may be just the answer: then the next token would be a prompt
        token = self._choose(reading.logits)
        ended = self._text(ids).endswith("\n") and self._text([token]).startswith(PROMPT.rstrip())
        return ids, ended

    def _choose(self, logits: Tensor) -> int:
        """Choose a token that is text, or the end of text: of others (padding) nothing was ever learnt."""
        others = {*self.tokenizer.all_special_ids} - {self.tokenizer.eos_token_id}
        logits = logits.index_fill(0, torch.tensor([*others], device=logits.device), -torch.inf)
        if not self.temperature:
            return int(logits.argmax())
        law = (logits / self.temperature).softmax(-1).cpu()
        return int(torch.multinomial(law, 1, generator=self.generator))

    def _ids(self, row: dict[str, object]) -> list[int]:
        has_bos = self.tokenizer.bos_token_id is not None
        return [int(number) for number in encode_rows(self.tokenizer, [row], bos=has_bos)[0].ids]

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode([*ids], skip_special_tokens=False))
