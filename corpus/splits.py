"""Splits by repository or by function, and the index of near-duplicates that keeps copies of a session from straddling
two splits.

A repository's split is a function of its name alone, whatever else is in the dataset, so that datasets that were mined
one repository a job agree. A repository whose rows are to stand in several splits is split by function: a row stands
in the most held-out split of the functions that it opens, so that no row of train holds the source of a function that
only other splits may show. ``merge`` drops exact
duplicates everywhere, and near-duplicates (Jaccard similarity of token 5-grams, estimated by MinHash) where the two
stand in different splits: then the copy in the smaller split is dropped. ``thinning`` says which of those within one
split stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from rensa import RMinHash

    from trace_mine.corpus.schema import RowColumns

SPLITS = ("train", "validation", "test")
SplitBy = Literal["repository", "function"]
"""The unit that is in one split as a whole."""

# Shares of all names. Changing one, or the hash in `split_of`, moves repositories between splits: a model trained on an
# old dataset would be tested on what it was trained on (tests/corpus/test_splits.py holds the splits of known names).
P_TRAIN, P_VALIDATION = 0.9, 0.05

# 5-grams of tokens: shorter ones are shared by most sessions (`>>> print(`), longer ones by no edited copy.
NGRAM = 5
NUM_PERMUTATIONS = 256
SIMILARITY = 0.7
MARGIN = 0.06
"""Two standard errors of the estimate at 0.7 (0.029 with 256 permutations): a pair at the threshold is missed in
one case of forty.
"""
ROWS_OF_A_BAND = 4
"""64 bands of four rows propose a pair at 0.7 with probability 1 - 2e-8; the estimate then decides."""

# Words and single other characters; spaces don't count, so that a reformatted copy is a copy.
_TOKEN = re.compile(r"\w+|[^\w\s]")


def split_of(name: str) -> str:
    """Return the split of a name, a repository's: its SHA-256, read as a number in [0, 1), falls into a split's share.

    >>> split_of("more-itertools"), split_of("requests"), split_of("pluggy")
    ('train', 'validation', 'test')
    """
    # sha256 and not hash(): Python's is salted anew in each process.
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    if share < P_TRAIN:
        return "train"
    return "validation" if share < P_TRAIN + P_VALIDATION else "test"


class SplitRule(Protocol):
    """Decides which split a row stands in."""

    @property
    def compares(self) -> bool:
        """Rows of different splits may resemble each other, so that near-duplicates are looked for."""

    def of_repository(self, name: str) -> str | None:
        """Return the split of all rows of a repository; None where its rows may stand in several.

        Raises:
            KeyError: there is no such repository here.
        """

    def of_row(self, columns: RowColumns) -> str:
        """Return the split of a row, of a repository that ``of_repository`` knows."""


@dataclass(frozen=True, slots=True)
class ByRepository:
    """The rule of mined datasets: by the repository's name."""

    compares = True

    def of_repository(self, name: str) -> str | None:
        """Return the split of the name."""
        return split_of(name)

    def of_row(self, columns: RowColumns) -> str:
        """Return the split of the row's repository."""
        return split_of(columns["repository"])


@dataclass(frozen=True, slots=True)
class ByFunction:
    """The rule for a held-out part of each repository: by the functions that a row opens, by repository, file and name.

    A row of several functions stands in the last of their splits in the order of `SPLITS`; one that opens none is its
    own function.
    """

    compares = True

    def of_repository(self, name: str) -> str | None:
        """Return None: any repository has rows in all splits."""
        return None

    def of_row(self, columns: RowColumns) -> str:
        """Return the most held-out split of what the row opens."""
        functions = [(function["path"], function["name"]) for function in columns["source"]]
        functions = functions or [(columns["path"], columns["name"])]
        # a line end stands in no name of a function, and hardly in a path: two keys are one only for hostile names
        splits = [split_of("\n".join((columns["repository"], path, name))) for path, name in functions]
        return max(splits, key=SPLITS.index)


@dataclass(frozen=True, slots=True)
class DeclaredSplits:
    """The rule of an origin whose splits are disjoint by construction: each repository has a split that is given."""

    splits: Mapping[str, str]
    compares = False

    def of_repository(self, name: str) -> str | None:
        """Return the given split. Raises KeyError."""
        return self.splits[name]

    def of_row(self, columns: RowColumns) -> str:
        """Return the given split of the row's repository."""
        return self.splits[columns["repository"]]


def grams(text: str) -> list[str]:
    """Return the distinct token 5-grams of a session, sorted. A session of fewer than 5 tokens is one gram."""
    # Sorted: the sketch of a set must not hang on the order in which a set is walked through.
    tokens = _TOKEN.findall(text)
    last = max(len(tokens) - NGRAM, 0)
    return sorted({" ".join(tokens[start : start + NGRAM]) for start in range(last + 1)})


class NearIndex:
    """An index of sessions that finds the near-duplicates of another session.

    Locality-sensitive hashing proposes candidates; the MinHash estimate of their similarity decides. Each session costs
    about 30 bytes for each permutation: 7.5 KB with 256 of them.

    Args:
        permutations: hashes of a session's sketch, in bands of four.
        margin: the similarity by which an estimate may stay below ``SIMILARITY``.
    """

    def __init__(self, *, permutations: int = NUM_PERMUTATIONS, margin: float = MARGIN) -> None:
        from rensa import RMinHashLSH

        self._permutations, self._margin = permutations, margin
        self._index = RMinHashLSH(SIMILARITY, permutations, permutations // ROWS_OF_A_BAND)
        self._sketches: list[RMinHash] = []

    def sketch(self, text: str) -> RMinHash:
        """Return a session's sketch, with which it is asked for and added."""
        from rensa import RMinHash

        sketch = RMinHash(self._permutations, 1)  # 1: the seed, fixed: the same dataset has the same duplicates
        sketch.update(grams(text))
        return sketch

    def add(self, sketch: RMinHash) -> int:
        """Add a session, and return its number: 0 for the first, and so on."""
        number = len(self._sketches)
        self._sketches.append(sketch)
        self._index.insert(number, sketch)
        return number

    def near(self, sketch: RMinHash) -> Iterator[int]:
        """Yield the numbers of the sessions that this one nearly repeats, in ascending order."""
        for number in sorted(set(self._index.query(sketch))):
            if self._sketches[number].jaccard(sketch) >= SIMILARITY - self._margin:
                yield number
