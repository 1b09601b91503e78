"""Hooks that read or change tensors inside a model, by layer, point and head.

A point is a tap of a layer's mixer (``model.blocks[i].mixing.points``: beta, keys, state, heads, ...) or ``residual``,
the output of the layer's block. The functions return context managers, and on leaving one the model is as it was. They
nest: several hooks at one point run in the order in which they were entered.

>>> with scaling_beta(model, layer=0, head=1, factor=0.5), recording(model, ["state"]) as readings:  # doctest: +SKIP
...     model(input_ids)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.layers import Tapped

Readings = dict[tuple[int, str], list[Tensor]]
"""(layer, point) -> the tensors that passed there, one for each call of the model."""


def tapped_module(model: SequenceModel, layer: int, point: str) -> Tapped:
    """Return the module of layer ``layer`` that has the tap ``point``: its mixer, or its block for ``residual``.

    Raises:
        ValueError: the model has no such layer, or its mixer no such point.
    """
    if not 0 <= layer < len(model.blocks):
        raise ValueError(f"expected a layer from 0 to {len(model.blocks) - 1}, got {layer}")
    block = model.blocks[layer]
    if point == "residual":
        return block
    if point not in block.mixing.points:
        known = ", ".join(("residual", *block.mixing.points))
        raise ValueError(f"expected a point of {type(block.mixing).__name__} ({known}), got {point!r}")
    return block.mixing


@contextlib.contextmanager
def intervening(
    model: SequenceModel, layer: int, point: str, change: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    """Within the context, pass the tensor at a point through ``change`` in every call of the model.

    The model goes on with the tensor that ``change`` returns, or with the old one if it returns None.

    Raises:
        ValueError: as ``tapped_module``.
    """
    taps = tapped_module(model, layer, point).taps
    taps.setdefault(point, []).append(change)
    try:
        yield
    finally:
        # by itself, not the last one: contexts may be left in another order than they were entered
        taps[point].remove(change)


@contextlib.contextmanager
def recording(model: SequenceModel, points: Sequence[str], layers: Sequence[int] | None = None) -> Iterator[Readings]:
    """Within the context, collect the tensors at these points of these layers (None: all layers).

    Yields a dictionary that each call of the model adds to. Tensors are detached copies in the shapes of the taps.

    Raises:
        ValueError: as ``tapped_module``.
    """
    readings: Readings = {}
    with contextlib.ExitStack() as stack:
        for layer in range(len(model.blocks)) if layers is None else layers:
            for point in points:
                tensors = readings.setdefault((layer, point), [])

                # A default binds this round's list: a closure would see the last round's. A copy, because a tensor that
                # a later hook or kernel writes to in place would change under the reader.
                def keep(value: Tensor, tensors: list[Tensor] = tensors) -> None:
                    tensors.append(value.detach().clone())

                stack.enter_context(intervening(model, layer, point, keep))
        yield readings


def scaling_beta(model: SequenceModel, layer: int, head: int, factor: float) -> contextlib.AbstractContextManager[None]:
    """Within the context, multiply beta of one head by ``factor``.

    0.5 takes beta from [0, 2] to [0, 1], and so the eigenvalues of the head's transitions from [-1, 1] to [0, 1]. It
    also halves betas of 1, which overwrite a value: to test reflections alone, clamp beta at 1 by ``intervening``.

    Raises:
        ValueError: the model has no such layer or head, or its mixer no beta.
    """

    def change(beta: Tensor) -> Tensor:
        scaled = beta.clone()  # autograd may still need the tensor that came
        scaled[..., head] *= factor
        return scaled

    _check_head(model, layer, head)
    return intervening(model, layer, "beta", change)


def zeroing_head(model: SequenceModel, layer: int, head: int) -> contextlib.AbstractContextManager[None]:
    """Within the context, set the output of one head to zero, so that it adds nothing to the residual stream.

    Raises:
        ValueError: the model has no such layer or head.
    """

    def change(out: Tensor) -> Tensor:
        zeroed = out.clone()
        zeroed[..., head, :] = 0
        return zeroed

    _check_head(model, layer, head)
    return intervening(model, layer, "heads", change)


def _check_head(model: SequenceModel, layer: int, head: int) -> None:
    # At once, not on entering: a negative head would index from the end and change another one.
    tapped_module(model, layer, "residual")
    count = model.blocks[layer].mixing.num_heads
    if not 0 <= head < count:
        raise ValueError(f"expected a head from 0 to {count - 1}, got {head}")


@torch.no_grad()
def states_along(model: SequenceModel, input_ids: Tensor, every: int) -> dict[int, Tensor]:
    """Run a model over ``input_ids`` [B, T] and collect its recurrent states every ``every`` tokens.

    Returns layer -> states [B, N, H, K, V] with N = T // every; state n depends on the tokens up to (n + 1) * every.
    Layers without a matrix state are left out, and so are the tokens after the last whole block.

    Raises:
        ValueError: ``every`` is less than 1.
    """
    if every < 1:
        raise ValueError(f"expected every >= 1, got {every}")
    states_by_layer: dict[int, list[Tensor]] = {}
    carry = None
    # Kernels give the state after their last step only, so that the model runs piece by piece, from carry to carry.
    # attention is run too, though it has no state: its layers feed those that have
    for first in range(0, input_ids.shape[1] - every + 1, every):
        carry = model(input_ids[:, first : first + every], carry, return_carry=True).carry
        for layer, layer_carry in enumerate(carry):
            if "state" in layer_carry:
                states_by_layer.setdefault(layer, []).append(layer_carry["state"])
    return {layer: torch.stack(states, 1) for layer, states in states_by_layer.items()}
