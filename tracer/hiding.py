"""What a view that hides outcomes asks of the jobs: draws, a gate for the driver, and the beliefs afterwards.

Choices and beliefs come from a job of their own, which gets the session's text and the draws: nothing that the driver
knew gets into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trace_mine.tracer import repl
from trace_mine.tracer.config import TracerConfig
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


def draws_of(config: TracerConfig, snippet: Snippet) -> dict[str, Any]:
    """What a job that makes the snippet's draws needs; nothing in a view that hides none."""
    if not config.view.hides:
        return {}
    return {"draws": {"seed": seed_of(config, snippet)}, "laws": config.laws}


def questions_of(config: TracerConfig, snippet: Snippet) -> dict[str, str]:
    """The variables that hold hidden inputs, each with the command that asks for it at the end."""
    pieces = snippet.pieces[len(snippet.pieces) - len(snippet.asks) :]
    asked = {name: piece.source.rstrip("\n") for name, piece in zip(snippet.asks, pieces, strict=True)}
    return {**asked, **{name: question(name) for name, _ in config.view.inputs}}


def gate_of(config: TracerConfig, snippet: Snippet, *, draws: bool) -> dict[str, Any] | None:
    """What the driver's gate needs to know; None in a view that shows everything."""
    view = config.view
    if view.every is None and not view.hides:
        return None
    return {
        "every": view.every or 0,
        "partial": view.partial,
        "style": view.style,
        "asked": questions_of(config, snippet),
        "seed": seed_of(config, snippet),
        "draws": draws,
        "seconds": GATE_SHARE * config.limits.cpu_seconds,
    }


def believe(
    config: TracerConfig,
    worker: Worker,
    program: Mapping[str, Any],
    steps: list[Step],
    rendered: repl.Rendered,
    values: list[Any],
) -> tuple[tuple[Choice, ...], tuple[Belief, ...], str | None]:
    """Choices and beliefs of a session, and why there are fewer of them than reveals, if so.

    Raises:
        Failed: the job itself failed, or the session's draws are not those that were recorded.
    """
    job = {
        "kind": "beliefs",
        "program": program,
        "commands": [[step.source, step.output] for step in steps],
        "values": values,
        "laws": config.laws,
        "seeds": BELIEF_SEEDS,
        "seconds": BELIEF_SHARE * config.limits.cpu_seconds,
    }
    found = _followed(config, worker, {**job, "output_limit": config.limits.output_bytes}, "failure")
    if found["mismatch"] is not None:
        raise Failed("draws_differ", found["mismatch"])
    shown = {segment.step: n for n, segment in enumerate(rendered.segments) if segment.role in ("value", "error")}
    beliefs = tuple(
        Belief(
            segment=shown[told["command"]],
            outcomes=tuple(told["outcomes"]),
            probabilities=tuple(told["probabilities"]),
            method=told["method"],
            stderr=tuple(told["stderr"]),
        )
        for told in found["beliefs"]
    )
    choices = tuple(
        Choice(
            step=told["step"],
            kind=told["kind"],
            outcomes=tuple(told["outcomes"]),
            probabilities=tuple(told["probabilities"]),
            taken=told["taken"],
            place=f"{steps[told['step']].path}:{steps[told['step']].line}",
        )
        for told in found["choices"]
    )
    return choices, beliefs, found["failure"]


def _followed(config: TracerConfig, worker: Worker, job: Mapping[str, Any], failure: str) -> Mapping[str, Any]:
    """The result of a job that follows choices.

    Where it may fork, there are fewer threads than in the run that it explains. So if it fails with forks, or starts
    threads, it is done again without; but not for want of time.

    Raises:
        Failed: it gave no result.
    """
    if not config.limits.forks:
        return result_of(worker.run(job), job["kind"])
    try:
        found = result_of(worker.run(job), job["kind"])
    except Failed:
        found = {failure: "Failed"}
    why = found[failure] or found.get("mismatch")
    if why is None or why.startswith("Spent"):
        return found
    return result_of(worker.run(job, replace(config.limits, forks=0)), job["kind"])


def kernel_of(
    config: TracerConfig,
    worker: Worker,
    roots: Sequence[str],
    sources: Sequence[str],
    code: str,
    variables: Sequence[str],
) -> Mapping[str, Any] | str:
    """The automaton that the commands are after the silent ``code``, or why they are none. ``roots`` are the folders,
    inside, where the repository and what counts as its own lie.
    """
    own = [*config.library, *(f"{root}/{prefix}" for root in roots for prefix in config.own)]
    job: dict[str, Any] = {"kind": "kernel", "program": {"pieces": [], "module": None, "code": code, "own": own}}
    job |= {"sources": list(sources), "variables": list(variables), "laws": config.laws}
    job |= {"seconds": BELIEF_SHARE * config.limits.cpu_seconds, "output_limit": config.limits.output_bytes}
    try:
        found = _followed(config, worker, job, "why")
    except Failed as failed:
        return f"{failed.drop.reason}: {failed.drop.evidence}"
    fitted: Mapping[str, Any] | None = found["kernel"]
    return str(found["why"]) if fitted is None else fitted
