"""Reads the files of sdists and wheels that nobody vouches for. Runs in the reader's sandbox.

Only regular files come out, as frames that ``staging`` writes: a line with path and size, then the bytes. Refused with
a clear error: absolute names, ``..``, too many members of any kind, too many bytes (declared or real), headers of
megabytes, encrypted or broken archives. Links and devices are left out. Not kept: modes, owners, times.

``tarfile``'s and ``zipfile``'s own ``extractall`` are not used: tarfile's safe ``filter`` is missing from the first
releases of CPython 3.11 and sets no bound on sizes, and zipfile renames what it finds unsafe instead of refusing it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from trace_mine.corpus.mined.reader_protocol import PARTS, ArchiveMember, ArchivePart, ArchiveRefusal, line_of

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".whl")

MAX_MEMBERS = 100_000
"""Members of all kinds: links and folders cost the reader as much as files."""
MAX_MEMBER_BYTES = 64 << 20
MAX_TOTAL_BYTES = 1 << 30
"""torch's sdist has 0.3 GB and 40,000 members; a bomb of 10 MB declares terabytes."""

MAX_NAME_CHARS = 1000
"""Characters of a member's name; Linux takes 4,096 bytes for a whole path."""
MAX_DEPTH = 100
"""Folders above a member; code that goes down a tree by recursion survives some more."""
MAX_HEADER_BYTES = 1 << 20
"""Bytes of a header of tar beside a member (a long name, PAX), which are read to memory before its name is known."""

PART_BYTES = 32 << 20
"""Bytes of members in one answer, after which the next one begins: most archives are one. A larger member is sent
alone, so that no answer has more than MAX_MEMBER_BYTES and two answers in a row have more than these.
"""

Binary = IO[bytes]

_CHUNK = 1 << 20
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class ArchiveRefused(Exception):
    """An archive is not unpacked; the message says why, without its name."""


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
    """Tell by the name if a file is an sdist, a wheel or another archive that can be unpacked."""
    return name.lower().endswith(SUFFIXES)


def archive_part(archive: Path, first_member: int) -> Iterator[bytes]:
    """Give the members of an archive from number ``first_member`` on, as many as one answer holds.

    Args:
        archive: a file with one of SUFFIXES.
        first_member: counted from 0, over members of all kinds.

    Yields:
        Lines, each followed by the bytes of its member; the last one is an ``ArchivePart`` or an ``ArchiveRefusal``.
    """
    try:
        yield from _part(archive, first_member)
    except ArchiveRefused as error:
        yield line_of(PARTS, ArchiveRefusal(evidence=str(error)[:1000]))
    except MemoryError:
        raise  # the sandbox's limit, which the one who asked is to hear of
    except Exception as error:
        # All of them: over broken archives the readers raise OSError, EOFError, RuntimeError, NotImplementedError,
        # ValueError (a name that is no UTF-8), RecursionError, struct.error, and what the next mutant finds.
        evidence = f"can't be unpacked ({type(error).__name__}: {str(error)[:300]}); download it again"
        yield line_of(PARTS, ArchiveRefusal(evidence=evidence))


def _part(archive: Path, first_member: int) -> Iterator[bytes]:
    members = _zip_members if archive.suffix.lower() in (".zip", ".whl") else _tar_members
    num_sent = num_read = 0
    for number, member in members(archive, first_member):
        # Read whole before its line is sent, so that what breaks in the middle of it can still be told.
        data = _data_of(member, num_read)
        num_read += len(data)
        if num_sent and num_sent + len(data) > PART_BYTES:
            yield line_of(PARTS, ArchivePart(next_member=number))
            return
        num_sent += len(data)
        yield line_of(PARTS, ArchiveMember(path=member.path, num_bytes=len(data)))
        yield data
    yield line_of(PARTS, ArchivePart(next_member=None))


def _data_of(member: Member, num_read: int) -> bytes:
    """The bytes of a member, counted as they come, whatever the headers declare. Raises ArchiveRefused."""
    data = bytearray()
    while chunk := member.data.read(_CHUNK):
        data += chunk
        if len(data) > MAX_MEMBER_BYTES or num_read + len(data) > MAX_TOTAL_BYTES:
            raise _too_large()
    return bytes(data)


def safe_path(name: str) -> str | None:
    """The relative path to write a member to, None for the root folder itself.

    Raises:
        ArchiveRefused: the name would leave the folder, or is longer or deeper than any name of source.
    """
    # The length first: a name of 60 MB of slashes would be taken apart into 60 million parts.
    if len(name) > MAX_NAME_CHARS or name.count("/") + name.count("\\") > MAX_DEPTH:
        raise ArchiveRefused(
            f"expected names of at most {MAX_NAME_CHARS} characters and {MAX_DEPTH} folders, got {name[:200]!r}"
        )
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    is_absolute = name.startswith(("/", "\\")) or (parts and ":" in parts[0])  # a colon: a drive of Windows
    if is_absolute or ".." in parts or "\0" in name:
        raise ArchiveRefused(f"expected names inside the archive's folder, got {name[:200]!r}; not unpacked")
    return "/".join(parts) or None


def _tar_members(archive: Path, first_member: int) -> Iterator[tuple[int, Member]]:
    """The files of a tar archive, decompressed as they are read, with their numbers.

    ``tarfile.open`` would find the compression by itself, but reads without a bound: the header of a long name may ask
    for gigabytes before any member is seen.
    """
    openers = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    opener = cast(_Opener, openers.get(archive.suffix.lower(), open))
    with opener(archive, "rb") as compressed:
        yield from _members_of(_Bounded(compressed), first_member)


def _members_of(stream: _Bounded, first_member: int) -> Iterator[tuple[int, Member]]:
    # "r|" reads forward only, so it needs nothing but `read` of the stream, and a member is read before the next.
    with tarfile.open(fileobj=cast(Binary, stream), mode="r|", tarinfo=_Header) as tar:
        for number, info in enumerate(tar):
            _check_count(number)
            path = safe_path(info.name)  # before its kind is looked at: a link outside is an attack as well
            # A declared size is a reason to stop early; the bytes are counted again when they are read.
            if info.size > MAX_MEMBER_BYTES:
                raise _too_large()
            data = tar.extractfile(info) if info.isfile() and path and number >= first_member else None
            if data is not None and path:
                yield number, Member(path=path, data=data)


class _Header(tarfile.TarInfo):
    """A header of tar, which is refused where it announces a long header beside the member."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """The header in a block of 512 bytes. Raises ArchiveRefused."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENSIONS and not 0 <= header.size <= MAX_HEADER_BYTES:
            raise ArchiveRefused(f"expected headers of at most {MAX_HEADER_BYTES} bytes, got one of {header.size}")
        return header


def _zip_members(archive: Path, first_member: int) -> Iterator[tuple[int, Member]]:
    """The files of a zip archive with their numbers. An encrypted one raises RuntimeError."""
    with zipfile.ZipFile(archive) as file:
        _check_count(len(file.infolist()) - 1)
        for number, info in enumerate(file.infolist()):
            path = safe_path(info.filename)
            # The upper 16 bits are the Unix mode of the file, whose upper 4 bits are 0o12 for a symbolic link.
            is_link = (info.external_attr >> 28) == 0o12
            if path and not info.is_dir() and not is_link and number >= first_member:
                with file.open(info) as data:
                    yield number, Member(path=path, data=data)


class _Bounded:
    """A stream that gives at most MAX_TOTAL_BYTES, so that no header of a tar file can ask for more."""

    def __init__(self, stream: Binary) -> None:
        self._stream, self._num_bytes = stream, 0

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes. Raises ArchiveRefused where the archive has more bytes than it may."""
        data = self._stream.read(size)
        self._num_bytes += len(data)
        if self._num_bytes > MAX_TOTAL_BYTES:
            raise _too_large()
        return data


def _check_count(number: int) -> None:
    """Raises ArchiveRefused where the member with this number, from 0 on, is one too many."""
    if number >= MAX_MEMBERS:
        raise ArchiveRefused(
            f"expected at most {MAX_MEMBERS} files, folders and links; unpack it yourself and give the folder"
        )


def _too_large() -> ArchiveRefused:
    limits = f"{MAX_MEMBER_BYTES >> 20} MB a file and {MAX_TOTAL_BYTES >> 20} MB together"
    return ArchiveRefused(
        f"expected at most {limits}, got more (a decompression bomb?); unpack it yourself and give the folder"
    )
