"""What hurts most: sessions found by search against each trained model, beside random ones and the exact filter."""

from __future__ import annotations

import numpy as np

from trace_mine.eval.adversary import search
from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import legend_below, look, panels
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
    worst: dict[str, list[float]] = {}
    fair: dict[str, list[float]] = {}
    lucky: dict[str, list[float]] = {}
    example = ""
    for place, group in enumerate(NEEDS):
        for subject in bench.group(group):
            spacing = subject.trained[1]
            stream = subject.task_batches.stream(*subject.trained, "test")
            found = search(subject.predictor, stream, reveals=reveals, spacing=spacing, width=width)
            sessions = sessions_of(subject.task_batches, commands=reveals * spacing, spacing=spacing, rows=fair_rows)
            usual = score(sessions.exact, sessions.laws_of(subject.predictor), sessions.shown).kl
            luck = float(usual.max())
            at = np.arange(1, reveals + 1)
            first = subject is bench.group(group)[0]
            label = subject.label if first else None
            axes[0, 0].plot(at, found.worst, label=label and f"{label}, searched", **look(place))
            axes[0, 0].plot(at, usual.mean(0), label=label and f"{label}, random", **{**look(place), "linestyle": ":"})
            hard = sessions_from(stream, found.plays)
            truth = score(hard.exact, hard.laws_of(ExactFilter()), hard.shown).kl[:, -1]
            axes[0, 1].plot(np.sort(found.kl)[::-1], label=None, **{**look(place), "marker": ""})
            told = {**subject.named, "commands": reveals * spacing, "spacing": spacing}
            for step in range(reveals):
                rows.append(number("adversarial KL", float(found.worst[step]), at=step + 1.0, **told))
                rows.append(number("random KL", float(usual[:, step].mean()), at=step + 1.0, **told))
            rows.append(number("exact filter's KL there", float(truth.max()), **told))
            worst.setdefault(subject.label, []).append(float(found.worst.max()))
            fair.setdefault(subject.label, []).append(float(usual.mean()))
            lucky.setdefault(subject.label, []).append(luck)
            rows.append(number("worst fair KL", luck, count=usual.size, **told))
            if not example:
                tokens = hard.batch.tokens[0]
                example = "".join(stream.vocabulary[token] for token in tokens)[-180:].replace("\n", " / ")
    axes[0, 0].set_xlabel("reveals")
    axes[0, 0].locator_params("x", integer=True)
    axes[0, 0].set_ylabel("KL(exact || model), nats")
    axes[0, 0].set_yscale("log")
    axes[0, 1].set_xlabel("sessions of the last beam, worst first")
    axes[0, 1].set_ylabel("KL at the last reveal")
    legend_below(figure, axes, columns=3)
    parts = [
        f"{label}: searched {numbers(values, 2)}, worst fair {numbers(lucky[label], 2)}, mean {numbers(fair[label], 3)}"
        for label, values in worst.items()
    ]
    caption = (
        f"Beam of {width} over commands, questions and answers of at least 5% each; n = 3, p = .1; beside it "
        f"{fair_rows} "
        f"sessions drawn fairly. Largest KL by seed: {'; '.join(parts)}. The exact filter's is 0 on all of them. The "
        f"beam is greedy: harm at the last reveal may be below that on the way. The end of one: {example}"
    )
    claims = [
        by_seeds(
            f"A search finds sessions that hurt {label} more than the worst of about as many fair reveals",
            "section 6 (for representations)",
            [w - f for w, f in zip(values, lucky[label], strict=True)],
            f"Searched {numbers(values, 2)}; worst fair {numbers(lucky[label], 2)}; mean fair "
            f"{numbers(fair[label], 3)}.",
        )
        for label, values in worst.items()
    ]
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims)


FIGURE = Figure(
    name="adversary",
    title="Sessions that hurt most",
    recipe="belief (n = 3 maybe-swaps, reveal every 2); beam search against each trained model",
    paper="adversaries of the joint and marginal representations, not of trained models.",
    needs=NEEDS,
    draw=draw,
)
