"""The record of a native run: ``sys.settrace`` over the program's frames. The session is checked against it.

Recorded for each frame of the program and of the repository's functions down to a depth: the path of lines and, before
each line, the locals that changed (``values.snapshot``, so nothing of the snippet runs); and a mark for each call,
return, yield and exception, with its value. An exception that leaves a trace function silently ends tracing on CPython
3.9-3.13; so a RecursionError, which a trace function that is called at the limit meets in the calls that it makes
itself, stays inside. Where even the trace function can't be called, the event ``sys.settrace`` can't call an audit hook
either, and what a hook refuses is not done: so tracing goes on wherever there is an audit hook in Python (``guard``).
``Recorder.complete`` tells if it is still on.

The record of a frame may be cut: at the limit of lines, where the standard library's debuggers took the frame's trace
function off (``bdb``, ``trace``), or within a RecursionError. It then holds the frame's beginning.

While the program runs only identities are compared, and immutable values are kept as they are; their snapshots are
made when the record is read. Lists of atoms are watched (``lists``). Compared with a snapshot of each value at each
line that is 2.6 times cheaper on sorting a list and on recursion, 1.3 times on loops
(``tests/benchmarks/bench_tracers.py``).

Not covered: variables of a class body whose namespace is not a dict.

Over 400 lines because the trace function of a frame is one closure, beside what makes and reads its log.
"""

from __future__ import annotations

import opcode
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from trace_mine.tracer.inside.differences import LOCALS_ARE_A_PROXY
from trace_mine.tracer.inside.observe.entries import CO_OPTIMIZED, EntryCounts
from trace_mine.tracer.inside.observe.identity import identity
from trace_mine.tracer.inside.observe.lists import ListWatch
from trace_mine.tracer.inside.observe.values import ATOMS, LARGE, all_atoms, exception_text, snapshot, text, visits
from trace_mine.tracer.inside.observe.wrappers import may_be_wrapper
from trace_mine.tracer.inside.program import CO_GENERATOR, CO_NEWLOCALS

MAX_VISITS = 4_000_000
"""Values that the snapshots of a record may look at, some 4 s. Objects are looked into at each line, so that a loop
which lets one grow takes quadratic time: without this bound such a run takes all of its CPU time, to no other end. A
number, since the same program then has the same session whatever else the machine does."""
FEW = 16
"""Items up to which a set or dictionary is as quickly taken a snapshot of as compared."""

CLEANUP = frozenset({opcode.opmap["COPY"], opcode.opmap["RERAISE"]})
"""Instructions with which CPython 3.11 leaves a ``finally`` by an exception: see ``Recorder._follow``."""

Tracer = Callable[[types.FrameType, str, object], Any]
"""A trace function. Any: it gives the trace function of the frame, whose type would contain itself."""
Log = list[Any]
"""The log of a frame: see ``FrameRecord``. Any: it is flat, as a tuple for each entry would be made at every line."""
Add = Callable[[object], None]
Snapshot = bytes | str
Changes = list[tuple[int, dict[str, Snapshot | None]]]
"""Lines, each with the locals that changed before it."""


class EventsFull(BaseException):
    """More events than the limit; BaseException, so that the snippet's handlers don't swallow it."""


class ValuesFull(EventsFull):
    """More values than snapshots may look at."""


class _Logged:
    """A snapshot in the log, wrapped to be told apart from values that stand there as they are (texts and bytes)."""

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


# Marks in a log, which no value of the program is.
_unbound = object()
_mutable = object()
_deleted = object()
_items = object()
_item = object()
_HAS_DICTIONARY = not LOCALS_ARE_A_PROXY.holds
"""True if a frame keeps a dictionary of its locals from the first look at them, which holds their values to its end."""
_end = object()
_left = object()
_cut = object()


def _opcodes(*names: str) -> frozenset[int]:
    return frozenset(opcode.opmap[name] for name in names if name in opcode.opmap)


_RETURNS = _opcodes("RETURN_VALUE", "RETURN_CONST")
_YIELDS = _opcodes("YIELD_VALUE")

MarkKind = Literal["call", "return", "yield", "raise", "leave"]
"""What a mark tells: a frame is entered (a generator's also at each resumption); it returns, or yields, a value; an
exception was raised in it, or came to it; and it left the frame."""


class Mark(NamedTuple):
    """A call, return, yield or exception of a frame.

    ``at`` counts the lines and marks of the run before it. ``value`` is what was returned, yielded or raised, None of
    another mark. ``after``, where the frame was left, are the locals that changed since its last line.
    """

    at: int
    kind: MarkKind
    value: Snapshot | None
    after: Mapping[str, Snapshot | None]


class FrameRecord:
    """The record of one frame: its code, the depth of calls, its lines with the locals that changed, and its marks.

    ``log`` is flat: the number of each line, then for each local that changed its name and its new value, which is one
    of: an immutable value; ``_items`` and the items of a list of atoms; ``_item`` with the index and the value of the
    one item that changed in such a list; a ``_Logged`` snapshot; ``_deleted``. Behind ``_left`` stand the locals that
    changed since the last line when the frame was left, and ``_end`` after them. ``marks`` are the (place in the run,
    kind, value) of its marks.
    """

    __slots__ = ("_events", "code", "depth", "log", "noted")

    def __init__(
        self, code: types.CodeType, depth: int, log: Log, noted: Sequence[tuple[int, MarkKind, object]] = ()
    ) -> None:
        self.code = code
        self.depth = depth
        self.log = log
        self.noted = noted
        self._events: tuple[Changes, list[dict[str, Snapshot | None]]] | None = None

    @property
    def is_cut(self) -> bool:
        """True if the frame ran on, or may have, after its last line here."""
        return not self.log or self.log[-1] is not _end

    @property
    def events(self) -> Changes:
        """Each line with the locals that changed before it, as snapshots; None marks a deleted local."""
        return self._read()[0]

    @property
    def marks(self) -> list[Mark]:
        """The frame's marks, in their order."""
        after = iter(self._read()[1])
        return [
            Mark(
                at,
                kind,
                value.snapshot if type(value) is _Logged else None if kind in ("call", "leave") else snapshot(value),
                {} if kind in ("call", "raise") else next(after, {}),
            )
            for at, kind, value in self.noted
        ]

    def _read(self) -> tuple[Changes, list[dict[str, Snapshot | None]]]:
        """Each line with the locals that changed before it, and those that changed before each time it was left."""
        if self._events is None:
            self._events = self._read_log()
        return self._events

    def _read_log(self) -> tuple[Changes, list[dict[str, Snapshot | None]]]:
        events: Changes = []
        left: list[dict[str, Snapshot | None]] = []
        changes: dict[str, Snapshot | None] = {}
        last: dict[str, object] = {}
        lists: dict[str, list[object]] = {}
        log = iter(self.log)
        for entry in log:
            if type(entry) is int:
                # a generator goes on with what changed before its ``yield``, as nothing else can change it
                changes = {**left[-1]} if left and changes is left[-1] else {}
                events.append((entry, changes))
                continue
            if entry is _left:
                changes = {}
                left.append(changes)
                continue
            if entry is _end or entry is _cut:
                continue
            logged = next(log)
            after: Snapshot | None
            if logged is _deleted:
                after = None
            elif logged is _items:
                lists[entry] = list(next(log))
                after = snapshot(lists[entry])
            elif logged is _item:
                index = next(log)
                lists[entry][index] = next(log)
                after = snapshot(lists[entry])
            else:
                after = logged.snapshot if type(logged) is _Logged else snapshot(logged)
            if last.get(entry, _unbound) != after:  # a variable that is assigned an equal value did not change
                last[entry] = changes[entry] = after
        if events:
            # what a function was called with, in the order of its parameters; the log has atoms first
            line, first = events[0]
            events[0] = (
                line,
                {name: first[name] for name in dict.fromkeys((*self.code.co_varnames, *first)) if name in first},
            )
        return events, left

    def names_of(self, names: frozenset[str] | None) -> frozenset[str]:
        """The variables that a record tells of: these names; where it is None, the code's own. The free variables of a
        closure are then left out: they are in the record of the function around it.
        """
        return names if names is not None else frozenset({*self.code.co_varnames, *self.code.co_cellvars})

    def as_columns(self, names: frozenset[str] | None) -> tuple[list[int], dict[str, list[str | None]]]:
        """The lines and, for each local in the order in which they were first bound, its value before each line.

        Values are texts, None where the local is not bound. ``names``: as ``names_of`` takes them.
        """
        kept = self.names_of(names)
        lines: list[int] = []
        columns: dict[str, list[str | None]] = {}
        for index, (line, changes) in enumerate(self.events):
            lines.append(line)
            for name, after in changes.items():
                if name not in kept:
                    continue
                column = columns.get(name)
                if column is None:
                    if after is None:
                        continue
                    column = columns[name] = [None] * index
                elif len(column) < index:  # nothing changed since the column was written last
                    column.extend([column[-1]] * (index - len(column)))
                column.append(None if after is None else text(after))
        for column in columns.values():
            column.extend([column[-1]] * (len(lines) - len(column)))
        return lines, columns


class Recorder:
    """Records the frames of a run.

    Args:
        is_own: tells by a file's path if its functions are recorded.
        max_depth: frames recorded on the stack at a time, wrappers aside (``wrappers``); deeper ones are left out.
        max_events: lines recorded.
        cuts: past them the run goes on, and the records end; False: EventsFull is raised in the program.
        module_names: the variables recorded in module-level frames, which hold the entire namespace otherwise.
        lines_of: gives the lines of an own file, None where they can't be read.
        focus: functions by file and first line: where there are some, the frames of no others are recorded.
        max_visits: values that snapshots look at; past them ValuesFull is raised in the program.

    Attributes:
        entries: the own frames that were entered, recorded or not, by the way in which they were.
        num_lost: the marks that could not be made, at the limit of recursion.
    """

    def __init__(
        self,
        is_own: Callable[[str], bool],
        *,
        max_depth: int,
        max_events: int,
        module_names: frozenset[str],
        cuts: bool = False,
        lines_of: Callable[[str], Sequence[str] | None] = lambda filename: None,
        focus: frozenset[tuple[str, int]] = frozenset(),
        max_visits: int = MAX_VISITS,
    ) -> None:
        self.is_own = is_own
        self._focus = focus
        self.entries = EntryCounts(lambda code: self._is_own_file(code.co_filename), lines_of)
        self.max_depth = max_depth
        self.left = max_events
        self.cuts = cuts
        self.module_names = module_names
        self._logs: list[tuple[types.CodeType, int, Log]] = []
        self._marks: list[tuple[int, int, MarkKind, object]] = []
        self._max_events = max_events
        self.num_lost = 0
        self._last_visit = visits.number + max_visits
        self.depth = 0
        self._own: dict[str, bool] = {}
        # by id, because a code object hashes all that it holds; the code is kept, so that its id stays its own
        self._followed: dict[int, tuple[types.CodeType, bool, bool, Offsets, int]] = {}
        self.trace: Tracer = self._on_call

    @property
    def frames(self) -> list[FrameRecord]:
        """The records so far, in the order of the calls; of a function's frame none without a line."""
        noted: dict[int, list[tuple[int, MarkKind, object]]] = {}
        for count, (index, lines, kind, value) in enumerate(self._marks):
            noted.setdefault(index, []).append((lines + count, kind, value))
        return [
            FrameRecord(code, depth, log, noted.get(index, ()))
            for index, (code, depth, log) in enumerate(self._logs)
            if log or code.co_name == "<module>"
        ]

    def start(self) -> None:
        """Begin to trace this thread."""
        sys.settrace(self.trace)

    def stop(self) -> None:
        """End tracing."""
        sys.settrace(None)

    def complete(self) -> bool:
        """Return True if tracing is still on: not after a caught RecursionError, nor if the snippet took it off."""
        return sys.gettrace() is self.trace

    def _on_call(self, frame: types.FrameType, event: str, argument: object) -> Tracer | None:
        """The trace function of a call: a frame that is recorded gets one of its own."""
        try:
            return self._entered(frame)
        except RecursionError:
            return None  # at the limit: this function can be called, and can't call

    def _entered(self, frame: types.FrameType) -> Tracer | None:
        code = frame.f_code
        entry = self._followed.get(identity(code))
        if entry is None:
            is_own = self._is_own_file(code.co_filename)
            is_followed = is_own and _has_statements(code) and self._is_in_focus(code)
            levels = 0 if may_be_wrapper(code) else 1
            entry = self._followed[identity(code)] = code, is_own, is_followed, Offsets.of(code), levels
        _, is_own, is_followed, offsets, levels = entry
        if is_own:
            self.entries.count(frame, self.depth >= self.max_depth)
        if not is_followed or self.depth > self.max_depth:
            return None
        if code.co_flags & CO_GENERATOR:
            # it is called at each resumption, and its record goes on then. The frame itself has the trace function: a
            # reference of ours would keep its locals alive when the generator has ended
            local = _followed_before(frame.f_trace)
            if local is None:
                if self.left < 0:
                    return None
                local = self._follow(code, offsets, levels)
            else:
                # through the function: a frame's place in the log is known to its closure alone
                local(frame, "call", None)
        elif self.left < 0:
            return None  # the records have ended, and frames are counted alone
        else:
            local = self._follow(code, offsets, levels)
        self.depth += levels
        return local

    def _is_in_focus(self, code: types.CodeType) -> bool:
        """Return True unless a session of the run would leave all calls of the function whole. Bodies of modules, and
        pieces of the program, are no functions.
        """
        is_function = code.co_flags & CO_NEWLOCALS
        return not self._focus or not is_function or (code.co_filename, code.co_firstlineno) in self._focus

    def _is_own_file(self, filename: str) -> bool:
        is_own = self._own.get(filename)
        if is_own is None:
            is_own = self._own[filename] = self.is_own(filename)
        return is_own

    def _mark(self, index: int, kind: MarkKind, value: object = None) -> None:
        """Note a mark of the frame with this index, after all lines so far."""
        self._marks.append((index, self._max_events - max(self.left, 0), kind, value))

    def _follow(self, code: types.CodeType, offsets: Offsets, levels: int) -> Tracer:
        """The trace function of one frame, which logs its lines and marks, and is so many ``levels`` of depth.

        Before each line it finds the locals that are bound to another object than before. Atoms are logged as they are.
        All others may change in place: they go to ``mutable`` with the last snapshot, and from there, lists of atoms to
        ``lists``, where their memory is watched. One closure, since it runs at every line: an object with attributes in
        place of its variables would be slower.

        Of other values than atoms, and lists and tuples of atoms, only the identity is kept: a reference of ours would
        have them die inside this function, where no event tells of the frames that their finalizers enter. An identity
        that is given to another object is no harm, as these values are compared by their snapshots at every line.
        """
        log: Log = []
        place = len(self._logs)
        self._logs.append((code, self.depth, log))
        self._mark(place, "call")
        cleanup = offsets.cleanup
        add = log.append
        seen: dict[str, object] = {}
        identities: dict[str, int] = {}
        mutable: Mutable = {}
        lists: dict[str, ListWatch] = {}
        line = start = -1
        raised_at: int | None = None  # how many lines were left when an exception came to the frame
        is_cut = False

        def local(frame: types.FrameType, event: str, argument: object) -> Any:
            nonlocal line, start, is_cut, raised_at
            if event == "line":
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
                    if not self.cuts:
                        raise EventsFull
                    is_cut, frame.f_trace_lines = True, False
                    add(_cut)
                    return frame.f_trace
                add(number)
            elif event == "return":
                self.depth -= levels
                if identities and _HAS_DICTIONARY:
                    # a dictionary that lacks a variable would change the order in which objects end
                    _ = frame.f_locals
                try:
                    self._mark(place, *offsets.leaving(frame.f_lasti, argument, raised=raised_at == self.left))
                except RecursionError:
                    self.num_lost += 1
                if is_cut:
                    return None
                add(_left)
            else:
                try:
                    if event == "call":
                        self._mark(place, "call")
                    elif not _ends_iterator(argument):
                        self._mark(place, "raise", _raised(argument))
                        raised_at = self.left
                except RecursionError:
                    self.num_lost += 1
                # This function. Naming it here would be a cycle of references, which keeps all locals alive until the
                # garbage is collected: finalizers of the program would run later than they do untraced.
                return frame.f_trace
            try:
                variables = frame.f_locals if code.co_flags & CO_OPTIMIZED else self._variables(frame)
                for name, value in variables.items():
                    if seen.get(name, _unbound) is not value:
                        kind = type(value)
                        # a metaclass of the snippet would decide how its class hashes
                        if type(kind) is type and kind in ATOMS:
                            seen[name] = value
                            add(name)
                            add(value)
                            if identities:
                                identities.pop(name, None)
                            if mutable:
                                mutable.pop(name, None)
                            if lists:
                                lists.pop(name, None)
                        elif identities.get(name) != (own := identity(value)):
                            seen[name] = _mutable
                            identities[name] = own
                            mutable[name] = None  # no snapshot yet to compare with
                            lists.pop(name, None)
                if len(seen) != len(variables):
                    for name in [name for name in seen if name not in variables]:
                        del seen[name]
                        identities.pop(name, None)
                        mutable.pop(name, None)
                        lists.pop(name, None)
                        add(name)
                        add(_deleted)
                # Most lines change no list: a comparison for each list finds that out, and saves the call.
                for watch in lists.values():
                    if watch.header.raw != watch.known_header or watch.items.raw != watch.known_items:
                        _log_lists(lists, mutable, add)
                        break
                if mutable:
                    for name in _log_mutable(variables, mutable, lists, add):
                        seen[name] = variables[name]
                        del identities[name]
                    if visits.number > self._last_visit:
                        raise ValuesFull
            except RecursionError:
                # at the limit; what was logged of this line may be half of it
                log.clear()
                is_cut, frame.f_trace_lines = True, False
            if event == "line":
                return frame.f_trace
            if not is_cut:
                add(_end)
            return None

        return local

    def _variables(self, frame: types.FrameType) -> Mapping[str, object]:
        """The variables of a module or a class body."""
        if frame.f_code.co_name == "<module>":
            variables = frame.f_globals  # 3.12's f_locals of a module with a comprehension in it lags behind
            return {name: variables[name] for name in self.module_names if name in variables}
        local = frame.f_locals
        # A metaclass's ``__prepare__`` may give a class body any mapping; copying a subclass would call its methods.
        return dict.copy(local) if isinstance(local, dict) else {}


# by its name: from 3.14 on the code of its annotations is among the constants as well
_local_code = next(each for each in Recorder._follow.__code__.co_consts if getattr(each, "co_name", "") == "local")


def _followed_before(function: Tracer | None) -> Tracer | None:
    """The trace function of a frame where ``_follow`` made it; None of another one, which the program may have set."""
    return function if type(function) is types.FunctionType and function.__code__ is _local_code else None


def _has_statements(code: types.CodeType) -> bool:
    """Return True unless the code is a lambda's or a comprehension's, expressions to the driver: it has no lines of
    theirs to compare.
    """
    return code.co_name[0] != "<" or code.co_name == "<module>"


class Offsets(NamedTuple):
    """The offsets in a code object of some instructions, which are two bytes long.

    ``cleanup``: those with which CPython 3.11 leaves a ``finally``; ``returns``, ``yields``: those that give a value.
    """

    cleanup: frozenset[int]
    returns: frozenset[int]
    yields: frozenset[int]

    @staticmethod
    def of(code: types.CodeType) -> Offsets:
        """The offsets in this code object."""
        raw = code.co_code
        cleanup, returns, yields = (
            frozenset([offset for offset in range(0, len(raw), 2) if raw[offset] in wanted])
            for wanted in (CLEANUP, _RETURNS, _YIELDS)
        )
        # and the ``RESUME`` after it, at which 3.13 says that a generator waits
        return Offsets(cleanup, returns, yields | {offset + 2 for offset in yields})

    def leaving(self, offset: int, value: object, *, raised: bool) -> tuple[MarkKind, object]:
        """The kind of mark, and its value, of a frame that is left at this instruction.

        The event is the same for a frame that returns, that yields, and that an exception leaves; ``raised``: one came
        to the frame since its last line, which a generator may get at its ``yield``.
        """
        if offset in self.returns:
            return "return", _kept(value)
        if offset in self.yields and not raised:
            return "yield", _kept(value)
        return "leave", None


def _ends_iterator(raised: object) -> bool:
    """Return True if what was raised is the end of an iterator in a ``for`` or a ``yield from``, which is told as an
    exception too. It has no traceback, which one that the program sees has.
    """
    return type(raised) is tuple and raised[0] is StopIteration and raised[2] is None


def _kept(value: object) -> object:
    """A value as it is if it is an atom, else a snapshot of it."""
    kind = type(value)
    # a metaclass of the snippet would decide how its class hashes
    return value if type(kind) is type and kind in ATOMS else _Logged(snapshot(value))


def _raised(argument: object) -> _Logged:
    """The exception of an event: its type and its arguments."""
    error = argument[1] if type(argument) is tuple and len(argument) == 3 else None
    return _Logged(exception_text(error) if isinstance(error, BaseException) else "")


def _log_mutable(variables: Mapping[str, object], mutable: Mutable, lists: dict[str, ListWatch], add: Add) -> list[str]:
    """Log the variables in ``mutable`` whose snapshot differs from the last one.

    Returns:
        Those that need no snapshot, which leave ``mutable``: a list of atoms is watched from now on, a tuple of atoms
        can't change.
    """
    settled: list[str] = []
    for name, before in mutable.items():
        value = variables[name]
        if type(before) is _Unchanged:
            if before.holds(value):
                continue
            before = before.shot
        if before is None and type(value) is list and len(value) <= LARGE and all_atoms(value):
            settled.append(name)
            watch = lists[name] = ListWatch(value)
            add(name)
            add(_items)
            add(tuple(watch.copy))
        elif before is None and type(value) is tuple and len(value) <= LARGE and all_atoms(value):
            settled.append(name)
            add(name)
            add(value)
        else:
            after = snapshot(value)
            if after != before:
                mutable[name] = after
                add(name)
                add(_Logged(after))
            elif (type(value) is dict or type(value) is set) and FEW < len(value) <= LARGE:
                mutable[name] = _Unchanged.of(value, after) or after
    for name in settled:
        del mutable[name]
    return settled


class _Unchanged:
    """A dictionary or set of atoms that did not change from one line to the next, as long as it holds the same objects.

    They are kept, so that none of their identities becomes another object's; atoms have no end that a program sees.
    """

    __slots__ = ("_identities", "_kept", "shot")

    def __init__(self, shot: Snapshot, kept: list[object]) -> None:
        self.shot = shot
        self._kept = kept
        self._identities = [*map(identity, kept)]

    @classmethod
    def of(cls, value: dict[object, object] | set[object], shot: Snapshot) -> _Unchanged | None:
        """The value with its snapshot; None where it holds others than atoms, which may change by themselves."""
        kept = _held(value)
        return cls(shot, kept) if all_atoms(kept) else None

    def holds(self, value: object) -> bool:
        """Return True if a dictionary or set holds the same objects in the same order."""
        if type(value) is not dict and type(value) is not set:
            return False
        return [*map(identity, _held(value))] == self._identities


def _held(value: dict[object, object] | set[object]) -> list[object]:
    return [*value, *value.values()] if type(value) is dict else [*value]


Mutable = dict[str, Snapshot | _Unchanged | None]
"""Variables that may change in place, each with its last snapshot; None before the first."""


def _log_lists(lists: dict[str, ListWatch], mutable: Mutable, add: Add) -> None:
    """Log the lists that changed; one that can't be watched any longer is left to ``_log_mutable``."""
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
