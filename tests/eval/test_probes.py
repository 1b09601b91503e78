"""Probes find what was planted and nothing else; features condition on what came before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from corpus.synthetic.game import Plays, reveal_laws
from eval.features import POINTS, features, joint_beliefs, parity, state_of, stops_of, true_states
from eval.probes import logistic, positions, probe_run, ridge, shuffled, simplex_points, split
from eval.sessions import sessions_of
from train.hooks import recording


def planted(noise: float, sequences: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs over 6 states, and 200 features that are a linear map of them and noise."""
    generator = np.random.default_rng(0)
    belief = generator.dirichlet(np.ones(6), size=(sequences, 10))
    return belief @ generator.normal(size=(6, 200)) + noise * generator.normal(size=(sequences, 10, 200)), belief


def test_a_planted_linear_code_is_found_and_not_by_its_controls() -> None:
    x, belief = planted(0.01)
    assert ridge(x, belief).value > 0.99
    assert ridge(x, shuffled(belief)).value < 0.1
    assert ridge(positions(x), belief).value < 0.1
    assert ridge(np.random.default_rng(1).normal(size=x.shape), belief).value < 0.1


def test_a_planted_class_is_found_and_not_by_its_controls() -> None:
    x, belief = planted(0.01)
    label = belief.argmax(-1)
    assert logistic(x, label).value > 0.8  # regions of the largest share have straight borders only nearly
    assert logistic(x, shuffled(label)).value < 0.35


def test_sequences_are_split_never_tokens() -> None:
    parts = split(50)
    assert sorted(np.concatenate(parts).tolist()) == list(range(50))
    # tokens of one sequence are alike, and know their sequence's target: split by token they would give it away
    generator = np.random.default_rng(0)
    own = generator.normal(size=(40, 1, 80)) + 0.01 * generator.normal(size=(40, 12, 80))
    target = np.repeat(generator.normal(size=(40, 1, 3)), 12, axis=1)
    assert ridge(own, target).value < 0.3
    mixed = generator.permutation(40 * 12)
    by_token = (values.reshape(-1, values.shape[-1])[mixed].reshape(values.shape) for values in (own, target))
    assert ridge(*by_token).value > 0.9
    with pytest.raises(ValueError, match="at least 5 sequences"):
        split(4)


def test_the_readout_is_what_the_probe_predicts() -> None:
    x, belief = planted(0.1)
    told = ridge(x, belief)
    assert told.linear is not None
    assert np.allclose(told.linear.read(x[split(len(x))[2]]), told.predicted)
    assert told.low <= told.value <= told.high


def test_beliefs_before_reveals_are_the_filters(tiny_subject: Callable) -> None:
    sessions = sessions_of(tiny_subject("belief", "lstm").source, commands=16, spacing=2, rows=6)
    game, plays = sessions.stream.game, sessions.plays
    joint = joint_beliefs(game, plays)
    emits = np.eye(len(game.items))[game.holds.T]
    asked = np.einsum("brs,brsi->bri", joint, emits[plays.shown])
    assert np.allclose(asked, reveal_laws(game, plays), atol=1e-12)


def test_parity_of_three() -> None:
    class Three:
        variables = ("a", "b", "c")
        holds = np.array([[0, 1, 2], [1, 0, 2], [1, 2, 0]])

    assert parity(Three()).tolist() == [0, 1, 0]  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["lstm", "gru", "delta_net", "gated_delta_net", "mamba2", "transformer"])
def test_features_condition_on_what_came_before_and_nothing_later(model: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model)
    sessions = sessions_of(subject.source, commands=8, spacing=2, rows=4)
    whole = features(subject.model, sessions)
    assert ("layer 0 state" in whole) == (model != "transformer")
    at = int(sessions.batch.reveals[0, 2, 0]) - sessions.stream.value_offset
    carry = subject.model(torch.from_numpy(sessions.batch.tokens[:, :at]), return_carry=True).carry
    told = state_of(carry[0])
    if told is not None:
        assert np.allclose(told, whole["layer 0 state"][:, 2], atol=1e-4)
    sessions.batch.tokens[:, at:] = 1
    later = features(subject.model, sessions)
    assert all(np.array_equal(whole[place][:, :3], later[place][:, :3]) for place in whole)


@pytest.mark.parametrize("model", ["delta_net", "transformer"])
@pytest.mark.parametrize("point", POINTS)
def test_every_point_is_read_where_one_pass_over_its_text_ends(model: str, point: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model)
    sessions = sessions_of(subject.source, commands=6, spacing=3, rows=4)
    found = features(subject.model, sessions, point)
    stops = stops_of(sessions, point)
    assert len(stops) == (6 if point == "command" else 2)
    words = np.array(sessions.stream.vocabulary)[sessions.batch.tokens]
    for n, stop in enumerate(stops):
        is_question = [words[row, stop - 1].strip(">\n ") in sessions.stream.game.variables for row in range(4)]
        assert all(is_question) if point == "value" else not any(is_question)
        tokens = torch.from_numpy(sessions.batch.tokens[:, :stop])
        with recording(subject.model, ("residual",)) as readings, torch.no_grad():
            carry = subject.model(tokens, return_carry=True).carry
        assert np.allclose(found["layer 0 residual"][:, n], readings[0, "residual"][0][:, -1].numpy(), atol=1e-4)
        state = state_of(carry[0])
        assert state is None or np.allclose(found["layer 0 state"][:, n], state, atol=1e-4)
        embeddings = subject.model.backbone_module.embeddings.weight.detach().numpy()
        assert np.array_equal(found["embedding"][:, n], embeddings[tokens[:, -1]])


def test_beliefs_at_every_point_are_the_share_of_sessions_with_the_same_text(tiny_subject: Callable) -> None:
    game = sessions_of(tiny_subject("belief", "lstm").source, commands=4, spacing=2, rows=2).stream.game
    generator = np.random.default_rng(0)
    count, action, shown = 60_000, [0, 1, 0], [1]
    states = np.empty((count, 3), dtype=np.int64)
    state = np.full(count, game.start)
    chances = np.full(len(game.actions), 0.4)
    for step, each in enumerate(action):
        state = np.where(generator.random(count) < chances[each], game.moves[each, state], state)
        states[:, step] = state
    plays = Plays(
        actions=np.tile(action, (count, 1)),
        states=states,
        draws=np.ones((count, 3)),
        shown=np.tile(shown, (count, 1)),
        labels=np.tile(np.arange(3), (count, 1)),
        spacing=2,
    )
    told = joint_beliefs(replace(game, chances=chances), plays, "command")
    assert told.shape == (count, 3, 6)
    for item in range(3):
        same = game.holds[states[:, 1], 1] == item
        if same.sum() < 1_000:
            continue
        share = np.bincount(states[same, 2], minlength=6) / same.sum()
        assert np.allclose(told[same], told[same][:1])
        assert np.abs(told[same][0, 2] - share).max() < 0.02
    assert np.array_equal(true_states(plays), states[:, 1:2])
    with pytest.raises(ValueError, match="expected a point of"):
        joint_beliefs(game, plays, "end")


def test_no_sequence_keeps_its_own_target() -> None:
    for seed in range(30):
        for count in (5, 6, 20):
            given = shuffled(np.arange(count), seed)
            assert sorted(given.tolist()) == list(range(count))
            assert (given != np.arange(count)).all()


def test_a_logistic_probe_chooses_its_strength_on_sequences_of_their_own() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 6, 120))
    label = (x[..., 0] * 3 + generator.normal(size=(60, 6)) > 0).astype(int)
    before = logistic(x, label, components=120)
    told = split(60)[2]
    wrong = label.copy()
    wrong[told] = 1 - wrong[told]
    assert logistic(x, wrong, components=120).value == pytest.approx(1 - before.value)  # the told part decides nothing
    assert before.value > 0.55


def test_simplex_points_show_the_truth_where_it_belongs(tiny_subject: Callable) -> None:
    sessions = sessions_of(tiny_subject("belief", "lstm").source, commands=8, spacing=2, rows=20)
    game = sessions.stream.game
    belief = joint_beliefs(game, sessions.plays)
    told = ridge(np.concatenate([belief, belief], axis=-1), belief)
    points = simplex_points(game, told, variable=1)
    marginal = (told.true @ np.eye(3)[game.holds[:, 1]]).reshape(-1, 3)
    assert np.allclose(points.true, marginal @ points.corners)
    assert np.abs(points.probed - points.true).max() < 0.05
    sure = marginal.max(1) > 1 - 1e-9
    distance = np.linalg.norm(points.true[:, None] - points.corners, axis=-1)
    assert np.array_equal(distance[sure].argmin(1), marginal[sure].argmax(1))


def test_a_run_is_probed_with_all_controls(tiny_subject: Callable) -> None:
    told = probe_run(tiny_subject("belief", "lstm", "stages=[{steps: 6, commands: [8], spacings: [2]}]"), rows=20)
    assert {r.variant for r in told} == {"", "control: untrained", "control: shuffled", "control: position"}
    before = {"probe to the belief, R2", "probe to the state", "probe to the parity"}
    assert {r.metric for r in told if r.place == "layer 0 state"} == before
    asked = {"probe to the asked law, R2"}
    assert {r.metric for r in told if r.place == "layer 0 residual"} == before | asked


def test_a_run_without_hidden_outcomes_is_probed_for_classes(tiny_subject: Callable) -> None:
    stages = "stages=[{steps: 6, commands: [6], spacings: [1]}]"
    told = probe_run(tiny_subject("contrast", "lstm", stages), rows=20)
    assert {r.metric for r in told} == {"probe to the state", "probe to the parity", "probe to the asked value"}
    by_place = {r.value for r in told if (r.metric, r.variant) == ("probe to the parity", "control: position")}
    assert by_place == {1.0}  # every command is a swap: parity is the number of commands
    even = tiny_subject("contrast", "lstm", stages.replace("[1]", "[2]"))
    assert "probe to the parity" not in {r.metric for r in probe_run(even, rows=20)}  # always even: nothing to tell
