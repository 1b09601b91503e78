"""The chunked delta rule in torch as one differentiable function, computed one slab of sequences after the other.

``delta_chunks`` has the mathematics of a slab; this file cuts the batch and keeps what the backward pass needs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trace_mine.train.kernels import delta_chunks
from trace_mine.train.kernels.delta_chunks import Decays, Gradients, Saved
from trace_mine.train.kernels.layout import Chunks

# On CPU the intermediates of one slab should stay in the cache of a core: with B=32, T=512, H=4, d=32 (one thread,
# 2 MiB of L2), forward and backward took 5.9 us a token in one slab, 4.8 in slabs of 2 MiB, 4.5 to 5.3 in slabs of
# 1 MiB and 5.6 of 0.5 MiB; with d=64 slabs of 1 to 8 MiB differ by less than the noise.
SLAB_BYTES = 2 << 20


class DeltaRule(torch.autograd.Function):
    """`train.kernels.delta.delta_rule` on float32 or float64 tensors of one dtype, in chunks of `chunk_steps` steps.

    The backward pass is written by hand: with d = 32 and chunks of 16, forward and backward take 6.6 us a token where
    autograd through the same chunks takes 8.3.
    Not covered: second derivatives (once_differentiable raises), log decays of -inf (give -1e4 or so for a reset).
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
        chunk_steps: int,
    ) -> tuple[Tensor, Tensor]:
        batch, time, heads, _ = q.shape
        all_chunks = Chunks(batch=batch, time=time, heads=heads, size=min(chunk_steps, time))
        out = q.new_empty(batch, all_chunks.padded_time, heads, v.shape[-1])
        state = q.new_empty(batch, heads, q.shape[-1], v.shape[-1])
        tensors: list[Tensor | None] = []
        ctx.slabs = slabs(q, k, v)
        with torch.autocast(q.device.type, enabled=False):
            for slab in ctx.slabs:
                decay = None if log_decay is None else log_decay[slab]
                start = None if initial_state is None else initial_state[slab]
                inputs = (q[slab], k[slab], v[slab], beta[slab], decay, start, scale, num_householder)
                chunks = replace(all_chunks, batch=slab.stop - slab.start)
                saved = delta_chunks.forward(*inputs, chunks, out=out[slab], state=state[slab])
                # flat, because save_for_backward takes tensors and None only
                tensors += [*saved[:-1], *(saved.decays or (None, None, None))]
        ctx.save_for_backward(*tensors)
        ctx.scale, ctx.num_householder, ctx.all_chunks = scale, num_householder, all_chunks
        ctx.gated, ctx.has_initial_state = log_decay is not None, initial_state is not None
        return out[:, :time], state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        all_chunks, per_step, tensors = ctx.all_chunks, ctx.num_householder, ctx.saved_tensors
        per_slab = len(tensors) // max(1, len(ctx.slabs))  # no slab for an empty batch
        batch, heads, key_dim, value_dim = dstate.shape
        steps, keys = all_chunks.padded_time, all_chunks.padded_time * per_step  # `backward` fills whole chunks
        dq, dk = dout.new_empty(batch, steps, heads, key_dim), dout.new_empty(batch, keys, heads, key_dim)
        dv, dbeta = dout.new_empty(batch, keys, heads, value_dim), dout.new_empty(batch, keys, heads)
        ddecay = dout.new_empty(batch, steps, heads) if ctx.gated else None
        dinitial = dout.new_empty(dstate.shape) if ctx.has_initial_state else None
        with torch.autocast(dout.device.type, enabled=False):
            for i, slab in enumerate(ctx.slabs):
                of_slab = tensors[i * per_slab : (i + 1) * per_slab]
                saved = Saved._make([*of_slab[:-3], Decays._make(of_slab[-3:]) if ctx.gated else None])
                into = Gradients(
                    dq[slab],
                    dk[slab],
                    dv[slab],
                    dbeta[slab],
                    None if ddecay is None else ddecay[slab],
                    None if dinitial is None else dinitial[slab],
                )
                chunks = replace(all_chunks, batch=slab.stop - slab.start)
                delta_chunks.backward(saved, dout[slab], dstate[slab], ctx.scale, per_step, chunks, into=into)
        # without the padding to whole chunks
        time, num_keys = all_chunks.time, all_chunks.time * per_step
        ddecay = None if ddecay is None else ddecay[:, :time]
        dinputs = dq[:, :time], dk[:, :num_keys], dv[:, :num_keys], dbeta[:, :num_keys], ddecay, dinitial
        return *dinputs, None, None, None


def slabs(q: Tensor, k: Tensor, v: Tensor) -> list[slice]:
    """Cut the batch into slabs of sequences whose largest input has up to SLAB_BYTES; on a GPU it is one slab."""
    batch = len(q)
    size = max(1, batch)
    if q.device.type == "cpu" and batch:
        sequence_bytes = max(x[0].numel() * x.element_size() for x in (q, k, v))
        size = min(batch, max(1, SLAB_BYTES // sequence_bytes))
    return [slice(start, min(start + size, batch)) for start in range(0, batch, size)]
