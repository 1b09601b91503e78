"""Shards of one command, merged, are to the byte what the command gives; datasets of other inputs become one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from command_here import main_here
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.mined import options
from trace_mine.corpus.mined.shard import Shard, parse_shard
from trace_mine.corpus.plan import DatasetPlan, PlannedUnit, joined_plan

NAMES = ("toolz", "requests", "pluggy")
FLAGS = ("--sources", "doctest", "--environment", "none", "--jobs", "1")


def module(*sources: str) -> str:
    """A module with a function for each source, whose docstring holds it as an example."""
    return "".join(
        f'def f{number}():\n    """\n    >>> {source}\n    1\n    """\n\n' for number, source in enumerate(sources)
    )


Datasets = Callable[..., Path]
"""Mines these numbers of repositories with these flags, once for the whole file; tests read what it returns."""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasets]:
    """A repository of each of the three splits, with copies of each other's sessions, drops and unreadable files."""
    folder = tmp_path_factory.mktemp("merged")
    long = " + ".join(f"word{number}" for number in range(60))
    for number, name in enumerate(NAMES):
        root = folder / "repositories" / name
        root.mkdir(parents=True)
        sources = [long.replace(f"word{number}", "other"), "common", "DROP_1", *(f"{name}_{n}" for n in range(12))]
        (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\nlicense = "MIT"\n')
        (root / "m.py").write_text(module(*sources))
        (root / "bad.py").write_text("def f(:\n")
    made: dict[tuple[object, ...], Path] = {}

    def mine(numbers: Sequence[int], *flags: str) -> Path:
        key = (*numbers, *flags)
        if key not in made:
            made[key] = folder / f"{len(made)}"
            inputs = [str(folder / "repositories" / NAMES[number]) for number in numbers]
            assert main_here([*inputs, "--out", str(made[key]), *FLAGS, *flags]) == 0
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        # imported by name; nothing is traced
        patch.setitem(options.MineOptions.__init__.__kwdefaults__, "tracer_factory", "corpus_fakes:start_fake")
        yield mine


ALL = (0, 1, 2)


def merged(out: Path, *parts: Path) -> Path:
    assert main_here(["merge", *map(str, parts), "--out", str(out)]) == 0
    return out


def written(out: Path) -> dict[str, bytes]:
    """All files of a dataset beside its ledger."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and ".ledger" not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.mark.parametrize("flags", [(), ("--split-by", "function")], ids=["plain", "by-function"])
def test_merged_shards_are_what_one_command_gives(flags: tuple[str, ...], datasets: Datasets, tmp_path: Path) -> None:
    whole = datasets(ALL, *flags)
    parts = [datasets(ALL, "--shard", f"{number}/2", *flags) for number in (1, 2)]
    again = merged(tmp_path / "again", *reversed(parts))
    assert written(again) == written(whole)
    stats = json.loads((again / "stats.json").read_bytes())
    assert stats["duplicates"] > 0 and stats["drops"] and len(stats["splits"]) == 3
    assert stats["files"]["unreadable"] == {"syntax_error": 3}
    # the parts stand as they were, and the whole can be merged into a larger one
    assert sum(json.loads((part / "stats.json").read_bytes())["found"] for part in parts) == stats["found"]
    assert written(merged(tmp_path / "more", again)) == written(whole)


def test_a_shard_without_repositories_is_no_failure(
    datasets: Datasets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [datasets([0], "--shard", f"{number}/2") for number in (1, 2)]
    assert "no rows in shard 2/2" in capsys.readouterr().out
    assert written(merged(tmp_path / "again", *parts)) == written(datasets([0]))


def test_datasets_of_other_inputs_become_one_and_follow_their_parts(datasets: Datasets, tmp_path: Path) -> None:
    """To the byte as if they had been mined together."""
    parts = [datasets([number]) for number in ALL]
    again = merged(tmp_path / "again", *parts)
    assert written(again) == written(datasets(ALL))
    shutil.rmtree(again / "data")
    assert written(merged(again, *parts)) == written(datasets(ALL))


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main_here(["merge", *map(str, arguments)]) != 0
    return " ".join(capsys.readouterr().err.split())


def test_what_does_not_fit_together_is_refused(
    datasets: Datasets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, out = datasets(ALL, "--shard", "1/2"), tmp_path / "out"
    assert "shards 1/2 to 2/2" in failure(capsys, first, "--out", out)
    assert "each dataset once" in failure(capsys, first, first, "--out", out)
    assert "another --out" in failure(capsys, first, "--out", first)
    assert "follow 2" in failure(capsys, datasets([0], "--follow", "2"), datasets([1]), "--out", out)
    assert "shards" in failure(capsys, first, datasets([1]), "--out", out)
    (tmp_path / "folder").mkdir()
    assert "that trace-mine wrote" in failure(capsys, tmp_path / "folder", "--out", out)
    assert not (out / "data").exists()
    with Ledger(first).locked():
        assert "another trace-mine is writing" in failure(capsys, first, "--out", out)


def test_a_part_that_is_not_finished_is_refused(
    datasets: Datasets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "part"
    shutil.copytree(datasets([0]), part)
    with pytest.raises(CorpusError, match="is not finished"):
        Ledger(tmp_path / "new").adopt(Ledger(part), "0" * 32)
    next((part / ".ledger" / "done").iterdir()).unlink()
    assert "is not finished" in failure(capsys, part, "--out", tmp_path / "out")
    (part / ".ledger" / "plan.json").unlink()
    assert "not planned" in failure(capsys, part, "--out", tmp_path / "out")
    (part / ".ledger" / "plan.json").write_text('{"units": [[0, "../../x"]], "notes": [], "overall": {}}')
    assert "damaged" in failure(capsys, part, "--out", tmp_path / "out")


def test_limits_and_shards_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path), "--out", str(tmp_path / "out")]
    assert main_here([*arguments, "--shard", "1/2", "--limit", "3"]) == 2
    for text in ("0/2", "3/2", "1/0", "a/b", "1"):
        assert main_here([*arguments, "--shard", text]) == 2
        assert "shard" in capsys.readouterr().err


@given(st.integers(1, 40), st.integers(1, 12))
def test_each_input_is_in_one_shard(num_inputs: int, total: int) -> None:
    shards = [parse_shard(f"{number}/{total}") for number in range(1, total + 1)]
    assert all(sum(shard.has(place) for shard in shards) == 1 for place in range(num_inputs))
    assert parse_shard(str(shards[-1])) == shards[-1] == Shard(total, total)


plans = st.lists(st.tuples(st.integers(0, 9), st.from_regex(r"[0-9a-f]{8,20}", fullmatch=True)), max_size=8).map(
    lambda units: DatasetPlan(
        units=[PlannedUnit(place=place, key=key) for place, key in sorted(units)],
        by_place=[(place, {"missing_packages": {"r": ["a"]}}) for place in sorted({place for place, _ in units})],
        overall={"ignored_inputs": []},
    )
)


@given(plans)
def test_a_plan_is_read_back(plan: DatasetPlan) -> None:
    assert DatasetPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(plans, st.integers(1, 4))
def test_plans_of_shards_give_the_whole_plan(plan: DatasetPlan, total: int) -> None:
    shards = [Shard(number, total) for number in range(1, total + 1)]
    parts = [
        DatasetPlan(
            units=[unit for unit in plan.units if shard.has(unit.place)],
            by_place=[each for each in plan.by_place if shard.has(each[0])],
            overall=plan.overall,
        )
        for shard in shards
    ]
    assert joined_plan(parts[::-1], same_inputs=True) == plan


@pytest.mark.parametrize(
    "data",
    [[], {}, {"units": [["a", 0]], "notes": [], "overall": {}}, {"units": [], "notes": [[0, []]], "overall": {}}],
)
def test_what_is_no_plan_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="expected a plan"):
        DatasetPlan.from_json(data)


def test_an_unknown_key_can_not_lead_out_of_the_ledger() -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        PlannedUnit(place=0, key="../../../etc/passwd")
