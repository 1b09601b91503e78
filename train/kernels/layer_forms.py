"""The operations of ``layer_ops`` in torch: for devices and types that the C library doesn't take, and to test it.

Arguments and results are those of the functions of the same names there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from trace_mine.train.kernels.conv import causal_conv

GATES: Mapping[str, Callable[[Tensor], Tensor]] = {"silu": F.silu, "sigmoid": torch.sigmoid}
"""Kinds of gates of a norm, in the order of the numbers that layers.c gives them, from 1 on."""


def short_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Convolve over time, then apply SiLU."""
    y, state = causal_conv(x, weight, bias, state)
    return F.silu(y), state


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Divide rows by the root of their mean square."""
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def gated_rms_norm(x: Tensor, weight: Tensor, gate: Tensor, eps: float, kind: str) -> Tensor:
    """Norm rows, then gate them."""
    return F.rms_norm(x, (x.shape[-1],), weight.to(x.dtype), eps) * GATES[kind](gate.to(x.dtype))


def l2_norm(x: Tensor, eps: float) -> Tensor:
    """Divide rows by their length."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + eps)


def silu_product(gate: Tensor, x: Tensor) -> Tensor:
    """Multiply silu(gate) by x."""
    return F.silu(gate) * x
