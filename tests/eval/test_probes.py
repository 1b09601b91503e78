"""Probes find what was planted and nothing else; steering moves what a known readout reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from trace_mine.corpus.synthetic.game import reveal_laws
from trace_mine.eval import steering
from trace_mine.eval.probes import (
    Linear,
    features,
    logistic,
    parity,
    positions,
    probe_run,
    ridge,
    shuffled,
    split,
    state_of,
    untrained,
)
from trace_mine.eval.steering import Spread, changed, changes, push, steered_run
from trace_mine.train.measure.laws import joint_beliefs
from trace_mine.train.measure.sessions import sessions_of


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


def test_a_push_makes_a_known_readout_say_the_target_by_the_least_change() -> None:
    generator = np.random.default_rng(0)
    linear = Linear(matrix=generator.normal(size=(30, 3)), offset=generator.normal(size=3))
    x, target = generator.normal(size=(5, 30)), generator.normal(size=(5, 3))
    change = push(linear, x, target)
    assert np.allclose(linear.read(x + change), target)
    inside = change @ np.linalg.pinv(linear.matrix).T @ linear.matrix.T  # in the span of what is read: nothing wasted
    assert np.allclose(inside, change)
    # in the covariance of states whose width is no more than theirs, against the closed form
    states = generator.normal(size=(400, 30)) * np.geomspace(0.1, 10, 30) + 3.0
    carried = push(linear, x, target, states)
    assert np.allclose(linear.read(x + carried), target)
    covariance = np.cov(states.T, bias=True)
    closed = linear.matrix.T @ covariance
    assert np.allclose(carried, (target - linear.read(x)) @ np.linalg.inv(closed @ linear.matrix) @ closed)
    spread = Spread(states)
    sizes = np.sqrt(np.einsum("bi,ij,bj->b", carried, np.linalg.inv(covariance), carried))
    assert np.allclose(spread.size(carried), sizes)
    assert (spread.size(push(linear, x, target)) > sizes).all()
    assert np.allclose(spread.size(spread.random(sizes)), sizes)
    assert np.allclose(spread.size(spread.resized(change, sizes)), sizes)


def test_steering_moves_what_is_used_and_no_control_does() -> None:
    """A code in three directions of much variance that the readout of the law uses, beside as much that it doesn't;
    the probe is fitted, and the law is read off the state by the code alone.
    """
    generator = np.random.default_rng(1)
    belief = generator.dirichlet(np.ones(3), size=(80, 12))
    code, noise = np.linalg.qr(generator.normal(size=(24, 24)))[0][:3], generator.normal(size=(80, 12, 24))
    x = 4.0 * belief @ code + 0.3 * noise
    targets, at = np.roll(belief[60:, 5], 1, axis=0), x[60:, 5]
    way = targets - at @ code.T / 4.0

    def gone(change: Any) -> float:
        return float((change @ code.T / 4.0 * way).sum() / (way**2).sum())

    moved = {n: gone(c) for n, c in changes(x[:60], belief[:60], at, targets, 5).items()}
    assert moved[""] > 0.9 and moved["exchanged"] > 0.8
    assert abs(moved["control: random"]) < 0.25 and abs(moved["control: shuffled"]) < 0.45


def test_beliefs_before_reveals_are_the_filters(tiny_subject: Callable) -> None:
    sessions = sessions_of(tiny_subject("belief", "lstm").batches, commands=16, spacing=2, rows=6)
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
    sessions = sessions_of(subject.batches, commands=8, spacing=2, rows=4)
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


@pytest.mark.parametrize("model", ["lstm", "delta_net"])
def test_a_changed_carry_is_read_back(model: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model)
    sessions = sessions_of(subject.batches, commands=4, spacing=2, rows=3)
    carry = subject.model(torch.from_numpy(sessions.batch.tokens), return_carry=True).carry[0]
    before = state_of(carry)
    assert before is not None
    change = np.random.default_rng(0).normal(size=before.shape)
    after = state_of(changed(carry, torch.from_numpy(change)))
    assert after is not None and np.allclose(after, before + change, atol=1e-5)


def test_a_run_is_probed_and_steered_with_all_controls(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "lstm", "stages=[{steps: 6, commands: [8], spacings: [2]}]")
    told = probe_run(subject, rows=20)
    assert {r.variant for r in told} == {"", "control: untrained", "control: shuffled", "control: position"}
    assert {r.metric for r in told} == {"probe to the belief, R2", "probe to the state", "probe to the parity"}
    steered = {(r.metric, r.variant): r.value for r in steered_run(subject, rows=10)}
    variants = {"", "least norm", "control: random", "control: shuffled", "exchanged"}
    assert {variant for metric, variant in steered if metric == "steering slope"} == variants
    assert steered["steering followed", "exchanged"] > steered["steering followed", "control: random"]
    with pytest.raises(ValueError, match="expected a task that hides outcomes"):
        steered_run(tiny_subject("contrast", "lstm"))


def with_held_out_spoilt(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with other numbers, far larger ones in x, for the sequences that a probe is held to."""
    held_out, generator = split(len(x))[2], np.random.default_rng(5)
    x, y = x.copy(), y.copy()
    x[held_out] = 50.0 * generator.normal(size=x[held_out].shape)
    y[held_out] = generator.permutation(y[held_out].ravel()).reshape(y[held_out].shape)
    return x, y


def test_nothing_of_a_probe_is_fitted_or_chosen_on_the_sequences_that_it_is_held_to() -> None:
    x, belief = planted(0.3)
    one, other = ridge(x, belief), ridge(*with_held_out_spoilt(x, belief))
    assert one.linear is not None and other.linear is not None
    assert np.array_equal(one.linear.matrix, other.linear.matrix)
    assert np.array_equal(one.linear.offset, other.linear.offset)
    assert one.value > 0.8 > other.value
    # a logistic probe has no public weights: what it says of the same held-out features is told apart by its labels
    label = belief.argmax(-1)
    spoilt = label.copy()
    spoilt[split(len(x))[2]] = 0
    assert np.array_equal(logistic(x, label).predicted, logistic(x, spoilt).predicted)


def test_r2_is_against_the_mean_of_the_fitting_sequences() -> None:
    x, y = np.random.default_rng(0).normal(size=(30, 4, 3)), np.ones((30, 4, 2))
    fit, _, held_out = split(30)
    y[fit, :2], y[held_out] = 3.0, 7.0  # of the held-out sequences themselves the mean leaves nothing to explain
    probed = ridge(x, y)
    residual, total = ((probed.predicted - 7.0) ** 2).sum(), ((2.0 - y[held_out]) ** 2).sum()
    assert probed.value == pytest.approx(1 - residual / total) and abs(probed.value) < 1
    assert probed.count == len(held_out)


def test_a_probe_sees_no_scales_and_its_strength_is_chosen() -> None:
    x, belief = planted(0.3)
    scales = np.geomspace(1e-3, 1e3, x.shape[-1])
    np.testing.assert_allclose(ridge(x * scales, belief).predicted, ridge(x, belief).predicted, atol=1e-6)
    noise = np.random.default_rng(2).normal(size=(30, 4, 60))
    target = np.random.default_rng(3).normal(size=(30, 4, 2))
    assert ridge(noise, target).value > -0.1  # the weakest ridge would fit 72 rows with 60 weights, and have -1


def test_splits_are_drawn_by_their_seed() -> None:
    parts = [np.concatenate(split(40, seed)).tolist() for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2] and sorted(parts[2]) == list(range(40))
    assert parts[0] != list(range(40))
    assert [len(part) for part in split(40)] == [24, 8, 8]


def test_an_untrained_model_has_other_weights_the_same_every_time(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "lstm")
    fresh = [untrained(subject).state_dict() for _ in range(2)]
    own = subject.model.state_dict()
    assert all(torch.equal(fresh[0][name], fresh[1][name]) for name in own)
    assert any(not torch.equal(fresh[0][name], own[name]) for name in own)


@pytest.fixture
def steering_case(tiny_subject: Callable, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """(subject, sessions, rows, targets): all rows ask for one variable, and start from the law of chance."""
    subject = tiny_subject("belief", "lstm")
    sessions = sessions_of(subject.task_batches, commands=8, spacing=2, rows=40)
    rows = np.flatnonzero(sessions.plays.shown[:, 2] == 0)
    return subject, sessions, rows, joint_beliefs(sessions.stream.game, sessions.plays)[np.roll(rows, 1), 2]


@pytest.mark.parametrize(("share", "knows"), [(0.5, True), (1.0, True), (0.5, False), (0.0, True)])
def test_the_slope_is_the_share_of_the_way_and_nothing_without_the_target(
    share: float, knows: bool, steering_case: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, sessions, rows, targets = steering_case
    game = sessions.stream.game
    wanted = targets @ np.eye(len(game.items))[game.holds[:, 0]]
    before = np.full(wanted.shape, 1 / 3)
    aim = wanted if knows else np.tile(wanted.mean(0), (len(rows), 1))
    after = before + share * (aim - before)
    monkeypatch.setattr(steering, "law_after_change", lambda s, of, r, at, change: before if change is None else after)
    results = steering.steered(subject, sessions, {"x": np.zeros(1)}, targets, 2, rows, subject.named)
    told = {result.metric: result for result in results}
    assert told["steering slope"].value == pytest.approx(share if knows else 0.0, abs=1e-9)
    kls = [told[name].value for name in ("steering KL, before", "steering KL, after")]
    assert told["steering followed"].value == pytest.approx(1 - kls[1] / kls[0], abs=1e-9)
    assert (kls[1] < 1e-9) == (share == 1.0)
    assert told["steering slope"].low - 1e-9 <= told["steering slope"].value <= told["steering slope"].high + 1e-9


def test_sessions_are_steered_that_the_probe_was_not_fitted_on_towards_others(
    tiny_subject: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = tiny_subject("belief", "lstm")
    met: list[tuple[np.ndarray, ...]] = []

    def keep(states: np.ndarray, beliefs: np.ndarray, x: np.ndarray, targets: np.ndarray, reveal: int) -> dict:
        met.append((states[:, reveal], beliefs[:, reveal], x, targets))
        return {"": np.zeros_like(x)}

    monkeypatch.setattr(steering, "changes", keep)
    steered_run(subject, rows=6, reveal=3)
    commands, spacing = subject.trained
    sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=12)
    places = features(subject.model, sessions)["layer 0 state"][:, 3]
    beliefs = joint_beliefs(sessions.stream.game, sessions.plays)[:, 3]
    ((fitted, fitted_beliefs, steered, targets),) = met
    assert np.array_equal(fitted, places[:6]) and np.array_equal(fitted_beliefs, beliefs[:6])
    assert np.array_equal(steered, places[6:])
    assert np.array_equal(targets, beliefs[[11, 6, 7, 8, 9, 10]])
