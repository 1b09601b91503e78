"""The world that jobs begin with which follow choices, and the number of processes that it may fork."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from trace_mine.tracer.inside.draws import written_files
from trace_mine.tracer.inside.jobs.context import JobContext
from trace_mine.tracer.inside.program import Sources, fresh_namespace, future_flags
from trace_mine.tracer.inside.protocol.jobs import Laws, Program
from trace_mine.tracer.inside.states.fork_points import ForkPool
from trace_mine.tracer.inside.states.world import World

THREADED = "Threads: the program starts some, and a run with forks has fewer; run it without"


def pool_of(context: JobContext) -> ForkPool | None:
    """The pool of forks that the job may use; None where it may use none."""
    return ForkPool(context.limits.max_forks) if context.limits.max_forks else None


def watch_files() -> None:
    """Watch the run's own folder, which is empty or a private copy: files that are written there are part of states.

    To be called before the guard is armed, which would take the audit hook for the program's.
    """
    written_files.watch(os.getcwd())


def import_first(program: Program) -> None:
    """Run the program's set-up once, as other jobs do before their guard is armed.

    What a module does when it is imported (a library that makes code objects, say) is done once in a process and no
    work of the program's: met in the first of many worlds, under the guard, it would make the program suspect.

    Raises:
        SetupError: as ``make_world`` raises it.
    """
    main_before = sys.modules.get("__main__")
    try:
        fresh_namespace(program)
    finally:
        if main_before is not None:
            sys.modules["__main__"] = main_before


def make_world(
    program: Program,
    laws: Laws | None,
    context: JobContext,
    *,
    max_seconds: float,
    sources: Sources | None = None,
    seed: int = 0,
    lazy: bool = True,
    forks: ForkPool | None = None,
    commands: Sequence[str] | None = None,
) -> World:
    """Make a world at the session's start. A fork reports what its guard noticed, so that this process knows it too.

    Args:
        seed: decides the draws that can't be enumerated.
        lazy: continuous draws are not drawn until something looks at them.
        commands: all that the world will run, as far as a program's text can tell; None where it isn't known.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
    """
    # ``fresh_namespace`` installs a new ``__main__``; there may be several worlds in one process
    main_before = sys.modules.get("__main__")
    namespace = fresh_namespace(program)
    guard = context.guard
    is_own = (sources or Sources(program.own)).is_own
    try:
        return World(
            namespace,
            future_flags(namespace),
            is_own,
            output_limit=context.limits.max_output,
            max_seconds=max_seconds,
            laws=laws,
            seed=seed,
            lazy=lazy,
            forks=forks,
            # ``int`` gives 0 each time: without forks there is no other process that could notice anything
            marks=int if forks is None else lambda: guard.num_tripped,
            texts=None if commands is None else [program.code, *commands, *_own_texts(is_own)],
        )
    finally:
        if main_before is not None:
            sys.modules["__main__"] = main_before


def _own_texts(is_own: Callable[[str], bool]) -> list[str]:
    """The texts of the repository's modules that are imported now."""
    files = [vars(module).get("__file__") for module in [*sys.modules.values()] if type(module) is ModuleType]
    texts = []
    for file in {file for file in files if type(file) is str and is_own(file)}:
        try:
            with _open(file, encoding="utf-8", errors="replace") as opened:
                texts.append(opened.read())
        except OSError:
            texts.append("cache_info")  # it may ask for anything
    return texts


_open = open  # bound before a program can replace it
