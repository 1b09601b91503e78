"""PaTH attention by chunks and in pieces against the loop of whole matrices; gradients too."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.nn import functional  # noqa: E402

from slow_kernels import path_attention_loop  # noqa: E402
from trace_mine.train.hooks import recording  # noqa: E402
from trace_mine.train.kernels.path_attention import path_attention  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402

torch.set_num_threads(1)

HEADS, VALUE_DIM = 2, 3


def random_inputs(seed, time, key_dim, *, repeated=False):
    """q, k, v, w, beta, log_gate; w has norm 1, beta is in (0, 2), and at 2 where w is ``repeated``."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(2, *shape, generator=generator, dtype=torch.float64)

    w = normal(1 if repeated else time, HEADS, key_dim).expand(-1, time, -1, -1)
    beta = 2 * normal(time, HEADS).sigmoid()
    return [
        normal(time, HEADS, key_dim),
        normal(time, HEADS, key_dim),
        normal(time, HEADS, VALUE_DIM),
        functional.normalize(w, dim=-1),
        torch.full_like(beta, 2) if repeated else beta,
        functional.logsigmoid(normal(time, HEADS)),
    ]


def in_pieces(q, k, v, w, beta, *, log_gate, cuts, chunk):
    """The outputs of calls that go on from each other, the keys and the gates after the last."""
    outs, past = [], None
    for first, last in zip([0, *cuts], [*cuts, q.shape[1]], strict=True):
        piece = [x[:, first:last] for x in (q, k, v, w, beta)]
        gate = None if log_gate is None else log_gate[:, first:last]
        out, past = path_attention(*piece, log_gate=gate, past=past, chunk=chunk)
        outs.append(out)
    return torch.cat(outs, 1), past.keys, past.gates


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    time=st.integers(1, 21),
    key_dim=st.integers(1, 9),
    chunk=st.integers(1, 8),
    cuts=st.sets(st.integers(1, 20)),
    gated=st.booleans(),
    repeated=st.booleans(),
)
def test_chunks_and_pieces_equal_the_loop(seed, time, key_dim, chunk, cuts, gated, repeated):
    *inputs, gate = (x.requires_grad_() for x in random_inputs(seed, time, key_dim, repeated=repeated))
    gate = gate if gated else None
    cuts = sorted(cut for cut in cuts if cut < time)
    results = []
    for op in (
        lambda: in_pieces(*inputs, log_gate=gate, cuts=cuts, chunk=chunk),
        lambda: path_attention_loop(*inputs, log_gate=gate),
    ):
        out, keys, gates = op()
        leaves = [*inputs, *([gate] if gated else [])]
        total = out.square().sum() + keys.sin().sum() + (gates.square().sum() if gated else 0)
        results.append([out, keys, *([gates] if gated else []), *torch.autograd.grad(total, leaves)])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def test_half_a_thousand_reflections_by_one_vector_stay_exact_in_fp32():
    """An inverse by doubling would be wrong here (``delta_chunks``)."""
    q, k, v, w, beta, _ = random_inputs(0, 512, 32, repeated=True)
    expected, past = path_attention(q, k, v, w, beta)
    got, _ = path_attention(*(x.float() for x in (q, k, v, w, beta)))
    assert (got - expected).abs().max() < 1e-4
    # an even number of equal reflections is none: a check that asks no form of ours
    torch.testing.assert_close(past.keys[:, :, 1::2], k.transpose(1, 2)[:, :, 1::2], rtol=0, atol=1e-9)


def test_the_layer_is_the_loop_between_its_projections():
    torch.manual_seed(0)
    sizes = {"vocab_size": 13, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48}
    model = make_model("path_attention", **sizes, use_forget_gate=True).double()
    mixer, x = model.blocks[0].mixing, torch.randn(2, 19, 32, dtype=torch.float64)
    with recording(model, list(mixer.points)) as readings:
        y, _ = mixer(x)
    q, k, v, w, beta, heads = (readings[0, point][0] for point in mixer.points)
    made = functional.pad((x @ mixer.w_proj[0].weight.T @ mixer.w_proj[1].weight.T).mT, (2, 0))
    made = functional.silu(functional.conv1d(made, mixer.w_conv1d.weight, groups=32)).mT.unflatten(-1, (2, 16))
    torch.testing.assert_close(w, made / (made.square().sum(-1, keepdim=True) + 1e-6).sqrt())
    torch.testing.assert_close(beta, 2 * mixer.bt_proj(x).sigmoid())
    expected, _, _ = path_attention_loop(q, k, v, w, beta, log_gate=functional.logsigmoid(mixer.g_proj(x)))
    torch.testing.assert_close(heads, expected)
    torch.testing.assert_close(y, mixer.o_proj(expected.flatten(-2)))
