"""Runs on datasets: roles and steps on held-out rows, beliefs of rows beside their exact laws."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trace_mine.eval import runs
from trace_mine.eval.mined import by_role, on_beliefs, rows_of
from trace_mine.eval.runs import evaluate_run
from trace_mine.eval.subjects import Subject, subject
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train
from trace_mine.train.settings import override

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maybe-swaps as a dataset on disk, with their exact beliefs."""
    out = tmp_path_factory.mktemp("synthetic") / "swaps"
    command = "permutations --rows 60 --set n=3 --set p=0.3 --seed 0 --out"
    done = subprocess.run(
        [sys.executable, "-m", "trace_mine.corpus.synthetic", *command.split(), str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def opened(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("run") / "mined"
    small = ["max_steps=4", "batch_size=4", "evaluate_rows=4", "evaluate_every=0", "max_length=256"]
    train(override(recipe("mined"), [f"dataset={dataset}", *small]), folder)
    return subject(folder)


def test_roles_and_steps_of_held_out_rows(opened: Subject) -> None:
    told = by_role(opened, rows=6)
    roles = {r.place for r in told if r.metric == "loss by role"}
    assert roles >= {"prompt", "command", "value"}
    assert any(r.model == "copy the last value" and not r.run for r in told)
    steps = [r for r in told if r.metric == "accuracy by step"]
    assert steps and all(0 <= r.value <= 1 for r in steps)


def test_beliefs_of_rows_beside_guesses_that_know_the_outcomes(opened: Subject, dataset: Path) -> None:
    told = {(r.metric, r.model): r.value for r in on_beliefs(opened, rows_of(dataset)[:8], name="swaps")}
    own = opened.label
    assert told["belief KL", own] > told["KL among outcomes", own] >= -1e-9
    assert 0 < told["mass on outcomes", own] < 1
    assert told["belief KL", "outcomes alike"] > 0
    assert 0 <= told["top-1 among outcomes", own] <= 1 and 0 < told["top-1 among outcomes", "outcomes alike"] < 1
    assert told["entropy of the exact law", "exact filter"] > 0


def test_rows_that_were_trained_on_are_left_out_and_told(
    opened: Subject, dataset: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = evaluate_run(opened, rows=4, dataset=dataset)
    rows = rows_of(dataset)
    held_out = [row for row in rows if row["text"] not in opened.batches.trained_on]
    assert 0 < told[0].count <= len(held_out) < len(rows)
    assert np.isclose(told[0].value, on_beliefs(opened, held_out, name=dataset.name)[0].value)
    told_once = f"{len(rows) - len(held_out)} of {len(rows)} rows"
    assert told_once in caplog.text
    # the same sessions mined from another release have other ids
    monkeypatch.setattr(runs, "rows_of", lambda folder: [{**row, "trace_id": f"v2-{n}"} for n, row in enumerate(rows)])
    caplog.clear()
    evaluate_run(opened, rows=4, dataset=dataset)
    assert told_once in caplog.text


def test_outputs_and_hidden_inputs_are_told_apart(opened: Subject, dataset: Path) -> None:
    rows = rows_of(dataset)[:6]
    for row in rows:
        row["view"] = json.dumps({**json.loads(row["view"]), "prior": "mined", "inputs": {"a": ["1", "2"]}})
    told = {(r.place, r.model): r for r in on_beliefs(opened, rows, name="swaps") if r.metric == "belief KL"}
    parts = [told[place, opened.label] for place in ("", "output", "input")]
    assert parts[0].count == 6 and all(part.value > 0 for part in parts)
    assert parts[2].value == pytest.approx(_last_only(opened, rows))


def _last_only(opened: Subject, rows: list[dict[str, Any]]) -> float:
    """KL at each row's last reveal alone."""
    cut = [
        {**row, "beliefs": row["beliefs"][-1:], "view": "{}"} for row in rows if len(row["beliefs"][-1]["outcomes"]) > 1
    ]
    return on_beliefs(opened, cut, name="last")[0].value


def test_no_dataset_is_told(tmp_path: Path, opened: Subject) -> None:
    with pytest.raises(ValueError, match="expected a folder that trace-mine or trace-synth wrote"):
        rows_of(tmp_path)
    with pytest.raises(ValueError, match="expected rows with exact beliefs"):
        on_beliefs(opened, [{"beliefs": []}], name="none")
