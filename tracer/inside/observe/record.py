"""What natively ran: ``sys.settrace`` over the program's frames. The ground truth that the session is held against.

Recorded for each frame of the program and of the repository's functions down to a depth: the path of lines and, before
each line, the locals that changed (``values.snapshot``, so nothing of the snippet runs). A caught RecursionError
silently ends tracing on CPython 3.9-3.13: ``Recorder.complete`` says whether it is still on.

While the program runs only identities are compared and immutable values kept as they are; snapshots of those are made
when the record is read; lists of atoms are watched (``lists``). Against a snapshot of each value at each line that is
2.6 times cheaper on sorting a list and on recursion, 1.3 times on loops (``tests/benchmarks/bench_tracers.py``).

Not covered: variables of a class body whose namespace is not a dict.
"""

from __future__ import annotations

import opcode
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from trace_mine.tracer.inside.observe.lists import ListWatch
from trace_mine.tracer.inside.observe.values import ATOMS, LARGE, all_atoms, snapshot, text
from trace_mine.tracer.inside.program import CO_GENERATOR

CLEANUP = frozenset({opcode.opmap["COPY"], opcode.opmap["RERAISE"]})
Tracer = Callable[[types.FrameType, str, Any], Any]
CO_OPTIMIZED = 0x1


class EventsFull(BaseException):
    """More events than the limit; BaseException, so that the snippet's handlers don't swallow it."""


class _Shot:
    """A snapshot in the log, apart from the values that stand there as they are."""

    __slots__ = ("shot",)

    def __init__(self, shot: bytes | str) -> None:
        self.shot = shot


_unbound = object()
_deleted = object()
_items = object()
_item = object()


class FrameRecord:
    """One frame: code, depth of calls, and what happened in it.

    ``log`` is flat: the line number of each event, then for each local that changed its name and what it holds (an
    immutable value, ``_items`` and the items of a list of atoms, ``_item`` and the index and value of the one that
    changed in it, a ``_Shot``, or ``_deleted``).
    """

    __slots__ = ("code", "depth", "log")

    def __init__(self, code: types.CodeType, depth: int, log: list[Any]) -> None:
        self.code = code
        self.depth = depth
        self.log = log

    @property
    def events(self) -> list[tuple[int, dict[str, bytes | str | None]]]:
        """``(line, {local: snapshot or None})`` in order; None marks a deleted local."""
        events: list[tuple[int, dict[str, bytes | str | None]]] = []
        last: dict[str, bytes | str | None] = {}
        lists: dict[str, list[Any]] = {}
        log = iter(self.log)
        for entry in log:
            if type(entry) is int:
                events.append((entry, {}))
                continue
            held = next(log)
            shot: bytes | str | None
            if held is _deleted:
                shot = None
            elif held is _items:
                lists[entry] = list(next(log))
                shot = snapshot(lists[entry])
            elif held is _item:
                index = next(log)
                lists[entry][index] = next(log)
                shot = snapshot(lists[entry])
            else:
                shot = held.shot if type(held) is _Shot else snapshot(held)
            if last.get(entry, _unbound) != shot:  # assigned but equal is no change
                last[entry] = events[-1][1][entry] = shot
        return events

    def as_columns(self, names: frozenset[str] | None) -> tuple[list[int], dict[str, list[str | None]]]:
        """The lines, and for each local, in the order in which they were first bound, its value as text before each of
        them: None where it is not bound. ``names``: only these locals; None: those of the function.
        """
        kept = names if names is not None else {*self.code.co_varnames, *self.code.co_cellvars}
        lines: list[int] = []
        columns: dict[str, list[str | None]] = {}
        for index, (line, changes) in enumerate(self.events):
            lines.append(line)
            for name, shot in changes.items():
                if name not in kept:
                    continue
                column = columns.get(name)
                if column is None:
                    if shot is None:
                        continue
                    column = columns[name] = [None] * index
                elif len(column) < index:  # nothing changed since the column was written last
                    column.extend([column[-1]] * (index - len(column)))
                column.append(None if shot is None else text(shot))
        for column in columns.values():
            column.extend([column[-1]] * (len(lines) - len(column)))
        return lines, columns


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
        self._logs: list[tuple[types.CodeType, int, list[Any]]] = []
        self.depth = 0
        self._suspended: dict[types.FrameType, Tracer] = {}
        self._own: dict[str, bool] = {}
        # by id, because a code object hashes all that it holds; the code is kept, so that its id stays its own
        self._followed: dict[int, tuple[types.CodeType, bool, frozenset[int]]] = {}
        self.trace: Tracer = self._on_call

    @property
    def frames(self) -> list[FrameRecord]:
        """What was recorded, in the order of the calls."""
        return [FrameRecord(code, depth, log) for code, depth, log in self._logs]

    def start(self) -> None:
        """Begins to trace this thread."""
        sys.settrace(self.trace)

    def stop(self) -> None:
        """Ends tracing."""
        sys.settrace(None)

    def complete(self) -> bool:
        """True if tracing is still on: not after a caught RecursionError, nor where the snippet took it off."""
        return sys.gettrace() is self.trace

    def _on_call(self, frame: types.FrameType, event: str, argument: Any) -> Tracer | None:
        code = frame.f_code
        known = self._followed.get(id(code))
        if known is None:
            known = self._followed[id(code)] = code, self._is_followed(code), _cleanup_offsets(code)
        _, followed, cleanup = known
        if not followed or self.depth > self.max_depth:
            return None
        if code.co_flags & CO_GENERATOR:
            local = self._suspended.get(frame)
            if local is None:
                local = self._suspended[frame] = self._follow(code, cleanup)
        else:
            local = self._follow(code, cleanup)
        self.depth += 1
        return local

    def _is_followed(self, code: types.CodeType) -> bool:
        own = self._own.get(code.co_filename)
        if own is None:
            own = self._own[code.co_filename] = self.is_own(code.co_filename)
        return own and (code.co_name[0] != "<" or code.co_name == "<module>")

    def _follow(self, code: types.CodeType, cleanup: frozenset[int]) -> Tracer:
        log: list[Any] = []
        self._logs.append((code, self.depth, log))
        add = log.append
        seen: dict[str, Any] = {}
        mutable: dict[str, Any] = {}
        lists: dict[str, ListWatch] = {}
        line = start = -1

        def local(frame: types.FrameType, event: str, argument: Any) -> Any:
            nonlocal line, start
            if event != "line":
                if event == "return":
                    self.depth -= 1
                    return None
                return frame.f_trace  # this function; naming it here would be a cycle that keeps the locals alive
            number, first = frame.f_lineno, frame.f_lasti
            # from 3.12 on a comprehension runs in its function's frame: each turn of it is a line event too, which
            # a statement run again is not, since that starts at the statement's first instruction
            if number == line and first != start:
                return frame.f_trace
            if first in cleanup:
                return frame.f_trace  # 3.11 names a finally's last line once more when an exception leaves it
            line, start = number, first
            self.left -= 1
            if self.left < 0:
                raise EventsFull
            add(number)
            variables = frame.f_locals if code.co_flags & CO_OPTIMIZED else self._variables(frame)
            for name, value in variables.items():
                if seen.get(name, _unbound) is not value:
                    seen[name] = value
                    kind = type(value)
                    if type(kind) is type and kind in ATOMS:
                        add(name)
                        add(value)
                        if mutable:
                            mutable.pop(name, None)
                        if lists:
                            lists.pop(name, None)
                    else:
                        mutable[name] = None  # nothing to hold it against yet
                        lists.pop(name, None)
            for watch in lists.values():
                if watch.header.raw != watch.known_header or watch.items.raw != watch.known_items:
                    _look_at_lists(lists, mutable, add)
                    break
            if mutable:
                _look(seen, mutable, lists, add)
            if len(seen) != len(variables):
                for name in [name for name in seen if name not in variables]:
                    del seen[name]
                    mutable.pop(name, None)
                    lists.pop(name, None)
                    add(name)
                    add(_deleted)
            return frame.f_trace

        return local

    def _variables(self, frame: types.FrameType) -> Mapping[str, Any]:
        """The variables of a module or a class body."""
        if frame.f_code.co_name == "<module>":
            held = frame.f_globals  # 3.12's f_locals of a module with a comprehension in it lags behind
            return {name: held[name] for name in self.module_names if name in held}
        local = frame.f_locals
        return dict.copy(local) if isinstance(local, dict) else {}


def _cleanup_offsets(code: types.CodeType) -> frozenset[int]:
    raw = code.co_code
    return frozenset(offset for offset in range(0, len(raw), 2) if raw[offset] in CLEANUP)


def _look(
    seen: dict[str, Any], mutable: dict[str, Any], lists: dict[str, ListWatch], add: Callable[[Any], None]
) -> None:
    """Logs what changed in the variables that may hold something that can change; stops looking at the others."""
    settled: list[str] = []
    for name, before in mutable.items():
        value = seen[name]
        kind: Any = type(value)
        if before is None and (kind is list or kind is tuple) and len(value) <= LARGE and all_atoms(value):
            settled.append(name)
            add(name)
            if kind is list:
                watch = lists[name] = ListWatch(value)
                add(_items)
                add(tuple(watch.copy))
            else:
                add(value)
            continue
        shot = snapshot(value)
        if shot != before:
            mutable[name] = shot
            add(name)
            add(_Shot(shot))
    for name in settled:
        del mutable[name]


def _look_at_lists(lists: dict[str, ListWatch], mutable: dict[str, Any], add: Callable[[Any], None]) -> None:
    """Logs which lists changed; one that can't be watched on is left to ``_look``."""
    for name, watch in [*lists.items()]:
        changed = watch.changed()
        if changed:
            add(name)
            if watch.index >= 0:
                add(_item)
                add(watch.index)
                add(watch.copy[watch.index])
            else:
                add(_items)
                add(tuple(watch.copy))
        elif changed is None:
            del lists[name]
            mutable[name] = b""  # never a snapshot, and not None: that would have it watched again
