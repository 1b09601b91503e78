"""Which head tracks the state: change one head at a time while the model runs, and see what that costs.

All changes are measured on the same sessions, so that the cost of one, and the difference of two, have intervals over
paired sequences. Halving beta, the paper's change, takes away reflections (beta 2) but overwriting (beta 1) as well, so
it costs a head of [0, 1], too; ``CAPPED`` touches only tokens whose beta is above 1, and what it costs is the loss of
negative eigenvalues. (That a smaller beta also writes less is no matter: one factor for all of a head's writes goes out
in the norm of its output.) NOT covered: heads that stand in for one another, each dispensable alone; the change of all
heads at once is the check.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from corpus.synthetic.game import Floats
from eval.interpret import head_place
from eval.measure import score
from eval.results import Result, interval, measured
from eval.sessions import Sessions
from eval.subjects import Subject
from train.hooks import intervening, scaling_beta, zeroing_head
from train.models.language_model import SequenceModel

HALVED, CAPPED, REMOVED = "beta halved", "beta at most 1", "head removed"
Change = Callable[[SequenceModel, int, int], AbstractContextManager[None]]
Head = tuple[int, int]
"""Layer and head."""


def _capped(model: SequenceModel, layer: int, head: int) -> AbstractContextManager[None]:
    def change(beta: Tensor) -> Tensor:
        capped = beta.clone()
        capped[..., head].clamp_(max=1.0)
        return capped

    return intervening(model, layer, "beta", change)


CHANGES: dict[str, Change] = {
    HALVED: lambda model, layer, head: scaling_beta(model, layer, head, 0.5),
    CAPPED: _capped,
    REMOVED: zeroing_head,
}
"""Name to what is done to a head. All but the last need a beta: where it reaches 2, they take eigenvalues from [-1, 1]
to [0, 1]. A test holds every member to the same contract."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effect:
    """What a change of ``heads`` did, one number a sequence [sequences]: ``accuracy`` and ``kl`` with the change,
    ``accuracy_before`` and ``kl_before`` without. ``cost``: the accuracy lost, or where the task hides outcomes the
    belief KL gained.
    """

    change: str
    heads: tuple[Head, ...]
    accuracy: Floats
    accuracy_before: Floats
    kl: Floats
    kl_before: Floats
    is_hidden: bool

    @property
    def cost(self) -> Floats:
        """[sequences]: positive where the change hurts."""
        return self.kl - self.kl_before if self.is_hidden else self.accuracy_before - self.accuracy

    @property
    def place(self) -> str:
        """Its head, or ``all heads``."""
        return head_place(*self.heads[0]) if len(self.heads) == 1 else "all heads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The head whose change costs most. ``low``, ``high``: the 95% interval of its mean cost; ``ahead``: by how much
    more than the next head's, with its interval (nan where there is one head).
    """

    change: str
    layer: int
    head: int
    cost: float
    low: float
    high: float
    ahead: float
    ahead_low: float
    ahead_high: float

    @property
    def is_clear(self) -> bool:
        """Whether the change costs something, and more than that of any other head."""
        return self.low > 0 and not self.ahead_low <= 0


def heads_of(model: SequenceModel) -> list[Head]:
    """Every head that can be changed.

    Raises:
        ValueError: the model has no heads.
    """
    found = [(n, h) for n, b in enumerate(model.blocks) for h in range(getattr(b.mixing, "num_heads", 0))]
    if not found:
        raise ValueError(f"expected a model with heads, got {type(model).__name__}, which mixes in one piece")
    return found


def changes_of(model: SequenceModel) -> tuple[str, ...]:
    """The changes that the model allows: without a beta only removal."""
    has_beta = all("beta" in block.mixing.points for block in model.blocks)
    return tuple(CHANGES) if has_beta else (REMOVED,)


def effects(subject: Subject, sessions: Sessions, changes: Sequence[str] | None = None) -> list[Effect]:
    """Each change (None: those that the model allows) of each head alone and, where there are several, of all at once.

    Raises:
        ValueError: there is no such change, or the model has no heads or no beta.
    """
    model = subject.model
    heads = heads_of(model)
    wanted = changes_of(model) if changes is None else tuple(changes)
    for change in wanted:
        if change not in CHANGES:
            raise ValueError(f"expected a change among {', '.join(CHANGES)}, got {change!r}")
        if change not in changes_of(model):
            raise ValueError(f"expected a model with beta for {change!r}, got {subject.label}; take {REMOVED!r}")
    before = _scored(subject, sessions)
    found = []
    for change in wanted:
        for chosen in [*((head,) for head in heads), *([tuple(heads)] if len(heads) > 1 else [])]:
            with contextlib.ExitStack() as stack:
                for layer, head in chosen:
                    stack.enter_context(CHANGES[change](model, layer, head))
                hits, kl = _scored(subject, sessions)
            found.append(
                Effect(
                    change=change,
                    heads=chosen,
                    accuracy=hits,
                    accuracy_before=before[0],
                    kl=kl,
                    kl_before=before[1],
                    is_hidden=sessions.stream.game.is_hidden,
                )
            )
    return found


def tracking_head(found: Sequence[Effect], change: str = HALVED) -> Found:
    """The head that the change finds.

    Raises:
        ValueError: the change wasn't measured on any head.
    """
    single = [effect for effect in found if effect.change == change and effect.place != "all heads"]
    if not single:
        raise ValueError(f"expected effects of {change!r}, got none; give effects(subject, sessions, [{change!r}])")
    first, *others = sorted(single, key=lambda effect: -effect.cost.mean())
    low, high = interval(first.cost)
    ahead, ahead_low, ahead_high = np.nan, np.nan, np.nan
    if others:
        lead = first.cost - others[0].cost
        ahead, (ahead_low, ahead_high) = float(lead.mean()), interval(lead)
    (layer, head), *_ = first.heads
    return Found(
        change=change,
        layer=layer,
        head=head,
        cost=float(first.cost.mean()),
        low=low,
        high=high,
        ahead=ahead,
        ahead_low=ahead_low,
        ahead_high=ahead_high,
    )


def effect_results(found: Sequence[Effect], sessions: Sessions, **named: Any) -> list[Result]:
    """Accuracy and belief KL without any change, with each, and the differences; ``variant`` is the change."""
    if not found:
        return []
    where = {**_where(sessions), **named}
    rows = [
        measured("accuracy", found[0].accuracy_before, unit="share", **where),
        measured("belief KL", found[0].kl_before, unit="nats", **where),
    ]
    for effect in found:
        told = {**where, "variant": effect.change, "place": effect.place}
        lost, gained = effect.accuracy_before - effect.accuracy, effect.kl - effect.kl_before
        rows += [
            measured("accuracy", effect.accuracy, unit="share", **told),
            measured("belief KL", effect.kl, unit="nats", **told),
            measured("accuracy lost", lost, unit="share", **told),
            measured("belief KL gained", gained, unit="nats", **told),
        ]
    return rows


def found_results(found: Found, sessions: Sessions, **named: Any) -> list[Result]:
    """The head that was found, as rows: what its change costs, and how far the next head is behind."""
    unit = "nats" if sessions.stream.game.is_hidden else "share"
    told: dict[str, Any] = {"variant": found.change, "place": head_place(found.layer, found.head), "unit": unit}
    told |= {"count": len(sessions.shown), **_where(sessions), **named}
    return [
        Result(metric="cost of the tracking head", value=found.cost, low=found.low, high=found.high, **told),
        Result(metric="ahead of the next head", value=found.ahead, low=found.ahead_low, high=found.ahead_high, **told),
    ]


def _where(sessions: Sessions) -> dict[str, Any]:
    stream = sessions.stream
    told = {"commands": sessions.commands, "spacing": sessions.plays.spacing}
    return {**told, "split": stream.split, "task": stream.task.name}


def _scored(subject: Subject, sessions: Sessions) -> tuple[Floats, Floats]:
    """(accuracy, belief KL), each [sequences]: the means over a sequence's reveals."""
    told = score(sessions.exact, sessions.laws_of(subject.predictor), sessions.shown)
    return told.hits.mean(axis=1), told.kl.mean(axis=1)
