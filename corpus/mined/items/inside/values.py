"""The values of parameters as source text: literals, names of the test's module, what can be imported, a few others."""

from __future__ import annotations

import builtins
import datetime
import decimal
import enum
import fractions
import functools
import math
import re
import sys
import types
from collections.abc import Callable, Mapping

from trace_mine_items.lambdas import lambda_of
from trace_mine_items.sources import imports_for

MAX_DEPTH = 8
MAX_TEXT = 2_000
"""Characters of one parameter; a longer one is a table that no reader of a session would follow."""


class Speller:
    """Spells values for a session that runs in a namespace.

    Args:
        namespace: the globals of the test's module, whose names the texts may use.

    Attributes:
        modules: the modules that texts spelt so far name, which the session must import.
        imports: commands that import what else they name.
    """

    def __init__(self, namespace: Mapping[str, object]) -> None:
        self._by_identity = {
            id(value): name
            for name, value in namespace.items()
            if isinstance(name, str) and name.isidentifier() and not name.startswith(("__", "@"))
        }
        self._namespace = namespace
        self.modules: set[str] = set()
        self.imports: list[str] = []

    def spell(self, value: object) -> str | None:
        """Return an expression whose value is like the value; None where there is none that is known to be."""
        text = self._spelt(value, 0)
        return text if text is not None and len(text) <= MAX_TEXT else None

    def _spelt(self, value: object, depth: int) -> str | None:
        if depth > MAX_DEPTH:
            return None
        kind = type(value)
        if kind in (int, bool, str, bytes, type(None), type(Ellipsis)):
            return repr(value)
        if kind in (float, complex):
            return _number(value)
        # one that can change is the same object for all who name it
        if kind in (list, dict, set) and (name := self._name_of(value)) is not None:
            return name
        if isinstance(value, (list, tuple, set, frozenset)) and kind in (list, tuple, set, frozenset):
            return self._collection(value, depth)
        if kind is dict:
            pairs = [(self._spelt(key, depth + 1), self._spelt(item, depth + 1)) for key, item in value.items()]  # type: ignore[attr-defined]
            if any(key is None or item is None for key, item in pairs):
                return None
            return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
        return self._named(value, depth) or self._repeated(value)

    def _collection(
        self, value: list[object] | tuple[object, ...] | set[object] | frozenset[object], depth: int
    ) -> str | None:
        kind = type(value)
        # a set's order differs from run to run, and the session must not
        items = sorted(value, key=repr) if kind in (set, frozenset) else [*value]
        parts = [self._spelt(item, depth + 1) for item in items]
        if None in parts:
            return None
        inner = ", ".join(part for part in parts if part is not None)
        if kind is list:
            return f"[{inner}]"
        if kind is tuple:
            return f"({inner},)" if len(parts) == 1 else f"({inner})"
        if kind is set and parts:
            return "{" + inner + "}"
        return f"{kind.__name__}([{inner}])" if parts else f"{kind.__name__}()"

    def _named(self, value: object, depth: int) -> str | None:
        """A value by a name: of the test's module, of another module, a member of an enumeration."""
        if (name := self._name_of(value)) is not None:
            return name
        if type(value) is types.ModuleType:
            return self.module(value.__name__) if sys.modules.get(value.__name__) is value else None
        if isinstance(value, enum.Enum) and isinstance(value.name, str) and value.name.isidentifier():
            owner = self._spelt(type(value), depth + 1)
            return None if owner is None else f"{owner}.{value.name}"
        if isinstance(value, types.FunctionType) and value.__name__ == "<lambda>":
            return self._lambda(value, depth)
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return self._imported(value)
        return None

    def _lambda(self, value: types.FunctionType, depth: int) -> str | None:
        """A function without a name by its expression, with the values that it closes over as arguments around it."""
        written = lambda_of(value)
        text = None if written is None else written[0].segment(written[1])
        if written is None or text is None:
            return None
        names = value.__code__.co_freevars
        cells = [self._spelt(cell.cell_contents, depth + 1) for cell in value.__closure__ or ()]
        imports = imports_for(text, value.__module__, self._namespace, without=names)
        if imports is None or None in cells:
            return None
        self.imports += imports
        given = ", ".join(cell for cell in cells if cell is not None)
        return f"(lambda {', '.join(names)}: {text})({given})" if names else text

    def _name_of(self, value: object) -> str | None:
        name = self._by_identity.get(id(value))
        return name if name is not None and self._namespace.get(name) is value else None

    def _imported(self, value: Callable[..., object]) -> str | None:
        module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(path, str) or "<" in path:
            return None
        if module == "builtins":
            return path if getattr(builtins, path, None) is value else None
        try:
            current: object = functools.reduce(getattr, path.split("."), sys.modules.get(module))
        except AttributeError:
            return None
        if current is not value or module == "__main__":
            return None
        name = self.module(module)
        return None if name is None else f"{name}.{path}"

    def module(self, name: str) -> str | None:
        """Return the name of a module, which the session imports; None where the name means something else there."""
        root = name.partition(".")[0]
        if self._namespace.get(root, sys.modules.get(root)) is not sys.modules.get(root):
            return None
        self.modules.add(name)
        return name

    def _repeated(self, value: object) -> str | None:
        """A value of the standard library whose ``repr`` makes it again."""
        if type(value) is re.Pattern:
            module = self.module("re")
            return None if module is None else f"{module}.compile({value.pattern!r}, {value.flags})"
        if type(value) not in _REPRS:
            return None
        module = _REPRS[type(value)]
        text = repr(value)
        try:
            # the value's class is one of ``_REPRS`` itself, so this runs no code of the repository
            again = eval(text, {"datetime": datetime, "Decimal": decimal.Decimal, "Fraction": fractions.Fraction})
        except (SyntaxError, NameError, TypeError, ValueError):
            return None
        if type(again) is not type(value) or again != value:
            return None
        if not module:
            return text
        if self.module(module) is None:
            return None
        return text if text.startswith(f"{module}.") else f"{module}.{text}"


_REPRS: dict[type, str] = {
    datetime.date: "datetime",
    datetime.datetime: "datetime",
    datetime.time: "datetime",
    datetime.timedelta: "datetime",
    datetime.timezone: "datetime",
    decimal.Decimal: "decimal",
    fractions.Fraction: "fractions",
    range: "",
    slice: "",
    bytearray: "",
}


def _number(value: object) -> str | None:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    assert isinstance(value, complex)
    return repr(value) if math.isfinite(value.real) and math.isfinite(value.imag) else None
