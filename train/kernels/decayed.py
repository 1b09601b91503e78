"""Linear attention with a scalar decay for each head: S_t = a_t S_{t-1} + k_t v_t^T, also with a_t < 0.

The recurrence of Mamba-2 (arXiv 2405.21060, with q = C, k = B, v = dt x and a = exp(dt A)). Its gradient is autograd's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trace_mine.train.kernels import fla_ops
from trace_mine.train.kernels.layout import Chunks, causal_mask, recurrence_dtype
from trace_mine.train.kernels.rescale import Rescale, run_in_blocks


def decayed_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    sign: Tensor | None = None,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    chunk_size: int = 32,
    rescale: Rescale | None = None,
    position: int = 0,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Compute S_t = exp(log_decay_t) sign_t S_{t-1} + k_t v_t^T and out_t = scale * S_t^T q_t over a sequence.

    Decays are summed in log space and only ever exponentiated as differences <= 0: nothing is divided by a small
    product. With s_t the running product of the signs, q_t and k_t are multiplied by s_t; the signs between two steps
    are then s_t s_j, so that a kernel for positive decays computes signed ones too (within 3e-13 in float64).

    Shapes:
        q, k: [B, T, H, K]; v: [B, T, H, V]; log_decay: [B, T, H], finite and <= 0
        sign: [B, T, H] of -1 and +1, without gradient, or None for all +1
        initial_state: [B, H, K, V], or None for zeros
        returns: out [B, T, H, V] in q's dtype; the state after the last step, [B, H, K, V] in float32, or in float64
            for float64 inputs, whatever an autocast says

    `rescale`, `position` and `backend` are those of `trace_mine.train.kernels.delta.delta_rule`.

    Raises:
        ValueError: shapes disagree, an argument is out of range, or fla's kernel can't run on these inputs.
        ModuleNotFoundError: backend "fla" and fla or triton is missing.
    """
    _check_shapes(q, k, v, log_decay, sign, initial_state, chunk_size)
    if backend == "c":
        raise ValueError(
            "expected backend 'auto', 'torch' or 'fla', got 'c', which has the delta rule only; choose one"
        )
    # "auto" on a CPU is the torch form: the C library has the delta rule alone
    use_fla = fla_ops.refusal(backend, q, decays=True) is None
    dtype = recurrence_dtype(q.dtype)
    q_, k_, v_, decay_ = q.to(dtype), k.to(dtype), v.to(dtype), log_decay.to(dtype)
    state_ = None if initial_state is None else initial_state.to(dtype)
    # detached: a sign has no gradient, and that of the product over time would be meaningless
    sign_ = None if sign is None else sign.detach().to(dtype)

    def run(start: int, stop: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run the steps from `start` to `stop` from a state on; without a rescale that is the whole sequence."""
        time = slice(start, stop)
        queries, keys, values, decays = q_[:, time], k_[:, time], v_[:, time], decay_[:, time]
        if sign_ is not None:
            signs = sign_[:, time].cumprod(1)[..., None]
            queries, keys = queries * signs, keys * signs
        if use_fla:
            out, state = fla_ops.decayed_attention(queries, keys, values, decays, scale, state)
        else:
            out, state = _chunked(queries, keys, values, decays, scale, state, chunk_size)
        # The kernel's state is s_T S_T: s_T once more gives S_T, for s is 1 or -1.
        return out, state if sign_ is None else state * signs[:, -1, :, :, None]

    # autocast would run the matrix products in half precision whatever the tensors' dtype
    with torch.autocast(q.device.type, enabled=False):
        if rescale is None:
            out, state = run(0, q.shape[1], state_)
        else:
            out, state = run_in_blocks(run, q.shape[1], rescale, position, state_)
    return out.to(q.dtype), state


def decayed_attention_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor,
    *,
    sign: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Compute one time step of `decayed_attention` by the recurrence itself.

    Shapes:
        q, k: [B, H, K]; v: [B, H, V]; log_decay, sign: [B, H]; state: [B, H, K, V]
        returns: out [B, H, V] in q's dtype; the new state in float32, or float64 for float64 inputs
    """
    dtype = recurrence_dtype(q.dtype)
    with torch.autocast(q.device.type, enabled=False):
        decay = log_decay.to(dtype).exp()
        if sign is not None:
            decay = decay * sign.detach().to(dtype)
        state = decay[..., None, None] * state.to(dtype) + k.to(dtype)[..., None] * v.to(dtype)[..., None, :]
        out = scale * (q.to(dtype)[..., None, :] @ state).squeeze(-2)
    return out.to(q.dtype), state


def _chunked(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, scale: float, initial_state: Tensor | None, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """Compute the recurrence with positive decays in chunks; shapes as in `decayed_attention`.

    With G the sum of the log decays within a chunk that starts from S, row i reads
    out_i = exp(G_i) S^T q_i + sum_{j <= i} exp(G_i - G_j) (q_i . k_j) v_j, and the next chunk starts from
    exp(G_last) S + sum_j exp(G_last - G_j) k_j v_j^T. Only these starts are computed chunk after chunk.
    """
    batch, time, heads, key_dim = q.shape
    chunks = Chunks(batch=batch, time=time, heads=heads, size=min(chunk_size, time))
    num, lanes = chunks.num_chunks, chunks.lanes
    queries, keys, values = chunks.pack(q) * scale, chunks.pack(k), chunks.pack(v)
    cumulative = chunks.pack(log_decay[..., None]).cumsum(1)
    last = cumulative[:, -1:]

    # -inf before exp, not a product with the mask after it: above the diagonal exponents are positive and may overflow,
    # and inf * 0 would be NaN.
    steps = torch.arange(chunks.size, device=q.device)
    exponent = (cumulative - cumulative.transpose(1, 2)).masked_fill(~causal_mask(steps, steps), -torch.inf)
    scores = torch.bmm(queries, keys.transpose(1, 2)) * exponent.exp()

    added = torch.bmm((keys * (last - cumulative).exp()).transpose(1, 2), values)
    added_by_chunk = added.view(num, lanes, key_dim, -1).unbind(0)
    kept_by_chunk = last.exp().view(num, lanes, 1, 1).unbind(0)
    state = torch.zeros_like(added_by_chunk[0]) if initial_state is None else initial_state.flatten(0, 1)
    # Indexed lists instead of tensors written in place: autograd differentiates through the loop.
    starts = []
    for kept, new in zip(kept_by_chunk, added_by_chunk, strict=True):
        starts.append(state)
        state = torch.addcmul(new, state, kept)
    reads = torch.bmm(queries * cumulative.exp(), torch.cat(starts))
    out = torch.baddbmm(reads, scores, values)
    return chunks.unpack(out), state.view(batch, heads, key_dim, -1)


def _check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    sign: Tensor | None,
    initial_state: Tensor | None,
    chunk_size: int,
) -> None:
    batch, time, heads, key_dim = q.shape
    if time < 1 or chunk_size < 1:
        got = f"{time} and {chunk_size}"
        raise ValueError(f"expected time steps and chunk_size >= 1, got {got}; skip empty sequences")
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("k", k, (batch, time, heads, key_dim)),
        ("v", v, (batch, time, heads, v.shape[-1])),
        ("log_decay", log_decay, (batch, time, heads)),
        ("sign", sign, (batch, time, heads)),
        ("initial_state", initial_state, (batch, heads, key_dim, v.shape[-1])),
    ]
    for name, tensor, shape in expected:
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"expected {name} {list(shape)}, got {list(tensor.shape)}; match q {list(q.shape)}")
