"""The marginal representation under its adversary: the mass of what is never revealed fades, though the truth stays.

The marginal form keeps, for each variable, a law of what it holds, instead of one law over all states; it is what a
linear recurrence could hold cheaply. Everything here is computed, nothing trained.
"""

from __future__ import annotations

import numpy as np

from trace_mine.corpus.synthetic.linear import Event, run_marginal
from trace_mine.eval.claims import computed
from trace_mine.eval.figures.base import Bench, Drawn, Figure
from trace_mine.eval.figures.style import legend_below, panels, style_of
from trace_mine.eval.results import Where, number

CYCLES = 40
"""Cycles of a mix and a reveal that are drawn."""
RANDOM_STREAMS = 60
"""Streams of random events beside the adversary's."""


def adversary(cycles: int) -> list[Event]:
    """The paper's adversary: mix positions 2 and 3 with p = 1/2, reveal that position 2 holds 2, and repeat."""
    return [event for _ in range(cycles) for event in (("mix", 1, 2, 0.5), ("reveal", 1, 1))]


def random_events(cycles: int, generator: np.random.Generator, n: int = 3) -> list[Event]:
    """Events of the same rhythm on random positions, a mix and a reveal a cycle.

    An order of items is drawn along with the mixes, and reveals show what it holds, so that every reveal is possible.
    """
    order, events = list(range(n)), list[Event]()
    for _ in range(cycles):
        i, k = (int(x) for x in generator.choice(n, size=2, replace=False))
        # the mix as it happened: a swap with p = 1/2, of which only reveals tell
        if generator.random() < 0.5:
            order[i], order[k] = order[k], order[i]
        asked = int(generator.integers(n))
        events += [("mix", i, k, 0.5), ("reveal", asked, order[asked])]
    return events


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    figure, axes = panels(1, 2, width=3.6)
    rows = []
    hard = run_marginal(3, adversary(CYCLES))
    # every second event is a reveal: the mass after it
    after = hard.lightest[1::2]
    streams = [run_marginal(3, random_events(CYCLES, np.random.default_rng(seed))) for seed in range(RANDOM_STREAMS)]
    fair = np.array([run.lightest[1::2] for run in streams])
    errors = np.array([run.error[1::2] for run in streams])
    at = np.arange(1, CYCLES + 1)  # cycles count from 1 in the paper
    axes[0, 0].semilogy(at, after, label="adversary", **style_of(0))
    axes[0, 0].semilogy(at, np.median(fair, axis=0), label="random events, median", **style_of(1))
    # from the 10th to the 90th percentile over the random streams
    axes[0, 0].fill_between(at, *np.percentile(fair, [10, 90], axis=0), color=style_of(1)["color"], alpha=0.2)
    axes[0, 0].set_xlabel("cycles of mix and reveal")
    axes[0, 0].set_ylabel("mass of the lightest row or column")
    axes[0, 1].plot(at, hard.error[1::2], label="adversary", **style_of(0))
    axes[0, 1].plot(at, errors.mean(axis=0), label="random events, mean", **style_of(2))
    axes[0, 1].set_xlabel("cycles of mix and reveal")
    axes[0, 1].set_ylabel("largest error of the marginals")
    legend_below(figure, axes)
    for cycle in at:
        where: dict[str, Where] = {"model": "marginal, linear", "task": "n=3", "at": float(cycle)}
        rows.append(number("lightest mass", float(after[cycle - 1]), variant="adversary", **where))
        where |= {"variant": "random", "count": RANDOM_STREAMS}
        rows.append(number("lightest mass", float(np.median(fair[:, cycle - 1])), **where))
        rows.append(number("error of marginals", float(errors[:, cycle - 1].mean()), **where))
    halves = bool(np.allclose(after[1:] / after[:-1], 0.5))
    # 200 halvings are enough for all three: fp32's and bf16's smallest numbers are 2^-149 and 2^-133
    horizon = {dtype: run_marginal(3, adversary(200), dtype).underflow for dtype in ("fp16", "bf16", "fp32")}
    zero = ", ".join(f"{dtype} {'never' if step is None else (step + 2) // 2}" for dtype, step in horizon.items())
    caption = (
        "Under the adversary the lightest row or column of the marginal form, which is all that is left of what wasn't "
        f"revealed, goes {', '.join(f'{v:g}' for v in after[:4])}, ..; it is all zero after this many cycles: {zero}. "
        f"Under random events it stays (median after {CYCLES} cycles {np.median(fair[:, -1]):.3f}), but the marginals "
        f"are (one mix a reveal, p = 1/2) only approximate: mean largest error {errors.mean():.4f}, greatest "
        f"{errors.max():.3f}."
    )
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
            bool(errors.max() < 1e-9),
            f"Mean largest error on random events, n = 3: {errors.mean():.4f}; so the oracle is the joint filter.",
        ),
    ]
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims)


FIGURE = Figure(
    name="fig10",
    title="The adversary of the marginal representation",
    recipe=f"computed: n = 3, {CYCLES} cycles; {RANDOM_STREAMS} random streams of the same rhythm beside it",
    paper="mix positions 2 and 3, reveal (2, 2), repeat: unrevealed mass 1, .5, .25, ...",
    needs=(),
    draw=draw,
)
