"""How a session is written again when a check fails: plans, and the two ways in which an attempt ends early."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trace_mine.tracer.checks import Unstable
from trace_mine.tracer.inside.protocol.answers import (
    NativeFrame,
    NativeFrames,
    NativeSummary,
    SessionCommand,
    SetupFailed,
)
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.schema import Drop, Outcome

A = TypeVar("A")

_word = re.compile(r"[^\W\d]\w*")
_number_at_end = re.compile(r"_\d+$")


class Failed(Exception):
    """A run that gave no usable result; carries the Drop."""

    def __init__(self, reason: str, evidence: str = "") -> None:
        super().__init__(reason)
        self.drop = Drop(reason=reason, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What ran natively: the summary, the recorded frames, and, once it ran twice, what differed by itself."""

    result: NativeSummary
    frames: tuple[NativeFrame, ...]
    unstable: Unstable | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is kept whole, hidden and opened in one attempt at a session."""

    follow: int
    open_statements: bool = True
    whole: tuple[Place, ...] = ()
    hide: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


class Again(Exception):
    """Write the session again by this plan. ``pieces``: the commands that replayed otherwise, with their pieces;
    ``commands``: all of the session, as the driver sent them.
    """

    def __init__(
        self,
        plan: Plan,
        pieces: Mapping[str, int | None] | None = None,
        commands: Sequence[SessionCommand] = (),
    ) -> None:
        super().__init__()
        self.plan = plan
        self.pieces = dict(pieces or {})
        self.commands = commands


def told_apart(
    plan: Plan, native: Native, pieces: Mapping[str, int | None], commands: Sequence[SessionCommand] = ()
) -> Plan:
    """The plan with its last reason, ``replay_differs``, called ``unstable`` where the session is not to blame.

    So it is where every command that replayed otherwise stands in a piece whose output, echo or exception differed
    between two native runs in the two worlds, or reads a variable whose value did, or one that a command made of such
    a value: a clock, a draw, a path, the order of a set. ``pieces`` has None for a command that shows an equal value
    in other words, which is the order of a set again. What differs in replay alone is ours, or an effect of the
    session's form.
    """
    unstable = native.unstable
    if unstable is None:
        return plan
    names = set(unstable.names)
    for command in commands:
        if names_in(command.source) & names:
            names.update(command.wrote)
    if not all(
        piece is None or piece in unstable.pieces | unstable.orders or names_in(source) & names
        for source, piece in pieces.items()
    ):
        return plan
    return replace(plan, reasons=(*plan.reasons[:-1], "unstable"))


def names_in(source: str) -> set[str]:
    """The names that a command has, without the number that a followed call's variable may have got."""
    return {name for word in _word.findall(source) for name in (word, _number_at_end.sub("", word))}


def with_whole(plan: Plan, place: Place, reason: str, evidence: str = "") -> Plan:
    """The plan with one more construct kept whole.

    Raises:
        Failed: it was kept whole already, and that did not help.
    """
    if place in plan.whole:
        where = f"{place.path}:{place.line}" + ("" if place.column is None else f":{place.column}")
        raise Failed(reason, evidence or f"keeping {where} whole did not help")
    return replace(plan, whole=(*plan.whole, place), reasons=(*plan.reasons, reason))


def check_ended(outcome: Outcome, kind: str) -> None:
    """Raises Failed where the run did not end well; the outcome's status, or its integrity, is the reason."""
    if outcome.status != "ok":
        told = outcome.stderr.decode("utf-8", "replace")[-600:]
        reason = outcome.status if outcome.status != "exception" else "tracer_error"
        evidence = f"the {kind} run ended with {outcome.status} {outcome.exception or ''} {told}".strip()
        raise Failed(reason.replace("-", "_"), evidence)
    if outcome.integrity != "clean":
        raise Failed("integrity_" + outcome.integrity, ", ".join(outcome.tripped))
    for record in outcome.records:
        if isinstance(record, SetupFailed):
            raise Failed(record.reason, record.evidence)


def result_of(outcome: Outcome, kind: str, wanted: type[A]) -> A:
    """The one answer of this class that a run gave.

    Raises:
        Failed: the run did not end well; see ``check_ended``.
    """
    check_ended(outcome, kind)
    (answer,) = all_of(outcome, wanted)
    return answer


def all_of(outcome: Outcome, wanted: type[A]) -> tuple[A, ...]:
    """The answers of this class, in order."""
    return tuple(record for record in outcome.records if isinstance(record, wanted))


def frames_of(outcome: Outcome) -> tuple[NativeFrame, ...]:
    """The activations that a native run recorded, in the order of their calls."""
    return tuple(frame for answer in all_of(outcome, NativeFrames) for frame in answer.frames)
