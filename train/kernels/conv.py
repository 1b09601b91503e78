"""A causal depthwise convolution over time: the short convolution in front of a linear RNN's queries, keys and values.

``models.layers.ShortConv`` and ``models.mamba2`` hold its weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def causal_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Convolve each channel over time: y_t = bias + sum_i weight[:, i] * x_{t - W + 1 + i}, without an activation.

    So weight[:, -1] meets the current step. A call with T = 1 and the last call's state is the step form.

    Shapes:
        x: [B, T, D]
        weight: [D, W]; bias: [D]
        state: [B, W - 1, D], the inputs before x, oldest first; None means zeros
        returns: y [B, T, D] in x's dtype; the state after x, [B, W - 1, D] in x's dtype

    Raises:
        ValueError: shapes disagree.
    """
    batch, time, width = x.shape
    if weight.ndim != 2 or weight.shape[0] != width:
        raise ValueError(f"expected weight [D={width}, W], got {list(weight.shape)}; squeeze a conv1d weight's axis 1")
    taps = weight.shape[1]
    if state is None:
        padded = functional.pad(x, (0, 0, taps - 1, 0))
    elif state.shape != (batch, taps - 1, width):
        raise ValueError(
            f"expected state [B={batch}, W-1={taps - 1}, D={width}], got {list(state.shape)}; pass what it returned"
        )
    else:
        padded = torch.cat([state.to(x.dtype), x], 1)
    # under autocast x may be bf16 and the weight fp32
    dtype = torch.promote_types(x.dtype, weight.dtype)
    inputs, weight = padded.to(dtype), weight.to(dtype)
    # W shifted multiply-adds on [B, T, D] as it lies: on a CPU forward and backward take 1.25 times less than a
    # depthwise conv1d, which needs time as the last axis and so a transposed copy.
    y = inputs[:, :time] * weight[:, 0]
    for i in range(1, taps):
        y = torch.addcmul(y, inputs[:, i : i + time], weight[:, i])
    if bias is not None:
        y = y + bias.to(dtype)
    # the last W - 1 inputs, or zeros and fewer where the sequence was shorter
    return y.to(x.dtype), padded[:, time:]
