"""Sessions that hurt most: found by search against each trained model, beside random ones and the exact filter.

The yardstick is the worst of many fair reveals, not their mean: over 24,000 fair reveals the maximum has been 2 to 4
nats and the mean .04, and the beam found 2.6 to 4.6. Hence about as many fair reveals are drawn as the search scores.
"""

from __future__ import annotations

import numpy as np

from trace_mine.eval.adversary import search
from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import AxesGrid, legend_below, panels, style_of
from trace_mine.eval.results import Result, number
from trace_mine.train.measure.predictors import ExactFilter
from trace_mine.train.measure.scores import score
from trace_mine.train.measure.sessions import sessions_from, sessions_of

NEEDS = ("belief-delta", "belief-gated", "belief-lstm")


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    reveals, width = (5, 8) if bench.fast else (12, 24)
    figure, axes = panels(1, 2, width=3.6)
    fair_rows = 520 if bench.fast else 2_000  # about as many reveals as the search scores: 2,619 and 21,411
    rows: list[Result] = []
    # by model's label, a value a seed: the worst that was searched, the mean and the worst of fair reveals
    worst: dict[str, list[float]] = {}
    fair_means: dict[str, list[float]] = {}
    fair_worst: dict[str, list[float]] = {}
    example = ""
    for place, group in enumerate(NEEDS):
        for subject in bench.group(group):
            spacing = subject.trained[1]
            stream = subject.task_batches.stream(*subject.trained, "test")
            searched = search(subject.predictor, stream, reveals=reveals, spacing=spacing, width=width)
            sessions = sessions_of(subject.task_batches, commands=reveals * spacing, spacing=spacing, rows=fair_rows)
            fair = score(sessions.exact, sessions.laws_of(subject.predictor), sessions.shown).kl
            at = np.arange(1, reveals + 1)
            # one label a group: a line for each seed would fill the legend
            label = subject.label if subject is bench.group(group)[0] else None
            axes[0, 0].plot(at, searched.worst, label=label and f"{label}, searched", **style_of(place))
            axes[0, 0].plot(
                at, fair.mean(0), label=label and f"{label}, random", **{**style_of(place), "linestyle": ":"}
            )
            hard = sessions_from(stream, searched.plays)
            # 0 but for rounding, or the search would have left what the game can show
            truth = score(hard.exact, hard.laws_of(ExactFilter()), hard.shown).kl[:, -1]
            axes[0, 1].plot(np.sort(searched.kl)[::-1], label=None, **{**style_of(place), "marker": ""})
            where = {**subject.named, "commands": reveals * spacing, "spacing": spacing}
            for step in range(reveals):
                rows.append(number("adversarial KL", float(searched.worst[step]), at=step + 1.0, **where))
                rows.append(number("random KL", float(fair[:, step].mean()), at=step + 1.0, **where))
            rows.append(number("exact filter's KL there", float(truth.max()), **where))
            worst.setdefault(subject.label, []).append(float(searched.worst.max()))
            fair_means.setdefault(subject.label, []).append(float(fair.mean()))
            fair_worst.setdefault(subject.label, []).append(float(fair.max()))
            rows.append(number("worst fair KL", float(fair.max()), count=fair.size, **where))
            # the worst session against the first model, its end: the caption has room for some 180 characters
            if not example:
                tokens = hard.batch.tokens[0]
                example = "".join(stream.vocabulary[token] for token in tokens)[-180:].replace("\n", " / ")
    name_axes(axes)
    legend_below(figure, axes, columns=3)
    parts = [
        f"{label}: searched {numbers(values, 2)}, worst fair {numbers(fair_worst[label], 2)}, "
        f"mean {numbers(fair_means[label], 3)}"
        for label, values in worst.items()
    ]
    caption = (
        f"Beam of {width} over commands, questions and answers of at least 5% each; n = 3, p = .1; beside it "
        f"{fair_rows} sessions drawn fairly. Largest KL by seed: {'; '.join(parts)}. The exact filter's is 0 on all of "
        f"them. The beam is greedy: harm at the last reveal may be below that on the way. The end of one: {example}"
    )
    groups = bench.labels(NEEDS)
    claims = [
        by_seeds(
            f"A search finds sessions that hurt {label} more than the worst of about as many fair reveals",
            "section 6 (for representations)",
            [searched - fair for searched, fair in zip(values, fair_worst[label], strict=True)],
            f"Searched {numbers(values, 2)}; worst fair {numbers(fair_worst[label], 2)}; mean fair "
            f"{numbers(fair_means[label], 3)}.",
            [groups[label]],
        )
        for label, values in worst.items()
    ]
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims)


def name_axes(axes: AxesGrid) -> None:
    """Name and scale the axes of both panels."""
    axes[0, 0].set_xlabel("reveals")
    axes[0, 0].locator_params("x", integer=True)
    axes[0, 0].set_ylabel("KL(exact || model), nats")
    axes[0, 0].set_yscale("log")
    axes[0, 1].set_xlabel("sessions of the last beam, worst first")
    axes[0, 1].set_ylabel("KL at the last reveal")


FIGURE = Figure(
    name="adversary",
    title="Sessions that hurt most",
    recipe="belief (n = 3 maybe-swaps, reveal every 2); beam search against each trained model",
    paper="adversaries of the joint and marginal representations, not of trained models.",
    needs=NEEDS,
    draw=draw,
)
