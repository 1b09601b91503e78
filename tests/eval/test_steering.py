"""Steering moves what a known readout reads, by no more than that takes, and predictions follow where it is used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from eval.features import features, state_of
from eval.planted import planted_subject
from eval.probes import Linear
from eval.sessions import sessions_of
from eval.steering import Steering, asked, carriers, changed, push, steered, steered_run


def test_a_push_makes_a_known_readout_say_the_target_by_the_least_change() -> None:
    generator = np.random.default_rng(0)
    linear = Linear(matrix=generator.normal(size=(30, 3)), offset=generator.normal(size=3))
    x, target = generator.normal(size=(5, 30)), generator.normal(size=(5, 3))
    change = push(linear, x, target)
    assert np.allclose(linear.read(x + change), target)
    inside = change @ np.linalg.pinv(linear.matrix).T @ linear.matrix.T  # in the span of what is read: nothing wasted
    assert np.allclose(inside, change)


def test_a_push_among_states_is_the_least_in_their_covariance_and_leaves_them_likely() -> None:
    generator = np.random.default_rng(0)
    linear = Linear(matrix=generator.normal(size=(30, 3)), offset=generator.normal(size=3))
    spread = np.concatenate([np.full(10, 5.0), np.full(20, 0.01)])  # only ten of thirty directions ever vary
    states = 2.0 + generator.normal(size=(4_000, 30)) * spread
    x, target = states[:5], generator.normal(size=(5, 3))
    change = push(linear, x, target, states)
    assert np.allclose(linear.read(x + change), target)
    inverse = np.linalg.inv(np.cov(states.T))

    def size(each: np.ndarray) -> np.ndarray:
        return np.einsum("bi,ij,bj->b", each, inverse, each)

    least = push(linear, x, target)
    assert np.allclose(linear.read(x + least), target)
    assert (np.linalg.norm(least, axis=1) < np.linalg.norm(change, axis=1)).all()
    assert (size(change) < size(least) / 100).all()
    unseen = generator.normal(size=(5, 30))
    unseen -= unseen @ linear.matrix @ np.linalg.pinv(linear.matrix)  # the readout doesn't see it
    assert (size(change + 0.1 * unseen) > size(change)).all()


def test_what_goes_with_nothing_read_is_no_carrier() -> None:
    linear = Linear(matrix=np.array([[1.0, -1.0], [0.0, 0.0]]), offset=np.zeros(2))  # outputs that sum to nothing
    states = np.random.default_rng(0).normal(size=(500, 2))
    change = push(linear, np.zeros((1, 2)), np.array([[0.3, -0.3]]), states)
    assert np.allclose(linear.read(change), [[0.3, -0.3]]) and np.isfinite(carriers(linear, states)).all()


@pytest.mark.parametrize("model", ["lstm", "delta_net"])
def test_a_changed_carry_is_read_back(model: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model)
    sessions = sessions_of(subject.source, commands=4, spacing=2, rows=3)
    carry = subject.model(torch.from_numpy(sessions.batch.tokens), return_carry=True).carry[0]
    before = state_of(carry)
    assert before is not None
    change = np.random.default_rng(0).normal(size=before.shape)
    after = state_of(changed(carry, torch.from_numpy(change)))
    assert after is not None and np.allclose(after, before + change, atol=1e-5)


def test_a_planted_state_is_steered_exactly() -> None:
    """The model set by hand keeps variable i's value as row i of one head's state, and answers from there: moved by
    another session's rows it must give that session's answer, and moved anywhere else its own.
    """
    subject = planted_subject(n=3)
    sessions = sessions_of(subject.source, commands=8, spacing=2, rows=24)
    game, plays = sessions.stream.game, sessions.plays
    x = features(subject.model, sessions)["layer 0 state"]
    held = np.eye(3)[game.holds[plays.states[:, 1::2]]]  # [batch, reveals, variables, items]
    belief = np.eye(len(game.holds))[plays.states[:, 1::2]]
    rows = x.reshape(-1, x.shape[-1])
    heads, wide = subject.model.blocks[0].mixing.num_heads, subject.model.config.hidden_size
    number = np.arange(x.shape[-1]).reshape(heads, wide // heads, wide // heads)
    entries = number[0, :3, :3].ravel()  # of the head that tracks: variable by value
    order = np.linalg.lstsq(held.reshape(-1, 9), belief.reshape(-1, len(game.holds)), rcond=None)[0]
    matrix = np.zeros((x.shape[-1], len(game.holds)))
    matrix[entries] = order / rows[:, entries].max(1).mean()
    linear = Linear(matrix=matrix, offset=np.zeros(len(game.holds)))
    assert np.abs(linear.read(x) - belief).max() < 0.2
    steering = Steering(
        sessions=sessions,
        place="layer 0 state",
        reveal=2,
        rows=range(24),
        linear=linear,
        x=x[:, 2],
        aims=belief[:, 2],
        states=rows,
    )
    followed = {r.variant: r.value for r in steered(subject, steering, {}) if r.metric == "steering followed"}
    assert followed[""] > 0.99 and followed["exchanged"] > 0.99
    assert abs(followed["unread"]) < 0.01 and followed["control"] < 0.6
    plain = asked(subject, steering, None)
    assert (plain.argmax(1) == sessions.shown[:, 2]).all()


@pytest.mark.parametrize(("model", "place"), [("lstm", ""), ("delta_net", "layer 0 residual"), ("transformer", "")])
def test_a_run_is_steered_with_all_controls(model: str, place: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model, "stages=[{steps: 6, commands: [8], spacings: [2]}]")
    found = steered_run(subject, rows=10, place=place)
    assert {r.place for r in found} == {"layer 0 state" if model == "lstm" else "layer 0 residual"}
    told = {r.variant: r for r in found if r.metric == "steering followed"}
    assert set(told) == {"", "least norm", "control", "exchanged", "unread"}
    assert all(r.low <= r.value <= r.high and r.count == 10 for r in told.values())
    if model == "lstm":
        assert told["exchanged"].value > told["control"].value


def test_what_can_not_be_steered_is_refused(tiny_subject: Callable) -> None:
    with pytest.raises(ValueError, match="expected a task that hides outcomes"):
        steered_run(tiny_subject("contrast", "lstm"))
    with pytest.raises(ValueError, match="expected a place of layer 0 residual"):
        steered_run(tiny_subject("belief", "transformer"), rows=10, place="layer 0 state")
