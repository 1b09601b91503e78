"""The slow twins: recurrences as they are written down, one Python step at a time, in the dtype of the inputs.

Tests hold the fast forms to these, gradients included.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trace_mine.train.kernels.rescale import Rescale


def delta_rule_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    *,
    log_decay: Tensor | None = None,
    num_householder: int = 1,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    rescale: Rescale | None = None,
    position: int = 0,
) -> tuple[Tensor, Tensor]:
    """Twin of `trace_mine.train.kernels.delta.delta_rule`; same shapes, state in the inputs' dtype."""
    batch, time, heads, key_dim = q.shape
    scale = key_dim**-0.5 if scale is None else scale
    state = q.new_zeros(batch, heads, key_dim, v.shape[-1]) if initial_state is None else initial_state
    outs = []
    for t in range(time):
        if log_decay is not None:
            state = state * log_decay[:, t].exp()[..., None, None]
        for i in range(t * num_householder, (t + 1) * num_householder):
            read = (state * k[:, i, :, :, None]).sum(-2)
            written = beta[:, i, :, None] * (v[:, i] - read)
            state = state + k[:, i, :, :, None] * written[..., None, :]
        outs.append(scale * (state * q[:, t, :, :, None]).sum(-2))
        if rescale is not None:
            state = _rescaled(state, rescale, position + t + 1)
    return torch.stack(outs, 1), state


def channel_delta_rule_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    erase: Tensor,
    write: Tensor | None = None,
    *,
    num_householder: int = 1,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    rescale: Rescale | None = None,
    position: int = 0,
) -> tuple[Tensor, Tensor]:
    """Twin of `trace_mine.train.kernels.channel_delta.channel_delta_rule`, by whole transition matrices."""
    batch, time, heads, key_dim = q.shape
    scale = key_dim**-0.5 if scale is None else scale
    state = q.new_zeros(batch, heads, key_dim, v.shape[-1]) if initial_state is None else initial_state
    outs = []
    for t in range(time):
        state = torch.diag_embed(log_decay[:, t].exp()) @ state
        for i in range(t * num_householder, (t + 1) * num_householder):
            key = k[:, i]
            gated = erase[:, i, :, None] * key if erase.ndim == 3 else erase[:, i] * key
            value = erase[:, i, :, None] * v[:, i] if write is None else write[:, i] * v[:, i]
            identity = torch.eye(key_dim, dtype=q.dtype)
            transition = identity - key[..., :, None] * gated[..., None, :]
            state = transition @ state + key[..., :, None] * value[..., None, :]
        outs.append(scale * (state * q[:, t, :, :, None]).sum(-2))
        if rescale is not None:
            state = _rescaled(state, rescale, position + t + 1)
    return torch.stack(outs, 1), state


def _rescaled(state: Tensor, rescale: Rescale, steps_done: int) -> Tensor:
    blocks, rest = divmod(steps_done, rescale.every)
    if rest or blocks <= rescale.skip:
        return state
    norm = state.square().sum((-2, -1)).sqrt()
    factor = rescale.target / norm
    if rescale.mode == "clamp":
        factor = torch.where(norm > rescale.target, factor, torch.ones_like(factor))
    return state * factor[..., None, None]


def decayed_attention_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    sign: Tensor | None = None,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    rescale: Rescale | None = None,
    position: int = 0,
) -> tuple[Tensor, Tensor]:
    """Twin of `trace_mine.train.kernels.decayed.decayed_attention`; same shapes, state in the inputs' dtype."""
    batch, time, heads, key_dim = q.shape
    state = q.new_zeros(batch, heads, key_dim, v.shape[-1]) if initial_state is None else initial_state
    outs = []
    for t in range(time):
        decay = log_decay[:, t].exp()
        if sign is not None:
            decay = decay * sign[:, t]
        state = decay[..., None, None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outs.append(scale * (state * q[:, t, :, :, None]).sum(-2))
        if rescale is not None:
            state = _rescaled(state, rescale, position + t + 1)
    return torch.stack(outs, 1), state


def path_attention_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    w: Tensor,
    beta: Tensor,
    *,
    log_gate: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Twin of `trace_mine.train.kernels.path_attention.path_attention` from a sequence's begin, by whole matrices.

    Returns outputs [B, T, H, V], the keys after the last step [B, H, T, K], and the gates of each, [B, H, T].
    """
    batch, time, heads, key_dim = q.shape
    scale = key_dim**-0.5 if scale is None else scale
    outs = []
    keys, gates = q.new_zeros(batch, heads, 0, key_dim), q.new_zeros(batch, heads, 0)
    for t in range(time):
        identity = torch.eye(key_dim, dtype=q.dtype)
        matrix = identity - beta[:, t, :, None, None] * w[:, t, :, :, None] * w[:, t, :, None, :]
        keys = torch.cat([(matrix[:, :, None] @ keys[..., None])[..., 0], k[:, t, :, None]], 2)
        if log_gate is not None:
            gates = gates + scale * log_gate[:, t, :, None]
        gates = torch.cat([gates, gates.new_zeros(batch, heads, 1)], 2)
        weights = (scale * (keys * q[:, t, :, None]).sum(-1) + gates).softmax(-1)
        outs.append((weights[..., None] * v[:, : t + 1].transpose(1, 2)).sum(2))
    return torch.stack(outs, 1), keys, gates
