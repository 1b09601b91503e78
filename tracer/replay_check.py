"""The replay check: a session's text, run again in the other world, prints the same and gives variables equal values.

It is the third check of every trace (``checks`` has the other two), and the only one that sees no more than a reader
has: the text and the set-up. A difference has a remedy where the command that differs only shows something: the
session is written again without its output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.hiding import draws_of, laws_of
from trace_mine.tracer.inside.protocol.answers import Difference, ReplayReport, SessionCommand
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, Program, ReplayJob
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.rounds import Again, Plan, result_of
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Snippet

RESEEDS = (2, 3, 5, 7)
"""Seeds of ``random`` in further replays of a session in which something differed.

A value drawn from few (a coin) agrees in one replay by luck half of the time; in five, three times of a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSession:
    """A session that is to be replayed.

    Attributes:
        snippet: what it was written of.
        program: the snippet, as the recording world runs it.
        text: the session's text.
        plan: the plan by which it was written.
        commands: its commands, as the driver sent them.
        outcomes: the outcomes of its draws, in order.
    """

    snippet: Snippet
    program: Program
    text: str
    plan: Plan
    commands: Sequence[SessionCommand]
    outcomes: Sequence[DrawnOutcome]


def replay_session(
    config: TracerConfig, worker: Worker, session: WrittenSession, *, lenient: bool
) -> tuple[dict[str, str], list[set[str]]]:
    """Replay the session through ``code.InteractiveConsole`` and through ``doctest``.

    In a session that had something to hide, or whose variables differed, the console replays it again with other
    seeds of ``random``. A view that hides outcomes needs none of that: there the draws are replayed too.

    Args:
        config: the tracer's configuration.
        worker: the replayer.
        session: what is replayed.
        lenient: return a difference as evidence, even where another session could do without it.

    Returns:
        The failed check, a reason with its evidence, or an empty dict. And for each command the variables that it
        changed to another value in some replay than in the session.

    Raises:
        Again: a command's output differs; the session has to be written again without showing it.
        Failed: a replay did not end well.
    """
    changed = _changed_values(session.commands)
    differing: list[set[str]] = [set() for _ in session.commands]
    # The console comes first: it alone reports values, and those tell if a difference is the order of a set.
    turns: list[tuple[Literal["console", "doctest"], int]] = [("console", 0), ("doctest", 0)]
    while turns:
        reader, reseed = turns.pop(0)
        job = ReplayJob(
            reader=reader,
            program=session.program,
            text=session.text,
            watch=tuple(tuple(names) for names in changed),
            reseed=reseed,
            draws=draws_of(config, session.snippet, session.outcomes),
            laws=laws_of(config),
        )
        report = result_of(worker.run(job), reader, ReplayReport)
        # values first: where an output differs, ``_evidence_of`` asks which values differ with it
        for index, replayed in enumerate(report.values):
            differing[index] |= _differing(changed[index], replayed)
        if report.differences:
            evidence = _evidence_of(reader, report.differences, session, changed, differing, lenient=lenient)
            return {Reason.REPLAY_MISMATCH.value: evidence}, differing
        # Only after doctest's turn, which comes once, so that the list is not filled again. Most sessions never get
        # here: a further replay costs as much as the first, and where nothing differed it has nothing to find.
        if reader == "doctest" and (session.plan.hide or any(differing)) and not config.view.hides:
            turns = [("console", seed) for seed in RESEEDS]
    return {}, differing


def _evidence_of(
    reader: str,
    differences: Sequence[Difference],
    session: WrittenSession,
    changed: Sequence[dict[str, str]],
    differing: Sequence[set[str]],
    *,
    lenient: bool,
) -> str:
    """The evidence of a replay that differs, where not showing the commands that differ would not help.

    It would not help commands that act (their output is the program's own), or those that the plan hides already.

    Raises:
        Again: it may help.
    """
    plan = session.plan
    sources = {difference.source for difference in differences}
    first = differences[0]  # what differs later is often a consequence of it
    evidence = f"{reader}: {first.source!r} printed {first.got[:200]!r}, not {first.wanted[:200]!r}"
    # ``_ = `` and ``ignored = `` begin commands that act: the driver assigns to a spare name what no prompt may echo
    if lenient or sources <= plan.hide or first.source.startswith(("_ = ", "ignored = ")):
        return evidence
    # A reveal of a variable whose values are equal all the same prints the order of a set: it has no piece.
    alike = {name for names in changed for name in names}.difference(*differing)
    # reversed, so that of commands with one text the first gives the piece
    pieces = {c.source: c.piece for c in reversed(session.commands)} | dict.fromkeys(alike)
    raise Again(
        replace(plan, hide=plan.hide | sources, reasons=(*plan.reasons, Reason.REPLAY_DIFFERS.value)),
        # -1 is no piece: for a text that no command has, the program is not to blame
        pieces={source: pieces.get(source, -1) for source in sources - plan.hide},
        commands=session.commands,
    )


def _changed_values(commands: Sequence[SessionCommand]) -> list[dict[str, str]]:
    """For each command, the variables that it changed, with their new values."""
    return [{name: value for name, value in c.changes.items() if value is not None} for c in commands]


def _differing(changed: dict[str, str], replayed: Mapping[str, str]) -> set[str]:
    """The variables that have another value in the replay; one that is not bound there shows no other value."""
    return {name for name, value in changed.items() if replayed.get(name, value) != value}
