"""What jobs that follow choices begin with: a world at a session's start, and how many processes it may fork."""

from __future__ import annotations

import sys

from trace_mine.tracer.inside.jobs.context import Context
from trace_mine.tracer.inside.program import Sources, fresh_namespace, future_flags
from trace_mine.tracer.inside.protocol.jobs import Laws, Program
from trace_mine.tracer.inside.states.fork_points import ForkPool
from trace_mine.tracer.inside.states.world import World

THREADED = "Threads: the program starts some, and a run with forks has fewer; run it without"


def pool_of(context: Context) -> ForkPool | None:
    """How many forks the job may use; None where it may use none."""
    return ForkPool(context.limits.max_forks) if context.limits.max_forks else None


def make_world(
    program: Program,
    laws: Laws | None,
    context: Context,
    *,
    max_seconds: float,
    sources: Sources | None = None,
    seed: int = 0,
    lazy: bool = True,
    forks: ForkPool | None = None,
) -> World:
    """A world at the session's start. What the guard notices in a fork is noticed here too.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
    """
    kept = sys.modules.get("__main__")
    namespace = fresh_namespace(program)
    guard = context.guard
    try:
        return World(
            namespace,
            future_flags(namespace),
            (sources or Sources(program.own)).is_own,
            output_limit=context.limits.max_output,
            max_seconds=max_seconds,
            laws=laws,
            seed=seed,
            lazy=lazy,
            forks=forks,
            marks=int if forks is None else lambda: guard.num_tripped,
        )
    finally:
        if kept is not None:
            sys.modules["__main__"] = kept
