"""The delta rule with a decay for each channel of the keys, and with erasing and writing apart.

The recurrence S <- diag(a) S, then S <- S + k (w - e^T S)^T for each of n keys: a diagonal plus rank one. With
e = beta k and w = beta v it is that of Kimi Delta Attention (KDA, arXiv 2510.26692), with gates by channel in place of
beta that of Gated DeltaNet-2; without decay it is the delta rule. ``channel_chunks`` has the mathematics.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trace_mine.train.kernels import c_ops, channel_chunks, fla_ops
from trace_mine.train.kernels.channel_chunks import ChannelSaved
from trace_mine.train.kernels.delta_function import slabs
from trace_mine.train.kernels.layout import Chunks, recurrence_dtype
from trace_mine.train.kernels.rescale import Rescale, run_in_blocks

FULL_DECAY = -100.0
"""The log decay of a step at which a channel is as good as empty, at 4e-44: sums of larger ones would lose the decimals
of the steps beside them."""


class ChannelDelta(torch.autograd.Function):
    """``channel_chunks`` on float32 or float64 tensors of one dtype, as an autograd function.

    Not covered: second derivatives (once_differentiable raises), log decays of -inf (give -1e4 or so for a reset).
    """

    # Any: the context is an object of torch that takes whatever attributes are set on it.

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
        chunk_steps: int,
    ) -> tuple[Tensor, Tensor]:
        batch, time, heads, _ = q.shape
        chunks = Chunks(batch=batch, time=time, heads=heads, size=min(chunk_steps, time))
        with torch.autocast(q.device.type, enabled=False):
            out, state, saved = channel_chunks.forward(q, erase, k, values, log_decay, initial_state, per_step, chunks)
        ctx.save_for_backward(*saved)
        ctx.per_step, ctx.chunks, ctx.has_initial_state = per_step, chunks, initial_state is not None
        return out, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        saved = ChannelSaved._make(ctx.saved_tensors)
        with torch.autocast(dout.device.type, enabled=False):
            *gradients, dinitial = channel_chunks.backward(saved, dout, dstate, ctx.per_step, ctx.chunks)
        return *gradients, dinitial if ctx.has_initial_state else None, None, None


def channel_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    erase: Tensor,
    write: Tensor | None = None,
    *,
    num_householder: int = 1,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    chunk_size: int = 16,
    rescale: Rescale | None = None,
    position: int = 0,
    backend: str = "auto",
    as_vectors: bool = False,
) -> tuple[Tensor, Tensor]:
    """Compute the delta rule with decay by channel over a sequence, in chunks.

    At time step t: S <- diag(exp(log_decay_t)) S once; S <- S + k_i (write_i * v_i - (erase_i * k_i)^T S)^T for the
    ``num_householder`` (n) sub-steps i = t n ... t n + n - 1; out_t = scale * S^T q_t; S <- rescale(S) where it is due.

    Shapes:
        q: [B, T, H, K]; k: [B, T * n, H, K]; v: [B, T * n, H, V]; log_decay: [B, T, H, K], finite and <= 0
        erase: [B, T * n, H], a number for each key, beta of the delta rule; or [B, T * n, H, K], a gate by channel
        write: [B, T * n, H, V], a gate by channel; None: ``erase``, which is a number then
        initial_state: [B, H, K, V], or None for zeros
        returns: out [B, T, H, V] in q's dtype; the state after the last step, [B, H, K, V]

    With ``as_vectors`` keys erase along ``erase`` [B, T * n, H, K] itself, not along its product with k, and write v.

    Dtypes, ``rescale``, ``position`` and ``backend`` are those of ``trace_mine.train.kernels.delta.delta_rule``. For
    rows in which a channel decays by more than exp(-70) over 16 keys the torch form takes the place of the C library.

    Raises:
        ValueError: shapes disagree, an argument is out of range, or the named backend can't run on these inputs.
        ModuleNotFoundError: backend "fla" and fla or triton is missing.
    """
    _check_shapes(q, k, v, log_decay, erase, v if as_vectors else write, initial_state, num_householder, chunk_size)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    # fla's kernels take one key a step
    use_fla = fla_ops.refusal(backend, q, decays=True) is None and num_householder == 1 and not as_vectors
    if backend == "fla" and not use_fla:
        got = f"{num_householder} and as_vectors={as_vectors}"
        raise ValueError(f"expected num_householder 1 and gates for backend='fla', got {got}; use backend='torch'")
    use_c = not use_fla and c_ops.refusal(backend, q, num_householder) is None
    dtype = recurrence_dtype(q.dtype)
    q_, k_, v_, decay_, erase_ = (x.to(dtype) for x in (q, k, v, log_decay, erase))
    decay_ = decay_.clamp_min(FULL_DECAY)
    write_ = None if write is None else write.to(dtype)
    state_ = None if initial_state is None else initial_state.to(dtype)
    along, values = (erase_, v_) if as_vectors else erased_and_written(k_, v_, erase_, write_)
    scaled = q_ * scale
    steps = max(1, chunk_size // num_householder)

    def run(start: int, stop: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run the steps from ``start`` to ``stop`` from a state on; without a rescale that is the whole sequence."""
        time, keys = slice(start, stop), slice(start * num_householder, stop * num_householder)
        if use_fla:
            gates = erase_[:, time], None if write_ is None else write_[:, time]
            return fla_ops.channel_delta_rule(
                q_[:, time], k_[:, time], v_[:, time], decay_[:, time], *gates, scale, state
            )
        inputs = scaled[:, time], along[:, keys], k_[:, keys], values[:, keys], decay_[:, time], state
        if use_c:
            return _in_c(inputs, num_householder)
        return _in_torch(inputs, num_householder, steps)

    if rescale is None:
        out, state = run(0, q.shape[1], state_)
    else:
        out, state = run_in_blocks(run, q.shape[1], rescale, position, state_)
    return out.to(q.dtype), state


Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]
"""q, vectors to erase along, keys, values, log decays, and the state to go on from, each with rows as first axis."""


def _rows(inputs: Inputs, rows: slice | Tensor) -> Inputs:
    """Return some rows of all inputs."""
    *given, state = inputs
    q, along, k, values, log_decay = (each[rows] for each in given if each is not None)
    return q, along, k, values, log_decay, None if state is None else state[rows]


def _in_torch(inputs: Inputs, per_step: int, steps: int) -> tuple[Tensor, Tensor]:
    """Run the torch form, one slab of rows after the other."""
    q, along, _, values, _, _ = inputs
    parts = [ChannelDelta.apply(*_rows(inputs, rows), per_step, steps) for rows in slabs(q, along, values)]
    if len(parts) == 1:
        out, state = parts[0]
        return out, state
    return torch.cat([out for out, _ in parts]), torch.cat([state for _, state in parts])


def _in_c(inputs: Inputs, per_step: int) -> tuple[Tensor, Tensor]:
    """Run the C library on rows by whose decays it can divide, and the torch form on the others."""
    fits = c_ops.rows_that_fit(inputs[4], per_step)
    if bool(fits.all()):
        out, state = c_ops.ChannelDeltaInC.apply(*inputs, per_step)
        return out, state
    # over chunks of half as many keys most of these decays are small enough to divide by
    parts = [_in_torch(_rows(inputs, (~fits).nonzero()[:, 0]), per_step, max(1, 8 // per_step))]
    if bool(fits.any()):
        parts.append(c_ops.ChannelDeltaInC.apply(*_rows(inputs, fits.nonzero()[:, 0]), per_step))
    # False sorts first, and rows keep their order
    places = fits.to(torch.int8).argsort(stable=True).argsort()
    return torch.cat([out for out, _ in parts])[places], torch.cat([state for _, state in parts])[places]


def channel_delta_rule_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    erase: Tensor,
    state: Tensor,
    write: Tensor | None = None,
    *,
    scale: float | None = None,
    as_vectors: bool = False,
) -> tuple[Tensor, Tensor]:
    """Compute one time step of ``channel_delta_rule`` by the recurrence itself, without a rescale.

    Shapes:
        q, log_decay: [B, H, K]; k: [B, n, H, K]; v: [B, n, H, V]; erase, write: as there, with n in place of T * n
        state: [B, H, K, V]
        returns: out [B, H, V] in q's dtype; the new state in float32, or float64 for float64 inputs
    """
    dtype = recurrence_dtype(q.dtype)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    with torch.autocast(q.device.type, enabled=False):
        keys = k.to(dtype)
        gates = erase.to(dtype), None if write is None else write.to(dtype)
        along, values = (gates[0], v.to(dtype)) if as_vectors else erased_and_written(keys, v.to(dtype), *gates)
        state = state.to(dtype) * log_decay.to(dtype).exp()[..., None]
        for i in range(k.shape[1]):
            written = values[:, i] - (along[:, i, :, None, :] @ state).squeeze(-2)
            state = state + keys[:, i, :, :, None] * written[..., None, :]
        out = scale * (q.to(dtype)[..., None, :] @ state).squeeze(-2)
    return out.to(q.dtype), state


def erased_and_written(k: Tensor, v: Tensor, erase: Tensor, write: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the vectors that keys erase along, [..., K], and the values that they write, [..., V]."""
    if erase.ndim < k.ndim:
        erase = erase[..., None]
    return erase * k, (erase if write is None else write) * v


def _check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    erase: Tensor,
    write: Tensor | None,
    initial_state: Tensor | None,
    num_householder: int,
    chunk_size: int,
) -> None:
    """Check all shapes.

    Raises:
        ValueError: one is another than the others ask for.
    """
    if num_householder < 1 or chunk_size < 1:
        got = f"{num_householder} and {chunk_size}"
        raise ValueError(f"expected num_householder and chunk_size >= 1, got {got}; give positive numbers")
    batch, time, heads, key_dim = q.shape
    if time < 1:
        raise ValueError(f"expected at least one time step, got q {list(q.shape)}; skip empty sequences")
    keys, value_dim = time * num_householder, v.shape[-1]
    by_channel = (key_dim,) if erase.ndim == 4 else ()
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("k", k, (batch, keys, heads, key_dim)),
        ("v", v, (batch, keys, heads, value_dim)),
        ("log_decay", log_decay, (batch, time, heads, key_dim)),
        ("erase", erase, (batch, keys, heads, *by_channel)),
        ("write", write, (batch, keys, heads, value_dim)),
        ("initial_state", initial_state, (batch, heads, key_dim, value_dim)),
    ]
    for name, tensor, shape in expected:
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(
                f"expected {name} {list(shape)}, got {list(tensor.shape)}; match q {list(q.shape)} and "
                f"num_householder {num_householder}"
            )
    if (write is None) != (erase.ndim == 3):
        raise ValueError("expected erase and write by channel both, or erase as a number for each key; give both gates")
