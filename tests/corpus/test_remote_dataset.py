"""A dataset at a URL is there whole or not at all, goes on from its ledger here, and is read from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from command_here import Told, command
from disturbances import files_of

import trace_mine
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined import miner, options
from trace_mine.corpus.remote_dataset import RemoteDataset, local_dataset

FLAGS = ("--sources", "doctest", "--environment", "none", "--jobs", "1")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(miner, "code_hash", lambda: "pinned")
    monkeypatch.setitem(options.MineOptions.__init__.__kwdefaults__, "tracer_factory", "corpus_fakes:start_fake")
    monkeypatch.setenv("TRACE_MINE_CACHE", str(tmp_path / "cache"))
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # the reader's user reads the repositories


@pytest.fixture(params=["memory", pytest.param("file", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    place = f"{request.param}://{tmp_path / 'bucket' / 'traces'}"
    yield place
    fsspec.filesystem("memory").store.clear()


def module(*sources: str) -> str:
    return "".join(
        f'def f{number}():\n    """\n    >>> {source}\n    1\n    """\n\n' for number, source in enumerate(sources)
    )


def repository(folder: Path, name: str, *sources: str) -> Path:
    root = folder / name
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\nlicense = "MIT"\n')
    (root / "m.py").write_text(module(*sources))
    return root


def mine(url: str, *arguments: object) -> Told:
    return command(*arguments, "--out", url, *FLAGS)


def at(url: str) -> dict[str, bytes]:
    files, root = fsspec.core.url_to_fs(url)
    return {path.removeprefix(f"{root}/"): files.cat_file(path) for path in sorted(files.find(root))}


def test_the_files_are_those_of_a_folder_and_a_second_command_does_nothing(url: str, tmp_path: Path) -> None:
    root = repository(tmp_path, "toolz", "a", "b", "DROP_1")
    assert mine(url, root).returncode == 0
    assert mine(str(tmp_path / "local"), root).returncode == 0
    assert at(url) == files_of(tmp_path / "local")
    assert "nothing to do" in mine(url, root).stdout
    # what is lost there is put there again, and a changed repository replaces it
    files, place = fsspec.core.url_to_fs(url)
    files.rm_file(f"{place}/errors.jsonl")
    assert "nothing to do" not in mine(url, root).stdout
    assert at(url) == files_of(tmp_path / "local")
    repository(tmp_path, "toolz", "c")
    assert mine(url, root).returncode == 0
    assert sorted(trace_mine.load(url)["train"]["text"]) == [">>> c\n1\n"]


def test_it_is_read_from_there(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine(url, repository(tmp_path, "toolz", "a", "b"))
    assert [row["name"] for row in trace_mine.load(url)["train"]] == ["m.f0", "m.f1"]
    assert local_dataset(url) == local_dataset(url), "one copy"
    assert "2 of 2 rows" in command("inspect", url).stdout
    assert command("browse", url, "--out", tmp_path / "page.html").returncode == 0
    assert "m.f0" in (tmp_path / "page.html").read_text()
    assert command("browse", url).returncode == 2


def test_a_write_that_is_cut_off_leaves_no_dataset(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path, "toolz", "a", "b")
    assert mine(url, root).returncode == 0
    whole = at(url)
    repository(tmp_path, "toolz", "c")
    put, cut = RemoteDataset._put, ["stats.json", "data/train-00000-of-00001.parquet", "README.md"]
    for name in cut:
        with monkeypatch.context() as patch:

            def cut_off(self: RemoteDataset, file: Path, to: str, name: str = name) -> None:
                if to == name:
                    raise ConnectionError("cut off")
                put(self, file, to)

            patch.setattr(RemoteDataset, "_put", cut_off)
            told = mine(url, root)
            assert told.returncode == 1 and "finished units are kept" in told.stderr
        with pytest.raises(CorpusError, match=r"without README\.md: it is not whole"):
            trace_mine.load(url)
    assert mine(url, root).returncode == 0
    assert at(url).keys() == whole.keys() and at(url) != whole


def test_what_is_not_ours_is_not_replaced(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, place = fsspec.core.url_to_fs(url)
    files.makedirs(place, exist_ok=True)
    files.pipe_file(f"{place}/README.md", b"mine")
    root = repository(tmp_path, "toolz", "a")
    told = mine(url, root)
    assert told.returncode == 2 and "holds 1 other files" in " ".join(told.stderr.split())
    assert at(url) == {"README.md": b"mine"}
    assert mine(url, root, "--overwrite").returncode == 0
    # a dataset from another machine's ledger is another's, too; the ledger can be named
    monkeypatch.setenv("TRACE_MINE_CACHE", str(tmp_path / "other"))
    assert mine(url, root).returncode == 2
    assert mine(url, root, "--ledger", next((tmp_path / "cache" / "ledgers").iterdir())).returncode == 0


def test_shards_at_urls_are_merged(url: str, tmp_path: Path) -> None:
    """As jobs on machines without a common disk leave them."""
    inputs = [repository(tmp_path, name, name, "common") for name in ("toolz", "requests", "pluggy")]
    for number in (1, 2):
        assert mine(f"{url}-{number}", *inputs, "--shard", f"{number}/2").returncode == 0
    assert mine(str(tmp_path / "whole"), *inputs).returncode == 0
    assert command("merge", f"{url}-1", f"{url}-2", "--out", url).returncode == 0
    assert at(url) == files_of(tmp_path / "whole")
    assert command("merge", f"{url}-1", url, "--out", tmp_path / "out").returncode == 2, (
        "no shard, so without its units"
    )
    assert json.loads(at(url)["stats.json"])["duplicates"] == 2


def test_wrong_urls_are_told(tmp_path: Path) -> None:
    root = repository(tmp_path, "toolz", "a")
    told = mine("nowhere://x/y", root)
    assert told.returncode == 2 and "expected a URL that fsspec can write to" in " ".join(told.stderr.split())
    told = mine(str(tmp_path / "out"), root, "--ledger", tmp_path / "ledger")
    assert told.returncode == 2 and "expected --ledger with an --out that is a URL" in " ".join(told.stderr.split())
    with pytest.raises(CorpusError, match="it is not whole, or none"):
        local_dataset(f"file://{tmp_path}/nothing")
