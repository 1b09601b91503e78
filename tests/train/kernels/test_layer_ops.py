"""Short convolution, norms and gated product in C, at every level, against their torch forms: values and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trace_mine.train.kernels import c_ops, layer_forms, layer_ops

torch.set_num_threads(1)

MISSING = c_ops.available()
needs_library = pytest.mark.skipif(MISSING is not None, reason=f"layers in C: {MISSING}")
LEVELS = c_ops.LEVELS[: 1 + c_ops.LEVELS.index(c_ops.level())] if MISSING is None else ()


@pytest.fixture(scope="module", params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(c_ops, "level", lambda: request.param)
        yield request.param


Operation = Callable[..., Tensor | tuple[Tensor, Tensor]]


def results(operation: Operation, inputs: list[Tensor | None], backend: str) -> list[Tensor]:
    """The result of an operation, and the gradients of its inputs."""
    leaves = [None if x is None else x.clone().requires_grad_() for x in inputs]
    given_back = operation(*leaves, backend=backend)
    outputs = given_back if isinstance(given_back, tuple) else (given_back,)
    # weights of a few sizes, alike for both backends: any function of y would amplify y's rounding
    sum((y * torch.arange(1.0, 1 + y.numel(), dtype=y.dtype).view(y.shape).sin()).sum() for y in outputs).backward()
    gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves if x is not None]
    return [*(y.detach() for y in outputs), *gradients]


def compare(operation: Operation, inputs: list[Tensor | None], size: float = 1.0) -> None:
    """Hold the library to the torch form; ``size`` is that of terms that may cancel."""
    tolerance = 1e-12 if inputs[0].dtype == torch.float64 else 3e-5
    for got, expected in zip(results(operation, inputs, "c"), results(operation, inputs, "torch"), strict=True):
        assert got.shape == expected.shape and got.dtype == expected.dtype
        near = tolerance * (size + expected.abs().sum().item() / max(1, expected.numel()))
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=near)


class Draws:
    """Tensors of one dtype, of numbers of very different sizes, and not all contiguous."""

    def __init__(self, seed: int, dtype: torch.dtype, scale: float, strided: bool) -> None:
        self.generator, self.dtype, self.scale, self.strided = torch.Generator(), dtype, scale, strided
        self.generator.manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        x = self.scale * torch.randn(*shape, generator=self.generator, dtype=self.dtype)
        return torch.stack([x, x + 1], -1)[..., 0] if self.strided else x


draws = st.builds(
    Draws,
    st.integers(0, 2**31),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([0.05, 1.0, 30.0]),
    st.booleans(),
)
widths = st.integers(1, 40)


@needs_library
@settings(max_examples=40, deadline=None)
@given(
    draw=draws, batch=st.integers(1, 3), time=st.integers(1, 20), width=widths, taps=st.integers(1, 9), which=st.data()
)
def test_convolution(
    level: str, draw: Draws, batch: int, time: int, width: int, taps: int, which: st.DataObject
) -> None:
    draw.scale = min(draw.scale, 1.0)  # what grows with the taps is rounded in another order
    bias = draw(width) if which.draw(st.booleans(), "bias") else None
    state = draw(batch, taps - 1, width) if which.draw(st.booleans(), "state") else None
    compare(layer_ops.short_conv, [draw(batch, time, width), draw(width, taps), bias, state])


@needs_library
@settings(max_examples=40, deadline=None)
@given(draw=draws, rows=st.integers(1, 600), width=widths, form=st.sampled_from(["rms", "l2", "silu", "sigmoid"]))
def test_norms(level: str, draw: Draws, rows: int, width: int, form: str) -> None:
    x, weight, gate = draw(rows, 2, width), draw(width), draw(rows, 2, width)
    # a row's gradient is a difference of terms as large as what the row is multiplied by
    size = 1 + max(1, *(draw.scale**i for i in (2, 3))) * x.square().mean(-1).add(1e-6).rsqrt().max().item()
    if form == "rms":
        compare(lambda *each, backend: layer_ops.rms_norm(*each, 1e-5, backend=backend), [x, weight], size)
    elif form == "l2":
        compare(lambda each, backend: layer_ops.l2_norm(each, 1e-6, backend=backend), [x], size)
    else:
        gated = layer_ops.gated_rms_norm
        compare(lambda *each, backend: gated(*each, 1e-5, form, backend=backend), [x, weight, gate], size)


@needs_library
@settings(max_examples=40, deadline=None)
@given(draw=draws, count=st.integers(1, 40_000))
def test_gated_product(level: str, draw: Draws, count: int) -> None:
    compare(layer_ops.silu_product, [draw(count), draw(count)])


@needs_library
def test_numbers_of_any_size_and_nan() -> None:
    x = torch.tensor([float("nan"), float("inf"), -200.0, 200.0, -90.0, -60.0, 0.0])
    got = layer_ops.silu_product(x, torch.ones(7), backend="c")
    torch.testing.assert_close(got, torch.nn.functional.silu(x), equal_nan=True, atol=1e-30, rtol=1e-6)


@needs_library
def test_steps_equal_the_whole() -> None:
    draw = Draws(0, torch.float64, 1.0, False)
    x, weight, bias = draw(2, 9, 5), draw(5, 4), draw(5)
    whole, final = layer_ops.short_conv(x, weight, bias, backend="c")
    state = None
    for t in range(9):
        y, state = layer_ops.short_conv(x[:, t : t + 1], weight, bias, state, backend="c")
        torch.testing.assert_close(y[:, 0], whole[:, t])
    assert torch.equal(state, final)


@needs_library
def test_second_derivatives_are_those_of_the_torch_form() -> None:
    draw = Draws(0, torch.float64, 1.0, False)
    inputs = [draw(2, 5, 4).requires_grad_(), draw(4, 3).requires_grad_()]
    assert torch.autograd.gradgradcheck(lambda x, w: layer_ops.short_conv(x, w, backend="c")[0], inputs)
    gated = layer_ops.gated_rms_norm
    normed = [draw(3, 4).requires_grad_(), draw(4).requires_grad_(), draw(3, 4).requires_grad_()]
    for kind in layer_forms.GATES:
        assert torch.autograd.gradgradcheck(lambda *each, kind=kind: gated(*each, 1e-5, kind, backend="c"), normed)
    assert torch.autograd.gradgradcheck(lambda x: layer_ops.l2_norm(x, 1e-6, backend="c"), normed[:1])
    assert torch.autograd.gradgradcheck(lambda *each: layer_ops.rms_norm(*each, 1e-6, backend="c"), normed[:2])
    assert torch.autograd.gradgradcheck(lambda *each: layer_ops.silu_product(*each, backend="c"), normed[::2])


@needs_library
def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Draws(0, torch.float32, 1.0, False)
    inputs = {
        layer_ops.short_conv: [draw(5, 20, 8), draw(8, 4)],
        layer_ops.silu_product: [draw(50_000), draw(50_000)],
        lambda x, w, backend: layer_ops.rms_norm(x, w, 1e-5, backend=backend): [draw(999, 9), draw(9)],
    }
    alone = [results(operation, each, "c") for operation, each in inputs.items()]
    monkeypatch.setattr(layer_ops, "LEAST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for (operation, each), expected in zip(inputs.items(), alone, strict=True):
        for x, y in zip(results(operation, each, "c"), expected, strict=True):
            assert torch.equal(x, y)


def test_what_the_library_does_not_take_runs_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_ops, "_run", lambda *_, **__: pytest.fail("ran the C library"))
    x = torch.randn(2, 3, 4)
    for each in (x.bfloat16(), x.to("meta"), x[:0]):
        assert layer_ops.l2_norm(each, 1e-6).shape == each.shape
    torch.func.vmap(lambda each: layer_ops.l2_norm(each, 1e-6))(x)
    assert torch.equal(layer_ops.l2_norm(x, 1e-6, backend="torch"), layer_forms.l2_norm(x, 1e-6))
    with pytest.raises(ValueError, match="got 'fla'"):
        layer_ops.l2_norm(x, 1e-6, backend="fla")


@needs_library
def test_a_backend_that_is_named_runs_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"got torch\.bfloat16 on cpu; use backend='torch'"):
        layer_ops.l2_norm(torch.randn(2, 3).bfloat16(), 1e-6, backend="c")
    monkeypatch.setattr(c_ops, "load", lambda: (None, "nothing there"))
    with pytest.raises(ModuleNotFoundError, match="got nothing there"):
        layer_ops.l2_norm(torch.randn(2, 3), 1e-6, backend="c")
