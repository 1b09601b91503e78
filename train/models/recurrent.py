"""LSTM and GRU, torch's, in a residual block: the nonlinear baselines."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trace_mine.train.models.layers import Carry, Mixer


class Recurrent(Mixer):
    """One layer. Tap: heads [B, T, 1, D], the hidden state after each step."""

    points = ("heads",)
    cell: type[Any]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.rnn = self.cell(config.hidden_size, config.hidden_size, batch_first=True)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``. The carry's ``hidden`` is torch's, a tuple for the LSTM."""
        carry = carry or {}
        y, hidden = self.rnn(x, carry.get("hidden"))
        y = self.tap("heads", y[:, :, None])[:, :, 0]
        return y, {"position": carry.get("position", 0) + x.shape[1], "hidden": hidden}


class LSTM(Recurrent):
    """Long short-term memory."""

    cell = nn.LSTM

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        with torch.no_grad():
            width = config.hidden_size
            bias: Tensor = self.rnn.bias_hh_l0
            bias[width : 2 * width] += config.forget_bias


class GRU(Recurrent):
    """Gated recurrent unit."""

    cell = nn.GRU
