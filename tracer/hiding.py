"""The parts of a view that concern jobs: who decides the draws of a run, what the driver may open, and the beliefs that
are computed of a finished session.

Choices and beliefs come from the session's text and the outcomes of the draws, and from nothing else that the driver
knew, so that a belief depends on no more than a reader of the session sees. Where the driver's opening has followed the
whole text, beliefs are its laws; a job of their own finds them otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from typing import TypeVar

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.choice_answers import AutomatonReport, BeliefsReport, SessionAutomaton
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.protocol.dialogue import check_beliefs
from trace_mine.tracer.inside.protocol.jobs import (
    AutomatonJob,
    BeliefsJob,
    DrawnOutcome,
    Draws,
    Job,
    Laws,
    Program,
    Recorded,
    Seeded,
    ViewRequest,
)
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states.records import HangsOn
from trace_mine.tracer.other_processes import differing, may_hang_on
from trace_mine.tracer.replays.reader import WORLDS
from trace_mine.tracer.rounds import Failed, result_of
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Belief, BeliefStates, Choice, Snippet, Step, WindowBelief
from trace_mine.tracer.two_worlds import library_inside
from trace_mine.tracer.views import question

OPENING_SHARE = 0.4
"""The share of a run's CPU limit in which the driver may follow hidden outcomes, to find what may be opened.

The rest is for the session itself."""
BELIEF_SHARE = 0.6
"""The share of a run's CPU limit that beliefs may take.

Past it they end early, which is better than the end of the run: that would lose those that were found."""
NUM_OTHERS: dict[HangsOn, int] = {"": 0, "process": 1, "order": len(WORLDS)}
"""Further processes in which outcomes are followed, by what they may hang on."""
BELIEF_SEEDS = 64
"""Runs over which beliefs are averaged where a draw can't be enumerated.

Of 64, a probability has a standard error of 1/16 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """The outcomes that a session hides: choices, beliefs and laws.

    Attributes:
        choices: in the order in which they were made.
        beliefs: in the order of the text.
        states: the law of the variables, one for each belief.
        windows: laws of the exact ones' outputs after the last few commands alone.
        failure: the reason why there are fewer beliefs than outputs, None if there are not.
        differing: the commands whose output has a law that hangs on the process, and no belief for that.
    """

    choices: tuple[Choice, ...]
    beliefs: tuple[Belief, ...]
    states: tuple[BeliefStates, ...]
    windows: tuple[WindowBelief, ...]
    failure: str | None
    differing: frozenset[int] = frozenset()


def seed_of(config: TracerConfig, snippet: Snippet) -> int:
    """The seed of a snippet's draws, from 0 to 2**48 - 1: another one for each snippet and each of its sessions.

    With one seed for all, the first draw of each session would be the same, and a model could learn it by heart. The
    seed depends on where the snippet stands, not on when it is mined, so that any number of jobs gives the same rows.
    """
    identity = f"{config.seed} {snippet.path} {snippet.name} {snippet.line}"
    if snippet.session:  # the first session has the seed of a snippet with one session only
        identity += f" {snippet.session}"
    # sha256, not ``hash``: that is another one in each process. Six bytes: an int up to 2**53 is exact in any JSON.
    # Names come from source that may hold lone surrogates, which UTF-8 refuses.
    return int.from_bytes(hashlib.sha256(identity.encode("utf-8", "backslashreplace")).digest()[:6])


def draws_of(config: TracerConfig, snippet: Snippet, recorded: Sequence[DrawnOutcome] | None = None) -> Draws | None:
    """The decider of a run's draws.

    Without ``recorded``, draws are made from the snippet's seed and recorded; with it, these outcomes are given again.
    None in a view that hides no outcomes: there the draws are CPython's own.
    """
    # The default view leaves draws alone: a patched generator is one more difference between a run and the program.
    if not config.view.hides:
        return None
    return Seeded(seed=seed_of(config, snippet)) if recorded is None else Recorded(outcomes=tuple(recorded))


def laws_of(config: TracerConfig) -> Laws | None:
    """The declared laws of inputs and of the environment; None where there are none."""
    return None if config.laws is None else Laws.from_json(config.laws)


def questions_of(config: TracerConfig, snippet: Snippet) -> dict[str, str]:
    """The variables that hold hidden inputs, each with the command that asks for it at the end."""
    # not ``[-len(asks):]``, which is all pieces where nothing is asked
    pieces = snippet.pieces[len(snippet.pieces) - len(snippet.asks) :]
    questions = {name: piece.source.rstrip("\n") for name, piece in zip(snippet.asks, pieces, strict=True)}
    return {**questions, **{name: question(name) for name, _ in config.view.inputs}}


def view_of(config: TracerConfig, snippet: Snippet, *, has_draws: bool) -> ViewRequest | None:
    """Return what the view lets the driver open and show, or None if the view shows everything.

    ``has_draws``: the native run drew something, so that there are outcomes to hide.
    """
    view = config.view
    if view.every is None and not view.hides:
        return None
    return ViewRequest(
        every=view.every or 0,  # a View made by hand may hide outcomes and leave it out
        partial=view.partial,
        style=view.style,  # type: ignore[arg-type]  # one of STYLES, which the record checks
        asked=questions_of(config, snippet),
        seed=seed_of(config, snippet),
        repeats=view.repeats,
        uncertain=view.uncertain,
        has_draws=has_draws,
        max_seconds=OPENING_SHARE * config.limits.cpu_seconds,
    )


def believe(
    config: TracerConfig,
    worker: Worker,
    program: Program,
    steps: list[Step],
    rendered: repl.Rendered,
    outcomes: Sequence[DrawnOutcome],
    others: Callable[[int], tuple[Worker, Program]],
    handed_on: BeliefsReport | None = None,
    *,
    first_only: bool = False,
) -> Believed:
    """The choices and beliefs of a session. An output whose law other processes don't find has none.

    Args:
        steps: the session's steps; their commands and outputs are all that the job gets of it.
        rendered: the session's text. A belief is about one segment of it: the output of its command.
        outcomes: the outcomes of the session's draws, in order.
        handed_on: what the process that wrote the session has found, where it followed all outcomes; a job of their own
            finds them otherwise.
        first_only: of laws that hang on the process only the first is looked for.
        others: gives the worker of a further world, from 0 to 2, and the program as it is run there.

    Raises:
        Failed: the job itself failed, or the session's draws are not those that were recorded.
    """
    job = BeliefsJob(
        program=program,
        commands=tuple((step.source, step.output) for step in steps),
        outcomes=tuple(outcomes),
        laws=laws_of(config),
        num_seeds=BELIEF_SEEDS,
        windows=config.windows,
        max_seconds=BELIEF_SHARE * config.limits.cpu_seconds,
    )
    if handed_on is None:
        report = _followed(
            config, worker, job, "beliefs", BeliefsReport, lambda report: report.failure or report.mismatch
        )
    else:
        report = _of_the_job(job, handed_on)
    # No row without its choices: of draws that are not the session's, the beliefs after them would be false too.
    if report.mismatch is not None:
        raise Failed(Reason.DRAWS_DIFFER, report.mismatch)
    report, apart = _without_differing(config, job, report, others, first_only=first_only)
    # a command has one segment at most that shows its output
    shown = {segment.step: n for n, segment in enumerate(rendered.segments) if segment.role in ("value", "error")}
    beliefs = tuple(
        Belief(
            segment=shown[belief.command],
            outcomes=belief.outcomes,
            probabilities=belief.probabilities,
            method=belief.method,
            stderr=belief.stderr,
        )
        for belief in report.beliefs
    )
    choices = tuple(
        Choice(
            step=choice.command,
            kind=choice.kind,
            outcomes=choice.outcomes,
            probabilities=choice.probabilities,
            taken=choice.taken,
            place=f"{steps[choice.command].path}:{steps[choice.command].line}",
        )
        for choice in report.choices
    )
    windows = tuple(
        WindowBelief(
            segment=shown[each.command],
            commands=each.window,
            outcomes=each.outcomes,
            probabilities=each.probabilities,
        )
        for each in report.windows
    )
    states = tuple(
        BeliefStates(
            segment=shown[law.command],
            variables=law.variables,
            states=law.states,
            outcomes=law.outcomes,
            probabilities=law.probabilities,
            absent=law.absent,
        )
        for law in report.states
    )
    return Believed(
        choices=choices,
        beliefs=beliefs,
        states=states,
        windows=windows,
        failure=report.failure,
        differing=apart,
    )


def _of_the_job(job: BeliefsJob, report: BeliefsReport) -> BeliefsReport:
    """A report that came beside a session, held to what an answer to the job would be.

    Raises:
        Failed: it speaks of another session.
    """
    try:
        check_beliefs(job, report)
    except ProtocolError as error:
        raise Failed(Reason.INTEGRITY_FORGED, str(error)) from None
    return report


def wants_beliefs(config: TracerConfig) -> bool:
    """Return True if the process that writes a session may find its beliefs: it has neither forks nor windows."""
    return config.view.hides and not config.limits.forks and not config.windows


def _without_differing(
    config: TracerConfig,
    job: BeliefsJob,
    report: BeliefsReport,
    others: Callable[[int], tuple[Worker, Program]],
    *,
    first_only: bool,
) -> tuple[BeliefsReport, frozenset[int]]:
    """The report without laws that hang on the process, and the commands that have these."""

    def ask(number: int, num_commands: int) -> BeliefsReport:
        worker, program = others(number)
        commands = job.commands[:num_commands]
        again = replace(job, program=program, commands=commands, outcomes=None, windows=(), num_seeds=1)
        try:
            return _followed(config, worker, again, "beliefs", BeliefsReport, lambda report: report.failure)
        except Failed:  # the other world found no law at all
            return BeliefsReport(beliefs=(), failure=None, choices=(), mismatch=None, num_forked=0)

    asks = [partial(ask, number) for number in range(NUM_OTHERS[may_hang_on(report)])]
    apart = differing(report, asks, first_only=first_only)
    if not apart:
        return report, apart
    beliefs = [each.command not in apart for each in report.beliefs]
    left = replace(
        report,
        beliefs=tuple(compress(report.beliefs, beliefs)),
        states=tuple(compress(report.states, beliefs)),
        windows=tuple(each for each in report.windows if each.command not in apart),
    )
    return left, apart


def not_contradicted(believed: Believed, kept: Mapping[str, int]) -> Believed:
    """The beliefs that hold where the driver lost the states, and why the others are left out.

    The same states, followed by the same engine, contradicted the session in the driver: what they lack may matter to
    beliefs, too, whether or not these met it. Such beliefs were called exact. Sampled ones claim no more than they are.

    Args:
        believed: what was found.
        kept: what the driver counted, by reason.
    """
    if Reason.SUPPORT_LOST not in kept:
        return believed
    sampled = [belief.method == "sampled" for belief in believed.beliefs]
    return replace(
        believed,
        beliefs=tuple(compress(believed.beliefs, sampled)),
        states=tuple(compress(believed.states, sampled)),
        windows=(),  # they are of exact beliefs
        failure=believed.failure or (None if all(sampled) else Reason.SUPPORT_LOST.value),
    )


R = TypeVar("R")


def _followed(
    config: TracerConfig,
    worker: Worker,
    job: Job,
    kind: str,
    wanted: type[R],
    why_not: Callable[[R], str | None],
) -> R:
    """Run a job that follows choices, first with forks where the limits allow them, and give its answer.

    Forks take processes and memory from the run, and a run with forks may start fewer threads than the one that it
    explains. So a job that fails with forks is run again without. A job that ran out of time is not: without forks it
    would be slower still.

    Args:
        kind: names the job in evidence.
        wanted: the class of its answer.
        why_not: tells of an answer why the job failed; None if it did not.

    Raises:
        Failed: the job gave no answer.
    """
    if config.limits.forks:
        try:
            answer = result_of(worker.run(job), kind, wanted)
        except Failed:
            pass  # it is run again below, with all that the forks took
        else:
            failure = why_not(answer)
            if failure is None or failure.startswith("Spent"):  # the exception of a search without time
                return answer
        return result_of(worker.run(job, replace(config.limits, forks=0)), kind, wanted)
    return result_of(worker.run(job), kind, wanted)


def windows_of(
    config: TracerConfig, worker: Worker, commands: Sequence[tuple[str, str]], code: str, windows: Sequence[int]
) -> BeliefsReport | str:
    """The beliefs of commands after the silent ``code``, with their laws after windows; or, as text, why not."""
    job = BeliefsJob(
        program=Program(code=code),
        commands=tuple(commands),
        outcomes=None,
        laws=laws_of(config),
        num_seeds=1,
        max_seconds=BELIEF_SHARE * config.limits.cpu_seconds,
        windows=tuple(windows),
    )
    try:
        report = _followed(config, worker, job, "beliefs", BeliefsReport, lambda report: report.failure)
    except Failed as failed:
        return f"{failed.drop.reason}: {failed.drop.evidence}"
    return report if report.failure is None else report.failure


def automaton_of(
    config: TracerConfig,
    worker: Worker,
    roots: Sequence[str],
    commands: Sequence[str],
    code: str,
    variables: Sequence[str],
) -> SessionAutomaton | str:
    """The automaton that the commands are after the silent ``code`` or, as text, why they are none.

    ``roots`` are the folders, as code in the sandbox sees them, below which ``config.own`` lies.
    """
    # no ``module``: an automaton's commands bring their own set-up as ``code``, as a row has it
    library = [library_inside(path, worker) for path in config.library]
    own = (*library, *(f"{root}/{prefix}" for root in roots for prefix in config.own))
    job = AutomatonJob(
        program=Program(code=code, own=own),
        commands=tuple(commands),
        variables=tuple(variables),
        laws=laws_of(config),
        max_seconds=BELIEF_SHARE * config.limits.cpu_seconds,
    )
    try:
        report = _followed(config, worker, job, "automaton", AutomatonReport, lambda report: report.why_not)
    except Failed as failed:
        # text and no drop: the session is a row already, and lacks nothing if it has no automaton
        return f"{failed.drop.reason}: {failed.drop.evidence}"
    return str(report.why_not) if report.automaton is None else report.automaton
