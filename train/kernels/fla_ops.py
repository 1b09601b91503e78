"""flash-linear-attention's (fla's) Triton kernels behind the shapes of ``delta`` and ``decayed``.

fla's public `chunk_delta_rule` and `chunk_gated_delta_product` refuse fp32 by assertion, and half precision is wrong
where state is tracked, so their autograd functions are called directly, in fp32.

Precision and compile time, as an H100 with Triton 3.6 showed: IEEE products take ptxas minutes a kernel, times a dozen
configurations that fla tries; plain TF32, Triton's default, has fp16's mantissa. So `TRITON_F32_DEFAULT=tf32x3` (three
TF32 products: 3e-5 off float64 with repeated keys at beta = 2) is set before fla is first imported, unless the user has
set it, and each kernel tries one configuration. Nothing of fla is imported before a kernel is called.
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
"""Number of its configurations that each of fla's autotuned kernels compiles and tries.

With four, nothing had compiled after 80 s on an H100; with one, the first call takes 19 to 39 s.
"""

WRONG_ON_HOPPER = (3, 4, 0), (3, 7, 1)
"""Triton's versions, first and first again right, whose results are wrong on Hopper in kernels with decay.

fla refuses to run those kernels there; docs/training.md has what ran.
"""


@functools.cache
def available() -> str | None:
    """Return None if fla's kernels can be imported, else what is missing; import nothing, for that takes 7 s."""
    # Without triton `import fla` succeeds, but the package is empty.
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
    """Tell if fla's kernel is to run on q for this backend: None if so, else the reason why not.

    Args:
        backend: as in `delta.delta_rule`; "auto" takes fla's kernel where it can run.
        q: [B, T, H, K], of which the device, dtype and width matter.
        decays: the kernel takes a decay.

    Raises:
        ValueError: the backend is unknown, or is "fla" and fla's kernels can't run on q.
        ModuleNotFoundError: the backend is "fla" and fla or triton is missing.
    """
    if backend not in ("auto", "torch", "c", "fla"):
        raise ValueError(f"expected backend 'auto', 'torch', 'c' or 'fla', got {backend!r}; choose one")
    if backend in ("torch", "c"):
        return f"backend is {backend!r}"
    reason = _misfit(q, decays)
    missing = available()
    if backend == "fla" and missing is not None:
        raise ModuleNotFoundError(f"expected fla's kernels for backend='fla', got {missing}, or use backend='torch'")
    if backend == "fla" and reason is not None:
        raise ValueError(f"expected inputs that fla's kernels take, got {reason}, or use backend='torch'")
    return missing if missing is not None else reason


def _misfit(q: Tensor, decays: bool) -> str | None:
    """Return the reason why fla's kernels can't run on such a tensor, or None."""
    # By the device of the tensor, not by what can be imported: a machine with a GPU computes on CPU tensors too.
    if q.device.type != "cuda":
        return f"q on {q.device.type}; move the tensors to cuda"
    if q.dtype == torch.float64:
        return "float64; fla computes in fp32"
    if q.shape[-1] > LARGEST_KEY_DIM:
        return f"key width {q.shape[-1]}; fla's kernels go up to {LARGEST_KEY_DIM}"
    if decays and _is_hopper(q) and WRONG_ON_HOPPER[0] <= _triton() < WRONG_ON_HOPPER[1]:
        return "Triton 3.4.0 to 3.7.0 on a Hopper GPU, where fla refuses its kernels with decay; upgrade Triton"
    return None


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
    """Compute `kernels.delta.delta_rule` on fp32 CUDA tensors by fla's chunked kernels, whose shapes are the same.

    Always chunked: fla's own DeltaNet layer switches to a fused recurrent kernel for T <= 64, even in training, so that
    short and long evaluations of it use different kernels.
    """
    if num_householder > 1:
        # arguments after the initial state: output the final state, no l2 norm in the kernel, no packed sequences
        product = _load("fla.ops.gated_delta_product.chunk").ChunkGatedDeltaProductFunction
        arguments = (q, k, v, log_decay, beta, scale, num_householder, initial_state, True, False, None, None, None)
        return _pair(product.apply(*arguments))
    if log_decay is None:
        plain = _load("fla.ops.delta_rule.chunk").ChunkDeltaRuleFunction
        return _pair(plain.apply(q, k, v, beta, scale, initial_state, True, False, None, None))
    gated = _load("fla.ops.gated_delta_rule.chunk").chunk_gated_delta_rule
    return _pair(gated(q, k, v, log_decay, beta, scale=scale, initial_state=initial_state, output_final_state=True))


def channel_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    erase: Tensor,
    write: Tensor | None,
    scale: float,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Compute `kernels.channel_delta.channel_delta_rule` on fp32 CUDA tensors by fla's kernels, one key a step.

    Without ``write`` by the kernel of Kimi Delta Attention, with it by that of Gated DeltaNet-2.
    """
    options = {"scale": scale, "initial_state": initial_state, "output_final_state": True}
    if write is None:
        kda = _load("fla.ops.kda.chunk").chunk_kda
        return _pair(kda(q, k, v, log_decay, erase, **options))
    gated = _load("fla.ops.gdn2.chunk").chunk_gdn2
    return _pair(gated(q, k, v, log_decay, erase, write, **options))


def decayed_attention(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, scale: float, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute `kernels.decayed.decayed_attention` without signs on fp32 CUDA tensors by fla's kernel."""
    attention = _load("fla.ops.simple_gla.chunk").chunk_simple_gla
    return _pair(attention(q, k, v, g=log_decay, scale=scale, initial_state=initial_state, output_final_state=True))


def _load(module: str) -> Any:  # Any: a module that type checkers needn't have
    """Import a module of fla with our choice of precision and configurations."""
    os.environ.setdefault("TRITON_F32_DEFAULT", "tf32x3")
    is_new = module not in sys.modules
    loaded = importlib.import_module(module)
    # In the interpreter, which the parity tests run, nothing is compiled and kernels have no tuner.
    if is_new and "TRITON_INTERPRET" not in os.environ:
        _leave_configurations(CONFIGURATIONS)
    return loaded


def _pair(result: Any) -> tuple[Tensor, Tensor]:  # Any: fla's functions have no annotations
    """Unpack the outputs and the final state, of which fla returns two or fails."""
    out, state = result
    return out, state


@functools.cache
def _triton() -> tuple[int, ...]:
    """Return Triton's version, or (0,) if it isn't installed."""
    try:
        version = metadata.version("triton")
    except metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _is_hopper(q: Tensor) -> bool:
    """Return True if the tensor is on a Hopper GPU (H100, H200): compute capability 9."""
    return q.device.type == "cuda" and torch.cuda.get_device_capability(q.device)[0] == 9


def _leave_configurations(count: int) -> None:
    """Leave each of fla's autotuned kernels its `count` smallest configurations.

    To compile all of them takes longer than the best saves. "Smallest" is by the block of values that one program
    takes (BV), and among equal ones by the most warps.
    """
    tuner = importlib.import_module("triton.runtime.autotuner").Autotuner
    # fla has no switch for this. Its kernels are wrapped in decorators (heuristics, jit), each with the next in `fn`.
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.startswith("fla.") else ():
            while value is not None and not isinstance(value, tuner):
                value = getattr(value, "fn", None)
            if value is not None:
                value.configs = sorted(value.configs, key=lambda c: (c.kwargs.get("BV", 32), -c.num_warps))[:count]
