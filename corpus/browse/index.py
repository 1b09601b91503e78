"""The lists of a dataset for people: a line for each row and for each drop, without the sessions themselves.

The rows' columns and the drops are text of strangers, from files that anybody may have made: all text is visible, and
what has no form is left out and counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.viewer import entropy_bits
from trace_mine.tracer.visible import one_line

BATCH = 128
"""Rows in memory at a time."""
MAX_LISTED = 200
"""Functions and reasons of a row that can be searched for."""
MAX_EVIDENCE = 400
"""Characters of a drop's evidence that are shown."""
READ = (
    "split",
    "entry",
    "repository",
    "name",
    "path",
    "line",
    "outcome",
    "text",
    "steps",
    "beliefs",
    "source",
    "kept_whole",
    "own_frames",
    "opened_frames",
    "new_characters",
    "uncopied_values",
    "writing_commands",
    "edits",
)
"""The columns of rows that are read. Old datasets lack some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLine:
    """A row's line.

    Attributes:
        number: its place in the dataset's files, from 0.
        where: split, entry, repository, name, ``path:line`` and outcome.
        num_steps, num_characters: of its session.
        own_frames, opened_frames: as its columns have them.
        entropy: bits, of the belief that is the most uncertain; 0 where nothing is hidden.
        num_open: beliefs with more than one outcome.
        worth: ``new_characters``, ``uncopied_values`` and ``writing_commands``; None where it was not measured.
        functions: those that the session opens.
        kept: reasons for which constructs were kept whole.
        edits: kinds of the edits that were made before it ran, each once.
    """

    number: int
    where: tuple[str, str, str, str, str, str]
    num_steps: int
    num_characters: int
    own_frames: int
    opened_frames: int
    entropy: float
    num_open: int
    worth: tuple[float | None, float | None, float | None]
    functions: tuple[str, ...]
    kept: tuple[str, ...]
    edits: tuple[str, ...] = ()

    def as_json(self) -> list[object]:
        """The line as the page's program reads it, in the order of the attributes without ``number``."""
        return [
            *self.where,
            self.num_steps,
            self.num_characters,
            self.own_frames,
            self.opened_frames,
            round(self.entropy, 4),
            self.num_open,
            *self.worth,
            list(self.functions),
            list(self.kept),
            list(self.edits),
        ]


def row_files(dataset: Path) -> list[Path]:
    """The files of a dataset's rows. Raises CorpusError: it is none."""
    files = sorted((dataset / "data").glob("*.parquet"))
    if not files:
        raise CorpusError(
            f"expected a dataset with data/*.parquet, got {str(dataset)!r}; give the folder that trace-mine wrote",
            exit_code=2,
        )
    return files


def row_lines(files: Sequence[Path]) -> Iterator[RowLine | None]:
    """Yield the line of each row in the order of the files; None for what is no row.

    Raises:
        CorpusError: a file is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    for path in files:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                columns = [name for name in READ if name in file.schema_arrow.names]
                for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                    for row in batch.to_pylist():
                        yield _line_of(number, row)
                        number += 1
        except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise CorpusError(f"{path}: damaged ({type(error).__name__}); get the dataset again") from error


def _line_of(number: int, row: Mapping[str, Any]) -> RowLine | None:
    try:
        place = f"{row['path']}:{int(row['line'])}"
        entropies = [entropy_bits(belief["probabilities"]) for belief in row["beliefs"]]
        worth = (row.get("new_characters"), row.get("uncopied_values"), row.get("writing_commands"))
        return RowLine(
            number=number,
            where=(
                one_line(row["split"]),
                one_line(row["entry"]),
                one_line(row["repository"]),
                one_line(row["name"]),
                one_line(place),
                one_line(row["outcome"]),
            ),
            num_steps=len(row["steps"]),
            num_characters=len(row["text"]),
            own_frames=int(row.get("own_frames") or 0),
            opened_frames=int(row.get("opened_frames") or 0),
            entropy=max(entropies, default=0.0),
            num_open=sum(entropy > 0 for entropy in entropies),
            worth=(_share(worth[0]), _share(worth[1]), _share(worth[2])),
            functions=tuple(one_line(each["name"]) for each in (row.get("source") or [])[:MAX_LISTED]),
            kept=tuple(one_line(reason) for reason in list(json.loads(row["kept_whole"]))[:MAX_LISTED]),
            edits=tuple(dict.fromkeys(one_line(edit["kind"]) for edit in (row.get("edits") or [])[:MAX_LISTED])),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _share(value: object) -> float | None:
    return round(value, 4) if isinstance(value, float) and math.isfinite(value) else None


def drop_lines(dataset: Path, most: int) -> tuple[list[list[object]], int]:
    """Return (reason, repository, place, name, entry, evidence) of the first drops of ``errors.jsonl``, and how many
    there are in all.
    """
    lines: list[list[object]] = []
    total = 0
    path = dataset / "errors.jsonl"
    if not path.is_file():
        return lines, total
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            total += 1
            if len(lines) >= most:
                continue
            try:
                drop = json.loads(text)
                place = f"{drop['path']}:{int(drop['line'])}"
                words = [drop["reason"], drop["repository"], place, drop["name"], drop["entry"]]
                lines.append([*map(one_line, words), one_line(drop["evidence"], MAX_EVIDENCE)])
            except (KeyError, TypeError, ValueError, RecursionError):
                lines.append(["damaged", "", "", "", "", "a line of errors.jsonl that is no drop"])
    return lines, total
