"""Rates chosen before a group's runs are trained, and what claims say of the chances that models had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra [eval]")

from trace_mine.eval.claims import by_seeds
from trace_mine.eval.figures import MODULES, figure
from trace_mine.eval.plan import RATES, PlannedRun, planned
from trace_mine.eval.rate_sweeps import METRIC, as_results, choices, chosen, is_finished, rate_of, trials
from trace_mine.eval.training import train_missing
from trace_mine.eval.tries import tries_of, with_tries
from trace_mine.train.run_folder import append_line, write_json

PLAN = planned(3)


def finish(folder: Path, run: PlannedRun, tokens: int = 1_000, stage: int = 2, **evaluation: float) -> None:
    """Leave what a finished run leaves, as far as plans look at it."""
    folder.mkdir(parents=True)
    settings = run.settings().as_json()
    write_json(folder / "run.json", {"settings": settings, "vocabulary_hash": "", "data_hash": ""})
    sizes = {"step": 1, "tokens": tokens, "parameters": 1, "seconds": 1.0}
    measured = dict.fromkeys(("times", "commands", "spacing", "accuracy_reveal", "accuracy_last_reveal", "chance"), 1)
    measured |= {"split": "validation", "last_shown": None, "kl_last_quarter": 1.0, **evaluation}
    write_json(folder / "final.json", {**sizes, "evaluations": [measured]})
    append_line(folder / "metrics.jsonl", {"step": 1, "stage": stage})
    (folder / "model.safetensors").touch()


def group(name: str) -> list[PlannedRun]:
    return [run for run in PLAN if run.group == name]


def test_models_of_one_claim_have_one_budget_and_one_curriculum() -> None:
    for runs in ([run for run in PLAN if run.group.startswith(kind)] for kind in ("swaps-", "belief-", "sticky-")):
        assert len({(run.settings().max_tokens, run.settings().stages) for run in runs}) == 1
        assert all(run.rates == RATES and run.settings().max_tokens for run in runs)


def test_a_trial_is_the_run_in_small_and_comes_to_its_longest_sessions() -> None:
    for run in (group("swaps-delta")[0], group("belief-lstm")[0]):
        whole, short = run.settings(), trials(run)
        assert [*short] == [*RATES] and len({trial.name for trial in short.values()}) == 3
        for rate, trial in short.items():
            settings = trial.settings()
            assert settings.learning_rate == float(rate) and settings.final_split == "validation"
            assert settings.max_tokens == whole.max_tokens / 5
            assert [stage.commands for stage in settings.stages] == [stage.commands for stage in whole.stages]
            assert not any(stage.advance_at for stage in settings.stages)
            assert settings.seed not in range(3), "a seed of its own"
            assert sum(stage.steps for stage in settings.stages) <= 0.21 * sum(stage.steps for stage in whole.stages)
    assert trials(replace(run, rates=())) == {}
    with pytest.raises(ValueError, match="expected several learning rates"):
        replace(run, rates=("0.01", "1e-2"))


def test_a_rate_is_what_the_trials_say_and_runs_of_others_are_not_finished(tmp_path: Path) -> None:
    first, *_ = runs = group("belief-delta")
    assert chosen(tmp_path, first) is None and not is_finished(tmp_path / first.name, first)
    for loss, trial in zip((0.4, 0.2, 0.3), trials(first).values(), strict=True):
        finish(tmp_path / trial.name, trial, kl=loss, loss_reveal=1.0)
    choice = chosen(tmp_path, first)
    assert choice is not None and rate_of(choice, first) == "0.003" and choice["metric"] == "kl"
    finish(tmp_path / first.name, first.at_rate("0.003"))
    assert is_finished(tmp_path / first.name, first)
    finish(tmp_path / runs[1].name, runs[1].at_rate("0.01"))
    with pytest.raises(ValueError, match=r"expected .* to be a run of the plan's settings"):
        is_finished(tmp_path / runs[1].name, runs[1])
    rows = as_results(choices(tmp_path, PLAN))
    assert [(row.metric, row.model, row.at, row.value, row.place) for row in rows] == [
        (METRIC, "belief-delta", 0.001, 0.4, ""),
        (METRIC, "belief-delta", 0.003, 0.2, "chosen"),
        (METRIC, "belief-delta", 0.01, 0.3, ""),
    ]


def test_no_sweep_is_begun_after_which_no_run_would_fit(tmp_path: Path) -> None:
    lines: list[str] = []
    told = train_missing(group("belief-lstm"), tmp_path, seconds=40, jobs=2, say=lines.append)
    assert len(told.skipped) == 3 and not lines


def test_claims_that_deny_or_compare_say_what_models_were_given(tmp_path: Path) -> None:
    for name, best in (("swaps-delta", 1), ("swaps-delta01", 2)):
        runs = group(name)
        for place, (rate, trial) in enumerate(trials(runs[0]).items()):
            finish(tmp_path / trial.name, trial, loss_reveal=abs(place - best) + 0.1)
            if place == best:
                for run in runs:
                    # of the second group one run stays in the first stage
                    stage = 0 if best == 2 and run.seed == 1 else 2
                    finish(tmp_path / run.name, run.at_rate(rate), tokens=9_400_000 + 50_000 * best, stage=stage)
    tries = tries_of(PLAN, tmp_path)
    assert [each.through for each in tries.values()] == [3, 2]
    assert {name: each.seeds for name, each in tries.items()} == {"swaps-delta": 3, "swaps-delta01": 3}
    assert tries["swaps-delta"].cells()[2] == "0.001: 1.1000; 0.003: 0.1000; 0.01: 1.1000 (loss of reveals)"

    def told(margins: list[float], groups: list[str]) -> str:
        return with_tries(by_seeds("a", "b", margins, "Numbers.", groups), tries).evidence

    both = told([1, 1, 1], ["swaps-delta", "swaps-delta01"])
    assert both == (
        "Numbers. Each had 9.5 M tokens, 1/2/4 commands until 0.95 right, 4/8/16 commands until 0.95 right, 16/32 "
        "commands; swaps-delta: rate 0.003 (best on validation of 0.001 0.003 0.01), tries: 3 short, 3 whole; "
        "swaps-delta01: rate 0.01 (best on validation of 0.001 0.003 0.01, the largest), tries: 3 short, 3 "
        "whole (2 of them came to the last stage)."
    )
    assert told([1, 1, 1], ["swaps-delta"]) == "Numbers."
    denied = told([-1, -1, -1], ["swaps-delta"])
    assert denied.startswith("Numbers. It had 9.4 M tokens, 1/2/4 commands until") and "3 short, 3 whole" in denied
    tries["swaps-delta01"] = replace(tries["swaps-delta01"], tokens=1_000_000)
    assert "Not at one budget: swaps-delta: 9.4 M tokens" in told([1, 1, 1], ["swaps-delta", "swaps-delta01"])


def test_every_claim_on_trained_models_names_groups_that_its_figure_needs() -> None:
    """By the source, since drawing all figures takes minutes: no call of ``by_seeds`` without groups."""
    import ast
    import inspect
    import sys

    for name in MODULES:
        module = sys.modules[figure(name).draw.__module__]
        calls = [
            node
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("by_seeds", "of_learnt")
        ]
        assert all(len(call.args) == (5 if call.func.id == "by_seeds" else 6) for call in calls), name
