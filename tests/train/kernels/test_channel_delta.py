"""The delta rule with decay by channel, chunked and step by step, against the loop of whole matrices; gradients too."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from slow_kernels import channel_delta_rule_loop, delta_rule_loop
from trace_mine.train.kernels import c_ops, channel_chunks
from trace_mine.train.kernels.channel_delta import ChannelDelta, channel_delta_rule, channel_delta_rule_step
from trace_mine.train.kernels.rescale import Rescale

torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("delta_backend")

HEADS, KEY_DIM, VALUE_DIM = 3, 8, 5


def random_inputs(seed, *, batch=2, time=7, n=1, by_channel=True, decay=1.0):
    """q, k, v, log_decay, erase, write and initial state; keys have norm 1, gates reach 2."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return [
        functional.normalize(normal(batch, time, HEADS, KEY_DIM), dim=-1),
        functional.normalize(normal(batch, time * n, HEADS, KEY_DIM), dim=-1),
        normal(batch, time * n, HEADS, VALUE_DIM),
        -decay * functional.softplus(normal(batch, time, HEADS, KEY_DIM)),
        2 * normal(batch, time * n, HEADS, *((KEY_DIM,) if by_channel else ())).sigmoid(),
        2 * normal(batch, time * n, HEADS, VALUE_DIM).sigmoid() if by_channel else None,
        normal(batch, HEADS, KEY_DIM, VALUE_DIM),
    ]


def everything(op, inputs, **options):
    """The op's results, and the gradient of every input through outputs and final state alike."""
    *leaves, start = [None if x is None else x.detach().clone().requires_grad_() for x in inputs]
    results = op(*leaves, initial_state=start, **options)
    generator = torch.Generator().manual_seed(0)
    sum((x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in results).backward()
    return [*(x.detach() for x in results), *(x.grad for x in (*leaves, start) if x is not None)]


def largest_error(got, expected):
    assert [x.shape for x in got] == [x.shape for x in expected]
    errors = [(x - y).abs().max() / y.abs().max().clamp_min(1e-3) for x, y in zip(got, expected, strict=True)]
    return torch.stack([error.double() for error in errors]).max().item()


def compare(inputs, n, **options):
    got = everything(channel_delta_rule, inputs, num_householder=n, **options)
    return largest_error(got, everything(channel_delta_rule_loop, inputs, num_householder=n))


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 40),
    n=st.integers(1, 3),
    chunk_size=st.integers(1, 40),
    by_channel=st.booleans(),
    started=st.booleans(),
    decay=st.sampled_from([0.0, 0.01, 1.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_chunks_equal_loop(batch, time, n, chunk_size, by_channel, started, decay, seed):
    *inputs, state = random_inputs(seed, batch=batch, time=time, n=n, by_channel=by_channel, decay=decay)
    assert compare([*inputs, state if started else None], n, chunk_size=chunk_size) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_resets_within_a_chunk_lose_nothing_after_them(dtype):
    """A decay that no number can divide by: what is written after it must come out as it went in."""
    inputs = random_inputs(5, time=50)
    inputs[3][:, 20, :, ::2] = -1e4
    inputs[3][:, 29] = -500.0
    expected = everything(channel_delta_rule_loop, inputs)
    got = everything(channel_delta_rule, [x.to(dtype) for x in inputs], chunk_size=16)
    assert all(x.isfinite().all() for x in got)
    assert largest_error(got, [x.to(dtype) for x in expected]) < (1e-10 if dtype == torch.float64 else 1e-4)


def test_both_forms_of_the_scores_agree_in_fp32(monkeypatch):
    """At the largest decay that is divided by."""
    inputs = [x.float() for x in random_inputs(6, time=64)]
    inputs[3] *= (channel_chunks.LARGEST - 1) / -inputs[3].unflatten(1, (4, 16)).sum(2).min()
    divided = everything(channel_delta_rule, inputs, chunk_size=16)
    monkeypatch.setattr(channel_chunks, "LARGEST", 0.0)
    assert largest_error(divided, everything(channel_delta_rule, inputs, chunk_size=16)) < 1e-4


def test_rows_whose_decays_the_c_library_can_not_divide_by_run_in_torch(delta_backend, monkeypatch):
    in_c = delta_backend != "torch"
    inputs = random_inputs(9, batch=4, time=40)
    used = []
    for kernel, name in ((ChannelDelta, "torch"), (c_ops.ChannelDeltaInC, "c")):
        apply = kernel.apply
        monkeypatch.setattr(kernel, "apply", lambda *x, a=apply, name=name: (used.append((name, len(x[0]))), a(*x))[1])
    channel_delta_rule(*inputs[:-1])
    assert used == [("c" if in_c else "torch", 4)]
    used.clear()
    for row in (0, 2):
        inputs[3][row, 5, 1, 2] = -90
    assert compare(inputs, 1) < 1e-9
    assert used == ([("torch", 2), ("c", 2)] if in_c else [("torch", 4)])
    used.clear()
    inputs[3][:, 5, 1, 2] = -90
    assert compare(inputs, 1) < 1e-9
    assert used == [("torch", 4)]


@pytest.mark.parametrize("n", [1, 3])
def test_steps_equal_chunks(n):
    q, k, v, decay, erase, write, state = random_inputs(1, time=37, n=n)
    out, final = channel_delta_rule(q, k, v, decay, erase, write, initial_state=state, num_householder=n, scale=0.7)
    for t in range(37):
        keys = slice(t * n, (t + 1) * n)
        parts = q[:, t], k[:, keys], v[:, keys], decay[:, t], erase[:, keys], state, write[:, keys]
        one, state = channel_delta_rule_step(*parts, scale=0.7)
        torch.testing.assert_close(one, out[:, t], rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(state, final, rtol=1e-10, atol=1e-11)


def test_decays_alike_in_all_channels_are_the_gated_delta_rule():
    q, k, v, decay, beta, _, state = random_inputs(2, time=33, n=2, by_channel=False)
    scalar = decay[..., 0]
    same = scalar[..., None].expand_as(decay)
    got = channel_delta_rule(q, k, v, same, beta, initial_state=state, num_householder=2)
    expected = delta_rule_loop(q, k, v, beta, log_decay=scalar, initial_state=state, num_householder=2)
    for x, y in zip(got, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-11)


def test_repeated_keys_at_beta_two_stay_exact():
    """Parity: reflections along one key, where Neumann doubling blows up."""
    q, k, v, decay, *_ = (x.float() for x in random_inputs(3, time=300))
    k = k[:, :1].expand_as(k).contiguous()
    beta = 2 * torch.randint(2, k.shape[:3], generator=torch.Generator().manual_seed(1)).float()
    got = channel_delta_rule(q, k, v, decay * 0, beta)
    expected = channel_delta_rule_loop(*(x.double() for x in (q, k, v, decay * 0, beta)))
    assert largest_error(got, [x.float() for x in expected]) < 1e-3


def test_rescaled_states_are_those_of_the_loop():
    *inputs, state = random_inputs(4, time=70)
    rescale = Rescale(target=torch.ones(HEADS, dtype=torch.float64), every=16, skip=1)
    options = {"initial_state": state, "rescale": rescale, "position": 5}
    got = channel_delta_rule(*inputs, **options)
    for x, y in zip(got, channel_delta_rule_loop(*inputs, **options), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-10)


def test_a_batch_is_cut_into_slabs_without_a_difference(monkeypatch):
    inputs = random_inputs(7, batch=5, time=20)
    whole = everything(channel_delta_rule, inputs)
    from trace_mine.train.kernels import delta_function

    monkeypatch.setattr(delta_function, "SLAB_BYTES", 2 * 20 * HEADS * KEY_DIM * 8)
    assert largest_error(everything(channel_delta_rule, inputs), whole) < 1e-12


@pytest.mark.parametrize("name", ["kda", "gdn2"])
def test_flas_own_slow_form_gives_the_same(name):
    """By its path: fla's packages import triton, these two files do not."""
    fla = importlib.util.find_spec("fla")
    if fla is None:
        pytest.skip("needs flash-linear-attention")
    path = Path(fla.submodule_search_locations[0], "ops", name, "naive.py")
    spec = importlib.util.spec_from_file_location(f"naive_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    q, k, v, decay, erase, write, state = (
        None if x is None else x.float() for x in random_inputs(8, time=40, by_channel=name == "gdn2")
    )
    gates = (erase,) if name == "kda" else (erase, write)
    told = getattr(module, f"naive_recurrent_{name}")(
        q, k, v, decay, *gates, initial_state=state, output_final_state=True
    )
    for got, expected in zip(channel_delta_rule(q, k, v, decay, *gates, initial_state=state), told, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"log_decay": (2, 7, 3)}, "expected log_decay"),
        ({"erase": (2, 7, 3)}, "expected erase and write by channel both"),
        ({"write": (2, 7, 3, 8)}, "expected write"),
        ({"k": (2, 6, 3, 8)}, "expected k"),
    ],
)
def test_shapes_that_disagree_are_refused(change, told):
    q, k, v, decay, erase, write, _ = random_inputs(0)
    named = {"k": k, "v": v, "log_decay": decay, "erase": erase, "write": write}
    named |= {name: torch.zeros(shape) for name, shape in change.items()}
    with pytest.raises(ValueError, match=told):
        channel_delta_rule(q, **named)
