"""A hostile repository costs only itself: one run over all of them, with a good one beside, ends as it should."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trace_mine.corpus.engines import ENGINES
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.produce import open_ledger, produce
from trace_mine.dataset_folders import Quiet
from trace_mine.tracer.sandbox.scratch import empty_folder

sys.path.insert(0, str(Path(__file__).parent))
from hostile import ARCHIVES, FOLDERS, GOOD


def mine_with_fakes(out: Path, *inputs: Path) -> Mapping[str, Any]:
    """The statistics of a dataset whose tracer runs nothing; everything else is as it is."""
    # without calls and docs, for which the good file of each repository would be run in a jail of its own
    options = MineOptions(tracer_factory="corpus_fakes:start_fake", entries=("doctest", "script", "test"))
    with open_ledger(out, overwrite=False) as ledger:
        origin = Mined([str(path) for path in inputs], options, ledger.sources)
        return produce(ledger, origin, options.as_config(), engine=ENGINES["loky"](1), watcher=Quiet()).stats


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileRun:
    """What a run over all hostile repositories and a good one left."""

    stats: Mapping[str, Any]
    drops: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> HostileRun:
    folder = tmp_path_factory.mktemp("hostile") / "repositories"
    for name, hostile in FOLDERS.items():
        root = folder / name
        (root / "src").mkdir(parents=True)
        (root / "setup.cfg").write_text(f"[metadata]\nname = {name}\n")
        # another text in each, so that none is another's duplicate
        (root / "good.py").write_text(GOOD.replace("1 + 1", f"'{name}'"))
        if name in ("toml_pipe", "cfg_device", "cfg_spaces"):
            (root / "setup.cfg").unlink()
            (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
        hostile.make(root)
    for name, hostile in ARCHIVES.items():
        hostile.make(folder / name)
    good = folder / "good"
    good.mkdir()
    (good / "pyproject.toml").write_text('[project]\nname = "good"\n')
    (good / "good.py").write_text(GOOD)
    out = tmp_path_factory.mktemp("out") / "out"
    try:
        stats = mine_with_fakes(out, folder)
    finally:
        empty_folder(str(folder / "deep_folders"))  # pytest's own clearing of old folders recurses, and dies of it
    lines = (out / "errors.jsonl").read_text().splitlines()
    return HostileRun(stats=stats, drops={line["repository"]: line for line in map(json.loads, lines)})


def test_the_good_repository_has_its_rows(mined: HostileRun) -> None:
    assert mined.stats["by_repository"]["good"] == {"found": 1, "rows": 1, "duplicates": 0, "drops": {}}


def test_everything_is_counted_once(mined: HostileRun) -> None:
    stats = mined.stats
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())
    assert stats["drops"]["unreadable_repository"] == sum(hostile.lost for hostile in ARCHIVES.values())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_file_costs_itself(mined: HostileRun, name: str) -> None:
    hostile, repository = FOLDERS[name], name.replace("_", "-")
    (group,) = (
        [group for each, group in mined.stats["by_repository"].items() if each in (repository, "m")]
        if name == "metadata_mail"
        else [mined.stats["by_repository"][repository]]
    )
    assert group["rows"] >= 1 and "unreadable_repository" not in group["drops"], mined.drops.get(repository)
    if hostile.file:
        assert mined.stats["files"]["unreadable"][hostile.file] >= 1


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_one_drop_with_evidence(mined: HostileRun, name: str) -> None:
    drop = mined.drops[name.rpartition("-")[0].replace("_", "-")]
    assert drop["reason"] == "unreadable_repository" and drop["evidence"]
    assert "Traceback" not in drop["evidence"]
