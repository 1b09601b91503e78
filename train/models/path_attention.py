"""PaTH: causal attention whose positions are products of Householder-like matrices that depend on the input.

Source: arXiv 2505.16381. Parameters have the names of flash-linear-attention's (fla's) ``PaTHAttention``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.layout import recurrence_dtype
from trace_mine.train.kernels.path_attention import PastKeys, path_attention
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, Mixer, ShortConv, heads, l2_norm

LOW_RANK = 32
"""Channels that w is made through, fla's number."""


class PathAttention(Mixer):
    """The mixer of one layer: out_t = sum over j <= t of softmax_j(q_t . H_t ... H_{j+1} k_j / sqrt(D)) v_j.

    H_t = I - beta_t w_t w_t^T with w_t of unit length. Taps: queries, keys (before any H), values, w [B, T, H, D],
    beta [B, T, H], heads [B, T, H, D]. The carry's ``keys`` have passed through the H of all steps after their own; it
    grows with time, as that of other attention does.
    """

    points = ("queries", "keys", "values", "w", "beta", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, self.num_heads = config.hidden_size, config.num_heads
        self.q_proj, self.k_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.v_proj, self.o_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        low_rank = nn.Sequential(nn.Linear(width, LOW_RANK, bias=False), nn.Linear(LOW_RANK, width, bias=False))
        self.w_proj = low_rank if config.use_low_rank_w else nn.Linear(width, width, bias=False)
        if config.use_w_shortconv:
            self.w_conv1d = ShortConv(width, config.conv_size)
        self.bt_proj = nn.Linear(width, self.num_heads, bias=True)
        if config.use_forget_gate:
            self.g_proj = nn.Linear(width, self.num_heads, bias=True)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry = carry or {}
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        q, k, v = (heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = self.tap("queries", q), self.tap("keys", k), self.tap("values", v)
        w = self.w_proj(x)
        if self.config.use_w_shortconv:
            w, after["conv_w"] = self.w_conv1d(w, carry.get("conv_w"))
        w = self.tap("w", l2_norm(heads(w, self.num_heads)))
        beta = self.bt_proj(x).to(w.dtype).sigmoid()
        # at beta = 2 a reflection: a step can swap what two keys stand for
        beta = self.tap("beta", beta * 2 if self.config.allow_neg_eigval else beta)
        log_gate = F.logsigmoid(self.g_proj(x).to(w.dtype)) if self.config.use_forget_gate else None
        past = None
        if "keys" in carry:
            past = PastKeys(carry["keys"], carry["values"], carry.get("gates"))
        dtype = recurrence_dtype(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            out, seen = path_attention(
                *(y.to(dtype) for y in (q, k, v, w, beta)),
                log_gate=None if log_gate is None else log_gate.to(dtype),
                past=past,
            )
        after["keys"], after["values"] = seen.keys, seen.values
        if seen.gates is not None:
            after["gates"] = seen.gates
        y: Tensor = self.o_proj(self.tap("heads", out.to(x.dtype)).flatten(-2))
        return y, after
