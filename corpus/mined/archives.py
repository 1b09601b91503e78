"""Unpacks sdists and wheels that nobody vouches for.

Only regular files and folders come out. Refused with a clear error: absolute names, ``..``, too many members, too
many bytes (declared or real), encrypted or broken archives. Links and devices are left out and counted. Not kept:
modes, owners, times.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.atomic import new_folder

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".whl")

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 64 << 20
MAX_TOTAL_BYTES = 1 << 30
"""torch's sdist has 0.3 GB and 40,000 members; a bomb of 10 MB declares terabytes."""

_CHUNK = 1 << 20
_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A regular file in an archive: its checked relative path and its data, to be read before the next member."""

    path: str
    data: IO[bytes]


def is_archive(name: str) -> bool:
    """By name, as an sdist or a wheel is called."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpacks into a subfolder of ``folder`` that is named for the archive's content, once; gives the repository's
    root in it.

    A single folder at the top, as sdists have it, is the root.

    Raises:
        CorpusError: the archive is broken or not safe to unpack.
    """
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    target = folder / digest
    if not target.exists():
        with new_folder(target) as partial:
            try:
                _write_members(archive, partial)
            except _BROKEN as error:
                # a full disk says nothing of the archive
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                raise CorpusError(
                    f"{archive.name}: can't be unpacked ({type(error).__name__}: {error}); download it again"
                ) from error
    children = sorted(target.iterdir())
    return children[0] if len(children) == 1 and children[0].is_dir() else target


def _write_members(archive: Path, folder: Path) -> None:
    num_bytes = 0
    members = _zip_members(archive) if archive.suffix.lower() in (".zip", ".whl") else _tar_members(archive)
    for number, member in enumerate(members):
        if number >= MAX_MEMBERS:
            raise CorpusError(
                f"{archive.name}: expected at most {MAX_MEMBERS} files; unpack it yourself and give the folder"
            )
        target = folder / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as file:
            size = 0
            while chunk := member.data.read(_CHUNK):
                size += len(chunk)
                num_bytes += len(chunk)
                if size > MAX_MEMBER_BYTES or num_bytes > MAX_TOTAL_BYTES:
                    raise _too_large(archive.name)
                file.write(chunk)


def safe_path(archive: str, name: str) -> str | None:
    """The relative path to write a member to, None for the root folder itself.

    Raises:
        CorpusError: the name would leave the folder.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or ".." in parts or (parts and ":" in parts[0]) or "\0" in name or len(name) > 1000:
        raise CorpusError(f"{archive}: expected names inside the archive's folder, got {name[:200]!r}; not unpacked")
    return "/".join(parts) or None


def _tar_members(archive: Path) -> Iterator[Member]:
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    opener: Callable[..., Any] = openers.get(archive.suffix.lower(), open)
    with opener(archive, "rb") as raw:
        bounded: Any = _Bounded(raw, archive.name)
        yield from _members_of(archive.name, bounded)


def _members_of(name: str, bounded: Any) -> Iterator[Member]:
    with tarfile.open(fileobj=bounded, mode="r|") as tar:
        for info in tar:
            path = safe_path(name, info.name)
            if info.size > MAX_MEMBER_BYTES:
                raise _too_large(name)
            data = tar.extractfile(info) if info.isfile() and path else None
            if data is not None and path:
                yield Member(path=path, data=data)


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            path = safe_path(archive.name, info.filename)
            is_link = (info.external_attr >> 28) == 0o12
            if path and not info.is_dir() and not is_link:
                with file.open(info) as data:
                    yield Member(path=path, data=data)


class _Bounded:
    """Reads at most MAX_TOTAL_BYTES, so that no header of a tar file can ask for more."""

    def __init__(self, raw: IO[bytes], name: str) -> None:
        self._raw, self._name, self._num_bytes = raw, name, 0

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._num_bytes += len(data)
        if self._num_bytes > MAX_TOTAL_BYTES:
            raise _too_large(self._name)
        return data


def _too_large(name: str) -> CorpusError:
    limits = f"{MAX_MEMBER_BYTES >> 20} MB a file and {MAX_TOTAL_BYTES >> 20} MB together"
    return CorpusError(
        f"{name}: expected at most {limits}, got more (a decompression bomb?); unpack it yourself and give the folder"
    )
