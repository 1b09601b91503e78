"""Makes a repository's environment: a folder with the packages that it asks for, kept for all that ask for the same."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.kept_folder import kept_folder, waiting_lock
from trace_mine.corpus.mined.environments.choice import Chosen, choose
from trace_mine.corpus.mined.environments.uv import (
    IndexUnreachable,
    PackageIndex,
    UvFailed,
    install,
    resolve,
    uv_version,
)
from trace_mine.tracer.atomic import new_folder, write_atomically

AT_ONCE = 2
"""Environments that are made at a time: one is fetched while another is taken apart."""
SITE = "site-packages"
RECORD = "environment.json"
LAYOUT = 2
"""Raised where environments that were kept lack something: 2 has bytecode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The packages of a repository.

    Attributes:
        folder: where they are installed; None where there are none.
        pins: ``name==version`` of each, sorted.
        left_out: by requirement, why it can't be had.
        relaxed: requirements that are met by another version than they ask for.

    Raises:
        ValueError: there are packages without a folder.
    """

    folder: Path | None = None
    pins: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    relaxed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pins and self.folder is None:
            raise ValueError("expected a folder for the packages of an Environment, got None; give theirs")

    def import_names(self) -> frozenset[str]:
        """The top-level names that can be imported from it."""
        if self.folder is None:
            return frozenset()
        names = (entry.name for entry in os.scandir(self.folder))
        # ``numpy``, ``six.py``, ``_cffi_backend.cpython-311-x86_64-linux-gnu.so``
        stems = {
            name.partition(".")[0]
            for name in names
            if not name.endswith((".dist-info", ".pth", ".libs", "__pycache__"))
        }
        return frozenset(stem for stem in stems if stem.isidentifier())


def kept_environments(otherwise: Path) -> Path:
    """Find the folder in which environments are kept from one dataset to the next.

    It is the one of ``corpus.kept_folder``.

    Args:
        otherwise: the folder where the cache can't be written to.
    """
    return kept_folder("environments", is_open=True) or otherwise


class Provisioner:
    """Makes environments beside other work. A context manager, which ends the threads.

    Args:
        folder: where environments are kept, readable for the user of the jails.
        index: where wheels come from.

    Attributes:
        was_unreachable: the index did not answer once.
    """

    def __init__(self, folder: Path, index: PackageIndex) -> None:
        self._folder = folder.resolve()
        self._index = index
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="environment")
        self._asked: dict[str, Future[Environment]] = {}
        self.was_unreachable = False

    def __enter__(self) -> Provisioner:
        return self

    def __exit__(self, *exception: object) -> None:
        # what has not begun is not needed any more; what has is one call of uv, which is waited for
        self._threads.shutdown(wait=True, cancel_futures=True)

    def environment(
        self, requirements: Sequence[str], python: str, version: str, *, before: str | None = None
    ) -> Future[Environment]:
        """Ask for an environment; the same one for the same requirements, interpreter, index and time.

        Args:
            requirements: as PEP 508 has them, the most needed first.
            python: the interpreter.
            version: of the interpreter.
            before: as ``PackageIndex`` has it; None: the index's own.

        Returns:
            A future, whose result is the environment. It raises OSError where the disk is full.
        """
        index = replace(self._index, before=before)
        links = [str(folder) for folder in index.find_links]
        key = content_key(LAYOUT, [*requirements], version, links, index.offline, index.before)[:24]
        if key not in self._asked:
            self._asked[key] = self._threads.submit(self._make, self._folder / key, requirements, python, index)
        return self._asked[key]

    def _make(self, target: Path, requirements: Sequence[str], python: str, index: PackageIndex) -> Environment:
        # After one question without an answer, which takes seconds, uv is asked for what it has kept alone.
        for offline in (True,) if self.was_unreachable else (False, True):
            try:
                return _made(target, requirements, python, replace(index, offline=index.offline or offline))
            except IndexUnreachable as error:
                self.was_unreachable = True
                failure = str(error)
        return Environment(left_out=dict.fromkeys(requirements, failure))


def _made(target: Path, requirements: Sequence[str], python: str, index: PackageIndex) -> Environment:
    """The environment in a folder, which is made where it is not there. Raises IndexUnreachable."""
    if not requirements:
        return Environment()
    if not (target / RECORD).is_file():
        # Shards and other commands on this machine ask for the same one at the same time: one makes it.
        with waiting_lock(target.with_name(f"{target.name}.lock")):
            if not (target / RECORD).is_file():
                failed = _newly_made(target, requirements, python, index)
                if failed is not None:
                    return failed
    record = json.loads((target / RECORD).read_bytes())
    return Environment(
        folder=target / SITE,
        pins=tuple(record["pins"]),
        left_out=record["left_out"],
        relaxed=tuple(record["relaxed"]),
    )


def _newly_made(target: Path, requirements: Sequence[str], python: str, index: PackageIndex) -> Environment | None:
    """Make an environment; what there is instead where it can't be made. Raises IndexUnreachable."""
    shutil.rmtree(target, ignore_errors=True)  # half of a folder, which somebody has begun to delete
    chosen = choose(requirements, lambda asked: resolve(asked, python, index))
    # Not remembered: a network that is down for a moment looks like an index that has none of them.
    if not chosen.pins:
        return Environment(left_out=chosen.left_out)
    try:
        _install(chosen, python, index, target)
    except IndexUnreachable:
        raise
    except UvFailed as error:
        return Environment(left_out=dict.fromkeys(requirements, str(error)))
    return None


def _install(chosen: Chosen, python: str, index: PackageIndex, target: Path) -> None:
    """Fill the folder, and say in a file what is in it. Raises UvFailed."""
    try:
        _fill(chosen, python, index, target)
    except OSError:
        # another command was faster
        if not (target / RECORD).is_file():
            raise


def _fill(chosen: Chosen, python: str, index: PackageIndex, target: Path) -> None:
    with new_folder(target) as partial_folder:
        os.chmod(partial_folder, 0o755)
        install(chosen.pins, python, index, partial_folder / SITE)
        _open_to_all(partial_folder / SITE)
        record = {
            "pins": chosen.pins,
            "left_out": dict(chosen.left_out),
            "relaxed": chosen.relaxed,
            "uv": uv_version(),
        }
        write_atomically(partial_folder / RECORD, json.dumps(record, indent=1).encode("ascii"))


def _open_to_all(folder: Path) -> None:
    """Let other users read what was installed: root's runs are another user's, and uv keeps to the umask."""
    for parent, folders, names in os.walk(folder):
        os.chmod(parent, 0o755)
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and path.stat().st_mode & 0o044 != 0o044:
                os.chmod(path, path.stat().st_mode | 0o044)
        folders[:] = [name for name in folders if not Path(parent, name).is_symlink()]


def distributions_in(folder: Path) -> tuple[str, ...]:
    """``name==version`` of what is installed in a folder, sorted."""
    distributions = importlib.metadata.distributions(path=[str(folder)])
    return tuple(sorted(f"{each.name}=={each.version}" for each in distributions if each.name))
