"""Parquet shards, written as rows come: ``NAME-00000-of-000NN.parquet``, at most SHARD_BYTES each.

The same rows give the same bytes (with the same pyarrow): no times, fixed row groups, one thread. Row groups are
small because nested lists in large ones can't be read back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mine.corpus.rows import Row
from trace_mine.corpus.schema import SplitRowColumns

if TYPE_CHECKING:
    import pyarrow

SHARD_BYTES = 500 << 20
GROUP_ROWS = 1000
GROUP_BYTES = 32 << 20


class ShardWriter:
    """Writes the rows of one split below ``folder``.

    ``pyarrow.dataset.write_dataset`` also cuts files, but by number of rows only, and it can't name them for how many
    there are; where it cuts row groups depends on how rows reach it. So files are cut here, by size.

    Args:
        shard_bytes: a shard is closed before a row group could make it larger.
    """

    def __init__(self, folder: Path, split: str, schema: pyarrow.Schema, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._split, self._schema = folder, split, schema
        self._shard_bytes = shard_bytes
        self._rows: list[SplitRowColumns] = []
        self._group_bytes = 0
        self._file: Any = None
        self._writer: Any = None
        self._num_shards = 0

    def write(self, row: Row) -> None:
        """Adds one row."""
        size = len(row.line) + len(f', "split": "{self._split}"')  # its JSON as it stands on disk
        if len(self._rows) >= GROUP_ROWS or (self._rows and self._group_bytes + size > GROUP_BYTES):
            self._flush()
        self._rows.append({**row.columns, "split": self._split})
        self._group_bytes += size

    def close(self) -> list[Path]:
        """Writes what is left and gives the shards their final names. A split without rows has one empty shard."""
        if self._rows or not self._num_shards:
            self._flush()
        self._end_shard()
        shards = []
        for number in range(self._num_shards):
            shard = self._folder / f"{self._split}-{number:05d}-of-{self._num_shards:05d}.parquet"
            self._path(number).rename(shard)
            shards.append(shard)
        return shards

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is not None and self._file.tell() + self._group_bytes > self._shard_bytes:
            self._end_shard()
        if self._writer is None:
            self._file = open(self._path(self._num_shards), "wb")
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd", compression_level=3)
            self._num_shards += 1
        if self._rows:  # `datasets` can't read a row group without rows
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema), row_group_size=GROUP_ROWS)
        self._rows = []
        self._group_bytes = 0

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file.close()
        self._writer = self._file = None

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._split}-{number:05d}.partial"
