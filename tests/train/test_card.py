"""A finished run's card says what was trained and how well; it goes to a stand-in for the Hub, and opens from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")
sys.path.insert(0, str(Path(__file__).parents[1] / "corpus"))

from hub_stand_in import TOKEN, running  # noqa: E402

import trace_mine  # noqa: E402
from trace_mine.train import run_folder  # noqa: E402
from trace_mine.train.__main__ import main  # noqa: E402
from trace_mine.train.card import model_card  # noqa: E402
from trace_mine.train.hub import push_run  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.running import train  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402

ROOT = Path(__file__).parents[2]
FEW = ["max_steps=2", "model.hidden_size=16", "evaluate_rows=4", "batch_size=4", "evaluate_at=[1]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    train(override(recipe("belief"), FEW), folder)
    return folder


def card_of(folder, **changed):
    record = run_folder.read(folder)
    record["settings"] |= changed
    return model_card("small", record, run_folder.read_final(folder), json.loads((folder / "config.json").read_text()))


def test_the_card_has_the_measurements_of_final_json(run):
    from huggingface_hub import ModelCard

    text = (run / "README.md").read_text()
    assert text == card_of(run)
    final = run_folder.read_final(run)
    (evaluation,) = final["evaluations"]
    data = ModelCard(text).data
    values = {each.metric_name: each.metric_value for each in data.eval_results}
    assert values["accuracy of reveals, 1x the training length"] == evaluation["accuracy_reveal"]
    assert values["KL to the exact belief, nats, 1x the training length"] == evaluation["kl"]
    assert data.library_name == "transformers"
    assert f"| {evaluation['accuracy_reveal']:.3f} |" in text
    assert f"{final['parameters']:,} parameters" in text
    for retention in final["retention"]:
        assert f"| {retention['hold']} commands | {retention['kl']:.3f} |" in text


def test_the_card_names_no_folder_of_the_machine(run):
    text = card_of(run, dataset="/home/me/traces,/data/other traces", task="")
    assert "/home" not in text
    assert "/data" not in text
    assert "the dataset traces, other traces" in text


def test_a_card_that_is_there_already_stays(tmp_path):
    (tmp_path / "README.md").write_text("mine\n")
    train(override(recipe("belief"), ["max_steps=1", *FEW[1:]]), tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine\n"


def test_a_run_opens_in_transformers_and_generates(run):
    """In this process, where our classes may be registered already; tests of the Auto classes start others."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run, trust_remote_code=False)
    assert tokenizer.get_vocab() == trace_mine.load_tokenizer(run).get_vocab()
    trace_mine.register_auto_classes()
    model = AutoModelForCausalLM.from_pretrained(run)
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    batch = tokenizer([">>> a, b = b, a\n", ">>> "], return_tensors="pt", padding=True)
    assert model.generate(**batch, max_new_tokens=3).shape == (2, batch["input_ids"].shape[1] + 3)


@pytest.mark.parametrize("name", ["model.safetensors", "README.md"])
def test_an_unfinished_run_is_not_sent(run, tmp_path, name):
    for path in run.iterdir():
        if path.is_file() and path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=f"without {name}"):
        push_run(tmp_path, "me/small")


PUSH = """
import json, sys
from pathlib import Path
from trace_mine.train.hub import push_run
from trace_mine.run_folders import load_model
push_run(Path(sys.argv[1]), "me/small")
load_model(sys.argv[1]).push_to_hub("me/weights", private=True)
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
trusted = {"trust_remote_code": True}
logits = []
for name in ("me/small", "me/weights"):
    model = AutoModelForCausalLM.from_pretrained(name, **trusted).eval()
    logits.append(model(torch.tensor([[1, 2, 3]])).logits[0, -1].tolist())
tokenizer = AutoTokenizer.from_pretrained("me/small", **trusted)
print("FOUND" + json.dumps([logits, tokenizer.encode(">>> a, b = b, a\\n")]))
"""


def with_hub(hub, home, *arguments, token=TOKEN):
    """Run a program whose Hub is the stand-in: its address is read when ``huggingface_hub`` is imported."""
    names = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    names |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        names |= {proxy: "", proxy.upper(): ""}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=home,
        env={**os.environ, **names, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_the_command_sends_a_run_privately(run, tmp_path):
    with running() as hub:
        dry = with_hub(hub, tmp_path, "-m", "trace_mine.train", "push", run, "me/game", "--dry-run", token="")
        assert dry.returncode == 0 and hub.requests == []
        assert "model.safetensors" in dry.stdout and "private model me/game" in dry.stdout
        assert "run.json" not in dry.stdout and "checkpoint" not in dry.stdout
        done = with_hub(hub, tmp_path, "-m", "trace_mine.train", "push", run, "me/game")
        assert done.returncode == 0, done.stderr
        assert hub.repositories["me/game"]["private"] and "done: " in done.stdout
        told = {line.split()[1] for line in dry.stdout.splitlines()[:-2]}
        assert told == set(hub.files("me/game"))


def test_the_command_makes_nothing_public_unasked(run, tmp_path):
    with running() as hub:
        push = ("-m", "trace_mine.train", "push", run, "open")
        assert with_hub(hub, tmp_path, *push, "--public").returncode == 0
        assert hub.repositories["me/open"]["private"] is False
        told = with_hub(hub, tmp_path, *push)
        assert told.returncode == 2 and "which is public; give --public" in told.stderr
        assert len(hub.commits) == 1
        secret = "hf_" + "w" * 34
        told = with_hub(hub, tmp_path, *push[:-1], "me/closed", token=secret)
        assert told.returncode == 1 and "hf auth login" in told.stderr and secret not in told.stdout + told.stderr
        assert "Traceback" not in told.stderr and "me/closed" not in hub.repositories


def test_wrong_names_and_unfinished_runs_are_one_line(run, tmp_path, capsys):
    assert main(["push", str(run), "a/b/c", "--dry-run"]) == 2
    assert main(["push", str(tmp_path), "me/game", "--dry-run"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "expected a repository as NAME or OWNER/NAME" in first and "expected a finished run" in second


def test_a_run_goes_to_the_hub_and_opens_from_there(run, tmp_path):
    with running() as hub:
        done = with_hub(hub, tmp_path, "-c", PUSH, run)
        assert done.returncode == 0, done.stderr[-3_000:]
        logits, ids = json.loads(done.stdout.partition("FOUND")[2])
        model = trace_mine.load_model(run)
        expected = model(torch.tensor([[1, 2, 3]])).logits[0, -1].tolist()
        assert logits == [expected, expected]
        assert ids == trace_mine.load_tokenizer(run).encode(">>> a, b = b, a\n")
        sent = hub.files("me/small")
        assert hub.repositories["me/small"]["private"]
        assert 'from_pretrained("me/small"' in sent["README.md"].decode()
        assert b"PATH/OF" not in sent["README.md"]
        assert "run.json" not in sent
        assert not [name for name in sent if name.startswith("checkpoints")]
        assert len(hub.commits[0]) == len(sent)  # by one commit
