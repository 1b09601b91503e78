"""Datasets at a URL of fsspec: put there whole or not at all, and fetched from there.

A store of objects can't rename a folder, so the card says when a dataset is whole: it is deleted before the first file
is replaced, and written behind the last one. A reader that finds no card finds no dataset. What a dataset at a URL is
made of, and goes on from, is its ledger, which stays on the disk of the command.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.finished import state_of
from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.kept_folder import kept_folder
from trace_mine.corpus.ledger import FOLDER
from trace_mine.tracer.atomic import new_folder, write_atomically
from trace_mine.tracer.visible import one_line

CARD = "README.md"
FOLDERS = ("data", "records", "plots")
PART_FOLDERS = (f"{FOLDER}/results", f"{FOLDER}/done")
"""Of a shard's ledger, what ``trace-mine merge`` takes over: it is put beside the rows."""
FILES = ("errors.jsonl", "stats.json", "DATASHEET.md", "croissant.json")
PART_FILES = (f"{FOLDER}/config.json", f"{FOLDER}/plan.json")
KEPT_SECONDS = 30 * 24 * 3600.0
"""How long a copy that was fetched is kept when nobody opens it."""


def is_url(text: str) -> bool:
    """Tell a URL from a path.

    >>> [is_url(text) for text in ("s3://bucket/traces", "traces", "/data/a://b", "file:///data/traces")]
    [True, False, False, True]
    """
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()


class RemoteDataset:
    """The dataset at a URL.

    Args:
        url: as fsspec reads it, with the settings of its own files and variables.

    Raises:
        CorpusError: nothing is known of such URLs, or a package for them is missing.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise CorpusError(
                f"expected a URL that fsspec can write to, got {one_line(url)!r} ({one_line(str(error), 200)}); "
                "install what it needs, or give a folder",
                exit_code=2,
            ) from error
        self._root = self._root.rstrip("/")

    @property
    def card(self) -> bytes | None:
        """The card; None where there is no whole dataset."""
        try:
            with self._asked():
                content: bytes = self._files.cat_file(f"{self._root}/{CARD}")
                return content
        except FileNotFoundError:
            return None

    def check_free(self, folder: Path, *, overwrite: bool) -> None:
        """Check that the URL is empty, or that what is there was put there from this folder.

        Raises:
            CorpusError: something else is there.
        """
        present = self._present()
        if not present or overwrite or (folder / FOLDER / "published.json").exists():
            return
        raise CorpusError(
            f"expected --out to be new, or a dataset that was made with the ledger {folder / FOLDER}, got "
            f"{one_line(self.url)}, which holds {len(present)} other files; give another, --ledger, or --overwrite",
            exit_code=2,
        )

    def publish(self, folder: Path) -> bool:
        """Put a folder's dataset there, the card last; return False where it stands there already.

        Raises:
            CorpusError: it can't be written to.
        """
        said = folder / FOLDER / "published.json"
        state = content_key(self.url, state_of(folder))
        card = (folder / CARD).read_bytes()
        names = self._names(folder)
        sizes = {name: (folder / name).stat().st_size for name in (*names, CARD)}
        if said.exists() and json.loads(said.read_bytes()) == state and self.card == card:
            present = self._present()
            if all(present.get(name) == size for name, size in sizes.items()):
                return False
        write_atomically(said, json.dumps("").encode())  # whatever is there from now on comes from here
        with self._asked():
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(f"{self._root}/{CARD}")
            for name in names:
                self._put(folder / name, name)
            for name in self._present():
                if name.startswith(tuple(f"{each}/" for each in (*FOLDERS, FOLDER))) and name not in sizes:
                    self._files.rm_file(f"{self._root}/{name}")
            self._put(folder / CARD, CARD)
        write_atomically(said, json.dumps(state).encode())
        return True

    def fetch(self) -> Path:
        """Return a folder with a copy of the dataset, the one that was fetched before where it is the same.

        Raises:
            CorpusError: there is no whole dataset, or no place for a copy.
        """
        card = self.card
        if card is None:
            raise CorpusError(
                f"expected a dataset, got {one_line(self.url)} without {CARD}: it is not whole, or none; wait for the "
                "command that makes it, or start that again"
            )
        kept = kept_folder("fetched", is_open=False)
        if kept is None:
            raise CorpusError("expected a folder for a copy of the dataset, got none; name one by TRACE_MINE_CACHE")
        folder = kept / content_key(self.url, hashlib.sha256(card).hexdigest(), sorted(self._present().items()))[:24]
        if not folder.is_dir():
            _prune(kept)
            with contextlib.suppress(FileExistsError), new_folder(folder) as partial, self._asked():
                for name in self._present():
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    self._files.get_file(f"{self._root}/{name}", str(partial / name))
                if self.card != card:
                    raise CorpusError(f"{one_line(self.url)} was replaced while it was read; start the command again")
        os.utime(folder)
        return folder

    def _put(self, file: Path, name: str) -> None:
        place = f"{self._root}/{name}"
        self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
        self._files.put_file(str(file), place)

    def _present(self) -> dict[str, int]:
        """The files below the URL by their paths, with their sizes."""
        with self._asked():
            try:
                self._files.invalidate_cache()
                listed = self._files.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        root = self._root.lstrip("/")
        present: dict[str, int] = {}
        for path, fact in listed.items():
            name = path.lstrip("/").removeprefix(f"{root}/")
            # another's store may give any names: none leads out of the folder that they are copied to
            if fact.get("type") == "file" and ".." not in name.split("/") and "\0" not in name:
                present[name] = int(fact.get("size") or 0)
        return present

    @staticmethod
    def _names(folder: Path) -> list[str]:
        config = json.loads((folder / FOLDER / "config.json").read_bytes())
        is_part = "shard" in config
        names = []
        for each in (*FOLDERS, *(PART_FOLDERS if is_part else ())):
            if (folder / each).is_dir():
                names += sorted(f"{each}/{entry.name}" for entry in os.scandir(folder / each) if entry.is_file())
        beside = [name for name in FILES if (folder / name).is_file()]
        return [*names, *beside, *(PART_FILES if is_part else ())]

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """A context in which what the file system raises becomes an error for people."""
        try:
            yield
        except (CorpusError, FileNotFoundError):
            raise
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise self._failed(error) from error
        except Exception as error:  # each kind of store has exceptions of its own
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> CorpusError:
        return CorpusError(
            f"can't reach {one_line(self.url)} ({type(error).__name__}: {one_line(str(error), 200)}); finished units "
            "are kept: start the same command again"
        )


def _prune(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < oldest:
            shutil.rmtree(entry.path, ignore_errors=True)


def local_dataset(text: str | os.PathLike[str]) -> Path:
    """Return the folder of a dataset that a path or a URL names; of a URL, a copy.

    Raises:
        CorpusError: there is no dataset at the URL.
    """
    name = os.fspath(text)
    return RemoteDataset(name).fetch() if is_url(name) else Path(name)


class DatasetPlace:
    """Where a command makes a dataset: a folder, which is the dataset itself or the ledger's of one at a URL.

    Args:
        out: a path or a URL.
        ledger: the folder for a URL's ledger; None: one of the user's cache, named for the URL.

    Attributes:
        folder: the folder.
        name: of the dataset, for people.

    Raises:
        CorpusError: nothing can be written to such a URL, or a ledger is named for a folder.
    """

    def __init__(self, out: str | os.PathLike[str], ledger: Path | None = None) -> None:
        self.name = os.fspath(out)
        self._remote: RemoteDataset | None = None
        if not is_url(self.name):
            if ledger is not None:
                raise CorpusError(
                    f"expected --ledger with an --out that is a URL, got {self.name!r}, whose ledger is in it; leave "
                    "it out",
                    exit_code=2,
                )
            self.folder = Path(out)
            return
        self._remote = RemoteDataset(self.name)
        if ledger is None:
            kept = kept_folder("ledgers", is_open=True)
            if kept is None:
                raise CorpusError(f"expected a folder for the ledger of {self.name}, got none; name one by --ledger")
            ledger = kept / content_key(self._remote.url)[:24]
        self.folder = ledger

    def check_free(self, *, overwrite: bool) -> None:
        """Check, before anything is made, that the dataset can be put there. Raises CorpusError."""
        if self._remote is not None:
            self._remote.check_free(self.folder, overwrite=overwrite)

    def publish(self) -> bool:
        """Put the finished dataset to its URL; return False where nothing was to be done. Raises CorpusError."""
        return self._remote is not None and self._remote.publish(self.folder)
