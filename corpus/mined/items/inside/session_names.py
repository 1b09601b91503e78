"""Names that the commands of a test add to those of its author: the same each time, and none that the test uses."""

from __future__ import annotations

import ast
from collections.abc import Callable


class SessionNames:
    """Gives out names for one test.

    Args:
        taken: names that the test uses.
        imports: returns True if the session can name a module of the standard library, which it then imports.
    """

    def __init__(self, taken: set[str], imports: Callable[[str], bool]) -> None:
        self._taken = taken
        self._given: dict[str, str] = {}  # a word and the name that stands for it in this test
        self.imports = imports

    def name(self, word: str) -> str:
        """Return a name for the word that the test doesn't use."""
        if word not in self._given:
            name, number = word, 1
            while name in self._taken:
                name, number = f"{word}_{number}", number + 1
            self._taken.add(name)
            self._given[word] = name
        return self._given[word]

    def bind(self, word: str, value: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """Return the statement that binds a value to the word's name, and the name."""
        name = self.name(word)
        return [ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)], ast.Name(name, ast.Load())
