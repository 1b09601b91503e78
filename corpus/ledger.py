"""The ledger: a folder of finished and waiting work units, so that a run killed at any moment goes on where it stopped.

    DATASET/.ledger/config.json     the configuration (a run with another one is refused); made_by: the code's hash
                    plan.json       all units in order, once they are planned, and notes of the inputs
                    finished.json   of which inputs the finished dataset was made (``corpus/finished.py``)
                    units/KEY.json  a work unit's payload, while the unit waits
                    results/KEY.jsonl.gz, done/KEY.json  a finished unit's items, and the marker that they are complete
                    attempts/KEY    a line for each start of a unit, and one for each death of a worker over it
                    sources/        unpacked archives

Every file but those of ``attempts`` is written under another name, flushed to the disk and renamed, so a file with its
own name is complete. A unit's key is the hash of its inputs, so a result that no longer fits has a key that nobody asks
for. Workers on several machines may share a ledger through a common file system: each writes files of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.plan import DatasetPlan
from trace_mine.corpus.row_check import check_row
from trace_mine.corpus.rows import MAX_EVIDENCE, MAX_ROW_BYTES, Row, printable
from trace_mine.corpus.unit_items import write_items
from trace_mine.corpus.work import Dropped, Item, Marker, Payload, WorkUnit
from trace_mine.tracer.atomic import clear_leftovers, replacing, write_atomically
from trace_mine.tracer.inside.reasons import Reason

FOLDER = ".ledger"
_WRITTEN = ("units", "results", "done")
"""The folders whose files are written atomically."""
_LONGEST_LINE = MAX_ROW_BYTES + 1  # with the line's end


class Ledger:
    """The ledger of the dataset in ``out``. All state is on disk, so each worker process opens a Ledger of its own."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.root = out / FOLDER
        self.sources = self.root / "sources"
        # Of each unit whose result this process has compared with its marker: the file as it was then, and the hash.
        self._verified: dict[str, tuple[int, int, int, str]] = {}
        self._make_folders()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the dataset for this process while the context lasts.

        Raises:
            CorpusError: another process holds it.
        """
        # A lock of the operating system, not a file that says "locked": Linux releases it when the process ends,
        # however it ends, so a killed run never leaves a dataset locked.
        with open(self.root / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CorpusError(
                    f"another trace-mine is writing to {self.out}; wait for it, or give another --out"
                ) from error
            # Safe only under the lock: another run's files would vanish under it. Not below ``sources``, whose names
            # are those of strangers' archives.
            for folder in (self.root, *(self.root / name for name in _WRITTEN)):
                clear_leftovers(folder)
            yield

    def check_config(self, config: Mapping[str, object]) -> None:
        """Store the configuration of a new dataset; compare it with the stored one otherwise.

        Raises:
            CorpusError: the dataset was begun with another configuration; the message says where they differ.
        """
        file = self.root / "config.json"
        if file.exists():
            old = _configuration(file)
            # Compared as JSON values, key by key, so that the message can name the option that differs.
            keys = sorted(key for key in {*old, *config} if old.get(key) != config.get(key))
            if keys:
                differences = "; ".join(f"{key}: was {old.get(key)!r}, is {config.get(key)!r}" for key in keys)
                raise CorpusError(
                    f"{self.out} was made with another configuration ({differences}); "
                    "give another --out, the same options as before, or --overwrite to start afresh",
                    exit_code=2,
                )
        # in the order in which it was given, which is that of `stats.json`: a merge of several datasets reads it here
        write_atomically(file, (json.dumps(config, indent=2) + "\n").encode())

    def config(self) -> dict[str, object]:
        """Return the dataset's configuration. Raises CorpusError: none stands there."""
        file = self.root / "config.json"
        if not file.exists():
            raise CorpusError(f"expected a dataset that trace-mine wrote, got {self.out}, which was not begun")
        return _configuration(file)

    def write_plan(self, plan: DatasetPlan) -> None:
        """Store the plan, in the place of the one of an earlier run."""
        write_atomically(self.root / "plan.json", json.dumps(plan.to_json()).encode("ascii"))

    def plan(self) -> DatasetPlan:
        """Return the plan.

        Raises:
            CorpusError: planning did not come to its end, or the file was damaged on disk.
        """
        file = self.root / "plan.json"
        try:
            return DatasetPlan.from_json(json.loads(file.read_bytes()))
        except FileNotFoundError:
            raise CorpusError(
                f"expected a finished dataset, got {self.out}, whose units are not planned; start its command again"
            ) from None
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{file}: damaged ({error}); start the dataset's command again") from error

    def adopt(self, other: Ledger, key: str) -> None:
        """Take the result of a finished unit over from another ledger, which keeps it: by a link where the file system
        has some, else by a copy.

        Raises:
            CorpusError: the unit is not finished there.
        """
        if self.is_done(key):
            return
        if not other.is_done(key):
            raise CorpusError(f"{other.out} is not finished: unit {key[:12]} is missing; start its command again")
        # the marker last: it vouches for the result
        for mine, theirs in ((self._result(key), other._result(key)), (self._marker(key), other._marker(key))):
            mine.unlink(missing_ok=True)
            try:
                os.link(theirs, mine)
            except OSError:
                with replacing(mine) as file, open(theirs, "rb") as source:
                    shutil.copyfileobj(source, file)

    def clear(self) -> None:
        """Delete all units, results and the configuration (``--overwrite``). The dataset beside the ledger stays until
        a new one replaces it.
        """
        for child in self.root.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
            elif child.name != "lock":  # held by this process: a new file would be another lock
                child.unlink()
        self._make_folders()

    def add(self, unit: WorkUnit) -> None:
        """Store a unit's payload for the workers, unless the unit is done."""
        if not self.is_done(unit.key):
            write_atomically(self.root / "units" / f"{unit.key}.json", json.dumps(unit.payload).encode("ascii"))

    def payload(self, key: str) -> Payload:
        """Return the payload of a waiting unit."""
        data: Payload = json.loads((self.root / "units" / f"{key}.json").read_bytes())
        return data

    def is_done(self, key: str) -> bool:
        """Return True if the unit's result and marker are there, and the result is the one that the marker vouches for.

        A result that was cut short or damaged is not done, so that the same command makes it again.
        """
        try:
            return self._is_whole(key, self.marker(key))
        except (CorpusError, FileNotFoundError):
            return False

    def _is_whole(self, key: str, marker: Marker) -> bool:
        """Compare the result with its marker, length first: the hash takes a second for a gigabyte, once a run."""
        try:
            with open(self._result(key), "rb") as file:
                held = os.fstat(file.fileno())
                seen = (held.st_ino, held.st_size, held.st_mtime_ns, marker.sha256)
                if self._verified.get(key) == seen:
                    return True
                is_whole = (
                    held.st_size == marker.bytes and hashlib.file_digest(file, "sha256").hexdigest() == marker.sha256
                )
        except OSError:
            return False
        if is_whole:
            self._verified[key] = seen
        return is_whole

    def finish(self, key: str, items: Iterable[Item], num_snippets: int) -> Marker:
        """Write a unit's result as its items come, then its marker, and return the marker.

        Args:
            key: the unit's key.
            items: the unit's rows and drops, in the order of its snippets.
            num_snippets: how many items there must be.
        """
        with replacing(self._result(key)) as file:
            counts = write_items(file, items, num_snippets)
        # Hashed from the disk, as it stands there: the marker vouches for the file, not for what was meant to be
        # written.
        result = self._result(key)
        with open(result, "rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        marker = counts.marker(num_bytes=result.stat().st_size, sha256=digest)
        self._mark(key, marker)
        return marker

    def receive(self, key: str, marker: Marker, result: bytes) -> None:
        """Write a unit's result that was made elsewhere, then its marker.

        Raises:
            CorpusError: the result is not the one of the marker.
        """
        if len(result) != marker.bytes or hashlib.sha256(result).hexdigest() != marker.sha256:
            raise CorpusError(f"unit {key[:12]}: its result was damaged on its way; start the same command again")
        write_atomically(self._result(key), result)
        self._mark(key, marker)

    def _mark(self, key: str, marker: Marker) -> None:
        write_atomically(self._marker(key), json.dumps(marker.to_json(), sort_keys=True).encode())

    def forget_interrupted(self) -> None:
        """Forget the units of earlier commands that hold snippets over which the sandbox died: they are done again.

        Not within the command that met the death: a snippet that ends its own sandbox would be run for ever.
        """
        for path in (self.root / "done").glob("*.json"):
            try:
                is_interrupted = self.marker(path.stem).interrupted > 0
            except (CorpusError, OSError):
                continue  # damaged: it counts as not done anyway
            if is_interrupted:
                path.unlink()

    def marker(self, key: str) -> Marker:
        """Return the marker of a finished unit.

        Raises:
            FileNotFoundError: the unit is not finished.
            CorpusError: the marker was damaged on disk.
        """
        try:
            return Marker.from_json(json.loads(self._marker(key).read_bytes()))
        except (ValueError, AttributeError, RecursionError) as error:  # AttributeError: JSON, and no object
            raise CorpusError(f"{self._marker(key)}: damaged ({error}); start the same command again") from error

    def marker_or_damage(self, key: str) -> Marker:
        """Return the marker of a unit that was finished; in the place of a damaged one, a marker of one drop: the
        number of its snippets is not known.
        """
        try:
            return self.marker(key)
        except (CorpusError, OSError):
            return Marker(found=1, rows=0, drops=1, texts=(), repositories={}, bytes=0, sha256="")

    def items(self, key: str) -> Iterator[Item]:
        """Yield a finished unit's rows and drops, in the order of its snippets: as many as its marker says.

        It never raises for what stands on disk: a line that is no row and no drop is a drop ``bad_row``, what can't be
        read is one drop ``damaged_result`` for each snippet of which nothing else is known.
        """
        marker = self.marker_or_damage(key)
        num_items = 0
        evidence = "its result is not the one of its marker"
        if self.is_done(key):
            evidence = "it ends early"
            try:
                for item in islice(_items(self._result(key)), marker.found):
                    num_items += 1
                    yield item
            except (OSError, EOFError, zlib.error) as error:
                evidence = f"{type(error).__name__}: {error}"
        while num_items < marker.found:
            num_items += 1
            yield _damaged(f"unit {key}: {evidence}", marker)

    def attempt(self, key: str) -> None:
        """Note that a worker has begun a unit: after the death of the whole machine, a person finds in ``attempts``
        which units were under way.
        """
        self._note(key, b"start\n")

    def death(self, key: str, number: int = 1) -> int:
        """Note that so many workers have died over a unit; return how many have, together."""
        self._note(key, number * b"death\n")
        return (self.root / "attempts" / key).read_bytes().count(b"death\n")

    def tidy(self, keys: Iterable[str]) -> None:
        """Delete, after a merge, the payloads, the attempts, the unpacked archives, and the results of units that are
        not among ``keys``.

        The results of ``keys`` stay, so that mining again after one repository changed costs that repository's units.
        """
        kept = set(keys)
        # Attempts go too: once the dataset is finished, deaths are held against no unit any more.
        for name in ("units", "attempts", "sources"):
            shutil.rmtree(self.root / name)
        for name in ("results", "done"):
            for file in (self.root / name).iterdir():
                if file.name.partition(".")[0] not in kept:
                    file.unlink()

    def clear_sources(self) -> None:
        """Delete copies of inputs."""
        shutil.rmtree(self.sources, ignore_errors=True)

    def _make_folders(self) -> None:
        for name in ("units", "results", "done", "attempts", "sources"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def _result(self, key: str) -> Path:
        return self.root / "results" / f"{key}.jsonl.gz"

    def _marker(self, key: str) -> Path:
        return self.root / "done" / f"{key}.json"

    def _note(self, key: str, line: bytes) -> None:
        # One unbuffered write to a file opened for appending: lines of two processes never mix, and a line is there
        # even if the worker is killed in the next instruction.
        with open(self.root / "attempts" / key, "ab", buffering=0) as file:
            file.write(line)


def _configuration(file: Path) -> dict[str, object]:
    """The stored configuration. Raises CorpusError."""
    try:
        stored = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        stored = None
    if not isinstance(stored, dict):
        raise CorpusError(f"{file}: damaged; give another --out, or --overwrite to start afresh")
    return stored


def _items(result: Path) -> Iterator[Item]:
    """Yield the item of each line of a result.

    Raises:
        OSError, EOFError, zlib.error: the file is no whole gzip file.
    """
    with gzip.open(result, "rb") as lines:
        # A bound, so that a line without an end takes no more memory than a row: its rest is read and forgotten.
        while line := lines.readline(_LONGEST_LINE):
            is_whole = line.endswith(b"\n")
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = lines.readline(_LONGEST_LINE)
            yield _item(line) if is_whole else _bad("a line without an end, or one longer than a row may be")


def _item(line: bytes) -> Item:
    """Return the row or drop that a line of a result holds; only rows have a ``trace_id``."""
    try:
        data = json.loads(line)
        if not isinstance(data, dict):
            return _bad("a line that is no object")
        if "trace_id" not in data:
            return Dropped.from_json(data)
        # The line itself is kept as the row's JSON: encoding it again would cost more than the rest of the merge.
        return Row(columns=check_row(data), line=line.rstrip(b"\n"))
    except (ValueError, RecursionError) as error:  # RecursionError: JSON nested more deeply than the parser goes
        return _bad(f"{type(error).__name__}: {error}")


def _bad(evidence: str) -> Dropped:
    return Dropped(reason=Reason.BAD_ROW.value, path="", name="", evidence=printable(evidence)[:MAX_EVIDENCE])


def _damaged(evidence: str, marker: Marker) -> Dropped:
    """The drop of a snippet of a damaged unit; it names the repository where the unit has rows of just one."""
    names = [*marker.repositories]
    return Dropped(
        reason=Reason.DAMAGED_RESULT.value,
        path="",
        name="",
        repository=printable(names[0]) if len(names) == 1 else "",
        evidence=printable(evidence)[:MAX_EVIDENCE],
    )
