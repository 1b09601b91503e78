"""Plans for writing a session again when a check fails, and the two ways in which an attempt ends early.

``session`` runs the rounds. Each makes an ``attempt`` by a ``Plan``, which raises ``Again`` with the plan for the next
round, or ``Failed`` where no other plan is known to help. Here are also the readers of a run's answers, which turn a
run that did not end well into ``Failed``.
"""

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
from trace_mine.tracer.inside.reasons import Reason, ended_with, integrity_of
from trace_mine.tracer.schema import Drop, Outcome

A = TypeVar("A")

# a regular expression, not the parser: hundreds of commands are read so, and a name too many does no harm
_word = re.compile(r"[^\W\d]\w*")
_number_at_end = re.compile(r"_\d+$")


class Failed(Exception):
    """A run that gave no usable result. ``drop`` says why.

    Raises:
        ValueError: ``reason`` is not the word of a ``Reason``.
    """

    def __init__(self, reason: str, evidence: str = "") -> None:
        super().__init__(reason)
        # made here, so that a word that is no reason's fails where it is written, not where drops are counted
        self.drop = Drop(reason=str(reason), evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A command that differs, and what may have made it differ (``blame`` finds it).

    Attributes:
        command: the index of the first command that is known to differ; None where no command is.
        places: what to keep as one command, the likeliest first.
        outermost: the program's own statements that were opened, in their order.
    """

    command: int | None = None
    places: tuple[Place, ...] = ()
    outermost: tuple[Place, ...] = ()


class Differs(Failed):
    """A session that fails a check; ``blame`` says where, and what to keep whole for it."""

    def __init__(self, reason: str, evidence: str, blame: Blame) -> None:
        super().__init__(reason, evidence)
        self.blame = blame


class MissesFocus(Failed):
    """A session in which nothing was kept whole yet, and which doesn't open what it is for: no later one will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A program's native run: its summary, its recorded frames, and what differed by itself in a second run.

    ``unstable`` is None until there was a second run, which costs as much as the first and is made only where a check
    fails. ``follow`` is the depth of calls that a session of it can follow; -1 where nothing could be recorded.
    ``limit`` is the word of the limit for which less than all was recorded, or empty.
    """

    result: NativeSummary
    frames: tuple[NativeFrame, ...]
    unstable: Unstable | None = None
    follow: int = 0
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One attempt at a session: what is opened, what is kept as one command and what is not shown.

    Attributes:
        follow: the depth of calls whose bodies are shown; -1: none, and not those of ``Snippet.opens`` either.
        as_file: the whole script is one command, which runs its file.
        open_statements: False keeps each statement of the snippet as one command.
        whole: statements and functions that are kept as one command.
        hide: sources of commands whose output is not shown.
        unshown: the same of single commands, each with the number of those before it.
        reasons: words of ``Reason`` for all that the plan leaves out, one for each round before this one.

    Raises:
        ValueError: ``follow`` is below -1.
    """

    follow: int
    open_statements: bool = True
    whole: tuple[Place, ...] = ()
    hide: frozenset[str] = frozenset()
    unshown: tuple[tuple[str, int], ...] = ()
    reasons: tuple[str, ...] = ()
    as_file: bool = False

    @property
    def opens_all(self) -> bool:
        """True of a plan that leaves nothing out for what a session before it gave."""
        return self.follow > 0 and self.open_statements and not (self.whole or self.as_file)

    def __post_init__(self) -> None:
        if self.follow < -1:
            raise ValueError(f"expected Plan.follow >= -1, got {self.follow}; give -1 to follow no call at all")


class Again(Exception):
    """Write the session again by ``plan``.

    Where the replay differed, ``pieces`` maps the source of each command that printed something else to the index of
    its piece, and ``commands`` are all commands of the session, as the driver sent them.
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
    """The plan with its last reason, ``replay_differs``, replaced by ``unstable`` where the program is to blame.

    The program is to blame if each command that replayed otherwise

    * stands in a piece whose output, echo or exception differed between two native runs in the two worlds; or
    * reads a variable whose value differed, or one that a command made of such a value: a clock, a draw, a path, the
      order of a set; or
    * has None in ``pieces``: it shows an equal value in other words, which is the order of a set again.

    A difference that only the replay has is a fault of the tracer, or an effect of the session's form.
    """
    unstable = native.unstable
    if unstable is None:
        return plan
    names = set(unstable.names)  # and, one command after the other, what was made of them
    # once is enough: commands come in the order in which they ran, so a value's origin stands before it
    for command in commands:
        if names_in(command.source) & names:
            names.update(command.wrote)
    if not all(
        piece is None or piece in unstable.pieces | unstable.orders or names_in(source) & names
        for source, piece in pieces.items()
    ):
        return plan
    return replace(plan, reasons=(*plan.reasons[:-1], Reason.UNSTABLE.value))


def names_in(source: str) -> set[str]:
    """The words of a command, each also without the number that a followed call's variable may have got (``n_2``).

    Words of its strings are among them: a name too many only makes ``told_apart`` more lenient towards the program.
    """
    return {name for word in _word.findall(source) for name in (word, _number_at_end.sub("", word))}


def with_whole(plan: Plan, place: Place, reason: str, evidence: str = "") -> Plan:
    """The plan with one more construct kept as one command, for this reason.

    Raises:
        Failed: the construct was kept as one command already, and that did not help.
    """
    # A driver that opens a place which it was told to keep would ask again in each round, to no other end.
    if place in plan.whole:
        where = f"{place.path}:{place.line}" + ("" if place.column is None else f":{place.column}")
        raise Failed(reason, evidence or f"keeping {where} whole did not help")
    return replace(plan, whole=(*plan.whole, place), reasons=(*plan.reasons, reason))


def check_ended(outcome: Outcome, kind: str) -> None:
    """Check that a run ended well: status ``ok``, integrity ``clean``, and no failed set-up.

    ``kind`` names the run in the evidence.

    Raises:
        Failed: it did not; the reason is that of its status, of its integrity or of its set-up.
    """
    # The status first: a run that was killed has a truncated record too, and "wall" says more than "truncated".
    if outcome.status != "ok":
        # bytes of the snippet's, so "replace"; their end, because a traceback names its exception last
        last_words = outcome.stderr.decode("utf-8", "replace")[-600:]
        evidence = f"the {kind} run ended with {outcome.status} {outcome.exception or ''} {last_words}".strip()
        raise Failed(ended_with(outcome.status), evidence)
    if outcome.integrity != "clean":
        raise Failed(integrity_of(outcome.integrity), ", ".join(outcome.tripped))
    # Last, and of a clean record only: a forged message once chose its own reason for a drop.
    for record in outcome.records:
        if isinstance(record, SetupFailed):
            raise Failed(record.reason, record.evidence)


def result_of(outcome: Outcome, kind: str, wanted: type[A]) -> A:
    """The one answer of this class that a run gave; ``dialogue`` has seen to it that there is just one.

    Raises:
        Failed: the run did not end well; see ``check_ended``.
    """
    check_ended(outcome, kind)
    (answer,) = all_of(outcome, wanted)
    return answer


def all_of(outcome: Outcome, wanted: type[A]) -> tuple[A, ...]:
    """The answers of this class, in the order in which they were sent."""
    return tuple(record for record in outcome.records if isinstance(record, wanted))


def frames_of(outcome: Outcome) -> tuple[NativeFrame, ...]:
    """The activations that a native run recorded, in the order of their calls."""
    # several answers: see ``LINES_IN_ONE_ANSWER`` in ``inside.jobs.native``
    return tuple(frame for answer in all_of(outcome, NativeFrames) for frame in answer.frames)
