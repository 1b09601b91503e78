"""Splits by repository, and the index of near-duplicates that keeps copies of a session from straddling two splits.

A repository's split is a function of its name alone, so that it is the same in every dataset. ``merge`` drops exact
duplicates everywhere, and near-duplicates (Jaccard similarity of token 5-grams, estimated by MinHash) where the two
stand in different splits: then the copy in the smaller split is dropped. ``thinning`` says which of those within one
split stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rensa import RMinHash

SPLITS = ("train", "validation", "test")

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


def split_of(repository: str) -> str:
    """Return the split of a repository: the SHA-256 of its name, read as a number in [0, 1), falls into a split's
    share.
    """
    # sha256 and not hash(): Python's is salted anew in each process.
    share = int.from_bytes(hashlib.sha256(repository.encode()).digest()[:8], "big") / 2**64
    if share < P_TRAIN:
        return "train"
    return "validation" if share < P_TRAIN + P_VALIDATION else "test"


def assign_splits(num_rows: Mapping[str, int]) -> dict[str, str]:
    """Return the split of each repository, with at least one repository with rows in train.

    Where no repository with rows falls into train, the largest one is moved there (of equals, the first by name): a
    dataset of one repository would otherwise have nothing to train on in one case of ten.

    Args:
        num_rows: repository to its number of rows.
    """
    splits = {name: split_of(name) for name in num_rows}
    filled = [name for name, count in num_rows.items() if count]
    if filled and not any(splits[name] == "train" for name in filled):
        splits[min(filled, key=lambda name: (-num_rows[name], name))] = "train"
    return splits


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
