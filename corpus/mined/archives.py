"""Unpacks sdists and wheels that nobody vouches for.

Only regular files and the folders that hold them come out. Refused with a clear error: absolute names, ``..``, too many
files, too many bytes (declared or real), encrypted or broken archives. Links and devices are left out. Not kept: modes,
owners, times.

``tarfile``'s and ``zipfile``'s own ``extractall`` are not used: tarfile's safe ``filter`` is missing from the first
releases of CPython 3.11 and sets no bound on sizes, and zipfile renames what it finds unsafe instead of refusing it.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.atomic import new_folder

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".whl")

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 64 << 20
MAX_TOTAL_BYTES = 1 << 30
"""torch's sdist has 0.3 GB and 40,000 members; a bomb of 10 MB declares terabytes."""

MAX_NAME_CHARS = 1000
"""Characters of a member's name; Linux takes 4,096 bytes for a whole path."""

Binary = IO[bytes]

_CHUNK = 1 << 20
# The errors that the readers raise over broken archives: NotImplementedError for an unknown compression method,
# RuntimeError for an encrypted member.
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
    data: Binary


class _Opener(Protocol):
    """The part of ``open``, ``gzip.open`` and the like that is used here."""

    def __call__(self, file: Path, mode: str, /) -> Binary:
        """The file, opened in this mode."""


def is_archive(name: str) -> bool:
    """Tell by the name if a file is an sdist, a wheel or another archive that ``unpack`` takes."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a subfolder that is named for the archive's content; one that is there already is kept.

    Args:
        archive: a file with one of SUFFIXES.
        folder: where subfolders are made.

    Returns:
        The repository's root: the single folder at the top, as sdists have it, or else the whole subfolder.

    Raises:
        CorpusError: the archive is broken or not safe to unpack.
        OSError: the archive can't be read, or the disk is full.
    """
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    target = folder / digest
    if not target.exists():
        # Unpacked beside its place and renamed: a command that is killed here leaves nothing that the next one would
        # take for the whole archive.
        with new_folder(target) as partial:
            try:
                _write_members(archive, partial)
            except _BROKEN as error:
                # A full disk says nothing of the archive, and the same command can go on once there is room.
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                raise CorpusError(
                    f"{archive.name}: can't be unpacked ({type(error).__name__}: {error}); download it again"
                ) from error
    children = sorted(target.iterdir())
    return children[0] if len(children) == 1 and children[0].is_dir() else target


def _write_members(archive: Path, folder: Path) -> None:
    """Write the archive's files below the folder; bytes are counted as they come, whatever the headers declare."""
    num_bytes = 0
    members = _zip_members(archive) if archive.suffix.lower() in (".zip", ".whl") else _tar_members(archive)
    for number, member in enumerate(members):
        if number >= MAX_MEMBERS:
            raise CorpusError(
                f"{archive.name}: expected at most {MAX_MEMBERS} files; unpack it yourself and give the folder"
            )
        target = folder / member.path
        # Folders come from the files in them alone. No link is ever written, so none of them leads out of the folder
        # (`test_a_link_to_a_folder_cannot_be_written_through`).
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
    is_absolute = name.startswith(("/", "\\")) or (parts and ":" in parts[0])  # a colon: a drive of Windows
    if is_absolute or ".." in parts or "\0" in name or len(name) > MAX_NAME_CHARS:
        raise CorpusError(f"{archive}: expected names inside the archive's folder, got {name[:200]!r}; not unpacked")
    return "/".join(parts) or None


def _tar_members(archive: Path) -> Iterator[Member]:
    """The files of a tar archive, decompressed as they are read.

    ``tarfile.open`` would find the compression by itself, but reads without a bound: the header of a long name may ask
    for gigabytes before any member is seen.
    """
    openers = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    opener = cast(_Opener, openers.get(archive.suffix.lower(), open))
    with opener(archive, "rb") as compressed:
        yield from _members_of(archive.name, _Bounded(compressed, archive.name))


def _members_of(name: str, stream: _Bounded) -> Iterator[Member]:
    # "r|" reads forward only, so it needs nothing but `read` of the stream, and a member is read before the next.
    with tarfile.open(fileobj=cast(Binary, stream), mode="r|") as tar:
        for info in tar:
            path = safe_path(name, info.name)  # before its kind is looked at: a link outside is an attack as well
            # A declared size is a reason to stop early; the bytes are counted again when they are written.
            if info.size > MAX_MEMBER_BYTES:
                raise _too_large(name)
            data = tar.extractfile(info) if info.isfile() and path else None
            if data is not None and path:
                yield Member(path=path, data=data)


def _zip_members(archive: Path) -> Iterator[Member]:
    """The files of a zip archive. An encrypted one raises RuntimeError, which ``unpack`` reports."""
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            path = safe_path(archive.name, info.filename)
            # The upper 16 bits are the Unix mode of the file, whose upper 4 bits are 0o12 for a symbolic link.
            is_link = (info.external_attr >> 28) == 0o12
            if path and not info.is_dir() and not is_link:
                with file.open(info) as data:
                    yield Member(path=path, data=data)


class _Bounded:
    """A stream that gives at most MAX_TOTAL_BYTES, so that no header of a tar file can ask for more.

    Args:
        stream: the decompressed archive.
        name: the archive's, for the error.
    """

    def __init__(self, stream: Binary, name: str) -> None:
        self._stream, self._name, self._num_bytes = stream, name, 0

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes.

        Raises:
            CorpusError: the archive has more bytes than it may.
        """
        data = self._stream.read(size)
        self._num_bytes += len(data)
        if self._num_bytes > MAX_TOTAL_BYTES:
            raise _too_large(self._name)
        return data


def _too_large(name: str) -> CorpusError:
    limits = f"{MAX_MEMBER_BYTES >> 20} MB a file and {MAX_TOTAL_BYTES >> 20} MB together"
    return CorpusError(
        f"{name}: expected at most {limits}, got more (a decompression bomb?); unpack it yourself and give the folder"
    )
