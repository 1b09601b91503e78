"""Causal attention with rotary positions, through torch's scaled_dot_product_attention.

Source: arXiv 1706.03762; rotary positions: arXiv 2104.09864. Parameters have the names of fla's ``Attention``, whose
class needs flash-attn even to be made.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.models.attention_layers import AttentionSpec
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
    The carry has all keys and values so far: it grows with time, unlike those of the recurrent mixers. With a window it
    has those that the next step sees. Several heads of queries may share one of keys and values, which the taps show
    before they are shared.
    """

    points = ("queries", "keys", "values", "heads")

    def __init__(self, config: SequenceConfig, spec: AttentionSpec | None = None) -> None:
        """Make the mixer; ``spec`` is that of a layer among recurrent ones, None: the config's own keys."""
        super().__init__(config)
        if spec is None:
            count, theta = config.num_heads, float(config.rope_theta)
            spec = AttentionSpec(num_heads=count, num_kv_heads=count, qkv_bias=config.qkv_bias, rope_theta=theta)
        self.num_heads, self.num_kv_heads, self.theta = spec.num_heads, spec.num_kv_heads, spec.rope_theta
        self.window = spec.window_size
        width, kv_width = config.hidden_size, config.hidden_size // spec.num_heads * spec.num_kv_heads
        self.q_proj = nn.Linear(width, width, bias=spec.qkv_bias)
        self.k_proj = nn.Linear(width, kv_width, bias=spec.qkv_bias)
        self.v_proj = nn.Linear(width, kv_width, bias=spec.qkv_bias)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry, length = carry or {}, x.shape[1]
        first = carry.get("position", 0)
        q = heads(self.q_proj(x), self.num_heads).transpose(1, 2)
        k, v = (heads(p(x), self.num_kv_heads).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        q, k = rotated(q, first, self.theta), rotated(k, first, self.theta)
        q, k, v = self.tap("queries", q), self.tap("keys", k), self.tap("values", v)
        # after the taps, so that a hook sees the keys of these steps alone, with a carry or without
        if first:
            k, v = torch.cat([carry["keys"], k], 2), torch.cat([carry["values"], v], 2)
        # is_causal aligns the mask at the first key, which is wrong after a carry: there step i sees as many keys more
        # as were kept. A single step sees all keys that were kept and needs no mask.
        kept, mask = k.shape[2] - length, None
        is_long = self.window is not None and k.shape[2] > self.window
        if (first and length > 1) or is_long:
            mask = torch.ones(length, k.shape[2], dtype=torch.bool, device=x.device).tril(kept)
            if self.window is not None:
                mask = mask.triu(kept + 1 - self.window)
        shared = self.num_heads // self.num_kv_heads
        k_, v_ = (each.repeat_interleave(shared, 1) if shared > 1 else each for each in (k, v))
        out = F.scaled_dot_product_attention(q, k_, v_, attn_mask=mask, is_causal=mask is None and not first)
        y = self.o_proj(self.tap("heads", out.transpose(1, 2)).flatten(-2))
        if self.window is not None:
            left = max(0, k.shape[2] + 1 - self.window)  # the next step sees its own key too
            k, v = k[:, :, left:], v[:, :, left:]
        return y, {"position": first + length, "keys": k, "values": v}
