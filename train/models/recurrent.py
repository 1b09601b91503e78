"""LSTM and GRU: torch's recurrent layers as mixers, the nonlinear baselines of the linear ones."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, Mixer


class Recurrent(Mixer):
    """The mixer of one layer, of type ``cell``. Tap: heads [B, T, 1, D], the hidden state after each step."""

    points = ("heads",)
    batch_axes: ClassVar[dict[str, int]] = {"hidden": 1}  # torch has layers in front
    cell: type[nn.LSTM | nn.GRU]

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.rnn = self.cell(config.hidden_size, config.hidden_size, batch_first=True)

    @property
    def needs_position(self) -> bool:
        """False: a hidden state is all there is."""
        return False

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``. The carry's ``hidden`` is torch's: a tensor, for the LSTM a tuple of two."""
        carry = carry or {}
        y, hidden = self.rnn(x, carry.get("hidden"))
        y = self.tap("heads", y[:, :, None])[:, :, 0]  # one head of the whole width, so that taps look alike
        return y, {"position": carry.get("position", 0) + x.shape[1], "hidden": hidden}


class LSTM(Recurrent):
    """torch's long short-term memory, whose forget gate starts more open by ``forget_bias``."""

    cell = nn.LSTM

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        with torch.no_grad():
            width = config.hidden_size
            bias = cast(Tensor, self.rnn.bias_hh_l0)
            # torch stacks the gates as input, forget, cell, output. With a bias of 0 half of the cell is forgotten at
            # every step to begin with, and gradients hardly reach back.
            bias[width : 2 * width] += config.forget_bias


class GRU(Recurrent):
    """torch's gated recurrent unit."""

    cell = nn.GRU
