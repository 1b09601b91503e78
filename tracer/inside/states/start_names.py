"""Names that are bound as they were at the start take no bytes of a state.

What can't change in itself (numbers, texts, functions of modules) and is bound as it was has none: of a module's 200
names a session binds ten anew, and each name costs two calls of a function in Python.
"""

from __future__ import annotations

import types
from collections.abc import Iterable

from trace_mine.tracer.inside.states.attributes import ATOMS
from trace_mine.tracer.inside.states.own_code import OwnCode

Namespace = dict[str, object]
Changed = tuple[Namespace, tuple[str, ...]]
"""Values that are not what the start has, and the names of those of the start that are gone."""

_EQUAL = frozenset((int, str, bytes, bool))
"""Types whose equal values are one value: of floats ``0.0`` and ``-0.0`` are equal."""
_absent = object()


class StartNames:
    """How the names of a namespace or a module were bound at the start.

    Args:
        values: what they were bound to; empty as long as nothing is known of the start.
        namespace: that of the session, whose functions may change.
        code: tells classes that may change, and constants.
    """

    def __init__(self, values: Namespace, namespace: Namespace, code: OwnCode) -> None:
        self.values = values
        self._namespace = namespace
        self._code = code
        self._constants = code.constants
        self._fixed = {name: value for name, value in values.items() if self._is_fixed(value)}

    def compacted(self, values: Namespace) -> Changed:
        """The values that differ from those of the start that can't change, and the names of these that are gone."""
        fixed = self._fixed
        changed = {
            name: value
            for name, value in values.items()
            if (first := fixed.get(name, _absent)) is not value and not self._is_same(first, value)
        }
        kept = len(values) - len(changed)
        return changed, () if kept == len(fixed) else tuple([name for name in fixed if name not in values])

    def expanded(self, changed: Namespace, gone: Iterable[str]) -> Namespace:
        """The values that ``compacted`` was given, in the order in which they stood at the start."""
        fixed, missing = self._fixed, frozenset(gone)
        values: Namespace = {}
        for name in self.values:
            if name in changed:
                values[name] = changed[name]
            elif name in fixed and name not in missing:
                values[name] = fixed[name]
        values.update(changed)
        return values

    def _is_same(self, first: object, value: object) -> bool:
        """Return True if a number or text is an equal one, and nobody tells the two apart by identity."""
        kind = type(value)
        if kind is not type(first) or kind not in _EQUAL or id(first) in self._constants:
            return False
        return bool(first == value) and id(value) not in self._constants

    def _is_fixed(self, value: object) -> bool:
        """Return True if nothing can change in a value: it is a number or a text, or stands for itself in snapshots."""
        kind = type(value)
        if kind is types.FunctionType:
            return value.__globals__ is not self._namespace  # type: ignore[attr-defined]
        if kind is types.BuiltinFunctionType:
            return isinstance(value.__self__, types.ModuleType | None)  # type: ignore[attr-defined]
        return kind in ATOMS or (kind is type and not self._code.is_own_class(value))  # type: ignore[arg-type]
