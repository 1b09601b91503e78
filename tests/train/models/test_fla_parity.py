"""Checkpoints go both ways between flash-linear-attention and us, and give the same logits and gradients."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
# looked for and not imported: where triton is installed, an import of fla puts its own Mamba-2 configuration in the
# place of transformers', for all tests of this process
if importlib.util.find_spec("fla") is None:
    pytest.skip("needs flash-linear-attention", allow_module_level=True)
if importlib.util.find_spec("triton") is None:
    pytest.skip("needs triton, not for environments without a GPU", allow_module_level=True)

from trace_mine.train.models.registry import load_model, make_model  # noqa: E402

pytestmark = pytest.mark.slow

torch.set_num_threads(1)
SIZES = {"vocab_size": 17, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
CASES = [
    ("delta_net", {"num_heads": 2, "allow_neg_eigval": True}),
    ("delta_net", {"num_heads": 2, "use_gate": True}),
    ("gated_delta_net", {"num_heads": 2, "head_dim": 16, "expand_v": 1.0, "allow_neg_eigval": True}),
    (
        "delta_product",
        {
            "num_heads": 2,
            "head_dim": 16,
            "expand_v": 1.0,
            "num_householder": 2,
            "use_forget_gate": True,
            "allow_neg_eigval": True,
        },
    ),
    ("kimi_delta", {"num_heads": 2, "head_dim": 16, "num_v_heads": 4, "allow_neg_eigval": True}),
    ("gated_delta_net_2", {"num_heads": 2, "head_dim": 16, "num_v_heads": 4, "allow_neg_eigval": True}),
    ("path_attention", {"num_heads": 2}),
    ("path_attention", {"num_heads": 2, "use_forget_gate": True, "use_low_rank_w": False}),
    ("mamba2", {"head_dim": 16, "state_size": 16, "expand": 2}),
]


def told_by_fla(what, name, folder):
    script = Path(__file__).with_name("fla_oracle.py")
    # -O: fla asserts that gated_delta_product isn't given fp32, which its kernels take all the same
    told = [sys.executable, "-O", str(script), what, name, str(folder)]
    done = subprocess.run(told, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3_000:]
    return torch.load(folder / "told.pt")


def keys_of(name, keys):
    sizes = {key: value for key, value in SIZES.items() if name != "mamba2" or key != "intermediate_size"}
    return {**sizes, **keys}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "keys"), CASES)
def test_flas_checkpoint_gives_flas_logits_and_gradients_here(name, keys, tmp_path):
    ids = torch.randint(0, 17, (2, 45), generator=torch.Generator().manual_seed(1))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys_of(name, keys), "ids": ids.tolist()}))
    told = told_by_fla("write", name, tmp_path)
    model = load_model(tmp_path)
    logits = model(ids).logits
    torch.testing.assert_close(logits, told["logits"], rtol=1e-4, atol=1e-4)
    logits.square().mean().backward()
    ours = dict(model.named_parameters())
    assert set(told["gradients"]) == {key for key, p in ours.items() if p.grad is not None}
    for key, gradient in told["gradients"].items():
        error = (ours[key].grad - gradient).abs().max() / gradient.abs().max().clamp(min=1e-6)
        assert error < 1e-3, (key, error)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "keys"), CASES)
def test_our_checkpoint_gives_our_logits_in_flas_class(name, keys, tmp_path):
    ids = torch.randint(0, 17, (2, 45), generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    model = make_model(name, **keys_of(name, keys), initializer_range=0.2)
    model.save_pretrained(tmp_path)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": {}, "ids": ids.tolist()}))
    told = told_by_fla("read", name, tmp_path)
    torch.testing.assert_close(told["logits"], model(ids).logits, rtol=1e-4, atol=1e-4)
