"""PD-SSM: a state space model whose transition is a map of states to states, times a complex diagonal.

Source: arXiv 2509.22284. One layer can run any automaton of N states: P_t sends each state to one state, as a command
does, and the diagonal keeps, forgets or turns it. fla has no such model.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trace_mine.train.kernels.layout import recurrence_dtype
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, Mixer, RMSNorm, ShortConv, heads

PIECE = 16
"""Steps whose N x N matrices are in memory at once: the backward pass makes them again, piece by piece."""


def chosen_maps(weights: Tensor, dictionary: Tensor) -> Tensor:
    """Return the maps P [..., H, N, N] of 0 and 1, each column with a single 1, at the largest entry of the mixture.

    The gradient is that of a softmax over each column (straight through): a largest entry has none of its own.

    Shapes:
        weights: [..., H, M], shares of the matrices of each head's dictionary [H, M, N, N]
    """
    # columns last in memory: the largest entry of a strided one takes several times as long
    mixture = torch.einsum("...hm,hmji->...hji", weights, dictionary.transpose(-1, -2).contiguous())
    soft = mixture.softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, mixture.argmax(-1, keepdim=True), 1.0)
    return (hard + (soft - soft.detach())).transpose(-1, -2)


def run_piece(
    weights: Tensor, dictionary: Tensor, diagonal: Tensor, inputs: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Run x_t = P_t (d_t * x_{t-1}) + u_t over some steps, where d and x are complex.

    Shapes:
        weights: [B, T, H, M]; dictionary: [H, M, N, N]; diagonal, inputs: [B, T, H, N, 2], real and imaginary parts
        state: [B, H, N, 2]; returns: all states [B, T, H, N, 2], and the last
    """
    maps = chosen_maps(weights, dictionary)
    real, imaginary = diagonal.unbind(-1)
    states = []
    for t in range(inputs.shape[1]):
        x, y = state.unbind(-1)
        turned = torch.stack([real[:, t] * x - imaginary[:, t] * y, real[:, t] * y + imaginary[:, t] * x], -1)
        state = maps[:, t] @ turned + inputs[:, t]
        states.append(state)
    return torch.stack(states, 1), state


class PDSSM(Mixer):
    """The mixer of one layer: x_t = P_t (d_t * x_{t-1}) + B u_t for each head, and a normed map of x_t as output.

    P_t is the map that a mixture of ``num_transitions`` matrices, with shares softmax(s_proj(u_t)), has the largest
    entries for; d_t = sigmoid(m) exp(i pi tanh(p)) has a size below 1 and a phase. u_t is what the layer sees, after a
    short convolution.
    Taps: state [B, H, N, 2], after the last step; heads [B, T, H, 2 N].
    """

    points = ("state", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, self.num_heads, self.states = config.hidden_size, config.num_heads, config.state_size
        inner = self.num_heads * self.states
        if config.use_short_conv:
            self.conv1d = ShortConv(width, config.conv_size)
        self.s_proj = nn.Linear(width, self.num_heads * config.num_transitions)
        self.b_proj = nn.Linear(width, 2 * inner, bias=False)
        self.d_proj = nn.Linear(width, 2 * inner, bias=False)
        # sizes of sigmoid(4) = .98 and no phase to begin with: what isn't sent elsewhere is kept
        self.d_bias = nn.Parameter(torch.tensor([4.0, 0.0]).repeat(inner))
        shape = self.num_heads, config.num_transitions, self.states, self.states
        self.dictionary = nn.Parameter(torch.randn(shape))
        self.o_norm = RMSNorm(2 * self.states, eps=config.norm_eps)
        self.o_proj = nn.Linear(2 * inner, width, bias=False)

    @property
    def needs_position(self) -> bool:
        """False: the state is all there is."""
        return False

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry, time = carry or {}, x.shape[1]
        after: Carry = {"position": carry.get("position", 0) + time}
        seen = x
        if self.config.use_short_conv:
            seen, after["conv"] = self.conv1d(x, carry.get("conv"))
        dtype = recurrence_dtype(x.dtype)
        weights = heads(self.s_proj(seen).to(dtype), self.num_heads).softmax(-1)
        inputs = heads(self.b_proj(seen).to(dtype), self.num_heads).unflatten(-1, (self.states, 2))
        raw = (self.d_proj(seen).to(dtype) + self.d_bias.to(dtype)).unflatten(-1, (self.num_heads, self.states, 2))
        size, phase = raw[..., 0].sigmoid(), math.pi * raw[..., 1].tanh()
        diagonal = torch.stack([size * phase.cos(), size * phase.sin()], -1)
        state = carry.get("state")
        if state is None:
            state = inputs.new_zeros(x.shape[0], self.num_heads, self.states, 2)
        dictionary, parts = self.dictionary.to(dtype), []
        for first in range(0, time, PIECE):
            piece = slice(first, first + PIECE)
            arguments = weights[:, piece], dictionary, diagonal[:, piece], inputs[:, piece], state
            with torch.autocast(x.device.type, enabled=False):
                if torch.is_grad_enabled() and time > 1:
                    states, state = checkpoint(run_piece, *arguments, use_reentrant=False)
                else:
                    states, state = run_piece(*arguments)
            parts.append(states)
        after["state"] = self.tap("state", cast(Tensor, state))
        out = self.tap("heads", self.o_norm(torch.cat(parts, 1).flatten(-2).to(x.dtype)))
        return self.o_proj(out.flatten(-2)), after
