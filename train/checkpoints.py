"""Which checkpoints of a run are whole: each is sealed with the hashes of its files, and a damaged one is passed over.

The seal is ``complete.json``, written last, so that a checkpoint without one was never finished::

    {"step": 8, "files": {"model.safetensors": {"bytes": 9216, "sha256": "..."}, ...}, "sha256": "..."}

The last hash is of the seal's other parts. A finished run folder has a seal of its own, over the files that are read
of it. Seals find damage, not malice: whoever changes a file on purpose can write its seal too. So what is read is only
safetensors and JSON, in bounds, whether a seal holds or not.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.bounded import MAX_JSON_BYTES, DamagedFile, parse_json, read_bytes, sha256_of

SEAL = "complete.json"

_NAME = re.compile(r"checkpoint-(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """The number of bytes of a file and their SHA-256, in hexadecimal digits."""

    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if type(self.bytes) is not int or self.bytes < 0 or not re.fullmatch("[0-9a-f]{64}", str(self.sha256)):
            raise DamagedFile(f"expected a size and a SHA-256, got {self.bytes!r:.30} and {self.sha256!r:.80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A folder's seal: the optimiser step, and relative path -> file.

    ``files`` is None in checkpoints of versions before 0.3, whose seals have a step alone.
    """

    step: int
    files: Mapping[str, SealedFile] | None

    def check(self, folder: Path, names: Iterable[str] | None = None) -> None:
        """Compare the folder's files with the seal; with ``names`` these alone, and of them those that it has.

        Raises:
            DamagedFile: the first difference: a file is missing, or has another size or other bytes.
        """
        files = self.files or {}
        for name in files if names is None else [name for name in names if name in files]:
            num_bytes, digest = sha256_of(folder / name)
            if num_bytes != files[name].bytes:
                raise DamagedFile(f"expected {files[name].bytes} bytes in {folder / name}, got {num_bytes}")
            if digest != files[name].sha256:
                raise DamagedFile(f"expected {folder / name} as it was written, got other bytes (by SHA-256)")


def seal(folder: Path, step: int, names: Iterable[str] | None = None) -> None:
    """Write a folder's seal over the files ``names``, relative to it; None: over all files below it.

    Call it after all of them are written.
    """
    if names is None:
        paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
        names = (path.relative_to(folder).as_posix() for path in paths)
    files = {}
    for name in sorted(name for name in names if name != SEAL):
        num_bytes, digest = sha256_of(folder / name)
        files[name] = {"bytes": num_bytes, "sha256": digest}
    record = {"step": step, "files": files}
    write_atomically(folder / SEAL, _text(record))


def has_seal(folder: Path) -> bool:
    """Tell if a folder has a seal, be it a damaged one: a FIFO, or a link to nowhere."""
    return (folder / SEAL).exists() or (folder / SEAL).is_symlink()


def read_seal(folder: Path) -> Seal:
    """Read a folder's seal.

    Raises:
        DamagedFile: there is none, or not one that ``seal`` wrote.
    """
    text = read_bytes(folder / SEAL, MAX_JSON_BYTES)
    record = parse_json(text, folder / SEAL)
    step, files = record.get("step"), record.get("files")
    if type(step) is not int or step < 0:
        raise DamagedFile(f"expected a step in {folder / SEAL}, got {step!r:.30}")
    if set(record) == {"step"}:
        return Seal(step=step, files=None)
    if not isinstance(files, dict) or text != _text({"step": step, "files": files}):
        raise DamagedFile(f"expected {folder / SEAL} as it was written, got other contents (by SHA-256)")
    sealed = {}
    for name, entry in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not isinstance(entry, dict) or set(entry) != {"bytes", "sha256"}:
            raise DamagedFile(f"expected files of {folder} in its {SEAL}, got {name!r:.80}")
        sealed[name] = SealedFile(**entry)
    return Seal(step=step, files=sealed)


def checked_step(checkpoint: Path) -> tuple[int, bool]:
    """Check all files of a checkpoint by its seal; return its step, and whether the seal has hashes.

    Raises:
        DamagedFile: the first difference.
    """
    own = read_seal(checkpoint)
    if own.step != _step(checkpoint):
        raise DamagedFile(f"expected the step of {checkpoint} in its {SEAL}, got {own.step}")
    own.check(checkpoint)
    return own.step, own.files is not None


def sealed(folder: Path) -> list[Path]:
    """Return the checkpoints of a run that have a seal, damaged or not, the latest first."""
    # by the number: by name checkpoint-800 would come after checkpoint-1000
    return sorted((path for path in _checkpoints(folder) if has_seal(path)), key=_step, reverse=True)


def unsealed(folder: Path) -> list[Path]:
    """Return the checkpoints of a run that have none: a run ended while it wrote them, or they were damaged."""
    return sorted((path for path in _checkpoints(folder) if not has_seal(path)), key=_step, reverse=True)


def last_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """Return a run's latest checkpoint that is whole by its seal, and its step; None if there is none."""
    for path in sealed(folder):
        try:
            return path, checked_step(path)[0]
        except DamagedFile:
            continue
    return None


def set_aside(checkpoint: Path) -> Path:
    """Rename a damaged checkpoint so that it counts no more, and return its new path.

    A run that goes on from an older one would otherwise keep it, as the latest, and remove whole ones for it.
    """
    number = 0
    while (target := checkpoint.with_name(f"damaged-{checkpoint.name}" + f"-{number}" * bool(number))).exists():
        number += 1
    checkpoint.rename(target)
    return target


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Remove all checkpoints older than the latest ``keep`` sealed ones, unsealed ones included.

    An unsealed checkpoint that is newer stays, because another process may be writing it.
    """
    if latest := sealed(folder)[:keep]:
        for path in _checkpoints(folder):
            if _step(path) < _step(latest[-1]):
                shutil.rmtree(path)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders that are called like checkpoints; a link is none, for it would be emptied in its place."""
    paths = (folder / "checkpoints").glob("checkpoint-*")
    return [path for path in paths if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def _text(record: Mapping[str, object]) -> bytes:
    """Return the text of a seal, with the hash of its other parts."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**record, "sha256": digest}, indent=2) + "\n").encode()
