"""The calibrated rescale: after training, hold the norm of each head's state where it was in training.

DeltaNet's state grows with the length of a session, because its writes are never forgotten, and its belief drifts. A
gate stops that by forgetting old facts. Multiplying the state S by c / |S| every few tokens, where c is the norm
measured in training, keeps its direction and forgets nothing by age.

The rescale is nonlinear and was not trained in, so it is a switch: DeltaNet's KL at 8 times the length falls from .104
.129 .077 to .058 .056 .056 (``belief``, three seeds), but on a deterministic task its accuracy at 4 times the length
falls from .993 to .919 (``quick``). docs/training.md has the tables. The kernels' part is ``kernels.rescale``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, TypedDict

import torch
from torch import Tensor

from trace_mine.train.hooks import states_along
from trace_mine.train.kernels.rescale import Rescale
from trace_mine.train.models.delta_net import MatrixMixer, RenormedDeltaNet
from trace_mine.train.models.language_model import SequenceModel

EVERY = 16
"""Tokens between two rescalings, and between two measurements of the norm."""

FROM_STEP = 48
"""First token whose state is measured: before, a state is still filling up and its norm says little."""

SKIP = 2
"""Blocks of ``EVERY`` tokens at the start that aren't rescaled; the first rescaling comes at ``FROM_STEP``."""


class HeadNorms(TypedDict):
    """Frobenius norms of a layer's states in training, one number for each head."""

    mean: list[float]
    high: list[float]


def matrix_mixers(model: SequenceModel) -> dict[int, MatrixMixer]:
    """Return layer -> mixer of the layers whose state is a matrix and has no norm of its own to hold.

    A ``RenormedDeltaNet`` is left out, since it learns the norm of its state in training.
    """
    mixers = {n: block.mixing for n, block in enumerate(model.blocks)}
    return {n: m for n, m in mixers.items() if isinstance(m, MatrixMixer) and not isinstance(m, RenormedDeltaNet)}


@torch.no_grad()
def calibrate(model: SequenceModel, input_ids: Tensor, *, from_step: int = FROM_STEP) -> dict[str, HeadNorms]:
    """Measure the Frobenius norm of each head's state and write it into ``model.config.state_norms``.

    Args:
        input_ids: [B, T], sessions of the training length without padding.
        from_step: first token whose state counts.

    Returns:
        layer (as text, for JSON's keys are text) -> ``mean`` norm and ``high``, the 95th percentile, of each head.
        Being in the config they are saved with the checkpoint.

    Raises:
        ValueError: the model has no matrix state, or the sessions are too short to measure one.
    """
    if not matrix_mixers(model):
        raise ValueError(f"expected a model with a matrix state, got {type(model).__name__}")
    if input_ids.shape[1] < max(from_step, EVERY):
        raise ValueError(f"expected streams of at least {max(from_step, EVERY)} tokens, got {input_ids.shape[1]}")
    norms: dict[str, HeadNorms] = {}
    for layer, states in states_along(model, input_ids, EVERY).items():
        steps = torch.arange(1, states.shape[1] + 1) * EVERY
        measured = states[:, steps >= from_step]  # [B, N, H, K, V]
        norms_NH = torch.linalg.vector_norm(measured, dim=(-2, -1)).flatten(0, 1)  # sessions and steps are one axis
        norms[str(layer)] = {"mean": norms_NH.mean(0).tolist(), "high": norms_NH.quantile(0.95, dim=0).tolist()}
    # In the config, not in a buffer: fla's class keeps keys that it doesn't know, but has no such weight to load.
    model.config.state_norms = norms
    return norms


@contextlib.contextmanager
def rescaled(
    model: SequenceModel, *, every: int = EVERY, skip: int = SKIP, mode: Literal["match", "clamp"] = "match"
) -> Iterator[SequenceModel]:
    """Within the context, bring each head's state back to its calibrated norm every ``every`` tokens.

    Args:
        skip: number of first blocks that are left alone.
        mode: ``match`` scales up and down to the mean norm; ``clamp`` only down, and to the 95th percentile.

    Raises:
        ValueError: the model was never calibrated.
    """
    norms: dict[str, HeadNorms] | None = model.config.state_norms
    if not norms:
        raise ValueError("expected a calibrated model, got one without state_norms; call calibrate(model, input_ids)")
    # kept, not assumed to be None: contexts may be nested
    before = {layer: mixer.rescale for layer, mixer in matrix_mixers(model).items()}
    try:
        for layer, mixer in matrix_mixers(model).items():
            target = torch.tensor(norms[str(layer)]["mean" if mode == "match" else "high"])
            mixer.rescale = Rescale(target=target, every=every, skip=skip, mode=mode)
        yield model
    finally:
        for layer, mixer in matrix_mixers(model).items():
            mixer.rescale = before[layer]
