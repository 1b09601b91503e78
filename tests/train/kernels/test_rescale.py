"""Rescaled states: chunks, pieces of a sequence and single steps against the loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from slow_kernels import decayed_attention_loop, delta_rule_loop
from trace_mine.train.kernels.decayed import decayed_attention
from trace_mine.train.kernels.delta import delta_rule, delta_rule_step
from trace_mine.train.kernels.rescale import Rescale

torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("delta_backend")

TIME, HEADS = 43, 2
TARGET = torch.tensor([1.5, 3.0], dtype=torch.float64)


def random_inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, TIME, HEADS, 6, generator=generator, dtype=torch.float64) for _ in range(3))
    beta = 2 * torch.rand(2, TIME, HEADS, generator=generator, dtype=torch.float64)
    return [functional.normalize(q, dim=-1), functional.normalize(k, dim=-1), v, beta]


@pytest.mark.parametrize("mode", ["match", "clamp"])
@pytest.mark.parametrize(("every", "skip"), [(1, 0), (8, 0), (8, 2), (16, 2), (43, 0), (50, 0)])
def test_equals_loop_with_gradients(mode: str, every: int, skip: int) -> None:
    grads = []
    for op in (delta_rule, delta_rule_loop):
        target = TARGET.clone().requires_grad_()
        leaves = [x.clone().requires_grad_() for x in random_inputs()]
        out, state = op(*leaves, rescale=Rescale(target=target, every=every, skip=skip, mode=mode))
        (out.sin().sum() + state.cos().sum()).backward()
        target_grad = torch.zeros_like(TARGET) if target.grad is None else target.grad
        grads.append([out, state, target_grad, *(x.grad for x in leaves)])
    for got, expected in zip(*grads, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("cut", [1, 16, 17, 31, 32])
def test_a_cut_sequence_and_single_steps_agree(cut: int) -> None:
    q, k, v, beta = random_inputs()
    rescale = Rescale(target=TARGET, every=8, skip=1)
    whole, final = delta_rule(q, k, v, beta, rescale=rescale)
    early, state = delta_rule(q[:, :cut], k[:, :cut], v[:, :cut], beta[:, :cut], rescale=rescale)
    rest = [x[:, cut:] for x in (q, k, v, beta)]
    late, end = delta_rule(*rest, initial_state=state, rescale=rescale, position=cut)
    torch.testing.assert_close(torch.cat([early, late], 1), whole)
    torch.testing.assert_close(end, final)
    for t in range(cut, TIME):
        one = slice(t, t + 1)
        out, state = delta_rule_step(q[:, t], k[:, one], v[:, one], beta[:, one], state)
        state = rescale.after(state, t + 1)
        torch.testing.assert_close(out, whole[:, t])
    torch.testing.assert_close(state, final)


def test_norm_is_the_target_after_a_block() -> None:
    _, state = delta_rule(*(x[:, :24] for x in random_inputs()), rescale=Rescale(target=TARGET, every=8, skip=2))
    norms = torch.linalg.vector_norm(state, dim=(-2, -1))
    torch.testing.assert_close(norms, TARGET.expand(2, HEADS))
    _, skipped = delta_rule(*(x[:, :16] for x in random_inputs()), rescale=Rescale(target=TARGET, every=8, skip=2))
    torch.testing.assert_close(skipped, delta_rule(*(x[:, :16] for x in random_inputs()))[1])


def test_clamp_never_raises_a_norm_and_zero_states_stay_finite() -> None:
    clamp = Rescale(target=TARGET, every=1, skip=0, mode="clamp")
    small = torch.full((1, HEADS, 2, 2), 0.1, dtype=torch.float64)
    assert torch.equal(clamp.after(small, 1), small)
    zeros = torch.zeros(1, HEADS, 2, 2, dtype=torch.float32, requires_grad=True)
    scaled = Rescale(target=TARGET, every=1, skip=0).after(zeros, 1)
    assert torch.equal(scaled, torch.zeros_like(scaled))


def test_decayed_attention_is_rescaled_too() -> None:
    q, k, v, beta = random_inputs()
    generator = torch.Generator().manual_seed(1)
    sign = torch.randint(0, 2, beta.shape, generator=generator).double() * 2 - 1
    options = {"sign": sign, "rescale": Rescale(target=TARGET, every=8, skip=1), "position": 5}
    got = decayed_attention(q, k, v, -beta, **options)
    expected = decayed_attention_loop(q, k, v, -beta, **options)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"every": 0}, "every >= 1"), ({"skip": -1}, "skip >= 0"), ({"mode": "cap"}, "'match' or 'clamp', got 'cap'")],
)
def test_wrong_fields_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rescale(target=TARGET, **change)


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValueError, match="shape \\[H\\]"):
        Rescale(target=torch.ones(2, 2))
    with pytest.raises(ValueError, match="a target for 2 heads, got 3"):
        delta_rule(*random_inputs(), rescale=Rescale(target=torch.ones(3), every=8, skip=0))
    with pytest.raises(ValueError, match="position >= 0"):
        delta_rule(*random_inputs(), rescale=Rescale(target=TARGET), position=-1)
