"""Causal attention with rotary positions, through torch's scaled_dot_product_attention.

Parameter names are fla's ``Attention``, whose class needs flash-attn even to be made.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.models.layers import Carry, Mixer, heads


def rotated(x: Tensor, first: int, theta: float) -> Tensor:
    """x [B, H, T, D], whose step 0 is position ``first``: pairs (i, i + D / 2) turned by position / theta^(2i / D)."""
    half = x.shape[-1] // 2
    rate = theta ** (-torch.arange(half, device=x.device, dtype=torch.float64) / half)
    angle = torch.arange(first, first + x.shape[-2], device=x.device, dtype=torch.float64)[:, None] * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, other = x[..., :half], x[..., half:]
    return torch.cat([one * cos - other * sin, one * sin + other * cos], -1)


class Attention(Mixer):
    """One layer. Taps: queries, keys [B, H, T, D] (rotated), values [B, H, T, D], heads [B, T, H, D].

    The carry is all keys and values so far: it grows with time.
    """

    points = ("queries", "keys", "values", "heads")

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.num_heads, self.theta = config.num_heads, float(config.rope_theta)
        width = config.hidden_size
        self.q_proj = nn.Linear(width, width, bias=config.qkv_bias)
        self.k_proj = nn.Linear(width, width, bias=config.qkv_bias)
        self.v_proj = nn.Linear(width, width, bias=config.qkv_bias)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry, length = carry or {}, x.shape[1]
        first = carry.get("position", 0)
        q, k, v = (heads(p(x), self.num_heads).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotated(q, first, self.theta), rotated(k, first, self.theta)
        q, k, v = self.tap("queries", q), self.tap("keys", k), self.tap("values", v)
        if first:
            k, v = torch.cat([carry["keys"], k], 2), torch.cat([carry["values"], v], 2)
        seen = None
        if first and length > 1:
            seen = torch.ones(length, first + length, dtype=torch.bool, device=x.device).tril(first)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=not first)
        y = self.o_proj(self.tap("heads", out.transpose(1, 2)).flatten(-2))
        return y, {"position": first + length, "keys": k, "values": v}
