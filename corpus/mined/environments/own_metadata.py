"""The metadata that ``importlib.metadata`` finds of a repository, which is on ``sys.path`` without being installed.

Many packages ask for their own version when they are imported. An sdist made by setuptools brings its ``.egg-info``;
others, and checkouts, bring nothing. The metadata made here has a name, a version and the entry points that the
repository declares: a plugin's tests need it loaded.
"""

from __future__ import annotations

import os
from pathlib import Path

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.mined.environments.entry_points import entry_points_text
from trace_mine.corpus.mined.environments.version_files import UNKNOWN_VERSION
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.tracer.atomic import new_folder, write_atomically

_FOR_PEOPLE = frozenset(("console_scripts", "gui_scripts"))
"""Groups of commands, which nothing but an installer asks for."""
_ASKING = frozenset(("importlib", "importlib_metadata", "pkg_resources"))


def needs_metadata(summary: RepositorySummary) -> bool:
    """Return True if the repository imports a module that reads metadata, or is a plugin of another program."""
    groups = {group for group, _, _ in summary.entry_points}
    return bool(groups - _FOR_PEOPLE) or any(name in summary.imports for name in _ASKING)


def own_metadata(folder: Path, summary: RepositorySummary) -> Path:
    """Return a folder for ``sys.path`` that holds the repository's metadata and nothing else.

    Args:
        folder: where such folders are kept; it is made where there is none.
        summary: the repository, as the reader tells it. Name and version are text of strangers, but the reader's
            protocol lets printable characters without ``/`` through and no others.
    """
    version = summary.version or UNKNOWN_VERSION
    points = entry_points_text(summary.entry_points)
    key = (summary.name, version, points) if points else (summary.name, version)
    place = folder / f"own-{content_key(*key)[:16]}"
    if not place.is_dir():
        with new_folder(place) as building:
            # importlib.metadata looks for the name in the folder's name, where `-` stands before the version
            information = building / f"{summary.name.replace('-', '_')}-{version}.dist-info"
            information.mkdir()
            lines = ("Metadata-Version: 2.1", f"Name: {summary.name}", f"Version: {version}", "")
            write_atomically(information / "METADATA", "\n".join(lines).encode("ascii"))
            if points:
                write_atomically(information / "entry_points.txt", points.encode("ascii"))
            for path in (*information.iterdir(), information, building):  # the jails' user reads it
                os.chmod(path, 0o755 if path.is_dir() else 0o644)
    return place
