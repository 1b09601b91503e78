"""The parts that mixers share: taps, short convolutions, norms and the gated MLP.

A *tap* is a named point of a mixer at which hooks (``train.hooks``) read a tensor or put another in its place. Without
hooks it costs one dictionary lookup. Forward hooks of torch would not do: most points are no module's output.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trace_mine.train.kernels import layer_ops
from trace_mine.train.models.config import SequenceConfig

Carry = dict[str, Any]  # Any: the values are tensors, tuples of them (the LSTM's) and the position
"""The memory of a mixer from one call to the next: tensors by name, and ``position``, the number of steps seen."""

L2_EPS = 1e-6
"""Added to squared lengths, as in fla: a vector of length 0.01 comes out at 0.995, one of length 0.001 at 0.71."""


class Tapped(nn.Module):
    """A module with taps. ``taps`` has the hooks: point -> functions that may return a tensor to continue with."""

    def __init__(self) -> None:
        super().__init__()
        self.taps: dict[str, list[Callable[[Tensor], Tensor | None]]] = {}

    def tap(self, point: str, value: Tensor) -> Tensor:
        """Pass a tensor through the hooks at a point, in their order; return what comes out, or the tensor itself."""
        for hook in self.taps.get(point, ()):
            replacement = hook(value)
            value = value if replacement is None else replacement
        return value


class Mixer(Tapped, ABC):
    """The part of a layer that mixes over time. ``points`` names its taps.

    Calls in pieces, each with the carry of the one before, give the outputs of one call over all time; a test holds
    every model to that, in pieces of any length down to one step.

    Attributes:
        batch_axes: name in the carry -> the axis of its rows, where that isn't axis 0.
    """

    points: tuple[str, ...] = ()
    batch_axes: ClassVar[dict[str, int]] = {}
    num_heads: int  # of the taps with an axis of heads; recurrent mixers have none

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def needs_position(self) -> bool:
        """False where the carry's ``position`` changes nothing: rows of different ones then go on as one batch."""
        return True

    @abstractmethod
    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """Mix x [B, T, D] over time, continuing from a carry (None: from the start).

        Returns y [B, T, D] and the carry after the last step. y[:, t] depends on x[:, : t + 1] and the carry alone.
        """


class ShortConv(nn.Module):
    """Causal depthwise convolution over time, then SiLU. ``weight`` is [D, 1, W], the shape in fla's checkpoints."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 1, size))
        # here, because _init_weights of the model knows linear layers and embeddings only
        nn.init.normal_(self.weight, std=1 / math.sqrt(size))

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Convolve x [B, T, D] after the inputs ``state`` [B, W - 1, D] (None: zeros); return y and the new state."""
        return layer_ops.short_conv(x, self.weight[:, 0], state=state)


class RMSNorm(nn.RMSNorm):
    """torch's RMS norm of the last axis, with a weight, in one pass over memory on a CPU (``layer_ops``)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Norm x [..., D]."""
        assert self.eps is not None
        return layer_ops.rms_norm(x, self.weight, self.eps)


class GatedRMSNorm(nn.Module):
    """RMS norm of the last axis, then the gate: ``norm(x) * weight * silu(gate)``, or the sigmoid of the gate."""

    def __init__(self, width: int, eps: float, gate: str = "silu") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps, self.gate = eps, gate

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Norm x [..., D] and gate it by gate [..., D]."""
        return layer_ops.gated_rms_norm(x, self.weight, gate, self.eps, self.gate)


class GatedMLP(nn.Module):
    """SwiGLU: ``down(silu(gate(x)) * up(x))``."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., D] to [..., D]."""
        out: Tensor = self.down_proj(layer_ops.silu_product(self.gate_proj(x), self.up_proj(x)))
        return out


def l2_norm(x: Tensor) -> Tensor:
    """Divide vectors along the last axis by their length, in float32 (float64 stays).

    Not half precision: with beta = 2 a key of length 1.001 makes transitions grow, and fp16 knows no finer steps.
    """
    x = x if x.dtype == torch.float64 else x.float()
    return layer_ops.l2_norm(x, L2_EPS)


def heads(x: Tensor, count: int) -> Tensor:
    """View [..., H * D] as [..., H, D] with H = ``count``."""
    return x.unflatten(-1, (count, -1))


def decay_parameters(
    count: int, low: float, high: float, dt_min: float, dt_max: float, floor: float
) -> tuple[nn.Parameter, nn.Parameter]:
    """Draw A_log and dt_bias, each [count], the parameters of a decay exp(-exp(A_log) softplus(x + dt_bias)).

    As in Mamba-2 and Gated DeltaNet: exp(A_log) is uniform in [low, high], and softplus(dt_bias) log-uniform in
    [dt_min, dt_max] and at least ``floor``. The optimiser doesn't decay them (``trainer.UNDECAYED``).
    """
    a_log = nn.Parameter(torch.empty(count).uniform_(low, high).clamp_(min=1e-4).log_())
    step = torch.exp(torch.rand(count) * (math.log(dt_max) - math.log(dt_min)) + math.log(dt_min)).clamp_(min=floor)
    return a_log, nn.Parameter(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus, stable for small steps
