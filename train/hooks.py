"""Reading and changing what goes on inside a model, by layer, point and head, without editing it.

Points are a mixer's taps (``model.blocks[i].mixing.points``: beta, keys, state, heads, ...) and ``residual``, the end
of a block. All of these are context managers: on leaving, the model is as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.layers import Tapped

Readings = dict[tuple[int, str], list[Tensor]]
"""(layer, point) -> what stood there, one tensor a call of the model."""


def place(model: SequenceModel, layer: int, point: str) -> Tapped:
    """The module that has the tap.

    Raises:
        ValueError: the layer or the point isn't there.
    """
    if not 0 <= layer < len(model.blocks):
        raise ValueError(f"expected a layer from 0 to {len(model.blocks) - 1}, got {layer}")
    block = model.blocks[layer]
    if point == "residual":
        return block  # type: ignore[no-any-return]
    if point not in block.mixing.points:
        known = ", ".join(("residual", *block.mixing.points))
        raise ValueError(f"expected a point of {type(block.mixing).__name__} ({known}), got {point!r}")
    return block.mixing  # type: ignore[no-any-return]


@contextlib.contextmanager
def intervening(
    model: SequenceModel, layer: int, point: str, change: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    """While inside, ``change`` is called with what stands at the point; what it returns (None: nothing) goes on."""
    taps = place(model, layer, point).taps
    taps.setdefault(point, []).append(change)
    try:
        yield
    finally:
        taps[point].remove(change)


@contextlib.contextmanager
def recording(model: SequenceModel, points: Sequence[str], layers: Sequence[int] | None = None) -> Iterator[Readings]:
    """While inside, every call's tensors at these points of these layers (None: all) are kept, detached."""
    readings: Readings = {}
    with contextlib.ExitStack() as stack:
        for layer in range(len(model.blocks)) if layers is None else layers:
            for point in points:
                kept = readings.setdefault((layer, point), [])

                def keep(value: Tensor, kept: list[Tensor] = kept) -> None:
                    kept.append(value.detach().clone())

                stack.enter_context(intervening(model, layer, point, keep))
        yield readings


def scaling_beta(model: SequenceModel, layer: int, head: int, factor: float) -> Any:
    """While inside, beta of this head is multiplied: 0.5 takes a range of [0, 2] to [0, 1], eigenvalues to [0, 1]."""

    def change(beta: Tensor) -> Tensor:
        scaled = beta.clone()
        scaled[..., head] *= factor
        return scaled

    _check_head(model, layer, head)
    return intervening(model, layer, "beta", change)


def zeroing_head(model: SequenceModel, layer: int, head: int) -> Any:
    """While inside, this head adds nothing to the residual stream."""

    def change(out: Tensor) -> Tensor:
        zeroed = out.clone()
        zeroed[..., head, :] = 0
        return zeroed

    _check_head(model, layer, head)
    return intervening(model, layer, "heads", change)


def _check_head(model: SequenceModel, layer: int, head: int) -> None:
    place(model, layer, "residual")
    count = model.blocks[layer].mixing.num_heads
    if not 0 <= head < count:
        raise ValueError(f"expected a head from 0 to {count - 1}, got {head}")


@torch.no_grad()
def states_along(model: SequenceModel, input_ids: Tensor, every: int) -> dict[int, Tensor]:
    """Layer -> recurrent states [B, N, H, K, V] after steps ``every``, ``2 every``, ..., each conditioned on the tokens
    up to and with that step; layers without a matrix state are left out.
    """
    if every < 1:
        raise ValueError(f"expected every >= 1, got {every}")
    found: dict[int, list[Tensor]] = {}
    carry = None
    for first in range(0, input_ids.shape[1] - every + 1, every):
        carry = model(input_ids[:, first : first + every], carry, return_carry=True).carry
        for layer, kept in enumerate(carry):
            if "state" in kept:
                found.setdefault(layer, []).append(kept["state"])
    return {layer: torch.stack(states, 1) for layer, states in found.items()}
