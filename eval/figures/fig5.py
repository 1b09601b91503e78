"""Beta by layer and head over long sessions: the head that keeps the state should have beta near 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, COLOURS, panels
from trace_mine.eval.interpret import NEAR_TWO, Head, head_results, heads_of, intervention_costs, tracking_head
from trace_mine.eval.results import Result
from trace_mine.train.measure.sessions import sessions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

NEEDS = ("swaps-delta", "swaps-delta01")
COMMANDS, SPACING = 512, 4
"""Size of the sessions, 16 times as long as the trained ones."""
APART = 0.05
"""Heads differ where their shares of beta above 1.9 differ by more than this."""


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    subjects = [subject for group in NEEDS for subject in bench.group(group)]
    figure, axes = panels(1, max(1, len(subjects)), width=2.0, height=2.6, sharey=True)
    rows: list[Result] = []
    margins, evidence = [], []
    for axis, subject in zip(axes[0], subjects, strict=True):
        sessions = sessions_of(subject.task_batches, commands=COMMANDS, spacing=SPACING, rows=2)
        # two sessions have 1,280 tokens and more, enough for the distribution of a head's beta
        heads = heads_of(subject, sessions)
        rows += head_results(subject, heads)
        violins(axis, heads)
        # "[-1, 1], seed 0": the panel is too narrow for the model's name
        axis.set_title(f"{subject.label.replace('delta_net ', '')}, seed {subject.seed}")
        if subject.settings.model_keys.get("allow_neg_eigval"):
            # which head tracks is found by interventions, not by beta itself: the claim would be true by definition
            short = sessions_of(subject.task_batches, commands=64, spacing=2, rows=16, split="validation")
            tracking = tracking_head(intervention_costs(subject, short, ("beta halved",)))
            shares = {(head.layer, head.head): float((head.beta > NEAR_TWO).mean()) for head in heads}
            own = shares.pop((tracking.layer, tracking.head))
            margins.append(own - max(shares.values(), default=0.0) - APART)
            others = numbers(list(shares.values()), 2)
            evidence.append(f"seed {subject.seed}: {own:.2f} in the tracking head, {others} elsewhere")
    axes[0, 0].set_ylabel("beta (eigenvalue 1 - beta)")
    by_run = {
        each.run: [r.value for r in rows if r.run == each.run and r.metric == "beta above 1.9"] for each in subjects
    }
    shares_by_run = "; ".join(f"{run} {numbers(values, 2)}" for run, values in by_run.items())
    medians = numbers([float(np.median(r.value)) for r in rows if r.at == 50], 2)
    caption = (
        f"All tokens of two test sessions of {COMMANDS} commands, a reveal every {SPACING}; the bar is the median. "
        f"Share of beta above 1.9 by head: {shares_by_run}. Medians: {medians}."
    )
    claim = by_seeds(
        "The state-tracking head alone keeps beta near 2 (a share above 1.9 that exceeds every other head's by .05)",
        "section 4.1",
        margins,
        f"Share of beta above 1.9. {'; '.join(evidence)}.",
        NEEDS[:1],
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=[claim])


def violins(axis: Axes, heads: Sequence[Head]) -> None:
    """Draw the distribution of every head's beta as a violin, with lines at 1 (overwriting) and 2 (reflection)."""
    parts = axis.violinplot([head.beta for head in heads], showmedians=True, widths=0.8)
    # matplotlib says only that this is a Collection, its word for a group of shapes, where it is a list of them
    bodies = cast("list[PolyCollection]", parts["bodies"])
    for number, body in enumerate(bodies):
        body.set_facecolor(COLOURS[number % len(COLOURS)])
        body.set_alpha(0.6)
    axis.set_xticks(range(1, len(heads) + 1), [f"{head.layer}.{head.head}" for head in heads])
    axis.axhline(2.0, **BASELINE)
    axis.axhline(1.0, **BASELINE)
    axis.set_xlabel("layer.head")


FIGURE = Figure(
    name="fig5",
    title="Beta by layer and head",
    recipe="contrast (n = 3 swaps, one layer, two heads), 512 commands with a reveal every 4",
    paper="the state-tracking head alone keeps beta near 2, that is an eigenvalue near -1.",
    needs=NEEDS,
    draw=draw,
)
