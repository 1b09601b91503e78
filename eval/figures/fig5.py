"""Where the state is kept: beta by head, over long sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, COLOURS, panels
from trace_mine.eval.interpret import Head, described, heads_of, intervened, tracking_head
from trace_mine.eval.results import Result
from trace_mine.train.measure.sessions import sessions_of

NEEDS = ("swaps-delta", "swaps-delta01")
COMMANDS, SPACING = 512, 4
APART = 0.05
"""Of the share of values above 1.9 by which heads are said to differ."""


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    subjects = [subject for group in NEEDS for subject in bench.group(group)]
    figure, axes = panels(1, max(1, len(subjects)), width=2.0, height=2.6, sharey=True)
    rows: list[Result] = []
    margins, told = [], []
    for axis, subject in zip(axes[0], subjects, strict=True):
        sessions = sessions_of(subject.task_batches, commands=COMMANDS, spacing=SPACING, rows=2)
        heads = heads_of(subject, sessions)
        rows += described(subject, heads)
        violins(axis, heads)
        axis.set_title(f"{subject.label.replace('delta_net ', '')}, seed {subject.seed}")
        if subject.settings.model_keys.get("allow_neg_eigval"):
            tracks = tracking_head(intervened(subject, commands=64, spacing=2, rows=16))
            near = {(h.layer, h.head): float((h.beta > 1.9).mean()) for h in heads}
            own = near.pop((tracks.layer, tracks.head))
            margins.append(own - max(near.values(), default=0.0) - APART)
            told.append(
                f"seed {subject.seed}: {own:.2f} in the tracking head, {numbers(list(near.values()), 2)} elsewhere"
            )
    axes[0, 0].set_ylabel("beta (eigenvalue 1 - beta)")
    high = {
        each.run: [r.value for r in rows if r.run == each.run and r.metric == "beta above 1.9"] for each in subjects
    }
    shares = "; ".join(f"{run} {numbers(values, 2)}" for run, values in high.items())
    medians = numbers([float(np.median(r.value)) for r in rows if r.at == 50], 2)
    caption = (
        f"All tokens of two test sessions of {COMMANDS} commands, a reveal every {SPACING}; the bar is the "
        "median. Share of "
        f"beta above 1.9 by head: {shares}. Medians: {medians}."
    )
    claim = by_seeds(
        "The state-tracking head alone keeps beta near 2 (a share above 1.9 that exceeds every other head's by .05)",
        "section 4.1",
        margins,
        f"Share of beta above 1.9. {'; '.join(told)}.",
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=[claim])


def violins(axis: Any, heads: Sequence[Head]) -> None:
    """The law of every head's beta, beside 1 and 2."""
    parts = axis.violinplot([head.beta for head in heads], showmedians=True, widths=0.8)
    for number, body in enumerate(parts["bodies"]):
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
