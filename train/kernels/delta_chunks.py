"""The chunked form of the (gated) delta rule and its gradient, derived by hand.

``delta_function`` makes an autograd function of it, and ``c/lane.h`` computes the same in C. The chunked form is that
of arXiv 2406.06484, with decay that of arXiv 2412.06464.

Within a chunk that starts from state S, with G the cumulative log decay and t(j) the time step of key j, the value that
key i really writes is u_i = beta_i (v_i - exp(G_i) S^T k_i - sum_{j<i} exp(G_i - G_j) (k_i . k_j) u_j). With the rows
R = [q ; beta k] stacked on top of each other this becomes, for the whole chunk,

    scores = (R K^T) * mask * exp(G_i - G_j)        top: what queries read, bottom: A, strictly lower triangular
    reads  = (R * exp(G)) S
    U      = (I + A)^-1 (beta V - reads_bottom)
    out    = reads_top + scores_top U
    S'     = exp(G_last) S + (K * exp(G_last - G))^T U

so that only `reads`, U and S' are computed chunk after chunk. The gradient keeps the same stacking: that of U needs no
second solve but a product with the transposed inverse, and neither W of the usual WY form nor its gradient is formed.

The inverse is taken by forward substitution: Neumann doubling is 49% wrong at 16 repeated keys of beta = 2 and NaN at
64, where substitution stays at 4e-5 (tests repeat keys at beta = 2). It is also the fastest on a CPU: 4,096 matrices of
16 x 16 take 2.5 ms, by doubling of blocks 7.2 ms.

Names: N chunks of C steps, n keys a step, M = N * B * H matrices; `top` = C rows of queries, `bottom` = C n of keys;
d before a name is the gradient of the loss by it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trace_mine.train.kernels.layout import Chunks, causal_mask


class Decays(NamedTuple):
    """Factors by which the state decays within chunks: to each row, from each key to the end, and over all of it."""

    to_rows_MR1: Tensor  # exp(G_i)
    from_keys_MC1: Tensor  # exp(G_last - G_j)
    of_chunk_M: Tensor  # exp(G_last)


class Saved(NamedTuple):
    """Tensors that `forward` keeps for `backward`. The first axis is M, but for `states` and `weights`."""

    keys: Tensor  # K, [M, C n, K]
    values: Tensor  # V, [M, C n, V]
    betas: Tensor  # [M, C n, 1]
    rows: Tensor  # R, [M, C + C n, K]
    scores: Tensor  # [M, C + C n, C n]; without decay its lower rows are unmasked
    inverse: Tensor  # (I + A)^-1, [M, C n, C n]
    states: Tensor  # before each chunk and after the last, [N + 1, B * H, K, V]
    written: Tensor  # U, [M, C n, V]
    weights: Tensor  # mask * exp(G_i - G_j), [M, C + C n, C n]; without decay [C + C n, C n]
    decays: Decays | None


class Gradients(NamedTuple):
    """Tensors that `backward` writes to, in the shapes of the inputs of `forward` with time padded to whole chunks."""

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
    """Compute the outputs and the final state of a slab of sequences, into `out` and `state`.

    Shapes:
        q: [B, T, H, K]; k: [B, T * n, H, K]; v: [B, T * n, H, V]; beta: [B, T * n, H] with n = `per_step`
        log_decay: [B, T, H] or None; initial_state: [B, H, K, V] or None for zeros
        out: [B, N * C, H, V], of which the first T steps are outputs and the rest padding; state: [B, H, K, V]

    Returns:
        the intermediate results that `backward` needs.
    """
    num, lanes, num_matrices, top = chunks.num_chunks, chunks.lanes, chunks.num_matrices, chunks.size
    bottom = top * per_step
    key_dim, value_dim = k.shape[-1], v.shape[-1]
    keys, values, betas = chunks.pack(k, per_step), chunks.pack(v, per_step), chunks.pack(beta[..., None], per_step)

    rows = q.new_empty(num_matrices, top + bottom, key_dim)
    torch.mul(chunks.view(q), scale, out=chunks.grid(rows)[..., :top, :])
    torch.mul(keys, betas, out=rows[:, top:])
    scores = torch.bmm(rows, keys.transpose(1, 2))
    weights = _score_weights(chunks, per_step, log_decay, q)
    # Substitution reads the strictly lower triangle only, so that without decay A may stay unmasked: one pass over
    # memory less.
    scored = scores[:, :top] if log_decay is None else scores
    scored *= weights[: scored.shape[1]] if log_decay is None else weights
    identity = torch.eye(bottom, dtype=q.dtype, device=q.device).expand(num_matrices, -1, -1)
    inverse = torch.linalg.solve_triangular(scores[:, top:], identity, upper=False, unitriangular=True)

    decays = None if log_decay is None else _decays(chunks, per_step, log_decay)
    state_rows, state_keys = _decayed(rows, keys, decays)
    states = q.new_empty(num + 1, lanes, key_dim, value_dim)
    if initial_state is None:
        states[0].zero_()
    else:
        states[0] = initial_state.reshape(lanes, key_dim, value_dim)
    reads = q.new_empty(num_matrices, top + bottom, value_dim)
    written = values * betas
    scan_forward(
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


def scan_forward(
    states: Tensor,
    reads: Tensor,
    written: Tensor,
    inverse: Tensor,
    rows: Tensor,
    keys: Tensor,
    state_decay: Tensor | None,
) -> None:
    """Run through the chunks: fill `states[1:]` and `reads`, and turn `written` from beta v into u, in place.

    The first axis of all is the chunk, N (N + 1 for `states`), the second the lane, B * H.
    """
    top = rows.shape[2] - keys.shape[2]
    keys = keys.transpose(2, 3)
    for i in range(len(rows)):
        torch.bmm(rows[i], states[i], out=reads[i])
        right_side = written[i] - reads[i, :, top:]  # of (I + A) U = beta V - reads_bottom
        torch.bmm(inverse[i], right_side, out=written[i])
        # Not baddbmm(out=): it first copies, which costs as much as the product.
        torch.bmm(keys[i], written[i], out=states[i + 1])
        _add_decayed(states[i + 1], states[i], None if state_decay is None else state_decay[i])


def _add_decayed(target: Tensor, state: Tensor, decay: Tensor | None) -> None:
    """Add a state, times its decay if there is one, to `target` in place."""
    if decay is None:
        target.add_(state)
    else:
        target.addcmul_(state, decay)


def _score_weights(chunks: Chunks, per_step: int, log_decay: Tensor | None, like: Tensor) -> Tensor:
    """Return the weights of the scores: the mask, times exp(G_i - G_j) if there is decay.

    The mask alone is [C + C n, C n], the same for all chunks; with decay it is [M, C + C n, C n]. Queries read keys up
    to their own step; a key meets the keys before it alone, those of its own step too.
    """
    steps = torch.arange(chunks.size, device=like.device)
    of_key = steps.repeat_interleave(per_step)
    order = torch.arange(len(of_key), device=like.device)
    read, later = causal_mask(steps, of_key).to(like.dtype), causal_mask(order, order + 1).to(like.dtype)
    if log_decay is None:
        return torch.cat([read, later])
    cumulative = chunks.pack(log_decay[..., None]).cumsum(1)
    # The exponent is never positive where the mask holds, so nothing overflows and nothing small is divided by.
    decay = (cumulative - cumulative[:, of_key].transpose(1, 2)).clamp_(max=0).exp_()
    weights = like.new_empty(chunks.num_matrices, len(steps) + len(order), len(order))
    torch.mul(decay, read, out=weights[:, : len(steps)])
    torch.mul(decay if per_step == 1 else decay[:, of_key], later, out=weights[:, len(steps) :])
    return weights


def _decays(chunks: Chunks, per_step: int, log_decay: Tensor) -> Decays:
    """Return the factors of the state's decay within each chunk."""
    cumulative = chunks.pack(log_decay[..., None]).cumsum(1)
    at_keys = cumulative.repeat_interleave(per_step, 1) if per_step > 1 else cumulative
    last = cumulative[:, -1:]
    return Decays(torch.cat([cumulative, at_keys], 1).exp_(), (last - at_keys).exp_(), last.flatten().exp())


def _decayed(rows: Tensor, keys: Tensor, decays: Decays | None) -> tuple[Tensor, Tensor]:
    """Return rows and keys as they meet the state: R * exp(G) and K * exp(G_last - G)."""
    if decays is None:
        return rows, keys
    return rows * decays.to_rows_MR1, keys * decays.from_keys_MC1


def backward(
    saved: Saved, dout: Tensor, dstate: Tensor, scale: float, per_step: int, chunks: Chunks, *, into: Gradients
) -> None:
    """Compute the gradients of the inputs of `forward`, into `into`.

    First `scan_backward` runs through the chunks from the last to the first, for the gradients of U and of the states
    (dout -> dU -> d(reads) -> dS). All else is batched over the chunks: from those the gradients of scores, rows and
    keys, and of these those of q, k, v and beta. With decay, each factor exp(x) * y adds (its product) * (its gradient)
    to the gradient of x; x is a difference of cumulative log decays G, whose gradients sum to those of the log decays
    from each step to the chunk's end.

    Args:
        dout: [B, T, H, V], of the outputs.
        dstate: [B, H, K, V], of the final state.
    """
    keys, values, betas, rows, scores, inverse, states, written, weights, decays = saved
    num, lanes, num_matrices, top = chunks.num_chunks, chunks.lanes, chunks.num_matrices, chunks.size
    bottom = top * per_step
    key_dim, value_dim = keys.shape[-1], values.shape[-1]
    state_rows, state_keys = _decayed(rows, keys, decays)

    # The upper rows of dreads are dout itself; the lower ones, minus the gradient of beta v, come from the scan.
    dreads = dout.new_empty(num_matrices, top + bottom, value_dim)
    chunks.grid(dreads)[..., :top, :].copy_(chunks.view(dout))
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
        None if decays is None else decays.of_chunk_M.view(num, lanes, 1, 1),
    )
    starts, ends = (
        states[:num].view(num_matrices, key_dim, value_dim),
        dstates[1:].view(num_matrices, key_dim, value_dim),
    )
    dscores = torch.bmm(dreads, written.transpose(1, 2))
    drows = torch.bmm(dreads, starts.transpose(1, 2))
    dkeys = torch.bmm(written, ends.transpose(1, 2))
    if decays is not None:
        # x in exp(x) * y: scores have G_i - G_j, reads G_i, the keys' part of S' G_last - G_j, and S in S' G_last.
        by_scores = dscores * scores
        by_keys = (dkeys * state_keys).sum(-1)
        at_rows = by_scores.sum(2).add_((drows * state_rows).sum(-1))
        at_keys = at_rows[:, top:] - by_scores.sum(1) - by_keys
        dcumulative = at_rows[:, :top] + at_keys.view(num_matrices, top, per_step).sum(-1)
        dcumulative[:, -1] += by_keys.sum(-1) + decays.of_chunk_M * (starts * ends).sum((1, 2))
        assert into.log_decay is not None
        # G_i sums the log decays up to step i, so that the gradient of a step's sums those of G from it on.
        from_step_on = dcumulative.flip(-1).cumsum(-1).flip(-1)
        chunks.view(into.log_decay[..., None]).copy_(chunks.grid(from_step_on[..., None]))
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


def scan_backward(
    dstates: Tensor,
    dreads: Tensor,
    dwritten: Tensor,
    inverse: Tensor,
    rows: Tensor,
    keys: Tensor,
    state_decay: Tensor | None,
) -> None:
    """Run through the chunks backwards: fill `dstates[:-1]` and the lower rows of `dreads`, in place.

    `dwritten` comes with the part of dU that the outputs give, and gets that of the next state added. Axes are those of
    `scan_forward`; `dstates[-1]` is the gradient of the final state.
    """
    top = rows.shape[2] - keys.shape[2]
    rows, inverse = rows.transpose(2, 3), inverse.transpose(2, 3)
    for i in range(len(rows) - 1, -1, -1):
        dwritten[i].baddbmm_(keys[i], dstates[i + 1])
        torch.neg(torch.bmm(inverse[i], dwritten[i]), out=dreads[i, :, top:])
        torch.bmm(rows[i], dreads[i], out=dstates[i])
        _add_decayed(dstates[i], dstates[i + 1], None if state_decay is None else state_decay[i])
