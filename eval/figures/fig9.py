"""The joint representation loses its mass, cycle by cycle, until a floating-point type holds nothing but zeros.

A linear recurrence can't normalise: it multiplies the joint belief by the transitions and by the reveal's likelihoods.
Each reveal then takes the probability of its own outcome off the mass. Everything here is computed, nothing trained.
"""

from __future__ import annotations

import math

import numpy as np

from trace_mine.corpus.synthetic.examples import figure_9
from trace_mine.corpus.synthetic.linear import halvings_to_zero, log2_masses, run_joint
from trace_mine.eval.claims import computed
from trace_mine.eval.figures.base import Bench, Drawn, Figure
from trace_mine.eval.figures.style import legend_below, panels, style_of
from trace_mine.eval.results import Where, number

CYCLES = 170
"""Cycles of a mix and a reveal that are drawn: enough for fp32, whose smallest number is 2^-149, not for fp64."""
LONG = 1_100
"""Cycles after which fp64 is at 0 too: its smallest number is 2^-1074."""
DTYPES = ("fp16", "bf16", "fp32", "fp64")


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    automaton = figure_9()
    cycle = [automaton.index("mix"), automaton.index("not 1")]
    figure, axes = panels(1, 2, width=3.6)
    rows = []
    # in exact arithmetic of logarithms, beside the rounded recurrences
    exact = log2_masses(automaton, cycle * CYCLES)[::2]
    for place, dtype in enumerate(DTYPES):
        run = run_joint(automaton, cycle * CYCLES, dtype)
        mass, error = run.log2_mass[::2], run.error[::2]  # every second step ends a cycle
        # no line from the last number to minus infinity
        axes[0, 0].plot(np.where(np.isfinite(mass), mass, np.nan), label=dtype, **{**style_of(place), "marker": ""})
        axes[0, 1].plot(error, label=dtype, **{**style_of(place), "marker": ""})
        for at in range(0, CYCLES + 1, 10):
            where: dict[str, Where] = {"model": "joint, linear", "variant": dtype, "at": float(at), "task": "fig9"}
            rows.append(number("log2 mass", float(mass[at]), **where))
            rows.append(number("error of the belief", float(error[at]), **where))
    first_zero = {dtype: run_joint(automaton, cycle * LONG, dtype).underflow for dtype in DTYPES}
    cycles = {dtype: math.ceil(step / 2) if step is not None else None for dtype, step in first_zero.items()}
    for dtype, last in cycles.items():
        value = math.nan if last is None else float(last)
        rows.append(number("cycles to zero", value, model="joint, linear", variant=dtype, task="fig9"))
    axes[0, 0].set_xlabel("cycles of mix and reveal")
    axes[0, 0].set_ylabel("log2 of the state's mass")
    axes[0, 1].set_xlabel("cycles of mix and reveal")
    axes[0, 1].set_ylabel("largest error of the belief")
    legend_below(figure, axes, columns=4)
    horizons = ", ".join(f"{dtype} {last}" for dtype, last in cycles.items())
    caption = (
        "The unnormalised joint belief of the paper's three-state automaton halves with every cycle, though the exact "
        f"belief never changes; it is all zero after this many cycles: {horizons} "
        f"(1 halved until zero: {', '.join(f'{d} {halvings_to_zero(d)}' for d in cycles)})."
    )
    steps = np.diff(exact)
    claim = computed(
        "In the joint representation the mass decays exponentially under partial reveals",
        "Fig. 9",
        bool(np.allclose(steps, -1.0)),
        f"log2 of the mass falls by {steps.min():.3f} to {steps.max():.3f} a cycle over {CYCLES} cycles; zero after "
        f"{horizons}.",
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=[claim])


FIGURE = Figure(
    name="fig9",
    title="Mass decay of the joint representation",
    recipe="computed: h' = T Z h along mix and reveal, rounded to each type after every step, beside the exact filter",
    paper="the mass goes 1/2, 1/4, 1/8, ... and cannot be refilled by the input.",
    needs=(),
    draw=draw,
)
