"""The joint representation loses its mass, cycle by cycle, until a floating-point type has nothing left."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trace_mine.corpus.synthetic.examples import figure_9
from trace_mine.corpus.synthetic.linear import halvings_to_zero, log2_masses, run_joint
from trace_mine.eval.claims import computed
from trace_mine.eval.figures.base import Bench, Drawn, Figure
from trace_mine.eval.figures.style import legend_below, look, panels
from trace_mine.eval.results import Result

CYCLES = 170
LONG = 1_100


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    automaton = figure_9()
    cycle = [automaton.index("mix"), automaton.index("not 1")]
    figure, axes = panels(1, 2, width=3.6)
    rows = []
    exact = log2_masses(automaton, cycle * CYCLES)[::2]
    for number, dtype in enumerate(("fp16", "bf16", "fp32", "fp64")):
        run = run_joint(automaton, cycle * CYCLES, dtype)
        mass, error = run.log2_mass[::2], run.error[::2]
        axes[0, 0].plot(np.where(np.isfinite(mass), mass, np.nan), label=dtype, **{**look(number), "marker": ""})
        axes[0, 1].plot(error, label=dtype, **{**look(number), "marker": ""})
        for at in range(0, CYCLES + 1, 10):
            told: dict[str, Any] = {"model": "joint, linear", "variant": dtype, "at": float(at), "task": "fig9"}
            rows.append(Result(metric="log2 mass", value=float(mass[at]), **told))
            rows.append(Result(metric="error of the belief", value=float(error[at]), **told))
    zero = {dtype: run_joint(automaton, cycle * LONG, dtype).underflow for dtype in ("fp16", "bf16", "fp32", "fp64")}
    cycles = {dtype: math.ceil(at / 2) if at is not None else None for dtype, at in zero.items()}
    for dtype, last in cycles.items():
        value = float("nan") if last is None else float(last)
        rows.append(Result(metric="cycles to zero", value=value, model="joint, linear", variant=dtype, task="fig9"))
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
        f"log2 of the mass falls by {steps.min():.3f} to {steps.max():.3f} a cycle over {CYCLES} cycles; zero "
        f"after {horizons}.",
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
