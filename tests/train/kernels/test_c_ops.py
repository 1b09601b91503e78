"""The C library: when it runs, what is said when it can't, threads, and that it is built or done without."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from slow_kernels import delta_rule_loop
from trace_mine.train.kernels import c_ops
from trace_mine.train.kernels.decayed import decayed_attention
from trace_mine.train.kernels.delta import delta_rule
from trace_mine.train.kernels.delta_function import DeltaRule

torch.set_num_threads(1)

ROOT = Path(__file__).parents[3]
MISSING = c_ops.available()
needs_library = pytest.mark.skipif(MISSING is not None, reason=f"the delta rule in C: {MISSING}")


def random_inputs(*, batch: int = 3, time: int = 50, heads: int = 2, width: int = 32) -> list[Tensor]:
    """q, k (norm 1), v, beta in [0, 2]."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(batch, time, heads, width, generator=generator) for _ in range(3))
    beta = 2 * torch.rand(batch, time, heads, generator=generator)
    return [functional.normalize(q, dim=-1), functional.normalize(k, dim=-1), v, beta]


def values_and_gradients(inputs: list[Tensor], backend: str) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    out, state = delta_rule(*leaves, backend=backend)
    (out.sin().sum() + state.cos().sum()).backward()
    return [out.detach(), state.detach(), *(x.grad for x in leaves)]


@needs_library
def test_cpu_tensors_take_it_and_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = random_inputs()
    monkeypatch.setattr(DeltaRule, "apply", lambda *_: pytest.fail("ran the torch form"))
    delta_rule(*inputs)
    delta_rule(*inputs, backend="c")
    monkeypatch.undo()
    monkeypatch.setattr(c_ops.DeltaRuleInC, "apply", lambda *_: pytest.fail("ran the C library"))
    delta_rule(*inputs, backend="torch")
    meta = [x.to("meta") for x in inputs]
    with pytest.raises(ValueError, match="got q on meta; move the tensors to the CPU, or use backend='torch'"):
        delta_rule(*meta, backend="c")


@needs_library
def test_more_keys_a_step_than_a_chunk_holds_run_in_torch() -> None:
    q, k, v, beta = random_inputs(time=2)
    many = [x.repeat_interleave(17, 1) for x in (k, v, beta)]
    got = delta_rule(q, *many, num_householder=17)
    for x, y in zip(got, delta_rule_loop(q, *many, num_householder=17), strict=True):
        torch.testing.assert_close(x, y)
    with pytest.raises(ValueError, match="got num_householder 17; take at most 16, or use backend='torch'"):
        delta_rule(q, *many, num_householder=17, backend="c")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_ops, "LIBRARY", "none.so")
    monkeypatch.setattr(c_ops, "load", c_ops.load.__wrapped__)
    inputs = random_inputs()
    assert c_ops.kernel_name() == "torch"
    with pytest.raises(ModuleNotFoundError, match="for backend='c', got no compiled library; run pip install again"):
        delta_rule(*inputs, backend="c")
    assert torch.equal(delta_rule(*inputs)[0], delta_rule(*inputs, backend="torch")[0])


@needs_library
def test_a_library_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_ops, "VERSION", c_ops.VERSION + 1)
    missing = c_ops.load.__wrapped__()[1]
    assert missing == f"a library of version {c_ops.VERSION - 1}, not {c_ops.VERSION}; run pip install again"


def test_attention_with_decay_has_none() -> None:
    q, k, v, beta = random_inputs()
    with pytest.raises(ValueError, match="got 'c', which has the delta rule only"):
        decayed_attention(q, k, v, -beta, backend="c")


@needs_library
@pytest.mark.parametrize("width", [32, 64])
def test_float32_is_as_near_to_float64_as_torch_is(width: int) -> None:
    inputs = random_inputs(time=200, width=width)
    exact = values_and_gradients([x.double() for x in inputs], "torch")
    errors = {}
    for backend in ("c", "torch"):
        got = values_and_gradients(inputs, backend)
        errors[backend] = max(((x - y).abs().max() / y.abs().max()).item() for x, y in zip(got, exact, strict=True))
    assert errors["c"] < max(1e-6, 2 * errors["torch"])


@needs_library
def test_without_gradients_it_keeps_nothing() -> None:
    inputs = random_inputs()
    out, state = delta_rule(*inputs)
    assert not out.requires_grad
    for x, y in zip((out, state), values_and_gradients(inputs, "c"), strict=False):
        assert torch.equal(x, y)


@needs_library
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_and_batches_change_no_bit(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = random_inputs()
    alone = values_and_gradients(inputs, "c")
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self), start(self)))
    monkeypatch.setattr(c_ops, "LEAST_WORK", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        parted = values_and_gradients(inputs, "c")
    finally:
        torch.set_num_threads(before)
    assert len(started) == 2 * (threads - 1)  # forward and backward
    single = [
        torch.cat(parts)
        for parts in zip(*(values_and_gradients([x[i : i + 1] for x in inputs], "c") for i in range(3)), strict=True)
    ]
    for x, y, z in zip(alone, parted, single, strict=True):
        assert torch.equal(x, y) and torch.equal(x, z)


@needs_library
def test_calls_side_by_side_do_not_meet() -> None:
    problems = [[x * (i + 1) / 4 for x in random_inputs(time=300)] for i in range(4)]
    expected = [values_and_gradients(inputs, "c") for inputs in problems]
    found: list[list[Tensor]] = [[] for _ in problems]

    def work(i: int) -> None:
        for _ in range(5):
            found[i] = values_and_gradients(problems[i], "c")

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for got, right in zip(found, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(got, right, strict=True))


def build(folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What ``setup.py build`` says and the shared libraries in the package that it makes."""
    setuptools = pytest.importorskip("setuptools", reason="needs the extra [dev]")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip(f"setuptools {setuptools.__version__} can't read pyproject.toml; needs 77")
    commands = ["build_py", "--build-lib", str(folder / "lib")]
    commands += ["egg_info", "--egg-base", str(folder)]
    commands += ["build_ext", "--build-lib", str(folder / "lib"), "--build-temp", str(folder / "temp")]
    done = subprocess.run(
        [sys.executable, "setup.py", *commands], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )
    return done, [path.name for path in (folder / "lib" / "trace_mine" / "train" / "kernels").glob("*.so")]


def test_without_a_compiler_the_package_is_built_all_the_same(tmp_path: Path) -> None:
    done, libraries = build(tmp_path, CC="/bin/false")
    assert done.returncode == 0, done.stderr
    assert libraries == []
    assert (tmp_path / "lib" / "trace_mine" / "train" / "kernels" / "delta.py").is_file()


@pytest.mark.slow
def test_with_a_compiler_the_library_is_in_the_package(tmp_path: Path) -> None:
    if subprocess.run(["sh", "-c", "command -v ${CC:-cc}"], capture_output=True).returncode:
        pytest.skip("no C compiler on this machine")
    done, libraries = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert libraries == [c_ops.LIBRARY], done.stderr
