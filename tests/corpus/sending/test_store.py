"""A worker's store takes chunks in order, twice if need be, and believes a bundle by its hash alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.sending import bundle
from trace_mine.corpus.sending.bundle import bundle_chunks, bundle_name
from trace_mine.corpus.sending.store import KEPT_SECONDS, BundleStore


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bundle, "CHUNK_BYTES", 1000)
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "m.py").write_text("x = 1\n" * 500)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    (tmp_path / "store").mkdir()
    return BundleStore(tmp_path / "store")


def send(store: BundleStore, root: Path, sending: str = "a", skip: int = -1, name: str = "") -> list[bool]:
    chunks = [*bundle_chunks(root)]
    name = name or bundle_name(root)
    return [
        store.receive(name, sending, 1000 * number, chunk, is_last=number == len(chunks) - 1)
        for number, chunk in enumerate(chunks)
        if number != skip
    ]


def left(store: BundleStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_a_bundle_is_here_with_its_last_chunk(store: BundleStore, root: Path) -> None:
    name = bundle_name(root)
    assert store.lacking([name, name]) == (name,)
    assert all(send(store, root)) and len(send(store, root)) > 3
    assert store.lacking([name]) == ()
    assert (store.path(name, "root") / "m.py").read_text() == (root / "m.py").read_text()
    assert left(store) == sorted([name, "place"])


def test_a_chunk_may_come_twice_and_none_may_be_missing(store: BundleStore, root: Path) -> None:
    name = bundle_name(root)
    first = next(bundle_chunks(root))
    assert store.receive(name, "a", 0, first, is_last=False)
    assert store.receive(name, "a", 0, first, is_last=False)
    assert send(store, root, skip=1).count(False) >= 1
    assert store.lacking([name]) == (name,)
    assert all(send(store, root, "b")) and store.lacking([name]) == ()


def test_a_stream_of_another_content_is_not_believed(store: BundleStore, root: Path) -> None:
    assert send(store, root, name="0" * 32)[-1] is False
    assert left(store) == ["place"]


def test_workers_of_one_folder_have_one_place(store: BundleStore, tmp_path: Path) -> None:
    assert BundleStore(store.folder).place == store.place
    (tmp_path / "other").mkdir()
    assert BundleStore(tmp_path / "other").place != store.place


def test_what_nobody_asks_for_is_deleted_after_days(store: BundleStore, root: Path) -> None:
    send(store, root)
    old = bundle_name(root)
    past = time.time() - KEPT_SECONDS - 100
    os.utime(store.folder / old, (past, past))
    (root / "m.py").write_text("y = 2\n")
    send(store, root)
    assert left(store) == sorted([bundle_name(root), "place"])
    # asked for, it is kept
    os.utime(store.folder / bundle_name(root), (past, past))
    assert store.lacking([bundle_name(root)]) == ()
    (root / "m.py").write_text("z = 3\n")
    send(store, root)
    assert len(left(store)) == 3


def test_a_full_disk_names_the_machine(store: BundleStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trace_mine.corpus.sending.store.unpack_bundle", full)
    with pytest.raises(CorpusError, match=r"no space left on .* TRACE_MINE_CACHE"):
        send(store, root)
    assert left(store) == ["place"]
