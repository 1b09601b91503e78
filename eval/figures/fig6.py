"""The head that tracks: the dimensions of the keys by head, and accuracy along the scale of a head's range of beta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, legend_below, panels, style_of
from trace_mine.eval.interpret import (
    Cost,
    cost_results,
    head_results,
    heads_of,
    intervention_costs,
    scale_curve,
    tracking_head,
)
from trace_mine.eval.results import Result
from trace_mine.train.measure.sessions import sessions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEEDS = ("swaps-delta",)
COMMANDS, SPACING = 64, 2
"""Size of the sessions on which interventions are measured; twice as long as the trained ones."""


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    figure, axes = panels(1, 3, width=3.2)
    rows: list[Result] = []
    # a value a seed: components fewer than the other heads', the margin of the claim about accuracy, its evidence
    fewer, alone, evidence = [], [], []
    labels: list[str] = []
    for number, subject in enumerate(bench.group(NEEDS[0])):
        # long, so that keys of every command occur many times; one session, since sessions' keys are alike
        heads = heads_of(subject, sessions_of(subject.task_batches, commands=512, spacing=4, rows=1))
        short = sessions_of(subject.task_batches, commands=COMMANDS, spacing=SPACING, rows=bench.rows)
        costs = intervention_costs(subject, short)
        rows += head_results(subject, heads) + cost_results(subject, costs)
        # chosen on other sessions than those that score it: the largest of two noisy costs is too large
        choosing = sessions_of(
            subject.task_batches, commands=COMMANDS, spacing=SPACING, rows=bench.rows, split="validation"
        )
        tracking = tracking_head(intervention_costs(subject, choosing, ("beta halved",)))
        for head in heads:
            is_tracking = (head.layer, head.head) == (tracking.layer, tracking.head)
            name = f"seed {subject.seed}, {'tracking' if is_tracking else 'other'} head"
            style = {**style_of(number), "linestyle": "-" if is_tracking else ":", "markersize": 3}
            axes[0, 0].plot(np.arange(1, len(head.spectrum) + 1), np.cumsum(head.spectrum), label=name, **style)
            curve = scale_curve(subject, short, head.layer, head.head)
            rows += curve
            axes[0, 1].plot([each.at for each in curve], [each.value for each in curve], **style)
        components = {(head.layer, head.head): head.components(0.9) for head in heads}
        own_components = components.pop((tracking.layer, tracking.head))
        fewer.append(min(components.values(), default=0) - own_components)
        lost = least_lost(costs)
        own_lost = lost.pop((tracking.layer, tracking.head))
        # both halves of the claim: over .3 lost in the tracking head, and below .05 in every other one
        alone.append(min(own_lost - 0.3, 0.05 - max(lost.values(), default=0.0)))
        place, others = f"{tracking.layer}.{tracking.head}", numbers(list(lost.values()), 2)
        evidence.append(f"seed {subject.seed}: {own_lost:.2f} lost in {place}, {others} elsewhere")
        labels += bars(axes[0, 2], costs, len(labels), f"s{subject.seed}", style_of(number)["color"])
    axes[0, 0].set_xlabel("principal components of the keys")
    axes[0, 0].set_ylabel("share of their variance")
    for axis in axes[0, 1:]:
        axis.axhline(1 / 3, **BASELINE)  # chance: one of three values
        axis.set_ylabel("accuracy")
    axes[0, 1].set_xlabel("scale of one head's beta")
    axes[0, 2].set_xticks(range(len(labels)), labels, fontsize=6, rotation=90)
    legend_below(figure, axes)
    caption = (
        f"Left: keys of 512 commands. Middle and right: n = 3, a reveal every {SPACING}, {COMMANDS} commands; one "
        "head's beta scaled (.5: range [0, 2] to [0, 1]), capped at 1, or the head silenced; chance .333. The tracking "
        "head is chosen on validation sessions. Accuracy lost by halving or capping, whichever is less: "
        f"{'; '.join(evidence)}."
    )
    claims = [
        by_seeds(
            "Scaling the range of the one tracking head destroys accuracy (over .3 lost), of others does nothing "
            "(below .05)",
            "section 4.1, A.2",
            alone,
            "; ".join(evidence) + ".",
            NEEDS,
        ),
        by_seeds(
            "The tracking head's keys need fewer principal components (90% of variance) than other heads'",
            "section 4.1",
            [float(value) for value in fewer],
            f"Fewer by {numbers([float(value) for value in fewer], 0)}.",
            NEEDS,
        ),
    ]
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims)


def least_lost(costs: Sequence[Cost]) -> dict[tuple[int, int], float]:
    """Give (layer, head) -> the accuracy lost by halving beta or by capping it, whichever is less.

    Halving alone also breaks overwriting, so that it costs accuracy in a head that makes no reflections.
    """
    halved, capped = (
        {(cost.layer, cost.head): float(cost.lost.mean()) for cost in costs if cost.kind == kind}
        for kind in ("beta halved", "beta capped")
    )
    return {place: min(halved[place], capped[place]) for place in halved}


def bars(axis: Axes, costs: Sequence[Cost], first: int, seed: str, colour: str) -> list[str]:
    """Draw the accuracy under each intervention as a bar, from place ``first`` on, and return the bars' labels."""
    kinds = [cost.kind.split()[-1] for cost in costs]
    for place, (cost, kind) in enumerate(zip(costs, kinds, strict=True), first):
        axis.bar(place, cost.after, color=colour, alpha={"halved": 0.9, "capped": 0.65}.get(kind, 0.4))
    return [f"{seed} {cost.layer}.{cost.head} {kind}" for cost, kind in zip(costs, kinds, strict=True)]


FIGURE = Figure(
    name="fig6",
    title="The head that tracks",
    recipe="contrast (n = 3 swaps, one layer, two heads); interventions on test sessions of 64 commands",
    paper="on n = 5, S = 2, L = 64 scaling that one head's range destroys accuracy and another's does nothing; its "
    "keys need far fewer components.",
    needs=NEEDS,
    draw=draw,
)
