"""The constructs of the program that are running: which statement, in which function, called by which statement.

Each command belongs to one of them, so that a check that fails at a command can name the constructs around it.
"""

from __future__ import annotations

Location = tuple[int, str, int, int | None]
"""A construct: the one that it runs in, its file, line and column; no column: a function whose body runs.

Constructs are counted from 1, and 0 is the program itself. A plain tuple: one is looked up for each statement.
"""


class Places:
    """All constructs that ran, as a tree, and the innermost that runs now.

    Attributes:
        all: the constructs; a loop's statements are in it once, a function's once for each statement that calls it.
        current: the number of the innermost construct that runs now.
    """

    def __init__(self) -> None:
        self.all: list[Location] = []
        self.current = 0
        self._numbers: dict[Location, int] = {}

    def enter(self, path: str, line: int, column: int | None) -> int:
        """Note that a construct begins; return the one around it, which ``leave`` takes."""
        outer = self.current
        location = outer, path, line, column
        number = self._numbers.get(location)
        if number is None:
            self.all.append(location)
            number = self._numbers[location] = len(self.all)
        self.current = number
        return outer

    def leave(self, outer: int) -> None:
        """Note that a construct ended, in whatever way."""
        self.current = outer

    def leave_innermost(self) -> None:
        """Note that the innermost construct, a function whose statements have all ended, ended."""
        self.current = self.all[self.current - 1][0]

    def statement(self) -> tuple[str, int, int] | None:
        """Return the file, line and column of the innermost statement that runs; None outside all of them."""
        number = self.current
        while number:
            number, path, line, column = self.all[number - 1]
            if column is not None:
                return path, line, column
        return None
