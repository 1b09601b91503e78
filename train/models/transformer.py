"""Causal attention with rotary positions, through torch's scaled_dot_product_attention.

Source: arXiv 1706.03762; rotary positions: arXiv 2104.09864. Parameters have the names of fla's ``Attention``, whose
class needs flash-attn even to be made.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, Mixer, heads


def rotated(x: Tensor, first: int, theta: float) -> Tensor:
    """Turn the pairs (i, i + D / 2) of x [B, H, T, D] by the angle position * theta^(-2i / D).

    Step 0 of x is at position ``first``. The dot product of a turned query and a turned key depends on the difference
    of their positions alone.
    """
    half = x.shape[-1] // 2
    # float64: angles reach thousands of radians, of which fp32 keeps four decimals
    rate = theta ** (-torch.arange(half, device=x.device, dtype=torch.float64) / half)
    angle = torch.arange(first, first + x.shape[-2], device=x.device, dtype=torch.float64)[:, None] * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    x_1, x_2 = x[..., :half], x[..., half:]
    return torch.cat([x_1 * cos - x_2 * sin, x_1 * sin + x_2 * cos], -1)


class Attention(Mixer):
    """The mixer of one layer: out_t = sum over j <= t of softmax_j(q_t . k_j / sqrt(D)) v_j.

    Taps: queries, keys [B, H, T, D] (with positions), values [B, H, T, D], heads [B, T, H, D].
    The carry has all keys and values so far: it grows with time, unlike those of the recurrent mixers.
    """

    points = ("queries", "keys", "values", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
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
        # after the taps, so that a hook sees the keys of these steps alone, with a carry or without
        if first:
            k, v = torch.cat([carry["keys"], k], 2), torch.cat([carry["values"], v], 2)
        # is_causal aligns the mask at the first key, which is wrong after a carry: there step i sees first + i keys
        # more. A single step sees all keys and needs no mask.
        mask = None
        if first and length > 1:
            mask = torch.ones(length, first + length, dtype=torch.bool, device=x.device).tril(first)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not first)
        y = self.o_proj(self.tap("heads", out.transpose(1, 2)).flatten(-2))
        return y, {"position": first + length, "keys": k, "values": v}
