"""Splits by repository, and what keeps copies from straddling them.

A repository's split is a hash of its name alone, so that it is the same in every dataset. Exact duplicates go
everywhere; near-duplicates (Jaccard similarity of token 5-grams, estimated by MinHash) only where they straddle,
and then the copy in the smaller split goes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SPLITS = ("train", "validation", "test")
P_TRAIN, P_VALIDATION = 0.9, 0.05

NGRAM = 5
NUM_PERMUTATIONS = 256
SIMILARITY = 0.7
MARGIN = 0.06
"""Two standard errors of the estimate at 0.7 (0.029 with 256 permutations): a pair at the threshold is missed in
one case of forty.
"""
NUM_BANDS = 64
"""Bands of four rows propose a pair at 0.7 with probability 1 - 2e-8; the estimate then decides."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


def split_of(repository: str) -> str:
    """The split that a repository's name has."""
    share = int.from_bytes(hashlib.sha256(repository.encode()).digest()[:8], "big") / 2**64
    if share < P_TRAIN:
        return "train"
    return "validation" if share < P_TRAIN + P_VALIDATION else "test"


def assign_splits(num_rows: Mapping[str, int]) -> dict[str, str]:
    """Repository to split; ``num_rows`` counts rows by repository. Train is never empty: where no repository with
    rows falls into it, the largest one is moved there (of equals, the first by name).
    """
    splits = {name: split_of(name) for name in num_rows}
    filled = [name for name, count in num_rows.items() if count]
    if filled and not any(splits[name] == "train" for name in filled):
        splits[min(filled, key=lambda name: (-num_rows[name], name))] = "train"
    return splits


def grams(text: str) -> list[str]:
    """The distinct token 5-grams of a session, sorted; of a shorter one, its tokens together."""
    tokens = _TOKEN.findall(text)
    last = max(len(tokens) - NGRAM, 0)
    return sorted({" ".join(tokens[start : start + NGRAM]) for start in range(last + 1)})


class NearIndex:
    """Sessions of the smaller splits, asked for near-duplicates of each session of a larger one.

    Holds 1 KB for each session; nothing at all where there is one split.
    """

    def __init__(self) -> None:
        from rensa import RMinHashLSH

        self._index = RMinHashLSH(SIMILARITY, NUM_PERMUTATIONS, NUM_BANDS)
        self._sketches: list[Any] = []

    def add(self, text: str) -> int:
        """Adds a session; gives its number."""
        sketch = _sketch(text)
        number = len(self._sketches)
        self._sketches.append(sketch)
        self._index.insert(number, sketch)
        return number

    def near(self, text: str) -> Iterator[int]:
        """Numbers of the sessions that this one nearly repeats."""
        sketch = _sketch(text)
        for number in sorted(set(self._index.query(sketch))):
            if self._sketches[number].jaccard(sketch) >= SIMILARITY - MARGIN:
                yield number


def _sketch(text: str) -> Any:
    from rensa import RMinHash

    sketch = RMinHash(NUM_PERMUTATIONS, 1)
    sketch.update(grams(text))
    return sketch


def similarity(left: Iterable[str], right: Iterable[str]) -> float:
    """Exact Jaccard similarity of two sets of grams: the slow twin of the estimate."""
    a, b = set(left), set(right)
    return len(a & b) / len(a | b) if a or b else 1.0
