"""The delta rule in C as one differentiable function of torch tensors.

The library is `train/kernels/_delta.so`, built from `train/kernels/c/delta.c` by setup.py if there is a compiler. It
isn't a Python module and knows nothing of torch: ctypes loads it and passes it pointers, so that building it takes
neither's headers, and that one file serves every interpreter. It is 2.1 to 2.7 times as fast as the torch form
(docs/models.md); docs/decisions/0008 says why it is optional. Without it `refusal` says what is missing, and `delta`
takes the torch form.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LIBRARY = "_delta.so"
"""The library's file, beside this one."""

VERSION = 1
"""The version of the library's interface; `delta_version` in delta.c is raised together with it.

A checkout's library isn't rebuilt when its sources change, and ctypes checks no argument: an old one would be called
with pointers in other places.
"""

LEVELS = ("portable", "avx2", "avx512")
"""The instruction sets that the library is compiled for, in the order of the numbers that it gives them."""

LEAST_WORK = 1 << 16
"""Numbers in k and v for which another thread is started: 0.2 ms of work forward, 0.5 back; a thread costs 0.06."""

# Names of tensors, as the fields of `struct delta_problem` have them.
INPUTS = ("q", "k", "v", "beta", "decay", "initial")
SAVED = (*INPUTS, "states", "written")
POINTERS = (*INPUTS, "out", "state", "states", "written", "dout", "dstate", *(f"d{name}" for name in INPUTS))


class Problem(ctypes.Structure):
    """Sizes and pointers of one call: `struct delta_problem` of delta.c, field by field and in its order."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "time", "heads", "key_dim", "value_dim", "per_step")),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str]:
    """Load the library once; return it and "", or None and the reason why it can't be used."""
    path = Path(__file__).with_name(LIBRARY)
    if not path.is_file():
        return None, "no compiled library; run pip install again where there is a C compiler"
    try:
        library = ctypes.CDLL(str(path))
        version = library.delta_version()
    except (OSError, AttributeError) as error:
        return None, f"a library that can't be loaded ({error}); run pip install again"
    if version != VERSION:
        return None, f"a library of version {version}, not {VERSION}; run pip install again"
    # Without declared types ctypes would pass Python integers as C int, 32 bits for an int64_t.
    library.delta_saved.argtypes = [ctypes.POINTER(Problem), ctypes.c_int, *[ctypes.POINTER(ctypes.c_int64)] * 2]
    library.delta_saved.restype = None
    library.delta_run.argtypes = [ctypes.POINTER(Problem), *[ctypes.c_int] * 3, *[ctypes.c_int64] * 2]
    return library, ""


def available() -> str | None:
    """Return None if the library can be used, else what is missing."""
    return load()[1] or None


def level() -> str:
    """Return the fastest instruction set that both the library and this machine have."""
    return LEVELS[_library().delta_level()]


def kernel_name() -> str:
    """Name the kernel that runs the delta rule on CPU tensors under "auto": `torch`, `c (avx2)` and the like.

    `run.json` keeps it: results of two kernels differ in the last bits, so a run resumed on another isn't bit-equal.
    """
    return "torch" if available() else f"c ({level()})"


def refusal(backend: str, q: Tensor, per_step: int) -> str | None:
    """Tell if the library is to run the delta rule on q for this backend: None if so, else the reason why not.

    Args:
        backend: as in `delta.delta_rule`; "auto" takes the library where it can run.
        per_step: keys of one time step; the library takes up to 16, the keys of one of its chunks.

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
    """Return the library, whose callers have asked `available` or `refusal` before."""
    library, missing = load()
    assert library is not None, missing
    return library


class DeltaRuleInC(torch.autograd.Function):
    """The delta rule on float32 or float64 CPU tensors of one dtype, as an autograd function.

    The same function of the same arguments as `delta_function.DeltaRule`, but for its chunk size. Lanes (a head of a
    sequence) are divided over as many threads as torch uses, if there is work for them; no result depends on how many.
    Not covered: second derivatives (once_differentiable raises).
    """

    # Any: the context is an object of torch that takes whatever attributes are set on it.

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
        # The library takes factors and exponentiates nothing; its ddecay is the gradient of the logarithm again.
        decay = None if log_decay is None else log_decay.exp()
        inputs = {"q": q, "k": k, "v": v, "beta": beta, "decay": decay, "initial": initial_state}
        tensors = {name: None if x is None else x.contiguous() for name, x in inputs.items()}
        tensors["out"] = out = q.new_empty(batch, time, heads, value_dim)
        tensors["state"] = state = q.new_empty(batch, heads, key_dim, value_dim)
        problem = Problem(batch, time, heads, key_dim, value_dim, num_householder, scale)
        # Without a backward pass to come nothing is kept, and the library skips what it would write there.
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
    """Return how many numbers forward keeps for backward in each lane, in `states` and in `written`."""
    states, written = ctypes.c_int64(), ctypes.c_int64()
    _library().delta_saved(problem, real_bytes, states, written)
    return states.value, written.value


def _run(problem: Problem, tensors: dict[str, Tensor | None], *, backward: bool) -> None:
    """Run one pass, forward or backward, over all lanes, and wait for its end.

    Threads of Python do: ctypes releases the GIL during a call, and lanes write to memory of their own.

    Raises:
        MemoryError: a thread got no memory for its intermediate results.
    """
    library = _library()
    for name, tensor in tensors.items():
        # `tensors` keeps them alive until the end of the call: the library holds pointers only
        assert tensor is None or tensor.is_contiguous()
        setattr(problem, name, None if tensor is None else tensor.data_ptr())
    q = tensors["q"]
    assert q is not None
    # all tensors have q's dtype: `delta_rule` converts them
    real_bytes, at_level = q.element_size(), LEVELS.index(level())
    lanes = problem.batch * problem.heads
    work = lanes * problem.time * problem.per_step * (problem.key_dim + problem.value_dim)
    threads = max(1, min(torch.get_num_threads(), lanes, work // LEAST_WORK))
    boundaries = [lanes * i // threads for i in range(threads + 1)]
    succeeded = [0] * threads

    def run(i: int) -> None:
        succeeded[i] = library.delta_run(problem, real_bytes, at_level, backward, boundaries[i], boundaries[i + 1])

    # this thread takes the first part itself: with one part, the usual case, none is started
    others = [threading.Thread(target=run, args=(i,)) for i in range(1, threads)]
    for thread in others:
        thread.start()
    run(0)
    for thread in others:
        thread.join()
    if not all(succeeded):
        raise MemoryError(f"expected some KiB for each of {threads} threads, got none; free memory")
