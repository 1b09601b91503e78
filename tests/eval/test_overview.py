"""A terminal's view of results: which cells its tables have, and the verdicts on planted results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trace_mine.eval.hf import SIZE, task_named
from trace_mine.eval.overview import tables, verdicts
from trace_mine.eval.results import Result
from trace_mine.eval.runs import evaluate_run

TASK = "permutations p=0.1"


def result(metric: str, value: float, commands: int = 48, **where: Any) -> Result:
    return Result(metric=metric, value=value, commands=commands, spacing=2, times=commands / 48, task=TASK, **where)


def of_beliefs(short: float, long: float) -> list[Result]:
    """A run's KL at two lengths, beside a baseline at .2, and filters at .1 and .02."""
    own = {"run": "mine", "model": "lstm", "seed": 0}
    made = [result("belief KL, drift", short, 48, **own), result("belief KL, drift", long, 768, **own)]
    for commands in (48, 768):
        made.append(result("belief KL, drift", 0.2, commands, model="last shown"))
        made.append(result("belief KL, drift", 0.0, commands, model="exact filter"))
    for window, value in ((4, 0.1), (8, 0.02)):
        made.append(result("belief KL, window", value, model=f"filter of {window} commands", at=float(window)))
    return made


@pytest.mark.parametrize(
    ("short", "long", "says"),
    [
        (0.3, 0.3, "no belief: KL 0.300, where 'last shown' has 0.200"),
        (0.15, 0.15, "a belief in part: KL 0.150, above 0.015, worse than the filter of 4 commands (0.100); holds"),
        (0.05, 0.15, "a belief in part: KL 0.050, above 0.015, as good as the filter of 4 commands; drifts in longer"),
        (0.01, 0.011, "keeps a belief: KL 0.0100, at most 0.015, as good as the filter of 8 commands; holds in longer"),
    ],
)
def test_a_belief_is_named_by_the_known_answer_that_it_is_as_good_as(short: float, long: float, says: str) -> None:
    (sentence,) = verdicts(of_beliefs(short, long))
    assert sentence.startswith(f"mine: lstm: {says}")


@pytest.mark.parametrize(
    ("short", "long", "says"),
    [
        (0.99, 0.96, "tracks the state: accuracy 0.990 at 48 commands and 0.960 at 192 commands"),
        (0.99, 0.60, "tracks the state at the trained length only"),
        (0.80, 0.60, "tracks in part: accuracy 0.800 at 48 commands and 0.600 at 192 commands, below 0.95"),
        (
            0.34,
            0.33,
            "does not track: accuracy 0.340 at 48 commands and 0.330 at 192 commands, no better than 'chance'",
        ),
    ],
)
def test_accuracy_says_how_far_a_state_is_tracked(short: float, long: float, says: str) -> None:
    own = {"run": "mine", "model": "lstm", "seed": 0}
    made = [result("accuracy", short, 48, low=short - 0.02, high=short + 0.02, **own)]
    made += [result("accuracy", long, 192, **own), result("accuracy", 1 / 3, model="chance")]
    made.append(result("accuracy", 1.0, model="exact filter"))
    (sentence,) = verdicts(made)
    assert sentence.startswith(f"mine: lstm: {says}")


@pytest.mark.parametrize(("value", "word"), [(0.1, "better than"), (0.3, "worse than"), (0.19, "like")])
def test_outcomes_of_real_code_are_compared_by_intervals(value: float, word: str) -> None:
    bounds = {"low": value - 0.02, "high": value + 0.02, "run": "mine", "model": "lstm"}
    made = [Result(metric="KL among outcomes", value=value, task="rows", **bounds)]
    made.append(Result(metric="KL among outcomes", value=0.2, model="outcomes alike", task="rows"))
    assert verdicts(made) == [f"mine: lstm: {word} 'outcomes alike': KL among outcomes {value:.3f}, 0.200"]


def test_a_table_has_a_line_for_each_model_and_the_truth_last() -> None:
    ((title, header, lines),) = tables(of_beliefs(0.05, 0.15))
    assert title == f"Belief KL in nats, by length of the session ({TASK})"
    assert header == ("model", "48 commands", "768 commands")
    assert [line[0] for line in lines] == [
        "mine: lstm",
        "last shown",
        "filter of 4 commands",
        "filter of 8 commands",
        "exact filter",
    ]
    assert lines[0] == ("mine: lstm", "0.050", "0.150") and lines[2] == ("filter of 4 commands", "0.100", "")


@pytest.mark.parametrize("recipe", ["belief", "contrast"])
def test_every_run_has_tables_of_a_terminal_and_a_verdict(recipe: str, tiny_subject: Callable) -> None:
    measured = evaluate_run(tiny_subject(recipe, "lstm"), rows=4)
    made = tables(measured)
    assert made and all(len(header) <= 5 for _, header, _ in made), "a terminal of 110 columns has room for four"
    assert sum(len(lines) for _, _, lines in made) < 50 < len(measured)
    for _, header, lines in made:
        assert lines and all(len(line) == len(header) and any(line[1:]) for line in lines)
        assert lines[-1][0] == "exact filter"
    assert len(verdicts(measured)) == len({(each.run, each.variant) for each in measured if each.run})


def test_a_task_without_a_run_has_sessions_of_the_usual_size() -> None:
    batches = task_named("permutations", ["n=4", "p=0.25"])
    assert batches.task.game.is_hidden and len(batches.task.game.variables) == 4
    assert batches.stream(*SIZE, "test").batch(range(2)).reveals.shape[:2] == (2, 4)
