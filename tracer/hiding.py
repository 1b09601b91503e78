"""What a view that hides outcomes asks of the jobs: draws, a gate for the driver, and the beliefs afterwards.

Choices and beliefs come from a job of their own, which gets the session's text and the draws: nothing that the driver
knew gets into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.answers import AutomatonReport, BeliefsReport, SessionAutomaton
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
from trace_mine.tracer.rounds import Failed, result_of
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Belief, Choice, Snippet, Step
from trace_mine.tracer.views import question

GATE_SHARE = 0.4
"""Of a run's CPU limit, what the gate of a view may use."""
BELIEF_SHARE = 0.6
"""Of a run's CPU limit, what the beliefs of a session may use."""
BELIEF_SEEDS = 64
"""Runs over which beliefs are averaged where a draw can't be enumerated."""


def seed_of(config: TracerConfig, snippet: Snippet) -> int:
    """The snippet's own seed, and each of its sessions': two with the same first draw would be one lesson."""
    told = f"{config.seed} {snippet.path} {snippet.name} {snippet.line}"
    if snippet.session:
        told += f" {snippet.session}"
    return int.from_bytes(hashlib.sha256(told.encode("utf-8", "backslashreplace")).digest()[:6])


def draws_of(config: TracerConfig, snippet: Snippet, recorded: Sequence[DrawnOutcome] | None = None) -> Draws | None:
    """Whose draws a run has: made and recorded, or, where ``recorded`` are given, those again. None in a view that
    hides no outcomes: then nobody decides them.
    """
    if not config.view.hides:
        return None
    return Seeded(seed=seed_of(config, snippet)) if recorded is None else Recorded(outcomes=tuple(recorded))


def laws_of(config: TracerConfig) -> Laws | None:
    """The declared laws of inputs and of the environment."""
    return None if config.laws is None else Laws.from_json(config.laws)


def questions_of(config: TracerConfig, snippet: Snippet) -> dict[str, str]:
    """The variables that hold hidden inputs, each with the command that asks for it at the end."""
    pieces = snippet.pieces[len(snippet.pieces) - len(snippet.asks) :]
    asked = {name: piece.source.rstrip("\n") for name, piece in zip(snippet.asks, pieces, strict=True)}
    return {**asked, **{name: question(name) for name, _ in config.view.inputs}}


def view_of(config: TracerConfig, snippet: Snippet, *, has_draws: bool) -> ViewRequest | None:
    """What the driver needs to know of the view; None where it shows everything."""
    view = config.view
    if view.every is None and not view.hides:
        return None
    return ViewRequest(
        every=view.every or 0,
        partial=view.partial,
        style=view.style,  # type: ignore[arg-type]  # one of STYLES, which the record checks
        asked=questions_of(config, snippet),
        seed=seed_of(config, snippet),
        has_draws=has_draws,
        max_seconds=GATE_SHARE * config.limits.cpu_seconds,
    )


def believe(
    config: TracerConfig,
    worker: Worker,
    program: Program,
    steps: list[Step],
    rendered: repl.Rendered,
    outcomes: Sequence[DrawnOutcome],
) -> tuple[tuple[Choice, ...], tuple[Belief, ...], str | None]:
    """Choices and beliefs of a session, and why there are fewer of them than reveals, if so.

    Raises:
        Failed: the job itself failed, or the session's draws are not those that were recorded.
    """
    job = BeliefsJob(
        program=program,
        commands=tuple((step.source, step.output) for step in steps),
        outcomes=tuple(outcomes),
        laws=laws_of(config),
        num_seeds=BELIEF_SEEDS,
        max_seconds=BELIEF_SHARE * config.limits.cpu_seconds,
    )
    report = _followed(config, worker, job, "beliefs", BeliefsReport, lambda report: report.failure or report.mismatch)
    if report.mismatch is not None:
        raise Failed("draws_differ", report.mismatch)
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
    return choices, beliefs, report.failure


R = TypeVar("R")


def _followed(
    config: TracerConfig,
    worker: Worker,
    job: Job,
    kind: str,
    wanted: type[R],
    why_not: Callable[[R], str | None],
) -> R:
    """The answer to a job that follows choices.

    Where it may fork, there are fewer threads than in the run that it explains. So if it fails with forks, or starts
    threads, it is done again without; but not for want of time. ``why_not`` says of an answer how the job failed.

    Raises:
        Failed: it gave no answer.
    """
    if config.limits.forks:
        try:
            answer = result_of(worker.run(job), kind, wanted)
        except Failed:
            pass  # for want of what the forks took, perhaps
        else:
            failure = why_not(answer)
            if failure is None or failure.startswith("Spent"):
                return answer
        return result_of(worker.run(job, replace(config.limits, forks=0)), kind, wanted)
    return result_of(worker.run(job), kind, wanted)


def automaton_of(
    config: TracerConfig,
    worker: Worker,
    roots: Sequence[str],
    commands: Sequence[str],
    code: str,
    variables: Sequence[str],
) -> SessionAutomaton | str:
    """The automaton that the commands are after the silent ``code``, or why they are none. ``roots`` are the folders,
    inside, where the repository and what counts as its own lie.
    """
    own = (*config.library, *(f"{root}/{prefix}" for root in roots for prefix in config.own))
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
        return f"{failed.drop.reason}: {failed.drop.evidence}"
    return str(report.why_not) if report.automaton is None else report.automaton
