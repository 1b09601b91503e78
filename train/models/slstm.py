"""sLSTM: an LSTM whose input gate is exponential, with a normaliser and a recurrence within each head alone.

Source: arXiv 2405.04517, sections 2.2 and A.2, with a sigmoid as forget gate. fla has no such model.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.layout import recurrence_dtype
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, Mixer, ShortConv, heads

Hidden = tuple[Tensor, Tensor, Tensor, Tensor]
"""Output h, cell c, normaliser n and stabiliser m of the heads, each [B, H, D]."""


def slstm(inputs: Tensor, weight: Tensor, hidden: Hidden | None) -> tuple[Tensor, Hidden]:
    """Run the recurrence over a sequence, one step after the other: it is nonlinear, and has no form by chunks.

    With z, i, f and o the inputs of a step plus weight^T h of the step before, and m the largest exponent so far:
    m' = max(log sigmoid(f) + m, i); c' = sigmoid(f) exp(m - m') c + exp(i - m') tanh(z); n' alike with 1 for tanh(z);
    h' = sigmoid(o) c' / n'. h doesn't depend on m, which keeps the exponentials in range.

    Shapes:
        inputs: [B, T, 4, H, D], of z, i, f and o; weight: [H, D, 4 D]
        hidden: after the step before, None at a sequence's begin
        returns: h of each step [B, T, H, D]; hidden after the last
    """
    batch, time, _, count, width = inputs.shape
    if hidden is None:
        zero = inputs.new_zeros(batch, count, width)
        hidden = zero, zero, zero, torch.full_like(zero, -math.inf)
    h, c, n, m = (each.transpose(0, 1) for each in hidden)  # [H, B, D], the order of the products
    along = inputs.permute(1, 3, 0, 2, 4).flatten(3)  # [T, H, B, 4 D]
    outs = []
    for t in range(time):
        z, i, f, o = torch.baddbmm(along[t], h, weight).unflatten(-1, (4, width)).unbind(2)
        kept = F.logsigmoid(f) + m
        # without gradient: it cancels in c / n
        m = torch.maximum(kept, i).detach()
        forget, enter = (kept - m).exp(), (i - m).exp()
        c = forget * c + enter * z.tanh()
        n = forget * n + enter
        h = o.sigmoid() * c / n
        outs.append(h)
    last = h.transpose(0, 1), c.transpose(0, 1), n.transpose(0, 1), m.transpose(0, 1)
    return torch.stack(outs, 1).permute(2, 1, 0, 3), last


class SLSTM(Mixer):
    """The mixer of one layer: ``slstm`` on maps of x, of which input and forget gates see a short convolution.

    Tap: heads [B, T, H, D], the outputs h. The carry's ``hidden`` has four tensors [1, B, H * D], as torch's LSTM has
    two.
    """

    points = ("heads",)
    batch_axes: ClassVar[dict[str, int]] = {"hidden": 1}

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, self.num_heads = config.hidden_size, config.num_heads
        each = width // config.num_heads
        self.zo_proj = nn.Linear(width, 2 * width, bias=True)
        self.if_proj = nn.Linear(width, 2 * width, bias=True)
        if config.use_short_conv:
            self.conv1d = ShortConv(width, config.conv_size)
        self.recurrent_weight = nn.Parameter(torch.empty(config.num_heads, each, 4 * each))
        nn.init.uniform_(self.recurrent_weight, -1 / math.sqrt(each), 1 / math.sqrt(each))
        # Beside the biases of the layers, which a model's initialisation may draw anew: gates start from open by
        # sigmoid(3) to sigmoid(6) over a head's channels, the published start, so that some channels keep for long.
        self.forget_bias = nn.Parameter(torch.linspace(3.0, 6.0, each).repeat(config.num_heads))
        self.o_norm = nn.GroupNorm(config.num_heads, width, eps=config.norm_eps)
        self.o_proj = nn.Linear(width, width, bias=False)

    @property
    def needs_position(self) -> bool:
        """False: a hidden state is all there is."""
        return False

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry = carry or {}
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        seen = x
        if self.config.use_short_conv:
            seen, after["conv"] = self.conv1d(x, carry.get("conv"))
        (z, o), (i, f) = self.zo_proj(x).chunk(2, -1), self.if_proj(seen).chunk(2, -1)
        dtype = recurrence_dtype(x.dtype)
        inputs = torch.stack([heads(y.to(dtype), self.num_heads) for y in (z, i, f + self.forget_bias, o)], 2)
        hidden = carry.get("hidden")
        if hidden is not None:
            hidden = tuple(heads(each[0].to(dtype), self.num_heads) for each in hidden)
        with torch.autocast(x.device.type, enabled=False):
            out, last = slstm(inputs, self.recurrent_weight.to(dtype), hidden)
        after["hidden"] = tuple(each.flatten(1)[None] for each in last)
        out = self.tap("heads", out).flatten(-2)
        normed = self.o_norm(out.flatten(0, 1).to(x.dtype)).view_as(out)
        return self.o_proj(normed), after
