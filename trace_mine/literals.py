"""Values as source text, without running any of the values' own code.

A value is spelt by its exact type. A subclass of a built-in type is refused: its ``__repr__`` or ``__iter__`` would run
code of the caller's in this process, and its literal would be a value of another type.
"""

from __future__ import annotations

import math
from typing import cast

ATOMS = (int, bool, str, bytes, type(None), type(Ellipsis), range)
"""Types whose ``repr`` is their literal, and is C code."""
MUTABLE = (list, dict, set)


class NotLiteralError(ValueError):
    """A value can't be written as source text; the message says which one."""


class Speller:
    """Spells the values of one program. ``seen`` holds the ids of the mutable objects that were spelt so far, which the
    caller must keep alive.

    >>> Speller().spell([1, ("a", None), {"k": {2}}])
    "[1, ('a', None), {'k': {2}}]"
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def spell(self, value: object) -> str:
        """Return the source of an expression that evaluates to an equal value of the same type.

        Raises:
            NotLiteralError: the value holds something else than values of built-in types, or a list, dict or set that
                was spelt before: two literals would be two objects, where the program has one.
        """
        # `type` and `is`, never isinstance: a subclass must not pass for the built-in type.
        kind = type(value)
        if kind in ATOMS:
            return repr(value)
        if kind is float:
            return _float(cast(float, value))
        if kind is complex:
            number = cast(complex, value)
            return f"complex({_float(number.real)}, {_float(number.imag)})"  # repr((-0.0+1j)) loses the sign
        return self._container(value)

    def _container(self, value: object) -> str:
        kind = type(value)
        if kind in MUTABLE:
            if id(value) in self.seen:
                raise NotLiteralError(f"one {kind.__name__} in two places, where a literal would make two of it")
            self.seen.add(id(value))
        if kind is tuple:
            parts = [self.spell(item) for item in cast(tuple[object, ...], value)]
            return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
        if kind is list:
            return f"[{', '.join(self.spell(item) for item in cast(list[object], value))}]"
        if kind is set or kind is frozenset:
            return self._set(cast(frozenset[object], value), kind.__name__)
        if kind is dict:
            items = cast(dict[object, object], value).items()
            return f"{{{', '.join(f'{self.spell(key)}: {self.spell(item)}' for key, item in items)}}}"
        raise NotLiteralError(f"a {kind.__module__}.{kind.__qualname__}")

    def _set(self, items: frozenset[object], type_name: str) -> str:
        # Sorted by their source: the order of a set hangs on the hash seed, and one call must have one text.
        parts = sorted(self.spell(item) for item in items)
        inside = f"{{{', '.join(parts)}}}" if parts else ""
        return inside if parts and type_name == "set" else f"{type_name}({inside})"  # {} is a dict


def _float(value: float) -> str:
    """Return ``repr``, or a call for infinities and NaN, which have no literal."""
    return repr(value) if math.isfinite(value) else f"float('{value}')"
