"""The ladder of S5: is the whole state right after 8 to 128 swaps of five variables? Beside numbers of large models.

A session's last reveal is asked for each of the five variables in turn; the state is right where all five answers are.
Published numbers are of arXiv 2602.07672 (Figure 1): models that write the session themselves, and one that is given
the commands, which is what all models here are. Their sessions are not these, and show the state after each command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.eval.subjects import subject
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.predictors import LastShown, Predictor
from trace_mine.train.measure.scores import hits
from trace_mine.train.measure.sessions import sessions_from, sessions_of

COMMANDS = (8, 16, 32, 64, 128)
METRIC = "whole state right"
PUBLISHED = {
    "GPT-5 (2602.07672)": (1.0, 1.0, 0.8, 0.7, 0.1),
    "CWM (2602.07672)": (1.0, 0.8, 0.4, 0.0, 0.0),
    "CWM, commands given (2602.07672)": (1.0, 1.0, 1.0, 0.9, 0.9),
}
"""Model -> share of sessions whose last state is right, at ``COMMANDS``."""


def state_is_right(batches: TaskBatches, predictor: Predictor, *, commands: int, spacing: int, rows: int) -> Floats:
    """Ask for all variables at the end of test sessions; give 1 for each session whose answers are all right.

    Args:
        batches: those of a task with five variables of different values and no hidden outcomes.
        predictor: who is asked.
        commands: of a session.
        spacing: commands between two reveals; ``commands``: the last reveal is the only one.
        rows: sessions.

    Returns:
        [rows], a share where labels tie for the likeliest.

    Raises:
        ValueError: the task is another one.
    """
    game = batches.task.game
    has_five = len(game.variables) == len(game.items) == 5 and game.num_labels is None
    if not has_five or game.shows_all or game.is_hidden:
        raise ValueError(
            "expected a task of five variables with different values, all of whose commands are visible, got "
            f"{batches.settings.task} {dict(batches.settings.task_parameters)}; train with --set task.n=5"
        )
    sessions = sessions_of(batches, commands=commands, spacing=spacing, rows=rows)
    right = np.ones(rows)
    for variable in range(len(game.variables)):
        shown = sessions.plays.shown.copy()
        shown[:, -1] = variable
        asked = sessions_from(sessions.stream, replace(sessions.plays, shown=shown))
        right *= hits(asked.laws_of(predictor)[:, -1], asked.shown[:, -1])
    return right


def ladder_of(
    batches: TaskBatches, predictor: Predictor, *, rows: int, spacing: int, most: int = COMMANDS[-1], **named: Where
) -> list[Result]:
    """Measure a predictor at each number of commands up to ``most``, with a reveal every ``spacing`` commands, and with
    none but the last.
    """
    results = []
    for commands in (each for each in COMMANDS if each <= most):
        for every in dict.fromkeys((min(spacing, commands), commands)):
            right = state_is_right(batches, predictor, commands=commands, spacing=every, rows=rows)
            where: dict[str, Where] = {"task": "S5", "commands": commands, "spacing": every, "at": float(commands)}
            variant = "" if every < commands else "no reveal before"
            results.append(measured(METRIC, right, unit="share", variant=variant, **where, **named))
    return results


def s5_ladder(runs: Sequence[Path], models: Sequence[Path], *, rows: int, spacing: int, most: int) -> list[Result]:
    """Measure finished runs on S5 and local causal language models, beside "last shown" and the published numbers.

    Raises:
        ValueError: a run was trained on another task, or a model can't be opened or asked.
    """
    from trace_mine.eval.hf import hf_predictor, task_named

    results: list[Result] = []
    for folder in runs:
        run = subject(folder)
        results += ladder_of(run.task_batches, run.predictor, rows=rows, spacing=spacing, most=most, **run.named)
    plain = task_named("permutations", ["n=5"])
    for folder in models:
        model = hf_predictor(folder)
        results += ladder_of(plain, model, rows=rows, spacing=spacing, most=most, model=model.name, run=model.name)
    results += ladder_of(plain, LastShown(), rows=rows, spacing=spacing, most=most, model=LastShown().name)
    for name, shares in PUBLISHED.items():
        for commands, share in zip(COMMANDS, shares, strict=True):
            results.append(number(METRIC, share, unit="share", model=name, commands=commands, task="S5"))
    return results


def table(results: Sequence[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and lines: a line for each model and way to ask, a column for each number of commands."""
    lines: dict[tuple[str, str, str], dict[int, Result]] = {}
    for each in results:
        # without a reveal before the last, sessions of a few commands are the same in both lines
        lines.setdefault((each.run, each.model, each.variant), {})[each.commands] = each
    header = ("model", "reveals", *(str(commands) for commands in COMMANDS))
    made = []
    for (run, model, variant), by_commands in lines.items():
        cells = (by_commands.get(commands) for commands in COMMANDS)
        is_published = model in PUBLISHED
        reveals = "theirs" if is_published else variant or f"every {max(each.spacing for each in by_commands.values())}"
        name = f"{run}: {model}" if run and run != model else model
        made.append((name, reveals, *("" if cell is None else f"{cell.value:.2f}" for cell in cells)))
    return header, made
