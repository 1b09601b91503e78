"""Parquet shards of a split, written as rows come: ``SPLIT-00000-of-000NN.parquet``, at most SHARD_BYTES each.

The same rows give the same bytes (with the same pyarrow): there are no times in the files, row groups are cut by the
rows alone, and one thread writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from trace_mine.corpus.rows import Row
from trace_mine.corpus.schema import SplitRowColumns

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

SHARD_BYTES = 500 << 20
# Row groups are small because pyarrow can't read back nested lists whose group has more than 2 GiB of values
# ("Nested data conversions not implemented for chunked array outputs"), and long sessions have 0.3 MB each.
GROUP_ROWS = 1000
GROUP_BYTES = 32 << 20
WAITING_BYTES = 1 << 20
"""Rows of so much JSON wait as objects of Python, which take five times the memory of the columns that are made of
them: those of a whole group took 120 MB."""


class ShardWriter:
    """Writes the rows of one split into a folder.

    ``pyarrow.dataset.write_dataset`` cuts files too, but by number of rows only; it can't put the number of files into
    their names, and its row groups depend on the batches in which rows arrive. So files are cut here, by size.

    Args:
        folder: where the shards are written.
        split: the rows' split, the first part of the files' names.
        schema: the Parquet schema.
        shard_bytes: a shard is closed before a row group could make it larger.
    """

    def __init__(self, folder: Path, split: str, schema: pyarrow.Schema, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._split, self._schema = folder, split, schema
        self._shard_bytes = shard_bytes
        self._waiting: list[SplitRowColumns] = []
        self._waiting_bytes = 0
        self._tables: list[pyarrow.Table] = []  # the rows of the group before those
        self._num_rows = self._group_bytes = 0  # of the group
        # The open shard: None before the first row group of each.
        self._file: BinaryIO | None = None
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        self._num_shards = 0

    def write(self, row: Row, *, new_characters: float | None = None) -> None:
        """Add one row, with its ``new_characters``; it is on disk when its row group is full, or after ``close``."""
        added = {"new_characters": new_characters, "split": self._split}
        size = len(row.line) + len(json.dumps(added))  # about its JSON with the columns that are added
        if self._num_rows >= GROUP_ROWS or (self._num_rows and self._group_bytes + size > GROUP_BYTES):
            self._flush()
        self._waiting.append({**row.columns, "new_characters": new_characters, "split": self._split})
        self._num_rows += 1
        self._group_bytes += size
        self._waiting_bytes += size
        if self._waiting_bytes > WAITING_BYTES:
            self._to_columns()

    def close(self) -> list[Path]:
        """Write the last row group, give the shards their final names, and return their paths.

        A split without rows has one empty shard: ``datasets`` then finds the columns.
        """
        return self.name(self._folder, first=0, total=self.finish())

    def finish(self) -> int:
        """Write the last row group, and return the number of shards; ``name`` gives them their names."""
        if self._num_rows or not self._num_shards:
            self._flush()
        self._end_shard()
        return self._num_shards

    def name(self, folder: Path, *, first: int, total: int) -> list[Path]:
        """Give the finished shards their final names in a folder, as those from number ``first`` on of ``total``, and
        return their paths. The names hold the number of all shards, so they are not known earlier.
        """
        shards = []
        for number in range(self._num_shards):
            # The Hub's form of names, by which `datasets` finds the split even without the card.
            shard = folder / f"{self._split}-{first + number:05d}-of-{total:05d}.parquet"
            self._path(number).rename(shard)
            shards.append(shard)
        return shards

    def _to_columns(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._tables.append(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []
        self._waiting_bytes = 0

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # The size that a group will have in the file is known only when it is written; its JSON is larger.
        if self._file is not None and self._file.tell() + self._group_bytes > self._shard_bytes:
            self._end_shard()
        if self._writer is None:
            self._file = open(self._path(self._num_shards), "wb")
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd", compression_level=3)
            self._num_shards += 1
        if self._num_rows:  # an empty split's shard has no row group: `datasets` can't read one without rows
            self._to_columns()
            # one chunk a column, so that the file is the same however many rows were waiting together
            table = pa.concat_tables(self._tables).combine_chunks()
            self._tables = []
            self._writer.write_table(table, row_group_size=GROUP_ROWS)
        self._num_rows = self._group_bytes = 0

    def _end_shard(self) -> None:
        if self._writer is not None and self._file is not None:
            self._writer.close()  # writes the footer, but leaves a file that it did not open itself
            self._file.close()
        self._writer = self._file = None

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._split}-{number:05d}.partial"
