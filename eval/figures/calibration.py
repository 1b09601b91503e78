"""The truth of a belief's confidence: reliability, KL by the entropy of the exact belief, and KL by age of the fact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, legend_below, panels, style_of
from trace_mine.eval.measure import beliefs, compared
from trace_mine.eval.results import Result, over_seeds
from trace_mine.train.measure.predictors import ExactFilter, LastShown, Predictor, Uniform, WindowFilter
from trace_mine.train.measure.sessions import sessions_of

NEEDS = ("belief-delta", "belief-gated", "belief-lstm", "belief-product", "belief-transformer")
FEWEST = 30
"""A point that rests on fewer sequences (in the reliability diagram: reveals) isn't drawn."""
# (metric of the results, label of the x axis, label of the y axis), a panel each
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
    # from 0.3, since a likeliest one of three values has at least a third
    axes[0, 0].plot([0.3, 1], [0.3, 1], **BASELINE)
    errors, losses = {}, {}  # calibration error by group, belief KL by label; a value a seed
    known_answers: list[Result] = []
    for number, group in enumerate(NEEDS):
        of_group: list[Result] = []
        for subject in bench.group(group):
            commands, spacing = subject.trained
            # twice the sessions of other figures: bins of confidence and of entropy share them out
            sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=bench.rows * 2)
            of_group += beliefs(sessions, subject.predictor, **subject.named, times=1.0)
            windows = [WindowFilter(window=window) for window in (0, spacing)]
            predictors: list[Predictor] = [ExactFilter(), Uniform(), LastShown(), *windows]
            # once: they are the same for all models, but for the sessions of another seed
            known_answers = known_answers or compared(sessions, predictors, beliefs, times=1.0)
        rows += of_group
        if not of_group:
            continue
        label = of_group[0].model
        for axis, (metric, _, _) in zip(axes[0], METRICS, strict=True):
            axis.plot(*mean_points(of_group, metric).T, label=label, **style_of(number))
        errors[group] = [r.value for r in of_group if r.metric == "calibration error"]
        losses[label] = [r.value for r in of_group if r.metric == "belief KL"]
    rows += known_answers
    for axis, (_, x, y) in zip(axes[0], METRICS, strict=True):
        axis.set_xlabel(x)
        axis.set_ylabel(y)
    legend_below(figure, axes, columns=5)
    delta, lstm = errors.get("belief-delta", []), errors.get("belief-lstm", [])
    claim = by_seeds(
        "Small recurrent models' beliefs (DeltaNet's and an LSTM's) are calibrated at the trained length (error below "
        ".03)",
        "not in the paper",
        [0.03 - max(pair) for pair in zip(delta, lstm, strict=False)],
        f"DeltaNet {numbers(delta)}; LSTM {numbers(lstm)}.",
        ("belief-delta", "belief-lstm"),
    )
    return Drawn(figure=figure, rows=rows, caption=caption(losses, known_answers, errors), claims=[claim])


def caption(losses: dict[str, list[float]], known_answers: Sequence[Result], errors: dict[str, list[float]]) -> str:
    """Give the belief KL of every model by seed and of the known answers, and the calibration errors by seed."""
    by_seed = "; ".join(f"{label} {numbers(values)}" for label, values in losses.items())
    kls = over_seeds([result for result in known_answers if result.metric == "belief KL"])
    beside = "; ".join(f"{result.model} {values[0]:.4f}" for result, values in kls)
    error_by_seed = "; ".join(f"{group} {numbers(values)}" for group, values in errors.items())
    return (
        f"On test sessions of the trained length (mean over seeds drawn). KL by seed: {by_seed}. Beside them: "
        f"{beside}. Expected calibration error: {error_by_seed}."
    )


def mean_points(results: Sequence[Result], metric: str) -> Floats:
    """[places, 2]: the points (at, value) of a metric in order, each a mean over those seeds with ``FEWEST`` or more
    sequences there.
    """
    by_place: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        if result.metric == metric and result.count >= FEWEST:
            by_place.setdefault(result.place, []).append((result.at, result.value))
    return np.array(sorted(tuple(np.mean(pairs, axis=0)) for pairs in by_place.values()))


FIGURE = Figure(
    name="calibration",
    title="How true beliefs are",
    recipe="belief: n = 3 maybe-swaps (p = .1), reveal every 2, 1.9 M tokens, at 48 commands",
    paper="none: the paper trained no belief tracker.",
    needs=NEEDS,
    draw=draw,
)
