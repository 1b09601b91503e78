"""Rescaling of matrix states to a target norm while a model runs, every so many time steps.

``delta`` and ``decayed`` take a ``Rescale``. A model that renorms its state has one for good (``models.delta_net``);
``train.rescaling`` measures the target of a trained model and switches it on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescale:
    """S <- S * target / |S|_F for each head, after every `every` time steps but not after the first `skip` such blocks.

    Fields:
        target: [H], the Frobenius norm that each head's state is brought to
        every: block length in time steps
        skip: number of first blocks after which the state stays as it is
        mode: "match" moves the norm both ways, "clamp" only down to the target

    Example: every=16, skip=2 rescales the state after steps 48, 64, 80 and so on, counted from 1.
    A zero state stays zero. Differentiable, in target too.

    Raises:
        ValueError: a field is out of range.
    """

    target: Tensor
    every: int = 16
    skip: int = 2
    mode: Literal["match", "clamp"] = "match"

    def __post_init__(self) -> None:
        if self.target.ndim != 1:
            raise ValueError(f"expected target of shape [H], got {list(self.target.shape)}; give one norm per head")
        if self.every < 1:
            raise ValueError(f"expected every >= 1, got {self.every}; give a number of time steps")
        if self.skip < 0:
            raise ValueError(f"expected skip >= 0, got {self.skip}; give a number of blocks")
        if self.mode not in ("match", "clamp"):
            raise ValueError(f"expected mode 'match' or 'clamp', got {self.mode!r}; choose one")

    def due(self, steps_done: int) -> bool:
        """Return True if the state is rescaled after `steps_done` time steps, counted from the sequence's start."""
        return steps_done % self.every == 0 and steps_done // self.every > self.skip

    def after(self, state: Tensor, steps_done: int) -> Tensor:
        """Return the state [B, H, K, V] to continue with after `steps_done` time steps: rescaled if that is due."""
        return self._scaled(state) if self.due(steps_done) else state

    def _scaled(self, state: Tensor) -> Tensor:
        """Bring the norm of each head's state to the target, or, in mode "clamp", at most to the target."""
        # a target of one head would broadcast over all of them
        if len(self.target) != state.shape[1]:
            raise ValueError(f"expected a target for {state.shape[1]} heads, got {len(self.target)}; give one per head")
        norm = torch.linalg.vector_norm(state, dim=(-2, -1), keepdim=True)
        target = self.target.to(state)[:, None, None]
        factor = target / norm.clamp_min(torch.finfo(state.dtype).tiny)  # 0 / tiny for a zero state, not 0 / 0
        return state * (factor.clamp_max(1) if self.mode == "clamp" else factor)


def run_in_blocks(
    op: Callable[[int, int, Tensor | None], tuple[Tensor, Tensor]],
    time: int,
    rescale: Rescale,
    position: int,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run a recurrence block by block, and rescale its state after each block where that is due.

    Args:
        op: `op(start, stop, state) -> (out [B, stop - start, ...], state)`, the recurrence over some time steps.
        time: number of time steps.
        position: time steps of the sequence taken before these, so that a sequence run in pieces, down to single
            steps, is rescaled at the same steps as in one run.

    Returns:
        out [B, time, ...] and the last state, rescaled if that is due.

    Raises:
        ValueError: position is negative.
    """
    if position < 0:
        raise ValueError(f"expected position >= 0, got {position}; give the number of time steps taken before")
    # The first step after which a rescaling is due: the end of the current block, or of the first block after those
    # that are skipped, which run in one piece with it.
    first = max(position - position % rescale.every, rescale.skip * rescale.every) + rescale.every - position
    stops = [*range(first, time, rescale.every), time]
    outs, start, state = [], 0, initial_state
    for stop in stops:
        out, state = op(start, stop, state)
        state = rescale.after(state, position + stop)
        outs.append(out)
        start = stop
    assert state is not None
    return torch.cat(outs, 1), state
