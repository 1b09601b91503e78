"""``.trace-mine-ignore``: files that are not to be mined, in the syntax of ``.gitignore``.

It is honoured in a repository, for its own files, and beside what is named on the command line: in the folder that
holds a repository, an archive or a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from trace_mine.corpus.mined.files import read_bytes
from trace_mine.tracer.schema import Drop

IGNORE_FILE = ".trace-mine-ignore"
MAX_IGNORE_BYTES = 64 << 10
MAX_LINES = 1_000
MAX_LINE = 300
"""Characters of a pattern; a longer one is left out, as expressions made of it could take long."""
MAX_STARS = 12
"""Stars of a pattern, each of which may be tried at each place of a path."""


def ignore_lines(folder: Path) -> tuple[str, ...]:
    """The patterns of the file in a folder; none where there is no such file, or it can't be read."""
    if not os.path.lexists(folder / IGNORE_FILE):
        return ()
    data = read_bytes(folder, IGNORE_FILE, MAX_IGNORE_BYTES)
    if isinstance(data, Drop):
        return ()
    lines = data.decode("utf-8", "replace").splitlines()[:MAX_LINES]
    return tuple(line for line in lines if len(line) <= MAX_LINE and line.count("*") <= MAX_STARS)


class IgnoreRules:
    """Tells which paths are ignored.

    Args:
        lines: patterns of ``.gitignore``'s syntax.
        prefix: what stands before the paths that are asked for, such as ``repository/``: the patterns are relative to
            the folder above.
    """

    def __init__(self, lines: Sequence[str], prefix: str = "") -> None:
        self._spec = None
        self._prefix = prefix
        if lines:
            # imported here: most repositories have none
            from pathspec import GitIgnoreSpec

            try:
                self._spec = GitIgnoreSpec.from_lines(lines)
            except ValueError:  # a line that is no pattern; git leaves such a line out, and here nobody is told which
                self._spec = GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))

    def ignores(self, path: str) -> bool:
        """Tell if a path, relative to the folder (with the prefix), is ignored; a folder's ends with ``/``."""
        return self._spec is not None and self._spec.match_file(f"{self._prefix}{path}")


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
