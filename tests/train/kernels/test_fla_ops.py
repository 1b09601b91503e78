"""The switch to fla's kernels: what it says without them, and on CUDA what they compute."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from trace_mine.train.kernels import fla_ops
from trace_mine.train.kernels.decayed import decayed_attention
from trace_mine.train.kernels.delta import delta_rule

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fresh_cache():
    fla_ops.available.cache_clear()
    yield
    fla_ops.available.cache_clear()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fla_ops.importlib.util.find_spec
    monkeypatch.setattr(fla_ops.importlib.util, "find_spec", lambda name: None if name == "triton" else real("torch"))
    assert fla_ops.available() == "no module named 'triton'; pip install triton"
    q = torch.zeros(1, 1, 1, 4)
    with pytest.raises(ModuleNotFoundError, match=r"got no module named 'triton'; pip install triton, or use backend"):
        delta_rule(q, q, q, q[..., 0], backend="fla")


def test_old_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fla_ops.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(fla_ops.metadata, "version", lambda name: "0.5.2")
    assert fla_ops.available() == "fla-core 0.5.2 is too old; pip install 'flash-linear-attention>=0.6'"
    fla_ops.available.cache_clear()
    monkeypatch.setattr(fla_ops.metadata, "version", lambda name: "0.10.0")
    assert fla_ops.available() is None


def test_the_device_decides_not_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fla_ops, "available", lambda: None)
    monkeypatch.setattr(fla_ops, "_load", lambda name: pytest.fail(f"imported {name} for CPU tensors"))
    q = torch.randn(1, 3, 1, 4, generator=torch.Generator().manual_seed(0))
    delta_rule(q, q, q, q[..., 0])
    decayed_attention(q, q, q, -q[..., 0].abs())
    with pytest.raises(ValueError, match="got q on cpu; move the tensors to cuda, or use backend='torch'"):
        delta_rule(q, q, q, q[..., 0], backend="fla")


def test_fla_is_not_imported_on_cpu() -> None:
    code = (
        "import sys, torch; from trace_mine.train.kernels.delta import delta_rule; q = torch.ones(1, 2, 1, 4);"
        "delta_rule(q, q, q, q[..., 0]); print(sorted(m for m in ('fla', 'triton') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'fla'" not in done.stdout


@pytest.mark.gpu
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("time", [17, 100])
def test_fla_delta_rule_equals_ours_on_cuda(time: int, gated: bool, n: int) -> None:
    _need_cuda_and_fla(decays=gated)
    generator = torch.Generator().manual_seed(0)
    q, k = (
        functional.normalize(torch.randn(2, length, 2, 32, generator=generator), dim=-1) for length in (time, time * n)
    )
    v, beta = torch.randn(2, time * n, 2, 32, generator=generator), 2 * torch.rand(2, time * n, 2, generator=generator)
    decay, state = -torch.rand(2, time, 2, generator=generator), torch.randn(2, 2, 32, 32, generator=generator)
    results = []
    for backend in ("fla", "torch"):
        leaves = [x.cuda().requires_grad_() for x in (q, k, v, beta, decay, state)]
        out, final = delta_rule(
            *leaves[:4],
            log_decay=leaves[4] if gated else None,
            num_householder=n,
            initial_state=leaves[5],
            backend=backend,
        )
        (out.sin().sum() + final.cos().sum()).backward()
        results.append([out, final, *(x.grad for i, x in enumerate(leaves) if gated or i != 4)])
    _assert_close(*results)


@pytest.mark.gpu
@pytest.mark.parametrize("signed", [False, True])
def test_fla_decayed_attention_equals_ours_on_cuda(signed: bool) -> None:
    _need_cuda_and_fla(decays=True)
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 100, 2, 32, generator=generator) for _ in range(3))
    decay, state = -torch.rand(2, 100, 2, generator=generator), torch.randn(2, 2, 32, 32, generator=generator)
    sign = torch.randn(2, 100, 2, generator=generator).sign().cuda() if signed else None
    results = []
    for backend in ("fla", "torch"):
        leaves = [x.cuda().requires_grad_() for x in (q, k, v, decay, state)]
        out, final = decayed_attention(*leaves[:4], sign=sign, initial_state=leaves[4], backend=backend)
        (out.sin().sum() + final.cos().sum()).backward()
        results.append([out, final, *(x.grad for x in leaves)])
    _assert_close(*results)


def _need_cuda_and_fla(*, decays: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    reason = fla_ops.refusal("auto", torch.zeros(1, 1, 1, 32, device="cuda"), decays=decays)
    if reason is not None:
        pytest.skip(f"fla's kernels don't run: {reason}")


def _assert_close(got: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for x, y in zip(got, expected, strict=True):
        assert (x - y).abs().max() <= 1e-3 * y.abs().max()
