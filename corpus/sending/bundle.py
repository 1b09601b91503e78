"""A file or folder as one stream of bytes, the same for the same content, and back.

The stream is a tar archive with sorted names, modes and times in whole seconds, and without owners: bytecode of an
environment holds the time of its source, and programs may look at modes. Links go as links, whatever they lead to.
Left out are what nobody can read (pipes, devices, sockets), datasets of ours, which change while they are made, and the
objects of git, which no program needs to find the root of its checkout.

Not covered: owners, access lists, extended attributes, and hard links, which become files of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import FOLDER as LEDGER_FOLDER

CHUNK_BYTES = 4 << 20
"""Bytes of a stream that are sent at a time. Dask warns of messages over 10 MB, and a chunk is held by all on its way.
"""
GIT_OBJECTS = ("objects", "lfs", "modules")
"""Folders of ``.git`` that are left out: a checkout's history may be a hundred times its files."""
_BLOCK = 512


def bundle_chunks(path: Path) -> Iterator[bytes]:
    """Yield the stream of a file or folder, whose name in it is its own, in chunks of CHUNK_BYTES and a shorter one.

    Raises:
        CorpusError: it is gone, or changes while it is read.
    """
    waiting = bytearray()
    for part in _parts(path):
        waiting += part
        while len(waiting) > CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    yield bytes(waiting)


def bundle_name(path: Path) -> str:
    """Return the name of a bundle: a hash of its stream, 32 hexadecimal digits. Raises CorpusError."""
    digest = hashlib.sha256()
    for part in _parts(path):
        digest.update(part)
    return digest.hexdigest()[:32]


def unpack_bundle(file: BinaryIO, folder: Path) -> None:
    """Unpack a whole stream below an empty folder.

    Only for a stream of which the hash was compared with the name: it is then the command's own.
    """
    folders: list[tuple[Path, tarfile.TarInfo]] = []
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            # The names are those of files that were found below one folder, so none leads out of it, and links come
            # last, so that nothing is written through one.
            target = folder / member.name
            if member.isdir():
                target.mkdir()
                folders.append((target, member))
            elif member.issym():
                os.symlink(member.linkname, target)
            else:
                content = archive.extractfile(member)
                assert content is not None
                with open(target, "xb") as out:
                    while part := content.read(1 << 20):
                        out.write(part)
                os.chmod(target, member.mode)
                os.utime(target, (member.mtime, member.mtime))
    for target, member in reversed(folders):  # when all is in it: writing into a folder changes its time
        os.chmod(target, member.mode | 0o700)
        os.utime(target, (member.mtime, member.mtime))


def _parts(path: Path) -> Iterator[bytes]:
    try:
        links: list[tuple[str, str]] = []
        yield from _parts_of(Path(os.path.realpath(path)), path.name, links)
        for name, place in links:
            yield _header(name, os.lstat(place), tarfile.SYMTYPE, link=os.readlink(place))
        yield bytes(2 * _BLOCK)
    except OSError as error:
        raise CorpusError(
            f"expected to send {str(path)!r} to a worker, got {error.strerror or error}; start the same command again"
        ) from error


def _parts_of(path: Path, name: str, links: list[tuple[str, str]]) -> Iterator[bytes]:
    """The members of a file, or of a folder and all below it; links are put aside."""
    pending = [(str(path), name)]
    while pending:
        place, name = pending.pop()
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            links.append((name, place))
        elif stat.S_ISREG(status.st_mode):
            yield from _file(place, name, status)
        elif stat.S_ISDIR(status.st_mode):
            yield _header(name, status, tarfile.DIRTYPE)
            try:
                names = sorted(os.listdir(place), key=os.fsencode, reverse=True)
            except PermissionError:
                continue  # closed to the command, and so to a jail of its user
            if LEDGER_FOLDER in names and place != str(path):
                continue  # a dataset of ours, which may be the one that is being made
            is_git = name.rpartition("/")[2] == ".git"
            pending += [
                (f"{place}/{each}", f"{name}/{each}")
                for each in names
                if each != LEDGER_FOLDER and not (is_git and each in GIT_OBJECTS)
            ]


def _file(place: str, name: str, status: os.stat_result) -> Iterator[bytes]:
    try:
        file: BinaryIO | None = open(place, "rb", opener=_open_at_once)
    except PermissionError:
        file = None  # it is there, and can't be read: so it is at the other end
    size = status.st_size if file is not None else 0
    yield _header(name, status, tarfile.REGTYPE, size=size)
    left = size
    with file if file is not None else contextlib.nullcontext():
        while left:
            assert file is not None
            part = file.read(min(left, 1 << 20))
            if not part:
                raise OSError(None, f"a file that became shorter, {name}")
            left -= len(part)
            yield part
    yield bytes(-size % _BLOCK)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def _header(name: str, status: os.stat_result, kind: bytes, *, size: int = 0, link: str = "") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, link
    if kind != tarfile.SYMTYPE:  # a link's own time is that of its making, which says nothing of its content
        member.mode, member.mtime = stat.S_IMODE(status.st_mode) & 0o777, int(status.st_mtime)
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
