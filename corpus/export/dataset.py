"""A dataset of rows as one of another format: a file of JSON lines for each split, a card, and the counts.

Rows are read one batch at a time, from whoever made them: what is no row, or whose events can't be read, is counted
under ``damaged`` and left out. What a row can't give is counted by reason. Nothing of a row is run, nor evaluated but
as a literal.

    OUT/data/SPLIT.jsonl      what the rows of a split give
    OUT/records/SPLIT.jsonl   what records give, snippets without a session that replays: a configuration of its own
    OUT/README.md, export.json
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.export.card import export_card
from trace_mine.corpus.export.counts import ExportCounts, NotGiven
from trace_mine.corpus.export.formats import ExportFormat, Made
from trace_mine.corpus.splits import SPLITS
from trace_mine.tracer.event_codec import unpack
from trace_mine.tracer.event_log import EventLog

FOLDERS = ("data", "records")
"""The folders of a dataset whose rows are read, each a configuration of what is written."""
PLACE = ("trace_id", "repository", "path", "name", "licence")
"""Columns of a row that each line has as well: where it is from, and on what terms."""
BATCH = 64
"""Rows in memory at a time; the longest have 8 MB."""


def export_dataset(
    dataset: Path, kind: ExportFormat, out: Path, on_row: Callable[[int], None] = lambda number: None
) -> dict[str, ExportCounts]:
    """Write a dataset in another format.

    Args:
        dataset: the folder of a dataset of trace-mine.
        kind: the format.
        out: a folder that does not exist, or is empty.
        on_row: called with the number of rows so far.

    Returns:
        The counts by folder, ``data`` and, where the dataset has records, ``records``.

    Raises:
        CorpusError: ``dataset`` is none, ``out`` holds something, or nothing could be written.
    """
    files = {folder: sorted((dataset / folder).glob("*.parquet")) for folder in FOLDERS}
    if not files["data"]:
        raise CorpusError(
            f"expected a dataset with data/*.parquet, got {str(dataset)!r}; give the folder that trace-mine wrote",
            exit_code=2,
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CorpusError(f"expected --out to be new or empty, got {str(out)!r}; give another", exit_code=2)
    if out.resolve().is_relative_to(dataset.resolve()):
        raise CorpusError(f"expected --out outside of the dataset, got {str(out)!r}; give another", exit_code=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        counts = {folder: _write(each, kind, building / folder, on_row) for folder, each in files.items() if each}
        if not any(each.lines for each in counts.values()):
            given = [f"{word} {number}" for word, number in sum_of(counts).most_common()]
            why = "; ".join(given or ["it has no rows"])
            raise CorpusError(f"nothing of {str(dataset)!r} could be written as {kind.name}: {why}")
        report = {"format": kind.name, **{folder: each.as_json() for folder, each in counts.items()}}
        (building / "export.json").write_text(json.dumps(report, indent=2) + "\n", encoding="ascii")
        (building / "README.md").write_text(export_card(kind, counts, building), encoding="utf-8")
        os.chmod(building, 0o755)
        if out.exists():
            out.rmdir()
        os.rename(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return counts


def sum_of(counts: dict[str, ExportCounts]) -> Counter[str]:
    """The counts of what was not given, over all folders."""
    total: Counter[str] = Counter()
    for each in counts.values():
        total.update(each.not_given)
    return total


def _write(files: list[Path], kind: ExportFormat, folder: Path, on_row: Callable[[int], None]) -> ExportCounts:
    counts = ExportCounts()
    folder.mkdir()
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        with open(path, "w", encoding="ascii", newline="\n") as file:
            for shard in files:
                if not shard.name.startswith(f"{split}-"):
                    continue
                for row in _rows(shard, kind):
                    counts.read += 1
                    for line in _lines_of(row, kind, counts):
                        file.write(json.dumps(line) + "\n")
                        counts.lines[split] += 1
                    on_row(counts.read)
        if not counts.lines[split]:
            path.unlink()  # ``datasets`` takes no empty file
    return counts


def _rows(shard: Path, kind: ExportFormat) -> Iterator[dict[str, object]]:
    """The columns of each row that the format reads; of a column that the file lacks None. Raises CorpusError."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(shard) as file:
            wanted = [name for name in (*PLACE, *kind.reads, "events", "no_session") if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"{shard}: damaged ({type(error).__name__}); get the dataset again") from error


def _lines_of(row: dict[str, object], kind: ExportFormat, counts: ExportCounts) -> Iterator[Made]:
    """Yield the lines of a row, and count what it does not give."""
    place = {name: row.get(name) for name in PLACE}
    if not all(type(value) is str for value in place.values()) or any(row.get(name) is None for name in kind.reads):
        counts.not_given["damaged"] += 1
        return
    if row.get("no_session") and kind.needs_session:
        counts.not_given["no_session"] += 1
        return
    packed = row.get("events")
    log: EventLog | None = None
    if kind.needs_events:
        if not packed:
            counts.not_given["no_events"] += 1
            return
        try:
            log = unpack(str(packed))
        except ValueError:
            counts.not_given["damaged"] += 1
            return
        if log.cut:
            counts.cut[log.cut] += 1
        if not log.activations:
            counts.not_given["no_events"] += 1
            return
    try:
        for made in kind.make(row, log):
            if isinstance(made, NotGiven):
                counts.not_given[made.reason] += 1
            else:
                yield {**made, **{name: value for name, value in place.items() if name not in made}, **_mark(row)}
    except NotGiven as refused:
        counts.not_given[refused.reason] += 1


def _mark(row: dict[str, object]) -> Made:
    """Why a record has no session that replays; nothing of a row."""
    return {"no_session": row["no_session"]} if row.get("no_session") else {}
