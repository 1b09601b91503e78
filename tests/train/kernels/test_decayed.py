"""Attention with decay, signed or not: chunks and steps against the loop over time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from slow_kernels import decayed_attention_loop
from trace_mine.train.kernels.decayed import decayed_attention, decayed_attention_step

torch.set_num_threads(1)

HEADS, KEY_DIM, VALUE_DIM = 3, 6, 5


def random_inputs(seed: int, time: int, batch: int = 2) -> list[Tensor]:
    """q, k, v, log_decay, initial_state, sign."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    q, k = normal(batch, time, HEADS, KEY_DIM), normal(batch, time, HEADS, KEY_DIM)
    v, log_decay = normal(batch, time, HEADS, VALUE_DIM), -normal(batch, time, HEADS).exp()
    return [q, k, v, log_decay, normal(batch, HEADS, KEY_DIM, VALUE_DIM), normal(batch, time, HEADS).sign()]


def run(op: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor | None], **options: object) -> list[Tensor]:
    *differentiable, sign = inputs
    leaves = [None if x is None else x.clone().requires_grad_() for x in differentiable]
    *four, initial = leaves
    out, state = op(*four, initial_state=initial, sign=sign, scale=0.5, **options)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in (out, state)]
    ((out * weights[0]).sum() + (state * weights[1]).sum()).backward()
    return [out, state, *(x.grad for x in leaves if x is not None)]


def assert_equal_loop(inputs: list[Tensor | None], **options: object) -> None:
    for got, expected in zip(
        run(decayed_attention, inputs, **options), run(decayed_attention_loop, inputs), strict=True
    ):
        assert got.shape == expected.shape
        assert (got - expected).abs().max() <= 1e-10 * expected.abs().max().clamp_min(1e-3)


@pytest.mark.parametrize("time", [1, 7, 16, 17, 65, 100])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("started", [False, True])
def test_chunks_equal_loop(time: int, signed: bool, started: bool) -> None:
    *inputs, state, sign = random_inputs(time, time)
    assert_equal_loop([*inputs, state if started else None, sign if signed else None])


@settings(max_examples=25, deadline=None)
@given(time=st.integers(1, 50), batch=st.integers(1, 3), chunk_size=st.integers(1, 40), seed=st.integers(0, 1000))
def test_any_shape(time: int, batch: int, chunk_size: int, seed: int) -> None:
    assert_equal_loop(random_inputs(seed, time, batch), chunk_size=chunk_size)


@pytest.mark.parametrize("signed", [False, True])
def test_steps_equal_chunks(signed: bool) -> None:
    q, k, v, log_decay, state, sign = random_inputs(2, 70)
    out, final = decayed_attention(q, k, v, log_decay, sign=sign if signed else None, initial_state=state)
    for t in range(70):
        signs = sign[:, t] if signed else None
        one, state = decayed_attention_step(q[:, t], k[:, t], v[:, t], log_decay[:, t], state, sign=signs)
        torch.testing.assert_close(one, out[:, t], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, final, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("decay", [-1e-7, -50.0])
def test_extreme_decays(decay: float) -> None:
    inputs = random_inputs(3, 70)
    inputs[3] = torch.full_like(inputs[3], decay)
    inputs[3][:, ::5] = -0.01
    assert_equal_loop(inputs)
    q, k, v, log_decay, state, sign = (x.float() for x in inputs)
    out, _ = decayed_attention(q, k, v, log_decay, sign=sign, initial_state=state)
    exact, _ = decayed_attention_loop(*inputs[:4], sign=inputs[5], initial_state=inputs[4])
    torch.testing.assert_close(out.double(), exact, rtol=2e-4, atol=2e-4 * exact.abs().max().item())


def test_gradcheck() -> None:
    q, k, v, log_decay, state, sign = random_inputs(4, 5, batch=1)
    leaves = [x[..., :1, :2].clone().requires_grad_() for x in (q, k, v)]
    leaves += [log_decay[..., :1].clone().requires_grad_(), state[:, :1, :2, :2].clone().requires_grad_()]

    def op(q, k, v, log_decay, state):
        return decayed_attention(q, k, v, log_decay, sign=sign[..., :1], initial_state=state, chunk_size=3)

    assert torch.autograd.gradcheck(op, leaves)


def test_half_precision_inputs_run_in_float32_under_autocast_too() -> None:
    q, k, v, log_decay, state, sign = (x.bfloat16() for x in random_inputs(5, 40))
    exact, exact_state = decayed_attention(q.float(), k.float(), v.float(), log_decay.float(), sign=sign)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, final = decayed_attention(q, k, v, log_decay, sign=sign)
        step_out, stepped = decayed_attention_step(q[:, 0], k[:, 0], v[:, 0], log_decay[:, 0], state)
    assert out.dtype == step_out.dtype == torch.bfloat16
    assert final.dtype == stepped.dtype == torch.float32
    assert torch.equal(final, exact_state)
    assert torch.equal(out, exact.bfloat16())


def test_wrong_shapes_are_named() -> None:
    q, k, v, log_decay, _, sign = random_inputs(0, 4)
    with pytest.raises(ValueError, match=r"expected sign \[2, 4, 3\], got \[2, 3, 3\]"):
        decayed_attention(q, k, v, log_decay, sign=sign[:, :3])
    with pytest.raises(ValueError, match="backend"):
        decayed_attention(q, k, v, log_decay, backend="cuda")
