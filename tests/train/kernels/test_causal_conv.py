"""The shifted multiply-adds against torch's depthwise conv1d, and against themselves one step at a time."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from trace_mine.train.kernels.conv import causal_conv

torch.set_num_threads(1)


def random_inputs(time: int, taps: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(time)
    shapes = [(2, time, 5), (5, taps), (5,), (2, taps - 1, 5)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("time", [1, 2, 3, 17])
@pytest.mark.parametrize("taps", [1, 2, 4])
@pytest.mark.parametrize("started", [False, True])
def test_equals_conv1d_with_gradients(time: int, taps: int, started: bool) -> None:
    results = []
    for ours in (True, False):
        x, weight, bias, state = (z.requires_grad_() for z in random_inputs(time, taps))
        before = state if started else torch.zeros_like(state)
        if ours:
            y, after = causal_conv(x, weight, bias, state if started else None)
        else:
            padded = torch.cat([before, x], 1)
            y = functional.conv1d(padded.transpose(1, 2), weight[:, None], bias, groups=5).transpose(1, 2)
            after = padded[:, time:]
        (y.sin().sum() + after.cos().sum()).backward()
        grads = [x.grad, weight.grad, bias.grad, *([state.grad] if started else [])]
        results.append([y, after, *grads])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_steps_equal_the_whole() -> None:
    x, weight, bias, _ = random_inputs(9, 4)
    whole, final = causal_conv(x, weight, bias)
    state = None
    for t in range(9):
        y, state = causal_conv(x[:, t : t + 1], weight, bias, state)
        torch.testing.assert_close(y[:, 0], whole[:, t])
    assert torch.equal(state, final)


def test_no_future_leaks() -> None:
    x, weight, _, _ = random_inputs(9, 4)
    changed = x.clone()
    changed[:, 5:] = torch.nan
    assert torch.equal(causal_conv(changed, weight)[0][:, :5], causal_conv(x, weight)[0][:, :5])


def test_output_keeps_the_input_type() -> None:
    x, weight, bias, _ = random_inputs(9, 4)
    y, state = causal_conv(x.bfloat16(), weight.float(), bias.float())
    assert y.dtype == state.dtype == torch.bfloat16


def test_wrong_shapes_are_named() -> None:
    x, weight, bias, state = random_inputs(9, 4)
    with pytest.raises(ValueError, match="squeeze a conv1d weight"):
        causal_conv(x, weight[:, None], bias)
    with pytest.raises(ValueError, match=r"expected state \[B=2, W-1=3, D=5\], got \[2, 2, 5\]"):
        causal_conv(x, weight, bias, state[:, 1:])
