"""The metadata that ``importlib.metadata`` finds of a repository, which is on ``sys.path`` without being installed.

Many packages ask for their own version when they are imported. An sdist made by setuptools brings its ``.egg-info``;
others, and checkouts, bring nothing. The metadata made here has a name and a version, and no entry points.
"""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.mined.environments.version_files import UNKNOWN_VERSION
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.tracer.atomic import new_folder, write_atomically

_ASKING = frozenset(("importlib", "importlib_metadata", "pkg_resources"))


def asks_for_metadata(imports: Container[str]) -> bool:
    """Return True if one of the modules that read metadata is among the imported names."""
    return any(name in imports for name in _ASKING)


def own_metadata(folder: Path, summary: RepositorySummary) -> Path:
    """Return a folder for ``sys.path`` that holds the repository's metadata and nothing else.

    Args:
        folder: where such folders are kept; it is made where there is none.
        summary: the repository, as the reader tells it. Name and version are text of strangers, but the reader's
            protocol lets printable characters without ``/`` through and no others.
    """
    version = summary.version or UNKNOWN_VERSION
    place = folder / f"own-{content_key(summary.name, version)[:16]}"
    if not place.is_dir():
        with new_folder(place) as building:
            # importlib.metadata looks for the name in the folder's name, where `-` stands before the version
            information = building / f"{summary.name.replace('-', '_')}-{version}.dist-info"
            information.mkdir()
            lines = ("Metadata-Version: 2.1", f"Name: {summary.name}", f"Version: {version}", "")
            write_atomically(information / "METADATA", "\n".join(lines).encode("ascii"))
            for path in (information / "METADATA", information, building):  # the jails' user reads it
                os.chmod(path, 0o644 if path.name == "METADATA" else 0o755)
    return place
