"""Drift against retention: KL by length above, KL of an old fact below, a column for each kind of training stream.

The third column has the control (nothing is hidden) and the norm of the state. Papers show drift alone, by which a
model that forgets looks cured; the lower panels show what it lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trace_mine.eval.claims import Claim, by_seeds, cannot_tell, numbers
from trace_mine.eval.drift import HOLDS, RESCALED, TIMES, drift, holding, memory_needed, norms, variants
from trace_mine.eval.figures.base import Bench, Drawn, Figure, Table, at_least_one
from trace_mine.eval.figures.style import BASELINE, AxesGrid, legend_below, panels, style_of
from trace_mine.eval.results import Result, number
from trace_mine.eval.subjects import Subject
from trace_mine.train.rescaling import matrix_mixers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = ("delta", "gated", "lstm")
STREAMS = ("belief", "sticky")
CONTROL = "swaps-delta"
NEEDS = (*(f"{stream}-{model}" for stream in STREAMS for model in MODELS), CONTROL)
WINDOWS = (4, 8, 16, 32)
"""Commands that the exact filter looks back over, for the lines across the panels of drift."""
LEARNT = 0.015
"""KL at the trained length up to which a belief counts as learnt, about that of an exact filter of 8 commands."""
LEAST = 1e-4
"""Values below are drawn here, since a logarithmic axis has no 0."""

Key = tuple[str, str, str]
Lines = dict[Key, list[tuple[int, dict[float, float]]]]
"""(stream, model's label, variant) -> (seed, length or age -> KL) of each seed."""


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS[:-1])  # the control alone would be a figure about something else
    times = TIMES[:3] if bench.fast else TIMES
    figure, axes = panels(2, 3, width=3.3, height=2.6)
    rows: list[Result] = []
    drifts, holds = Lines(), Lines()
    for column, stream in enumerate(STREAMS):
        for model in MODELS:
            for subject in bench.group(f"{stream}-{model}"):
                # the rescale is a cure for states that grow without bound: a gate or an LSTM bounds its own
                for variant in variants(subject) if model == "delta" else ("",):
                    of_drift = drift(subject, times=times, rows=bench.rows, variant=variant)
                    of_retention = holding(subject, variant=variant)
                    rows += of_drift + of_retention
                    key = stream, subject.label, variant
                    kls = {r.times: r.value for r in of_drift if r.metric == "belief KL"}
                    drifts.setdefault(key, []).append((subject.seed, kls))
                    holds.setdefault(key, []).append((subject.seed, {r.at: r.value for r in of_retention}))
        plot_lines(axes[0, column], drifts, stream)
        plot_lines(axes[1, column], holds, stream)
        # of one run: the exact filter is the same for all of them
        rows += memory(axes[0, column], bench.group(f"{stream}-{MODELS[0]}")[:1], bench.rows)
        name_axes(axes[:, column], "uniform" if stream == "belief" else "sticky", times)
    rows += control(axes[0, 2], bench.group(CONTROL), times[:3], bench.rows)
    rows += growth(axes[1, 2], bench.group("belief-delta"), times[-1])
    legend_below(figure, axes, columns=3)
    return Drawn(
        figure=figure,
        rows=rows,
        caption=caption(rows),
        claims=claims(drifts, holds),
        table=table(drifts, holds),
    )


def plot_lines(axis: Axes, lines: Lines, stream: str) -> None:
    """Plot every seed of one stream's models as a line of its own, all seeds of a model alike."""
    of_stream = {key[1:]: seeds for key, seeds in lines.items() if key[0] == stream}
    for place, ((label, variant), seeds) in enumerate(sorted(of_stream.items())):
        name = f"{label} + rescale" if variant else label
        for count, (_, values) in enumerate(seeds):
            kls = [max(value, LEAST) for value in values.values()]
            axis.plot(list(values), kls, label=None if count else name, **style_of(place))


def memory(axis: Axes, subjects: list[Subject], rows: int) -> list[Result]:
    """Measure exact filters restarted W commands ago, and draw the KL of each as a line across the panel.

    A model above such a line keeps less than the last W commands would tell it.
    """
    results = [result for subject in subjects for result in memory_needed(subject, WINDOWS, rows=rows)]
    for result in results:
        if result.value > 1e-3:  # smaller ones lie below the panel
            axis.axhline(result.value, **BASELINE)
            axis.annotate(
                f"exact, last {result.at:.0f} commands", (1.0, result.value), xycoords=("axes fraction", "data"),
                fontsize=6.5, ha="right", va="bottom",
            )  # fmt: skip
    return results


def name_axes(axes: AxesGrid, name: str, times: tuple[int, ...]) -> None:
    """Name and scale the axes of one column: drift above, retention below."""
    drifts, holds = axes
    drifts.set_title(f"drift, trained on {name} streams")
    drifts.set_xlabel("length (1: as trained)")
    drifts.set_ylabel("KL(exact || model), nats")
    holds.set_title(f"retention, trained on {name} streams")
    holds.set_xlabel("commands since the fact")
    holds.set_ylabel("KL where it is asked for")
    for axis, ticks in ((drifts, times), (holds, HOLDS)):
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.set_yscale("log")


def control(axis: Axes, subjects: list[Subject], times: tuple[int, ...], rows: int) -> list[Result]:
    """Draw the deterministic control: models trained on visible swaps, with and without the rescale.

    Runs without anything to forget drift a little too (and the rescale can harm them), so that not all of a drift is a
    matter of beliefs. Where nothing is hidden the loss of reveals is the KL.
    """
    results = []
    for line, variant in enumerate(("", RESCALED)):
        for count, subject in enumerate(subjects):
            measured = drift(subject, times=times, rows=rows // 2, variant=variant)
            losses = [result for result in measured if result.metric == "loss of reveals"]
            results += losses
            label = None if count else f"visible swaps, {subject.label}{' + rescale' if variant else ''}"
            values = [max(result.value, LEAST) for result in losses]
            axis.plot([result.times for result in losses], values, label=label, **style_of(4 + line))
    axis.set_title("control: nothing hidden")
    axis.set_xlabel("length (1: as trained)")
    axis.set_ylabel("loss of reveals, nats")
    axis.set_xscale("log", base=2)
    axis.set_xticks(times, [str(t) for t in times])
    axis.set_yscale("log")
    return results


def growth(axis: Axes, subjects: list[Subject], times: int) -> list[Result]:
    """Draw the norm of the state over sessions of ``times`` the trained length, with and without the rescale.

    A growing norm alone doesn't explain drift: ``renormed_delta_net`` holds its norm and drifts, and on a repeated swap
    DeltaNet's norm stays flat and nothing drifts (docs/log.md, 2026-11-24).
    """
    results = []
    for line, variant in enumerate(("", RESCALED)):
        for count, subject in enumerate(subjects):
            if not matrix_mixers(subject.model):
                continue
            # eight sessions: their norms hardly differ
            steps, means = norms(subject, times=times, rows=8, variant=variant)
            label = None if count else f"{subject.label}{' + rescale' if variant else ''} (norm)"
            axis.plot(steps, means, label=label, **{**style_of(6 + line), "marker": ""})
            # every 256 tokens is enough for a table
            for step, value in zip(steps[::16], means[::16], strict=True):
                results.append(number("state norm", float(value), at=float(step), variant=variant, **subject.named))
    axis.set_title("norm of DeltaNet's state")
    axis.set_xlabel("tokens")
    axis.set_ylabel("mean |S| over heads")
    return results


def growth_of(lines: Lines, key: Key) -> list[float]:
    """For each seed, the ratio of the value at the greatest length (or age) to that at the smallest."""
    return [values[max(values)] / max(values[min(values)], 1e-9) for _, values in lines.get(key, [])]


def ends(lines: Lines, key: Key) -> list[float]:
    """For each seed, the value at the greatest length (or age); empty where nothing was trained."""
    return [values[max(values)] for _, values in lines.get(key, [])]


def table(drifts: Lines, holds: Lines) -> Table:
    """The numbers of every line, seed by seed: KL as trained and at the greatest length, and of the oldest fact."""
    lines = []
    for key in sorted(drifts):
        stream, label, variant = key
        first = [values[min(values)] for _, values in drifts[key]]
        name = f"{label}{' + rescale' if variant else ''}"
        trained_on = "uniform" if stream == "belief" else stream
        lines.append((trained_on, name, numbers(first), numbers(ends(drifts, key)), numbers(ends(holds, key))))
    length, age = (max((max(each[0][1]) for each in lines.values()), default=0) for lines in (drifts, holds))
    return ("streams", "model", "KL at 1x", f"KL at {length:.0f}x", f"KL of a fact after {age:.0f} commands"), lines


def caption(rows: list[Result]) -> str:
    """Say what was measured, what the task asks for, and what the figure can show, whatever the numbers are."""
    # filters of limited memory on uniform streams; those on sticky ones come after them
    windows = [r for r in rows if r.model.startswith("filter of")]
    memory = ", ".join(f"{r.at:.0f}: {r.value:.4f}" for r in windows[: len(WINDOWS)])
    return (
        "Every swap of n = 3 happens with p = .1 only, a reveal every 2; each line one seed. The exact filter "
        f"restarted W commands ago is off by ({memory}): the uniform task asks for little memory, so that forgetting "
        "looks like a cure. Not shown: that linear recurrences must drift (a gate is linear in the state too), nor "
        "anything of larger models or longer training. The rescale is nonlinear and a switch: where nothing is hidden "
        "it can do harm."
    )


def claims(drifts: Lines, holds: Lines) -> list[Claim]:
    """Judge the figure's claims; each text names its margin and its streams.

    A ratio of two KLs says nothing of a belief that was never learnt, and two models can be compared in how they drift
    only where both know it at the trained length. So claims about drift count the seeds alone of which every model that
    is compared has a KL of at most LEARNT there.
    """
    delta, gated, lstm = "delta_net [-1, 1]", "gated_delta_net [-1, 1]", "lstm"
    made = []
    for stream, name in (("belief", "uniform"), ("sticky", "sticky")):
        of = {model: (stream, model, "") for model in (delta, gated, lstm)}
        group = {delta: f"{stream}-delta", gated: f"{stream}-gated", lstm: f"{stream}-lstm"}
        for model, text, source in (
            (delta, "A plain DeltaNet's belief drifts beyond its trained length", "section 6"),
            (gated, "Linear recurrences drift as such: so does the gated rule's", "the paper's closing question"),
            (lstm, "So does a nonlinear RNN's (LSTM)", "not in the paper"),
        ):
            ratios = growth_of(drifts, of[model])
            made.append(
                of_learnt(
                    f"{text} (KL at the greatest length over 1.3 times that at 1x), {name} streams",
                    source,
                    [ratio - 1.3 for ratio in ratios],
                    f"Ratios {numbers(ratios, 2)}.",
                    [starts(drifts, of[model])],
                    [group[model]],
                )
            )
        # by label: other variants of these models would be named by what differs from the recipe
        far, nonlinear = ends(drifts, of[delta]), ends(drifts, of[lstm])
        made.append(
            of_learnt(
                f"A nonlinear RNN (LSTM) keeps its belief at the greatest length better than a plain DeltaNet, {name} "
                "streams",
                "abstract",
                # not strict, here and below: of two models one may have been trained with fewer seeds yet
                [d - n for d, n in zip(far, nonlinear, strict=False)],
                f"KL: DeltaNet {numbers(far)}; LSTM {numbers(nonlinear)}.",
                [starts(drifts, of[delta]), starts(drifts, of[lstm])],
                [group[delta], group[lstm]],
            )
        )
        # facts stay true for long on sticky streams alone: on uniform ones no model was trained to keep them
        if stream == "sticky":
            old, forgetting = ends(holds, of[delta]), ends(holds, of[gated])
            made.append(
                by_seeds(
                    "What forgets loses old facts: the gated rule's KL of an old fact is over twice DeltaNet's, sticky "
                    "streams",
                    "not in the paper",
                    [g - 2 * d for d, g in zip(old, forgetting, strict=False)],
                    f"After {HOLDS[-1]} commands: DeltaNet {numbers(old)}; gated {numbers(forgetting)}.",
                    [group[delta], group[gated]],
                )
            )
        made.append(rescue(drifts, holds, of[delta], name))
    return made


def of_learnt(
    text: str,
    source: str,
    margins: Sequence[float],
    evidence: str,
    at_trained: list[list[float]],
    groups: Sequence[str],
) -> Claim:
    """Judge a claim by the seeds of which all models have a KL of at most LEARNT at the trained length.

    ``at_trained`` has that KL for each compared model, seed by seed; ``groups`` are these models' groups of the plan.
    """
    worst = [max(values) for values in zip(*at_trained, strict=False)]
    learnt = [margin for margin, kl in zip(margins, worst, strict=False) if kl <= LEARNT]
    if len(learnt) < len(margins):
        evidence += f" Not learnt at 1x (KL above {LEARNT:g}): {numbers([kl for kl in worst if kl > LEARNT])}."
    if margins and not learnt:
        return cannot_tell(text, source, evidence, len(margins), groups)
    return by_seeds(text, source, learnt, evidence, groups)


def starts(lines: Lines, key: Key) -> list[float]:
    """For each seed, the value at the smallest length; empty where nothing was trained."""
    return [values[min(values)] for _, values in lines.get(key, [])]


def rescue(drifts: Lines, holds: Lines, key: Key, name: str) -> Claim:
    """Judge the claim that the calibrated rescale removes over half of the growth of KL and no old fact.

    ``key`` is the model without the rescale, ``name`` the name of its streams. A seed shows the claim where its KL at
    the greatest length grew by less than half as much with the rescale, and its KL of an old fact rose by no more than
    .001 nats, which counts as no change.
    """
    rescaled = (*key[:2], RESCALED)
    first = starts(drifts, key)
    # (without the rescale, with it) of each seed
    far, old = (list(zip(ends(lines, key), ends(lines, rescaled), strict=False)) for lines in (drifts, holds))
    margins = [
        min((far_without - start) / 2 - (far_with - start), old_without - old_with + 1e-3)
        for start, (far_without, far_with), (old_without, old_with) in zip(first, far, old, strict=False)
    ]
    return of_learnt(
        f"The calibrated rescale takes over half of DeltaNet's growth of KL away, and no old fact, {name} streams",
        "not in the paper",
        margins,
        f"KL at the greatest length {numbers([without for without, _ in far])} to "
        f"{numbers([with_rescale for _, with_rescale in far])}; old fact "
        f"{numbers([without for without, _ in old])} to {numbers([with_rescale for _, with_rescale in old])}.",
        [first],
        [f"{key[0]}-delta"],
    )


FIGURE = Figure(
    name="belief-drift",
    title="Drift against retention",
    recipe="belief: n = 3 maybe-swaps (p = .1), reveal every 2, one token a command, 1.9 M tokens, uniform and sticky "
    "(.9) training streams; tested on the task's own streams at 1 to 16 times the length, and on facts left alone",
    paper="argues from representations that linear RNNs lose belief mass; no trained tracker is reported.",
    needs=NEEDS,
    draw=draw,
)
