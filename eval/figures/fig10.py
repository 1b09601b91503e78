"""The marginal representation under its adversary: the mass of what is never revealed fades, though the truth stays.

The marginal form keeps, for each variable, a law of what it holds, instead of one law over all states; it is what a
linear recurrence could hold cheaply. Everything here is computed, nothing trained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.linear import Event, run_marginal
from trace_mine.eval.claims import computed
from trace_mine.eval.figures.base import Bench, Drawn, Figure
from trace_mine.eval.figures.style import legend_below, panels, style_of
from trace_mine.eval.results import Where, number

CYCLES = 40
"""Cycles of a mix and a reveal that are drawn."""
RANDOM_STREAMS = 60
"""Streams of random events beside the adversary's."""
GRID = [(n, p, mixes) for n in (3, 4) for p in (0.1, 0.5) for mixes in (1, 2, 3)]
"""(positions, probability of a swap, mixes between two reveals) for which the error is computed."""
GRID_STREAMS = 6
EXACT = 1e-9
"""Largest error of a form that is exact but for rounding."""


def adversary(cycles: int) -> list[Event]:
    """The paper's adversary: mix positions 2 and 3 with p = 1/2, reveal that position 2 holds 2, and repeat."""
    return [event for _ in range(cycles) for event in (("mix", 1, 2, 0.5), ("reveal", 1, 1))]


def random_events(
    cycles: int, generator: np.random.Generator, n: int = 3, p: float = 0.5, mixes: int = 1
) -> list[Event]:
    """Events on random positions: ``mixes`` mixes of probability p and a reveal a cycle.

    An order of items is drawn along with the mixes, and reveals show what it holds, so that every reveal is possible.
    """
    order, events = list(range(n)), list[Event]()
    for _ in range(cycles):
        for _ in range(mixes):
            i, k = (int(x) for x in generator.choice(n, size=2, replace=False))
            # the mix as it happened, of which only reveals tell
            if generator.random() < p:
                order[i], order[k] = order[k], order[i]
            events.append(("mix", i, k, p))
        asked = int(generator.integers(n))
        events.append(("reveal", asked, order[asked]))
    return events


def errors_after_reveals(n: int, p: float, mixes: int) -> NDArray[np.float64]:
    """The largest error of the marginals after each reveal of GRID_STREAMS random streams, [streams, CYCLES]."""
    streams = (random_events(CYCLES, np.random.default_rng(seed), n, p, mixes) for seed in range(GRID_STREAMS))
    return np.array([run_marginal(n, events).error[mixes :: mixes + 1] for events in streams])


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    figure, axes = panels(1, 2, width=3.6, height=3.2)
    rows = []
    hard = run_marginal(3, adversary(CYCLES))
    # every second event is a reveal: the mass after it
    after = hard.lightest[1::2]
    streams = [run_marginal(3, random_events(CYCLES, np.random.default_rng(seed))) for seed in range(RANDOM_STREAMS)]
    fair = np.array([run.lightest[1::2] for run in streams])
    grid = {key: errors_after_reveals(*key) for key in GRID}
    at = np.arange(1, CYCLES + 1)  # cycles count from 1 in the paper
    axes[0, 0].semilogy(at, after, label="adversary", **style_of(0))
    axes[0, 0].semilogy(at, np.median(fair, axis=0), label="random events, median", **style_of(1))
    # from the 10th to the 90th percentile over the random streams
    axes[0, 0].fill_between(at, *np.percentile(fair, [10, 90], axis=0), color=style_of(1)["color"], alpha=0.2)
    axes[0, 0].set_xlabel("cycles of mix and reveal")
    axes[0, 0].set_ylabel("mass of the lightest row")
    axes[0, 1].plot(at, hard.error[1::2], label="adversary", **style_of(0))
    for place, key in enumerate(each for each in GRID if each[0] == 3):
        label = f"p = {key[1]:g}, {key[2]} mixes a reveal, mean"
        axes[0, 1].plot(at, grid[key].mean(axis=0), label=label, **{**style_of(2 + place), "marker": ""})
    axes[0, 1].set_xlabel("cycles of mix and reveal")
    axes[0, 1].set_ylabel("error of the marginals")
    legend_below(figure, axes, columns=2)
    for cycle in at:
        where: dict[str, Where] = {"model": "marginal, linear", "task": "n=3", "at": float(cycle)}
        rows.append(number("lightest mass", float(after[cycle - 1]), variant="adversary", **where))
        where |= {"variant": "random", "count": RANDOM_STREAMS}
        rows.append(number("lightest mass", float(np.median(fair[:, cycle - 1])), **where))
    for (n, p, mixes), errors in grid.items():
        where = {"model": "marginal, linear", "task": f"n={n} p={p:g}", "spacing": mixes, "count": GRID_STREAMS}
        rows.append(number("error of marginals", float(errors.mean()), **where))
        rows.append(number("greatest error of marginals", float(errors.max()), **where))
    halves = bool(np.allclose(after[1:] / after[:-1], 0.5))
    # 200 halvings are enough for all three: fp32's and bf16's smallest numbers are 2^-149 and 2^-133
    horizon = {dtype: run_marginal(3, adversary(200), dtype).underflow for dtype in ("fp16", "bf16", "fp32")}
    zero = ", ".join(f"{dtype} {'never' if step is None else (step + 2) // 2}" for dtype, step in horizon.items())
    caption = (
        "Under the adversary the lightest row or column of the marginal form, which is all that is left of what wasn't "
        f"revealed, goes {', '.join(f'{v:g}' for v in after[:4])}, ..; it is all zero after this many cycles: {zero}. "
        f"Under random events it stays (median after {CYCLES} cycles {np.median(fair[:, -1]):.3f}), but the marginals "
        "are approximate in most cases (right: n = 3; the table has all)."
    )
    lines = [
        (f"{n}", f"{p:g}", f"{mixes}", f"{errors.mean():.4f}", f"{errors.max():.3f}")
        for (n, p, mixes), errors in grid.items()
    ]
    table = ("positions", "p", "mixes a reveal", "mean error", "greatest error"), lines
    exact = [f"n = {n}, p = {p:g}, {mixes} a reveal" for (n, p, mixes), each in grid.items() if each.max() < EXACT]
    worst = max(grid, key=lambda key: grid[key].max())
    claims = [
        computed(
            "The marginal representation is stable when every pair is revealed now and then, and an adversary breaks "
            "it",
            "Fig. 10",
            halves and bool(np.median(fair[:, -1]) > 0.01),
            f"Adversary: halves each cycle ({halves}); random events: median {np.median(fair[:, -1]):.3f} after "
            f"{CYCLES}.",
        ),
        computed(
            "The marginal representation is exact as long as nothing underflows",
            "implied by Fig. 10's use as a filter",
            len(exact) == len(GRID),
            f"Exact for {len(exact)} of {len(GRID)} settings ({'; '.join(exact) or 'none'}), the decoder being run to "
            f"its limit; the greatest error is {grid[worst].max():.3f} (n = {worst[0]}, p = {worst[1]:g}, {worst[2]} "
            "mixes a reveal). So the oracle is the joint filter.",
        ),
    ]
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims, table=table)


FIGURE = Figure(
    name="fig10",
    title="The adversary of the marginal representation",
    recipe=f"computed: n = 3, {CYCLES} cycles; {RANDOM_STREAMS} random streams of the same rhythm beside it",
    paper="mix positions 2 and 3, reveal (2, 2), repeat: unrevealed mass 1, .5, .25, ...",
    needs=(),
    draw=draw,
)
