"""A terminal's view of results: a table for each question, models beside baselines, and one verdict on each model.

Each table asks one thing (how far is the belief from the exact one, as sessions grow?) and has a line for each model
and variant, baselines below. A verdict says in a sentence which of the known answers a model is as good as. All
numbers, with their intervals, go to a file (``--out``), or to the terminal by ``--all``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trace_mine.eval.leaderboard import TRUTH, is_higher_better
from trace_mine.eval.results import Result

TRACKED = 0.95
"""Accuracy from which on a model counts as tracking a state."""
EXACT = 0.015
"""Belief KL in nats up to which a belief counts as learnt: an exact filter of 8 commands is as far off on maybe-swaps
(docs/evaluation.md)."""
DRIFT = 1.5
"""KL at the longest sessions over KL at the trained length, from which on a belief counts as drifting."""

Header = tuple[str, ...]
Lines = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Question:
    """The question of one table: a title, the metrics of its cells, and what a column stands for.

    ``fixed`` names the field in which all cells are as the run was trained: of a grid the terminal has room for a line
    of each direction.
    """

    title: str
    metrics: tuple[str, ...]
    column: Callable[[Result], tuple[float, str]]
    fixed: str = ""


def _by_commands(result: Result) -> tuple[float, str]:
    # rows of a dataset have as many commands as they have
    return float(result.commands), f"{result.commands} commands" if result.commands else result.place or "all"


def _by_spacing(result: Result) -> tuple[float, str]:
    return float(result.spacing), f"every {result.spacing}"


def _by_age(result: Result) -> tuple[float, str]:
    return result.at, f"after {result.at:g}"


def _by_place(result: Result) -> tuple[float, str]:
    # in the order of the results, whatever the places are called
    return 0.0, result.place or "all"


QUESTIONS = (
    _Question("Belief KL in nats, by length of the session", ("belief KL, drift", "belief KL, window"), _by_commands),
    _Question("Belief KL in nats, with texts that can't come", ("belief KL",), _by_commands),
    _Question("KL in nats of a fact that no command has touched since", ("retention KL",), _by_age),
    _Question("Accuracy, by length of the session", ("accuracy, grid",), _by_commands, "spacing"),
    _Question("Accuracy, by commands between two reveals", ("accuracy, grid",), _by_spacing, "commands"),
    _Question("Accuracy", ("accuracy",), _by_commands),
    _Question("Accuracy of tokens, by role", ("accuracy by role",), _by_place),
    _Question("KL among outcomes in nats", ("KL among outcomes",), _by_place),
    _Question("Likeliest outcome is right, among outcomes", ("top-1 among outcomes",), _by_place),
)
REPLACED = {"Belief KL in nats, with texts that can't come": "belief KL, drift", "Accuracy": "accuracy, grid"}
"""Tables that say nothing more where results have this metric."""


def tables(results: Sequence[Result]) -> list[tuple[str, Header, Lines]]:
    """Lay results out as tables, (title, header, lines) each, for every task by itself.

    A cell is a value with its interval's half width. Models come first, the baselines and filters below them, the exact
    filter last.
    """
    made: list[tuple[str, Header, Lines]] = []
    for task in dict.fromkeys(each.task for each in results):
        of_task = [each for each in results if each.task == task]
        metrics = {each.metric for each in of_task}
        for question in QUESTIONS:
            if REPLACED.get(question.title) in metrics:
                continue
            cells = [each for each in of_task if each.metric in question.metrics]
            if question.fixed:
                trained = {
                    getattr(each, question.fixed) for each in of_task if each.metric == "accuracy" and each.times == 1
                }
                cells = [each for each in cells if getattr(each, question.fixed) in trained]
            if cells:
                header, lines = _table(cells, question)
                made.append((f"{question.title} ({task})" if task else question.title, header, lines))
    return made


def _table(cells: Sequence[Result], question: _Question) -> tuple[Header, Lines]:
    columns = list(dict.fromkeys(sorted((question.column(each) for each in cells), key=lambda pair: pair[0])))
    by_line: dict[tuple[bool, bool, str, str, str], dict[tuple[float, str], Result]] = {}
    for each in cells:
        key = (not each.run, each.model == TRUTH, each.run, each.model, each.variant)
        by_line.setdefault(key, {}).setdefault(question.column(each), each)
    # models in the order of the results, then baselines, the truth at the end
    order = sorted(by_line, key=lambda key: key[:2])
    lines = [(_name(key[2], key[3], key[4]), *(_cell(by_line[key].get(column)) for column in columns)) for key in order]
    return ("model", *(name for _, name in columns)), lines


def _name(run: str, model: str, variant: str) -> str:
    parts = [f"{run}: {model}" if run and run != model else model]
    return ", ".join([*parts, variant] if variant else parts)


def _cell(result: Result | None) -> str:
    if result is None:
        return ""
    half = (result.high - result.low) / 2
    return f"{result.value:.3f}" if math.isnan(half) or half == 0 else f"{result.value:.3f} ±{half:.3f}"


def verdicts(results: Sequence[Result]) -> list[str]:
    """Judge each run, variant and task in a sentence; thresholds are this module's."""
    said: list[str] = []
    groups = dict.fromkeys((each.run, each.model, each.variant, each.task) for each in results if each.run)
    for run, model, variant, task in groups:
        own = [
            each for each in results if (each.run, each.model, each.variant, each.task) == (run, model, variant, task)
        ]
        known = [each for each in results if not each.run and each.task == task]
        sentence = _of_outcomes(own, known) or _of_beliefs(own, known) or _of_accuracy(own, known)
        if sentence:
            said.append(f"{_name(run, model, variant)}: {sentence}")
    return said


def _of_beliefs(own: Sequence[Result], known: Sequence[Result]) -> str:
    """The verdict on beliefs at the trained length, and on what becomes of them in longer sessions."""
    along = _along(own, "belief KL, drift") or _along(own, "belief KL")
    if not along:
        return ""
    first, last = along[0], along[-1]
    baselines = [
        each
        for each in known
        if each.metric == first.metric and each.commands == first.commands and each.model != TRUTH and not each.place
    ]
    best = min(baselines, key=lambda each: each.value, default=None)
    filters = sorted((each for each in known if each.metric == "belief KL, window"), key=lambda each: each.at)
    if best is not None and first.value >= best.value:
        return f"no belief: KL {first.value:.3f}, where {best.model!r} has {best.value:.3f}"
    if first.value <= EXACT:
        text = f"keeps a belief: KL {first.value:.4f}, at most {EXACT:g}"
    else:
        text = f"a belief in part: KL {first.value:.3f}, above {EXACT:g}"
    beaten = [each for each in filters if first.value <= each.value]
    if beaten:
        text += f", as good as the {beaten[-1].model}"
    elif filters:
        text += f", worse than the {filters[0].model} ({filters[0].value:.3f})"
    if last is not first and first.value > 0:
        ratio = last.value / first.value
        word = "drifts" if ratio > DRIFT else "holds"
        text += f"; {word} in longer sessions ({ratio:.1f} times that KL at {last.times:g} times the trained length)"
    return text


def _of_accuracy(own: Sequence[Result], known: Sequence[Result]) -> str:
    """The verdict on tracking where nothing is hidden."""
    along = _along(own, "accuracy")
    if not along:
        return ""
    first, last = along[0], along[-1]
    lengths = " and ".join(f"{each.value:.3f} at {each.commands} commands" for each in dict.fromkeys((first, last)))
    if last.value >= TRACKED and first.value >= TRACKED:
        return f"tracks the state: accuracy {lengths}"
    if first.value >= TRACKED:
        return f"tracks the state at the trained length only: accuracy {lengths}"
    baselines = [
        each for each in known if each.metric == "accuracy" and each.commands == first.commands and each.model != TRUTH
    ]
    best = max(baselines, key=lambda each: each.value, default=None)
    # an interval's lower end: by chance alone some model of ten would be a little above a baseline
    if best is not None and (first.low if first.low == first.low else first.value) <= best.value:
        return f"does not track: accuracy {lengths}, no better than {best.model!r} ({best.value:.3f})"
    return f"tracks in part: accuracy {lengths}, below {TRACKED:g}"


def _of_outcomes(own: Sequence[Result], known: Sequence[Result]) -> str:
    """The verdict on beliefs of rows of real code, or on the values of such rows where no belief is known."""
    for metric, place in (("KL among outcomes", ""), ("accuracy by role", "value")):
        ours = next((each for each in own if (each.metric, each.place) == (metric, place)), None)
        theirs = [each for each in known if (each.metric, each.place) == (metric, place) and each.model != TRUTH]
        if ours is None or not theirs:
            continue
        sign = 1 if is_higher_better(metric) else -1
        best = max(theirs, key=lambda each: sign * each.value)
        bounds = (ours.value, ours.value) if math.isnan(ours.low) else (ours.low, ours.high)
        worst, top = sorted(sign * each for each in bounds)
        word = "better than" if worst > sign * best.value else "worse than" if top < sign * best.value else "like"
        what = metric if not place else f"accuracy of {place}s"
        return f"{word} {best.model!r}: {what} {ours.value:.3f}, {best.value:.3f}"
    return ""


def _along(own: Sequence[Result], metric: str) -> list[Result]:
    """The results of a metric over whole sessions, the shortest first."""
    return sorted((each for each in own if each.metric == metric and not each.place), key=lambda each: each.commands)
