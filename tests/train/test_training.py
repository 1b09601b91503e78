"""Runs end as they should: learned, resumed bit for bit, alike on two processes, refused in one line."""

from __future__ import annotations

import json
import os
import shutil
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

from trace_mine.train import checkpoints, progress, run_folder, running, trainer  # noqa: E402
from trace_mine.train.batches import TaskBatches, batches_of  # noqa: E402
from trace_mine.train.kernels import c_ops  # noqa: E402
from trace_mine.train.models.registry import load_model, make_model  # noqa: E402
from trace_mine.train.progress import StopOnSignal  # noqa: E402
from trace_mine.train.recipes import BELIEF_MODELS, recipe  # noqa: E402
from trace_mine.train.settings import StageSettings, from_json, override  # noqa: E402
from trace_mine.train.trainer import place_trackers, training_arguments  # noqa: E402

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
    assert saved["delta_rule_on_cpu"] == c_ops.kernel_name()
    assert from_json(saved["settings"]) == tiny()


@pytest.mark.parametrize("every", [pytest.param(4, marks=pytest.mark.slow), 3])
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
    assert checkpoints.last_checkpoint(broken) == (broken / "checkpoints" / f"checkpoint-{every}", every)
    running.resume(broken)
    one, other = weights(whole), weights(broken)
    assert all(torch.equal(one[key], other[key]) for key in one)
    untimed = [{k: v for k, v in line.items() if k not in ("seconds", "cpu_seconds")} for line in lines(whole)]
    assert untimed == [{k: v for k, v in line.items() if k not in ("seconds", "cpu_seconds")} for line in lines(broken)]


def test_resuming_on_another_kernel_is_told(tmp_path, monkeypatch, caplog):
    if c_ops.available() is not None:
        pytest.skip(f"the delta rule in C: {c_ops.available()}")
    running.train(tiny("device=cpu"), tmp_path / "run")
    (tmp_path / "run" / "final.json").unlink()
    running.resume(tmp_path / "run")
    assert "expected the delta rule" not in caplog.text
    (tmp_path / "run" / "final.json").unlink()
    began = c_ops.kernel_name()
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
    one = ["-m", "trace_mine.train", "quick", *sets, "--set", "batch_size=8", "--out", str(tmp_path / "one")]
    subprocess.run([sys.executable, *one], cwd=ROOT, check=True, capture_output=True)
    two = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "trace_mine.train",
        "quick",
        *sets,
    ]
    two += ["--set", "batch_size=4", "--set", f"fsdp={fsdp}", "--out", str(tmp_path / "two")]
    done = subprocess.run([sys.executable, *two], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert (tmp_path / "two" / "final.json").is_file()
    for line, other in zip(lines(tmp_path / "one"), lines(tmp_path / "two"), strict=True):
        for key in ("loss_reveal", "loss_other", "accuracy_reveal"):
            assert line[key] == pytest.approx(other[key], rel=1e-4), key


@pytest.mark.slow
def test_a_run_with_fsdp_goes_on_bit_for_bit(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    torchrun += ["-m", "trace_mine.train"]
    sets = (
        *TINY[:2],
        "batch_size=4",
        "log_every=1",
        "max_steps=4",
        "save_every=2",
        "keep=9",
        "device=cpu",
        "fsdp=true",
    )
    told = [*torchrun, "quick", *(part for s in sets for part in ("--set", s)), "--out", str(tmp_path / "whole")]
    subprocess.run(told, cwd=ROOT, check=True, capture_output=True)
    broken = Path(shutil.copytree(tmp_path / "whole", tmp_path / "broken"))
    (broken / "final.json").unlink()
    shutil.rmtree(broken / "checkpoints" / "checkpoint-4")
    subprocess.run([*torchrun, "--resume", str(broken)], cwd=ROOT, check=True, capture_output=True)
    assert not [path for path in broken.rglob("*") if path.suffix in (".pt", ".pth", ".bin", ".distcp")]
    one, other = weights(tmp_path / "whole"), weights(broken)
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
def test_killed_and_interrupted_runs_go_on(tmp_path):
    sets = [*TINY, "save_every=2", "stages=[{steps: 400, commands: [8], spacings: [2]}]"]
    told = [sys.executable, "-m", "trace_mine.train", "quick", *(p for s in sets for p in ("--set", s))]
    for number, kill in enumerate((signal.SIGKILL, signal.SIGINT)):
        folder = tmp_path / str(number)
        process = subprocess.Popen([*told, "--out", str(folder)], cwd=ROOT, stderr=subprocess.DEVNULL)
        while checkpoints.last_checkpoint(folder) is None:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(kill)
        code = process.wait(60)
        assert code == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
        path, step = checkpoints.last_checkpoint(folder)
        assert step >= 2 and load_model(path) is not None
        if kill == signal.SIGINT:
            assert step < 400 and not (folder / "final.json").exists()


@pytest.mark.slow
def test_two_processes_that_are_interrupted_stop_together_and_go_on(tmp_path):
    """Most signals come while the first evaluates and the other waits for it."""
    run = tmp_path / "run"
    sets = (*TINY[:2], "batch_size=4", "log_every=2", "evaluate_every=1", "save_every=1000", "device=cpu")
    stage = "stages=[{steps: 60, commands: [8], spacings: [2]}]"
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "trace_mine.train",
    ]
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
    assert f"go on with: torchrun --nproc_per_node=2 -m trace_mine.train --resume {run}" in said
    assert 0 < checkpoints.last_checkpoint(run)[1] < 60
    with pytest.raises(ValueError, match=r"expected 2 process\(es\), with which .* began, got 1"):
        running.resume(run)
    subprocess.run([*torchrun, "--resume", str(run)], cwd=ROOT, check=True, capture_output=True)
    assert json.loads((run / "final.json").read_text())["step"] == 60


@pytest.mark.slow
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path):
    sets = [*TINY, "save_every=50", "stages=[{steps: 120, commands: [8], spacings: [2]}]"]
    told = [sys.executable, "-m", "trace_mine.train", "quick", *(p for s in sets for p in ("--set", s))]
    subprocess.run([*told, "--out", str(tmp_path / "whole")], cwd=ROOT, check=True, capture_output=True)
    broken = tmp_path / "broken"
    process = subprocess.Popen([*told, "--out", str(broken)], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (broken / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert 0 < checkpoints.last_checkpoint(broken)[1] < 120
    again = [sys.executable, "-m", "trace_mine.train", "--resume", str(broken)]
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True)
    one, other = weights(tmp_path / "whole"), weights(broken)
    assert all(torch.equal(one[key], other[key]) for key in one)
    untimed = [
        [{k: v for k, v in each.items() if k not in ("seconds", "cpu_seconds")} for each in lines(d)]
        for d in (tmp_path / "whole", broken)
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
    batches = batches_of(settings)
    model = make_model(settings.model, **settings.model_keys, vocab_size=len(batches.tokenizer))
    made = trainer.TraceTrainer(model, settings, batches, tmp_path, [])
    assert made.args.train_batch_size == settings.batch_size and made.args.n_gpu == 1
    assert "torchrun takes all" in caplog.text


def test_biases_and_norms_do_not_decay(tmp_path):
    settings = tiny("device=cpu")
    batches = batches_of(settings)
    for name in ("lstm", "mamba2", "gated_delta_net"):
        model = make_model(name, **BELIEF_MODELS[name], vocab_size=len(batches.tokenizer))
        made = trainer.TraceTrainer(model, settings, batches, tmp_path, [])
        decayed = made.get_decay_parameter_names(model)
        assert decayed and all(dict(model.named_parameters())[key].ndim > 1 for key in decayed), decayed


def test_a_broken_checkpoint_is_passed_over(tmp_path):
    for step, whole in ((2, True), (4, True), (6, False)):
        path = tmp_path / "checkpoints" / f"checkpoint-{step}"
        path.mkdir(parents=True)
        if whole:
            checkpoints.seal(path, step)
    assert checkpoints.last_checkpoint(tmp_path) == (tmp_path / "checkpoints" / "checkpoint-4", 4)
    checkpoints.remove_old_checkpoints(tmp_path, 1)
    left = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert left == ["checkpoint-4", "checkpoint-6"]


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
    one, two = TaskBatches(settings), TaskBatches(settings)
    assert [one.size(step) for step in range(8)] == [two.size(step) for step in range(8)]
    assert all(one.size(step)[0] in (2, 4) for step in range(4))
    assert all(one.size(step)[0] in (4, 8) for step in range(4, 8))
    batch, again = one.batch(5, [40, 41]), two.batch(5, [40, 41])
    assert torch.equal(batch["input_ids"], again["input_ids"])
    tokenizer = one.tokenizer
    text = tokenizer.decode(batch["input_ids"][0][batch["kinds"][0] > 0].tolist())
    assert text.startswith(">>> a = ") and "print(" in text


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path, caplog):
    running.train(tiny("save_every=3", "keep=9"), tmp_path / "run")
    (tmp_path / "run" / "final.json").unlink()
    for step in (6, 8):
        (tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / "complete.json").unlink()
    counts = tmp_path / "run" / "checkpoints" / "checkpoint-3" / "counts.json"
    told = json.loads(counts.read_text())
    counts.write_text(json.dumps({**told, "sums": told["sums"][:7]}))
    (counts.parent / "complete.json").write_text('{"step": 3}')
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    del run["processes"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    assert running.resume(tmp_path / "run")["step"] == 8
    assert "an older version's" in caplog.text


def test_the_last_steps_are_logged_and_a_finished_run_says_so(tmp_path, caplog):
    final = running.train(tiny("log_every=5", "final_split=none"), tmp_path / "run")
    assert final["evaluations"] == [] and "rescaled" not in final
    assert [line["step"] for line in lines(tmp_path / "run")] == [5, 8]
    running.resume(tmp_path / "run")
    assert "was finished at step 8; nothing to do" in caplog.text


def test_another_vocabulary_is_refused_on_resuming(tmp_path):
    running.train(tiny(), tmp_path / "run")
    told = run_folder.read(tmp_path / "run")
    (tmp_path / "run" / "final.json").unlink()
    run_folder.write_json(tmp_path / "run" / "run.json", {**told, "vocabulary_hash": "0" * 64})
    with pytest.raises(ValueError, match="expected the vocabulary"):
        running.resume(tmp_path / "run")
