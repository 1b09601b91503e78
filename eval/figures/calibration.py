"""How true a belief's confidence is: reliability, and KL by the entropy of the true belief and by age of the fact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, legend_below, look, panels
from trace_mine.eval.measure import beliefs, compared
from trace_mine.eval.results import Result, over_seeds
from trace_mine.train.measure.predictors import ExactFilter, LastShown, Predictor, Uniform, WindowFilter
from trace_mine.train.measure.sessions import sessions_of

NEEDS = ("belief-delta", "belief-gated", "belief-lstm", "belief-product", "belief-transformer")
FEWEST = 30
"""Sequences or, in the reliability diagram, reveals below which a point isn't drawn."""
METRICS = (
    ("reliability", "confidence", "share that came true"),
    ("belief KL by entropy", "entropy of the exact belief, nats", "KL(exact || model), nats"),
    ("belief KL by reveals", "reveals since the variable was shown", "KL(exact || model), nats"),
)


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    rows: list[Result] = []
    figure, axes = panels(1, 3, width=3.1)
    axes[0, 0].plot([0.3, 1], [0.3, 1], **BASELINE)
    totals, losses = {}, {}
    beside: list[Result] = []
    for number, group in enumerate(NEEDS):
        found: list[Result] = []
        for subject in bench.group(group):
            commands, spacing = subject.trained
            sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=bench.rows * 2)
            found += beliefs(sessions, subject.predictor, **subject.named, times=1.0)
            windows = [WindowFilter(window=window) for window in (0, spacing)]
            others: list[Predictor] = [ExactFilter(), Uniform(), LastShown(), *windows]
            beside = beside or compared(sessions, others, beliefs, times=1.0)
        rows += found
        if not found:
            continue
        label = found[0].model
        for axis, (metric, _, _) in zip(axes[0], METRICS, strict=True):
            axis.plot(*mean_points(found, metric).T, label=label, **look(number))
        totals[group] = [r.value for r in found if r.metric == "calibration error"]
        losses[label] = [r.value for r in found if r.metric == "belief KL"]
    rows += beside
    for axis, (_, x, y) in zip(axes[0], METRICS, strict=True):
        axis.set_xlabel(x)
        axis.set_ylabel(y)
    legend_below(figure, axes, columns=5)
    lstm = totals.get("belief-lstm", [])
    claim = by_seeds(
        "Small recurrent models' beliefs (DeltaNet's and an LSTM's) are calibrated at the trained length "
        "(error below .03)",
        "not in the paper",
        [0.03 - max(pair) for pair in zip(totals.get("belief-delta", []), lstm, strict=False)],
        f"DeltaNet {numbers(totals.get('belief-delta', []))}; LSTM {numbers(lstm)}.",
    )
    return Drawn(figure=figure, rows=rows, caption=caption(losses, beside, totals), claims=[claim])


def caption(losses: dict[str, list[float]], beside: Sequence[Result], totals: dict[str, list[float]]) -> str:
    """KL of every model by seed, of the known answers, and calibration errors by seed."""
    by_seed = "; ".join(f"{label} {numbers(values)}" for label, values in losses.items())
    kls = over_seeds([result for result in beside if result.metric == "belief KL"])
    known = "; ".join(f"{result.model} {values[0]:.4f}" for result, values in kls)
    return (
        f"On test sessions of the trained length (mean over seeds drawn). KL by seed: {by_seed}. Beside them: "
        f"{known}. Expected calibration error: "
        f"{'; '.join(f'{group} {numbers(values)}' for group, values in totals.items())}."
    )


def mean_points(results: Sequence[Result], metric: str) -> Floats:
    """[places, 2]: (at, value) of each place, the mean over seeds, of those that rest on ``FEWEST`` sequences."""
    by_place: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        if result.metric == metric and result.count >= FEWEST:
            by_place.setdefault(result.place, []).append((result.at, result.value))
    return np.array(sorted(tuple(np.mean(pairs, axis=0)) for pairs in by_place.values()))


FIGURE = Figure(
    name="calibration",
    title="How true beliefs are",
    recipe="belief: n = 3 maybe-swaps (p = .1), reveal every 2, 380 steps, at 48 commands",
    paper="none: the paper trained no belief tracker.",
    needs=NEEDS,
    draw=draw,
)
