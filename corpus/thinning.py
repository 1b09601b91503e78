"""Which rows of a split stay: those that say something that the rows before them did not.

Three kinds of copies are left out: a text that the dataset has already (``same_text``), a session that nearly repeats
one of another split (``other_split``) or of its own (``near``), and a session whose lines the rows before it of its
repository have, but for a few (``repeats``). The last two stay on request, and so does a row with choices: sessions of
one program differ in what was drawn, and that is what they are made for. So does a row that opens a function which no
row before it of its repository opens.

The definitions that a session shows are not its own text: two calls of one function have them in common whatever they
do. They are left out where sessions are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trace_mine.corpus.splits import NearIndex
from trace_mine.corpus.worth import RepositoryLines

if TYPE_CHECKING:
    from trace_mine.corpus.schema import RowColumns

CopyKind = Literal["same_text", "other_split", "near", "repeats"]
"""Why a row is a duplicate."""

LEAST_NEW = 0.05
"""Least share of characters in lines that the repository's rows before it don't have."""

# Half of what is used across splits: a pair that is missed here costs a row that says little, and no honest test.
PERMUTATIONS, MARGIN = 128, 0.08


class Thinning:
    """Judges the rows of a dataset one by one, in its order.

    Memory: 4 KB for each row that stays, where near-duplicates are looked for; and the lines of one repository.

    Args:
        is_mined: rows are of repositories; False: of a synthetic task, whose sessions resemble each other. They all
            stay, and what is new in them is not measured.
        keeps_copies: leave out neither near-duplicates within a split nor sessions of known lines.
    """

    def __init__(self, *, is_mined: bool, keeps_copies: bool) -> None:
        self._is_mined = is_mined
        self._thins = is_mined and not keeps_copies
        self._lines = RepositoryLines()
        self._repository: str | None = None
        self._opened: set[tuple[str, str]] = set()  # of this repository, file and name of each function
        self._split = ""
        self._index: NearIndex | None = None

    def judge(self, columns: RowColumns, split: str) -> tuple[float | None, CopyKind | None]:
        """Return the row's ``new_characters``, and in which way it repeats rows before it.

        The first is None where it is not measured, the second where the row stays. A row that stays is one of those
        that the next rows are held against. Splits come one after another.
        """
        if not self._is_mined:
            return None, None
        if columns["repository"] != self._repository:
            self._repository, self._opened = columns["repository"], set()
        text = text_of_its_own(columns)
        new = self._lines.new_characters(columns["repository"], text)
        opened = {(function["path"], function["name"]) for function in columns["source"]}
        if self._thins and not columns["choices"]:
            opens_known = opened <= self._opened
            if new < LEAST_NEW and opens_known:
                return new, "repeats"
            if split != self._split or self._index is None:
                self._split, self._index = split, NearIndex(permutations=PERMUTATIONS, margin=MARGIN)
            sketch = self._index.sketch(text)
            if opens_known and any(True for _ in self._index.near(sketch)):
                return new, "near"
            self._index.add(sketch)
        self._opened |= opened
        self._lines.add(text)
        return new, None


def text_of_its_own(columns: RowColumns) -> str:
    """Return a session's text without the definitions that it shows of what it opens.

    >>> text_of_its_own({"text": "ab", "segments": [{"start": 0, "end": 1, "step": 0}, {"start": 1, "end": 2,
    ... "step": 1}], "steps": [{"kind": "source"}, {"kind": "statement"}]})
    'b'
    """
    steps, text = columns["steps"], columns["text"]
    return "".join(
        text[segment["start"] : segment["end"]]
        for segment in columns["segments"]
        if steps[segment["step"]]["kind"] != "source"
    )
