"""The jobs of views that hide outcomes: whose draws a run has, and what a session's outputs could have been."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.draws.deciders import DrawMismatch, Guided, Laws, Replay, Stream, using
from trace_mine.tracer.inside.program import Sources, fresh_namespace, future_flags
from trace_mine.tracer.inside.states.automaton import NoFit, kernel_of
from trace_mine.tracer.inside.states.beliefs import beliefs_of, choices_of, sample_path
from trace_mine.tracer.inside.states.fork_points import ForkPool
from trace_mine.tracer.inside.states.fork_watch import watch
from trace_mine.tracer.inside.states.paths import Unstable
from trace_mine.tracer.inside.states.records import Refused, Spent
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot
from trace_mine.tracer.inside.states.world import World

THREADED = "Threads: the program starts some, and a run with forks has fewer; run it without"
Send = Callable[[object], None]


def drawing(job: dict[str, Any]) -> contextlib.AbstractContextManager[Any]:
    """Draws as the job wants them; the decider has ``values`` where the draws are recorded."""
    draws = job.get("draws")
    if draws is None:
        return contextlib.nullcontext()
    laws = laws_of(job)
    return using(Stream(draws["seed"], laws=laws) if "seed" in draws else Replay(draws["values"], laws=laws))


def laws_of(job: dict[str, Any]) -> Laws | None:
    """The declared laws of inputs and of the environment."""
    declared = job.get("laws")
    return None if declared is None else Laws.from_json(declared)


def pool_of(job: dict[str, Any]) -> ForkPool | None:
    """How many forks the job may use; None where it may use none."""
    forks = job.get("limits", {}).get("forks", 0)
    return ForkPool(forks) if forks else None


def make_world(
    job: dict[str, Any],
    sources: Sources,
    seed: int,
    seconds: float,
    lazy: bool = True,
    forks: ForkPool | None = None,
    guard: Any = None,
) -> World:
    """A world at the session's start. What ``guard`` notices in a fork is to be noticed here."""
    kept = sys.modules.get("__main__")
    namespace = fresh_namespace(job["program"])
    try:
        return World(
            namespace,
            future_flags(namespace),
            sources.is_own,
            output_limit=job["output_limit"],
            max_seconds=seconds,
            laws=laws_of(job),
            seed=seed,
            lazy=lazy,
            forks=forks,
            marks=int if guard is None else lambda: guard.num_tripped,
        )
    finally:
        if kept is not None:
            sys.modules["__main__"] = kept


def beliefs(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """Beliefs at each output of a session, and the choices that its recorded draws made."""
    sources = Sources(job["program"]["own"])
    commands = [(source, shown) for source, shown in job["commands"]]
    forks = pool_of(job)
    guard.arm()
    try:
        result = beliefs_of(
            commands,
            lambda seed, seconds, lazy: make_world(job, sources, seed, seconds, lazy, forks, guard),
            seeds=job["seeds"],
            max_seconds=job["seconds"],
        )
        result["choices"], result["mismatch"] = [], None
        try:
            if job.get("values") is not None:
                world = make_world(job, sources, 0, job["seconds"])
                result["choices"] = choices_of(commands, world, job["values"])
        except (DrawMismatch, CannotSnapshot) as error:
            result["mismatch"] = str(error)
    finally:
        guard.disarm()
    result["num_forked"] = 0 if forks is None else forks.num_forked
    if forks is not None and watch.threaded:
        result["failure"] = THREADED
    send(result)
    return {"end": "ok", "exception": None}


def samples(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """``count`` native runs of a session's commands from seed ``first`` on: the texts that each showed."""
    sources = Sources(job["program"]["own"])
    commands = [(source, "") for source in job["sources"]]
    for seed in range(job["first"], job["first"] + job["count"]):
        world = make_world(job, sources, 0, job["seconds"])
        send({"texts": sample_path(commands, world, seed)})
    return {"end": "ok", "exception": None}


def one_path(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """One path of a session in a process of its own, forced along ``prefix``: the texts, and the choices that it met.

    Nothing is saved, restored or merged here: the slow reference of the support.
    """
    world = make_world(job, Sources(job["program"]["own"]), 0, job["seconds"])
    decider = Guided(job["prefix"], laws=world.laws)
    with world.aside() as capture, using(decider):
        texts = [world.execute(source, "single", capture)[0] for source in job["sources"]]
    choices = [[choice.kind, list(choice.probabilities), choice.taken] for choice in decider.log]
    send({"texts": texts, "choices": choices, "sampled": bool(decider.sampled)})
    return {"end": "ok", "exception": None}


def kernel(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """The automaton that a session's commands are, or why they are none."""
    forks = pool_of(job)
    world = make_world(job, Sources(job["program"]["own"]), 0, job["seconds"], forks=forks, guard=guard)
    try:
        found: dict[str, Any] = {"kernel": kernel_of(job["sources"], world, job["variables"]), "why": None}
    except (NoFit, Refused, Spent, Unstable) as error:
        found = {"kernel": None, "why": f"{type(error).__name__}: {error}"[:500]}
    if forks is not None and watch.threaded:
        found = {"kernel": None, "why": THREADED}
    send(found)
    return {"end": "ok", "exception": None}
