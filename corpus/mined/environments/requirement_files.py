"""The lines of a repository's requirements files, with those of files that they include."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from trace_mine.corpus.mined.packaging_files import PackagingFiles

Lines = Iterable[str]

MAX_FILES = 30
"""Files of a repository that are read, included ones among them."""
MAX_LINES = 5_000
"""Lines of a file that are read."""

_FOLDERS = ("", "requirements", "tests", "test", "testing")
_other_purpose = re.compile(r"doc|lint|mypy|typing|build|release|publish|deploy|bench|example", re.IGNORECASE)
"""Files that say what documents, checks of style and releases need."""
_include = re.compile(r"(?:-r|--requirement)[ =]?\s*+(\S++)")


def requirement_files(packaging: PackagingFiles) -> list[str]:
    """The paths of the files that say what a repository's code and tests need."""
    paths = []
    for folder in _FOLDERS:
        for name in packaging.names(folder):
            stem = name.rpartition(".")[0].lower()
            is_named = "requirements" in stem or ("constraints" not in stem and folder == "requirements")
            if name.endswith((".txt", ".in")) and is_named and _other_purpose.search(name) is None:
                paths.append(posixpath.join(folder, name))
    return paths[:MAX_FILES]


def lines_of(packaging: PackagingFiles, path: str) -> Iterator[str]:
    """The lines of a file and of those that it includes, each file once; without comments, a backslash's line joined.

    A file that is missing, or lies outside of the repository, has no lines.
    """
    pending, seen = [path], set[str]()
    while pending and len(seen) < MAX_FILES:
        current = posixpath.normpath(pending.pop(0))
        if current in seen or current.startswith(("/", "..")):
            continue
        seen.add(current)
        text = (packaging.read(current) or b"").decode("utf-8", "replace").replace("\\\n", " ")
        for line in text.splitlines()[:MAX_LINES]:
            stripped = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
            included = _include.match(stripped)
            if included is not None:
                pending.append(posixpath.join(posixpath.dirname(current), included[1]))
            elif stripped:
                yield stripped
