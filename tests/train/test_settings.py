"""Recipes and settings make runs, sweeps are lists of them, and wrong input is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train import running  # noqa: E402
from trace_mine.train.__main__ import main  # noqa: E402
from trace_mine.train.batches import batches_of  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402
from trace_mine.train.recipes import BELIEF_MODELS, RECIPES, recipe  # noqa: E402
from trace_mine.train.settings import StageSettings, override  # noqa: E402
from trace_mine.train.sweeps import read_sweep, run_sweep  # noqa: E402

ROOT = Path(__file__).parents[2]


def test_models_of_the_paper_s_recipe_are_of_one_size():
    own = recipe("paper-s5").model_keys
    for name in set(BELIEF_MODELS) - {"delta_net"}:
        settings = recipe("paper-s5", name)
        keys = settings.model_keys
        assert settings.learning_rate == recipe("paper-s5").learning_rate
        for key in ("hidden_size", "num_hidden_layers", "num_heads", "intermediate_size", "tie_word_embeddings"):
            assert keys[key] == own[key], (name, key)
        assert "initializer_range" not in keys and keys.get("head_dim", 128) == 128
    assert recipe("mined", "transformer").model_keys["intermediate_size"] == 256


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "mined"])
def test_every_recipe_of_a_task_makes_a_model_and_batches(name):
    settings = override(recipe(name), ["device=cpu", "precision=fp32"])
    source = batches_of(settings)
    for step in (0, settings.num_steps - 1):
        batch = source.batch(step, [0, 1])
        assert batch["input_ids"].max() < len(source.tokenizer) and (batch["kinds"] >= 2).any()
    if name != "paper-s5":
        model = make_model(settings.model, **{**settings.model_keys, "vocab_size": len(source.tokenizer)})
        assert model(batch["input_ids"]).logits.isfinite().all()


@pytest.mark.parametrize("model", BELIEF_MODELS)
def test_belief_runs_for_every_model_and_reports_divergence(model, tmp_path):
    stages = (StageSettings(steps=2, commands=(4,), spacings=(2,)),)
    settings = replace(recipe("belief", model), stages=stages, batch_size=4, evaluate_rows=8, evaluate_at=(1,))
    final = running.train(settings, tmp_path / "run")
    assert 0 < final["evaluations"][0]["kl"] < 10


def test_the_transformer_has_the_steps_that_belief_takes_it():
    sizes = [[(stage.commands, stage.spacings) for stage in recipe("belief", m).stages] for m in (None, "transformer")]
    assert sizes[0] == sizes[1]
    assert recipe("belief", "transformer").num_steps == 1_000 > recipe("belief", "lstm").num_steps == 380
    assert recipe("contrast", "transformer").stages == recipe("contrast").stages


@pytest.mark.slow
def test_an_edited_sweep_does_not_give_old_results(tmp_path):
    told = "- {recipe: quick, name: q, set: {max_steps: %d, model.hidden_size: 16, batch_size: 8, evaluate_rows: 8}}\n"
    (tmp_path / "s.yaml").write_text(told % 2)
    assert run_sweep(read_sweep(tmp_path / "s.yaml"), tmp_path / "out", 1) == 0
    assert json.loads((tmp_path / "out" / "q-s0" / "final.json").read_text())["step"] == 2
    (tmp_path / "s.yaml").write_text(told % 3)
    with pytest.raises(ValueError, match=r"expected .*q-s0 to be a run of .*s\.yaml's settings, got others"):
        run_sweep(read_sweep(tmp_path / "s.yaml"), tmp_path / "out", 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["quick", "--set", "max_step=3"], "did you mean 'max_steps'"),
        (["quick", "--set", "max_steps=many"], "expected max_steps to be int"),
        (["quick", "--set", "stages=[{steps: 3}]"], "expected stages that say commands and spacings, for the task"),
        (["quick", "--set", "stages=5"], "expected stages to be like"),
        (["quick", "--set", "stages=[{steps: 3, commands: 8, spacings: [2]}]"], "expected stages to be like"),
        (["quick", "--set", "stages=[{step: 3}]"], "expected stages to be like"),
        (["quick", "--set", "seed={"], "expected --set seed=VALUE in YAML"),
        (["quick", "--set", "keep=0"], "expected keep >= 1"),
        (["quick", "--set", "lr=1"], "did you mean 'learning_rate'"),
        (["quick", "--set", "recipe=belief"], "expected the name of a setting, got 'recipe'; "),
        (["quick", "--set", "betas=3"], "expected betas to be a list such as [0.9, 0.98], got 3"),
        (["quick", "--set", "dataset=here"], "expected a dataset or a task, got both, here and permutations"),
        (["quick", "--set", "task=pfsa", "--set", "task.kind=fig9"], "write them with trace-synth"),
        (["quik"], "expected a recipe among"),
        (["quick", "--set", "model=bert"], "expected a model among"),
        (["quick", "--set", "model.heads=2"], "expected a key of delta_net, got 'heads'; did you mean 'num_heads'?"),
        (["quick", "--set", "model.hidden_size=big"], "expected model.hidden_size to be int, got 'big'"),
        (["quick", "--set", "keep=true"], "expected keep to be int, got True"),
        (["quick", "--set", "fsdp=1"], "expected fsdp to be bool, got 1"),
        (["quick", "--set", "per=letter"], "expected per to be word or name or command, got 'letter'"),
        (["quick", "--set", "betas=[0.9]"], "expected betas to be a list such as [0.9, 0.98], got [0.9]"),
        (["quick", "--set", "stages.7.steps=3"], "expected an index from 0 to 2 in 'stages.7.steps', got '7'"),
        (["quick", "--set", "stages.0.step=3"], "expected stages to be like [{steps: 300, commands: [8, 16], spac"),
        (["quick", "--set", "keep.x=3"], "expected the name of a setting, got 'keep.x'; nothing is below 2"),
        (["quick", "--config", "nowhere.yaml"], "expected a YAML file with settings, got nowhere.yaml"),
        (["quick", "--set", "task.m=2"], "expected a parameter of permutations"),
        (["belief", "--set", "task.p=1.0"], "hides outcomes"),
        (["mined", "--set", "dataset=nowhere"], "trace-mine or trace-synth wrote"),
        (["--resume", "nowhere"], "run folder"),
        *([] if torch.cuda.is_available() else [(["paper-s5"], "expected a CUDA device")]),
    ],
)
def test_wrong_input_is_one_clear_line(arguments, told, tmp_path, capfd):
    out = [] if "--resume" in arguments else ["--out", str(tmp_path / "run")]
    assert main([*arguments, *out]) == 2
    printed, error = capfd.readouterr()
    assert printed == ""
    assert told in error and len(error.strip().splitlines()) == 1, error


@pytest.mark.parametrize(
    "arguments",
    [
        ["--resume", "x", "--set", "seed=1"],
        ["--resume", "x", "--out", "y"],
        ["--sweep", "s.yaml", "--model", "gru"],
        ["--resume", "x", "--config", "c"],
    ],
)
def test_what_would_do_nothing_is_refused(arguments, capfd):
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert "expected --set, --model, --show and --out with a RECIPE" in error and error.count("\n") == 1


def test_what_show_prints_is_what_set_takes(capsys):
    assert main(["belief", "--set", "seed=3", "--show"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "seed: 3" in told and "task.p: 0.1" in told
    sets = [line.replace(": ", "=", 1) for line in told if not line.startswith("recipe")]
    assert override(recipe("belief"), sets) == override(recipe("belief"), ["seed=3"])


def test_another_task_has_its_own_parameters():
    told = override(recipe("belief"), ["task.group=A5", "task=groups"])
    assert (told.task, told.task_parameters) == ("groups", {"group": "A5"})


def test_settings_are_judged_together_whatever_their_order():
    for sets in (["dataset=x", "task="], ["task=", "dataset=x"]):
        told = override(recipe("quick"), sets)
        assert (told.dataset, told.task) == ("x", "")
    with pytest.raises(ValueError, match="expected a task or a dataset, got neither"):
        override(recipe("quick"), ["task="])


def test_a_sweep_s_set_is_a_mapping(tmp_path):
    (tmp_path / "s.yaml").write_text("- {recipe: quick, set: [max_steps=5]}\n")
    with pytest.raises(ValueError, match=r"expected set: \{name: value\}"):
        run_sweep(read_sweep(tmp_path / "s.yaml"), tmp_path / "out", 1)


@pytest.mark.slow
def test_the_command_itself_says_no_more_than_that_line(tmp_path):
    command = [
        sys.executable,
        "-m",
        "trace_mine.train",
        "mined",
        "--set",
        "dataset=nowhere",
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
