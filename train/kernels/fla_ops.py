"""flash-linear-attention's Triton kernels behind our shapes; nothing of fla is imported before a kernel is called.

Its public `chunk_delta_rule` and `chunk_gated_delta_product` refuse fp32 by assertion, and half precision is wrong
where state is tracked, so their autograd functions are called directly, in fp32. What an H100 with Triton 3.6 showed:
IEEE products take ptxas minutes a kernel, times a dozen configurations that fla tries; plain TF32, Triton's default,
has fp16's mantissa. So `TRITON_F32_DEFAULT=tf32x3` is set before fla is first imported, unless the user has set it
(three TF32 products: 3e-5 off float64 with repeated keys at beta = 2), and one configuration is tried.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import sys
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

OLDEST_FLA = (0, 6)  # 0.4.2 to 0.5.2 fail to import with triton 3.9
LARGEST_KEY_DIM = 256  # fla's chunk_gated_delta_rule_fwd_h asserts it

CONFIGURATIONS = 1
"""How many of its configurations each of fla's autotuned kernels compiles and tries."""

WRONG_ON_HOPPER = (3, 4, 0), (3, 7, 1)
"""Versions of Triton, from and below, with which fla refuses its kernels with decay on Hopper: wrong results."""


@functools.cache
def available() -> str | None:
    """None where fla's kernels can be imported, else what is missing; does not import them (that takes 7 s)."""
    for module, package in (("fla", "flash-linear-attention"), ("triton", "triton")):
        if importlib.util.find_spec(module) is None:
            return f"no module named {module!r}; pip install {package}"
    try:
        version = metadata.version("fla-core")
    except metadata.PackageNotFoundError:
        return "no package fla-core; pip install 'flash-linear-attention>=0.6'"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_FLA:
        return f"fla-core {version} is too old; pip install 'flash-linear-attention>=0.6'"
    return None


def refusal(backend: str, q: Tensor, *, decays: bool = False) -> str | None:
    """None where fla's kernel is to run for `backend`, else why it isn't. `decays`: the kernel takes a decay.

    Raises:
        ValueError: the backend is unknown, or is "fla" and fla's kernels can't run on q.
        ModuleNotFoundError: the backend is "fla" and fla or triton is missing.
    """
    if backend not in ("auto", "torch", "c", "fla"):
        raise ValueError(f"expected backend 'auto', 'torch', 'c' or 'fla', got {backend!r}; choose one")
    if backend in ("torch", "c"):
        return f"backend is {backend!r}"
    reason = None
    if q.device.type != "cuda":
        reason = f"q on {q.device.type}; move the tensors to cuda"
    elif q.dtype == torch.float64:
        reason = "float64; fla computes in fp32"
    elif q.shape[-1] > LARGEST_KEY_DIM:
        reason = f"key width {q.shape[-1]}; fla's kernels go up to {LARGEST_KEY_DIM}"
    elif decays and _is_hopper(q) and WRONG_ON_HOPPER[0] <= _triton() < WRONG_ON_HOPPER[1]:
        reason = "Triton 3.4.0 to 3.7.0 on a Hopper GPU, where fla refuses its kernels with decay; upgrade Triton"
    missing = available()
    if backend == "fla" and missing is not None:
        raise ModuleNotFoundError(f"expected fla's kernels for backend='fla', got {missing}, or use backend='torch'")
    if backend == "fla" and reason is not None:
        raise ValueError(f"expected inputs that fla's kernels take, got {reason}, or use backend='torch'")
    return missing if missing is not None else reason


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    num_householder: int,
    scale: float,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`trace_mine.train.kernels.delta.delta_rule` on fp32 tensors; the shapes are fla's own."""
    if num_householder > 1:
        product = _load("fla.ops.gated_delta_product.chunk").ChunkGatedDeltaProductFunction
        arguments = (q, k, v, log_decay, beta, scale, num_householder, initial_state, True, False, None, None, None)
        return _pair(product.apply(*arguments))
    if log_decay is None:
        plain = _load("fla.ops.delta_rule.chunk").ChunkDeltaRuleFunction
        return _pair(plain.apply(q, k, v, beta, scale, initial_state, True, False, None, None))
    gated = _load("fla.ops.gated_delta_rule.chunk").chunk_gated_delta_rule
    return _pair(gated(q, k, v, log_decay, beta, scale=scale, initial_state=initial_state, output_final_state=True))


def decayed_attention(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, scale: float, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`trace_mine.train.kernels.decayed.decayed_attention` without signs, on fp32 tensors."""
    attention = _load("fla.ops.simple_gla.chunk").chunk_simple_gla
    return _pair(attention(q, k, v, g=log_decay, scale=scale, initial_state=initial_state, output_final_state=True))


def _load(module: str) -> Any:
    os.environ.setdefault("TRITON_F32_DEFAULT", "tf32x3")
    is_new = module not in sys.modules
    loaded = importlib.import_module(module)
    if is_new and "TRITON_INTERPRET" not in os.environ:
        _leave_configurations(CONFIGURATIONS)
    return loaded


def _pair(result: Any) -> tuple[Tensor, Tensor]:
    out, state = result
    return out, state


@functools.cache
def _triton() -> tuple[int, ...]:
    """Triton's version, (0,) where there is none."""
    try:
        version = metadata.version("triton")
    except metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _is_hopper(q: Tensor) -> bool:
    return q.device.type == "cuda" and torch.cuda.get_device_capability(q.device)[0] == 9


def _leave_configurations(count: int) -> None:
    """Leaves each of fla's autotuned kernels its smallest ones: to compile all takes longer than it saves."""
    tuner = importlib.import_module("triton.runtime.autotuner").Autotuner
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.startswith("fla.") else ():
            while value is not None and not isinstance(value, tuner):
                value = getattr(value, "fn", None)
            if value is not None:
                value.configs = sorted(value.configs, key=lambda c: (c.kwargs.get("BV", 32), -c.num_warps))[:count]
