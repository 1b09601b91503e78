"""What to show of a variable that a command wrote: expressions whose evaluation runs nothing of the snippet's.

Plain values are shown whole, long ones by their length and beginning, objects of the repository's own classes by the
fields that changed. What can't be shown safely, or would differ elsewhere, is left out.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.describe import class_dict, class_mro, plain_access
from trace_mine.tracer.inside.syntax.text import is_literal

LONGEST_VALUE = 160
NOT_STATE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, types.MethodType)
"""Types of values that are no part of a program's state: what defines it rather than what it holds."""


class Reveals:
    """Remembers the fields of objects, so that only those that changed are shown."""

    def __init__(self, namespace: dict[str, Any], is_own: Callable[[str], bool]) -> None:
        self.namespace = namespace
        self.is_own = is_own
        self._fields: dict[str, dict[str, bytes | str]] = {}
        self._own_classes: dict[int, tuple[type, bool]] = {}

    def forget(self, name: str) -> None:
        """The variable is gone."""
        self._fields.pop(name, None)

    def sources(self, name: str, spelt: bool) -> list[str]:
        """Expressions that show the variable; ``spelt`` says that the command spells its value."""
        value = self.namespace[name]
        if value is None:
            return [] if spelt else [f"{name} is None"]
        if values.stable(value):
            if spelt:
                return []
            if len(repr(value)) <= LONGEST_VALUE:
                return [name]
            if not hasattr(value, "__len__") or self.namespace.get("len", len) is not len:
                return []
            sliced = isinstance(value, (str, bytes, list, tuple))
            return [f"len({name})", f"{name}[:3]"] if sliced else [f"len({name})"]
        return self._changed_fields(name, value)

    def _is_own_class(self, kind: type) -> bool:
        """True if the class is the repository's or the session's: a library's fields are its own business."""
        known = self._own_classes.get(id(kind))
        if known is None:
            home = class_dict(kind).get("__module__")
            file = getattr(sys.modules.get(home), "__file__", None) if type(home) is str else None
            own = home == self.namespace.get("__name__") or (type(file) is str and self.is_own(file))
            known = self._own_classes[id(kind)] = kind, own
        return known[1]

    def _changed_fields(self, name: str, value: Any) -> list[str]:
        kind = type(value)
        if issubclass(kind, NOT_STATE) or not self._is_own_class(kind) or not plain_access(kind):
            return []
        before = self._fields.get(name, {})
        after: dict[str, bytes | str] = {}
        changed: list[str] = []
        for key, field in values.attributes(value).items():
            if not key.isidentifier() or key.startswith("__"):
                continue
            if _is_property(kind, key):
                continue  # a property of that name would run the snippet's code
            after[key] = values.snapshot(field)
            if before.get(key) != after[key] and values.stable(field):
                changed.append(f"{name}.{key} is None" if field is None else f"{name}.{key}")
        self._fields[name] = after
        return changed


def _is_property(kind: type, name: str) -> bool:
    """True if reading the attribute runs a descriptor of the class instead of showing the instance's own value."""
    for base in class_mro(kind):
        if name in class_dict(base):
            member = class_dict(base)[name]
            return type(member) is not types.MemberDescriptorType and hasattr(type(member), "__set__")
    return False


def spelt_and_aliased(source: str) -> tuple[set[str], set[str]]:
    """Names whose value the command itself spells out, and names that it makes mean what another name means."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return set(), set()
    if len(body) != 1 or not isinstance(body[0], ast.Assign):
        return set(), set()
    targets = {target.id for target in body[0].targets if isinstance(target, ast.Name)}
    value = body[0].value
    return (targets if is_literal(value) else set()), (targets if isinstance(value, ast.Name) else set())
