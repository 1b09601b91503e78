"""Chooses the expressions that show a variable which a command wrote. Their evaluation runs no code of the snippet.

Plain values are shown in full. Long ones become other expressions (``len(x)``, ``x[:3]``) and never cut text: a value
that is cut can look equal to another one. Objects of the repository's own classes are shown by the fields that changed.
Values that can't be shown safely, or would look different in another process, are left out.
"""

from __future__ import annotations

import ast
import enum
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from trace_mine.tracer.inside.observe import arrays, values
from trace_mine.tracer.inside.observe.describe import (
    ATOMS,
    LIBRARY_REPR,
    class_dict,
    class_mro,
    is_plain_member,
    plain_access,
)
from trace_mine.tracer.inside.observe.identity import identity
from trace_mine.tracer.inside.syntax.parsed import read_tree
from trace_mine.tracer.inside.syntax.text import is_literal

LONGEST_VALUE = 160
"""Characters of a value that is shown in full: more would fill a session of short commands with data."""
NOT_STATE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, types.MethodType)
"""Types of values that are no part of a program's state: what defines it rather than what it holds."""
_IMMUTABLE = frozenset({*ATOMS, *(LIBRARY_REPR - {bytearray}), tuple, frozenset})
"""Types whose values CPython may share by itself: that two variables hold one object says nothing there."""


class Showing(NamedTuple):
    """An expression that shows something.

    Attributes:
        source: the expression.
        place: what it shows, the same for all names of one object; valid while the object lives.
    """

    source: str
    place: tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The value that a command assigns to names and fields, as its text has it.

    Attributes:
        names: the variables that are bound to it.
        fields: the fields (``self.items``) that are.
        value: its expression; None where the command is no assignment.
    """

    names: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    value: ast.expr | None = None

    @property
    def is_spelt(self) -> bool:
        """True if the text spells the value (``x = 3``)."""
        return self.value is not None and is_literal(self.value)

    @property
    def other(self) -> str | None:
        """The variable or field whose value it is (``x = y.z``); None where it is another expression."""
        inner = self.value
        while isinstance(inner, ast.Attribute):
            inner = inner.value
        return ast.unparse(self.value) if self.value is not None and isinstance(inner, ast.Name) else None


class Reveals:
    """Chooses reveals, and remembers the fields of objects, so that only those that changed are shown."""

    # Any: values of the program, whose type decides how they are shown
    def __init__(self, namespace: dict[str, Any], is_own: Callable[[str], bool]) -> None:
        self.namespace = namespace
        self.is_own = is_own
        self._fields: dict[str, dict[str, tuple[bytes | str, dict[str, bytes | str]]]] = {}
        self._own_classes: dict[int, tuple[type, bool]] = {}

    def forget(self, name: str) -> None:
        """Forget the fields of a variable that is gone."""
        self._fields.pop(name, None)

    def sources(self, name: str, spelt: bool) -> list[Showing]:
        """The expressions that show the variable; none where nothing has to be shown, or can be.

        ``spelt``: the command spells the value (``x = 1``), so that a plain one is not shown again.
        """
        value = self.namespace[name]
        if value is None:  # an echo shows nothing of None
            return [] if spelt else [Showing(f"{name} is None", (0, name))]
        if values.stable(value):
            if spelt:
                return []
            if len(repr(value)) <= LONGEST_VALUE:
                return [Showing(name, _place_of(value, 0, name))]
            # A variable of the program named ``len`` would be called instead.
            if not hasattr(value, "__len__") or self.namespace.get("len", len) is not len:
                return []
            # len and slices of exact built-in types run no code of the snippet, and say something true of the value
            sliced = isinstance(value, (str, bytes, list, tuple))
            number, owner = _place_of(value, 0, name)
            length = Showing(f"len({name})", (number, f"len {owner}"))
            return [length, Showing(f"{name}[:3]", (number, f"[:3] {owner}"))] if sliced else [length]
        if is_plain_member(value):
            return [Showing(name, (0, name))]
        shown = arrays.shown_by(name, value)
        if shown is None:
            return self._changed_fields(name, value)
        return [Showing(source, (identity(value), source.replace(name, "", 1))) for source in shown]

    def is_assigned(self, path: str, command: Assigned) -> bool:
        """Return True if a variable or field holds what the command's text says: no method of the class took it."""
        held = self._held(path)
        if command.other is not None:
            return held is self._held(command.other)
        return command.value is not None and values.snapshot(held) == values.snapshot(ast.literal_eval(command.value))

    def has_other_name(self, name: str) -> bool:
        """Return True if another variable whose fields were shown holds the same object."""
        held = self.namespace[name]
        return any(each != name and self.namespace.get(each, _NOTHING) is held for each in self._fields)

    def hold_one(self, paths: Iterable[str]) -> bool:
        """Return True if all these variables and fields hold one object."""
        return len({identity(self._held(path)) for path in paths}) == 1

    def _held(self, path: str) -> object:
        """The object that a variable or a field (``self.items``) holds; one of our own where there is none."""
        root, *keys = path.split(".")
        held = self.namespace.get(root, _NOTHING)
        for key in keys:
            held = values.attributes(held).get(key, _NOTHING)
        return held

    def _is_own_class(self, kind: type) -> bool:
        """Return True if the class is the repository's or the session's. The fields of a library's class are details of
        the library, and may differ between its versions.
        """
        entry = self._own_classes.get(identity(kind))
        if entry is None:
            home = class_dict(kind).get("__module__")
            file = getattr(sys.modules.get(home), "__file__", None) if type(home) is str else None
            own = home == self.namespace.get("__name__") or (type(file) is str and self.is_own(file))
            entry = self._own_classes[identity(kind)] = kind, own
        return entry[1]

    def _changed_fields(self, name: str, value: object) -> list[Showing]:
        """Expressions that show the fields of an object that changed since it was shown under this name."""
        if not self._has_own_fields(value):
            return []
        before = self._fields.get(name, {})
        after: dict[str, tuple[bytes | str, dict[str, bytes | str]]] = {}
        changed: list[Showing] = []
        for key, field in self._own_fields(value):
            # Remembered even where it can't be shown: it may become a value that can.
            shot = values.snapshot(field)
            known = before.get(key)
            if known is not None and known[0] == shot:
                after[key] = known  # what lies in it is a part of its snapshot
                continue
            changed += _shown_field(f"{name}.{key}", value, key, field)
            inner: dict[str, bytes | str] = {}
            if self._has_own_fields(field):
                for inner_key, held in self._own_fields(field):
                    inner[inner_key] = values.snapshot(held)
                    # only what changed: an object that was put there was shown where it was made
                    if known is not None and known[1].get(inner_key, inner[inner_key]) != inner[inner_key]:
                        changed += _shown_field(f"{name}.{key}.{inner_key}", field, inner_key, held)
            after[key] = shot, inner
        self._fields[name] = after
        return changed

    def _has_own_fields(self, value: object) -> bool:
        """Return True if the value is an instance of the program's own class, and its fields can be read safely."""
        kind = type(value)
        return not issubclass(kind, (*NOT_STATE, enum.Enum)) and self._is_own_class(kind) and plain_access(kind)

    def _own_fields(self, value: object) -> list[tuple[str, object]]:
        """The fields that an expression can name without running the program's code."""
        kind = type(value)
        return [
            (key, field)
            for key, field in values.attributes(value).items()
            # ``__name`` would be mangled, or is Python's own
            if key.isidentifier() and not key.startswith("__") and not is_property(kind, key)
        ]


def _shown_field(path: str, owner: object, key: str, field: object) -> list[Showing]:
    """The expression that shows a field of an object; none where it can't be shown."""
    if field is None:
        return [Showing(f"{path} is None", (identity(owner), key))]
    if values.stable(field):
        return [Showing(path, _place_of(field, identity(owner), key))]
    return [Showing(path, (identity(owner), key))] if is_plain_member(field) else []


def _place_of(value: object, owner: int, name: str) -> tuple[int, str]:
    """What a plain value is known by: itself, or the place that holds it where it can't change."""
    return (owner, name) if type(value) in _IMMUTABLE else (identity(value), "")


def is_property(kind: type, name: str) -> bool:
    """Return True if reading the attribute runs a descriptor of the class, which may be the snippet's code.

    Python asks descriptors with ``__set__`` before the instance's dictionary; those of slots are C code.
    """
    for base in class_mro(kind):
        if name in class_dict(base):
            member = class_dict(base)[name]
            return type(member) is not types.MemberDescriptorType and hasattr(type(member), "__set__")
    return False


_NOTHING = Assigned()


def assigned(source: str) -> Assigned:
    """What a command assigns, where it is one assignment and no more."""
    if "=" not in source:
        return _NOTHING  # half of all commands need no parse
    tree = read_tree(source)
    if tree is None or len(tree.body) != 1:
        return _NOTHING
    statement = tree.body[0]
    targets: list[ast.expr]
    if isinstance(statement, ast.AnnAssign):
        targets, value = [statement.target], statement.value
    elif isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    else:
        return _NOTHING
    if value is None:
        return _NOTHING  # ``x: int`` alone
    return Assigned(
        names=tuple(target.id for target in targets if isinstance(target, ast.Name)),
        fields=tuple(ast.unparse(target) for target in targets if isinstance(target, ast.Attribute)),
        value=value,
    )
