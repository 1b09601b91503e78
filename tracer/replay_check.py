"""The replay check: a session's text, run again in the other world, prints the same and gives variables equal values.

It is the third check of every trace (``checks`` has the other two), and the only one that sees no more than a reader
has: the text and the set-up. Readers run it where nothing of ours is (``replays``), and what they printed is compared
here. A difference has a remedy where the command that differs only shows something: the session is written again
without its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.hiding import draws_of, laws_of
from trace_mine.tracer.inside.protocol.answers import SessionCommand
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, Program
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.replays.choice import is_chosen, readers_for
from trace_mine.tracer.replays.jails import ReplayJails
from trace_mine.tracer.replays.questions import StateQuestion, question_of
from trace_mine.tracer.replays.reader import Jails
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.session import (
    Difference,
    Session,
    SessionReading,
    commands_of,
    differences,
    exit_output,
    prompt_part,
)
from trace_mine.tracer.replays.session_text import check_written
from trace_mine.tracer.replays.set_orders import further_orders
from trace_mine.tracer.rounds import Again, Plan
from trace_mine.tracer.schema import Snippet, Step, Verification
from trace_mine.tracer.scripts import reads_descriptor

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
        steps: what the text was written of, aligned with ``commands``.
        outcomes: the outcomes of its draws, in order.
        noticed: audit events of the native run, by which readers are chosen.
        files: files of this machine with functions that the native run called.
    """

    snippet: Snippet
    program: Program
    text: str
    plan: Plan
    commands: Sequence[SessionCommand]
    steps: Sequence[Step]
    outcomes: Sequence[DrawnOutcome]
    noticed: Sequence[str] = ()
    files: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class ReplayResult:
    """What replays of a session found. Not frozen: one replay after the other adds to it.

    Attributes:
        failed: the failed check, a reason with its evidence, or empty.
        command: the index of the first command that printed something else; None where none did.
        differing: for each command the variables that it changed to another value in some replay than in the session.
        unbound: for each command the variables that it is said to change, and which no replay had after it.
        answered: for each command the variables that had the session's value where a reader vouches for it.
        verification: what the readers verified.
    """

    failed: dict[str, str] = field(default_factory=dict)
    command: int | None = None
    differing: list[set[str]]
    unbound: list[set[str]]
    answered: list[set[str]]
    verification: Verification = field(default_factory=Verification)


def replay_session(config: TracerConfig, jails: ReplayJails, session: WrittenSession, *, lenient: bool) -> ReplayResult:
    """Replay the session by the readers that are chosen for it.

    A session that had something to hide, or whose variables differed, is replayed again with other seeds of ``random``.
    One whose draws are recorded needs none of that: there the draws are replayed too.

    Args:
        config: the tracer's configuration.
        jails: where it is replayed.
        session: what is replayed.
        lenient: return a difference as evidence, even where another session could do without it.

    Raises:
        Again: a command's output differs; the session has to be written again without showing it.
        Failed: a replay did not end well.
    """
    size = len(session.commands)
    result = ReplayResult(differing=_sets(size), unbound=_sets(size), answered=_sets(size))
    try:
        replayed = _as_replayed(config, session)
    except ValueError as error:  # an option of doctest's in a comment, or a record that was changed inside
        result.failed = {Reason.REPLAY_MISMATCH.value: f"no doctest: {error}"[:400]}
        return result
    audit = False
    turns: list[tuple[str, int, Jails | None]]
    if replayed.draws is not None:
        turns = [("patched", 0, None)]
    else:
        sources = (session.text, session.program.code, *(piece.source for piece in session.program.pieces))
        # where no jail imports anything before, a fresh one differs by its hash seed alone
        audit = bool(config.warm) and (
            is_chosen(session.text, config.seed) or jails.audits.asks_for(session.program.module)
        )
        prompts = not reads_descriptor(session.program.code)
        names = readers_for(
            replayed.commands, sources, session.noticed, files=session.files, audit=audit, prompts=prompts
        )
        turns = [(name, 0, None) for name in names]
        values = [[each.text for each in replayed.asked_after(index)] for index in range(size)]
        # each with a seed of ``random`` too, which a session whose variables differ is to be replayed under anyway
        orders = further_orders(replayed.commands, values)
        turns += [("doc", seed, order) for order, seed in zip(orders, RESEEDS, strict=False)]
    num_reseeded = sum(seed != 0 for _, seed, _ in turns)
    printed: set[str] = set()
    may_reseed = replayed.draws is None
    while turns:
        name, reseed, order = turns.pop(0)
        reader = READERS[name]
        if name in printed and not reseed and order is None:
            jails.check_budget()
        commands = replayed.commands if reader.survives_exit else prompt_part(replayed.commands)
        read = replace(replayed, commands=commands, questions=replayed.questions[: len(commands)])
        reading = reader.read(jails.worker(order or reader.jail), read, reseed)
        # values first: where an output differs, ``_evidence_of`` asks which values differ with it
        _compare_values(replayed, reading, result, vouches=reader.vouches)
        at_exit = "" if reader.survives_exit else exit_output(replayed.commands)
        different = differences(commands, reading, at_exit=at_exit)
        # not where the session makes a set alone, whose order is no sign of a package that tells processes apart
        if name == "fresh" and audit:
            jails.audits.note(session.program.module, agrees=not different)
        if different:
            # a session that hides outcomes is not written again: what differs may be one of them
            is_fixed = lenient or bool(session.outcomes)
            evidence = _evidence_of(name, different, session, result.differing, lenient=is_fixed)
            result.failed = {Reason.REPLAY_MISMATCH.value: evidence}
            result.command = different[0].command
            return result
        # a reader that saw a part of the session printed none of the rest, but for what an interpreter does as it ends
        if len(commands) + bool(at_exit) >= size:
            printed.add(name)
        # Only once, so that the list is not filled again. Most sessions never get here: a further replay costs as much
        # as the first, and where nothing differed it has nothing to find.
        if not turns and may_reseed and (session.plan.hide or any(result.differing)):
            turns = [("doc", seed, None) for seed in RESEEDS[num_reseeded:]]
            may_reseed = False
    result.verification = _verification(replayed, session, result, printed)
    return result


def _sets(size: int) -> list[set[str]]:
    return [set() for _ in range(size)]


def _as_replayed(config: TracerConfig, session: WrittenSession) -> Session:
    """The session as readers take it. Raises ValueError where its text is no doctest, or says more than its steps."""
    commands = commands_of(session.text)
    check_written(session.text, [(step.source, step.output) for step in session.steps])
    return Session(
        commands=commands,
        program=session.program,
        questions=_questions(session.commands),
        # a session that drew nothing has nothing that only our interceptors could give again
        draws=draws_of(config, session.snippet, session.outcomes) if session.outcomes else None,
        laws=laws_of(config),
    )


def _questions(commands: Sequence[SessionCommand]) -> tuple[tuple[StateQuestion, ...], ...]:
    """For each command, a question about each variable that it changed."""
    return tuple(
        tuple(question_of(name, value) for name, value in command.changes.items() if value is not None)
        for command in commands
    )


def _compare_values(replayed: Session, reading: SessionReading, result: ReplayResult, *, vouches: bool) -> None:
    """Note the variables with other values than the session's, and those that are not there at all."""
    for index, answers in enumerate(reading.answers):
        for question in replayed.asked_after(index):
            answer = answers.get(question.name)
            if answer is None:
                result.unbound[index].add(question.name)
            elif answer != question.text:
                result.differing[index].add(question.name)
            elif vouches:
                result.answered[index].add(question.name)


def _verification(replayed: Session, session: WrittenSession, result: ReplayResult, printed: set[str]) -> Verification:
    """What the readers verified, all of which printed the session again."""
    total = verified = 0
    for index, command in enumerate(session.commands):
        not_there = result.unbound[index]
        total += sum(value is not None and name not in not_there for name, value in command.changes.items())
        # an answer that did not come verifies nothing
        equal = result.answered[index] - not_there - result.differing[index]
        verified += sum(each.is_literal and each.name in equal for each in replayed.asked_after(index))
    return Verification(printed=tuple(sorted(printed)), states_verified=verified, states_total=total)


def _evidence_of(
    reader: str,
    different: Sequence[Difference],
    session: WrittenSession,
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
    # as the driver has them: of a call's first command the text has a comment too
    sources = {session.commands[difference.command].source for difference in different}
    first = different[0]  # what differs later is often a consequence of it
    source = session.commands[first.command].source
    evidence = f"{reader}: {source!r} printed {first.got[:200]!r}, not {first.wanted[:200]!r}"
    # ``_ = `` and ``ignored = `` begin commands that act: the driver assigns to a spare name what no prompt may echo
    if lenient or sources <= plan.hide or source.startswith(("_ = ", "ignored = ")):
        return evidence
    # A reveal of a variable whose values are equal all the same prints the order of a set: it has no piece.
    changed = {name for command in session.commands for name, value in command.changes.items() if value is not None}
    alike = changed.difference(*differing)
    # reversed, so that of commands with one text the first gives the piece
    pieces = {c.source: c.piece for c in reversed(session.commands)} | dict.fromkeys(alike)
    raise Again(
        replace(plan, hide=plan.hide | sources, reasons=(*plan.reasons, Reason.REPLAY_DIFFERS.value)),
        # -1 is no piece: for a text that no command has, the program is not to blame
        pieces={source: pieces.get(source, -1) for source in sources - plan.hide},
        commands=session.commands,
    )
