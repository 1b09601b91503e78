"""A budget of tokens ends a run and carries its schedule, resumed or not; a rate is chosen on validation alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.eval.plan import PlannedRun  # noqa: E402
from trace_mine.train import checkpoints, running  # noqa: E402
from trace_mine.train.__main__ import main  # noqa: E402
from trace_mine.train.models.registry import load_model  # noqa: E402
from trace_mine.train.rate_choice import RateChoice, choose, sentences  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import StageSettings, override  # noqa: E402
from trace_mine.train.token_budget import rate_share  # noqa: E402

BUDGET = 8_000
TINY = ["model.hidden_size=16", "model.intermediate_size=16", "batch_size=8", "evaluate_rows=4", "evaluate_at=[1]"]


def settings_with(*more):
    stages = (
        StageSettings(steps=3, commands=(2, 4), spacings=(1, 2)),
        StageSettings(steps=1, commands=(4, 16), spacings=(2,)),
    )
    sets = [*TINY, f"max_tokens={BUDGET}", "log_every=1", "save_every=4", "keep=9", "evaluate_every=0", "device=cpu"]
    return override(replace(recipe("quick"), stages=stages), [*sets, *more])


def untimed(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, running.train(settings_with(), folder)


def test_a_run_ends_with_the_step_that_reaches_its_budget(whole):
    folder, final = whole
    told = untimed(folder)
    assert told[-2]["tokens"] < BUDGET <= told[-1]["tokens"] == final["tokens"]
    assert {line["max_tokens"] for line in told} == {BUDGET} == {final["max_tokens"]}
    assert len({now["tokens"] - before["tokens"] for before, now in pairwise(told)}) > 1
    before = [0, *(line["tokens"] for line in told)]
    for step, line in enumerate(told):
        assert line["learning_rate"] == pytest.approx(3e-3 * rate_share(settings_with(), step, before[step]))
    assert told[-1]["learning_rate"] < max(line["learning_rate"] for line in told) / 2
    assert "(it ended at its budget of 8,000 tokens)" in (folder / "README.md").read_text()
    assert checkpoints.last_checkpoint(folder)[1] == told[-1]["step"]


@pytest.mark.parametrize("left", ["a step in the middle", pytest.param("the last step", marks=pytest.mark.slow)])
def test_a_run_with_a_budget_goes_on_bit_for_bit(left, whole, tmp_path):
    folder, final = whole
    running.train(settings_with(), tmp_path / "broken")
    (tmp_path / "broken" / "final.json").unlink()
    if left == "a step in the middle":
        for path in (tmp_path / "broken" / "checkpoints").iterdir():
            if path.name != "checkpoint-4":
                (path / "complete.json").unlink()
    assert running.resume(tmp_path / "broken")["step"] == final["step"]
    one, other = load_model(folder).state_dict(), load_model(tmp_path / "broken").state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert untimed(folder) == untimed(tmp_path / "broken")


def test_budgets_are_of_steps_or_of_tokens():
    with pytest.raises(ValueError, match="expected max_steps or max_tokens, got both, 3 and 8000"):
        settings_with("max_steps=3")
    planned = PlannedRun(group="g", seed=1, recipe="belief", overrides={"max_tokens": "5000"}, expected=1)
    assert planned.settings().max_tokens == 5_000
    for schedule in ("cosine", "constant_then_linear"):
        settings = settings_with(f"schedule={schedule}", "warmup=0", "min_rate=0.2")
        shares = [rate_share(settings, 50, tokens) for tokens in range(0, 2 * BUDGET, 500)]
        assert shares[0] == 1 and shares == sorted(shares, reverse=True) and shares[-1] == pytest.approx(0.2)


def test_the_rate_with_the_least_mean_is_chosen():
    choice = RateChoice(name="q", runs={"1e-3": ["a", "b"], "0.003": ["c", "d"], "0.01": ["e", "f"]})
    losses = {"a": 0.5, "b": 0.1, "c": 0.25, "d": 0.3, "e": 0.1, "f": math.nan}
    told = {run: [{"split": "validation", "loss_reveal": loss}] for run, loss in losses.items()}
    chosen = choose(choice, told)
    assert (chosen["learning_rate"], chosen["runs"], chosen["left_out"]) == (0.003, ["c", "d"], ["0.01"])
    assert chosen["at_edge"] == "" and chosen["means"]["1e-3"] == pytest.approx(0.3)
    (line, left_out) = sentences(chosen)
    assert "best learning rate 0.003, by loss of reveals on validation, mean of 2 run(s)" in line and "0.01" in left_out
    told["f"][0]["loss_reveal"] = 0.1
    assert choose(choice, told)["at_edge"] == "largest"
    for run in told:  # beliefs come first, where all runs have them
        told[run][0]["kl"] = 1 - losses[run] if run != "f" else 2.0
    assert (choose(choice, told)["metric"], choose(choice, told)["learning_rate"]) == ("kl", 0.001)
    told["a"][0]["split"] = "test"
    with pytest.raises(ValueError, match="expected runs that were evaluated on validation, got a on test"):
        choose(choice, told)
    with pytest.raises(ValueError, match="expected a rate of q whose runs all finished"):
        choose(choice, {"a": [{"split": "validation", "loss_reveal": 1.0}]})


@pytest.mark.slow
def test_a_sweep_from_the_command_line_tells_the_best_rate(tmp_path, capsys):
    sets = [part for each in [*TINY, "max_tokens=3000"] for part in ("--set", each)]
    arguments = ["belief", *sets, "--learning-rates", "0.001,3e-3", "--out", str(tmp_path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "belief: best learning rate 0.00" in printed and "the test split was not looked at: trace-eval" in printed
    chosen = json.loads((tmp_path / "chosen.jsonl").read_text())
    assert (chosen["metric"], chosen["split"], sorted(chosen["means"])) == ("kl", "validation", ["0.001", "3e-3"])
    for folder in tmp_path.glob("belief-*s0"):
        final = json.loads((folder / "final.json").read_text())
        assert {each["split"] for each in final["evaluations"]} == {"validation"}
        assert "validation sessions" in (folder / "README.md").read_text()


@pytest.mark.parametrize("rates", ["0.001", "0.001,fast", "0.001,-1"])
def test_rates_that_are_none_are_told(rates, tmp_path, capsys):
    assert main(["belief", "--learning-rates", rates, "--out", str(tmp_path / "out")]) == 2
    assert "expected two or more learning rates, such as 0.001,0.003,0.01, got" in capsys.readouterr().err
