"""What is done and what is not, on disk: a run that is killed at any moment goes on where it stopped.

    DATASET/.ledger/config.json     what the dataset is made of; another configuration is refused
                    units/KEY.json  a work unit's payload, while it waits
                    results/KEY.jsonl.gz, done/KEY.json  a finished unit, and the marker that it is complete
                    attempts/KEY    a line for each start of a unit, and one for each death
                    sources/        unpacked archives

Every file is written under another name, flushed to the disk and renamed. A unit's name is the hash of its inputs,
so what is there is either right or not looked at.
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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from trace_mine.corpus.rows import is_row, text_key
from trace_mine.corpus.source import CorpusError, Dropped, Item, WorkUnit

FOLDER = ".ledger"


class Ledger:
    """The ledger of the dataset in ``out``. Cheap to open, also in worker processes; its state is on disk only."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.root = out / FOLDER
        self.sources = self.root / "sources"
        self._make_folders()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the dataset for this process; the kernel lets go when the process ends, however it ends.

        Raises:
            CorpusError: another process has it.
        """
        with open(self.root / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CorpusError(
                    f"another trace-mine is writing to {self.out}; wait for it, or give another --out"
                ) from error
            for leftover in self.root.rglob("*.tmp"):
                leftover.unlink()
            yield

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Keeps the configuration of a new dataset, compares that of an old one.

        Raises:
            CorpusError: the dataset was begun with another configuration; says where they differ.
        """
        file = self.root / "config.json"
        if file.exists():
            old = json.loads(file.read_text(encoding="utf-8"))
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
        """Forgets everything (``--overwrite``); the finished dataset beside the ledger stays until a new one
        replaces it.
        """
        for child in self.root.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
            elif child.name != "lock":
                child.unlink()
        self._make_folders()

    def add(self, unit: WorkUnit) -> None:
        """Keeps a unit's payload for the workers, unless it is done."""
        if not self.is_done(unit.key):
            write_atomically(self.root / "units" / f"{unit.key}.json", json.dumps(unit.payload).encode("ascii"))

    def payload(self, key: str) -> Mapping[str, Any]:
        """The payload of a waiting unit."""
        data: Mapping[str, Any] = json.loads((self.root / "units" / f"{key}.json").read_bytes())
        return data

    def is_done(self, key: str) -> bool:
        """True when the unit's result is there in full length."""
        marker = self.root / "done" / f"{key}.json"
        return (
            marker.exists()
            and self._result(key).exists()
            and self.marker(key)["bytes"] == self._result(key).stat().st_size
        )

    def finish(self, key: str, items: Iterable[Item], num_snippets: int) -> Mapping[str, Any]:
        """Writes a unit's result as its items come, then its marker, which is returned."""
        rows = drops = 0
        texts: list[str] = []
        repositories: Counter[str] = Counter()
        # No file name and no time in the gzip header: the same items are the same bytes.
        with (
            _replacing(self._result(key)) as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed,
        ):
            for item in items:
                if isinstance(item, Dropped):
                    drops += 1
                    line = asdict(item)
                else:
                    rows += 1
                    line = item
                    texts.append(text_key(item["text"]))
                    repositories[item["repository"]] += 1
                packed.write(json.dumps(line, sort_keys=True).encode("ascii") + b"\n")
        assert rows + drops == num_snippets, f"unit {key}: {num_snippets} snippets became {rows} rows and {drops} drops"
        data = self._result(key)
        with open(data, "rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        marker = {
            "found": num_snippets,
            "rows": rows,
            "drops": drops,
            "texts": texts,
            "repositories": dict(repositories),
            "bytes": data.stat().st_size,
            "sha256": digest,
        }
        write_atomically(self.root / "done" / f"{key}.json", json.dumps(marker, sort_keys=True).encode())
        return marker

    def marker(self, key: str) -> Mapping[str, Any]:
        """``found rows drops texts repositories bytes sha256`` of a finished unit: ``texts`` are the rows' text keys in
        order, ``repositories`` counts rows by repository.
        """
        data: Mapping[str, Any] = json.loads((self.root / "done" / f"{key}.json").read_bytes())
        return data

    def items(self, key: str) -> Iterator[Item]:
        """A finished unit's rows and drops, in order.

        Raises:
            CorpusError: the result was damaged on disk.
        """
        try:
            with gzip.open(self._result(key), "rt", encoding="ascii") as lines:
                for line in lines:
                    item = json.loads(line)
                    yield item if is_row(item) else Dropped(**item)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise CorpusError(f"{self._result(key)}: damaged ({error}); delete it and start again") from error

    def attempt(self, key: str) -> None:
        """Notes that a worker has begun a unit."""
        self._note(key, b"start\n")

    def death(self, key: str) -> int:
        """Notes that a worker has died over a unit; gives how many did."""
        self._note(key, b"death\n")
        return (self.root / "attempts" / key).read_bytes().count(b"death\n")

    def num_attempts(self, key: str) -> int:
        """How often a unit was begun."""
        file = self.root / "attempts" / key
        return file.read_bytes().count(b"start\n") if file.exists() else 0

    def tidy(self, keys: Iterable[str]) -> None:
        """After a merge: drops the payloads, the attempts, the unpacked archives, and results of units that are no
        more.

        The finished units stay, so that a changed repository costs only its own units.
        """
        kept = set(keys)
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

    def _note(self, key: str, line: bytes) -> None:
        with open(self.root / "attempts" / key, "ab", buffering=0) as file:
            file.write(line)


def write_atomically(path: Path, data: bytes) -> None:
    """Either the old file or the whole new one, at any moment."""
    with _replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
