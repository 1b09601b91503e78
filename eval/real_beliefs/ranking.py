"""All predictors on all rungs: baselines, runs and local models, as results and as a table of the ladder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_mine.eval.hf import hf_predictor
from trace_mine.eval.real_beliefs.asking import (
    UNANSWERED,
    ModelAnswer,
    answer_of_window,
    answers_of_model,
    answers_of_run,
)
from trace_mine.eval.real_beliefs.ladder import RUNGS, WINDOWS
from trace_mine.eval.real_beliefs.making import TRAINING
from trace_mine.eval.real_beliefs.predictors import baselines
from trace_mine.eval.real_beliefs.questions import read_questions
from trace_mine.eval.real_beliefs.scoring import score
from trace_mine.eval.results import Result
from trace_mine.eval.subjects import subject

METRICS = ("KL among outcomes", "top-1 among outcomes", "calibration error", "mass on outcomes", "answered")
"""Those of the table; a file of results has more, by entropy, edits and distance."""


def score_all(benchmark: Path, runs: Sequence[Path], models: Sequence[Path]) -> list[Result]:
    """Score the baselines, finished runs, and local causal language models on each rung that has questions.

    Raises:
        ValueError: the folder has no benchmark, or no questions; or a run or a model can't be opened or asked.
    """
    rungs = {rung: read_questions(benchmark / "questions" / f"{rung}.jsonl") for rung in RUNGS}
    training = read_questions(benchmark / "questions" / f"{TRAINING}.jsonl")
    asked = {rung: questions for rung, questions in rungs.items() if questions}
    if not asked:
        raise ValueError(f"expected questions in {benchmark}, got none; make the benchmark with --size full")
    results: list[Result] = []
    for name, law in baselines(training).items():
        for questions in asked.values():
            answers = [ModelAnswer(law(question), UNANSWERED) for question in questions]
            results += score(questions, answers, model=name)
    for window in WINDOWS:
        for questions in asked.values():
            answers = [answer_of_window(question, window) for question in questions]
            if not all(answer.mass != answer.mass for answer in answers):
                results += score(questions, answers, model=f"filter of {window} commands")
    for folder in runs:
        run = subject(folder)
        for questions in asked.values():
            results += score(questions, answers_of_run(run, questions), **run.named)
    for folder in models:
        model = hf_predictor(folder)
        for questions in asked.values():
            results += score(questions, answers_of_model(model, questions), model=model.name, run=model.name)
    return results


def table(results: Sequence[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and lines of the ladder: a line for each predictor and metric, a column for each rung."""
    rungs = list(dict.fromkeys(each.task for each in results))
    whole = {(each.metric, each.model, each.run, each.seed, each.task): each for each in results if not each.place}
    lines: list[tuple[str, ...]] = []
    for metric in METRICS:
        for model, run, seed in dict.fromkeys((each.model, each.run, each.seed) for each in results):
            cells = [whole.get((metric, model, run, seed, rung)) for rung in rungs]
            if any(cells):  # baselines have no mass
                lines.append((metric, model, run, *("" if each is None else _cell(each) for each in cells)))
    # a rung of few programs says little, whatever stands there
    counts = {each.task: each.count for each in results if not each.place and each.metric == METRICS[0]}
    names = (f"{rung.removeprefix('real-beliefs ')} ({counts[rung]} programs)" for rung in rungs)
    return ("metric", "model", "run", *names), lines


def _cell(result: Result) -> str:
    """The value, with its interval where it has one."""
    # rounded before it is written: a KL of -1e-17 would be -0.000
    value, low, high = (round(each, 3) + 0.0 for each in (result.value, result.low, result.high))
    return f"{value:.3f}" if result.low != result.low else f"{value:.3f} [{low:.3f}, {high:.3f}]"
