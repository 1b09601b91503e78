"""The delta rule, S <- S + beta k (v - S^T k)^T, with decay, several sub-steps a time step, and a rescaled state.

The recurrence of DeltaNet (arXiv 2406.06484), of the gated one (arXiv 2412.06464) and of DeltaProduct (arXiv
2502.10297). This file checks shapes and dtypes and chooses the kernel; the mathematics is in ``delta_chunks``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trace_mine.train.kernels import c_ops, fla_ops
from trace_mine.train.kernels.delta_function import DeltaRule
from trace_mine.train.kernels.layout import recurrence_dtype
from trace_mine.train.kernels.rescale import Rescale, run_in_blocks


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    *,
    log_decay: Tensor | None = None,
    num_householder: int = 1,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    chunk_size: int = 32,
    rescale: Rescale | None = None,
    position: int = 0,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Compute the delta rule over a sequence, in chunks.

    At time step t: S <- exp(log_decay_t) S once; S <- S + beta_i k_i (v_i - S^T k_i)^T for the `num_householder` (n)
    sub-steps i = t n ... t n + n - 1; out_t = scale * S^T q_t; S <- rescale(S) where that is due. beta in [0, 1] gives
    transitions with eigenvalues in [0, 1] for keys of norm 1, beta in [0, 2] in [-1, 1].

    Shapes:
        q: [B, T, H, K]; k: [B, T * n, H, K]; v: [B, T * n, H, V]; beta: [B, T * n, H]
        log_decay: [B, T, H], finite and <= 0, or None for no decay
        initial_state: [B, H, K, V], or None for zeros
        returns: out [B, T, H, V] in q's dtype; the state after the last step, [B, H, K, V]

    The recurrence and the state are float32, whatever the inputs or an autocast say, and float64 for float64 inputs.
    All inputs but `scale` and `position` are differentiable, once.

    Args:
        scale: of the outputs; None is K ** -0.5
        chunk_size: keys that one chunk of the torch form holds, so chunk_size // n time steps; for speed only
        position: time steps of the sequence taken before these; only `rescale` counts them
        backend: "auto" takes fla's kernels for CUDA tensors where fla and triton can be imported, the C library for CPU
            tensors where it was built, else our torch form; "torch" takes that, "c" and "fla" the named one or raise

    Raises:
        ValueError: shapes disagree, an argument is out of range, or the named backend can't run on these inputs.
        ModuleNotFoundError: backend "fla" and fla or triton is missing, or "c" and the library was not built.
    """
    _check_shapes(q, k, v, beta, log_decay, num_householder, initial_state, chunk_size)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    # fla first: its check also refuses unknown names of backends
    use_fla = fla_ops.refusal(backend, q, decays=log_decay is not None) is None
    use_c = not use_fla and c_ops.refusal(backend, q, num_householder) is None
    # All kernels get fp32 (or float64) tensors, and none of them is under autocast: half precision would be wrong here
    # (see recurrence_dtype). The outputs go back to q's dtype, the state stays as it is for the next call.
    dtype = recurrence_dtype(q.dtype)
    q_, k_, v_, beta_ = q.to(dtype), k.to(dtype), v.to(dtype), beta.to(dtype)
    decay_ = None if log_decay is None else log_decay.to(dtype)
    state_ = None if initial_state is None else initial_state.to(dtype)
    # the time steps of a chunk; at least one, though it then has more keys than chunk_size
    steps = max(1, chunk_size // num_householder)

    def run(start: int, stop: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run the steps from `start` to `stop` from a state on; without a rescale that is the whole sequence."""
        time, keys = slice(start, stop), slice(start * num_householder, stop * num_householder)
        decay = None if decay_ is None else decay_[:, time]
        inputs = (q_[:, time], k_[:, keys], v_[:, keys], beta_[:, keys], decay)
        if use_fla:
            return fla_ops.delta_rule(*inputs, num_householder, scale, state)
        if use_c:
            out, state = c_ops.DeltaRuleInC.apply(*inputs, state, scale, num_householder)
        else:
            out, state = DeltaRule.apply(*inputs, state, scale, num_householder, steps)
        return out, state

    # One call over the whole sequence if nothing interrupts it: kernels are fastest on long ones.
    if rescale is None:
        out, state = run(0, q.shape[1], state_)
    else:
        out, state = run_in_blocks(run, q.shape[1], rescale, position, state_)
    return out.to(q.dtype), state


def delta_rule_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    state: Tensor,
    *,
    log_decay: Tensor | None = None,
    num_householder: int = 1,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute one time step of `delta_rule` by the recurrence itself.

    It rescales nothing: a caller with a `Rescale` passes the new state through `rescale.after(state, steps_done)`.

    Shapes:
        q: [B, H, K]; k: [B, n, H, K]; v: [B, n, H, V]; beta: [B, n, H]; log_decay: [B, H] or None
        state: [B, H, K, V]
        returns: out [B, H, V] in q's dtype; the new state in float32, or float64 for float64 inputs

    Raises:
        ValueError: the number of sub-steps disagrees.
    """
    if not k.shape[1] == v.shape[1] == beta.shape[1] == num_householder:
        got = (k.shape[1], v.shape[1], beta.shape[1])
        raise ValueError(f"expected {num_householder} sub-steps in k, v and beta, got {got}; give num_householder each")
    dtype = recurrence_dtype(q.dtype)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    with torch.autocast(q.device.type, enabled=False):
        q_, k_, v_, beta_, state = q.to(dtype), k.to(dtype), v.to(dtype), beta.to(dtype), state.to(dtype)
        if log_decay is not None:
            state = state * log_decay.to(dtype).exp()[..., None, None]
        # the decay once, before the first sub-step: sub-steps are one time step
        for i in range(num_householder):
            read = (k_[:, i, :, None] @ state).squeeze(-2)
            written = beta_[:, i, :, None] * (v_[:, i] - read)
            state = state + k_[:, i, :, :, None] * written[..., None, :]
        out = scale * (q_[..., None, :] @ state).squeeze(-2)
    return out.to(q.dtype), state


def _check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    num_householder: int,
    initial_state: Tensor | None,
    chunk_size: int,
) -> None:
    if num_householder < 1 or chunk_size < 1:
        got = f"{num_householder} and {chunk_size}"
        raise ValueError(f"expected num_householder and chunk_size >= 1, got {got}; give positive numbers")
    batch, time, heads, key_dim = q.shape
    if time < 1:
        raise ValueError(f"expected at least one time step, got q {list(q.shape)}; skip empty sequences")
    # Checked here, since ctypes and Triton would read beyond the end of a tensor that is too small.
    keys, value_dim = time * num_householder, v.shape[-1]
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("k", k, (batch, keys, heads, key_dim)),
        ("v", v, (batch, keys, heads, value_dim)),
        ("beta", beta, (batch, keys, heads)),
        ("log_decay", log_decay, (batch, time, heads)),
        ("initial_state", initial_state, (batch, heads, key_dim, value_dim)),
    ]
    for name, tensor, shape in expected:
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(
                f"expected {name} {list(shape)}, got {list(tensor.shape)}; match q {list(q.shape)} and "
                f"num_householder {num_householder}"
            )
