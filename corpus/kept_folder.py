"""The folders that are kept for a user from one command to the next: environments, what a worker was sent, ledgers."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def kept_folder(name: str, *, is_open: bool) -> Path | None:
    """Find, and make, a folder that is kept.

    It stands in the folder that TRACE_MINE_CACHE names, else in this user's cache. Root's runs belong to another user,
    who can't read what is below root's home, so root's cache is the machine's, ``/var/cache/trace-mine``.

    Args:
        name: of the folder.
        is_open: everybody may read it; what is closed to others is open to them for root, since root's runs are others.

    Returns:
        The folder; None where none can be had that nobody else can write to.
    """
    named = os.environ.get("TRACE_MINE_CACHE")
    if named:
        cache = Path(named).absolute()
    elif os.geteuid() == 0:
        cache = Path("/var/cache/trace-mine")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "trace-mine")
    folder = cache / name
    try:
        for made, is_public in ((cache, True), (folder, is_open or os.geteuid() == 0)):
            made.mkdir(parents=True, exist_ok=True)
            if made.stat().st_uid == os.geteuid():
                os.chmod(made, 0o755 if is_public else 0o700)
        # a folder of another user's may hold what they put there
        is_ours = folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o022
    except OSError:
        return None
    return folder if is_ours and os.access(folder, os.W_OK) else None


@contextlib.contextmanager
def waiting_lock(file: Path) -> Iterator[None]:
    """A context in which no other process is that asks for the same lock; it waits for the one that is.

    A process that is killed releases the lock. Where the file system has no locks, there is none: what is made under it
    has to be renamed into its place, and is made twice at worst.

    Args:
        file: names the lock; it is there while somebody holds it or waits.

    Raises:
        OSError: the file can't be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(file, "w") as held:
            with contextlib.suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_EX)
            try:
                is_ours = os.path.samestat(os.stat(file), os.fstat(held.fileno()))
            except FileNotFoundError:
                is_ours = False
            if not is_ours:
                continue  # the one before deleted it, and a third may hold a new one by now
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
            return
