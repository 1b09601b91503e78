"""The calibrated rescale: after training, hold each head's state at the norm that it had in training.

DeltaNet's state grows with length, from writes that are never forgotten, and its belief drifts; a gate cures that by
forgetting old facts. Bringing |S| back to its calibrated norm every few tokens changes no direction and forgets nothing
by age. It is nonlinear, not trained in, and a switch: deterministic tasks can be better or worse with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from trace_mine.train.hooks import states_along
from trace_mine.train.kernels.rescale import Rescale
from trace_mine.train.models.delta_net import MatrixMixer, RenormedDeltaNet
from trace_mine.train.models.language_model import SequenceModel

EVERY = 16
FROM_STEP = 48
SKIP = 2


def matrix_mixers(model: SequenceModel) -> dict[int, MatrixMixer]:
    """Layer -> mixer, of the layers with a matrix state, but for those that learnt a norm of their own."""
    mixers = {n: block.mixing for n, block in enumerate(model.blocks)}
    return {n: m for n, m in mixers.items() if isinstance(m, MatrixMixer) and not isinstance(m, RenormedDeltaNet)}


@torch.no_grad()
def calibrate(
    model: SequenceModel, input_ids: Tensor, *, from_step: int = FROM_STEP
) -> dict[str, dict[str, list[float]]]:
    """Measures each head's Frobenius norm of the state over streams of the training length [B, T], from ``from_step``
    on, and keeps it in ``model.config.state_norms``, which is saved with the checkpoint.

    Returns layer -> {"mean", "high"} -> one number a head; high is the 95th percentile, for clamping.

    Raises:
        ValueError: the model has no matrix state, or the streams are too short.
    """
    if not matrix_mixers(model):
        raise ValueError(f"expected a model with a matrix state, got {type(model).__name__}")
    if input_ids.shape[1] < max(from_step, EVERY):
        raise ValueError(f"expected streams of at least {max(from_step, EVERY)} tokens, got {input_ids.shape[1]}")
    norms: dict[str, dict[str, list[float]]] = {}
    for layer, states in states_along(model, input_ids, EVERY).items():
        at = torch.arange(1, states.shape[1] + 1) * EVERY
        told = torch.linalg.vector_norm(states[:, at >= from_step], dim=(-2, -1)).flatten(0, 1)  # [N, H]
        norms[str(layer)] = {"mean": told.mean(0).tolist(), "high": told.quantile(0.95, dim=0).tolist()}
    model.config.state_norms = norms
    return norms


@contextlib.contextmanager
def rescaled(
    model: SequenceModel, *, every: int = EVERY, skip: int = SKIP, mode: Literal["match", "clamp"] = "match"
) -> Iterator[SequenceModel]:
    """While inside, states are held at their calibrated norms: ``match`` both ways, ``clamp`` down to the 95th
    percentile only.

    Raises:
        ValueError: the model was never calibrated.
    """
    norms: dict[str, Any] | None = model.config.state_norms
    if not norms:
        raise ValueError("expected a calibrated model, got one without state_norms; call calibrate(model, input_ids)")
    before = {layer: mixer.rescale for layer, mixer in matrix_mixers(model).items()}
    try:
        for layer, mixer in matrix_mixers(model).items():
            target = torch.tensor(norms[str(layer)]["mean" if mode == "match" else "high"])
            mixer.rescale = Rescale(target=target, every=every, skip=skip, mode=mode)
        yield model
    finally:
        for layer, mixer in matrix_mixers(model).items():
            mixer.rescale = before[layer]
