"""Transformers' own classes open a model's folder: with ``trust_remote_code=True``, or with our classes registered."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

import trace_mine  # noqa: E402
from trace_mine.tokenizer.symbols import symbols_tokenizer  # noqa: E402
from trace_mine.train.models.folder_code import MODULE  # noqa: E402
from trace_mine.train.models.registry import MODELS, load_model, make_model  # noqa: E402
from trace_mine.train.run_folder import save_model  # noqa: E402

torch.set_num_threads(1)
ROOT = Path(__file__).parents[3]
VOCABULARY = ["", ">>> ", "a", "b", " = ", "\n", "1"]

OPEN = """
import json, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline
found = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    trusted = {"trust_remote_code": True}
    model = AutoModelForCausalLM.from_pretrained(folder, **trusted).eval()
    # the tokenizer needs no code of ours, but transformers reads Mamba-2's config as that of its own model
    tokenizer = AutoTokenizer.from_pretrained(folder, **(trusted if folder.name == "mamba2" else {}))
    texts = [">>> a = 1\\n", "b"]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    made = model.generate(**batch, max_new_tokens=3, do_sample=False)
    tell = pipeline("text-generation", model=str(folder), **trusted)
    options = {"max_new_tokens": 3, "do_sample": False, "return_full_text": False}
    again = folder.parent.parent / "again" / folder.name
    model.save_pretrained(again)
    found[folder.name] = {
        "class": type(model).__name__,
        "config": type(AutoConfig.from_pretrained(folder, **trusted)).__name__,
        "logits": model(torch.tensor([[1, 2, 3]])).logits[0, -1].tolist(),
        "made": made[:, batch["input_ids"].shape[1] :].tolist(),
        "pad": model.generation_config.pad_token_id,
        "alone": [tokenizer(one[0]["generated_text"])["input_ids"] for one in map(lambda t: tell(t, **options), texts)],
        "batched": [tokenizer(one[0]["generated_text"])["input_ids"] for one in tell(texts, batch_size=2, **options)],
        "files": sorted(path.name for path in again.iterdir()),
    }
print("FOUND" + json.dumps(found))
"""


def made_folders(parent):
    """A run's model and tokenizer for each model of the registry: name -> folder."""
    tokenizer = symbols_tokenizer(VOCABULARY)
    folders = {}
    for name in MODELS:
        torch.manual_seed(0)
        keys = {"hidden_size": 16, "vocab_size": len(tokenizer), "initializer_range": None}
        model = make_model(name, **keys, **({"head_dim": 8} if name == "mamba2" else {}))
        folders[name] = parent / name
        save_model(model, tokenizer, folders[name])
    return folders


def python(code, *arguments, home):
    """What a program prints that has a home of its own, and no question answered."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.partition("FOUND")[2])


def test_folders_open_with_trust_remote_code_in_a_process_that_does_not_know_us(tmp_path):
    """Mamba-2's too, though transformers has a model of that type."""
    home = tmp_path / "home"
    home.mkdir()
    folders = made_folders(tmp_path / "runs")
    found = python(OPEN, tmp_path / "runs", home=home)
    assert set(found) == set(MODELS)
    for name, folder in folders.items():
        told, model = found[name], load_model(folder)
        assert told["class"] == type(model).__name__
        assert told["config"] == model.config_class.__name__
        assert told["logits"] == model(torch.tensor([[1, 2, 3]])).logits[0, -1].tolist()
        assert told["pad"] == 0
        # a pipeline gives one text at a time, or pads on the left: both say what the padded batch says
        assert told["alone"] == told["batched"]
        assert [len(row) for row in told["made"]] == [3, 3]
        # nothing of our sources is copied into a folder that is saved again
        assert told["files"] == ["config.json", "generation_config.json", "model.safetensors", f"{MODULE}.py"]


REGISTERED = """
import json, sys
import trace_mine
from transformers import AutoModelForCausalLM, AutoTokenizer
trace_mine.register_auto_classes()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
print("FOUND" + json.dumps([type(model).__name__, len(AutoTokenizer.from_pretrained(sys.argv[1]))]))
"""


def test_folders_open_without_trust_when_our_classes_are_registered(tmp_path):
    folder = made_folders(tmp_path)["gated_delta_net"]
    assert python(REGISTERED, folder, home=tmp_path) == ["GatedDeltaNetForCausalLM", len(VOCABULARY) + 1]


def test_the_file_in_the_folder_says_what_to_install(tmp_path, monkeypatch):
    path = made_folders(tmp_path)["gru"] / f"{MODULE}.py"
    assert runpy.run_path(str(path))["GRUForCausalLM"] is MODELS["gru"]
    monkeypatch.setitem(sys.modules, "trace_mine.train.models.registry", None)
    with pytest.raises(ImportError, match=r"pip install 'trace-mine\[train\]'"):
        runpy.run_path(str(path))


def test_a_folder_is_read_by_us_without_that_file_whatever_it_holds(tmp_path):
    folder = made_folders(tmp_path)["lstm"]
    (folder / f"{MODULE}.py").write_text("raise SystemExit('run')\n")
    assert type(load_model(folder)).__name__ == "LSTMForCausalLM"
    assert type(trace_mine.load_model(folder)).__name__ == "LSTMForCausalLM"
    (folder / f"{MODULE}.py").unlink()
    assert type(load_model(folder)).__name__ == "LSTMForCausalLM"


def test_folders_of_older_versions_open(tmp_path):
    """Their config.json has no auto_map, and no file lies beside it."""
    model = make_model("delta_net", vocab_size=7, hidden_size=16)
    model.save_pretrained(tmp_path)
    for name in (f"{MODULE}.py", "generation_config.json"):
        (tmp_path / name).unlink()
    told = json.loads((tmp_path / "config.json").read_text())
    del told["auto_map"]
    (tmp_path / "config.json").write_text(json.dumps(told))
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(load_model(tmp_path)(ids).logits, model(ids).logits)
    opened = MODELS["delta_net"].from_pretrained(tmp_path)
    assert torch.equal(opened.generate(ids, max_new_tokens=2, do_sample=False)[:, :3], ids)


def test_saving_and_pushing_are_two_calls(tmp_path):
    with pytest.raises(ValueError, match="call push_to_hub"):
        make_model("gru", vocab_size=7, hidden_size=16).save_pretrained(tmp_path, push_to_hub=True)
