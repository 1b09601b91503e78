"""How a session is written again when a check fails: plans, and the two ways in which an attempt ends early."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trace_mine.tracer.checks import Unstable
from trace_mine.tracer.schema import Drop, Outcome

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

    result: Mapping[str, Any]
    frames: tuple[Mapping[str, Any], ...]
    unstable: Unstable | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is kept whole, hidden and opened in one attempt at a session."""

    follow: int
    open_statements: bool = True
    whole: tuple[tuple[Any, ...], ...] = ()
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
        commands: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__()
        self.plan = plan
        self.pieces = dict(pieces or {})
        self.commands = commands


def told_apart(
    plan: Plan, native: Native, pieces: Mapping[str, int | None], commands: Sequence[Mapping[str, Any]] = ()
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
        if names_in(command["source"]) & names:
            names.update(command["wrote"])
    if not all(
        piece is None or piece in unstable.pieces | unstable.orders or names_in(source) & names
        for source, piece in pieces.items()
    ):
        return plan
    return replace(plan, reasons=(*plan.reasons[:-1], "unstable"))


def names_in(source: str) -> set[str]:
    """The names that a command has, without the number that a followed call's variable may have got."""
    return {name for word in _word.findall(source) for name in (word, _number_at_end.sub("", word))}


def with_whole(plan: Plan, key: Iterable[Any], reason: str, evidence: str = "") -> Plan:
    """The plan with one more construct kept whole.

    Raises:
        Failed: it was kept whole already, and that did not help.
    """
    whole = tuple(key)
    if whole in plan.whole:
        raise Failed(reason, evidence or f"keeping {whole} whole did not help")
    return replace(plan, whole=(*plan.whole, whole), reasons=(*plan.reasons, reason))


def result_of(outcome: Outcome, kind: str) -> Mapping[str, Any]:
    """The summary record of a run.

    Raises:
        Failed: the run did not end well; the outcome's status is the reason.
    """
    if outcome.status != "ok":
        told = outcome.stderr.decode("utf-8", "replace")[-600:]
        reason = outcome.status if outcome.status != "exception" else "tracer_error"
        evidence = f"the {kind} run ended with {outcome.status} {outcome.exception or ''} {told}".strip()
        raise Failed(reason.replace("-", "_"), evidence)
    if outcome.integrity != "clean":
        raise Failed("integrity_" + outcome.integrity, ", ".join(outcome.tripped))
    for record in outcome.records:
        if "setup" in record:
            raise Failed(record["setup"], record["evidence"])
    summary: Mapping[str, Any] = next(r for r in outcome.records if "command" not in r and "frame" not in r)
    return summary
