"""The chunked form of the (gated) delta rule and its gradient, worked out by hand, for one slab of sequences.

Within a chunk that starts from state S, with G the cumulative log decay and t(j) the time step of key j, the value that
key i really writes is u_i = beta_i (v_i - exp(G_i) S^T k_i - sum_{j<i} exp(G_i - G_j) (k_i . k_j) u_j). With the rows
R = [q ; beta k] stacked on top of each other this becomes, for the whole chunk,

    scores = (R K^T) * mask * exp(G_i - G_j)        top: what queries read, bottom: A, strictly lower triangular
    reads  = (R * exp(G)) S
    U      = (I + A)^-1 (beta V - reads_bottom)
    out    = reads_top + scores_top U
    S'     = exp(G_last) S + (K * exp(G_last - G))^T U

so that only `reads`, U and S' run chunk after chunk. The gradient keeps the same stacking: U's needs no second solve,
and neither W of the usual WY form nor its gradient is ever formed. The inverse is taken by forward substitution:
Neumann doubling is 49% wrong at 16 repeated keys of beta = 2 and NaN at 64, where substitution stays at 4e-5; it is
also the fastest on CPU (4,096 matrices of 16 x 16: 2.5 ms, doubling of blocks 7.2 ms).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trace_mine.train.kernels.layout import Chunks, causal_mask


class Decays(NamedTuple):
    """Decay within chunks: from the start to each row, from each key to the end, and over the whole."""

    to_rows_MR1: Tensor
    from_keys_MC1: Tensor
    of_chunk_M: Tensor


class Saved(NamedTuple):
    """What the backward pass needs, M = N * B * H matrices each; states is [N + 1, B * H, K, V]."""

    keys: Tensor
    values: Tensor
    betas: Tensor
    rows: Tensor
    scores: Tensor
    inverse: Tensor
    states: Tensor
    written: Tensor
    weights: Tensor
    decays: Decays | None


class Gradients(NamedTuple):
    """Where `backward` writes: the shapes of the inputs of `forward`, with time padded to whole chunks."""

    q: Tensor
    k: Tensor
    v: Tensor
    beta: Tensor
    log_decay: Tensor | None
    initial_state: Tensor | None


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    initial_state: Tensor | None,
    scale: float,
    per_step: int,
    chunks: Chunks,
    *,
    out: Tensor,
    state: Tensor,
) -> Saved:
    """Fills out [B, N * C, H, V] and the final state [B, H, K, V]; there are `per_step` keys to a time step.

    Only the first T steps of out mean something.
    """
    num, lanes, flat, top = chunks.count, chunks.lanes, chunks.flat, chunks.size
    bottom = top * per_step
    key_dim, value_dim = k.shape[-1], v.shape[-1]
    keys, values, betas = chunks.pack(k, per_step), chunks.pack(v, per_step), chunks.pack(beta[..., None], per_step)

    rows = q.new_empty(flat, top + bottom, key_dim)
    torch.mul(chunks.view(q), scale, out=chunks.grid(rows)[..., :top, :])
    torch.mul(keys, betas, out=rows[:, top:])
    scores = torch.bmm(rows, keys.transpose(1, 2))
    weights = _score_weights(chunks, per_step, log_decay, q)
    # Substitution reads the strictly lower triangle only, so that without decay A may stay unmasked.
    scored = scores[:, :top] if log_decay is None else scores
    scored *= weights[: scored.shape[1]] if log_decay is None else weights
    identity = torch.eye(bottom, dtype=q.dtype, device=q.device).expand(flat, -1, -1)
    inverse = torch.linalg.solve_triangular(scores[:, top:], identity, upper=False, unitriangular=True)

    decays = None if log_decay is None else _decays(chunks, per_step, log_decay)
    state_rows, state_keys = _decayed(rows, keys, decays)
    states = q.new_empty(num + 1, lanes, key_dim, value_dim)
    if initial_state is None:
        states[0].zero_()
    else:
        states[0] = initial_state.reshape(lanes, key_dim, value_dim)
    reads = q.new_empty(flat, top + bottom, value_dim)
    written = values * betas
    _scan_forward(
        states,
        reads.view(num, lanes, top + bottom, value_dim),
        written.view(num, lanes, bottom, value_dim),
        inverse.view(num, lanes, bottom, bottom),
        state_rows.view(num, lanes, top + bottom, key_dim),
        state_keys.view(num, lanes, bottom, key_dim),
        None if decays is None else decays.of_chunk_M.view(num, lanes, 1, 1),
    )
    from_chunk = torch.bmm(scores[:, :top], written)
    torch.add(chunks.grid(from_chunk), chunks.grid(reads)[..., :top, :], out=chunks.view(out))
    state.copy_(states[num].view(state.shape))
    return Saved(keys, values, betas, rows, scores, inverse, states, written, weights, decays)


def _scan_forward(
    states: Tensor,
    reads: Tensor,
    written: Tensor,
    inverse: Tensor,
    rows: Tensor,
    keys: Tensor,
    state_decay: Tensor | None,
) -> None:
    """Fills `states[1:]` and `reads` and turns `written` from beta v into u; the first axis of all is the chunk."""
    top = rows.shape[2] - keys.shape[2]
    keys = keys.transpose(2, 3)
    for i in range(len(rows)):
        torch.bmm(rows[i], states[i], out=reads[i])
        wanted = written[i] - reads[i, :, top:]
        torch.bmm(inverse[i], wanted, out=written[i])
        # Not baddbmm(out=): it first copies, which costs as much as the product.
        torch.bmm(keys[i], written[i], out=states[i + 1])
        _add_decayed(states[i + 1], states[i], None if state_decay is None else state_decay[i])


def _add_decayed(target: Tensor, state: Tensor, decay: Tensor | None) -> None:
    if decay is None:
        target.add_(state)
    else:
        target.addcmul_(state, decay)


def _score_weights(chunks: Chunks, per_step: int, log_decay: Tensor | None, like: Tensor) -> Tensor:
    """What scores are multiplied by: the mask, [C + C n, C n], times exp(G_i - G_j) where there is decay."""
    steps = torch.arange(chunks.size, device=like.device)
    of_key = steps.repeat_interleave(per_step)
    order = torch.arange(len(of_key), device=like.device)
    read, later = causal_mask(steps, of_key).to(like.dtype), causal_mask(order, order + 1).to(like.dtype)
    if log_decay is None:
        return torch.cat([read, later])
    cumulative = chunks.pack(log_decay[..., None]).cumsum(1)
    # The exponent is never positive where the mask holds, so nothing overflows and nothing small is divided by.
    decay = (cumulative - cumulative[:, of_key].transpose(1, 2)).clamp_(max=0).exp_()
    weights = like.new_empty(chunks.flat, len(steps) + len(order), len(order))
    torch.mul(decay, read, out=weights[:, : len(steps)])
    torch.mul(decay if per_step == 1 else decay[:, of_key], later, out=weights[:, len(steps) :])
    return weights


def _decays(chunks: Chunks, per_step: int, log_decay: Tensor) -> Decays:
    cumulative = chunks.pack(log_decay[..., None]).cumsum(1)
    at_keys = cumulative.repeat_interleave(per_step, 1) if per_step > 1 else cumulative
    last = cumulative[:, -1:]
    return Decays(torch.cat([cumulative, at_keys], 1).exp_(), (last - at_keys).exp_(), last.flatten().exp())


def _decayed(rows: Tensor, keys: Tensor, decays: Decays | None) -> tuple[Tensor, Tensor]:
    if decays is None:
        return rows, keys
    return rows * decays.to_rows_MR1, keys * decays.from_keys_MC1


def backward(
    saved: Saved, dout: Tensor, dstate: Tensor, scale: float, per_step: int, chunks: Chunks, *, into: Gradients
) -> None:
    """Fills the gradients from those of out, [B, T, H, V], and of the final state, [B, H, K, V]."""
    keys, values, betas, rows, scores, inverse, states, written, weights, decays = saved
    num, lanes, flat, top = chunks.count, chunks.lanes, chunks.flat, chunks.size
    bottom = top * per_step
    key_dim, value_dim = keys.shape[-1], values.shape[-1]
    state_rows, state_keys = _decayed(rows, keys, decays)

    dreads = dout.new_empty(flat, top + bottom, value_dim)
    chunks.grid(dreads)[..., :top, :].copy_(chunks.view(dout))
    dwritten = torch.bmm(scores[:, :top].transpose(1, 2), dreads[:, :top])
    dstates = torch.empty_like(states)
    dstates[num] = dstate.reshape(lanes, key_dim, value_dim)
    _scan_backward(
        dstates,
        dreads.view(num, lanes, top + bottom, value_dim),
        dwritten.view(num, lanes, bottom, value_dim),
        inverse.view(num, lanes, bottom, bottom),
        state_rows.view(num, lanes, top + bottom, key_dim),
        state_keys.view(num, lanes, bottom, key_dim),
        None if decays is None else decays.of_chunk_M.view(num, lanes, 1, 1),
    )
    starts, ends = states[:num].view(flat, key_dim, value_dim), dstates[1:].view(flat, key_dim, value_dim)
    dscores = torch.bmm(dreads, written.transpose(1, 2))
    drows = torch.bmm(dreads, starts.transpose(1, 2))
    dkeys = torch.bmm(written, ends.transpose(1, 2))
    if decays is not None:
        by_scores = dscores * scores
        by_keys = (dkeys * state_keys).sum(-1)
        at_rows = by_scores.sum(2).add_((drows * state_rows).sum(-1))
        at_keys = at_rows[:, top:] - by_scores.sum(1) - by_keys
        dcumulative = at_rows[:, :top] + at_keys.view(flat, top, per_step).sum(-1)
        dcumulative[:, -1] += by_keys.sum(-1) + decays.of_chunk_M * (starts * ends).sum((1, 2))
        assert into.log_decay is not None
        later = dcumulative.flip(-1).cumsum(-1).flip(-1)
        chunks.view(into.log_decay[..., None]).copy_(chunks.grid(later[..., None]))
        drows *= decays.to_rows_MR1
        dkeys *= decays.from_keys_MC1
    dscores *= weights
    drows.baddbmm_(dscores, keys)
    dkeys.baddbmm_(dscores.transpose(1, 2), rows)

    # The lower rows are beta k, and what they read is taken from beta v, hence the minus.
    dscaled_keys, minus_dscaled_values = drows[:, top:], dreads[:, top:]
    dbetas = (dscaled_keys * keys).sum(-1, keepdim=True).sub_((minus_dscaled_values * values).sum(-1, keepdim=True))
    grid = chunks.grid
    torch.mul(grid(drows)[..., :top, :], scale, out=chunks.view(into.q))
    torch.addcmul(grid(dkeys), grid(drows)[..., top:, :], grid(betas), out=chunks.view(into.k, per_step))
    torch.mul(grid(dreads)[..., top:, :], grid(betas.neg()), out=chunks.view(into.v, per_step))
    chunks.view(into.beta[..., None], per_step).copy_(grid(dbetas))
    if into.initial_state is not None:
        into.initial_state.copy_(dstates[0].view(into.initial_state.shape))


def _scan_backward(
    dstates: Tensor,
    dreads: Tensor,
    dwritten: Tensor,
    inverse: Tensor,
    rows: Tensor,
    keys: Tensor,
    state_decay: Tensor | None,
) -> None:
    """Fills `dstates[:-1]` and the lower rows of `dreads`; `dwritten` comes with what the outputs ask of it."""
    top = rows.shape[2] - keys.shape[2]
    rows, inverse = rows.transpose(2, 3), inverse.transpose(2, 3)
    for i in range(len(rows) - 1, -1, -1):
        dwritten[i].baddbmm_(keys[i], dstates[i + 1])
        torch.neg(torch.bmm(inverse[i], dwritten[i]), out=dreads[i, :, top:])
        torch.bmm(rows[i], dreads[i], out=dstates[i])
        _add_decayed(dstates[i], dstates[i + 1], None if state_decay is None else state_decay[i])
