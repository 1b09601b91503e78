"""Stages that end by accuracy: where they end, what their steps take, and that a resumed run goes on alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train import running  # noqa: E402
from trace_mine.train.batches import TaskBatches  # noqa: E402
from trace_mine.train.curriculum import Curriculum  # noqa: E402
from trace_mine.train.models.registry import load_model  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import Settings, StageSettings, override  # noqa: E402

ROOT = Path(__file__).parents[2]


def settings(*stages: StageSettings) -> Settings:
    return replace(recipe("quick"), stages=stages)


def stage(commands: int, steps: int = 5, **more) -> StageSettings:
    return StageSettings(steps=steps, commands=(commands,), spacings=(1,), **more)


def test_stages_without_accuracy_end_after_their_steps():
    curriculum = Curriculum(settings(stage(1, 2), stage(2, 3), stage(4, 1)))
    assert [curriculum.stage_at(step) for step in range(8)] == [0, 0, 1, 1, 1, 2, 2, 2]
    assert not curriculum.by_accuracy


def test_a_stage_ends_once_its_last_steps_are_accurate_enough():
    curriculum = Curriculum(settings(stage(1, advance_at=0.9, advance_over=3), stage(2, 2), stage(4)))
    for step, hits in enumerate([10, 5, 9, 8, 9, 10]):
        assert curriculum.stage_at(step) == 0  # whatever its number of steps is
        told = curriculum.record(step, hits, 10)
    assert told == "stage 1 of 3 ended at step 6: 0.9000 of the reveals' tokens were right in its last 3 steps"
    # 8 + 9 + 10 of 30 are .9; the step after them may be made already
    assert [curriculum.stage_at(step) for step in (6, 7, 8, 9)] == [0, 1, 1, 2]
    assert curriculum.record(6, 10, 10) == ""
    assert curriculum.stage_at(7) == 1 and curriculum.state() == {"ends": [7], "recent": []}


def test_the_last_stage_goes_on_and_tokens_weigh_alike():
    curriculum = Curriculum(settings(stage(1, advance_at=0.5, advance_over=2), stage(2, advance_at=0.5)))
    curriculum.record(0, 1, 1)
    curriculum.record(1, 0, 99)
    assert curriculum.stage_at(3) == 0  # 1 of 100, though the mean of the two steps' shares is .5
    curriculum.record(2, 99, 99)
    for step in range(3, 60):
        curriculum.record(step, 1, 1)
    assert curriculum.stage_at(1_000) == 1


def test_earlier_stages_take_their_share_and_are_not_judged():
    curriculum = Curriculum(settings(stage(1, 0), stage(2, 0), stage(4, advance_at=1.0, earlier=0.4), stage(8)))
    drawn = Counter(curriculum.draw(step)[:2] for step in range(4_000))
    assert set(drawn) == {(0, 1), (1, 2), (2, 4)}
    # three standard deviations of a count of 4,000 draws
    assert abs(drawn[2, 4] - 2_400) < 93 and abs(drawn[0, 1] - 800) < 76
    earlier = next(step for step in range(50) if curriculum.draw(step)[0] < 2)
    curriculum.record(earlier, 10, 10)
    assert curriculum.state()["recent"] == []


def test_a_step_keeps_its_size_as_stages_end():
    curriculum = Curriculum(settings(stage(1, advance_at=0.5, advance_over=1), stage(2, earlier=0.4)))
    before = [curriculum.draw(step) for step in range(4)]
    curriculum.record(2, 1, 1)
    assert [curriculum.draw(step) for step in range(4)] == before


def test_rows_follow_the_stage_that_the_trainer_found():
    batches = TaskBatches(settings(stage(1, advance_at=0.5, advance_over=1), stage(4)))
    short = batches.batch(9, [0])["input_ids"].shape[1]
    batches.curriculum.record(0, 1, 1)
    assert batches.batch(1, [0])["input_ids"].shape[1] == short < batches.batch(9, [0])["input_ids"].shape[1]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_that_stops_between_goes_on_bit_for_bit(accumulate, tmp_path):
    small = ["model.hidden_size=16", "model.intermediate_size=16", "batch_size=4", "log_every=4", "save_every=3"]
    small += ["keep=9", "max_steps=14", "evaluate_rows=4", f"accumulate={accumulate}", "evaluate_every=0"]
    # Stages end at whatever accuracy, so that ends and steps that count lie before and after checkpoints and logs.
    stages = (
        stage(1, advance_at=0.01, advance_over=3),
        stage(2, advance_at=0.01, advance_over=4, earlier=0.3),
        stage(4, earlier=0.4),
    )
    made = override(replace(recipe("s5-full"), stages=stages, evaluate_at=(1,)), small)
    running.train(made, tmp_path / "whole")
    told = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in told][-1] == 2 and told[0]["stage"] == 0, told
    for step in (3, 6, 9):
        broken = tmp_path / f"broken-{step}"
        running.train(made, broken)
        for name in ("model.safetensors", "final.json"):
            (broken / name).unlink()
        for path in (broken / "checkpoints").iterdir():
            if path.name != f"checkpoint-{step}":
                (path / "complete.json").unlink()
        running.resume(broken)
        one, other = (load_model(folder).state_dict() for folder in (tmp_path / "whole", broken))
        assert all(torch.equal(one[key], other[key]) for key in one)
        again = [json.loads(line) for line in (broken / "metrics.jsonl").read_text().splitlines()]
        timed = {"seconds", "cpu_seconds"}
        assert [{k: v for k, v in line.items() if k not in timed} for line in told] == [
            {k: v for k, v in line.items() if k not in timed} for line in again
        ]


def test_a_stage_may_have_a_share_of_the_rows():
    batches = TaskBatches(settings(stage(1, 1), stage(4, 1, rows=0.5)))
    indices = range(8)
    assert len(batches.batch(0, indices)["input_ids"]) == 8
    half = batches.batch(1, indices)["input_ids"]
    # row by row, as alone
    assert len(half) == 4 and torch.equal(half[3:], batches.batch(1, [3])["input_ids"])
    assert len(batches.batch(1, [0])["input_ids"]) == 1


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="expected rows of a stage above 0"):
        stage(1, rows=0.0)


@pytest.mark.slow
def test_two_processes_agree_on_the_ends_of_stages(tmp_path):
    stages = "stages=[{steps: 4, commands: [1], spacings: [1], advance_at: 0.01, advance_over: 2}, "
    stages += "{steps: 6, commands: [4], spacings: [2], earlier: 0.3}]"
    sets = [stages, "model.hidden_size=16", "model.intermediate_size=16", "log_every=1", "device=cpu", "max_steps=10"]
    sets += ["evaluate_rows=4", "evaluate_at=[1]"]
    arguments = [part for each in sets for part in ("--set", each)]
    one = ["-m", "trace_mine.train", "s5-full", *arguments, "--set", "batch_size=8", "--out", str(tmp_path / "one")]
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *one[:3], *arguments]
    two += ["--set", "batch_size=4", "--out", str(tmp_path / "two")]
    for command in (one, two):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3_000:]
        assert done.stderr.count("stage 1 of 2 ended") == 1
    told = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["stage"] for line in told[0]][-1] == 1
    for line, other in zip(*told, strict=True):
        assert line["stage"] == other["stage"]
        assert line["loss_reveal"] == pytest.approx(other["loss_reveal"], rel=1e-4)


@pytest.mark.parametrize(
    ("key", "value"), [("advance_at", 1.1), ("advance_over", 0), ("earlier", 1.0), ("earlier", -0.1)]
)
def test_what_is_no_share_is_refused(key, value):
    with pytest.raises(ValueError, match="expected advance_at of a stage from 0 to 1"):
        stage(1, **{key: value})


def test_a_dataset_has_no_stages_by_accuracy():
    with pytest.raises(ValueError, match="expected stages that end by steps, for the dataset somewhere"):
        override(recipe("mined"), ["dataset=somewhere", "stages=[{steps: 3, advance_at: 0.9}]"])


@pytest.mark.parametrize("model", ["transformer", "lstm", "gated_delta_net", "mamba2"])
def test_other_models_get_the_sizes_of_full_permutations_too(model):
    keys, own = recipe("s5-full", model).model_keys, recipe("s5-full").model_keys
    assert {name: keys[name] for name in ("hidden_size", "num_hidden_layers", "intermediate_size")} == {
        name: own[name] for name in ("hidden_size", "num_hidden_layers", "intermediate_size")
    }
    assert keys.get("conv_size", keys.get("conv_kernel", 8)) == 8
    assert recipe("s5-full", model).stages == recipe("s5-full").stages


def test_names_with_their_separators_are_a_session_in_fewer_tokens():
    batches = TaskBatches(recipe("s5-full"))
    stream = batches.stream(3, 1, "train")
    row = stream.batch([0])
    text = "".join(stream.vocabulary[number] for number in row.tokens[0])
    trace = batches.task.trace(0, seed=stream.seed, split="train", stage=stream.stage)
    assert text == trace.text
    opening, command, reveal = 5 * 5, 13, 5
    assert row.lengths[0] == opening + 3 * (command + reveal)
