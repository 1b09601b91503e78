"""Runs on datasets: roles and steps on held-out rows, beliefs of rows beside their exact laws."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from trace_mine.corpus.synthetic.__main__ import main as synthesize
from trace_mine.eval import mined, runs
from trace_mine.eval.mined import by_role, on_beliefs, rows_of
from trace_mine.eval.runs import evaluate_run
from trace_mine.eval.subjects import Subject, subject
from trace_mine.tokenizer.encoded import ROLES, Encoded
from trace_mine.train.batches import DatasetBatches
from trace_mine.train.measure.text_beliefs import ScoredBelief
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train
from trace_mine.train.settings import override


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maybe-swaps as a dataset on disk, with their exact beliefs."""
    out = tmp_path_factory.mktemp("synthetic") / "swaps"
    command = "permutations --rows 60 --set n=3 --set p=0.3 --seed 0 --out"
    assert synthesize([*command.split(), str(out)]) == 0
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


@pytest.mark.slow
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


def fake_subject(rows: list[Encoded], is_right: list[list[bool]]) -> Subject:
    """A run whose held-out rows are these, and whose model is right just there: one list a row, one entry a target."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.calls = 0

        def forward(self, input_ids: torch.Tensor) -> Any:
            row, right = rows[self.calls], torch.tensor(is_right[self.calls])
            self.calls += 1
            targets = torch.from_numpy(row.ids[1:].astype(np.int64))
            law = torch.full((1, len(targets), 8), 0.05)
            law[0, torch.arange(len(targets)), torch.where(right, targets, (targets + 1) % 8)] = 0.65
            return SimpleNamespace(logits=law.log())

    batches = object.__new__(DatasetBatches)
    batches.settings = SimpleNamespace(max_length=100)  # type: ignore[assignment]
    batches.rows, batches.evaluated = {"test": rows}, ("test",)
    settings = SimpleNamespace(seed=0, task="")
    return Subject(run="r", label="m", seed=0, settings=settings, model=Model(), batches=batches)  # type: ignore[arg-type]


def test_a_row_s_number_is_the_mean_over_its_own_places_and_steps_count_from_one() -> None:
    prompt, value = ROLES.index("prompt"), ROLES.index("value")

    def row(steps: list[int]) -> Encoded:
        roles = [-1, *([prompt, value] * len(steps))]
        return Encoded(
            ids=np.arange(len(roles), dtype=np.int32) % 8,
            roles=np.array(roles, dtype=np.int8),
            steps=np.array([-1, *np.repeat(steps, 2)], dtype=np.int32),
        )

    # values of steps 0, 1, 2, 3 (numbers 1 to 4): right, wrong, wrong, right; and of one step: right
    is_right = [[True, True, True, False, True, False, False, True], [False, True]]
    results = {
        (r.metric, r.place, r.model): r for r in by_role(fake_subject([row([0, 1, 2, 3]), row([2])], is_right), rows=9)
    }
    assert results["accuracy by role", "value", "m"].value == (0.5 + 1.0) / 2
    assert results["accuracy by role", "prompt", "m"].value == (0.75 + 0.0) / 2
    losses = [-np.log(0.65), -np.log(0.05)]
    assert results["loss by role", "value", "m"].value == pytest.approx((sum(losses) / 2 + losses[0]) / 2)
    steps = {place: r.value for (metric, place, _), r in results.items() if metric == "accuracy by step"}
    assert steps == {"steps from 1": 0.5, "steps from 3": (0.5 + 1.0) / 2}


@pytest.mark.slow
def test_reveals_are_asked_for_by_the_hash_of_their_row(opened: Subject, dataset: Path) -> None:
    rows = rows_of(dataset)
    one, other = (on_beliefs(opened, some, name="x") for some in (rows, rows[::-1]))
    assert [(r.metric, r.value, r.count) for r in one] == [(r.metric, r.value, r.count) for r in other]
    assert one[0].count < len(rows)  # more reveals than are asked for: so the order decides which


def test_skewed_laws_are_those_that_a_guess_of_all_alike_is_off(
    monkeypatch: pytest.MonkeyPatch, opened: Subject
) -> None:
    keys = {"segment": 0, "kl": 1.0, "mass": 0.5, "top": 1.0, "tops": 1, "outcomes": 2}
    scored = [ScoredBelief(row=n, entropy=e, **keys) for n, e in enumerate((np.log(2), np.log(2) - 0.09, 0.1))]
    monkeypatch.setattr(mined, "scored_beliefs", lambda *given, **named: (scored, 0))
    rows = [{"view": "{}"}] * 3
    told = {(r.place, r.metric, r.model): r for r in on_beliefs(opened, rows, name="x")}
    assert told["", "belief KL", opened.label].count == 3
    assert told["skewed", "belief KL", opened.label].count == 1
    assert told["skewed", "belief KL", "outcomes alike"].value == pytest.approx(np.log(2) - 0.1)
    assert told["", "KL among outcomes", opened.label].value == pytest.approx(1.0 + np.log(0.5))
    assert told["", "top-1 among outcomes", "outcomes alike"].value == 0.5
