"""Mamba-2, and its signed variant: a decay in [-1, 1] instead of [0, 1].

Source: arXiv 2405.21060; the sign: arXiv 2411.12537 applied to a scalar decay. Parameter names are fla's ``Mamba2``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.conv import causal_conv
from trace_mine.train.kernels.decayed import decayed_attention, decayed_attention_step
from trace_mine.train.models.delta_net import MatrixMixer
from trace_mine.train.models.layers import Carry, decay_parameters, heads


class GroupNormGated(nn.Module):
    """``norm(x * silu(gate)) * weight``, the norm over groups of the last axis."""

    def __init__(self, width: int, groups: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """x, gate [..., D]."""
        gated = heads(x * F.silu(gate), self.groups)
        return F.rms_norm(gated, (gated.shape[-1],), None, self.eps).flatten(-2) * self.weight


class Mamba2(MatrixMixer):
    """One layer. Taps: queries, keys [B, T, H, N] (C and B), values [B, T, H, P] (times the step), log_decay [B, T, H],
    state [B, H, N, P], heads [B, T, H, P].

    ``signed``: the decay is multiplied by tanh of a projection's sign and size: ``log|a|`` is the decay's plus
    ``log|tanh s|``, so that it passes through zero smoothly.
    """

    points = ("queries", "keys", "values", "log_decay", "state", "heads")

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.inner = int(config.expand * config.hidden_size)
        self.num_heads = config.num_heads
        self.conv_width = self.inner + 2 * config.n_groups * config.state_size
        self.in_proj = nn.Linear(
            config.hidden_size, self.inner + self.conv_width + self.num_heads, bias=config.use_bias
        )
        self.conv1d = nn.Conv1d(
            self.conv_width, self.conv_width, config.conv_kernel, groups=self.conv_width, bias=config.use_conv_bias
        )
        low, high = config.A_init_range
        self.A_log, self.dt_bias = decay_parameters(
            self.num_heads, low, high, config.dt_min, config.dt_max, config.dt_init_floor
        )
        self.D = nn.Parameter(torch.ones(self.num_heads))
        self.norm = GroupNormGated(self.inner, config.n_groups, config.norm_eps)
        self.out_proj = nn.Linear(self.inner, config.hidden_size, bias=config.use_bias)
        if config.signed:
            self.sign_proj = nn.Linear(config.hidden_size, self.num_heads, bias=True)
            nn.init.constant_(self.sign_proj.bias, 2.0)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry, config = carry or {}, self.config
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        gate, mixed, step = self.in_proj(x).split([self.inner, self.conv_width, self.num_heads], -1)
        mixed, after["conv"] = causal_conv(mixed, self.conv1d.weight[:, 0], self.conv1d.bias, state=carry.get("conv"))
        groups = config.n_groups * config.state_size
        told, keys, queries = F.silu(mixed).split([self.inner, groups, groups], -1)
        shared = self.num_heads // config.n_groups
        q = self.tap("queries", heads(queries, config.n_groups).repeat_interleave(shared, dim=-2))
        k = self.tap("keys", heads(keys, config.n_groups).repeat_interleave(shared, dim=-2))
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        rate = F.softplus(step.to(wide) + self.dt_bias).clamp(*config.dt_limit)
        values = heads(told, self.num_heads).to(wide)
        v = self.tap("values", values * rate[..., None])
        log_decay, sign = -self.A_log.to(wide).exp() * rate, None
        if config.signed:
            factor = torch.tanh(self.sign_proj(x).to(wide))
            sign = torch.where(factor < 0, -1.0, 1.0).to(wide)
            log_decay = log_decay + factor.abs().clamp(min=1e-6).log()
        log_decay = self.tap("log_decay", log_decay)
        out, state = self._scan(q, k, v, log_decay, sign, carry)
        after["state"] = self.tap("state", state)
        out = (out.to(wide) + values * self.D[:, None]).to(x.dtype)
        y = self.norm(self.tap("heads", out).flatten(-2), gate)
        return self.out_proj(y), after

    def _scan(
        self, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, sign: Tensor | None, carry: Carry
    ) -> tuple[Tensor, Tensor]:
        state = carry.get("state")
        if q.shape[1] == 1 and state is not None and self.rescale is None:
            out, state = decayed_attention_step(
                q[:, 0], k[:, 0], v[:, 0], log_decay[:, 0], state, sign=None if sign is None else sign[:, 0]
            )
            return out[:, None], state
        return decayed_attention(
            q,
            k,
            v,
            log_decay,
            sign=sign,
            initial_state=state,
            rescale=self.rescale,
            position=carry.get("position", 0),
            backend=self.backend,
        )
