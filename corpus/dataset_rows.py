"""Reads single rows of a dataset's Parquet files, whoever made them.

What is damaged is an error of the file; a row whose values Python has no form for is an answer, so that the other rows
can still be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from trace_mine.corpus.errors import CorpusError


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """In the place of a row that can't be read; ``evidence`` says why.

    Raises:
        ValueError: there is no evidence.
    """

    evidence: str

    def __post_init__(self) -> None:
        if not self.evidence:
            raise ValueError("expected UnreadableRow.evidence, got none; say what was raised")


GivenRow = dict[str, object] | UnreadableRow
"""A row as its file has it, or why there is none."""


def num_rows(file: Path) -> int:
    """The number of rows of a Parquet file, as its end tells it. Raises CorpusError."""
    import pyarrow
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.read_metadata(file).num_rows)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{file}: no Parquet file ({type(error).__name__}); get the dataset again") from error


def rows_at(files: Sequence[Path], sizes: Sequence[int], numbers: Sequence[int]) -> Iterator[GivenRow]:
    """Yield the rows of these numbers, in rising order, one row group in memory at a time.

    Args:
        files: the dataset's files, in order.
        sizes: how many rows each has.
        numbers: the rows that are wanted, counted through all files.

    Raises:
        CorpusError: a file is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    start = 0
    for file, size in zip(files, sizes, strict=True):
        wanted = [number - start for number in numbers if start <= number < start + size]
        start += size
        if not wanted:
            continue
        try:
            yield from _rows_of(pyarrow.parquet.ParquetFile(file), wanted)
        except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise CorpusError(f"{file}: damaged ({type(error).__name__}); get the dataset again") from error


def _rows_of(file: pyarrow.parquet.ParquetFile, wanted: Sequence[int]) -> Iterator[GivenRow]:  # type: ignore[name-defined]  # noqa: F821
    first = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        inside = [number - first for number in wanted if first <= number < first + size]
        first += size
        if inside:
            table = file.read_row_group(group)
            yield from (_row_of(table, place) for place in inside)


def _row_of(table: pyarrow.Table, place: int) -> GivenRow:  # type: ignore[name-defined]  # noqa: F821
    try:
        (row,) = table.slice(place, 1).to_pylist()
    except Exception as error:
        # All of them: whoever writes the file chooses the types of its columns, and over values that Python lacks
        # pyarrow raises OverflowError, KeyError (time zones), TypeError, and what its next version does.
        return UnreadableRow(evidence=f"no row that Python can hold ({type(error).__name__}: {str(error)[:200]})")
    return cast("dict[str, object]", row)
