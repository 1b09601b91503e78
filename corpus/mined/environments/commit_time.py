"""The time of a repository's commit, out of git's files. Runs in the reader's sandbox."""

from __future__ import annotations

from pathlib import Path

MAX_TIME = 253_402_300_799
"""The last second of the year 9999."""


def commit_time(root: Path, commit: str) -> int | None:
    """Read when a commit was made, in seconds since 1970; None where git's files don't tell.

    Args:
        root: the folder with ``.git``.
        commit: its hash.
    """
    # imported here: only who asks for versions of that time needs it
    from dulwich.objects import Commit
    from dulwich.repo import Repo

    try:
        with Repo(str(root)) as repository:
            made = repository[commit.encode("ascii")]
            return made.commit_time if isinstance(made, Commit) and 0 <= made.commit_time <= MAX_TIME else None
    except Exception:  # git's files are hostile, and dulwich raises whatever their bytes make it raise
        return None
