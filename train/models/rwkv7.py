"""RWKV-7's time mixing: a decay for each channel, and a rank-one update that erases along one vector and adds another.

Source: arXiv 2503.14456. Parameters have the names of fla's ``RWKV7Attention`` in a model's first layer: the mixing of
a layer's values with those of the first layer is left out, and blocks are those of the other models (RMS norm, gated
MLP).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from trace_mine.train.kernels.channel_delta import channel_delta_rule, channel_delta_rule_step
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.delta_net import MatrixMixer
from trace_mine.train.models.layers import Carry, heads, l2_norm

LOWEST = -0.6065306597126334
"""The logarithm of the strongest decay of a step, -exp(-1/2): a channel keeps at least .545 of itself."""

SHIFTED = ("r", "w", "k", "v", "a", "g")
"""Names of what a layer makes of its input mixed with the input of the step before."""


class LowRank(nn.Module):
    """A map through a narrow layer; ``lora`` is its name in fla."""

    def __init__(self, width: int, rank: int, out: int, activation: nn.Module, bias: bool = True) -> None:
        super().__init__()
        self.lora = nn.Sequential(nn.Linear(width, rank, bias=False), activation, nn.Linear(rank, out, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., D] to [..., its outputs]."""
        y: Tensor = self.lora(x)
        return y


class RWKV7(MatrixMixer):
    """The mixer of one layer: S_t = diag(w_t) S_{t-1} - (a_t * c_t) (c_t^T S_{t-1}) + k_t v_t^T, out_t = S_t^T r_t.

    c_t is of unit length, a_t in (0, 1) by channel (with ``allow_neg_eigval`` in (0, 2)), w_t in (.545, 1) by channel.
    Outputs are normed by head, and r_t . (r_k * k_t) v_t is added before the gate.
    Taps: queries (r), keys, erase (c) [B, T, H, K], values [B, T, H, V], log_decay [B, T, H, K], beta (a) [B, T, H, K],
    state [B, H, K, V], heads [B, T, H, V].
    """

    points = ("queries", "keys", "erase", "values", "beta", "log_decay", "state", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, self.num_heads = config.hidden_size, config.num_heads
        head_width = width // self.num_heads
        place = torch.arange(width) / width
        for name, power in zip(SHIFTED, (0.2, 0.9, 0.7, 0.7, 0.9, 0.2), strict=True):
            # fla's first weights of the first layer: later channels see more of the step before
            self.register_parameter(f"x_{name}", nn.Parameter((1 - place**power)[None, None]))
        linear = torch.linspace(-0.5, 0.5, width)
        zigzag = torch.linspace(-1, 1, head_width).repeat(self.num_heads)
        # not by ``abs``, which has no form on the meta device before other parts of torch are loaded
        zigzag = torch.copysign(zigzag * zigzag, zigzag)
        self.k_k = nn.Parameter(0.71 - 0.1 * linear)
        self.k_a = nn.Parameter(torch.full((width,), 1.02))
        self.r_k = nn.Parameter(torch.full((self.num_heads, head_width), -0.04))
        self.r_proj, self.k_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.v_proj, self.o_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.w_lora = LowRank(width, config.decay_low_rank_dim, width, nn.Tanh())
        self.a_lora = LowRank(width, config.a_low_rank_dim, width, nn.Identity())
        self.g_lora = LowRank(width, config.gate_low_rank_dim, width, nn.Sigmoid(), bias=False)
        with torch.no_grad():
            cast(nn.Linear, self.w_lora.lora[2]).bias.copy_(-6 + 6 * (linear + 0.5) + 0.5 + 2.5 * zigzag)
            cast(nn.Linear, self.a_lora.lora[2]).bias.copy_(-0.19 + 0.3 * zigzag + 0.4 * linear)
        self.g_norm = nn.GroupNorm(self.num_heads, width, eps=head_width * config.norm_eps)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``. The carry's ``shift`` [B, 1, D] is the input of the step before."""
        carry = carry or {}
        after: Carry = {"position": carry.get("position", 0) + x.shape[1], "shift": x[:, -1:]}
        before = torch.cat([carry.get("shift", torch.zeros_like(x[:, :1])).to(x.dtype), x[:, :-1]], 1)
        r, w, k, v, a, g = (torch.lerp(x, before, getattr(self, f"x_{name}").to(x.dtype)) for name in SHIFTED)
        q = self.tap("queries", heads(self.r_proj(r), self.num_heads))
        log_decay = self.tap("log_decay", heads(LOWEST * self.w_lora(w).sigmoid(), self.num_heads))
        keys, v = self.k_proj(k), self.tap("values", heads(self.v_proj(v), self.num_heads))
        rate = self.a_lora(a).sigmoid()
        erase = self.tap("erase", l2_norm(heads(keys * self.k_k, self.num_heads)))
        k = self.tap("keys", heads(keys * (1 + (rate - 1) * self.k_a), self.num_heads))
        beta = self.tap("beta", heads(rate * 2 if self.config.allow_neg_eigval else rate, self.num_heads))
        out, state = self._scan(q, k, v, log_decay, erase, beta * erase, carry)
        after["state"] = self.tap("state", state)
        normed = self.g_norm(out.to(x.dtype).flatten(0, 1).flatten(-2)).view(x.shape)
        normed = normed + ((q * k * self.r_k).sum(-1, keepdim=True) * v).flatten(-2)
        shown = self.tap("heads", heads(normed * self.g_lora(g), self.num_heads))
        y: Tensor = self.o_proj(shown.flatten(-2))
        return y, after

    def _scan(
        self, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, erase: Tensor, removed: Tensor, carry: Carry
    ) -> tuple[Tensor, Tensor]:
        """Run the recurrence as two keys a step: the first erases and writes nothing, the second writes alone."""
        dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
        q, k, v, log_decay, erase, removed = (y.to(dtype) for y in (q, k, v, log_decay, erase, removed))
        # the kernel erases after the decay, RWKV-7 what was there before it: exp(-log_decay) is at most 1.83
        along = torch.stack([erase * (-log_decay).exp(), torch.zeros_like(erase)], 2).flatten(1, 2)
        both, values = (
            torch.stack([removed, k], 2).flatten(1, 2),
            torch.stack([torch.zeros_like(v), v], 2).flatten(1, 2),
        )
        state = carry.get("state")
        if q.shape[1] == 1 and state is not None and self.rescale is None:
            out, state = channel_delta_rule_step(
                q[:, 0], both, values, log_decay[:, 0], along, state, scale=1.0, as_vectors=True
            )
            return out[:, None], state
        return channel_delta_rule(
            q,
            both,
            values,
            log_decay,
            along,
            num_householder=2,
            scale=1.0,
            initial_state=state,
            rescale=self.rescale,
            position=carry.get("position", 0),
            backend=self.backend,
            as_vectors=True,
        )
