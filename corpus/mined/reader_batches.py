"""The repositories that one reader is shown: few enough mounts for its jail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from trace_mine.corpus.mined.repositories import NamedInput

MAX_SHOWN = 200
"""Files and folders that one reader is shown, each by a mount; a folder of many repositories is one."""


def reader_batches(targets: Sequence[tuple[int, NamedInput]]) -> Iterator[list[tuple[int, NamedInput]]]:
    """The targets, with their places, in order, parted where one reader would be shown more than MAX_SHOWN files and
    folders.
    """
    batch: list[tuple[int, NamedInput]] = []
    shown: set[Path] = set()
    for place, target in targets:
        if target.shown is not None and target.shown not in shown:
            if len(shown) == MAX_SHOWN:
                yield batch
                batch, shown = [], set()
            shown.add(target.shown)
        batch.append((place, target))
    if batch:
        yield batch
