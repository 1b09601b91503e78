"""Is the belief in there? Probes to the exact belief, with controls, and the true simplex beside the probed one."""

from __future__ import annotations

from typing import Any

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game
from trace_mine.eval.claims import Claim, by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import panels
from trace_mine.eval.probes import Probed, features, positions, ridge, shuffled, untrained
from trace_mine.eval.results import Result
from trace_mine.eval.steering import steered_run
from trace_mine.train.measure.laws import joint_beliefs
from trace_mine.train.measure.sessions import sessions_of

NEEDS = ("belief-delta", "belief-gated", "belief-lstm")
TOLD = ("", "control: random", "control: shuffled")
"""Pushes that the claim compares."""
UNTRAINED = "control: untrained"
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    figure, axes = panels(2, len(NEEDS), width=2.5, height=2.5)
    rows: list[Result] = []
    told: dict[str, list[float]] = {}
    controls: dict[str, list[float]] = {}
    followed: dict[str, dict[str, list[float]]] = {}
    for column, group in enumerate(NEEDS):
        for subject in bench.group(group):
            commands, spacing = subject.trained
            sessions = sessions_of(
                subject.task_batches, commands=commands, spacing=spacing, rows=max(20, 2 * bench.rows)
            )
            game = sessions.stream.game
            belief = joint_beliefs(game, sessions.plays)
            place = "layer 0 state"
            x = features(subject.model, sessions)[place]
            cases = {
                "": (x, belief),
                "control: shuffled": (x, shuffled(belief)),
                "control: position": (positions(x), belief),
            }
            cases[UNTRAINED] = features(untrained(subject), sessions)[place], belief
            is_first = subject is bench.group(group)[0]
            for variant, (inputs, target) in cases.items():
                probe = ridge(inputs, target)
                where: dict[str, Any] = {**subject.named, "variant": variant, "place": place, "count": probe.count}
                where |= {"low": probe.low, "high": probe.high}
                rows.append(Result(metric="probe to the belief, R2", value=probe.value, **where))
                (controls if variant else told).setdefault(named(subject.label, variant), []).append(probe.value)
                if not variant and is_first:
                    beside(axes[:, column], game, probe, subject.label)
            steering = steered_run(subject, rows=max(16, bench.rows))
            rows += steering
            for result in steering:
                if result.metric == "steering slope":
                    followed.setdefault(subject.label, {}).setdefault(result.variant, []).append(result.value)
    parts = [f"{label} {numbers(values, 2)}" for label, values in told.items()]
    others = [f"{label} {numbers(values, 2)}" for label, values in controls.items()]
    steers = [
        f"{label}, {variant or 'along the probe'} {numbers(values, 2)}"
        for label, by_variant in followed.items()
        for variant, values in by_variant.items()
    ]
    caption = (
        "Ridge from the recurrent state (after PCA) to the exact joint belief, read before the question; the "
        "triangles show "
        f"what variable a may hold, coloured by the truth. R2 on held-out sessions by seed: {'; '.join(parts)}. "
        "Controls: "
        f"{'; '.join(others)}. Steering, slope of the prediction towards the target (1: all the way): "
        f"{'; '.join(steers)}."
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims(told, controls, followed))


def beside(axes: Any, game: Game, probe: Probed, label: str) -> None:
    """What the first variable may hold, in truth and as probed, as two triangles."""
    first = np.eye(len(game.items))[game.holds[:, 0]]
    for axis, points in zip(axes, (probe.true @ first, probe.predicted @ first), strict=True):
        scatter(axis, points.reshape(-1, 3), (probe.true @ first).reshape(-1, 3))
    axes[0].set_title(f"true ({label})")
    axes[1].set_title(f"probed, R2 {probe.value:.2f}")


def claims(
    told: dict[str, list[float]], controls: dict[str, list[float]], followed: dict[str, dict[str, list[float]]]
) -> list[Claim]:
    """Of every model: the belief is readable from its state, and a push along the probe moves the prediction."""
    readable = [
        by_seeds(
            f"The belief is linearly readable from the recurrent state of {label} (R2 above .5 and above the "
            "untrained by .1)",
            "not in the paper",
            [min(v - 0.5, v - c - 0.1) for v, c in zip(values, controls[named(label, UNTRAINED)], strict=True)],
            f"R2 {numbers(values, 2)}; untrained {numbers(controls[named(label, UNTRAINED)], 2)}.",
        )
        for label, values in told.items()
    ]
    steerable = [
        by_seeds(
            f"Pushed along its probe, the state of {label} gives what the other belief implies (slope above .8, both "
            "controls of its size below .2)",
            "not in the paper",
            [
                min(v - 0.8, 0.2 - abs(r), 0.2 - abs(s))
                for v, r, s in zip(*(slopes[name] for name in TOLD), strict=True)
            ],
            f"Slope {numbers(slopes[''], 2)}; random {numbers(slopes[TOLD[1]], 2)}, shuffled "
            f"{numbers(slopes[TOLD[2]], 2)}; the least norm {numbers(slopes['least norm'], 2)}, the whole state "
            f"exchanged {numbers(slopes['exchanged'], 2)}.",
        )
        for label, slopes in followed.items()
    ]
    return readable + steerable


def named(label: str, variant: str) -> str:
    """What the caption calls a model's probe."""
    return f"{label} ({variant.removeprefix('control: ')})" if variant else label


def scatter(axis: Any, points: Floats, colours: Floats) -> None:
    """Points over three outcomes as a triangle, coloured by the true mixture."""
    at = points @ CORNERS
    axis.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color="k", linewidth=0.8)
    palette = np.array([[0.0, 0.447, 0.698], [0.835, 0.369, 0.0], [0.0, 0.62, 0.451]])
    axis.scatter(*at.T, s=5, rasterized=True, c=np.clip(colours @ palette, 0, 1), alpha=0.7, linewidths=0)
    for corner, name in zip(CORNERS, ("a = 1", "a = 2", "a = 3"), strict=True):
        axis.annotate(name, corner, fontsize=7, ha="center", va="bottom" if corner[1] > 0 else "top")
    axis.set_aspect("equal")
    axis.set_xlim(-0.25, 1.25)
    axis.set_ylim(-0.25, 1.1)
    axis.axis("off")


FIGURE = Figure(
    name="simplex",
    title="The belief simplex, true beside probed",
    recipe="belief (n = 3 maybe-swaps); sessions split for fitting, choosing and telling; three controls; "
    "counterfactual push",
    paper="none; arXiv 2405.15943 finds belief simplices in the residual streams of Transformers.",
    needs=NEEDS,
    draw=draw,
)
