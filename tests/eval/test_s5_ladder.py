"""The ladder of S5: the whole state counts, a model that tracks it by construction is right at every length."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest

from planted import planted_subject
from trace_mine.eval import s5_ladder as under_test
from trace_mine.eval.__main__ import main
from trace_mine.eval.hf import task_named
from trace_mine.eval.s5_ladder import COMMANDS, PUBLISHED, ladder_of, state_is_right, table
from trace_mine.train.measure.predictors import ExactFilter, LastShown, Uniform


def test_a_model_that_swaps_by_reflections_has_the_whole_state_at_every_length() -> None:
    run = planted_subject(n=5)
    made = ladder_of(run.task_batches, run.predictor, rows=4, spacing=2, most=32, **run.named)
    assert [(each.commands, each.spacing) for each in made] == [(8, 2), (8, 8), (16, 2), (16, 16), (32, 2), (32, 32)]
    assert [each.value for each in made] == [1.0] * 6
    assert {each.variant for each in made} == {"", "no reveal before"}


def test_all_five_answers_must_be_right() -> None:
    batches = task_named("permutations", ["n=5"])
    right = state_is_right(batches, Uniform(), commands=8, spacing=8, rows=3)
    assert np.allclose(right, prod([1 / 5] * 5)), "labels that tie share a hit"
    assert state_is_right(batches, ExactFilter(), commands=8, spacing=4, rows=3).tolist() == [1.0] * 3
    # by hand: a session's start is shown, and after that one variable every 8 commands
    plays = under_test.sessions_of(batches, commands=8, spacing=8, rows=6).plays
    game = batches.task.game
    moved = [(game.holds[state] != game.holds[game.start]).any() for state in plays.states[:, -1]]
    stays = state_is_right(batches, LastShown(), commands=8, spacing=8, rows=6)
    assert [share == 1.0 for share in stays] == [not each for each in moved]


@pytest.mark.parametrize("parameters", [["n=3"], ["n=5", "p=0.5"], ["n=5", "values=repeated"], ["n=5", "reveals=full"]])
def test_other_tasks_are_refused(parameters: list[str]) -> None:
    with pytest.raises(ValueError, match=r"expected a task of five variables .* train with --set task.n=5"):
        state_is_right(task_named("permutations", parameters), Uniform(), commands=8, spacing=8, rows=2)


def test_the_table_has_published_numbers_beside_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planted_subject(n=5)
    monkeypatch.setattr(under_test, "subject", lambda folder: run)
    out = tmp_path / "ladder.csv"
    assert main(["s5-ladder", "mine", "--rows", "2", "--spacing", "4", "--most", "16", "--out", str(out)]) == 0
    header, *lines = (line.split("\t") for line in capsys.readouterr().out.splitlines()[:-1])
    assert header == ["model", "reveals", *map(str, COMMANDS)]
    assert ["planted", "every 4", "1.00", "1.00", "", "", ""] in lines
    assert ["planted", "no reveal before", "1.00", "1.00", "", "", ""] in lines
    for name, shares in PUBLISHED.items():
        assert [name, "theirs", *(f"{share:.2f}" for share in shares)] in lines
    assert out.is_file() and table([])[1] == []
    assert main(["s5-ladder"]) == 2
