"""Values as source text, without running any code of theirs: built-in types alone, told by their exact type."""

from __future__ import annotations

import math

ATOMS = (int, bool, str, bytes, type(None), type(Ellipsis))


class NotLiteralError(ValueError):
    """A value that no source text spells; the message says which."""


class Speller:
    """Spells values of one program; ``seen`` are the mutable objects that they hold.

    >>> Speller().spell([1, ("a", None), {"k": {2}}])
    "[1, ('a', None), {'k': {2}}]"
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def spell(self, value: object) -> str:
        """The source of a value, which evaluates to an equal one.

        Raises:
            NotLiteralError: it holds something else than values of built-in types, or a list, dict or set that was
                spelt before: a second literal would be a second object.
        """
        kind = type(value)
        if kind in ATOMS:
            return repr(value)
        if kind is float:
            return _float(value)  # type: ignore[arg-type]
        if kind is complex:
            return f"complex({_float(value.real)}, {_float(value.imag)})"  # type: ignore[attr-defined]
        if kind is range:
            return repr(value)
        if kind in (list, dict, set):
            if id(value) in self.seen:
                raise NotLiteralError(f"one {kind.__name__} in two places, where a literal would make two of it")
            self.seen.add(id(value))
        if kind is tuple:
            parts = [self.spell(item) for item in value]  # type: ignore[attr-defined]
            return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
        if kind is list:
            return f"[{', '.join(self.spell(item) for item in value)}]"  # type: ignore[attr-defined]
        if kind is set or kind is frozenset:
            parts = sorted(self.spell(item) for item in value)  # type: ignore[attr-defined]
            inside = f"{{{', '.join(parts)}}}" if parts else ""
            return inside if parts and kind is set else f"{kind.__name__}({inside})"
        if kind is dict:
            items = value.items()  # type: ignore[attr-defined]
            return f"{{{', '.join(f'{self.spell(key)}: {self.spell(item)}' for key, item in items)}}}"
        raise NotLiteralError(f"a {kind.__module__}.{kind.__qualname__}")


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float('{value}')"
