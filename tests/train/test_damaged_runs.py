"""Run folders that are damaged or hostile: any file, in any way, gives one line, or a whole checkpoint before it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from safetensors.torch import load_file, save_file  # noqa: E402

import trace_mine  # noqa: E402
from trace_mine.tracer.bounded import DamagedFile  # noqa: E402
from trace_mine.train import checkpoints, run_folder, running  # noqa: E402
from trace_mine.train.__main__ import main  # noqa: E402
from trace_mine.train.batches import batches_of  # noqa: E402
from trace_mine.train.models.registry import load_model  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402

TINY = ["model.hidden_size=16", "model.intermediate_size=16", "batch_size=4", "log_every=1", "evaluate_every=0"]
STAGE = ["stages=[{steps: 4, commands: [4], spacings: [2]}]", "evaluate_rows=8", "evaluate_at=[1]", "device=cpu"]
NESTED = b'{"a": ' * 100_000 + b"1" + b"}" * 100_000


class Bomb:
    """Unpickled, it makes a file beside the test."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run with checkpoints of steps 2 and 4; tests copy it."""
    run = tmp_path_factory.mktemp("whole") / "run"
    running.train(override(recipe("quick"), [*TINY, *STAGE, "save_every=2", "keep=9"]), run)
    return run


@pytest.fixture
def run(whole, tmp_path, monkeypatch) -> Path:
    """The copy of a run that was cut off after its last checkpoint."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path / "run")
    for name in ("final.json", "model.safetensors", "complete.json"):
        (tmp_path / "run" / name).unlink()
    return tmp_path / "run"


@pytest.fixture
def finished(whole, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(whole, tmp_path / "run"))


def replaced(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replaced(path, bytes(data))


def linked(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


DAMAGES = {
    "missing": Path.unlink,
    "truncated": lambda path: replaced(path, path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: replaced(path, b""),
    "flipped": flipped,
    "longer": lambda path: replaced(path, path.read_bytes() + b" "),
    "zeros": lambda path: replaced(path, bytes(path.stat().st_size)),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
    "device": lambda path: linked(path, "/dev/zero"),
    "dangling": lambda path: linked(path, "nowhere"),
    "pickle": lambda path: replaced(path, pickle.dumps(Bomb())),
    "nested": lambda path: replaced(path, NESTED),
    "header": lambda path: replaced(path, struct.pack("<Q", 1 << 32) + b"{}"),
}
"""What may happen to a file."""

CHECKPOINT = ("complete.json", "config.json", "counts.json", "model.safetensors")
CHECKPOINT += ("optimizer.safetensors", "random_state.json", "trainer_state.json", "training_state.json")
UNREAD = ("generation_config.json", "modeling_trace_mine.py")
"""Files of a checkpoint that are there for transformers alone: resuming reads neither."""


def test_the_files_of_a_checkpoint_are_those_that_are_damaged_here(whole):
    """And none of them is a pickle."""
    for step in (2, 4):
        found = {path.name for path in (whole / "checkpoints" / f"checkpoint-{step}").iterdir()}
        assert found == {*CHECKPOINT, *UNREAD}
    others = {path.name for path in whole.rglob("*") if path.suffix not in (".json", ".jsonl", ".safetensors", "")}
    assert others == {"modeling_trace_mine.py", "README.md"}  # for transformers and for people


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*CHECKPOINT, *UNREAD])
def test_a_damaged_checkpoint_is_passed_over_in_one_line(run, name, damage, caplog):
    DAMAGES[damage](run / "checkpoints" / "checkpoint-4" / name)
    last = running._last_whole(run)
    assert last.step == 2 and last.path.name == "checkpoint-2"
    (line,) = caplog.messages
    assert "checkpoint-4 is " in line and "passed over" in line and name in line and len(line) < 600
    assert not (run.parent / "exploded").exists()
    # set aside, but one without a seal, which a process may be writing
    is_there = (run / "checkpoints" / "checkpoint-4").exists()
    assert is_there == (name == "complete.json" and damage == "missing")


@pytest.mark.parametrize("name", [name for name in CHECKPOINT if name != "complete.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "zeros", "device", "fifo", "pickle", "nested", "header"])
def test_a_hostile_checkpoint_whose_seal_holds_is_passed_over_too(run, name, damage, caplog):
    checkpoint = run / "checkpoints" / "checkpoint-4"
    DAMAGES[damage](checkpoint / name)
    checkpoints.seal(checkpoint, 4)
    last = running._last_whole(run)
    assert not (run.parent / "exploded").exists()
    assert last.step == 2
    (line,) = caplog.messages
    assert "checkpoint-4 is damaged and passed over: expected " in line and len(line) < 700


HOSTILE = {
    "config.json": [
        {"num_hidden_layers": 10**9},
        {"vocab_size": 10**12},
        {"hidden_size": "16"},
        {"hidden_size": -16},
        {"num_heads": 10**6},
        {"model_type": ["delta_net"]},
        {"intermediate_size": 10**11},
        {"conv_size": 10**12},
        {"vocab_size": None},
        {"dtype": "no such type"},
    ],
    "counts.json": [
        {"tokens": "9"},
        {"seconds": None},
        {"sums": [None]},
        {"tokens": 1e400},
        {"sums": {}},
        {"curriculum": {"ends": ["2"], "recent": []}, "unjudged": [0, 0]},
        {"curriculum": {"ends": [2], "recent": [[1]]}, "unjudged": [0, 0]},
        {"curriculum": {"ends": [2], "recent": []}},
    ],
    "trainer_state.json": [
        {"global_step": 2},
        {"global_step": "4"},
        {"log_history": 3},
        {"unknown": 1},
        {"stateful_callbacks": []},
    ],
    "training_state.json": [
        {"groups": []},
        {"groups": [1]},
        {"groups": [{"params": [7]}]},
        {"numbers": {"0/step": {}, "zz/step": 1}},
        {"schedule": 3},
    ],
    "random_state.json": [
        {"python": [3, [1], None]},
        {"numpy": ["MT19937", [0] * 624, 10**9, 0, 0.0]},
        {"numpy": ["MT19937", [-1] * 624, 0, 0, 0.0]},
        {"torch": "zz"},
        {"torch": "00"},
        {"cuda": 5},
    ],
}
"""Valid JSON of the right shape, with values that none of ours has."""


@pytest.mark.parametrize(
    ("name", "values"), [(name, values) for name, all_values in HOSTILE.items() for values in all_values], ids=str
)
def test_values_that_lie_are_one_line(run, name, values, caplog, capfd):
    path = run / "checkpoints" / "checkpoint-4" / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    checkpoints.seal(path.parent, 4)
    check_that_it_is_told(run, caplog, capfd)


def check_that_it_is_told(run: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """The last checkpoint of a run is passed over, or refused in one line where only training itself can tell."""
    if running._last_whole(run).step == 2:
        (line,) = caplog.messages
        assert "checkpoint-4 is damaged and passed over: expected " in line
        return
    assert main(["--resume", str(run)]) == 1
    told = capfd.readouterr().err
    assert "Traceback" not in told and told.count("trace-train: expected ") == 1, told


@pytest.mark.parametrize("change", ["shape", "left out", "added", "integers"])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
def test_tensors_that_do_not_fit_are_one_line(run, name, change, caplog, capfd):
    path = run / "checkpoints" / "checkpoint-4" / name
    tensors = load_file(path)
    first = max(tensors, key=lambda name: tensors[name].numel())
    if change == "shape":
        tensors[first] = torch.zeros(3, 3)
    elif change == "left out":
        del tensors[first]
    elif change == "added":
        tensors["0/more" if "optim" in name else "more"] = torch.zeros(3, 3)
    else:
        tensors[first] = tensors[first].to(torch.int32)
    save_file(tensors, path, metadata={"format": "pt"})
    checkpoints.seal(path.parent, 4)
    check_that_it_is_told(run, caplog, capfd)


def test_when_none_is_whole_there_is_one_clear_error(run, capfd):
    for path in (run / "checkpoints").glob("*/model.safetensors"):
        flipped(path)
    assert main(["--resume", str(run)]) == 1
    told = capfd.readouterr().err
    assert "Traceback" not in told
    (error,) = [line for line in told.splitlines() if line.startswith("trace-train: ")]
    assert "expected a whole checkpoint in" in error and "got 2, all damaged; remove that folder to" in error
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"checkpoint-2", "checkpoint-4"}


def test_a_run_that_goes_on_from_the_one_before_is_bit_equal(run, whole):
    flipped(run / "checkpoints" / "checkpoint-4" / "optimizer.safetensors")
    assert main(["--resume", str(run)]) == 0
    one, other = load_model(whole).state_dict(), load_model(run).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["checkpoint-2", "checkpoint-4", "damaged-checkpoint-4"]
    assert checkpoints.last_checkpoint(run)[1] == 4


def test_a_damaged_checkpoint_is_not_kept_for_a_whole_one(run):
    """``keep`` counts the latest ones: a damaged one of a later step would cost the run's own."""
    for step in (5, 6):
        shutil.copytree(run / "checkpoints" / "checkpoint-4", run / "checkpoints" / f"checkpoint-{step}")
    assert running._last_whole(run).step == 4
    checkpoints.remove_old_checkpoints(run, 1)
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names == {"checkpoint-4", "damaged-checkpoint-5", "damaged-checkpoint-6"}


def test_a_seal_speaks_of_files_below_it_alone(run):
    checkpoint = run / "checkpoints" / "checkpoint-4"
    record = json.loads((checkpoint / "complete.json").read_text())
    record["files"]["../checkpoint-2/config.json"] = record["files"]["config.json"]
    del record["sha256"]
    (checkpoint / "complete.json").write_bytes(checkpoints._text(record))
    with pytest.raises(DamagedFile, match=r"expected files of .* in its complete.json"):
        checkpoints.checked_step(checkpoint)


# what of older versions is read


def of_an_older_version(checkpoint: Path, step: int) -> None:
    """Write a checkpoint as versions before 0.3 did: pickles, and a seal without hashes."""
    state = running.read_training_state(checkpoint, step, 0, 1)
    randomness = state.randomness
    torch.save(state.optimizer, checkpoint / "optimizer.pt")
    torch.save(state.schedule, checkpoint / "scheduler.pt")
    states = {"python": randomness.python, "numpy": randomness.numpy, "cpu": randomness.torch}
    torch.save(states, checkpoint / "rng_state.pth")
    for name in ("optimizer.safetensors", "training_state.json", "random_state.json"):
        (checkpoint / name).unlink()
    (checkpoint / "complete.json").write_text(json.dumps({"step": step}))


def test_a_checkpoint_with_pickles_goes_on_bit_for_bit(run, whole, caplog):
    of_an_older_version(run / "checkpoints" / "checkpoint-2", 2)
    shutil.rmtree(run / "checkpoints" / "checkpoint-4")
    assert main(["--resume", str(run)]) == 0
    assert "checkpoint-2 has no hashes (an older version wrote it): it is read unchecked" in caplog.text
    one, other = load_model(whole).state_dict(), load_model(run).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("damage", ["pickle", "truncated", "fifo", "device", "zeros"])
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_pickles_of_an_older_version_run_no_code(run, name, damage, caplog):
    of_an_older_version(run / "checkpoints" / "checkpoint-4", 4)
    DAMAGES[damage](run / "checkpoints" / "checkpoint-4" / name)
    if damage == "pickle":
        torch.save(Bomb(), run / "checkpoints" / "checkpoint-4" / name)
    last = running._last_whole(run)
    assert last.step == 2 and not (run.parent / "exploded").exists()
    assert sum("is damaged and passed over: expected " in line for line in caplog.messages) == 1


# finished runs, and what reads them

SEAL = checkpoints.SEAL
READ = ("run.json", "final.json", "config.json", "model.safetensors", "tokenizer/tokenizer.json", SEAL)


def readers(name: str) -> dict[str, object]:
    """Each reader of a finished run that reads this file."""
    from trace_mine.eval.subjects import subject

    found: dict[str, object] = {"trace-eval": subject}
    if name in ("config.json", "model.safetensors", "complete.json"):
        found["load_model"] = trace_mine.load_model
    if name.startswith("tokenizer") or name == "complete.json":
        found["load_tokenizer"] = trace_mine.load_tokenizer
    return found


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("name", "has_seal"), [(name, has_seal) for name in READ for has_seal in (True, False) if has_seal or name != SEAL]
)
def test_a_damaged_run_is_refused_in_one_line(finished, name, damage, has_seal):
    if not has_seal:
        (finished / SEAL).unlink()
    DAMAGES[damage](finished / name)
    for told, reader in readers(name).items():
        # Without hashes a file that nothing can be told of by itself may be read: as damage, not as a change.
        passes = (not has_seal and (damage == "longer" or name == "final.json" or damage == "flipped")) or (
            name == "complete.json" and damage == "missing"
        )
        try:
            reader(finished)
        except ValueError as error:
            assert str(error).startswith("expected ") and "\n" not in str(error) and len(str(error)) < 800, told
        else:
            assert passes, f"{told} read a run whose {name} is {damage}"
    assert not (finished.parent / "exploded").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "nested", "missing"])
def test_the_command_that_evaluates_refuses_a_broken_tokenizer(finished, damage):
    DAMAGES[damage](finished / "tokenizer" / "tokenizer.json")
    from trace_mine.eval.__main__ import main as evaluate

    assert evaluate([str(finished), "--rows", "2"]) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_tokenizer_is_written_again_when_a_run_goes_on(run, damage, caplog):
    DAMAGES[damage](run / "tokenizer" / "tokenizer.json")
    running._mend_tokenizer(run, batches_of(run_folder.settings_of(run)))
    assert trace_mine.load_tokenizer(run).decode([5]) is not None
    assert ("it is written again" in caplog.text) == (damage != "longer")


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("missing", "longer")])
@pytest.mark.parametrize("name", ["run.json", "final.json"])
def test_a_broken_record_is_one_line_when_a_run_goes_on(finished, name, damage, capfd, caplog):
    DAMAGES[damage](finished / name)
    code = main(["--resume", str(finished)])
    told = capfd.readouterr().err
    if code:
        assert told.count("\n") == 1 and told.startswith("trace-train: expected "), told


def test_damaged_measurements_are_left_out_and_told(run, caplog):
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:20], "[1]", NESTED.decode(), *lines[2:]]) + "\n")
    assert main(["--resume", str(run)]) == 0
    assert "metrics.jsonl: 3 damaged line(s) are left out" in caplog.text
    assert [line["step"] for line in run_folder.read_lines(path)] == [1, 3, 4]


def test_code_of_a_models_folder_is_not_offered(finished, tmp_path):
    """transformers would ask on the terminal whether to run it."""
    pytest.importorskip("scipy", reason="needs the extra [eval]")
    from trace_mine.eval.hf import hf_predictor

    (finished / "code.py").write_text("open('exploded', 'w')\n")
    for name, record in (("config.json", {"model_type": "custom"}), ("tokenizer/tokenizer_config.json", {})):
        path = finished / name
        told = {
            **json.loads(path.read_text()),
            **record,
            "auto_map": {"AutoConfig": "code.C", "AutoTokenizer": "code.T"},
        }
        told.pop("state_norms", None)
        path.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="expected a model"):
        hf_predictor(finished)
    assert not (tmp_path / "exploded").exists()


def test_weights_that_are_a_pickle_are_not_read(finished, tmp_path):
    from trace_mine.eval.hf import hf_predictor

    (finished / "model.safetensors").unlink()
    torch.save(Bomb(), finished / "pytorch_model.bin")
    for reader in (load_model, hf_predictor):
        with pytest.raises(ValueError, match=r"^expected "):
            reader(finished)
    assert not (tmp_path / "exploded").exists()
