"""Laws of reveals against brute force, and a model's against its own softmax."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.corpus.synthetic.game import Game, Plays  # noqa: E402
from trace_mine.train.batches import TaskBatches  # noqa: E402
from trace_mine.train.measure.laws import exact_laws, joint_beliefs, last_shown_labels, log_laws_at, window_laws  # noqa: E402
from trace_mine.train.measure.predictors import ModelPredictor  # noqa: E402
from trace_mine.train.measure.sessions import Sessions, sessions_of  # noqa: E402
from trace_mine.train.settings import Settings, StageSettings  # noqa: E402

torch.set_num_threads(1)


def sessions_with(commands: int, spacing: int, rows: int = 6, **parameters: object) -> Sessions:
    stages = (StageSettings(steps=1, commands=(8,), spacings=(2,)),)
    settings = Settings(recipe="t", model="delta_net", task_parameters=parameters, stages=stages)
    return sessions_of(TaskBatches(settings), commands=commands, spacing=spacing, rows=rows)


def brute_law(game: Game, plays: Plays, row: int, reveal: int, starts: list[int], first: int) -> np.ndarray:
    """[items]: of all ways in which the commands from ``first`` on may have gone, from any of the starts, those that
    agree with the reveals after it, by their probability.
    """
    end = (reveal + 1) * plays.spacing
    law = np.zeros(len(game.items))
    for start in starts:
        for happened in product((False, True), repeat=end - first):
            state, weight = start, 1.0 / len(starts)
            for step, moved in zip(range(first, end), happened, strict=True):
                action = plays.actions[row, step]
                weight *= game.chances[action] if moved else 1.0 - game.chances[action]
                state = game.moves[action, state] if moved else state
                if (step + 1) % plays.spacing == 0 and step + 1 < end:
                    variable = plays.shown[row, (step + 1) // plays.spacing - 1]
                    weight *= game.holds[state, variable] == game.holds[plays.states[row, step], variable]
            law[game.holds[state, plays.shown[row, reveal]]] += weight
    return law / law.sum()


@pytest.mark.parametrize("spacing", [1, 2])
def test_exact_laws_and_windows_are_bayes_by_brute_force(spacing: int) -> None:
    sessions = sessions_with(6, spacing, rows=3, n=3, p=0.3)
    game, plays = sessions.stream.game, sessions.plays
    exact = exact_laws(game, plays)
    every_state = list(range(len(game.holds)))
    for row, reveal in product(range(3), range(6 // spacing)):
        np.testing.assert_allclose(exact[row, reveal], brute_law(game, plays, row, reveal, [game.start], 0), atol=1e-12)
    for window in (0, 1, 3, 4):
        laws = window_laws(game, plays, window)
        for row, reveal in product(range(3), range(6 // spacing)):
            end = (reveal + 1) * spacing
            starts = [game.start] if end <= window else every_state
            wanted = brute_law(game, plays, row, reveal, starts, max(0, end - window))
            np.testing.assert_allclose(laws[row, reveal], wanted, atol=1e-12)


def test_joint_beliefs_give_the_exact_laws() -> None:
    sessions = sessions_with(8, 2, n=3, p=0.2)
    game, plays = sessions.stream.game, sessions.plays
    emits = np.eye(len(game.items))[game.holds.T]
    asked = np.einsum("brs,brsi->bri", joint_beliefs(game, plays), emits[plays.shown])
    assert np.array_equal(asked.round(12), exact_laws(game, plays).round(12))


def test_the_last_shown_label_is_that_of_before_and_the_start_at_first() -> None:
    sessions = sessions_with(12, 2, rows=20, n=4, p=0.5)
    game, plays = sessions.stream.game, sessions.plays
    guesses = last_shown_labels(sessions.stream, plays)
    for row in range(20):
        for reveal, variable in enumerate(plays.shown[row]):
            earlier = [r for r in range(reveal) if plays.shown[row, r] == variable]
            start = plays.labels[row, game.holds[game.start, variable]]
            assert guesses[row, reveal] == (sessions.shown[row, earlier[-1]] if earlier else start)


def test_a_model_s_law_is_the_softmax_of_the_token_before_over_the_whole_vocabulary() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, 5, generator=generator)
    places, labels = torch.tensor([[2, 5], [1, 6]]), torch.tensor([4, 0, 3])
    told = log_laws_at(logits, places, labels)
    assert told.shape == (2, 2, 3) and told.dtype == np.float64
    for row, reveal, label in product(range(2), range(2), range(3)):
        law = logits[row, places[row, reveal] - 1].double().softmax(-1)
        assert np.exp(told[row, reveal, label]) == pytest.approx(float(law[labels[label]]), rel=1e-12)
    values = log_laws_at(logits, places[..., None], labels)  # a full reveal has an axis of values
    assert np.array_equal(values[:, :, 0], told)


def test_a_model_is_read_at_its_reveals_in_any_number_of_rows() -> None:
    sessions = sessions_with(8, 2, rows=19, n=3, p=0.2)
    size = len(sessions.stream.vocabulary)

    class Recites(torch.nn.Module):
        """Gives the token after next e times the weight of the others', so that a place off by one is seen."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.first = 0

        def forward(self, input_ids: torch.Tensor) -> object:
            rows = sessions.batch.tokens[self.first : self.first + len(input_ids)]
            self.first += len(input_ids)
            return type("Output", (), {"logits": torch.eye(size)[torch.from_numpy(rows[:, 1:])]})

    law = ModelPredictor(name="recites", model=Recites()).laws(sessions.stream, sessions.plays, sessions.batch)
    wanted = np.where(np.arange(3) == sessions.shown[..., None], np.e, 1.0) / (np.e + size - 1)
    np.testing.assert_allclose(law, wanted, rtol=1e-6)
