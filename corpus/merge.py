"""From finished units to a dataset: leaves out duplicates, assigns splits, writes shards, card, statistics, errors.

The merge reads the units once for each split, the largest split first, and holds of each row its text key and its
sketch (8 KB in a smaller split, 4 KB for near-duplicates within one), never the row: memory does not grow with the
length of sessions. The dataset
in ``data/`` stays untouched until the new shards are complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from trace_mine.corpus.hub.configurations import DATA, RECORDS
from trace_mine.corpus.hub.croissant import DataFile
from trace_mine.corpus.hub.pages import write_pages
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.schema import parquet_schema
from trace_mine.corpus.shards import ShardWriter
from trace_mine.corpus.split_reader import SplitReader
from trace_mine.corpus.splits import SPLITS, ByRepository, NearIndex, SplitRule
from trace_mine.corpus.stats import Notes, Stats
from trace_mine.corpus.tally import Counts
from trace_mine.corpus.thinning import CopyKind, Thinning
from trace_mine.corpus.uncertain_rows import SplitWriter
from trace_mine.corpus.work import Marker
from trace_mine.tracer.atomic import write_atomically

SHARD_NAME = re.compile(r"[a-z]+-\d{5}-of-\d{5}\.parquet\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A finished dataset's statistics, as in ``stats.json``, and its first session; ``is_recalled``: it was finished
    before, and nothing was done.
    """

    stats: Stats
    first_text: str | None
    is_recalled: bool = False


def merge(
    ledger: Ledger,
    keys: Sequence[str],
    *,
    notes: Notes,
    config: Mapping[str, object],
    rule: SplitRule | None = None,
    keeps_copies: bool = False,
    on_row: Callable[[Counts], None] = lambda counts: None,
) -> Merged:
    """Write ``data/``, ``README.md``, ``stats.json`` and ``errors.jsonl`` from finished units.

    Args:
        ledger: the dataset's ledger, locked by the caller.
        keys: the units, all finished, in the order of the dataset.
        notes: further entries of ``stats.json``.
        config: the dataset's configuration, JSON, for ``stats.json`` and the card.
        rule: says which split a row stands in; None: by the name of its repository.
        keeps_copies: near-duplicates within a split stay (``thinning``), as they do where splits are declared.
        on_row: called with the counts after each row.

    What can't be read, and what is no row, is a drop of the snippet that it stands for, whatever is on disk.
    """
    rule = ByRepository() if rule is None else rule
    # Below the ledger, so on the same file system as `data/`: `_publish` renames files from here.
    building = ledger.root / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    markers = [ledger.marker_or_damage(key) for key in keys]
    reader = SplitReader(ledger, keys, markers, rule)
    order = _largest_first(reader.sizes())
    counts = Counts()
    straddling = _Straddling(reader, order, is_active=rule.compares)
    thinning = Thinning(is_mined=rule.compares, keeps_copies=keeps_copies)
    shards, uncertain, first_text = _write_rows(reader, order, straddling, thinning, building, counts, on_row)
    records = _write_records(reader, markers, building, counts)
    _write_drops(reader, building / "errors.jsonl", counts)
    stats = counts.as_json(found=sum(marker.found for marker in markers), notes=notes, config=config)
    _publish(ledger.out, building, shards, uncertain, records, stats)
    return Merged(stats=stats, first_text=first_text)


def _write_rows(
    reader: SplitReader,
    order: Sequence[str],
    straddling: _Straddling,
    thinning: Thinning,
    building: Path,
    counts: Counts,
    on_row: Callable[[Counts], None],
) -> tuple[list[Path], list[Path], str | None]:
    """Write every row that is no duplicate; return all shards, those among them that hold the uncertain rows, and the
    text of the first row.

    The splits are written from the largest to the smallest. A written row dooms its near-duplicates in smaller splits,
    which are all still to come, so each pair across splits loses the row of the smaller split.
    """
    seen: set[bytes] = set()  # text keys as 16 bytes: with Python's overhead some 90 MB for a million rows
    shards: list[Path] = []
    uncertain_shards: list[Path] = []
    first_text = None
    schema = parquet_schema()
    for split in order:
        writer = SplitWriter(building, split, schema)
        for number, key, row in reader.rows(split):
            # Exact duplicates are looked for over all splits, so the copy in the larger split is the one that stays.
            new: float | None = None
            copy: CopyKind | None
            copy = "same_text" if key in seen else "other_split" if straddling.is_doomed(number) else None
            if copy is None:
                new, copy = thinning.judge(row.columns, split)
            if copy is not None:
                counts.add_duplicate(row, copy)
            else:
                seen.add(key)
                straddling.doom_copies(row.columns["text"], split)
                writer.write(row, new_characters=new)
                counts.add_row(row, split, new_characters=new)
                first_text = first_text or row.columns["text"]  # a session is never empty: no row is without a command
            on_row(counts)
        certain, uncertain = writer.close()
        shards += [*certain, *uncertain]
        uncertain_shards += uncertain
    return shards, uncertain_shards, first_text


def _write_records(reader: SplitReader, markers: Sequence[Marker], building: Path, counts: Counts) -> list[Path]:
    """Write the records of each split that has some; return their shards. A record has no text that could be another
    one's duplicate.
    """
    shards: list[Path] = []
    if not any(marker.records for marker in markers):
        return shards
    folder = building / RECORDS
    folder.mkdir()
    schema = parquet_schema()
    for split in SPLITS:
        writer: ShardWriter | None = None
        for row in reader.records(split):
            writer = writer or ShardWriter(folder, split, schema)
            writer.write(row)
            counts.add_record(row)
        shards += [] if writer is None else writer.close()
    return shards


def _write_drops(reader: SplitReader, path: Path, counts: Counts) -> None:
    with open(path, "wb") as file:
        for drop in reader.drops():
            counts.add_drop(drop)
            file.write(json.dumps(asdict(drop)).encode("ascii") + b"\n")
        file.flush()
        _sync(file)


class _Straddling:
    """Finds near-duplicates that stand in two splits, and dooms the row in the smaller split of each pair.

    Args:
        reader: the rows.
        order: the splits, the largest first.
        is_active: False where the origin keeps its splits apart by itself; then no row is doomed.
    """

    def __init__(self, reader: SplitReader, order: Sequence[str], *, is_active: bool) -> None:
        self._rank = {split: rank for rank, split in enumerate(order)}
        self._rows: list[tuple[int, int]] = []  # of each indexed session: (number, rank of its split)
        self._doomed: set[int] = set()
        self._index = NearIndex() if is_active and len(order) > 1 else None
        # The largest split is not indexed: its rows are never the copy in the smaller split.
        for split in order[1:] if is_active else ():
            for number, _, row in reader.rows(split):
                assert self._index is not None
                self._index.add(self._index.sketch(row.columns["text"]))
                self._rows.append((number, self._rank[split]))

    def is_doomed(self, number: int) -> bool:
        """Return True for a row that nearly repeats one already written to a larger split."""
        return number in self._doomed

    def doom_copies(self, text: str, split: str) -> None:
        """Doom the near-duplicates of a written row that stand in splits smaller than its own."""
        rank = self._rank[split]
        if self._index is not None and rank + 1 < len(self._rank):
            near = (self._rows[place] for place in self._index.near(self._index.sketch(text)))
            self._doomed.update(number for number, its_rank in near if its_rank > rank)


def _largest_first(sizes: Mapping[str, int]) -> list[str]:
    """Return the splits that have rows, the largest first; train alone where no split has rows, since
    ``datasets.load_dataset`` refuses a folder without a Parquet file. It refuses a split without rows, too, so that
    splits that have none have no file.
    """
    # Of two splits of one size the first in SPLITS counts as larger: the order must not hang on a dictionary's.
    return sorted((split for split in sizes if sizes[split]), key=lambda s: (-sizes[s], SPLITS.index(s))) or ["train"]


def _publish(
    out: Path,
    building: Path,
    shards: Sequence[Path],
    uncertain: Sequence[Path],
    records: Sequence[Path],
    stats: Stats,
) -> None:
    """Replace the dataset's files by the new ones.

    The shards are flushed to the disk before the first old one is deleted. A run that is killed between the deletions
    and the renames leaves the finished units, from which the same command makes the dataset again.
    """
    content = hashlib.sha256()
    files = []
    for folder_name, shard in (
        *((DATA, path) for path in sorted(shards)),
        *((RECORDS, path) for path in sorted(records)),
    ):
        with open(shard, "rb") as file:
            _sync(file)
            digest = hashlib.file_digest(file, "sha256")
            content.update(digest.digest())
            size = os.fstat(file.fileno()).st_size
        files.append(DataFile(path=f"{folder_name}/{shard.name}", num_bytes=size, sha256=digest.hexdigest()))
    for name, new in ((DATA, shards), (RECORDS, records)):
        folder = out / name
        if new:
            folder.mkdir(exist_ok=True)
        for old in folder.iterdir() if folder.is_dir() else ():
            # All old shards, not only those that are replaced: fewer new ones would leave old rows beside them. Files
            # that someone else put there stay.
            if SHARD_NAME.match(old.name):
                old.unlink()
        for shard in new:
            os.rename(shard, folder / shard.name)
    os.rename(building / "errors.jsonl", out / "errors.jsonl")
    write_atomically(out / "stats.json", (json.dumps(stats, indent=2) + "\n").encode("ascii"))
    names, uncertain_names, record_names = (
        sorted(shard.name for shard in each) for each in (shards, uncertain, records)
    )
    write_pages(out, stats, content.hexdigest(), files, shards=names, uncertain=uncertain_names, records=record_names)
    shutil.rmtree(building)


def _sync(file: BinaryIO) -> None:
    os.fsync(file.fileno())
