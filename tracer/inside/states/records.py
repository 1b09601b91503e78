"""A session's states, and the record of what a command does to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

State = bytes | tuple[Any, ...]
"""A snapshot of the namespace, or ``(snapshot, (source, mode, outcomes, seed), ...)``: the way there."""

NEGLIGIBLE = 1e-9
"""Mass that was not followed and that still lets a decision hold for every state."""


class Refused(BaseException):
    """C code did not accept a lazy real (json, Decimal, ...): the session has to be followed with plain floats.

    A TypeError of the program's own that mentions floats is taken for such a refusal too. The belief is then sampled
    where it might have been exact, which is less precise but not wrong.

    BaseException, so that no snippet's ``except Exception`` swallows it.
    """


class Spent(BaseException):
    """The budget of time is used up; BaseException, so that no snippet swallows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One result that a command may have from a state.

    Attributes:
        probability: of this result.
        state: the state that the command leaves.
        text: the text that the command shows, a traceback included.
        value: the truth of a test; None for a command that is no test.
        raised: the name of the exception's class, None where no exception ended the command.
    """

    probability: float
    state: State
    text: str
    value: bool | None
    raised: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Every result that a command may have from one state.

    ``unexplored`` is the probability of what was not followed: it and those of ``results`` sum to 1. ``num_paths`` is
    the number of ways in which the command's draws went.
    """

    results: list[Result]
    unexplored: float
    num_paths: int
