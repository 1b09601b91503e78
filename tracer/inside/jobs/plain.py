"""The plain job: runs a source as ``__main__`` and counts trace events, for the self-test and the attacks.

It sends no answers; the end record says all.
"""

from __future__ import annotations

import builtins
import sys
from types import CodeType, FrameType, ModuleType

from trace_mine.tracer.inside.jobs.context import JobContext
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.codec import to_json
from trace_mine.tracer.inside.protocol.jobs import PlainJob

FILENAME = "snippet.py"


def run(job: PlainJob, context: JobContext) -> End:
    """Run the source, and give the end record. At ``trace-limit`` the process ends at once, inside the tracer."""
    main = ModuleType("__main__")
    # The real builtins: exec would give the code ours, a private copy that its patches must not reach.
    main.__dict__.update({"__file__": FILENAME, "__builtins__": builtins})
    sys.modules["__main__"] = main
    try:
        code = compile(job.source, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes, before 3.12
        return End(end="syntax", exception=_name(error))
    max_events = context.limits.max_events if job.counts_events else None
    return _execute(code, main, context.guard, max_events)


def _execute(code: CodeType, main: ModuleType, guard: Guard, max_events: int | None) -> End:
    """Execute the code; ``max_events`` None: without a tracer."""
    left = max_events or 0
    # made before the source runs: in the tracer, what the source patched must not be called
    full = to_json(End(end="trace-limit"))

    def tracer(frame: FrameType, event: str, argument: object) -> object:
        nonlocal left
        if frame.f_code.co_filename != FILENAME:
            return None
        left -= 1
        if left < 0:
            guard.stop(full)
        return tracer

    set_trace, show = sys.settrace, sys.excepthook  # bound before the source runs
    if max_events is not None:
        guard.expect_tracer(tracer)
        set_trace(tracer)  # type: ignore[arg-type]  # typeshed has no name for what a tracer returns
    guard.arm()
    end = End(end="ok")
    try:
        exec(code, main.__dict__)
        guard.disarm()
    except SystemExit:
        guard.disarm()
        end = End(end="exit", exception="SystemExit")
    except BaseException as error:
        guard.disarm()
        end = End(end="exception", exception=_name(error))
        set_trace(None)
        if type(error) is not MemoryError:  # showing it takes memory, and would raise another one
            show(type(error), error, error.__traceback__)
    set_trace(None)
    return end


def _name(error: BaseException) -> str:
    """The class's own name, by the C getter itself: a metaclass could run code in ``__name__``."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name[:80]
