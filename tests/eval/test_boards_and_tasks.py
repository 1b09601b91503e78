"""Leaderboards compare like with like; task files say what the sessions say and score as we do."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from trace_mine.eval.harness import SUITES, write_tasks
from trace_mine.eval.leaderboard import board, make_board, markdown
from trace_mine.eval.results import Result, write


def row(model: str, value: float, seed: int, commands: int = 8, metric: str = "belief KL", run: str = "r") -> Result:
    name = f"{run}{seed}" if run else ""
    return Result(metric=metric, value=value, run=name, model=model, seed=seed, task="t", commands=commands, spacing=2)


def test_the_better_mean_comes_first_beside_the_best_baseline() -> None:
    rows = [row("a", 0.2, 0), row("a", 0.4, 1), row("b", 0.1, 0), row("b", 0.2, 1)]
    rows += [row("chance", 1.0, -1, run=""), row("last shown", 0.5, -1, run=""), row("exact filter", 0.0, -1, run="")]
    lines = board(rows, ["belief KL"])
    assert [(x.model, len(x.values)) for x in lines] == [("b", 2), ("a", 2)]
    assert lines[0].baseline == "last shown 0.5000"
    assert "| 0.1500 | 0.1000 | 0.2000 | 2 |" in markdown(lines)
    up = board([row("a", 0.2, 0, metric="accuracy"), row("b", 0.9, 0, metric="accuracy")], ["accuracy"])
    assert [x.model for x in up] == ["b", "a"]


def test_sizes_are_never_mixed_and_unknown_metrics_told(tmp_path: Path) -> None:
    lines = board([row("a", 0.2, 0, 8), row("a", 0.6, 0, 64), row("chance", 1.0, -1, 64, run="")], ["belief KL"])
    assert [(x.commands, x.baseline) for x in lines] == [(8, ""), (64, "chance 1.0000")]
    with pytest.raises(ValueError, match="expected a metric among 'belief KL', got 'nope'"):
        board([row("a", 0.2, 0)], ["nope"])
    write(tmp_path / "r.parquet", [row("a", 0.2, 0)])
    assert len(make_board([tmp_path / "r.parquet"], ["belief KL"], tmp_path / "b.csv")) == 1
    assert "a" in (tmp_path / "b.csv").read_text()
    with pytest.raises(ValueError, match="ends in"):
        make_board([tmp_path / "r.parquet"], ["belief KL"], tmp_path / "b.txt")


def test_a_baseline_is_a_mean_over_files_of_the_same_split() -> None:
    rows = [row("a", 0.2, 0), row("b", 0.3, 0)]
    rows += [row("chance", v, -1, run="") for v in (0.1, 0.9)] + [row("last shown", v, -1, run="") for v in (0.3, 0.4)]
    rows.append(replace(row("filter of 32 commands", 0.0, -1, run=""), metric="belief KL, window"))
    rows.append(replace(row("no memory", 0.0, -1, run=""), split="train"))
    assert {x.baseline for x in board(rows, ["belief KL"])} == {"last shown 0.3500"}
    mass = [row("a", 0.03, 0, metric="mass on outcomes"), row("b", 0.14, 0, metric="mass on outcomes")]
    assert [x.model for x in board(mass, ["mass on outcomes"])] == ["b", "a"]


def test_other_parameters_of_a_task_are_no_seeds() -> None:
    rows = [row("a", 0.2, 0, run="three"), row("a", 0.6, 0, run="five")]
    with pytest.raises(ValueError, match="expected each seed of a once for belief KL, got seed 0 of five0, three0"):
        board(rows, ["belief KL"])
    with pytest.raises(ValueError, match="and no file twice"):
        board([rows[0], rows[0]], ["belief KL"])


class Loader(yaml.SafeLoader):
    """Reads ``!function module.name`` as its text, as the harness resolves it later."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tasks")
    write_tasks(out, docs=6, seed=3)
    return out


def test_every_task_file_is_whole(folder: Path) -> None:
    for suite in SUITES:
        told = yaml.load((folder / f"{suite.name}.yaml").read_text(), Loader)
        assert told["task"] == suite.name and told["output_type"] == "multiple_choice"
        docs = [json.loads(x) for x in (folder / told["dataset_kwargs"]["file"]).read_text().splitlines()]
        assert len(docs) == 6
        for doc in docs:
            assert doc[told["doc_to_choice"]] and 0 <= doc[told["doc_to_target"]] < len(doc["choices"])
            assert math.isclose(sum(doc["law"]), 1.0, abs_tol=1e-9)
            assert doc["law"][doc["target"]] > 0
            assert doc["text"].count(">>> ") == suite.parameters["n"] + suite.commands + suite.commands // suite.spacing
            if not suite.is_belief:
                assert replayed(doc["text"]) == doc["choices"][doc["target"]]
    for group in ("trace_permutations", "trace_beliefs"):
        told = yaml.load((folder / f"{group}.yaml").read_text(), Loader)
        assert set(told["task"]) <= {suite.name for suite in SUITES}


def replayed(text: str) -> str:
    """What Python says that the asked variable holds: the text's own commands, run."""
    names: dict[str, object] = {}
    asked = text.rstrip("\n").rsplit(">>> ", 1)[1].splitlines()[0]
    for line in text.splitlines():
        if line.startswith(">>> ") and "print" not in line:
            exec(line[4:], {}, names)  # the text is ours: swaps of names
    return str(names[asked.split(", ")[1].rstrip(")")])


def test_the_same_seed_gives_the_same_bytes_and_another_others(folder: Path, tmp_path: Path) -> None:
    write_tasks(tmp_path / "again", docs=6, seed=3)
    write_tasks(tmp_path / "other", docs=6, seed=4)
    name = f"{SUITES[1].name}.jsonl"
    texts = [(where / name).read_bytes() for where in (folder, tmp_path / "again", tmp_path / "other")]
    assert texts[0] == texts[1] != texts[2]


def test_questions_are_found_from_any_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("task_questions", folder / "utils.py")
    assert spec is not None and spec.loader is not None
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    monkeypatch.chdir(tmp_path)
    told = utils.questions(f"{SUITES[0].name}.jsonl", version=1.0)
    assert [doc["index"] for doc in told["test"]] == list(range(6))


def test_the_belief_metric_is_kl_and_zero_for_the_truth(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("task_utils", folder / "utils.py")
    assert spec is not None and spec.loader is not None
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    name = next(suite.name for suite in SUITES if suite.is_belief)
    for line in (folder / f"{name}.jsonl").read_text().splitlines():
        doc = json.loads(line)
        law = np.array(doc["law"])
        truth = utils.process_belief(doc, [(math.log(max(p, 1e-300)) - 7.0, False) for p in law])
        assert truth["belief_kl"] == pytest.approx(0, abs=1e-9)
        chance = utils.process_belief(doc, [(-3.0, False)] * len(law))
        kept = law[law > 0]
        assert chance["belief_kl"] == pytest.approx(float((kept * np.log(kept * len(law))).sum()), abs=1e-9)
