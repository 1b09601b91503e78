"""Inside the delta family: beta and keys by layer and head, and the head that keeps the state.

A delta-rule head multiplies its state by I - beta k k^T, so 1 - beta is an eigenvalue. Beta near 2 makes it -1: such a
step is a reflection, which can swap two values. To find the head that does so, each head in turn has its range of beta
reduced or its output removed. The head whose intervention costs most accuracy, on the same sessions, tracks the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.eval.subjects import Subject
from trace_mine.train.hooks import intervening, recording, scaling_beta, zeroing_head
from trace_mine.train.measure.scores import hits
from trace_mine.train.measure.sessions import Sessions
from trace_mine.train.models.language_model import SequenceModel

# An eigenvalue below -.9. Beta is 2 sigmoid(x), so 2 itself is never reached.
NEAR_TWO = 1.9
SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Factors of a head's beta: the range of its eigenvalues goes from [-1, 1] to [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A head's beta and keys, measured over sessions.

    ``beta`` [values]: beta of every token (and sub-step, for models with several a token) of the sessions. ``spectrum``
    [K]: the share of the keys' variance that lies along each principal component, largest first.
    """

    layer: int
    head: int
    beta: Floats
    spectrum: Floats

    def __post_init__(self) -> None:
        if self.spectrum.ndim != 1 or (np.diff(self.spectrum) > 0).any():
            raise ValueError(f"expected shares of variance, largest first, got {self.spectrum}; sort them")

    @property
    def place(self) -> str:
        """The field ``place`` of results about this head."""
        return f"layer {self.layer} head {self.head}"

    def components(self, share: float) -> int:
        """Count the principal components, largest first, that together have this share of the keys' variance.

        >>> Head(layer=0, head=0, beta=np.ones(1), spectrum=np.array([0.5, 0.4, 0.1])).components(0.9)
        2
        """
        # less 1e-12, for a cumulative sum of floats reaches .9 as .8999999999999999
        return min(int(np.searchsorted(np.cumsum(self.spectrum), share - 1e-12) + 1), len(self.spectrum))


def has_beta(subject: Subject) -> bool:
    """True where a layer of the model has beta: the delta family, and none of the others."""
    return any("beta" in block.mixing.points for block in subject.model.blocks)


@torch.no_grad()
def heads_of(subject: Subject, sessions: Sessions) -> list[Head]:
    """Record every head's beta and keys on the sessions, cut to the length of the shortest one.

    The spectrum comes from the singular values of the centred keys [tokens, K]: their squares are proportional to the
    variances along the principal components, and no covariance matrix has to be made.

    Raises:
        ValueError: the model has no beta.
    """
    if not has_beta(subject):
        raise ValueError(f"expected a model of the delta family, got {subject.label}, which has no beta")
    device = next(subject.model.parameters()).device
    # hybrid models have layers of several types
    layers = [n for n, block in enumerate(subject.model.blocks) if "beta" in block.mixing.points]
    # cut to the shortest, because beta and keys of padding would count like those of commands
    with recording(subject.model, ("beta", "keys"), layers) as readings:
        subject.model(
            input_ids=torch.from_numpy(sessions.batch.tokens[:, : int(sessions.batch.lengths.min())]).to(device)
        )
    heads = []
    for layer in layers:
        beta, keys = (torch.cat(readings[layer, point]).double().cpu().numpy() for point in ("beta", "keys"))
        for head in range(beta.shape[-1]):
            # rows are the keys of all tokens of all sessions (and sub-steps)
            centred = keys[..., head, :].reshape(-1, keys.shape[-1])
            values = np.linalg.svd(centred - centred.mean(0), compute_uv=False) ** 2
            # a head whose keys are all alike has no variance to share out: zeros instead of nan
            spectrum = values / max(values.sum(), 1e-300)
            heads.append(Head(layer=layer, head=head, beta=beta[..., head].ravel(), spectrum=spectrum))
    return heads


def head_results(subject: Subject, heads: Sequence[Head]) -> list[Result]:
    """Describe each head by five percentiles of its beta (``at``: the percentage), the share of beta above 1.9, and the
    number of principal components of its keys (``at``: the share of variance that they have).
    """
    results = []
    for head in heads:
        where: dict[str, Where] = {**subject.named, "place": head.place, "count": len(head.beta)}
        for percent in (5, 25, 50, 75, 95):
            value = float(np.percentile(head.beta, percent))
            results.append(number("beta percentile", value, at=float(percent), **where))
        results.append(number("beta above 1.9", float((head.beta > NEAR_TWO).mean()), unit="share", **where))
        for share in (0.9, 0.95, 0.99):
            results.append(number("key components", float(head.components(share)), at=share, **where))
    return results


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cost:
    """The accuracy that an intervention on one head costs.

    ``kind`` is a key of ``KINDS``. ``before`` and ``after`` are accuracies without and with the intervention, ``lost``
    [sequences] their difference in each sequence.
    """

    layer: int
    head: int
    kind: str
    before: float
    after: float
    lost: Floats

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected an intervention among {', '.join(KINDS)}, got {self.kind!r}")

    @property
    def place(self) -> str:
        """The field ``place`` of results about this head."""
        return f"layer {self.layer} head {self.head}"


def capping_beta(model: SequenceModel, layer: int, head: int) -> AbstractContextManager[object]:
    """Within the returned context, cap the beta of one head at 1.

    A reflection (beta 2) then becomes an overwriting (beta 1), while a step that overwrites stays as it is.
    """

    def change(beta: torch.Tensor) -> torch.Tensor:
        capped = beta.clone()
        capped[..., head] = capped[..., head].clamp(max=1.0)
        return capped

    return intervening(model, layer, "beta", change)


KINDS: dict[str, Callable[[SequenceModel, int, int], AbstractContextManager[object]]] = {
    "beta halved": lambda model, layer, head: scaling_beta(model, layer, head, 0.5),
    "beta capped": capping_beta,
    "head silenced": zeroing_head,
}
"""Name -> (model, layer, head) -> a context in which that head is changed.

Halving takes beta's range from [0, 2] to [0, 1], but also makes .5 out of 1, so that overwriting breaks: DeltaNet in
[0, 1], which has no reflections, falls too. Capping at 1 leaves overwriting alone, and so tells the two apart.
"""


def intervention_costs(subject: Subject, sessions: Sessions, kinds: Sequence[str] = tuple(KINDS)) -> list[Cost]:
    """Measure these kinds of interventions on every head that has their point (models without beta: silencing alone).

    To choose a head by its cost, give other sessions than those on which its cost is told.
    """
    # on the same sessions, so that the differences are paired
    before = accuracies_within(nullcontext(), subject, sessions)
    results = []
    for layer, block in enumerate(subject.model.blocks):
        for kind in kinds:
            context = KINDS[kind]
            # points are the places where a mixer's tensors can be changed: a Transformer has heads, but no beta
            if ("beta" if "beta" in kind else "heads") not in block.mixing.points:
                continue
            for head in range(getattr(block.mixing, "num_heads", 0)):
                after = accuracies_within(context(subject.model, layer, head), subject, sessions)
                results.append(
                    Cost(
                        layer=layer,
                        head=head,
                        kind=kind,
                        before=float(before.mean()),
                        after=float(after.mean()),
                        lost=before - after,
                    )
                )
    return results


def accuracies_within(context: AbstractContextManager[object], subject: Subject, sessions: Sessions) -> Floats:
    """[sequences]: the accuracy of each sequence within the context."""
    with context:
        law = sessions.laws_of(subject.predictor)
    return np.asarray(hits(law, sessions.shown).mean(axis=1))


def scale_curve(
    subject: Subject, sessions: Sessions, layer: int, head: int, scales: Sequence[float] = SCALES
) -> list[Result]:
    """Measure the accuracy with one head's beta multiplied by each of ``scales``, which a result has as ``at``.

    Source: the curve of Fig. 6, which goes from the whole range [0, 2] to [0, 1].

    Raises:
        ValueError: the layer has no beta.
    """
    results = []
    for scale in scales:
        accuracies = accuracies_within(scaling_beta(subject.model, layer, head, scale), subject, sessions)
        where: dict[str, Where] = {**subject.named, "place": f"layer {layer} head {head}", "at": scale, "unit": "share"}
        results.append(measured("accuracy under scaled beta", accuracies, **where))
    return results


def tracking_head(costs: Sequence[Cost], kind: str = "beta halved") -> Cost:
    """Find the head on which this kind of intervention costs most.

    The default found the head that tracks on all three seeds of ``contrast``; the head with most beta near 2 was
    another one on one of them (docs/log.md, 2026-11-24).

    Raises:
        ValueError: there is none of this kind.
    """
    of_kind = [cost for cost in costs if cost.kind == kind]
    if not of_kind:
        raise ValueError(f"expected costs of kind {kind!r}, got none; the model has no such point")
    return max(of_kind, key=lambda cost: float(cost.lost.mean()))


def cost_results(subject: Subject, costs: Sequence[Cost]) -> list[Result]:
    """Turn costs into results, two for each; the interval over sequences is that of the accuracy lost."""
    rows = []
    for cost in costs:
        where: dict[str, Where] = {**subject.named, "variant": cost.kind, "place": cost.place}
        rows.append(number("accuracy under intervention", cost.after, unit="share", **where))
        rows.append(measured("accuracy lost", cost.lost, unit="share", **where))
    return rows
