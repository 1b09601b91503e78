"""The delta rule in C, where the library was built: found, loaded, and wrapped as one differentiable function.

The library is `train/kernels/_delta.*.so` of `train/kernels/c/delta.c`, built by setup.py where there is a compiler.
It is no Python module and knows nothing of torch: ctypes loads it and hands it pointers.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

VERSION = 1
"""What `delta_version` must say: raised together with it."""

LEVELS = ("portable", "avx2", "avx512")
"""The instruction sets that the library holds, slowest first."""

LEAST_WORK = 1 << 16
"""Numbers in k and v for which another thread is started: 0.2 ms of work forward, 0.5 back; a thread costs 0.06."""

INPUTS = ("q", "k", "v", "beta", "decay", "initial")
SAVED = (*INPUTS, "states", "written")
POINTERS = (*INPUTS, "out", "state", "states", "written", "dout", "dstate", *(f"d{name}" for name in INPUTS))


class Problem(ctypes.Structure):
    """`struct delta_problem` of delta.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "time", "heads", "key_dim", "value_dim", "per_step")),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str]:
    """The library and "", or None and why there is none."""
    folder = Path(__file__).parent
    found = [folder / f"_delta{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return None, "no compiled library; run pip install again where there is a C compiler"
    try:
        library = ctypes.CDLL(str(path))
        version = library.delta_version()
    except (OSError, AttributeError) as error:
        return None, f"a library that can't be loaded ({error}); run pip install again"
    if version != VERSION:
        return None, f"a library of version {version}, not {VERSION}; run pip install again"
    library.delta_saved.argtypes = [ctypes.POINTER(Problem), ctypes.c_int, *[ctypes.POINTER(ctypes.c_int64)] * 2]
    library.delta_saved.restype = None
    library.delta_run.argtypes = [ctypes.POINTER(Problem), *[ctypes.c_int] * 3, *[ctypes.c_int64] * 2]
    return library, ""


def available() -> str | None:
    """None where the library can be used, else what is missing."""
    return load()[1] or None


def level() -> str:
    """The fastest instruction set that both the library and this machine have."""
    return LEVELS[_library().delta_level()]


def told() -> str:
    """What runs the delta rule on CPU tensors under "auto"; results of one differ from another's in the last bits."""
    return "torch" if available() else f"c ({level()})"


def refusal(backend: str, q: Tensor, per_step: int) -> str | None:
    """None where the library is to run the delta rule for `backend`, else why it isn't; `per_step` keys a time step.

    Raises:
        ValueError: the backend is "c" and the library can't run on q.
        ModuleNotFoundError: the backend is "c" and the library is missing.
    """
    if backend not in ("auto", "c"):
        return f"backend is {backend!r}"
    reason = None
    missing = available()
    if q.device.type != "cpu":
        reason = f"q on {q.device.type}; move the tensors to the CPU"
    elif missing is None and per_step > _library().delta_most_per_step():
        reason = f"num_householder {per_step}; take at most {_library().delta_most_per_step()}"
    if backend == "c" and missing is not None:
        raise ModuleNotFoundError(f"expected the C library for backend='c', got {missing}, or use backend='torch'")
    if backend == "c" and reason is not None:
        raise ValueError(f"expected inputs that the C library takes, got {reason}, or use backend='torch'")
    return missing if missing is not None else reason


def _library() -> ctypes.CDLL:
    library, missing = load()
    assert library is not None, missing
    return library


class DeltaRuleInC(torch.autograd.Function):
    """`trace_mine.train.kernels.delta_function.DeltaRule` on CPU tensors, without its chunk size.

    Lanes are parted over as many threads as torch uses, where there is work for them; no result hangs on how many.
    Not covered: second derivatives (once_differentiable raises).
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        beta: Tensor,
        log_decay: Tensor | None,
        initial_state: Tensor | None,
        scale: float,
        num_householder: int,
    ) -> tuple[Tensor, Tensor]:
        batch, time, heads, key_dim = q.shape
        value_dim = v.shape[-1]
        decay = None if log_decay is None else log_decay.exp()
        given = {"q": q, "k": k, "v": v, "beta": beta, "decay": decay, "initial": initial_state}
        tensors = {name: None if x is None else x.contiguous() for name, x in given.items()}
        tensors["out"] = out = q.new_empty(batch, time, heads, value_dim)
        tensors["state"] = state = q.new_empty(batch, heads, key_dim, value_dim)
        problem = Problem(batch, time, heads, key_dim, value_dim, num_householder, scale)
        if any(ctx.needs_input_grad):
            states_count, written_count = _saved(problem, q.element_size())
            tensors["states"] = q.new_empty(batch * heads * states_count)
            tensors["written"] = q.new_empty(batch * heads * written_count)
            ctx.save_for_backward(*(tensors[name] for name in SAVED))
        _run(problem, tensors, backward=False)
        ctx.scale, ctx.num_householder = scale, num_householder
        return out, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        saved = dict(zip(SAVED, ctx.saved_tensors, strict=True))
        gradients = {f"d{name}": None if saved[name] is None else torch.empty_like(saved[name]) for name in INPUTS}
        batch, time, heads, key_dim = saved["q"].shape
        problem = Problem(batch, time, heads, key_dim, saved["v"].shape[-1], ctx.num_householder, ctx.scale)
        tensors = {**saved, **gradients, "dout": dout.contiguous(), "dstate": dstate.contiguous()}
        _run(problem, tensors, backward=True)
        return *gradients.values(), None, None


def _saved(problem: Problem, real_bytes: int) -> tuple[int, int]:
    states, written = ctypes.c_int64(), ctypes.c_int64()
    _library().delta_saved(problem, real_bytes, states, written)
    return states.value, written.value


def _run(problem: Problem, tensors: dict[str, Tensor | None], *, backward: bool) -> None:
    """One pass over all lanes; ctypes gives up the GIL meanwhile."""
    library = _library()
    for name, tensor in tensors.items():
        assert tensor is None or tensor.is_contiguous()
        setattr(problem, name, None if tensor is None else tensor.data_ptr())
    q = tensors["q"]
    assert q is not None
    real_bytes, at_level = q.element_size(), LEVELS.index(level())
    lanes = problem.batch * problem.heads
    work = lanes * problem.time * problem.per_step * (problem.key_dim + problem.value_dim)
    threads = max(1, min(torch.get_num_threads(), lanes, work // LEAST_WORK))
    cuts = [lanes * i // threads for i in range(threads + 1)]
    done = [0] * threads

    def run(i: int) -> None:
        done[i] = library.delta_run(problem, real_bytes, at_level, backward, cuts[i], cuts[i + 1])

    others = [threading.Thread(target=run, args=(i,)) for i in range(1, threads)]
    for thread in others:
        thread.start()
    run(0)
    for thread in others:
        thread.join()
    if not all(done):
        raise MemoryError(f"expected some KiB for each of {threads} threads, got none; free memory")
