"""The rows of a split, with those that are uncertain in shards of their own, so that they can be loaded alone.

A row is uncertain where the text before one of its outputs leaves more than one outcome open. The configuration
``uncertain`` of a dataset names the shards of such rows; ``default`` has all shards, so no row is on disk twice. In a
split the certain rows stand first, each kind in the order of the dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trace_mine.corpus.rows import Row
from trace_mine.corpus.schema import RowColumns
from trace_mine.corpus.shards import ShardWriter

if TYPE_CHECKING:
    import pyarrow


def is_uncertain(columns: RowColumns) -> bool:
    """Return True if a belief of the row has more than one outcome that could be."""
    return any(sum(p > 0 for p in belief["probabilities"]) > 1 for belief in columns["beliefs"])


class SplitWriter:
    """Writes the rows of one split into a folder, certain and uncertain ones into different shards.

    Args:
        folder: where the shards are written; it has no folder ``uncertain`` yet, or an empty one.
        split: the rows' split, the first part of the files' names.
        schema: the Parquet schema.
    """

    def __init__(self, folder: Path, split: str, schema: pyarrow.Schema) -> None:
        self._folder, self._split, self._schema = folder, split, schema
        self._certain: ShardWriter | None = None
        self._uncertain: ShardWriter | None = None

    def write(self, row: Row, *, new_characters: float | None = None) -> None:
        """Add one row, with its ``new_characters``."""
        if is_uncertain(row.columns):
            if self._uncertain is None:
                folder = self._folder / "uncertain"
                folder.mkdir(exist_ok=True)
                self._uncertain = ShardWriter(folder, self._split, self._schema)
            writer = self._uncertain
        else:
            self._certain = self._certain or ShardWriter(self._folder, self._split, self._schema)
            writer = self._certain
        writer.write(row, new_characters=new_characters)

    def close(self) -> tuple[list[Path], list[Path]]:
        """Write what is left; return the shards of certain rows and those of uncertain ones.

        A split without rows has one empty shard of the first kind.
        """
        if self._certain is None and self._uncertain is None:
            self._certain = ShardWriter(self._folder, self._split, self._schema)
        writers = (self._certain, self._uncertain)
        sizes = [0 if writer is None else writer.finish() for writer in writers]
        certain, uncertain = (
            [] if writer is None else writer.name(self._folder, first=first, total=sum(sizes))
            for writer, first in zip(writers, (0, sizes[0]), strict=True)
        )
        return certain, uncertain
