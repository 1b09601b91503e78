"""The ways in which a program's own frames were entered: what opens a frame, or a reason for leaving it unopened.

``sys.settrace`` has a call event for each frame that begins and each generator that is resumed. The recorder counts
them all here, followed or not, so that frames which no session shows are counted as well. The way is found by the
entered code (a lambda, a generator, a special method) and by the instruction of the frame that was running before.
Entries at one instruction are entered in one way, so that each way is worked out once.

Not seen: frames of other threads, and comprehensions from CPython 3.12 on, which have no frame.
"""

from __future__ import annotations

import ast
import builtins
import opcode
import types
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from trace_mine.tracer.inside.draws.c_functions import is_function_of_c
from trace_mine.tracer.inside.observe.describe import HEAP_TYPE, attributes, class_dict, class_flags, class_mro
from trace_mine.tracer.inside.observe.identity import identity
from trace_mine.tracer.inside.program import CO_COROUTINES, CO_GENERATOR
from trace_mine.tracer.inside.reasons import Reason

CO_OPTIMIZED = 0x1
"""The flag of code whose locals are fast ones: functions, but not modules and class bodies."""
CO_ASYNC = CO_COROUTINES | 0x100
"""The flags of coroutines, of whichever kind."""

_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})
_CONTEXTS = frozenset({"__enter__", "__exit__"})
_CALLED = frozenset({"__init__", "__new__", "__call__"})
"""Special methods that a call enters."""
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR", "LOAD_SUPER_ATTR"})
_ASKS_ATTRIBUTE = frozenset({"getattr", "setattr", "hasattr", "delattr"})
_DEEPENED = frozenset(
    {Reason.WITHIN_COMMAND, Reason.OPERATOR, Reason.PROPERTY, Reason.CONTEXT_MANAGER, Reason.GENERATOR}
)
"""Ways that the depth of calls stands before: a deeper one could be opened if its depth were followed."""

_missing = object()


class _Entry:
    """The number of entries of one code by one instruction; ``before`` is the code that the instruction is of."""

    __slots__ = ("before", "code", "number", "way")

    def __init__(self, code: types.CodeType, before: types.CodeType | None, way: Reason) -> None:
        self.code = code
        self.before = before
        self.way = way
        self.number = 0


class EntryCounts:
    """Counts the entries of own frames by code and way.

    Args:
        is_own: tells by a code object if its functions are the program's own.
        lines_of: gives the lines of a file, None where it has none; bytes offsets of positions count in them.
    """

    def __init__(
        self, is_own: Callable[[types.CodeType], bool], lines_of: Callable[[str], Sequence[str] | None]
    ) -> None:
        self._is_own = is_own
        self._lines_of = lines_of
        # by identities, because a code object hashes all that it holds; the code is kept, so that its id stays its own
        self._entries: dict[tuple[int, int, int, bool], _Entry] = {}

    def count(self, frame: types.FrameType, is_deep: bool) -> None:
        """Count the entry of an own frame; ``is_deep``: it lies deeper than calls are followed."""
        code, before = frame.f_code, frame.f_back
        key = (
            (identity(code), 0, 0, is_deep)
            if before is None
            else (identity(code), identity(before.f_code), before.f_lasti, is_deep)
        )
        entry = self._entries.get(key)
        if entry is None:
            way = self._way(code, before)
            if is_deep and way in _DEEPENED:
                way = Reason.DEEPER
            entry = self._entries[key] = _Entry(code, None if before is None else before.f_code, way)
        entry.number += 1

    def totals(self) -> Iterator[tuple[types.CodeType, Reason, int]]:
        """Yield each code object with a way and the number of its entries that way; bodies of modules and own pieces
        of the program are among them.
        """
        for entry in self._entries.values():
            yield entry.code, entry.way, entry.number

    def _way(self, code: types.CodeType, before: types.FrameType | None) -> Reason:
        """The way of the entry that happens now, by the first rule that applies."""
        by_code = _way_of_code(code)
        if by_code is not None:
            return by_code
        is_special = code.co_name[:2] == code.co_name[-2:] == "__"
        if before is None or not self._is_own(before.f_code):
            return Reason.OPERATOR if is_special and code.co_name not in _CALLED else Reason.CALLBACK
        instruction, offset = _instruction(before)
        if instruction in _ATTRIBUTES:
            return Reason.PROPERTY
        if not instruction.startswith("CALL"):
            return Reason.OPERATOR
        if code.co_name in _CALLED:
            return Reason.WITHIN_COMMAND
        return self._way_of_call(code, before, offset, is_special)

    def _way_of_call(self, code: types.CodeType, before: types.FrameType, offset: int, is_special: bool) -> Reason:
        """The way of an entry at a call: the function that is called, or one that a called built-in calls back."""
        called = self._called(before, offset)
        if called is None:
            return Reason.OPERATOR if is_special else Reason.WITHIN_COMMAND
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name == code.co_name:
            return Reason.WITHIN_COMMAND
        if is_special:
            return Reason.OPERATOR  # ``len(x)``, ``sorted(xs)``
        if name in _ASKS_ATTRIBUTE:
            return Reason.PROPERTY
        return Reason.CALLBACK if self._is_foreign(_value(called, before)) else Reason.WITHIN_COMMAND

    def _is_foreign(self, value: object) -> bool:
        """Return True if a called value is C code, or a function that is not the program's own."""
        if isinstance(value, types.FunctionType):
            return not self._is_own(value.__code__)
        if isinstance(value, type):
            return not class_flags(value) & HEAP_TYPE
        # descriptors of C types, as ``list.sort`` is found to be
        descriptors = (types.BuiltinFunctionType, types.MethodDescriptorType, types.ClassMethodDescriptorType)
        return isinstance(value, descriptors) or is_function_of_c(value)

    def _called(self, frame: types.FrameType, offset: int) -> ast.expr | None:
        """The function's expression in the call that runs now; None where the source does not say."""
        positions = list(frame.f_code.co_positions())[offset // 2]
        lines = self._lines_of(frame.f_code.co_filename)
        first, last, start, end = positions
        if lines is None or first is None or last is None or start is None or end is None or last > len(lines):
            return None
        text = [line.encode("utf-8", "surrogatepass") for line in lines[first - 1 : last]]
        text[-1] = text[-1][:end]  # first, as both may be one line
        text[0] = text[0][start:]
        try:
            node = ast.parse(b"(" + b"\n".join(text) + b")", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        return node.func if isinstance(node, ast.Call) else None


def _way_of_code(code: types.CodeType) -> Reason | None:
    """The way of entry that the code alone tells; None where the instruction has to say."""
    flags, name = code.co_flags, code.co_name
    if flags & CO_ASYNC:
        return Reason.ASYNC
    if name == "<module>":
        return Reason.MODULE_BODY
    if not flags & CO_OPTIMIZED:
        return Reason.CLASS_BODY
    if name in _COMPREHENSIONS:
        return Reason.COMPREHENSION
    if flags & CO_GENERATOR:
        return Reason.GENERATOR
    if name == "<lambda>":
        return Reason.LAMBDA
    return Reason.CONTEXT_MANAGER if name in _CONTEXTS else None


def _instruction(frame: types.FrameType) -> tuple[str, int]:
    """The name and offset of the instruction that runs in a frame; the last one may be named by its cache entries."""
    raw, offset = frame.f_code.co_code, frame.f_lasti
    while offset > 0 and raw[offset] == 0:  # CACHE is 0 in every version
        offset -= 2
    return opcode.opname[raw[offset]], offset


def _value(node: ast.expr, frame: types.FrameType) -> object:
    """The value of a name or dotted name in a frame by look-ups that run nothing of the snippet, as far as they go."""
    if isinstance(node, ast.Name):
        code = frame.f_code
        is_local = not code.co_flags & CO_OPTIMIZED or node.id in (
            *code.co_varnames,
            *code.co_cellvars,
            *code.co_freevars,
        )
        value = _looked_up(frame.f_locals, node.id) if is_local else _missing
        if value is _missing:
            value = _looked_up(frame.f_globals, node.id)
        return vars(builtins).get(node.id, _missing) if value is _missing else value
    if not isinstance(node, ast.Attribute):
        return _missing
    base = _value(node.value, frame)
    if base is _missing:
        return _missing
    if type(base) is types.ModuleType:
        return vars(base).get(node.attr, _missing)
    if not isinstance(base, type):
        own = attributes(base)
        if node.attr in own:
            return own[node.attr]
    for kind in class_mro(base if isinstance(base, type) else type(base)):
        member = class_dict(kind).get(node.attr, _missing)
        if member is not _missing:
            return member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
    return _missing


def _looked_up(variables: object, name: str) -> object:
    """A variable of a frame; a class body's namespace may be a mapping of the snippet's own, which is not asked."""
    if type(variables) is dict:
        return variables.get(name, _missing)
    if type(variables).__name__ == "FrameLocalsProxy":  # from 3.13 on, of functions
        return cast("dict[str, object]", variables).get(name, _missing)
    return _missing
