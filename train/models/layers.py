"""What mixers share: taps, short convolutions, norms, the gated MLP.

A *tap* is a named point of a mixer at which hooks (``train.hooks``) read a tensor or put another in its place; without
hooks it costs one dictionary lookup.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.conv import causal_conv

Carry = dict[str, Any]
"""What a mixer keeps from one call to the next: tensors by name, and ``position``, the number of steps seen."""

L2_EPS = 1e-6


class Tapped(nn.Module):
    """A module with taps. ``taps``: point to functions, each of which may return a tensor to go on with."""

    def __init__(self) -> None:
        super().__init__()
        self.taps: dict[str, list[Callable[[Tensor], Tensor | None]]] = {}

    def tap(self, point: str, value: Tensor) -> Tensor:
        """The value, or what a hook at this point puts in its place."""
        for hook in self.taps.get(point, ()):
            told = hook(value)
            value = value if told is None else told
        return value


class Mixer(Tapped, ABC):
    """Mixes over time. ``points`` are its taps."""

    points: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """x [B, T, D] -> y [B, T, D] and the carry after the last step. Row t of y depends on x[:, : t + 1] and the
        carry alone.
        """


class ShortConv(nn.Module):
    """Causal depthwise convolution over time, then SiLU; ``weight`` [D, 1, W] as fla has it."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 1, size))
        nn.init.normal_(self.weight, std=1 / math.sqrt(size))

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [B, T, D], state [B, W - 1, D] (the inputs before) -> y [B, T, D], the state after."""
        y, state = causal_conv(x, self.weight[:, 0], state=state)
        return F.silu(y), state


class GatedRMSNorm(nn.Module):
    """RMS norm of the last axis, then the gate: ``norm(x) * weight * silu(gate)``."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """x, gate [..., D]."""
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps) * F.silu(gate.to(x.dtype))


class GatedMLP(nn.Module):
    """SwiGLU: ``down(silu(gate(x)) * up(x))``."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> [..., D]."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


def l2_norm(x: Tensor) -> Tensor:
    """Unit vectors along the last axis, in fp32, with fla's epsilon: tiny keys stay short of length 1."""
    wide = x if x.dtype == torch.float64 else x.float()
    return wide * torch.rsqrt(wide.square().sum(-1, keepdim=True) + L2_EPS)


def heads(x: Tensor, count: int) -> Tensor:
    """[..., H * D] -> [..., H, D]."""
    return x.unflatten(-1, (count, -1))


def decay_parameters(
    count: int, low: float, high: float, dt_min: float, dt_max: float, floor: float
) -> tuple[nn.Parameter, nn.Parameter]:
    """(A_log, dt_bias), each [count], as Mamba-2 and the gated delta rule draw them: exp(A_log) uniform in
    [low, high], softplus(dt_bias) log-uniform in [dt_min, dt_max]. Neither is decayed by the optimiser.
    """
    a_log = nn.Parameter(torch.empty(count).uniform_(low, high).clamp_(min=1e-4).log_())
    step = torch.exp(torch.rand(count) * (math.log(dt_max) - math.log(dt_min)) + math.log(dt_min)).clamp_(min=floor)
    return a_log, nn.Parameter(step + torch.log(-torch.expm1(-step)))
