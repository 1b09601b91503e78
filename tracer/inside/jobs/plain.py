"""The plainest job: runs a source as ``__main__`` and counts trace events. For the self-test and for the attacks.

Job: ``{"kind": "plain", "source": str, "limits": {"events": int, ...}}``. It sends no records.
"""

from __future__ import annotations

import builtins
import sys
from types import FrameType, ModuleType
from typing import Any

from trace_mine.tracer.inside.channel import Send
from trace_mine.tracer.inside.observe.guard import Guard

FILENAME = "snippet.py"


def run(job: dict[str, Any], send: Send, guard: Guard) -> dict[str, Any]:
    """The end record; ``trace-limit`` ends the process at once."""
    main = ModuleType("__main__")
    # The real builtins: exec would give the code ours, a private copy that its patches must not reach.
    main.__dict__.update({"__file__": FILENAME, "__builtins__": builtins})
    sys.modules["__main__"] = main
    try:
        code = compile(job["source"], FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes, before 3.12
        return {"end": "syntax", "exception": _name(error)}
    left = job["limits"]["events"]

    def tracer(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != FILENAME:
            return None
        left -= 1
        if left < 0:
            guard.stop({"end": "trace-limit", "exception": None})
        return tracer

    set_trace, show = sys.settrace, sys.excepthook
    guard.expect_tracer(tracer)
    set_trace(tracer)
    guard.arm()
    end: dict[str, Any] = {"end": "ok", "exception": None}
    try:
        exec(code, main.__dict__)
        guard.disarm()
    except SystemExit:
        guard.disarm()
        end = {"end": "exit", "exception": "SystemExit"}
    except BaseException as error:
        guard.disarm()
        end = {"end": "exception", "exception": _name(error)}
        set_trace(None)
        if type(error) is not MemoryError:
            show(type(error), error, error.__traceback__)
    set_trace(None)
    return end


def _name(error: BaseException) -> str:
    """The class's own name: the C getter itself, because a metaclass could run code in ``__name__``."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name[:80]
