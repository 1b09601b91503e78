"""The belief within the state: probes to the exact belief, with controls, and the true simplex beside the probed one.

Probes show that the belief can be read from the state; steering shows that a change of the state along the probe moves
the prediction as the other belief would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game
from trace_mine.eval.claims import Claim, by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import AxesGrid, panels
from trace_mine.eval.probes import Probed, features, positions, ridge, shuffled, untrained
from trace_mine.eval.results import Result, Where, number
from trace_mine.eval.steering import steered_run
from trace_mine.train.measure.laws import joint_beliefs
from trace_mine.train.measure.sessions import sessions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEEDS = ("belief-delta", "belief-gated", "belief-lstm")
COMPARED_PUSHES = ("", "control: random", "control: shuffled")
"""Variants of steering that the claim compares: along the probe, and the two controls of the same size."""
UNTRAINED = "control: untrained"
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Corners of the triangle, of sides 1, for the outcomes 1, 2 and 3."""

BySeed = dict[str, list[float]]


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    figure, axes = panels(2, len(NEEDS), width=2.5, height=2.5)
    rows: list[Result] = []
    # R2 of the models' probes by label and of the controls by label and variant; slopes by label, then by variant
    scores: BySeed = {}
    controls: BySeed = {}
    slopes: dict[str, BySeed] = {}
    for column, group in enumerate(NEEDS):
        for subject in bench.group(group):
            commands, spacing = subject.trained
            # twice the rows, since a fifth of them is held out
            sessions = sessions_of(
                subject.task_batches, commands=commands, spacing=spacing, rows=max(20, 2 * bench.rows)
            )
            game = sessions.stream.game
            belief = joint_beliefs(game, sessions.plays)
            # the state, not the residual stream, which a layer fills only where it is asked (R2 .09 there)
            place = "layer 0 state"
            x = features(subject.model, sessions)[place]
            cases = {
                "": (x, belief),
                "control: shuffled": (x, shuffled(belief)),
                "control: position": (positions(x), belief),
            }
            cases[UNTRAINED] = features(untrained(subject), sessions)[place], belief
            # triangles of one seed alone, R2 of all
            is_first = subject is bench.group(group)[0]
            for variant, (inputs, target) in cases.items():
                probe = ridge(inputs, target)
                where: dict[str, Where] = {**subject.named, "variant": variant, "place": place, "count": probe.count}
                where |= {"low": probe.low, "high": probe.high}
                rows.append(number("probe to the belief, R2", probe.value, **where))
                (controls if variant else scores).setdefault(named(subject.label, variant), []).append(probe.value)
                if not variant and is_first:
                    draw_triangles(axes[:, column], game, probe, subject.label)
            steering = steered_run(subject, rows=max(16, bench.rows))
            rows += steering
            for result in steering:
                if result.metric == "steering slope":
                    slopes.setdefault(subject.label, {}).setdefault(result.variant, []).append(result.value)
    caption = (
        "Ridge from the recurrent state (after PCA) to the exact joint belief, read before the question; the triangles "
        "show what variable a may hold, coloured by the truth. R2 is on held-out sessions, by seed, beside controls; "
        "a push's slope is that of the prediction towards the target (1: all the way)."
    )
    lines = [(name, "R2 of a probe", numbers(values, 2)) for name, values in (scores | controls).items()]
    for label, by_variant in slopes.items():
        pushes = ((f"slope, {variant or 'along the probe'}", values) for variant, values in by_variant.items())
        lines += [(label, name, numbers(values, 2)) for name, values in pushes]
    table = ("model", "measured", "by seed"), lines
    made = claims(scores, controls, slopes, bench.labels(NEEDS))
    return Drawn(figure=figure, rows=rows, caption=caption, claims=made, table=table)


def draw_triangles(axes: AxesGrid, game: Game, probe: Probed, label: str) -> None:
    """Draw the laws of the first variable's item as points of two triangles, above the exact ones, below the probed.

    ``axes`` [2] are the panels of one model.
    """
    # [states, items]: from a belief over states to the law of what the first variable holds
    first = np.eye(len(game.items))[game.holds[:, 0]]
    for axis, points in zip(axes, (probe.true @ first, probe.predicted @ first), strict=True):
        scatter(axis, points.reshape(-1, 3), (probe.true @ first).reshape(-1, 3))
    axes[0].set_title(f"true ({label})")
    axes[1].set_title(f"probed, R2 {probe.value:.2f}")


def claims(scores: BySeed, controls: BySeed, slopes: dict[str, BySeed], groups: Mapping[str, str]) -> list[Claim]:
    """Judge two claims of every model: its state lets the belief be read, and a push along the probe moves its law.

    ``groups`` has the group of the plan of each label.
    """
    readable = [
        by_seeds(
            f"The belief is linearly readable from the recurrent state of {label} (R2 above .5 and above the untrained "
            "by .1)",
            "not in the paper",
            # above the untrained model too, whose state has R2 .38 to .68
            [min(v - 0.5, v - c - 0.1) for v, c in zip(values, controls[named(label, UNTRAINED)], strict=True)],
            f"R2 {numbers(values, 2)}; untrained {numbers(controls[named(label, UNTRAINED)], 2)}.",
            [groups[label]],
        )
        for label, values in scores.items()
    ]
    steerable = [
        by_seeds(
            f"Pushed along its probe, the state of {label} gives what the other belief implies (slope above .8, both "
            "controls of its size below .2)",
            "not in the paper",
            [
                min(along - 0.8, 0.2 - abs(random), 0.2 - abs(other))
                for along, random, other in zip(*(of_label[name] for name in COMPARED_PUSHES), strict=True)
            ],
            f"Slope {numbers(of_label[''], 2)}; random {numbers(of_label['control: random'], 2)}, shuffled "
            f"{numbers(of_label['control: shuffled'], 2)}; the least norm {numbers(of_label['least norm'], 2)}, the "
            f"whole state exchanged {numbers(of_label['exchanged'], 2)}.",
            [groups[label]],
        )
        for label, of_label in slopes.items()
    ]
    return readable + steerable


def named(label: str, variant: str) -> str:
    """Name a probe in the caption: the model's label, and the control where it is one."""
    return f"{label} ({variant.removeprefix('control: ')})" if variant else label


def scatter(axis: Axes, points: Floats, colours: Floats) -> None:
    """Draw laws over three outcomes [points, 3] in a triangle, coloured by the mixtures ``colours`` [points, 3].

    A probed law may lie outside the triangle, for a linear readout need not give probabilities.
    """
    at = points @ CORNERS
    axis.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color="k", linewidth=0.8)
    # a colour an outcome, mixed as the law mixes the outcomes
    palette = np.array([[0.0, 0.447, 0.698], [0.835, 0.369, 0.0], [0.0, 0.62, 0.451]])
    axis.scatter(at[:, 0], at[:, 1], s=5, rasterized=True, c=np.clip(colours @ palette, 0, 1), alpha=0.7, linewidths=0)
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
