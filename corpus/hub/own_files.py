"""The files that are a dataset's own, held against what the dataset says of itself: what ``trace-mine push`` sends.

A folder of a dataset also has a ledger, and may have whatever its user put there: only files with known names are the
dataset's own. A link is none, since it may lead to any file of the machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.dataset_rows import num_rows
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hub.configurations import DATA, RECORDS
from trace_mine.corpus.hub.croissant import FILE as CROISSANT
from trace_mine.corpus.hub.croissant import DataFile, files_of
from trace_mine.corpus.hub.datasheet import FILE as DATASHEET
from trace_mine.corpus.hub.plots import FOLDER as PLOTS
from trace_mine.corpus.hub.plots import NAMES as PLOT_NAMES
from trace_mine.corpus.ledger import FOLDER as LEDGER
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.rows_so_far import is_finished
from trace_mine.tracer.visible import one_line

CARD, STATS, ERRORS, BROWSE = "README.md", "stats.json", "errors.jsonl", "browse.html"
_SHARD = re.compile(r"(?:data|records)/(?:train|validation|test)-\d{5}-of-\d{5}\.parquet\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFile:
    """A file of a dataset: its path in there with ``/``, where it lies, and its size."""

    path: str
    place: Path
    num_bytes: int

    @property
    def is_rows(self) -> bool:
        """True for a Parquet file."""
        return _SHARD.match(self.path) is not None


def is_shard(path: str) -> bool:
    """Return True if a file of this path holds rows or records of a dataset of trace-mine."""
    return _SHARD.match(path) is not None


@contextmanager
def kept_still(dataset: Path) -> Iterator[None]:
    """While the context lasts, no run goes on in the dataset's folder.

    Raises:
        CorpusError: one does, or one was cut off there.
    """
    if not (dataset / LEDGER).is_dir():
        yield  # somebody deleted it, as they may, or the dataset came from elsewhere
        return
    with Ledger(dataset).locked():
        if any((dataset / LEDGER / "units").iterdir()):
            raise CorpusError(
                f"expected a finished dataset, got {one_line(str(dataset))}, where units wait to be run; start its "
                "command again"
            )
        yield


def own_files(dataset: Path) -> list[OwnFile]:
    """Return the dataset's own files, in order, once they are known to be whole.

    Raises:
        CorpusError: the folder is no dataset, one that is not finished, or what is there is not what the dataset says
            of itself.
    """
    if not dataset.is_dir():
        raise CorpusError(f"expected a dataset, got {one_line(str(dataset))}; give its folder", exit_code=2)
    for name in (CARD, CROISSANT, STATS, ERRORS):
        if not (dataset / name).is_file():
            raise CorpusError(
                f"expected a finished dataset, got {one_line(str(dataset))} without {name}; start its command again"
            )
    if not is_finished(dataset):
        raise CorpusError(
            f"expected a finished dataset, got the rows so far of one in {one_line(str(dataset))}; start its command "
            "again"
        )
    stats = _json_object(dataset / STATS)
    croissant = _json_object(dataset / CROISSANT)
    try:
        listed = files_of(croissant)
    except ValueError as error:
        raise CorpusError(f"{one_line(str(dataset / CROISSANT))}: damaged ({error}); {_AGAIN}") from error
    _check_shards(dataset, listed)
    _check_counts(dataset, stats, listed)
    _check_card(dataset, croissant)
    paths = [CARD, DATASHEET, CROISSANT, STATS, ERRORS, BROWSE]
    paths += [f"{PLOTS}/{name}" for name in PLOT_NAMES]
    paths += [each.path for each in listed]
    return [_own(dataset, path) for path in paths if (dataset / path).exists()]


_AGAIN = "get the dataset again, or start its command again"


def _own(dataset: Path, path: str) -> OwnFile:
    place = dataset / path
    if place.is_symlink() or place.parent.is_symlink() or not place.is_file():
        raise CorpusError(
            f"expected a regular file, got {one_line(str(place))}, which is none; put the file itself there"
        )
    return OwnFile(path=path, place=place, num_bytes=place.stat().st_size)


def _json_object(file: Path) -> Mapping[str, object]:
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{one_line(str(file))}: damaged ({type(error).__name__}); {_AGAIN}") from error
    if not isinstance(data, dict):
        raise CorpusError(f"{one_line(str(file))}: expected a JSON object, got another value; {_AGAIN}")
    return data


def _check_shards(dataset: Path, listed: list[DataFile]) -> None:
    """Hold the Parquet files against the list of them, by name, size and hash."""
    there = {
        f"{folder}/{path.name}"
        for folder in (DATA, RECORDS)
        if (dataset / folder).is_dir()
        for path in (dataset / folder).glob("*.parquet")
    }
    named = {each.path for each in listed}
    for path in sorted(there ^ named):
        state = "is not there" if path in named else f"is none of those that {CROISSANT} names"
        raise CorpusError(
            f"expected a whole dataset, got {one_line(str(dataset))}, where {one_line(path)} {state}; {_AGAIN}"
        )
    for each in listed:
        if not is_shard(each.path):
            raise CorpusError(f"expected names of Parquet files of a dataset, got {one_line(each.path)}; {_AGAIN}")
        own = _own(dataset, each.path)
        if own.num_bytes == each.num_bytes:
            with open(own.place, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == each.sha256:
                    continue
        raise CorpusError(f"{one_line(str(own.place))}: damaged, its bytes are not those that were written; {_AGAIN}")


def _check_counts(dataset: Path, stats: Mapping[str, object], listed: list[DataFile]) -> None:
    """Hold the number of rows in the files, and that of drops, against the statistics."""
    numbers = dict.fromkeys((DATA, RECORDS), 0)
    for each in listed:
        numbers[each.path.partition("/")[0]] += num_rows(dataset / each.path)
    with open(dataset / ERRORS, "rb") as file:
        num_errors = sum(1 for _ in file)
    drops = stats.get("drops")
    stated = (stats.get("rows"), stats.get("records", 0), sum(drops.values()) if isinstance(drops, dict) else None)
    counted = (numbers[DATA], numbers[RECORDS], num_errors)
    if stated != counted:
        raise CorpusError(
            f"expected rows, records and drops as in {STATS}, {stated}, got {counted} in {one_line(str(dataset))}; "
            f"{_AGAIN}"
        )
    if not numbers[DATA]:
        raise CorpusError(f"expected a dataset with rows, got none in {one_line(str(dataset))}; mine more")


def _check_card(dataset: Path, croissant: Mapping[str, object]) -> None:
    """Hold the version in the card against the metadata's: the two were written together."""
    import yaml

    text = (dataset / CARD).read_text(encoding="utf-8", errors="replace")
    block = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    try:
        header = yaml.safe_load(block[1]) if block is not None else None
    except yaml.YAMLError as error:
        raise CorpusError(f"{one_line(str(dataset / CARD))}: damaged ({type(error).__name__}); {_AGAIN}") from error
    configs = header.get("configs") if isinstance(header, dict) else None
    versions = (
        {str(each.get("version")) for each in configs if isinstance(each, dict)} if isinstance(configs, list) else ()
    )
    if {*versions} != {croissant.get("version")}:
        raise CorpusError(
            f"expected a card of the version {one_line(str(croissant.get('version')))}, which {CROISSANT} tells, got "
            f"another in {one_line(str(dataset / CARD))}; {_AGAIN}"
        )
