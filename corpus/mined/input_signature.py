"""The inputs of a mined dataset as one hash, by looking at files and opening almost none of them.

A folder is told by the names, sizes, modes and times of its files, so that a second command on a finished dataset
answers at once. What changes a file and keeps its size, its time of change and that of its inode is not seen; nothing
but a set clock does that.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.mined.files import LEDGER_FOLDER
from trace_mine.corpus.mined.import_search import ImportSearch
from trace_mine.corpus.mined.options import MineOptions
from trace_mine.corpus.mined.repositories import IgnoredInput, NamedInput, Repository, Unpacker, open_target
from trace_mine.tracer.schema import Drop

GIT_NAMES = ("HEAD", "config", "packed-refs", "refs")
"""Of git's folder, what says which commit is checked out; ``git status`` alone changes others."""


class _NoUnpacker:
    def unpack(self, archive: Path) -> Path | Drop:
        raise AssertionError(f"expected no archive here, got {archive.name}")


def input_signature(
    targets: Sequence[tuple[int, NamedInput]],
    ignored: Sequence[IgnoredInput],
    options: MineOptions,
    search: ImportSearch,
    staging: Path,
) -> str:
    """Return a hash of all that the targets' rows may depend on, beside code and configuration.

    Args:
        targets: what is mined, with its place.
        ignored: what is not.
        options: of the mining; folders that they name are looked at.
        search: what is installed for the interpreter that runs snippets.
        staging: where copies of scripts and modules are made.

    Raises:
        CorpusError: a module is gone.
        OSError: the disk is full.
    """
    installed = sorted((name, each.version) for name, each in search.distributions.items())
    folders = [*options.packages, *options.find_links]
    if options.environment not in ("auto", "none"):
        folders.append(Path(options.environment))
    return content_key(
        [[place, _of_target(target, search, staging)] for place, target in targets],
        [[item.name.encode("utf-8", "backslashreplace").decode(), item.explanation] for item in ignored],
        [folder_state(folder) for folder in folders],
        [options.python, search.version, installed],
    )


def _of_target(target: NamedInput, search: ImportSearch, staging: Path) -> list[object]:
    lines = list(target.ignore)
    if target.kind in ("folder", "archive"):
        return [target.kind, folder_state(target.path), lines]
    # a script brings what lies beside it, within bounds, and a module is a package: both are copied by content
    unpacker: Unpacker = _NoUnpacker()
    opened = open_target(target, unpacker, staging, search)
    if isinstance(opened, Repository):
        return [target.kind, opened.root.name, list(opened.only or ()), str(opened.library), lines]
    return [target.kind, opened.evidence, lines]


def folder_state(path: Path) -> str:
    """Return a hash of the names, sizes, modes and times of a file, or of all files below a folder.

    Left out are Python's bytecode, datasets of ours, and most of git's folder; of folders, their times.
    """
    digest = hashlib.sha256()
    for name, status, link in _entries(path):
        facts: tuple[object, ...] = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), link)
        if stat.S_ISREG(status.st_mode):
            facts += (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(os.fsencode(name) + b"\0" + repr(facts).encode() + b"\0")
    return digest.hexdigest()[:32]


def _entries(path: Path) -> Iterator[tuple[str, os.stat_result, str]]:
    pending = [(str(path), path.name)]
    while pending:
        place, name = pending.pop()
        try:
            status = os.lstat(place)
            link = os.readlink(place) if stat.S_ISLNK(status.st_mode) else ""
            names = sorted(os.listdir(place), key=os.fsencode) if stat.S_ISDIR(status.st_mode) else []
        except OSError:
            continue  # it vanished, or is closed to us, and to what would read it
        if LEDGER_FOLDER in names:
            if place != str(path):
                continue
            names.remove(LEDGER_FOLDER)
        if os.path.basename(place) == ".git":
            names = [each for each in names if each in GIT_NAMES]
        yield name, status, link
        pending += [(f"{place}/{each}", f"{name}/{each}") for each in names if each != "__pycache__"]
