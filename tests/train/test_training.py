"""Runs end as they should: learned, resumed bit for bit, alike on two processes, refused in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from train import progress, run_folder, running, trainer  # noqa: E402
from train.__main__ import main  # noqa: E402
from train.batches import SyntheticSource, source_of  # noqa: E402
from train.held_out import joined_splits, parted, splits_of  # noqa: E402
from train.kernels import c_ops  # noqa: E402
from train.models.registry import load_model, make_model  # noqa: E402
from train.progress import StopOnSignal  # noqa: E402
from train.recipes import BELIEF_MODELS, RECIPES, recipe  # noqa: E402
from train.settings import StageSettings, from_json, override  # noqa: E402
from train.sweeps import run_sweep  # noqa: E402
from train.trainer import place_trackers, training_arguments  # noqa: E402

TINY = ["model.hidden_size=16", "model.intermediate_size=16", "batch_size=8", "log_every=2", "evaluate_every=4"]
ROOT = Path(__file__).parents[2]


def tiny(*more, name="quick"):
    stages = (
        StageSettings(steps=4, commands=(2, 4), spacings=(1, 2)),
        StageSettings(steps=4, commands=(4, 8), spacings=(1, 2)),
    )
    settings = replace(recipe(name), stages=stages, evaluate_rows=16, save_every=4, evaluate_at=(1, 2))
    return override(settings, [*TINY, *more])


def lines(folder, name="metrics.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def weights(folder):
    return load_model(folder).state_dict()


def test_a_run_leaves_what_the_contract_says(tmp_path):
    final = running.train(tiny(), tmp_path / "run")
    told = lines(tmp_path / "run")
    assert [line["step"] for line in told] == [2, 4, 6, 8]
    for key in ("tokens", "seconds", "loss_reveal", "loss_other", "accuracy_reveal", "accuracy_last_reveal"):
        assert all(isinstance(line[key], (int, float)) for line in told), key
    assert told[-1]["tokens"] > told[0]["tokens"] > 0
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert [each["commands"] for each in final["evaluations"]] == [8, 16]
    evaluation = lines(tmp_path / "run", "evals.jsonl")[-1]
    assert len(evaluation["accuracy_by_reveal"]) == 4 and 0 < evaluation["last_shown"] < 1
    saved = run_folder.read(tmp_path / "run")
    assert saved["versions"]["torch"] and saved["vocabulary_hash"] and saved["data_hash"]
    assert saved["delta_rule_on_cpu"] == c_ops.told()
    assert from_json(saved["settings"]) == tiny()


@pytest.mark.parametrize("every", [4, 3])
def test_resuming_is_bit_equal(every, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    sets = (f"save_every={every}", "log_every=2", "keep=9")  # the checkpoint of step 3 lies between two logs
    running.train(tiny(*sets), whole)
    running.train(tiny(*sets), broken)
    # as if killed between the checkpoint of that step and the end
    for name in ("model.safetensors", "final.json"):
        (broken / name).unlink()
    for path in (broken / "checkpoints").iterdir():
        if path.name != f"checkpoint-{every}":
            (path / "complete.json").unlink()
    assert run_folder.last_checkpoint(broken) == (broken / "checkpoints" / f"checkpoint-{every}", every)
    running.resume(broken)
    one, other = weights(whole), weights(broken)
    assert all(torch.equal(one[key], other[key]) for key in one)
    untimed = [{k: v for k, v in line.items() if k != "seconds"} for line in lines(whole)]
    assert untimed == [{k: v for k, v in line.items() if k != "seconds"} for line in lines(broken)]


def test_resuming_on_another_kernel_is_told(tmp_path, monkeypatch, caplog):
    if c_ops.available() is not None:
        pytest.skip(f"the delta rule in C: {c_ops.available()}")
    running.train(tiny("device=cpu"), tmp_path / "run")
    (tmp_path / "run" / "final.json").unlink()
    running.resume(tmp_path / "run")
    assert "expected the delta rule" not in caplog.text
    (tmp_path / "run" / "final.json").unlink()
    began = c_ops.told()
    monkeypatch.setattr(c_ops, "load", lambda: (None, "a test of the torch form"))
    running.resume(tmp_path / "run")
    assert f"expected the delta rule in {began}, with which {tmp_path / 'run'} began, got torch" in caplog.text


def test_accumulation_changes_neither_loss_nor_weights(tmp_path):
    stages = "stages=[{steps: 4, commands: [4], spacings: [2]}]"
    running.train(tiny(stages), tmp_path / "one")
    running.train(tiny(stages, "batch_size=4", "accumulate=2"), tmp_path / "two")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for key in one:
        torch.testing.assert_close(one[key], two[key], rtol=1e-3, atol=1e-4)
    for line, other in zip(lines(tmp_path / "one"), lines(tmp_path / "two"), strict=True):
        assert line["loss_reveal"] == pytest.approx(other["loss_reveal"], rel=1e-4)
        assert line["tokens"] == other["tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", ["false", "true"])
def test_two_processes_have_the_loss_of_one(fsdp, tmp_path):
    sets = [part for s in (*TINY[:2], "log_every=1", "max_steps=4", "device=cpu") for part in ("--set", s)]
    one = ["-m", "train", "quick", *sets, "--set", "batch_size=8", "--out", str(tmp_path / "one")]
    subprocess.run([sys.executable, *one], cwd=ROOT, check=True, capture_output=True)
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "train", "quick", *sets]
    two += ["--set", "batch_size=4", "--set", f"fsdp={fsdp}", "--out", str(tmp_path / "two")]
    done = subprocess.run([sys.executable, *two], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert (tmp_path / "two" / "final.json").is_file()
    for line, other in zip(lines(tmp_path / "one"), lines(tmp_path / "two"), strict=True):
        for key in ("loss_reveal", "loss_other", "accuracy_reveal"):
            assert line[key] == pytest.approx(other[key], rel=1e-4), key


@pytest.mark.slow
def test_killed_and_interrupted_runs_go_on(tmp_path):
    sets = [*TINY, "save_every=2", "stages=[{steps: 400, commands: [8], spacings: [2]}]"]
    told = [sys.executable, "-m", "train", "quick", *(p for s in sets for p in ("--set", s))]
    for number, kill in enumerate((signal.SIGKILL, signal.SIGINT)):
        folder = tmp_path / str(number)
        process = subprocess.Popen([*told, "--out", str(folder)], cwd=ROOT, stderr=subprocess.DEVNULL)
        while run_folder.last_checkpoint(folder) is None:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(kill)
        code = process.wait(60)
        assert code == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
        path, step = run_folder.last_checkpoint(folder)
        assert step >= 2 and load_model(path) is not None
        if kill == signal.SIGINT:
            assert step < 400 and not (folder / "final.json").exists()


@pytest.mark.slow
def test_two_processes_that_are_interrupted_stop_together_and_go_on(tmp_path):
    """Most signals come while the first evaluates and the other waits for it."""
    run = tmp_path / "run"
    sets = (*TINY[:2], "batch_size=4", "log_every=2", "evaluate_every=1", "save_every=1000", "device=cpu")
    stage = "stages=[{steps: 60, commands: [8], spacings: [2]}]"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "train"]
    told = [*torchrun, "quick", *(part for s in (*sets, stage) for part in ("--set", s)), "--out", str(run)]
    keys = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    free = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  shells in the background ignore it
    process = subprocess.Popen(told, preexec_fn=free, **keys)
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and "Traceback" not in said.partition("torch/distributed")[0], said
    assert f"go on with: torchrun --nproc_per_node=2 -m train --resume {run}" in said
    assert 0 < run_folder.last_checkpoint(run)[1] < 60
    with pytest.raises(ValueError, match=r"expected 2 process\(es\), with which .* began, got 1"):
        running.resume(run)
    subprocess.run([*torchrun, "--resume", str(run)], cwd=ROOT, check=True, capture_output=True)
    assert json.loads((run / "final.json").read_text())["step"] == 60


@pytest.mark.slow
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path):
    sets = [*TINY, "save_every=50", "stages=[{steps: 120, commands: [8], spacings: [2]}]"]
    told = [sys.executable, "-m", "train", "quick", *(p for s in sets for p in ("--set", s))]
    subprocess.run([*told, "--out", str(tmp_path / "whole")], cwd=ROOT, check=True, capture_output=True)
    broken = tmp_path / "broken"
    process = subprocess.Popen([*told, "--out", str(broken)], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (broken / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert 0 < run_folder.last_checkpoint(broken)[1] < 120
    again = [sys.executable, "-m", "train", "--resume", str(broken)]
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True)
    one, other = weights(tmp_path / "whole"), weights(broken)
    assert all(torch.equal(one[key], other[key]) for key in one)
    untimed = [
        [{k: v for k, v in each.items() if k != "seconds"} for each in lines(d)] for d in (tmp_path / "whole", broken)
    ]
    assert untimed[0] == untimed[1]


def test_a_second_signal_stops_at_once_but_for_the_first_passed_on(monkeypatch):
    stopper, control, clock = StopOnSignal(), SimpleNamespace(should_save=False), [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    stopper.on_step_end(None, None, control)
    assert not stopper.stopped and not control.should_save
    stopper._catch(signal.SIGINT, None)
    clock[0] += 0.5
    stopper._catch(signal.SIGINT, None)
    stopper.agreed = False  # a step of several processes that began before
    stopper.on_step_end(None, None, control)
    assert not stopper.stopped
    stopper.agreed = True
    stopper.on_step_end(None, None, control)
    assert stopper.stopped and control.should_save and control.should_training_stop
    clock[0] += 1.0
    with pytest.raises(KeyboardInterrupt):
        stopper._catch(signal.SIGINT, None)


def test_several_gpus_without_torchrun_are_one(tmp_path, monkeypatch, caplog):
    def with_two(settings, folder):
        arguments = training_arguments(settings, folder)
        assert arguments.n_gpu < 2
        arguments._n_gpu = 2
        return arguments

    monkeypatch.setattr(trainer, "training_arguments", with_two)
    settings = tiny("device=cpu")
    source = source_of(settings)
    model = make_model(settings.model, **settings.model_keys, vocab_size=len(source.tokenizer))
    made = trainer.TraceTrainer(model, settings, source, tmp_path, [])
    assert made.args.train_batch_size == settings.batch_size and made.args.n_gpu == 1
    assert "torchrun takes all" in caplog.text


def test_biases_and_norms_do_not_decay(tmp_path):
    settings = tiny("device=cpu")
    source = source_of(settings)
    for name in ("lstm", "mamba2", "gated_delta_net"):
        model = make_model(name, **BELIEF_MODELS[name], vocab_size=len(source.tokenizer))
        made = trainer.TraceTrainer(model, settings, source, tmp_path, [])
        decayed = made.get_decay_parameter_names(model)
        assert decayed and all(dict(model.named_parameters())[key].ndim > 1 for key in decayed), decayed


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


def test_a_broken_checkpoint_is_passed_over(tmp_path):
    for step, whole in ((2, True), (4, True), (6, False)):
        path = tmp_path / "checkpoints" / f"checkpoint-{step}"
        path.mkdir(parents=True)
        if whole:
            run_folder.complete(path, step)
    assert run_folder.last_checkpoint(tmp_path) == (tmp_path / "checkpoints" / "checkpoint-4", 4)
    run_folder.drop_old(tmp_path, 1)
    left = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert left == ["checkpoint-4", "checkpoint-6"]


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "mined"])
def test_every_recipe_of_a_task_makes_a_model_and_batches(name):
    settings = override(recipe(name), ["device=cpu", "precision=fp32"])
    source = source_of(settings)
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


def test_an_edited_sweep_does_not_give_old_results(tmp_path):
    told = "- {recipe: quick, name: q, set: {max_steps: %d, model.hidden_size: 16, batch_size: 8, evaluate_rows: 8}}\n"
    (tmp_path / "s.yaml").write_text(told % 2)
    assert run_sweep(tmp_path / "s.yaml", tmp_path / "out", 1) == 0
    assert json.loads((tmp_path / "out" / "q-s0" / "final.json").read_text())["step"] == 2
    (tmp_path / "s.yaml").write_text(told % 3)
    with pytest.raises(ValueError, match=r"expected .*q-s0 to be a run of .*s\.yaml's settings, got others"):
        run_sweep(tmp_path / "s.yaml", tmp_path / "out", 1)


def test_trackers_write_into_the_run_folder_unless_told_otherwise(tmp_path, monkeypatch):
    names = ("TENSORBOARD_LOGGING_DIR", "WANDB_DIR", "WANDB_PROJECT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    place_trackers(tiny(), tmp_path)
    assert not any(name in os.environ for name in names)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    place_trackers(tiny("report_to=tensorboard,wandb"), tmp_path / "run")
    told = [os.environ[names[2]], *(os.environ.pop(name) for name in names[:2])]
    assert told == ["mine", str(tmp_path / "run" / "tensorboard"), str(tmp_path / "run")]


def test_batches_are_a_function_of_the_step_and_stages_keep_to_their_sizes():
    settings = tiny()
    one, two = SyntheticSource(settings), SyntheticSource(settings)
    assert [one.size(step) for step in range(8)] == [two.size(step) for step in range(8)]
    assert all(one.size(step)[0] in (2, 4) for step in range(4))
    assert all(one.size(step)[0] in (4, 8) for step in range(4, 8))
    batch, again = one.batch(5, [40, 41]), two.batch(5, [40, 41])
    assert torch.equal(batch["input_ids"], again["input_ids"])
    tokenizer = one.tokenizer
    text = tokenizer.decode(batch["input_ids"][0][batch["kinds"][0] > 0].tolist())
    assert text.startswith(">>> a = ") and "print(" in text


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
        (["quick", "--set", "model.heads=2"], "expected a key of delta_net"),
        (["quick", "--set", "task.m=2"], "expected a parameter of permutations"),
        (["belief", "--set", "task.p=1.0"], "hides outcomes"),
        (["mined", "--set", "dataset=nowhere"], "trace-mine or trace-synth wrote"),
        (["--resume", "nowhere"], "run folder"),
        *([] if torch.cuda.is_available() else [(["paper-s5"], "expected a CUDA device")]),
    ],
)
def test_wrong_input_is_one_clear_line(arguments, told, tmp_path, monkeypatch, capfd):
    out = [] if "--resume" in arguments else ["--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["trace-train", *arguments, *out])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed, error = capfd.readouterr()
    assert stopped.value.code == 2 and printed == ""
    assert told in error and len(error.strip().splitlines()) == 1, error


@pytest.mark.parametrize(
    "arguments",
    [["--resume", "x", "--set", "seed=1"], ["--resume", "x", "--out", "y"], ["--sweep", "s.yaml", "--model", "gru"]],
)
def test_what_would_do_nothing_is_refused(arguments, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["trace-train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "expected --set, --model, --show and --out with a RECIPE" in " ".join(capfd.readouterr().err.split())


def test_what_show_prints_is_what_set_takes(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["trace-train", "belief", "--set", "seed=3", "--show"])
    with pytest.raises(SystemExit) as stopped:
        main()
    told = capsys.readouterr().out.splitlines()
    assert not stopped.value.code and "seed: 3" in told and "task.p: 0.1" in told
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


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path, caplog):
    running.train(tiny("save_every=3", "keep=9"), tmp_path / "run")
    (tmp_path / "run" / "final.json").unlink()
    for step in (6, 8):
        (tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / "complete.json").unlink()
    counts = tmp_path / "run" / "checkpoints" / "checkpoint-3" / "counts.json"
    told = json.loads(counts.read_text())
    counts.write_text(json.dumps({**told, "sums": told["sums"][:7]}))
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    del run["processes"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    assert running.resume(tmp_path / "run")["step"] == 8
    assert "an older version's" in caplog.text


def test_a_sweep_s_set_is_a_mapping(tmp_path):
    (tmp_path / "s.yaml").write_text("- {recipe: quick, set: [max_steps=5]}\n")
    with pytest.raises(ValueError, match=r"expected set: \{name: value\}"):
        run_sweep(tmp_path / "s.yaml", tmp_path / "out", 1)


def test_the_last_steps_are_logged_and_a_finished_run_says_so(tmp_path, caplog):
    running.train(tiny("log_every=5"), tmp_path / "run")
    assert [line["step"] for line in lines(tmp_path / "run")] == [5, 8]
    running.resume(tmp_path / "run")
    assert "was finished at step 8; nothing to do" in caplog.text


def test_the_command_itself_says_no_more_than_that_line(tmp_path):
    command = [sys.executable, "-m", "train", "mined", "--set", "dataset=nowhere", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_another_vocabulary_is_refused_on_resuming(tmp_path):
    running.train(tiny(), tmp_path / "run")
    told = run_folder.read(tmp_path / "run")
    (tmp_path / "run" / "final.json").unlink()
    run_folder.write_json(tmp_path / "run" / "run.json", {**told, "vocabulary_hash": "0" * 64})
    with pytest.raises(ValueError, match="expected the vocabulary"):
        running.resume(tmp_path / "run")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A small dataset as trace-synth writes it, with beliefs."""
    folder = tmp_path_factory.mktemp("data") / "rows"
    told = [
        sys.executable,
        "-m",
        "corpus.synthetic",
        "permutations",
        "--rows",
        "40",
        "--set",
        "p=0.3",
        "--out",
        str(folder),
    ]
    subprocess.run(told, cwd=ROOT, check=True, capture_output=True)
    return folder


MINED = ["max_steps=4", "batch_size=4", "log_every=2", "model.hidden_size=16", "model.intermediate_size=16"]
MINED += ["model.num_heads=2", "model.head_dim=8", "model.num_hidden_layers=1", "evaluate_every=2", "vocab_size=700"]


def test_a_dataset_trains_with_the_loss_by_role(dataset, tmp_path):
    settings = override(recipe("mined"), [*MINED, f"dataset={dataset}"])
    final = running.train(settings, tmp_path / "run")
    by_role = final["evaluations"][0]["by_role"]
    assert set(by_role) == {"prompt", "command", "reveal", "value"}
    assert all(numbers["loss"] > 0 and numbers["unigram_loss"] > 0 for numbers in by_role.values())
    assert 0 <= final["evaluations"][0]["copy_last_value"] <= 1
    told = final["evaluations"][0]["beliefs"]
    assert told["num_beliefs"] > 0 and told["kl"] > 0 and told["entropy"] > 0
    source = source_of(settings)
    batch = source.batch(0, [0, 1, 2])
    assert (batch["kinds"] == 3).any(1).all()
    epoch = [source.batch(0, [n])["input_ids"].tolist() for n in range(len(source.rows["train"]))]
    assert len({str(ids) for ids in epoch}) == len(epoch)


def test_several_datasets_are_as_one(dataset, tmp_path):
    other = tmp_path / "others"
    told = [sys.executable, "-m", "corpus.synthetic", "permutations", "--rows", "12", "--held-out", "3"]
    subprocess.run([*told, "--seed", "1", "--out", str(other)], cwd=ROOT, check=True, capture_output=True)
    both = source_of(override(recipe("mined"), [*MINED, f"dataset={dataset},{other}"]))
    parts = [splits_of(folder) for folder in (dataset, other)]
    assert len(both.rows["train"]) == sum(len(part["train"]) for part in parts)
    assert len(both.held_out()) == sum(len(part["test"]) for part in parts)
    assert both.evaluation_split == "held_out" and len(both.with_beliefs["train"]) == len(parts[0]["train"])
    twice = source_of(override(recipe("mined"), [*MINED, f"dataset={dataset},{dataset}"]))
    assert {row["text"] for row in parts[0]["test"]}.isdisjoint(row["text"] for row in parts[0]["train"])
    assert len(twice.rows["train"]) == 2 * len(parts[0]["train"])
    leaking = {"train": [*parts[1]["train"], *parts[0]["test"]], "test": parts[1]["test"]}
    joined = joined_splits([parts[0], leaking])
    assert joined["train"] == [*parts[0]["train"], *parts[1]["train"]]
    one = source_of(override(recipe("mined"), [*MINED, f"dataset={dataset}"]))
    assert one.data_hash != both.data_hash and one.evaluation_split == "test"
    with pytest.raises(ValueError, match="got nowhere"):
        source_of(override(recipe("mined"), [*MINED, f"dataset={dataset},nowhere"]))


def test_a_mixture_takes_steps_of_both(dataset, tmp_path):
    stages = "stages=[{steps: 40, commands: [4], spacings: [2]}]"
    more = ["task=permutations", "task.n=4", "mixture=0.5", stages]
    settings = override(recipe("mined"), [*MINED, f"dataset={dataset}", *more])
    source = source_of(settings)
    texts = [source.tokenizer.decode(source.batch(step, [0])["input_ids"][0].tolist()) for step in range(12)]
    of_task = ["d = 4" in text for text in texts]
    assert any(of_task) and not all(of_task)
    assert running.train(settings, tmp_path / "run")["evaluations"][0]["by_role"]
    with pytest.raises(ValueError, match="commands and spacings"):
        source_of(override(recipe("mined"), [f"dataset={dataset}", "task=permutations", "mixture=0.5"]))


def test_a_dataset_without_the_needed_view_is_refused(tmp_path):
    folder = tmp_path / "visible"
    told = [sys.executable, "-m", "corpus.synthetic", "permutations", "--rows", "10", "--out", str(folder)]
    subprocess.run(told, cwd=ROOT, check=True, capture_output=True)
    with pytest.raises(ValueError, match="expected rows with beliefs"):
        source_of(override(recipe("mined"), [f"dataset={folder}", "requires=branch"]))


def test_what_is_evaluated_is_never_trained_on(dataset, tmp_path):
    source = source_of(override(recipe("mined"), [*MINED, f"dataset={dataset}"]))
    assert source.evaluation_split in ("test", "validation", "held_out")
    told = [[row.ids.tolist() for row in source.rows[name]] for name in ("train", source.evaluation_split)]
    assert told[1] and not any(ids in told[0] for ids in told[1])
    rows = [{"trace_id": str(n)} for n in range(100)]
    kept, held = parted(rows)
    assert len(held) == 5 and len(kept) == 95 and parted(rows[::-1])[1] == held
    assert len(parted(rows[:2])[1]) == 1
    with pytest.raises(ValueError, match="at least two rows"):
        parted(rows[:1])
