"""Which head tracks: keys' dimensions by head, and what it costs to halve a head's range of beta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, legend_below, look, panels
from trace_mine.eval.interpret import Cost, described, heads_of, intervened, told_costs, tracking_head
from trace_mine.eval.results import Result
from trace_mine.train.measure.sessions import sessions_of

NEEDS = ("swaps-delta",)
COMMANDS, SPACING = 64, 2


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    figure, axes = panels(1, 2, width=3.6)
    rows: list[Result] = []
    fewer, alone, told = [], [], []
    labels: list[str] = []
    for number, subject in enumerate(bench.group(NEEDS[0])):
        heads = heads_of(subject, sessions_of(subject.task_batches, commands=512, spacing=4, rows=1))
        found = intervened(subject, commands=COMMANDS, spacing=SPACING, rows=bench.rows)
        rows += described(subject, heads) + told_costs(subject, found)
        tracks = tracking_head(found)
        for head in heads:
            own = (head.layer, head.head) == (tracks.layer, tracks.head)
            name = f"seed {subject.seed}, {'tracking' if own else 'other'} head"
            style = {**look(number), "linestyle": "-" if own else ":", "markersize": 3}
            axes[0, 0].plot(np.arange(1, len(head.spectrum) + 1), np.cumsum(head.spectrum), label=name, **style)
        mine = {(h.layer, h.head): h.components(0.9) for h in heads}
        own_count = mine.pop((tracks.layer, tracks.head))
        fewer.append(min(mine.values(), default=0) - own_count)
        lost = least_lost(found)
        most = lost.pop((tracks.layer, tracks.head))
        alone.append(min(most - 0.3, 0.05 - max(lost.values(), default=0.0)))
        others = numbers(list(lost.values()), 2)
        told.append(f"seed {subject.seed}: {most:.2f} lost in {tracks.layer}.{tracks.head}, {others} elsewhere")
        labels += bars(axes[0, 1], found, len(labels), f"s{subject.seed}", look(number)["color"])
    axes[0, 0].set_xlabel("principal components of the keys")
    axes[0, 0].set_ylabel("share of their variance")
    axes[0, 1].axhline(1 / 3, **BASELINE)
    axes[0, 1].set_xticks(range(len(labels)), labels, fontsize=6, rotation=90)
    axes[0, 1].set_ylabel("accuracy")
    legend_below(figure, axes)
    caption = (
        f"Left: keys of 512 commands. Right: n = 3, a reveal every {SPACING}, {COMMANDS} commands; one head's "
        "beta halved "
        "(range [0, 2] to [0, 1]) or the head silenced; chance .333. Accuracy lost by halving or capping, "
        f"whichever is less: {'; '.join(told)}."
    )
    claims = [
        by_seeds(
            "Scaling the range of the one tracking head destroys accuracy (over .3 lost), of others does "
            "nothing (below .05)",
            "section 4.1, A.2",
            alone,
            "; ".join(told) + ".",
        ),
        by_seeds(
            "The tracking head's keys need fewer principal components (90% of variance) than other heads'",
            "section 4.1",
            [float(value) for value in fewer],
            f"Fewer by {numbers([float(value) for value in fewer], 0)}.",
        ),
    ]
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims)


def least_lost(costs: Sequence[Cost]) -> dict[tuple[int, int], float]:
    """(layer, head) -> accuracy lost by halving beta or by capping it, the less of both."""
    halved, capped = (
        {(cost.layer, cost.head): float(cost.lost.mean()) for cost in costs if cost.kind == kind}
        for kind in ("beta halved", "beta capped")
    )
    return {place: min(halved[place], capped[place]) for place in halved}


def bars(axis: Any, costs: Sequence[Cost], first: int, seed: str, colour: str) -> list[str]:
    """A bar of accuracy for each intervention, from place ``first`` on; returns their labels."""
    kinds = [cost.kind.split()[-1] for cost in costs]
    for place, (cost, kind) in enumerate(zip(costs, kinds, strict=True), first):
        axis.bar(place, cost.after, color=colour, alpha={"halved": 0.9, "capped": 0.65}.get(kind, 0.4))
    return [f"{seed} {cost.layer}.{cost.head} {kind}" for cost, kind in zip(costs, kinds, strict=True)]


FIGURE = Figure(
    name="fig6",
    title="The head that tracks",
    recipe="contrast (n = 3 swaps, one layer, two heads); interventions on test sessions of 64 commands",
    paper="on n = 5, S = 2, L = 64 scaling that one head's range destroys accuracy and another's does nothing; "
    "its keys need "
    "far fewer components.",
    needs=NEEDS,
    draw=draw,
)
