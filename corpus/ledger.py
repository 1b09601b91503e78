"""The ledger: a folder of finished and waiting work units, so that a run killed at any moment goes on where it stopped.

    DATASET/.ledger/config.json     the dataset's configuration; a run with another configuration is refused
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
import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.rows import Row, text_key
from trace_mine.corpus.work import Dropped, Item, Marker, Payload, WorkUnit
from trace_mine.tracer.atomic import replacing, write_atomically

FOLDER = ".ledger"


class Ledger:
    """The ledger of the dataset in ``out``. All state is on disk, so each worker process opens a Ledger of its own."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.root = out / FOLDER
        self.sources = self.root / "sources"
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
            # Files that a killed run was writing. Safe only under the lock: another run's would vanish under it.
            for leftover in self.root.rglob("*.tmp"):
                leftover.unlink()
            yield

    def check_config(self, config: Mapping[str, object]) -> None:
        """Store the configuration of a new dataset; compare it with the stored one otherwise.

        Raises:
            CorpusError: the dataset was begun with another configuration; the message says where they differ.
        """
        file = self.root / "config.json"
        if file.exists():
            old = json.loads(file.read_text(encoding="utf-8"))
            # Compared as JSON values, key by key, so that the message can name the option that differs.
            keys = sorted(key for key in {*old, *config} if old.get(key) != config.get(key))
            if keys:
                differences = "; ".join(f"{key}: was {old.get(key)!r}, is {config.get(key)!r}" for key in keys)
                raise CorpusError(
                    f"{self.out} was made with another configuration ({differences}); "
                    "give another --out, the same options as before, or --overwrite to start afresh",
                    exit_code=2,
                )
        write_atomically(file, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())

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
        """Return True if the unit's result and marker are there, and the result has the length that the marker says.

        The length, not the hash: it costs one ``stat`` a unit when a run starts again, and finds a result that was cut
        short. Damage inside a file is found by ``items``.
        """
        return (
            self._marker(key).exists()
            and self._result(key).exists()
            and self.marker(key).bytes == self._result(key).stat().st_size
        )

    def finish(self, key: str, items: Iterable[Item], num_snippets: int) -> Marker:
        """Write a unit's result as its items come, then its marker, and return the marker.

        Args:
            key: the unit's key.
            items: the unit's rows and drops, in the order of its snippets.
            num_snippets: how many items there must be.
        """
        rows = drops = 0
        texts: list[str] = []
        repositories: Counter[str] = Counter()
        with replacing(self._result(key)) as file, _packed(file) as packed:
            for item in items:
                if isinstance(item, Dropped):
                    drops += 1
                    # ASCII, with escapes for all else: a line end inside a text can't end the line.
                    line = json.dumps(asdict(item), sort_keys=True).encode("ascii")
                else:
                    rows += 1
                    line = item.line
                    texts.append(text_key(item.columns["text"]))
                    repositories[item.columns["repository"]] += 1
                packed.write(line + b"\n")
        # An origin that loses a snippet is our mistake, and would break found = rows + duplicates + drops for good.
        assert rows + drops == num_snippets, f"unit {key}: {num_snippets} snippets became {rows} rows and {drops} drops"
        # Hashed from the disk, as it stands there: the marker vouches for the file, not for what was meant to be
        # written.
        result = self._result(key)
        with open(result, "rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        marker = Marker(
            found=num_snippets,
            rows=rows,
            drops=drops,
            texts=tuple(texts),
            repositories=dict(repositories),
            bytes=result.stat().st_size,
            sha256=digest,
        )
        write_atomically(self._marker(key), json.dumps(marker.to_json(), sort_keys=True).encode())
        return marker

    def marker(self, key: str) -> Marker:
        """Return the marker of a finished unit."""
        return Marker.from_json(json.loads(self._marker(key).read_bytes()))

    def items(self, key: str) -> Iterator[Item]:
        """Yield a finished unit's rows and drops, in the order of its snippets.

        Raises:
            CorpusError: the result was damaged on disk.
        """
        try:
            with gzip.open(self._result(key), "rt", encoding="ascii") as lines:
                for line in lines:
                    yield _item(line)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise CorpusError(f"{self._result(key)}: damaged ({error}); delete it and start again") from error

    def attempt(self, key: str) -> None:
        """Note that a worker has begun a unit: after the death of the whole machine, a person finds in ``attempts``
        which units were under way.
        """
        self._note(key, b"start\n")

    def death(self, key: str) -> int:
        """Note that a worker has died over a unit; return how many have."""
        self._note(key, b"death\n")
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


def _packed(file: BinaryIO) -> gzip.GzipFile:
    """Return a gzip stream into the file whose header has no file name and no time: the same items, the same bytes."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)


def _item(line: str) -> Item:
    """Return the row or drop that a line of a result holds; only rows have a ``trace_id``."""
    # The line itself is kept as the row's JSON: encoding it again would cost more than the rest of the merge.
    data = json.loads(line)
    return Row(columns=data, line=line.rstrip("\n").encode("ascii")) if "trace_id" in data else Dropped(**data)
