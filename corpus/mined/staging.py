"""Copies what is mined into a folder of ours: members of archives, scripts with their folders, installed modules.

Bytes are copied and hashed, and nothing of them is parsed: a tar or zip file is taken apart by ``archives``, in the
reader's sandbox, and what comes out of it is checked here. Copies are named for their content, so that what was copied
before is used again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from trace_mine.corpus.mined.archives import (
    MAX_DEPTH,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_TOTAL_BYTES,
    PART_BYTES,
    ArchiveRefused,
    safe_path,
)
from trace_mine.corpus.mined.files import LEDGER_FOLDER, MAX_FILE_BYTES
from trace_mine.corpus.mined.reader_protocol import PARTS, ArchiveMember, ArchivePart, ArchiveRefusal, from_line
from trace_mine.tracer.atomic import new_folder
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.script_folder import copy_of

MAX_PARTS = 2 * MAX_TOTAL_BYTES // PART_BYTES + 2
"""Answers that an archive may take: two in a row have more than PART_BYTES together."""
MAX_LINE_CHARS = 10_000
"""Bytes of the line before a member, which has a path."""

ReadPart = Callable[[int], bytes | Drop]
"""Gives the members of an archive from a number on, as ``archives.archive_part`` does, or why there is none."""


class _Refused(Exception):
    """Raised where a file may not be copied; the message says why."""


def stage_archive(archive: Path, staging: Path, read_part: ReadPart) -> Path | Drop:
    """Unpack an archive into a subfolder that is named for the archive's content; one that is there already is kept.

    Args:
        archive: the file.
        staging: where subfolders are made.
        read_part: gives its members.

    Returns:
        The repository's root: the single folder at the top, as sdists have it, or else the whole subfolder.

    Raises:
        OSError: the disk is full.
    """
    digest = _digest_of(archive)
    if isinstance(digest, Drop):
        return digest
    target = staging / digest
    if not target.exists():
        # Unpacked beside its place and renamed: a command that is killed here leaves nothing that the next one would
        # take for the whole archive.
        try:
            with new_folder(target) as partial:
                _write_parts(partial, read_part)
        except _Refused as error:
            return unreadable(str(error))
    children = sorted(os.listdir(target))
    single = target / children[0] if len(children) == 1 else target
    return single if single.is_dir() else target


def unreadable(evidence: str) -> Drop:
    """The drop of a repository that can't be read."""
    return Drop(reason=Reason.UNREADABLE_REPOSITORY, evidence=evidence)


def _digest_of(archive: Path) -> str | Drop:
    """The beginning of the hash of a regular file."""
    try:
        descriptor = os.open(archive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return unreadable(f"the archive can't be opened: {error.strerror}")
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_TOTAL_BYTES:
            return unreadable(f"expected an archive of at most {MAX_TOTAL_BYTES} bytes, got {status.st_size}")
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _write_parts(folder: Path, read_part: ReadPart) -> None:
    """Write all members of an archive below the folder. Raises _Refused."""
    os.chmod(folder, 0o755)  # whatever the umask: runs belong to another user where root mines
    writer = _FolderWriter(folder)
    first_member = 0
    for _ in range(MAX_PARTS):
        part = read_part(first_member)
        if isinstance(part, Drop):
            raise _Refused(part.evidence)
        try:
            next_member = _write_part(part, writer)
        except (ProtocolError, ArchiveRefused) as error:
            raise _Refused(str(error)) from None
        if next_member is None:
            return
        if next_member <= first_member:
            break
        first_member = next_member
    raise _Refused(f"expected an archive in at most {MAX_PARTS} parts, each behind the one before; got another order")


def _write_part(part: bytes, writer: _FolderWriter) -> int | None:
    """Write the members of one answer; the number of the member that comes next, None at the end.

    Raises:
        ProtocolError: the answer is not what ``archive_part`` gives.
        ArchiveRefused: a member's path leads outside.
        _Refused: there are too many members, too large, or they contradict each other.
    """
    start = 0
    while True:
        end = part.find(b"\n", start, start + MAX_LINE_CHARS)
        if end < 0:
            raise ProtocolError("expected a line before each member of an archive, got none")
        line = from_line(PARTS, part[start:end])
        start = end + 1
        if isinstance(line, ArchiveRefusal):
            raise _Refused(line.evidence)
        if isinstance(line, ArchivePart):
            return line.next_member
        assert isinstance(line, ArchiveMember)  # the third of PARTS
        if line.num_bytes > len(part) - start:
            raise ProtocolError("expected the bytes of a member behind its line, got fewer")
        writer.write(line.path, memoryview(part)[start : start + line.num_bytes])
        start += line.num_bytes


class _FolderWriter:
    """Writes files below a folder, and refuses more of them than an archive may have.

    What the reader counted is counted again: its answers are another's word.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = {""}
        self._num_files = self._num_bytes = 0

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Write a file.

        Raises:
            ArchiveRefused, _Refused: the path leads outside, or there is too much.
            OSError: the disk is full.
        """
        relative = safe_path(path)
        self._num_files += 1
        self._num_bytes += len(data)
        if relative is None or self._num_files > MAX_MEMBERS:
            raise _Refused(f"expected at most {MAX_MEMBERS} files, each with a name; got more")
        if len(data) > MAX_MEMBER_BYTES or self._num_bytes > MAX_TOTAL_BYTES:
            raise _Refused(f"expected at most {MAX_TOTAL_BYTES} bytes, got more")
        try:
            self._make_folders(relative)
            # Folders come from the files in them alone. No link is ever written, so none of them leads out of the
            # folder (`test_a_link_to_a_folder_cannot_be_written_through`).
            with open(self._folder / relative, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
        except (OSError, ValueError) as error:
            # A full disk says nothing of the archive, and the same command can go on once there is room.
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            # A name that is too long, or is a file's and a folder's; one that is no UTF-8 in any way.
            raise _Refused(f"can't be written ({type(error).__name__})") from None

    def _make_folders(self, relative: str) -> None:
        parts = relative.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            folder = "/".join(parts[:end])
            if folder not in self._made:
                if len(self._made) > MAX_MEMBERS:
                    raise _Refused(f"expected at most {MAX_MEMBERS} folders, got more")
                os.mkdir(self._folder / folder)
                os.chmod(self._folder / folder, 0o755)
                self._made.add(folder)


def stage_files(
    sources: Sequence[Path],
    base: Path,
    staging: Path,
    *,
    label: str,
    added: Mapping[str, bytes] | None = None,
    left_out: Collection[str] = (),
) -> Path | Drop:
    """Copy files and folders into a folder that is named for their content; links are left out.

    Args:
        sources: the files and folders.
        base: the folder that paths in the copy are relative to.
        staging: where the copy is made.
        label: the beginning of its name, for people.
        added: by path, relative to ``base``, files that the copy has besides, or in the place of those there.
        left_out: paths, relative to ``base``, of files that the copy does not have.

    Returns:
        The copy; the one that is there already where nothing has changed.

    Raises:
        OSError: the disk is full.
    """
    digest = hashlib.sha256()
    try:
        files = [path for source in sources for path in regular_files(source)]
        if left_out:
            files = [path for path in files if path.relative_to(base).as_posix() not in left_out]
        for path in files:
            digest.update(os.fsencode(path.relative_to(base)) + b"\0")  # no path has a null byte, so it ends the name
            with open(path, "rb", opener=_open_at_once) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        for name, data in sorted((added or {}).items()):
            digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(data).digest())
        target = staging / f"{label}-{digest.hexdigest()[:16]}"
        if not target.exists():
            with new_folder(target) as partial:
                _copy(files, base, partial)
                for name, data in (added or {}).items():
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    (partial / name).write_bytes(data)
                _open_to_all(partial)
    except _Refused as error:
        return unreadable(str(error))
    except (FileExistsError, NotADirectoryError):
        return unreadable("expected a file to be added in a folder of the repository, got a file in its place")
    except PermissionError as error:
        name = Path(str(error.filename)).name
        return unreadable(f"expected a readable file, got {error.strerror} for {name!r}; change its permissions")
    return target


def stage_checkout(root: Path, added: Mapping[str, str], staging: Path) -> Path | Drop:
    """Copy a repository and add files that it lacks; git's folder and environments in it are no part of the copy.

    Args:
        root: the repository's folder.
        added: by path, relative to the root, the text of each file.
        staging: where the copy is made.

    Raises:
        OSError: the disk is full.
    """
    texts = {name: text.encode("utf-8", "replace") for name, text in added.items()}
    return stage_files(_parts_of_checkout(root), root, staging, label="checkout", added=texts)


def stage_cleaned(root: Path, files: Mapping[str, tuple[str, bytes]], staging: Path) -> Path | Drop:
    """Copy a repository with other files in the place of some; what is no part of ``stage_checkout``'s copy is none of
    this.

    Args:
        root: the repository's folder.
        files: by path, relative to the root, the path and the content of the file in its place.
        staging: where the copy is made.

    Raises:
        OSError: the disk is full.
    """
    added = dict(files.values())
    return stage_files(_parts_of_checkout(root), root, staging, label="clean", added=added, left_out=files.keys())


def _parts_of_checkout(root: Path) -> list[Path]:
    """The part of a repository's folder that is copied: no hidden folders, links, environments or datasets of ours."""
    with os.scandir(root) as entries:
        return sorted(
            root / entry.name
            for entry in entries
            if not (entry.name.startswith(".") and entry.is_dir(follow_symlinks=False))
            and not entry.is_symlink()
            and not any(os.path.lexists(os.path.join(entry.path, name)) for name in ("pyvenv.cfg", LEDGER_FOLDER))
        )


def stage_script_folder(script: Path, staging: Path) -> Path | None:
    """Copy a script's folder, within the bounds of ``script_folder``, into one that is named for its content.

    Links are left out here, since the copy is searched and shown under a path of this machine; so are files whose names
    begin with a dot, which hold settings and secrets.

    Returns:
        The copy; None where the folder or the script can't be read.

    Raises:
        OSError: the disk is full.
    """
    try:
        with open(script, "rb", opener=_open_at_once) as file:
            source = file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
        copied = copy_of(script.parent, mentioned=f"{script.name}\n{source}")
    except OSError:
        return None
    files = [(path, data) for path, _, data in copied.content.files if not path.rpartition("/")[2].startswith(".")]
    digest = hashlib.sha256()
    for path, content in sorted(files):
        digest.update(os.fsencode(path) + b"\0" + hashlib.sha256(content).digest())
    target = staging / f"{copied.content.name}-{digest.hexdigest()[:16]}"
    if not target.exists():
        with new_folder(target) as partial:
            for path, content in files:
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                (partial / path).write_bytes(content)
            _open_to_all(partial)
    return target


def _copy(files: Sequence[Path], base: Path, folder: Path) -> None:
    for path in files:
        copy = folder / path.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Not by copytree, which keeps modes and times: the copy must not depend on them.
        with open(path, "rb", opener=_open_at_once) as source, open(copy, "wb") as file:
            shutil.copyfileobj(source, file)


def _open_to_all(folder: Path) -> None:
    """Let every user read what is in a folder, whatever the umask: root's jail runs as another one."""
    os.chmod(folder, 0o755)
    for parent, folders, names in os.walk(folder):
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o755)
        for name in names:
            os.chmod(os.path.join(parent, name), 0o644)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for another process, as a pipe would have us do. Raises OSError."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def regular_files(source: Path) -> Iterator[Path]:
    """The regular files of a folder and of all below it, in the order of their paths, or the one file that is given.

    Links are left out, since they could bring any file of this machine into the sandbox; so is Python's bytecode.

    Raises:
        _Refused: there are more of them, or they have more bytes, than an archive may have.
    """
    status = os.lstat(source)
    if stat.S_ISREG(status.st_mode):
        yield source
        return
    num_entries = num_bytes = 0
    pending = [(str(source), 0)]
    while pending:
        folder, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise _Refused(f"expected at most {MAX_DEPTH} folders below each other, got more")
        inner = []
        with os.scandir(folder) as listed:
            entries = []
            for entry in listed:
                num_entries += 1
                if num_entries > MAX_MEMBERS:
                    raise _Refused(f"expected at most {MAX_MEMBERS} files, folders and links, got more")
                entries.append(entry)
        for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    inner.append((entry.path, depth + 1))
            elif entry.is_file(follow_symlinks=False):
                num_bytes += entry.stat(follow_symlinks=False).st_size
                if num_bytes > MAX_TOTAL_BYTES:
                    raise _Refused(f"expected at most {MAX_TOTAL_BYTES} bytes, got more; give a smaller folder")
                yield Path(entry.path)
        pending += reversed(inner)
