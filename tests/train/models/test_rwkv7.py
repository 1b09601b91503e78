"""RWKV-7's mixer against the published recurrence, one step after the other with whole transition matrices."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.hooks import recording  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_equals_the_recurrence(doubled, backend):
    torch.manual_seed(0)
    sizes = {"vocab_size": 13, "hidden_size": 32, "num_hidden_layers": 1, "num_heads": 2, "intermediate_size": 48}
    model = make_model("rwkv7", **sizes, allow_neg_eigval=doubled).double()
    mixer = model.blocks[0].mixing
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    mixer.backend = backend
    x = torch.randn(2, 37, 32, dtype=torch.float64)
    with recording(model, list(mixer.points)) as readings:
        y, _ = mixer(x)
    r, k, c, v, a, log_decay, last = (readings[0, point][0] for point in mixer.points[:-1])
    assert (a.max() > 1) == doubled
    state, outs = x.new_zeros(2, 2, 16, 16), []
    for t in range(37):
        transition = torch.diag_embed(log_decay[:, t].exp()) - (a * c)[:, t, :, :, None] * c[:, t, :, None, :]
        state = transition @ state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outs.append((state * r[:, t, :, :, None]).sum(-2))
    torch.testing.assert_close(last, state, rtol=0, atol=1e-12)
    # what stands around the recurrence, written out
    before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
    out = torch.stack(outs, 1)
    deviation = (out - out.mean(-1, keepdim=True)) / (out.var(-1, keepdim=True, unbiased=False) + 16e-6).sqrt()
    normed = deviation * mixer.g_norm.weight.view(2, 16) + mixer.g_norm.bias.view(2, 16)
    normed = normed + (r * k * mixer.r_k).sum(-1, keepdim=True) * v
    gate = mixer.g_lora(x + (before - x) * mixer.x_g)
    torch.testing.assert_close(y, mixer.o_proj(normed.flatten(-2) * gate), rtol=0, atol=1e-12)
