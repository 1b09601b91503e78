"""Inside the delta family: beta and keys by layer and head, and which head keeps the state.

Beta near 2 makes an eigenvalue near -1 (1 - beta): such a head can swap. Its range is halved, or the head silenced, and
what that costs is measured on the same sessions: the head whose loss costs most is the one that tracks.
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
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.models.language_model import SequenceModel

NEAR_TWO = 1.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """``beta`` [values], of every token (and sub-step) of the sessions; ``spectrum`` [K]: the shares of its keys'
    variance that their principal components have, largest first.
    """

    layer: int
    head: int
    beta: Floats
    spectrum: Floats

    @property
    def place(self) -> str:
        """The place in results."""
        return f"layer {self.layer} head {self.head}"

    def components(self, share: float) -> int:
        """How many principal components have this share of the keys' variance."""
        return min(int(np.searchsorted(np.cumsum(self.spectrum), share - 1e-12) + 1), len(self.spectrum))


def has_beta(subject: Subject) -> bool:
    """Whether some layer has beta."""
    return any("beta" in block.mixing.points for block in subject.model.blocks)


@torch.no_grad()
def heads_of(subject: Subject, sessions: Sessions) -> list[Head]:
    """Every head's beta and keys on the sessions, up to the length of the shortest.

    Raises:
        ValueError: the model has no beta.
    """
    if not has_beta(subject):
        raise ValueError(f"expected a model of the delta family, got {subject.label}, which has no beta")
    device = next(subject.model.parameters()).device
    layers = [n for n, block in enumerate(subject.model.blocks) if "beta" in block.mixing.points]
    with recording(subject.model, ("beta", "keys"), layers) as readings:
        subject.model(
            input_ids=torch.from_numpy(sessions.batch.tokens[:, : int(sessions.batch.lengths.min())]).to(device)
        )
    heads = []
    for layer in layers:
        beta, keys = (torch.cat(readings[layer, point]).double().cpu().numpy() for point in ("beta", "keys"))
        for head in range(beta.shape[-1]):
            centred = keys[..., head, :].reshape(-1, keys.shape[-1])
            values = np.linalg.svd(centred - centred.mean(0), compute_uv=False) ** 2
            spectrum = values / max(values.sum(), 1e-300)
            heads.append(Head(layer=layer, head=head, beta=beta[..., head].ravel(), spectrum=spectrum))
    return heads


def described(subject: Subject, heads: Sequence[Head]) -> list[Result]:
    """Beta's quartiles, its share above 1.9 and the number of key components, by head."""
    results = []
    for each in heads:
        where: dict[str, Where] = {**subject.named, "place": each.place, "count": len(each.beta)}
        for percent in (5, 25, 50, 75, 95):
            value = float(np.percentile(each.beta, percent))
            results.append(number("beta percentile", value, at=float(percent), **where))
        results.append(number("beta above 1.9", float((each.beta > NEAR_TWO).mean()), unit="share", **where))
        for share in (0.9, 0.95, 0.99):
            results.append(number("key components", float(each.components(share)), at=share, **where))
    return results


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cost:
    """What an intervention on one head (head -1: on all heads of the layer) costs: accuracy without, with, and
    by sequence the difference [sequences].
    """

    layer: int
    head: int
    kind: str
    before: float
    after: float
    lost: Floats


def capping_beta(model: SequenceModel, layer: int, head: int) -> AbstractContextManager[object]:
    """While inside, no beta of this head is above 1: reflections become overwriting, and overwriting stays whole."""

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
"""Halving takes a range of [0, 2] to [0, 1] and also halves what was 1; capping leaves that alone."""


def costs(subject: Subject, sessions: Sessions) -> list[Cost]:
    """Every intervention on every head of the layers with beta (for other models: silencing alone)."""

    def accuracies(context: AbstractContextManager[object]) -> Floats:
        """[sequences]: of each, while inside the context."""
        with context:
            law = sessions.laws_of(subject.predictor)
        return np.asarray(hits(law, sessions.shown).mean(axis=1))

    before = accuracies(nullcontext())
    results = []
    for layer, block in enumerate(subject.model.blocks):
        for kind, context in KINDS.items():
            if ("beta" if "beta" in kind else "heads") not in block.mixing.points:
                continue
            for head in range(getattr(block.mixing, "num_heads", 0)):
                after = accuracies(context(subject.model, layer, head))
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


def tracking_head(costs: Sequence[Cost], kind: str = "beta halved") -> Cost:
    """The head whose intervention costs most.

    Raises:
        ValueError: there is none of this kind.
    """
    of_kind = [each for each in costs if each.kind == kind]
    if not of_kind:
        raise ValueError(f"expected costs of kind {kind!r}, got none; the model has no such point")
    return max(of_kind, key=lambda each: float(each.lost.mean()))


def told_costs(subject: Subject, costs: Sequence[Cost]) -> list[Result]:
    """Costs as results; the interval is of the accuracy that is lost, over sequences."""
    rows = []
    for each in costs:
        where: dict[str, Where] = {**subject.named, "variant": each.kind}
        where["place"] = f"layer {each.layer} head {each.head}"
        rows.append(number("accuracy under intervention", each.after, unit="share", **where))
        rows.append(measured("accuracy lost", each.lost, unit="share", **where))
    return rows


def intervened(subject: Subject, *, commands: int, spacing: int, rows: int) -> list[Cost]:
    """``costs`` on test sessions of this size."""
    return costs(subject, sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=rows))
