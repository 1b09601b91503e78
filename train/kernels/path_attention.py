"""PaTH attention: softmax attention whose keys pass through a Householder-like matrix at each step after their own.

The score of query i and key j is q_i . (H_i H_{i-1} ... H_{j+1} k_j) with H_t = I - beta_t w_t w_t^T: how the two meet
depends on what stands between them, not on their distance. Source: arXiv 2505.16381.

By chunks of C steps, with W [C, K] the rows w_t, B the diagonal of beta and A = tril_strict(B W W^T):

    [Y | U] = (I + A)^-1 B [W | tril_strict(W K^T)]    by forward substitution, as in ``delta_chunks``
    L       = tril(Q W^T)
    scores  = (Q - L Y) P^T                            of keys P before the chunk, as the step before it left them
    scores  = tril(Q K^T) - L U                        of the chunk's own keys
    P'      = [P - (P Y^T) W ; K - U^T W]              keys after the chunk

The keys P are the state, all that later steps need beside the values. They can't be kept as they were and multiplied by
one running product when they are read: with beta = 1 an H has no inverse, by which the product up to the key's own step
would have to be divided out. So each step changes all of them: t K multiplications and additions twice for t keys,
where a read takes them once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 32
"""Steps of a chunk: 16, 32, 64 and 128 took 46, 37, 39, 63 us a token (K = 32) and 91, 73, 65, 81 (K = 64).

Forward and backward on one CPU core, B=8 T=512 H=4.
"""


class PastKeys(NamedTuple):
    """The past steps, as a later step meets them.

    Shapes:
        keys: [B, H, P, K], each through the matrices of all steps after its own; values: [B, H, P, V]
        gates: [B, H, P], ``scale`` times the log gates of all steps after the key's own, summed; None without gates
    """

    keys: Tensor
    values: Tensor
    gates: Tensor | None


class _Chunks(NamedTuple):
    """The chunks [B, H, N, C, ...], each by itself; names as in the module's docstring."""

    queries: Tensor  # Q - L Y, [..., C, K]
    own_scores: Tensor  # with gates; -inf where the key is of a later step, [..., C, C]
    own_keys: Tensor  # K - U^T W, [..., C, K]
    erased: Tensor  # Y, [..., C, K]
    w: Tensor  # [..., C, K]
    gates: Tensor | None  # log gates summed from the chunk's begin, [..., C]


def path_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    w: Tensor,
    beta: Tensor,
    *,
    log_gate: Tensor | None = None,
    scale: float | None = None,
    past: PastKeys | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, PastKeys]:
    """Attend over all keys so far: out_i = sum over j <= i of softmax_j(scale (score_ij + G_i - G_j)) v_j.

    G is the running sum of ``log_gate``; scores are those of the module's docstring. All in the inputs' dtype.

    Shapes:
        q, k, w: [B, T, H, K], w of unit length; v: [B, T, H, V]; beta, log_gate: [B, T, H]
        returns: out [B, T, H, V]; what was seen, P + T keys

    Args:
        scale: of scores and gates; None: 1 / sqrt(K).
        past: what earlier calls saw; None at a sequence's begin.
        chunk: steps of a chunk, which change the last bits alone.
    """
    time, width = q.shape[1], q.shape[-1]
    size = min(chunk, time)
    missing = -time % size
    scale = width**-0.5 if scale is None else scale
    # the scale goes to queries and gates, of which there are fewer than scores
    inputs = [scale * q, k, w, beta[..., None], *([] if log_gate is None else [scale * log_gate[..., None]])]
    # steps of padding have w = 0 and beta = 0, which change no key, and no step before them sees theirs
    padded = [F.pad(y.transpose(1, 2), (0, 0, 0, missing)) for y in inputs]
    chunks = _chunks(*(y.reshape(*y.shape[:2], -1, size, y.shape[-1]) for y in padded))
    values = F.pad(v.transpose(1, 2), (0, 0, 0, missing))
    keys, gates = None, None
    if past is not None:
        keys, gates, values = past.keys, past.gates, torch.cat([past.values, values], 2)
    outs = []
    for n in range(chunks.queries.shape[2]):
        scores, held = chunks.own_scores[:, :, n], chunks.own_keys[:, :, n]
        since = None if chunks.gates is None else chunks.gates[:, :, n]
        after = None if since is None else since[..., -1:] - since
        if keys is not None:
            before = chunks.queries[:, :, n] @ keys.mT
            if since is not None and gates is not None and after is not None:
                before = before + since[..., :, None] + gates[..., None, :]
                after = torch.cat([gates + since[..., -1:], after], -1)
            scores = torch.cat([before, scores], -1)
            held = torch.cat([_passed(keys, chunks.erased[:, :, n], chunks.w[:, :, n]), held], 2)
        keys, gates = held, after
        outs.append(scores.softmax(-1) @ values[:, :, : keys.shape[2]])
    assert keys is not None  # there is a step
    kept = keys.shape[2] - missing
    out = torch.cat(outs, 2)[:, :, :time].transpose(1, 2)
    return out, PastKeys(keys[:, :, :kept], values[:, :, :kept], None if gates is None else gates[..., :kept])


def _chunks(q: Tensor, k: Tensor, w: Tensor, beta: Tensor, log_gate: Tensor | None = None) -> _Chunks:
    """Compute what needs no key of another chunk: q, k, w [B, H, N, C, K]; beta, log_gate [B, H, N, C, 1]."""
    size, width = q.shape[-2:]
    weighed = beta * w
    sides = torch.cat([weighed, (weighed @ k.mT).tril(-1)], -1)
    solved = torch.linalg.solve_triangular((weighed @ w.mT).tril(-1), sides, upper=False, unitriangular=True)
    erased, of_own = solved.split([width, size], -1)
    along = (q @ w.mT).tril()
    own_scores = q @ k.mT - along @ of_own
    gates = None
    if log_gate is not None:
        gates = log_gate[..., 0].cumsum(-1)
        own_scores = own_scores + (gates[..., :, None] - gates[..., None, :])
    later = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
    return _Chunks(
        queries=q - along @ erased,
        own_scores=own_scores.masked_fill(later, -torch.inf),
        own_keys=k - of_own.mT @ w,
        erased=erased,
        w=w,
        gates=gates,
    )


def _passed(keys: Tensor, erased: Tensor, w: Tensor) -> Tensor:
    """Return keys [B, H, P, K] after the steps of a chunk: P - (P Y^T) W."""
    size, width = w.shape[-2:]
    if 2 * size < width:
        return keys - (keys @ erased.mT) @ w
    # fewer operations: the chunk's matrices as one
    return keys @ (torch.eye(width, dtype=w.dtype, device=w.device) - erased.mT @ w)
