"""Mamba-2, and a signed variant of it: a decay in [-1, 1] instead of [0, 1].

Source: arXiv 2405.21060; the sign: arXiv 2411.12537, applied to a scalar decay. Parameters have the names of fla's
``Mamba2``, which without mamba_ssm takes a naive path even on a GPU; here it is ``kernels.decayed``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels import layer_ops
from trace_mine.train.kernels.decayed import decayed_attention, decayed_attention_step
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.delta_net import MatrixMixer
from trace_mine.train.models.layers import Carry, decay_parameters, heads


class GroupNormGated(nn.Module):
    """``norm(x * silu(gate)) * weight``: an RMS norm within each of ``groups`` equal parts of the last axis."""

    def __init__(self, width: int, groups: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Norm x [..., D] under a gate [..., D]."""
        gated = heads(layer_ops.silu_product(gate, x), self.groups)
        return layer_ops.rms_norm(gated, None, self.eps).flatten(-2) * self.weight


class Mamba2(MatrixMixer):
    """The mixer of one layer: S_t = exp(dt_t A) S_{t-1} + dt_t B_t x_t^T, out_t = S_t^T C_t + D x_t.

    dt, B, C and x depend on the input; A < 0 and D are one number for each head. With ``signed`` the decay is also
    multiplied by tanh(sign_proj(input)), so that it passes through 0 smoothly on its way to a negative one.

    Taps: queries, keys [B, T, H, N] (C and B), values [B, T, H, P] (dt x), log_decay [B, T, H] (of its absolute value),
    state [B, H, N, P], heads [B, T, H, P].
    """

    points = ("queries", "keys", "values", "log_decay", "state", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.inner = int(config.expand * config.hidden_size)
        self.num_heads = config.num_heads
        self.conv_width = self.inner + 2 * config.n_groups * config.state_size
        self.in_proj = nn.Linear(
            config.hidden_size, self.inner + self.conv_width + self.num_heads, bias=config.use_bias
        )
        # for its parameters' names; short_conv does the work, also with a carry
        self.conv1d = nn.Conv1d(
            self.conv_width, self.conv_width, config.conv_kernel, groups=self.conv_width, bias=config.use_conv_bias
        )
        low, high = config.A_init_range
        self.A_log, self.dt_bias = decay_parameters(
            self.num_heads, low, high, config.dt_min, config.dt_max, config.dt_init_floor
        )
        self.D = nn.Parameter(torch.ones(self.num_heads))  # the skip from x, as in Mamba-2
        self.norm = GroupNormGated(self.inner, config.n_groups, config.norm_eps)
        self.out_proj = nn.Linear(self.inner, config.hidden_size, bias=config.use_bias)
        if config.signed:
            self.sign_proj = nn.Linear(config.hidden_size, self.num_heads, bias=True)
            nn.init.constant_(self.sign_proj.bias, 2.0)  # tanh(2) = 0.96: nearly the unsigned model to begin with

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry, config = carry or {}, self.config
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        gate, mixed, step = self.in_proj(x).split([self.inner, self.conv_width, self.num_heads], -1)
        weight, bias = self.conv1d.weight[:, 0], self.conv1d.bias
        mixed, after["conv"] = layer_ops.short_conv(mixed, weight, bias, carry.get("conv"))
        groups = config.n_groups * config.state_size
        inputs, keys, queries = mixed.split([self.inner, groups, groups], -1)  # x, B, C, in fla's order
        shared = self.num_heads // config.n_groups
        q = self.tap("queries", heads(queries, config.n_groups).repeat_interleave(shared, dim=-2))
        k = self.tap("keys", heads(keys, config.n_groups).repeat_interleave(shared, dim=-2))
        # Time steps and decays in fp32 at least: they are summed over time, and half precision would lose them.
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        time_step = F.softplus(step.to(dtype) + self.dt_bias).clamp(*config.dt_limit)
        values = heads(inputs, self.num_heads).to(dtype)
        v = self.tap("values", values * time_step[..., None])
        log_decay, sign = -self.A_log.to(dtype).exp() * time_step, None
        if config.signed:
            factor = torch.tanh(self.sign_proj(x).to(dtype))
            sign = torch.where(factor < 0, -1.0, 1.0).to(dtype)
            # clamped: the log and its gradient at 0 are infinite
            log_decay = log_decay + factor.abs().clamp(min=1e-6).log()
        log_decay = self.tap("log_decay", log_decay)
        out, state = self._scan(q, k, v, log_decay, sign, carry)
        after["state"] = self.tap("state", state)
        out = (out.to(dtype) + values * self.D[:, None]).to(x.dtype)
        y = self.norm(self.tap("heads", out).flatten(-2), gate)
        return self.out_proj(y), after

    def _scan(
        self, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, sign: Tensor | None, carry: Carry
    ) -> tuple[Tensor, Tensor]:
        """Compute the recurrence from the carry's state on: over time, or for a single step in its recurrent form."""
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
