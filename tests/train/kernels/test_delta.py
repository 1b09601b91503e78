"""The chunked delta rule and its step form against the loop over time, outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from slow_kernels import delta_rule_loop
from trace_mine.train.kernels import delta_function
from trace_mine.train.kernels.delta import delta_rule, delta_rule_step

torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("delta_backend")

HEADS, KEY_DIM, VALUE_DIM = 3, 8, 5
LENGTHS = (1, 7, 16, 17, 65, 100)


def random_inputs(seed: int, *, batch: int = 2, time: int = 7, n: int = 1, dtype: torch.dtype = torch.float64):
    """q, k (norm 1), v, beta in [0, 2], log_decay, initial_state."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return [
        functional.normalize(normal(batch, time, HEADS, KEY_DIM), dim=-1).to(dtype),
        functional.normalize(normal(batch, time * n, HEADS, KEY_DIM), dim=-1).to(dtype),
        normal(batch, time * n, HEADS, VALUE_DIM).to(dtype),
        2 * torch.rand(batch, time * n, HEADS, generator=generator, dtype=torch.float64).to(dtype),
        -functional.softplus(normal(batch, time, HEADS)).to(dtype),
        normal(batch, HEADS, KEY_DIM, VALUE_DIM).to(dtype),
    ]


def values_and_gradients(op: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor | None], seed: int = 0):
    """Everything the op returns and the gradient of every input, through outputs and final state alike."""
    leaves = [None if x is None else x.detach().clone().requires_grad_() for x in inputs]
    out, state = op(*leaves)
    generator = torch.Generator().manual_seed(seed)
    loss = torch.zeros((), dtype=torch.float64)
    for result in (out, state):
        loss = loss + (result.double() * torch.randn(result.shape, generator=generator, dtype=torch.float64)).sum()
    loss.backward()
    return [out.detach(), state.detach(), *(x.grad for x in leaves if x is not None)]


def largest_error(got: list[Tensor], expected: list[Tensor]) -> float:
    """Largest error of any entry, relative to the largest entry of its tensor (or to 1e-3, where all are smaller)."""
    assert [x.shape for x in got] == [x.shape for x in expected]
    errors = [(x - y).abs().max() / y.abs().max().clamp_min(1e-3) for x, y in zip(got, expected, strict=True)]
    return torch.stack([error.double() for error in errors]).max().item()


def compare(inputs: list[Tensor | None], n: int, **options: object) -> float:
    def call(op: Callable[..., tuple[Tensor, Tensor]], **extra: object):
        def run(q, k, v, beta, log_decay, initial_state):
            return op(q, k, v, beta, log_decay=log_decay, num_householder=n, initial_state=initial_state, **extra)

        return values_and_gradients(run, inputs)

    return largest_error(call(delta_rule, **options), call(delta_rule_loop))


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("time", LENGTHS)
def test_chunks_equal_loop(time: int, n: int) -> None:
    *inputs, log_decay, state = random_inputs(time, time=time, n=n)
    for chunk_size in (16, 32):
        for decay in (None, log_decay):
            for start in (None, state):
                assert compare([*inputs, decay, start], n, chunk_size=chunk_size) < 1e-10


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("gated", [False, True])
def test_steps_equal_chunks(n: int, gated: bool) -> None:
    time = 37
    q, k, v, beta, log_decay, state = random_inputs(1, time=time, n=n)
    options = {"num_householder": n, "scale": 0.7}
    out, final = delta_rule(q, k, v, beta, log_decay=log_decay if gated else None, initial_state=state, **options)
    for t in range(time):
        keys = slice(t * n, (t + 1) * n)
        decay = log_decay[:, t] if gated else None
        one, state = delta_rule_step(q[:, t], k[:, keys], v[:, keys], beta[:, keys], state, log_decay=decay, **options)
        torch.testing.assert_close(one, out[:, t], rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(state, final, rtol=1e-10, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 4),
    time=st.integers(1, 40),
    n=st.integers(1, 3),
    chunk_size=st.integers(1, 40),
    gated=st.booleans(),
    started=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_shape(batch: int, time: int, n: int, chunk_size: int, gated: bool, started: bool, seed: int) -> None:
    *inputs, log_decay, state = random_inputs(seed, batch=batch, time=time, n=n)
    given_inputs = [*inputs, log_decay if gated else None, state if started else None]
    assert compare(given_inputs, n, chunk_size=chunk_size) < 1e-10


@pytest.mark.parametrize("n", [1, 2])
def test_gradcheck(n: int) -> None:
    inputs = [x[:1, ..., :1, :2] if x.ndim == 4 else x[:1, ..., :1] for x in random_inputs(3, time=5, n=n)[:5]]
    state = torch.randn(1, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    leaves = [x.clone().requires_grad_() for x in (*inputs, state)]

    def op(q, k, v, beta, log_decay, initial):
        options = {"log_decay": log_decay, "initial_state": initial, "num_householder": n, "chunk_size": 4}
        return delta_rule(q, k, v, beta, **options)

    assert torch.autograd.gradcheck(op, leaves)


def test_second_derivatives_raise() -> None:
    q, k, v, beta, *_ = random_inputs(0)
    k.requires_grad_()
    (grad,) = torch.autograd.grad(delta_rule(q, k, v, beta)[0].sin().sum(), k, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("chunk_size", [16, 32, 64])
def test_repeated_keys_at_beta_two_stay_exact(chunk_size: int) -> None:
    """Parity: every other step reflects the state along one fixed key, where Neumann doubling blows up."""
    time = 511
    generator = torch.Generator().manual_seed(0)
    key = functional.normalize(torch.randn(HEADS, KEY_DIM, generator=generator, dtype=torch.float64), dim=-1)
    k = key.expand(2, time, HEADS, KEY_DIM).contiguous()
    q = k.clone()
    v = 0.1 * torch.randn(2, time, HEADS, VALUE_DIM, generator=generator, dtype=torch.float64)
    beta = 2.0 * torch.randint(0, 2, (2, time, HEADS), generator=generator).double()
    state = torch.randn(2, HEADS, KEY_DIM, VALUE_DIM, generator=generator, dtype=torch.float64)

    exact = delta_rule_loop(q, k, v, beta, initial_state=state)
    got = delta_rule(q.float(), k.float(), v.float(), beta.float(), initial_state=state.float(), chunk_size=chunk_size)
    assert largest_error([x.double() for x in got], list(exact)) < 1e-4


@pytest.mark.parametrize("decay", [-1e-7, -1e-3, -50.0])
@pytest.mark.parametrize("n", [1, 2])
def test_extreme_decays(decay: float, n: int) -> None:
    inputs = random_inputs(5, time=40, n=n)
    inputs[4] = torch.full_like(inputs[4], decay)
    inputs[4][:, ::3] = -0.01
    assert compare(inputs, n) < 1e-10
    singles = [x.float() for x in inputs]
    out, state = delta_rule(*singles[:4], log_decay=singles[4], num_householder=n, initial_state=singles[5])
    exact = delta_rule_loop(*inputs[:4], log_decay=inputs[4], num_householder=n, initial_state=inputs[5])
    assert largest_error([out.double(), state.double()], list(exact)) < 2e-4


def test_half_precision_inputs_run_in_float32_under_autocast_too() -> None:
    inputs = random_inputs(6, time=33, dtype=torch.bfloat16)
    exact, exact_state = delta_rule(*(x.float() for x in inputs[:4]), log_decay=inputs[4].float())
    leaf = inputs[1].clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, state = delta_rule(inputs[0], leaf, inputs[2], inputs[3], log_decay=inputs[4])
        step_out, step_state = delta_rule_step(
            inputs[0][:, 0], inputs[1][:, :1], inputs[2][:, :1], inputs[3][:, :1], state
        )
        out.float().sum().backward()
    assert out.dtype == torch.bfloat16 and step_out.dtype == torch.bfloat16
    assert state.dtype == torch.float32 and step_state.dtype == torch.float32
    assert torch.equal(state, exact_state)
    assert torch.equal(out, exact.bfloat16())
    assert leaf.grad is not None and leaf.grad.dtype == torch.bfloat16
    again = inputs[1].float().requires_grad_()
    delta_rule(inputs[0].float(), again, inputs[2].float(), inputs[3].float(), log_decay=inputs[4].float())[
        0
    ].sum().backward()
    assert torch.equal(leaf.grad, again.grad.bfloat16())


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("started", [False, True])
def test_uninitialised_memory_never_leaks(monkeypatch: pytest.MonkeyPatch, gated: bool, started: bool) -> None:
    """With every fresh buffer full of NaN, padded tails included, results stay as they were."""
    *inputs, log_decay, state = random_inputs(7, time=21, n=2)
    given_inputs = [*inputs, log_decay if gated else None, state if started else None]
    poisoned = []

    def poison(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*args: object, **kwargs: object) -> Tensor:
            poisoned.append(1)
            return make(*args, **kwargs).fill_(torch.nan)

        return made

    def run(q, k, v, beta, decay, start):
        return delta_rule(q, k, v, beta, log_decay=decay, num_householder=2, initial_state=start, chunk_size=16)

    clean = values_and_gradients(run, given_inputs)
    monkeypatch.setattr(torch.Tensor, "new_empty", poison(torch.Tensor.new_empty))
    monkeypatch.setattr(torch, "empty_like", poison(torch.empty_like))
    dirty = values_and_gradients(run, given_inputs)
    assert poisoned
    for got, expected in zip(dirty, clean, strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("slab_bytes", [1, 2 * 17 * 3 * 8 * 8])
def test_slabs_of_sequences_change_nothing(monkeypatch: pytest.MonkeyPatch, slab_bytes: int) -> None:
    inputs = random_inputs(8, batch=5, time=17)
    monkeypatch.setattr(delta_function, "SLAB_BYTES", slab_bytes)
    assert len(delta_function.slabs(*inputs[:3])) == (5 if slab_bytes == 1 else 3)
    assert compare(inputs, 1, backend="torch") < 1e-10


def test_noncontiguous_inputs() -> None:
    inputs = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in random_inputs(9, time=20)]
    assert not any(x.is_contiguous() for x in inputs)
    assert compare(inputs, 1) < 1e-10


def test_no_sequence_and_one() -> None:
    assert compare(random_inputs(10, batch=1, time=20), 1) < 1e-10
    leaves = [x[:0].requires_grad_() for x in random_inputs(10, time=20)]
    out, state = delta_rule(*leaves[:4], log_decay=leaves[4], initial_state=leaves[5])
    assert out.shape == (0, 20, HEADS, VALUE_DIM) and state.shape == (0, HEADS, KEY_DIM, VALUE_DIM)
    (out.sum() + state.sum()).backward()
    assert [x.grad.shape for x in leaves] == [x.shape for x in leaves]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_householder": 2}, r"expected k \[2, 14, 3, 8\], got \[2, 7, 3, 8\]"),
        ({"initial_state": torch.zeros(2, 3, 5, 8)}, r"expected initial_state \[2, 3, 8, 5\]"),
        ({"log_decay": torch.zeros(2, 7)}, r"expected log_decay \[2, 7, 3\]"),
        ({"chunk_size": 0}, "chunk_size >= 1"),
        ({"backend": "triton"}, "expected backend 'auto', 'torch', 'c' or 'fla', got 'triton'"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str) -> None:
    q, k, v, beta, *_ = random_inputs(0)
    with pytest.raises(ValueError, match=message):
        delta_rule(q, k, v, beta, **change)
