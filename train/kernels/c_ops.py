"""The delta rule in C as differentiable functions of torch tensors: with a decay a head, or one for each channel.

The library is `train/kernels/_delta.so`, built from `train/kernels/c` by setup.py if there is a compiler; `layer_ops`
calls its other half. It isn't a Python module and knows nothing of torch: ctypes loads it and passes it pointers, so
that building it takes neither's headers, and that one file serves every interpreter. It is 2.1 to 3.3
times as fast as the torch forms (docs/models.md); docs/decisions/0008 says why it is optional. Without it `refusal`
says what is missing, and `delta` and `channel_delta` take their torch forms.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LIBRARY = "_delta.so"
"""The library's file, beside this one."""

VERSION = 3
"""The version of the library's interface; `delta_version` in delta.c is raised together with it.

A checkout's library isn't rebuilt when its sources change, and ctypes checks no argument: an old one would be called
with pointers in other places.
"""

LEVELS = ("portable", "avx2", "avx512")
"""The instruction sets that the library is compiled for, in the order of the numbers that it gives them."""

KEYS_OF_A_CHUNK = 16
"""``KEYS`` of delta.c."""

LARGEST = 70.0
"""The largest decay of a channel over a chunk, as a logarithm, that the library divides by: see ``channel_chunks``."""

LEAST_WORK = 1 << 16
"""Numbers in k and v for which another thread is started: 0.2 ms of work forward, 0.5 back; a thread costs 0.06."""

# Names of tensors, as the fields of `struct delta_problem` have them.
INPUTS = ("q", "k", "v", "beta", "erase", "decay", "initial")
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
    library.layer_run.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 3, *[ctypes.c_int64] * 2]
    return library, ""


def available() -> str | None:
    """Return None if the library can be used, else what is missing."""
    return load()[1] or None


def level() -> str:
    """Return the fastest instruction set that both the library and this machine have."""
    return LEVELS[library().delta_level()]


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
    elif missing is None and per_step > library().delta_most_per_step():
        reason = f"num_householder {per_step}; take at most {library().delta_most_per_step()}"
    if backend == "c" and missing is not None:
        raise ModuleNotFoundError(f"expected the C library for backend='c', got {missing}, or use backend='torch'")
    if backend == "c" and reason is not None:
        raise ValueError(f"expected inputs that the C library takes, got {reason}, or use backend='torch'")
    return missing if missing is not None else reason


def library() -> ctypes.CDLL:
    """Return the library, whose callers have asked `available` or `refusal` before."""
    loaded, missing = load()
    assert loaded is not None, missing
    return loaded


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
        inputs = {"q": q, "k": k, "v": v, "beta": beta, "decay": log_decay, "initial": initial_state}
        return _forward(ctx, inputs, scale, num_householder)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        gradients = _backward(ctx, dout, dstate)
        return *(gradients[name] for name in ("q", "k", "v", "beta", "decay", "initial")), None, None


class ChannelDeltaInC(torch.autograd.Function):
    """The delta rule with decay by channel on float32 or float64 CPU tensors of one dtype, as an autograd function.

    The same function of the same arguments as ``channel_delta.ChannelDelta``, but for its chunk size, on decays that
    ``rows_that_fit``. Not covered: second derivatives (once_differentiable raises).
    """

    # Any: see above

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        erase: Tensor,
        k: Tensor,
        values: Tensor,
        log_decay: Tensor,
        initial_state: Tensor | None,
        per_step: int,
    ) -> tuple[Tensor, Tensor]:
        inputs = {"q": q, "k": k, "v": values, "erase": erase, "decay": log_decay, "initial": initial_state}
        return _forward(ctx, inputs, 1.0, per_step)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        gradients = _backward(ctx, dout, dstate)
        return *(gradients[name] for name in ("q", "erase", "k", "v", "decay", "initial")), None


def rows_that_fit(log_decay: Tensor, per_step: int) -> Tensor:
    """Return [B] bool, True for rows of log_decay [B, T, H, K] by whose decays over a chunk the library can divide."""
    steps = KEYS_OF_A_CHUNK // per_step
    missing = -log_decay.shape[1] % steps
    padded = torch.nn.functional.pad(log_decay.detach(), (0, 0, 0, 0, 0, missing))
    return (padded.unflatten(1, (-1, steps)).sum(2) > -LARGEST).flatten(1).all(1)


def _forward(
    ctx: Any, inputs: Mapping[str, Tensor | None], scale: float, per_step: int
) -> tuple[Tensor, Tensor]:  # Any: see above
    """Run the forward pass on ``inputs`` by the names of ``INPUTS``, with the logarithm of the decay."""
    q, v, log_decay = inputs["q"], inputs["v"], inputs["decay"]
    assert q is not None and v is not None
    batch, time, heads, key_dim = q.shape
    value_dim = v.shape[-1]
    # The library takes factors and exponentiates nothing; its ddecay is the gradient of the logarithm again.
    decay = None if log_decay is None else log_decay.exp()
    given = {name: inputs.get(name) for name in INPUTS} | {"decay": decay}
    tensors = {name: None if x is None else x.contiguous() for name, x in given.items()}
    tensors["out"] = out = q.new_empty(batch, time, heads, value_dim)
    tensors["state"] = state = q.new_empty(batch, heads, key_dim, value_dim)
    problem = Problem(batch, time, heads, key_dim, value_dim, per_step, scale)
    # Without a backward pass to come nothing is kept, and the library skips what it would write there.
    if any(ctx.needs_input_grad):
        states_count, written_count = _saved(problem, q.element_size())
        tensors["states"] = q.new_empty(batch * heads * states_count)
        tensors["written"] = q.new_empty(batch * heads * written_count)
        ctx.save_for_backward(*(tensors[name] for name in SAVED))
    _run(problem, tensors, backward=False)
    ctx.scale, ctx.per_step = scale, per_step
    return out, state


def _backward(ctx: Any, dout: Tensor, dstate: Tensor) -> dict[str, Tensor | None]:  # Any: see above
    """Run the backward pass; return the gradients by the names of ``INPUTS``, None where there was no input."""
    saved = dict(zip(SAVED, ctx.saved_tensors, strict=True))
    gradients = {name: None if saved[name] is None else torch.empty_like(saved[name]) for name in INPUTS}
    batch, time, heads, key_dim = saved["q"].shape
    problem = Problem(batch, time, heads, key_dim, saved["v"].shape[-1], ctx.per_step, ctx.scale)
    named = {f"d{name}": gradient for name, gradient in gradients.items()}
    _run(problem, {**saved, **named, "dout": dout.contiguous(), "dstate": dstate.contiguous()}, backward=True)
    return gradients


def _saved(problem: Problem, real_bytes: int) -> tuple[int, int]:
    """Return how many numbers forward keeps for backward in each lane, in `states` and in `written`."""
    states, written = ctypes.c_int64(), ctypes.c_int64()
    library().delta_saved(problem, real_bytes, states, written)
    return states.value, written.value


def _run(problem: Problem, tensors: dict[str, Tensor | None], *, backward: bool) -> None:
    """Run one pass, forward or backward, over all lanes, and wait for its end.

    Threads of Python do it: ctypes releases the GIL during a call, and lanes write to memory of their own.

    Raises:
        MemoryError: a thread got no memory for its intermediate results.
    """
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

    def run(first: int, last: int) -> int:
        done: int = library().delta_run(problem, real_bytes, at_level, backward, first, last)
        return done

    in_threads(run, lanes, work // LEAST_WORK)


def in_threads(run: Callable[[int, int], int], parts: int, most: int) -> None:
    """Call ``run(first, last)`` so that it covers ``parts`` parts, in as many threads as torch uses, ``most`` at most.

    Raises:
        MemoryError: a call returned 0, for it got no memory.
    """
    threads = max(1, min(torch.get_num_threads(), parts, most))
    boundaries = [parts * i // threads for i in range(threads + 1)]
    succeeded = [0] * threads

    def part(i: int) -> None:
        succeeded[i] = run(boundaries[i], boundaries[i + 1])

    # this thread takes the first part itself: with one part, the usual case, none is started
    others = [threading.Thread(target=part, args=(i,)) for i in range(1, threads)]
    for thread in others:
        thread.start()
    part(0)
    for thread in others:
        thread.join()
    if not all(succeeded):
        raise MemoryError(f"expected some KiB for each of {threads} threads, got none; free memory")
