"""A session's states, and the record of what a command does to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trace_mine.tracer.inside.draws.deciders import DrawMismatch
from trace_mine.tracer.inside.draws.refusals import Refused as Refused
from trace_mine.tracer.inside.program import OutputFull

Mode = Literal["single", "eval", "exec", "part"]
"""How a command is compiled: ``single`` as at a prompt, ``eval`` a test, ``exec`` a statement that echoes nothing,
``part`` a statement of a command, as ``single`` but with its output as it is."""

RunAgain = tuple[str, Mode, tuple[int, ...], int]
"""A command to be run again: its source, mode, the outcomes of its choices, and the seed of its sampled draws."""

State = bytes | int | tuple[bytes, *tuple[RunAgain, ...]]
"""A snapshot of the namespace, or its number (``packing``); or, where it has none, an earlier snapshot and the commands
that lead from there."""

Result = tuple[float, State, str, bool | None, str | None]
"""The fields of a ``StateResult``: records of which there are a million in a session are tuples."""

HangsOn = Literal["", "order", "process"]
"""On what of its process the outcomes of a session may hang: see ``process_facts``."""

Oddity = Literal["no bool", "echo hidden", "echo unsafe", "cut output", "no doctest", "no message"]
"""A trait of a command's outcome for which a session writes the command in another way:

``no bool``      a test's value is something else than a bool, which ``bool`` turns into one
``echo hidden``  the echo has an address, or is long
``echo unsafe``  the ``repr`` of the value that is echoed runs code of the program, or is another one in another process
``cut output``   it prints and raises, of which a doctest shows the traceback alone
``no doctest``   no doctest can show what it prints
``no message``   no doctest can show the message of the exception that it raises
"""
LONGEST_ECHO = 2_000
"""Characters of an echo that a session shows."""

NEGLIGIBLE = 1e-9
"""Mass that was not followed and that still lets a decision hold for every state."""

MASS_ERROR = 1e-6
"""Rounding in the sum of a reach's probabilities: a loop of 20,000 turns over 4,096 states rounds in each of them."""


class Spent(BaseException):
    """The budget of time or of output is used up; BaseException, so that no snippet swallows it.

    A time-out raised as an Exception was caught by the snippet's own handlers, and the path went on.
    """


class CannotSnapshot(Exception):
    """The namespace holds something that bytes can't carry; the message says what. See ``snapshots``."""


OURS = Refused, Spent, OutputFull, DrawMismatch
"""Exceptions that a program raises only because it runs here. All else is its own, ``SystemExit`` included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateResult:
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

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0 + NEGLIGIBLE:
            raise ValueError(
                f"expected a probability, got probability={self.probability}; scale it to the state's mass"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Every result that a command may have from one state.

    Attributes:
        results: those that were followed; paths that come out equal are one result.
        unexplored: the probability of all others: it and those of ``results`` sum to 1.
        num_paths: the number of ways in which the command's draws went. More than one for a command that draws, even
            where all of them have one result.
    """

    results: list[StateResult]
    unexplored: float
    num_paths: int

    def __post_init__(self) -> None:
        total = self.unexplored + sum(result.probability for result in self.results)
        if abs(total - 1.0) > MASS_ERROR:
            raise ValueError(
                f"expected results and unexplored mass that sum to 1, got {total}; count what was left out"
            )
