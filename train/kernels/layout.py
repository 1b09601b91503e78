"""The chunk-major layout of sequences: each chunk of each head is one matrix of a batch, ordered by chunk first.

[B, T, H, D] becomes [N * B * H, C, D] with N chunks of C positions. The scan over chunks then reads contiguous slices,
and everything that needs no scan is one batched matrix product without copies. ``delta_chunks`` and ``decayed`` use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """The division of B sequences of T time steps with H heads into N chunks of C steps, the last of them padded.

    In the methods ``per_step`` is the number of positions of a time step: 1, but for the keys of DeltaProduct.
    """

    batch: int
    time: int
    heads: int
    size: int

    def __post_init__(self) -> None:
        if min(self.batch, self.heads) < 0 or min(self.time, self.size) < 1:
            got = f"batch={self.batch}, heads={self.heads}, time={self.time}, size={self.size}"
            raise ValueError(f"expected batch and heads >= 0, time and size >= 1, got {got}; skip empty sequences")

    @property
    def num_chunks(self) -> int:
        """N, the number of chunks of a sequence."""
        return -(-self.time // self.size)

    @property
    def padded_time(self) -> int:
        """N * C, the number of time steps with the padding."""
        return self.num_chunks * self.size

    @property
    def lanes(self) -> int:
        """B * H, the number of states that advance side by side."""
        return self.batch * self.heads

    @property
    def num_matrices(self) -> int:
        """N * B * H, the number of matrices in the batch of all chunks."""
        return self.num_chunks * self.lanes

    def view(self, x: Tensor, per_step: int = 1) -> Tensor:
        """View [B, T * per_step, H, D] as [N, B, H, C * per_step, D].

        If T isn't a multiple of C, the result is of a zero-padded copy, so that writing to it doesn't reach x. Zeros
        are neutral everywhere: a key with beta 0 writes nothing, and a log decay of 0 keeps the state.
        """
        # reshape, not view: inputs may be slices of a projection, whose memory isn't contiguous
        missing = self.padded_time * per_step - x.shape[1]
        if missing:
            x = functional.pad(x, (0, 0, 0, 0, 0, missing))
        return x.reshape(x.shape[0], self.num_chunks, self.size * per_step, self.heads, -1).permute(1, 0, 3, 2, 4)

    def pack(self, x: Tensor, per_step: int = 1) -> Tensor:
        """Copy [B, T * per_step, H, D] into a new contiguous [N * B * H, C * per_step, D]."""
        return self.view(x, per_step).reshape(self.num_matrices, self.size * per_step, x.shape[-1])

    def grid(self, x: Tensor) -> Tensor:
        """View [N * B * H, R, D] as [N, B, H, R, D], the axes that `view` gives."""
        return x.view(self.num_chunks, self.batch, self.heads, x.shape[-2], x.shape[-1])

    def unpack(self, x: Tensor) -> Tensor:
        """Undo `pack` with one position a step: [N * B * H, C, D] becomes [B, T, H, D], without the padding."""
        y = self.grid(x).permute(1, 0, 3, 2, 4).reshape(self.batch, -1, self.heads, x.shape[-1])
        return y[:, : self.time]


def causal_mask(rows: Tensor, columns: Tensor) -> Tensor:
    """Return [R, C] bool, True where the step of a column is no later than the step of a row.

    Args:
        rows: [R], the time step of each row.
        columns: [C], the time step of each column.
    """
    return rows[:, None] >= columns[None, :]


def recurrence_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that a recurrence runs in for inputs of ``dtype``: float64 for float64, else float32.

    In half precision the recurrence is wrong where state is tracked: on parity-like input of 511 steps fla's own
    kernel has a relative error of 2e-5 in fp32 and of 0.41 in fp16; bf16 inputs alone give 0.62.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32
