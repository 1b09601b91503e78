"""Where a worker keeps the bundles that it was sent: a folder of its user's, shared by all workers that see it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.kept_folder import kept_folder
from trace_mine.corpus.sending.bundle import unpack_bundle
from trace_mine.tracer.atomic import new_folder

KEPT_SECONDS = 3 * 24 * 3600.0
"""How long a bundle is kept that no unit has asked for."""


class BundleStore:
    """The bundles in a folder, each in a folder of its name.

    Attributes:
        folder: the folder.
        place: names it among all stores: workers with one place need a bundle once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = self._place()

    def lacking(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the bundles that are not here; the others are in use from now on, and kept."""
        lacking = []
        for name in dict.fromkeys(names):
            try:
                os.utime(self.folder / name)
            except OSError:
                lacking.append(name)
        return tuple(lacking)

    def path(self, name: str, own: str) -> Path:
        """Return the path of the file or folder that the bundle holds under its ``own`` name."""
        return self.folder / name / own

    def receive(self, name: str, sending: str, offset: int, data: bytes, *, is_last: bool) -> bool:
        """Write a chunk of a bundle's stream; with the last one the bundle is here.

        A chunk may come twice, as a worker may die while it writes one.

        Args:
            name: the bundle's.
            sending: names this sending of it, among others at the same time.
            offset: where the chunk stands in the stream.
            data: the chunk.
            is_last: it is the last one.

        Returns:
            False where chunks before it went to another place, so that it must be sent again.

        Raises:
            CorpusError: there is no space for it.
        """
        part = self.folder / f"{name}.{sending}.part"
        try:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with open(descriptor, "r+b") as file:
                if os.fstat(descriptor).st_size < offset:
                    part.unlink(missing_ok=True)
                    return False
                file.seek(offset)
                file.write(data)
                file.flush()
                if not is_last:
                    return True
                file.truncate(offset + len(data))
                return self._unpacked(name, part)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise CorpusError(
                f"no space left on {socket.gethostname()} for what a unit needs, in {self.folder}; free some, or name "
                "another folder there by TRACE_MINE_CACHE"
            ) from error

    def _unpacked(self, name: str, part: Path) -> bool:
        """Unpack a whole stream; False where it is not the one of that name."""
        with open(part, "rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest()[:32] == name
            if is_whole and not (self.folder / name).is_dir():
                self._prune()
                file.seek(0)
                # another command may send the same at the same time: the first one's folder stays
                with contextlib.suppress(FileExistsError), new_folder(self.folder / name) as partial:
                    os.chmod(partial, 0o755)
                    unpack_bundle(file, partial)
        part.unlink(missing_ok=True)
        return is_whole

    def _prune(self) -> None:
        """Delete what nobody has asked for lately, and what was cut off while it came."""
        oldest = time.time() - KEPT_SECONDS
        for entry in os.scandir(self.folder):
            if entry.name != "place" and entry.stat(follow_symlinks=False).st_mtime < oldest:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry.path)

    def _place(self) -> str:
        file = self.folder / "place"
        if not file.exists():
            new = self.folder / f"place.{secrets.token_hex(8)}"
            new.write_text(f"{socket.gethostname()}-{secrets.token_hex(8)}")
            with contextlib.suppress(FileExistsError):
                os.link(new, file)
            new.unlink()
        return file.read_text()


@cache
def store_here() -> BundleStore:
    """Return the store of this process's user; one for this process alone where no folder can be kept."""
    folder = kept_folder("sent", is_open=False)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="trace-mine-sent-"))
        if os.geteuid() == 0:
            os.chmod(folder, 0o755)
    return BundleStore(folder)
