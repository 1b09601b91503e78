"""What natively ran: ``sys.settrace`` over the program's frames. This is the ground truth that the session is held against.

Recorded for each frame of the program and of the repository's functions down to a depth: the path of lines and, before
each line, the locals that changed (``values.snapshot``, so nothing of the snippet runs). A caught RecursionError
silently ends tracing on CPython 3.9-3.13: ``Recorder.complete`` says whether it is still on.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from tracer.inside.program import CO_GENERATOR
from tracer.inside.values import ATOMS, snapshot, text

Tracer = Callable[[types.FrameType, str, Any], Any]


class EventsFull(BaseException):
    """More events than the limit; BaseException, so that the snippet's handlers don't swallow it."""


class FrameRecord:
    """One frame: code, depth, and events ``(line, {local: snapshot or None})``, in order; None marks a deleted local."""

    __slots__ = ("code", "depth", "events", "last", "raised", "returned")

    def __init__(self, code: types.CodeType, depth: int) -> None:
        self.code = code
        self.depth = depth
        self.events: list[tuple[int, dict[str, bytes | str | None]]] = []
        self.last: dict[str, tuple[Any, bytes | str]] = {}
        self.returned: bytes | str | None = None
        self.raised: str | None = None

    def as_json(self, names: frozenset[str] | None) -> dict[str, Any]:
        """The record with locals as text, in full before each line."""
        kept = names if names is not None else {*self.code.co_varnames, *self.code.co_cellvars}
        current: dict[str, str] = {}
        path: list[list[Any]] = []
        for line, changes in self.events:
            for name, shot in changes.items():
                if shot is None:
                    current.pop(name, None)
                elif name in kept:
                    current[name] = text(shot)
            path.append([line, dict(current)])
        return {"code": [self.code.co_filename, self.code.co_firstlineno, self.code.co_name], "path": path}


class Recorder:
    """Records frames whose file ``is_own`` accepts, down to ``max_depth`` of them on the stack; at most ``max_events``.

    ``module_names`` are the variables recorded in module-level frames, which hold the whole namespace otherwise.
    """

    def __init__(
        self, is_own: Callable[[str], bool], *, max_depth: int, max_events: int, module_names: frozenset[str]
    ) -> None:
        self.is_own = is_own
        self.max_depth = max_depth
        self.left = max_events
        self.module_names = module_names
        self.frames: list[FrameRecord] = []
        self.depth = 0
        self._suspended: dict[types.FrameType, FrameRecord] = {}
        self._own: dict[str, bool] = {}
        self.trace: Tracer = self._on_call

    def start(self) -> None:
        """Begins to trace this thread."""
        sys.settrace(self.trace)

    def stop(self) -> None:
        """Ends tracing."""
        sys.settrace(None)

    def complete(self) -> bool:
        """Whether tracing is still on: not after a caught RecursionError, nor where the snippet took it off."""
        return sys.gettrace() is self.trace

    def _on_call(self, frame: types.FrameType, event: str, argument: Any) -> Tracer | None:
        code = frame.f_code
        own = self._own.get(code.co_filename)
        if own is None:
            own = self._own[code.co_filename] = self.is_own(code.co_filename)
        if not own or (code.co_name.startswith("<") and code.co_name != "<module>"):
            return None
        if self.depth > self.max_depth:
            return None
        record = self._suspended.get(frame)
        if record is None:
            record = FrameRecord(code, self.depth)
            self.frames.append(record)
            if code.co_flags & CO_GENERATOR:
                self._suspended[frame] = record
        self.depth += 1
        return self._local(record, self.module_names if code.co_name == "<module>" else None)

    def _local(self, record: FrameRecord, names: frozenset[str] | None) -> Tracer:
        events, last, atoms, full = record.events, record.last, ATOMS, EventsFull
        line = start = -1

        def local(frame: types.FrameType, event: str, argument: Any) -> Tracer | None:
            nonlocal line, start
            if event == "line":
                # from 3.12 on a comprehension runs in its function's frame: each turn of it is a line event too, which
                # a statement run again is not, since that starts at the statement's first instruction
                if frame.f_lineno == line and frame.f_lasti != start:
                    return local
                line, start = frame.f_lineno, frame.f_lasti
                self.left -= 1
                if self.left < 0:
                    raise full
                changes: dict[str, bytes | str | None] = {}
                # 3.12's f_locals of a module with a comprehension in it lags behind the module's globals
                variables = frame.f_locals if names is None else frame.f_globals
                for name in variables if names is None else names:
                    if names is not None and name not in variables:
                        continue
                    value = variables[name]
                    before = last.get(name)
                    if before is not None and before[0] is value and type(value) in atoms:
                        continue
                    shot = snapshot(value)
                    if before is None or before[1] != shot:
                        changes[name] = shot
                        last[name] = value, shot
                    elif before[0] is not value:
                        last[name] = value, shot
                if len(last) > len(variables) or names is not None:
                    for name in [name for name in last if name not in variables]:
                        del last[name]
                        changes[name] = None
                events.append((frame.f_lineno, changes))
            elif event == "return":
                self.depth -= 1
            return local

        return local
