"""Operations around the recurrence in a layer, in one pass over memory each: short convolution, norms, gated product.

A step of a small model on a CPU is bound by memory: each of torch's elementwise operations reads and writes all of a
layer's activations, and autograd keeps many of them. The library of ``c_ops`` does an operation and its gradient in one
pass each, for contiguous float32 and float64 tensors on a CPU; ``layer_forms`` has them in torch, for all else and as
what the tests hold the library to. Which one ran changes the last bits alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from trace_mine.train.kernels import c_ops, layer_forms
from trace_mine.train.kernels.layer_forms import GATES

ROWS = 256
"""Rows of a part of a norm: large enough that a thread is worth it, few enough for the sums of a weight's gradient."""

NUMBERS = 1 << 14
"""Numbers of a part of a gated product."""

LEAST = 1 << 16
"""Numbers for which another thread is started."""

_POINTERS = ("x", "weight", "bias", "start", "gate", "y", "scales", "dy", "dx", "dweight", "dbias", "dstart", "dgate")


class LayerProblem(ctypes.Structure):
    """Sizes and pointers of one call: `struct layer_problem` of layers.c, field by field and in its order."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("operation", "batch", "time", "width", "taps", "rows", "gating")),
        *((name, ctypes.c_double) for name in ("eps", "factor")),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    )


def short_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Convolve each channel over time and apply SiLU: ``conv.causal_conv``, whose arguments these are, with SiLU.

    Shapes:
        x: [B, T, D]; weight: [D, W]; bias: [D]; state: [B, W - 1, D], None means zeros
        returns: y [B, T, D]; the state after x, [B, W - 1, D]; both in x's dtype

    Args:
        backend: "auto", "torch" or "c".

    Raises:
        ValueError: shapes disagree, or the backend is "c" and the tensors are not of its kind.
        ModuleNotFoundError: the backend is "c" and the library is missing.
    """
    before = 0 if state is None else state.shape[1]
    start = state if before else None  # with one tap there is nothing before x
    fits = x.ndim == 3 and weight.shape == (x.shape[-1], weight.shape[-1]) and x.shape[1] > 0
    fits = fits and (state is None or state.shape == (x.shape[0], weight.shape[1] - 1, x.shape[2]))
    if not (fits and _takes(backend, x, weight, bias, start)):
        return layer_forms.short_conv(x, weight, bias, state)
    # [W, D], so that a row of weights meets a row of inputs
    y = _ShortConv.apply(x, weight.t(), bias, start)
    missing = weight.shape[1] - 1 - x.shape[1]
    if missing <= 0:
        return y, x[:, x.shape[1] + 1 - weight.shape[1] :]
    earlier = x.new_zeros(x.shape[0], missing, x.shape[2]) if state is None else state[:, before - missing :]
    return y, torch.cat([earlier, x], 1)


def rms_norm(x: Tensor, weight: Tensor | None, eps: float, *, backend: str = "auto") -> Tensor:
    """Divide rows x [..., D] by the root of their mean square plus eps, and multiply them by weight [D] (None: by 1).

    Raises: as ``short_conv``.
    """
    if not _takes(backend, x, weight):
        return layer_forms.rms_norm(x, weight, eps)
    return _result(_Norm.apply(x, weight, None, eps, 1 / x.shape[-1], 0))


def gated_rms_norm(x: Tensor, weight: Tensor, gate: Tensor, eps: float, kind: str, *, backend: str = "auto") -> Tensor:
    """Multiply ``rms_norm`` of x [..., D] by a function of gate [..., D]: of the kind "silu" or "sigmoid".

    Raises: as ``short_conv``.
    """
    if x.shape != gate.shape or not _takes(backend, x, weight, gate):
        return layer_forms.gated_rms_norm(x, weight, gate, eps, kind)
    return _result(_Norm.apply(x, weight, gate, eps, 1 / x.shape[-1], 1 + [*GATES].index(kind)))


def l2_norm(x: Tensor, eps: float, *, backend: str = "auto") -> Tensor:
    """Divide rows x [..., D] by the root of their squared length plus eps.

    Raises: as ``short_conv``.
    """
    if not _takes(backend, x):
        return layer_forms.l2_norm(x, eps)
    return _result(_Norm.apply(x, None, None, eps, 1.0, 0))


def silu_product(gate: Tensor, x: Tensor, *, backend: str = "auto") -> Tensor:
    """Multiply silu(gate) by x, of one shape.

    Raises: as ``short_conv``.
    """
    if gate.shape != x.shape or not _takes(backend, gate, x):
        return layer_forms.silu_product(gate, x)
    return _result(_SiluProduct.apply(gate, x))


def _result(y: Any) -> Tensor:  # Any: what ``apply`` returns, to a type checker
    assert isinstance(y, Tensor)
    return y


def _takes(backend: str, *tensors: Tensor | None) -> bool:
    """Tell if the library is to run on these tensors: plain ones on the CPU, of one of its dtypes, not empty.

    Raises:
        ValueError: the backend is unknown, or "c" and the tensors are not of its kind.
        ModuleNotFoundError: the backend is "c" and the library is missing.
    """
    if backend == "torch":
        return False
    if backend not in ("auto", "c"):
        raise ValueError(f"expected a backend of auto, torch and c, got {backend!r}")
    given = [x for x in tensors if x is not None]
    missing = c_ops.available()
    first = given[0]
    # Subclasses (FakeTensor, DTensor, those of functorch) have no memory to point into, nor has what is being compiled.
    fits = (
        first.dtype in (torch.float32, torch.float64)
        and all(x.device.type == "cpu" and x.dtype == first.dtype for x in given)
        and all(type(x) in (Tensor, torch.nn.Parameter) and x.numel() for x in given)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )
    if backend == "c" and missing is not None:
        raise ModuleNotFoundError(f"expected the C library for backend='c', got {missing}, or use backend='torch'")
    if backend == "c" and not fits:
        kinds = ", ".join(f"{x.dtype} on {x.device}" for x in given)
        raise ValueError(f"expected CPU tensors of one dtype, float32 or float64, got {kinds}; use backend='torch'")
    return fits and missing is None


def _again(form: Callable[..., Tensor], inputs: tuple[Tensor | None, ...], dy: Tensor) -> list[Tensor | None]:
    """Return the gradients of the torch form, themselves differentiable: for second derivatives."""
    with torch.enable_grad():
        y = form(*inputs)
        wanted = [x for x in inputs if x is not None and x.requires_grad]
        gradients = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
    return [next(gradients) if x is not None and x.requires_grad else None for x in inputs]


# Any in what follows: the context is an object of torch that takes whatever attributes are set on it.


class _ShortConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, start: Tensor | None) -> Tensor:
        y = torch.empty(x.shape, dtype=x.dtype)
        _run(0, _conv_sizes(x, weight), x.shape[0], x=x, weight=weight, bias=bias, start=start, y=y)
        ctx.save_for_backward(x, weight, bias, start)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, start = ctx.saved_tensors
        if torch.is_grad_enabled():
            form = lambda x, weight, bias, start: layer_forms.short_conv(x, weight.t(), bias, start)[0]  # noqa: E731
            return tuple(_again(form, (x, weight, bias, start), dy))
        batch, _, width = x.shape
        dx, dweight = torch.empty(x.shape, dtype=x.dtype), x.new_empty(batch, *weight.shape)
        dbias = None if bias is None else x.new_empty(batch, width)
        dstart = None if start is None else torch.empty(start.shape, dtype=x.dtype)
        gradients = {"dy": dy, "dx": dx, "dweight": dweight, "dbias": dbias, "dstart": dstart}
        _run(0, _conv_sizes(x, weight), batch, backward=True, x=x, weight=weight, bias=bias, start=start, **gradients)
        return dx, dweight.sum(0), None if dbias is None else dbias.sum(0), dstart


def _conv_sizes(x: Tensor, weight: Tensor) -> dict[str, float]:
    return {"batch": x.shape[0], "time": x.shape[1], "width": x.shape[2], "taps": weight.shape[0]}


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, gate: Tensor | None, eps: float, factor: float, gating: int
    ) -> Tensor:
        rows = x.numel() // x.shape[-1]
        y, scales = torch.empty(x.shape, dtype=x.dtype), torch.empty(rows, dtype=x.dtype)
        ctx.sizes = {
            "time": ROWS,
            "width": x.shape[-1],
            "rows": rows,
            "gating": gating,
            "eps": eps,
            "factor": factor,
        }
        _run(1, ctx.sizes, -(-rows // ROWS), x=x, weight=weight, gate=gate, y=y, scales=scales)
        ctx.save_for_backward(x, weight, gate, scales)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, gate, scales = ctx.saved_tensors
        if torch.is_grad_enabled():
            form = _norm_form(ctx.sizes)
            return *_again(form, (x, weight, gate), dy), None, None, None
        parts = -(-ctx.sizes["rows"] // ROWS)
        dx = torch.empty(x.shape, dtype=x.dtype)
        dweight = None if weight is None else x.new_empty(parts, x.shape[-1])
        dgate = None if gate is None else torch.empty(gate.shape, dtype=x.dtype)
        gradients = {"dy": dy, "dx": dx, "dweight": dweight, "dgate": dgate}
        _run(1, ctx.sizes, parts, backward=True, x=x, weight=weight, gate=gate, scales=scales, **gradients)
        return dx, None if dweight is None else dweight.sum(0), dgate, None, None, None


def _norm_form(sizes: dict[str, float]) -> Callable[..., Tensor]:
    """Return the torch form of what these sizes ask for, as a function of x, weight and gate."""
    if sizes["gating"]:
        kind = [*GATES][int(sizes["gating"]) - 1]
        return lambda x, weight, gate: layer_forms.gated_rms_norm(x, weight, gate, sizes["eps"], kind)
    if sizes["factor"] == 1.0 and sizes["width"] > 1:
        return lambda x, _, __: layer_forms.l2_norm(x, sizes["eps"])
    return lambda x, weight, _: layer_forms.rms_norm(x, weight, sizes["eps"])


class _SiluProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, x: Tensor) -> Tensor:
        y = torch.empty(x.shape, dtype=x.dtype)
        sizes = {"time": NUMBERS, "rows": x.numel()}
        _run(2, sizes, -(-x.numel() // NUMBERS), x=x, gate=gate, y=y)
        ctx.save_for_backward(gate, x)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        gate, x = ctx.saved_tensors
        if torch.is_grad_enabled():
            return tuple(_again(layer_forms.silu_product, (gate, x), dy))
        dgate, dx = torch.empty(x.shape, dtype=x.dtype), torch.empty(x.shape, dtype=x.dtype)
        sizes = {"time": NUMBERS, "rows": x.numel()}
        _run(2, sizes, -(-x.numel() // NUMBERS), backward=True, x=x, gate=gate, dy=dy, dx=dx, dgate=dgate)
        return dgate, dx


def _run(
    operation: int, sizes: Mapping[str, float], parts: int, *, backward: bool = False, **tensors: Tensor | None
) -> None:
    """Run one pass over all parts, on as many threads as torch uses if there is work for them."""
    problem = LayerProblem(operation=operation, **sizes)
    # in a local name until the end of the call: the library holds pointers only
    contiguous = {name: x.contiguous() for name, x in tensors.items() if x is not None}
    for name, x in contiguous.items():
        setattr(problem, name, x.data_ptr())
    x = contiguous["x"]
    at_level = c_ops.LEVELS.index(c_ops.level())

    def run(first: int, last: int) -> int:
        done: int = c_ops.library().layer_run(ctypes.byref(problem), x.element_size(), at_level, backward, first, last)
        return done

    c_ops.in_threads(run, parts, x.numel() // LEAST)
