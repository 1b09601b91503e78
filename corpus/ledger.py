"""What is done and what is not, on disk: a run that is killed at any moment goes on where it stopped.

    DATASET/.ledger/config.json     what the dataset is made of; another configuration is refused
                    units/KEY.json  a work unit's payload, while it waits
                    results/KEY.jsonl.gz, done/KEY.json  a finished unit, and the marker that it is complete
                    attempts/KEY    a line for each start of a unit, and one for each death
                    sources/        unpacked archives

Every file is written under another name, flushed to the disk and renamed. A unit's name is the hash of its inputs,
so what is there is either right or not looked at. Workers on several machines may share a ledger through a common file
system: each writes files of its own.
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

    def check_config(self, config: Mapping[str, object]) -> None:
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

    def payload(self, key: str) -> Payload:
        """The payload of a waiting unit."""
        data: Payload = json.loads((self.root / "units" / f"{key}.json").read_bytes())
        return data

    def is_done(self, key: str) -> bool:
        """True when the unit's result is there in full length."""
        return (
            self._marker(key).exists()
            and self._result(key).exists()
            and self.marker(key).bytes == self._result(key).stat().st_size
        )

    def finish(self, key: str, items: Iterable[Item], num_snippets: int) -> Marker:
        """Writes a unit's result as its items come, then its marker, which is returned."""
        rows = drops = 0
        texts: list[str] = []
        repositories: Counter[str] = Counter()
        with replacing(self._result(key)) as file, _packed(file) as packed:
            for item in items:
                if isinstance(item, Dropped):
                    drops += 1
                    line = json.dumps(asdict(item), sort_keys=True).encode("ascii")
                else:
                    rows += 1
                    line = item.line
                    texts.append(text_key(item.columns["text"]))
                    repositories[item.columns["repository"]] += 1
                packed.write(line + b"\n")
        assert rows + drops == num_snippets, f"unit {key}: {num_snippets} snippets became {rows} rows and {drops} drops"
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
        """What a finished unit holds."""
        return Marker.from_json(json.loads(self._marker(key).read_bytes()))

    def items(self, key: str) -> Iterator[Item]:
        """A finished unit's rows and drops, in order.

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

    def _marker(self, key: str) -> Path:
        return self.root / "done" / f"{key}.json"

    def _note(self, key: str, line: bytes) -> None:
        with open(self.root / "attempts" / key, "ab", buffering=0) as file:
            file.write(line)


def _packed(file: BinaryIO) -> gzip.GzipFile:
    """Compresses into the file: no file name and no time in the header, so that the same items are the same bytes."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)


def _item(line: str) -> Item:
    """The row or drop that a line of a result is; only rows have a ``trace_id``."""
    data = json.loads(line)
    return Row(columns=data, line=line.rstrip("\n").encode("ascii")) if "trace_id" in data else Dropped(**data)
