"""The chunked form of the delta rule with decay by channel and two keys, and its gradient, derived by hand.

Key i of a chunk erases along e_i and writes along k_i: S <- S + k_i (w_i - e_i^T S)^T, after S <- diag(a) S at the
begin of each time step. With G [C, K] the cumulative log decays from the chunk's start, every product of two vectors
has a factor exp(G_i - G_j) for each of its K channels, which parts in two. With R = [q ; e] stacked and R' = R exp(G),

    scores = (R' (K * exp(-G))^T) * mask             top: what queries read, bottom: A, strictly lower triangular
    U      = (I + A)^-1 (W - R'_bottom S)
    out    = R'_top S + scores_top U
    S'     = exp(G_last) S + (K * exp(G_last - G))^T U

so that all but the scores is what ``delta_chunks`` computes, and its two scans are used here. exp(-G) grows: where a
channel decays by more than ``LARGEST`` within a chunk, scores are summed key by key from the differences G_i - G_j,
none of which is positive where the mask holds. Whichever form is taken, each vector comes with exp(G) or exp(-G), so
that the gradient of G is the vector times its own gradient.

Names are those of ``delta_chunks``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trace_mine.train.kernels.delta_chunks import scan_backward, scan_forward
from trace_mine.train.kernels.layout import Chunks, causal_mask

LARGEST = 70.0
"""The largest decay, as a logarithm, that is divided by: exp(70) is 3e30, of fp32's 3e38."""


class ChannelSaved(NamedTuple):
    """Tensors that ``forward`` keeps for ``backward``."""

    keys: Tensor  # [M, C n, K]
    rows: Tensor  # R, [M, C + C n, K]
    at_rows: Tensor  # G at each row, [M, C + C n, K]
    scores: Tensor  # [M, C + C n, C n]
    inverse: Tensor  # (I + A)^-1, [M, C n, C n]
    states: Tensor  # before each chunk and after the last, [N + 1, B * H, K, V]
    written: Tensor  # U, [M, C n, V]


def forward(
    q: Tensor,
    erase: Tensor,
    k: Tensor,
    values: Tensor,
    log_decay: Tensor,
    initial_state: Tensor | None,
    per_step: int,
    chunks: Chunks,
) -> tuple[Tensor, Tensor, ChannelSaved]:
    """Compute the outputs [B, T, H, V], unscaled, and the final state [B, H, K, V] of some sequences.

    Shapes:
        q, log_decay: [B, T, H, K]; erase, k: [B, T * n, H, K]; values: [B, T * n, H, V], with n = ``per_step``
        initial_state: [B, H, K, V], or None for zeros

    Returns:
        outputs, final state, and what ``backward`` needs.
    """
    num, lanes, top = chunks.num_chunks, chunks.lanes, chunks.size
    bottom, key_dim, value_dim = top * per_step, k.shape[-1], values.shape[-1]
    keys = chunks.pack(k, per_step)
    written = values.new_empty(chunks.num_matrices, bottom, value_dim)  # not packed: it might be a view of the values
    chunks.grid(written).copy_(chunks.view(values, per_step))
    rows = torch.cat([chunks.pack(q), chunks.pack(erase, per_step)], 1)
    cumulative = chunks.pack(log_decay).cumsum(1)
    at_rows = torch.cat([cumulative, cumulative.repeat_interleave(per_step, 1)], 1)
    mask = _mask(chunks, per_step, q)
    scores = _scores(rows, keys, at_rows) * mask
    identity = torch.eye(bottom, dtype=q.dtype, device=q.device).expand(len(rows), -1, -1)
    inverse = torch.linalg.solve_triangular(scores[:, top:], identity, upper=False, unitriangular=True)
    states = q.new_zeros(num + 1, lanes, key_dim, value_dim)
    if initial_state is not None:
        states[0] = initial_state.reshape(lanes, key_dim, value_dim)
    reads = q.new_empty(len(rows), top + bottom, value_dim)
    state_rows, state_keys, of_chunk = _at_state(rows, keys, at_rows)
    scan_forward(
        states,
        reads.view(num, lanes, top + bottom, value_dim),
        written.view(num, lanes, bottom, value_dim),
        inverse.view(num, lanes, bottom, bottom),
        state_rows.view(num, lanes, top + bottom, key_dim),
        state_keys.view(num, lanes, bottom, key_dim),
        of_chunk.view(num, lanes, key_dim, 1),
    )
    out = torch.baddbmm(reads[:, :top], scores[:, :top], written)
    state = states[num].reshape(chunks.batch, chunks.heads, key_dim, value_dim).clone()
    return chunks.unpack(out), state, ChannelSaved(keys, rows, at_rows, scores, inverse, states, written)


def backward(
    saved: ChannelSaved, dout: Tensor, dstate: Tensor, per_step: int, chunks: Chunks
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the gradients of q, erase, k, values, log_decay and the initial state, in the shapes of the inputs."""
    keys, rows, at_rows, scores, inverse, states, written = saved
    num, lanes, top = chunks.num_chunks, chunks.lanes, chunks.size
    bottom, key_dim, value_dim = top * per_step, keys.shape[-1], written.shape[-1]
    state_rows, state_keys, of_chunk = _at_state(rows, keys, at_rows)
    # The upper rows are dout, the lower ones minus the gradient of the values: see ``delta_chunks.backward``.
    dreads = dout.new_empty(len(rows), top + bottom, value_dim)
    dreads[:, :top] = chunks.pack(dout)
    dwritten = torch.bmm(scores[:, :top].transpose(1, 2), dreads[:, :top])
    dstates = torch.empty_like(states)
    dstates[num] = dstate.reshape(lanes, key_dim, value_dim)
    scan_backward(
        dstates,
        dreads.view(num, lanes, top + bottom, value_dim),
        dwritten.view(num, lanes, bottom, value_dim),
        inverse.view(num, lanes, bottom, bottom),
        state_rows.view(num, lanes, top + bottom, key_dim),
        state_keys.view(num, lanes, bottom, key_dim),
        of_chunk.view(num, lanes, key_dim, 1),
    )
    starts, ends = (each.reshape(len(rows), key_dim, value_dim) for each in (states[:num], dstates[1:]))
    dscores = torch.bmm(dreads, written.transpose(1, 2)) * _mask(chunks, per_step, dout)
    drows, dkeys = _scores_backward(dscores, rows, keys, at_rows)
    drows.addcmul_(torch.bmm(dreads, starts.transpose(1, 2)), at_rows.exp())
    by_state = torch.bmm(written, ends.transpose(1, 2)).mul_(_to_end(at_rows, keys))
    dkeys += by_state
    # x in exp(x) * y: see the module. G_last is that of the last row of queries.
    by_rows, by_keys = rows * drows, keys * dkeys
    by_keys = by_rows[:, top:] - by_keys
    dcumulative = by_rows[:, :top] + by_keys.view(len(rows), top, per_step, key_dim).sum(2)
    dcumulative[:, -1] += (keys * by_state).sum(1) + of_chunk.squeeze(-1) * (starts * ends).sum(-1)
    # G_i sums the log decays up to step i, so that the gradient of a step's sums those of G from it on
    ddecay = dcumulative.flip(1).cumsum(1).flip(1)
    at_keys = of_keys(chunks, per_step)
    dinitial = dstates[0].reshape(chunks.batch, chunks.heads, key_dim, value_dim)
    return (
        chunks.unpack(drows[:, :top]),
        at_keys.unpack(drows[:, top:]),
        at_keys.unpack(dkeys),
        at_keys.unpack(dreads[:, top:].neg()),
        chunks.unpack(ddecay),
        dinitial,
    )


def of_keys(chunks: Chunks, per_step: int) -> Chunks:
    """Return the chunks with keys in the place of time steps."""
    return Chunks(batch=chunks.batch, time=chunks.time * per_step, heads=chunks.heads, size=chunks.size * per_step)


def _mask(chunks: Chunks, per_step: int, like: Tensor) -> Tensor:
    """Return [C + C n, C n] of 0 and 1: queries read keys up to their own step, keys meet the keys before them."""
    steps = torch.arange(chunks.size, device=like.device)
    of_key = steps.repeat_interleave(per_step)
    order = torch.arange(len(of_key), device=like.device)
    return torch.cat([causal_mask(steps, of_key), causal_mask(order, order + 1)]).to(like.dtype)


def _to_end(at_rows: Tensor, keys: Tensor) -> Tensor:
    """Return exp(G_last - G) at keys [M, C n, K]."""
    at_keys = at_rows[:, -keys.shape[1] :]
    return (at_keys[:, -1:] - at_keys).exp()


def _at_state(rows: Tensor, keys: Tensor, at_rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows and keys as they meet the state, and the decay of a chunk [M, K, 1]."""
    return rows * at_rows.exp(), keys * _to_end(at_rows, keys), at_rows[:, -1, :, None].exp()


def _is_mild(at_rows: Tensor) -> bool:
    """Tell if no channel of no chunk decays by more than ``LARGEST``: by the last row, since G falls."""
    return at_rows.numel() == 0 or bool(at_rows[:, -1].min() > -LARGEST)


def _scores(rows: Tensor, keys: Tensor, at_rows: Tensor) -> Tensor:
    """Return [M, C + C n, C n], the products of rows and keys with the decay between them, where the mask holds."""
    at_keys = at_rows[:, -keys.shape[1] :]
    if _is_mild(at_rows):
        return torch.bmm(rows * at_rows.exp(), (keys * at_keys.neg().exp()).transpose(1, 2))
    columns = [
        (rows * (at_rows - at_keys[:, j : j + 1]).clamp_(max=0).exp_() * keys[:, j : j + 1]).sum(-1)
        for j in range(keys.shape[1])
    ]
    return torch.stack(columns, 2)


def _scores_backward(dscores: Tensor, rows: Tensor, keys: Tensor, at_rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of rows and keys through the scores, of which ``dscores`` is the masked gradient."""
    at_keys = at_rows[:, -keys.shape[1] :]
    if _is_mild(at_rows):
        to_rows, from_keys = at_rows.exp(), at_keys.neg().exp()
        drows = torch.bmm(dscores, keys * from_keys).mul_(to_rows)
        return drows, torch.bmm(dscores.transpose(1, 2), rows * to_rows).mul_(from_keys)
    drows, dkeys = torch.zeros_like(rows), torch.empty_like(keys)
    for j in range(keys.shape[1]):
        weighed = (at_rows - at_keys[:, j : j + 1]).clamp_(max=0).exp_() * dscores[:, :, j, None]
        drows.addcmul_(weighed, keys[:, j : j + 1])
        dkeys[:, j] = (weighed * rows).sum(1)
    return drows, dkeys
