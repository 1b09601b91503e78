"""Counterfactual steering: the state is pushed along a probe to another belief, and the prediction should follow.

The probe reads the joint belief off the recurrent state before a question is asked. The state is changed so that the
probe reads another session's belief. Then the question is asked, and the model's law is compared with the law that this
other belief implies.

Many changes make the probe read the same, and they show different things:

* ``""``, the change that is least in the covariance of the model's own states. It is the change that goes along with
  such a reading on average, and moves the prediction .94 to .99 of the way. It doesn't prove that the model uses the
  probe's direction and no other, because everything correlated with the belief moves too.
* ``least norm``, the change that is least in the Euclidean norm. It goes along directions in which states hardly
  differ, which a model need not use: .02 to .06 of the way.
* ``control: random``, a random change of the size of the first one, where size is the norm in that covariance.
* ``control: shuffled``, a push along a probe that was fitted to other sessions' beliefs, brought to the same size. At
  its own size it goes many times as far, since such a probe reads next to nothing off a state. The mean of each reveal
  is subtracted first. All sessions begin in one state, so the number of commands says something about the belief, and a
  shuffled probe that reads that number steers a little (slopes of .02 to .36; without it -.04 to .06).
* ``exchanged``, the other session's whole state: the effect of a change as large as the one between two sessions.

A change that only disturbs the state flattens the model's law, and a flat law is nearer to another session's law than a
confident wrong one. The share of the KL that is gone (``steering followed``) rewards this: the shuffled control has had
.11 to .24 of it. ``steering slope`` doesn't, because it counts movement towards this target less movement towards the
mean of all targets, which is 0 on average for a change that doesn't depend on the target.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats, Ints, law_of_item
from trace_mine.eval.intervals import interval_of_ratio
from trace_mine.eval.probes import Linear, as_rows, features, ridge, shuffled
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.eval.subjects import Subject
from trace_mine.train.measure.laws import SMALLEST, joint_beliefs, logs
from trace_mine.train.measure.scores import kl
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.models.layers import Carry

STRENGTH = 1e-3
"""Singular values below this share of the largest count as 0: along them nothing is read, or no state varies, and to
divide by them would turn rounding errors into the largest part of a change.
"""


def push(linear: Linear, x: Floats, target: Floats, states: Floats | None = None) -> Floats:
    """Give the least change [batch, width] of x after which the readout of x gives ``target`` [batch, outputs].

    "Least" is in the covariance of ``states`` [many, width], or in the Euclidean norm where none are given. With
    readout matrix W and covariance C, the change of least norm d^T C^-1 d that moves the reading by r is
    C W (W^T C W)^-1 r, where C is never made: W^T C W and C W are products of the states and their readings. A target
    outside the readings that occur (beliefs sum to 1, so one direction never does) is approached, not reached.
    """
    if states is None:
        change_by_output = np.linalg.pinv(linear.matrix, rcond=STRENGTH)
    else:
        centred = states - states.mean(0)
        readings = centred @ linear.matrix
        # squared, for the eigenvalues of readings^T readings are the squares of the readings' singular values
        inverse = np.linalg.pinv(readings.T @ readings, rcond=STRENGTH**2, hermitian=True)
        change_by_output = inverse @ (readings.T @ centred)
    return np.asarray((target - linear.read(x)) @ change_by_output)


class Spread:
    """The covariance of ``states`` [many, width], in which changes have sizes and random changes are drawn.

    It is kept as the states' principal axes with their standard deviations; axes along which they don't vary are left
    out, and the part of a change along these has no size.
    """

    def __init__(self, states: Floats) -> None:
        centred = states - states.mean(0)
        # by SVD of the states, for their covariance would be width by width, 2,048 or more, of rank ``many`` at most
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        varies = lengths > STRENGTH * lengths[0]
        self._scales, self._axes = lengths[varies] / np.sqrt(len(states)), axes[varies]

    def size(self, change: Floats) -> Floats:
        """[batch]: the length of each change in standard deviations of the states, along the axes where they vary."""
        return np.asarray(np.linalg.norm(change @ self._axes.T / self._scales, axis=1))

    def random(self, size: Floats, seed: int = 0) -> Floats:
        """Draw changes [batch, width] of these sizes, in directions that are uniform in the covariance."""
        # normal numbers scaled to one length are uniform on the sphere
        directions = np.random.default_rng(seed).normal(size=(len(size), len(self._scales)))
        directions *= (size / np.linalg.norm(directions, axis=1))[:, None]
        return np.asarray(directions * self._scales @ self._axes)

    def resized(self, change: Floats, size: Floats) -> Floats:
        """Scale the changes [batch, width] so that they have these sizes [batch]; a change of size 0 stays as it is."""
        return np.asarray(change * (size / np.maximum(self.size(change), SMALLEST))[:, None])


def steered_run(subject: Subject, *, rows: int = 96, reveal: int | None = None) -> list[Result]:
    """Steer a run at one reveal (the middle one by default), in ``rows`` sessions on which the probe wasn't fitted.

    With t the law that the target belief implies, u the mean of t over all sessions' targets, b and a the model's law
    before and after a change, the results of each change are:

    * ``steering KL``: KL(t || a), and KL(t || b) as ``steering KL, before``;
    * ``steering followed``: 1 - KL(t || a) / KL(t || b), both summed over sessions;
    * ``steering slope``: the sum of (a - b)(t - u) over that of (t - b)(t - u): 1 where the law goes all the way to t,
      0 on average where the change doesn't depend on the target.

    Raises:
        ValueError: the model's first layer has no state to push, or outcomes aren't hidden.
    """
    if not subject.task_batches.task.game.is_hidden:
        raise ValueError(f"expected a task that hides outcomes, got {subject.run}; beliefs there are certain")
    commands, spacing = subject.trained
    sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=2 * rows)
    places = features(subject.model, sessions)
    if "layer 0 state" not in places:
        raise ValueError(f"expected a model with a recurrent state, got {subject.label}")
    beliefs = joint_beliefs(sessions.stream.game, sessions.plays)
    # the first layer, since a change there passes through all that the model still computes
    x = places["layer 0 state"]
    at = sessions.plays.shown.shape[1] // 2 if reveal is None else reveal
    # the second half; the probe is fitted on the first
    chosen = np.arange(rows, 2 * rows)
    # the belief of the session before: one that occurs, in the same number of commands
    targets = beliefs[np.roll(chosen, 1), at]
    moves = changes(x[:rows], beliefs[:rows], x[chosen, at], targets, at)
    where: dict[str, Where] = {**subject.named, "place": "layer 0 state", "commands": commands, "spacing": spacing}
    return steered(subject, sessions, moves, targets, at, chosen, where)


def changes(states: Floats, beliefs: Floats, x: Floats, targets: Floats, reveal: int) -> dict[str, Floats]:
    """Make the five changes of this module's docstring, as name -> change [batch, width] of x.

    Args:
        states: [sessions, reveals, width], on which the probes are fitted.
        beliefs: [sessions, reveals, outputs], the exact beliefs that go with them.
        x: [batch, width], the states to be changed, of other sessions at reveal number ``reveal``.
        targets: [batch, outputs], for each of them the belief to push to, that of the session before it in ``x``.
        reveal: the number of the reveal, whose means are subtracted for the shuffled control.
    """
    centred_states, centred_beliefs = states - states.mean(0), beliefs - beliefs.mean(0)
    probe, shuffled_probe = ridge(states, beliefs).linear, ridge(centred_states, shuffled(centred_beliefs)).linear
    assert probe is not None and shuffled_probe is not None
    spread = Spread(as_rows(states))
    along_probe = push(probe, x, targets, as_rows(states))
    centred_x, centred_targets = x - states[:, reveal].mean(0), targets - beliefs[:, reveal].mean(0)
    along_shuffled = push(shuffled_probe, centred_x, centred_targets, as_rows(centred_states))
    size = spread.size(along_probe)
    return {
        "": along_probe,
        "least norm": push(probe, x, targets),
        "control: random": spread.random(size),
        "control: shuffled": spread.resized(along_shuffled, size),
        # the session before each, as its target is
        "exchanged": np.roll(x, 1, axis=0) - x,
    }


@torch.no_grad()
def steered(
    subject: Subject,
    sessions: Sessions,
    moves: Mapping[str, Floats],
    targets: Floats,
    reveal: int,
    rows: Ints,
    where: Mapping[str, Where],
) -> list[Result]:
    """Measure given changes at a reveal; ``steered_run`` says what the results are.

    Args:
        subject: the run whose first layer's state is changed.
        sessions: the sessions that it reads.
        moves: name of a change, which becomes ``variant``, -> change [rows, width].
        targets: [rows, states of the game], the belief to which each session is pushed.
        reveal: the number of the reveal.
        rows: the numbers of the sessions that are steered.
        where: the other fields of the results. Intervals resample sessions.
    """
    game, variables = sessions.stream.game, sessions.plays.shown[rows, reveal]
    mean_target = np.broadcast_to(targets.mean(0), targets.shape)
    # "usual" still differs between sessions: they ask for different variables
    wanted, usual = (law_of_item(game, beliefs, variables) for beliefs in (targets, mean_target))
    before = law_after_change(subject, sessions, rows, reveal, None)
    kl_before, direction = kl(wanted, logs(before)), wanted - usual
    results = [measured("steering KL, before", kl_before, unit="nats", **where)]
    for name, change in moves.items():
        law = law_after_change(subject, sessions, rows, reveal, change)
        kl_after, movement = kl(wanted, logs(law)), ((law - before) * direction).sum(1)
        results.append(measured("steering KL, after", kl_after, unit="nats", variant=name, **where))
        for metric, part, total in (
            ("steering followed", kl_before - kl_after, kl_before),
            ("steering slope", movement, ((wanted - before) * direction).sum(1)),
        ):
            # a ratio of sums: a mean of ratios would be decided by sessions whose law was near the target already
            value = float(part.sum() / max(total.sum(), SMALLEST))
            low, high = interval_of_ratio(part, total, SMALLEST)
            interval: dict[str, Where] = {"low": low, "high": high, "count": len(rows)}
            results.append(number(metric, value, unit="share", variant=name, **interval, **where))
    return results


@torch.no_grad()
def law_after_change(subject: Subject, sessions: Sessions, rows: Ints, reveal: int, change: Floats | None) -> Floats:
    """[rows, labels]: the model's law at the reveal, with its first layer's state changed before the question.

    ``change`` [rows, width] is added to the state; None leaves it alone.
    """
    device = next(subject.model.parameters()).device
    # the same position in all rows: ``features``, which found the states, refuses sessions where it isn't
    begin = int(sessions.batch.reveals[rows[0], reveal, 0]) - sessions.stream.value_offset
    end = int(sessions.batch.reveals[rows[0], reveal, 0])
    tokens = torch.from_numpy(sessions.batch.tokens[rows]).to(device)
    # only the first layer's state is changed; the others, and the residual stream, follow from it in what comes after
    carry = subject.model(tokens[:, :begin], return_carry=True).carry
    if change is not None:
        carry[0] = changed(carry[0], torch.from_numpy(change).to(device))
    logits = subject.model(tokens[:, begin:end], carry).logits[:, -1]
    labels = torch.from_numpy(sessions.stream.label_tokens).to(device)
    return np.asarray(logits.double().softmax(-1)[:, labels].cpu().numpy())


def changed(carry: Carry, change: torch.Tensor) -> Carry:
    """Add ``change`` [batch, width] to the state of a carry and return the new one.

    The change is laid out as ``probes.state_of`` flattens a state: an LSTM's hidden part comes before its cell, and in
    each the layers come after the batch.
    """
    if "state" in carry:
        return {**carry, "state": carry["state"] + change.view_as(carry["state"]).to(carry["state"].dtype)}
    parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
    changed_parts, first = [], 0
    for part in parts:
        layers, batch, width = part.shape
        own = change[:, first : first + layers * width].view(batch, layers, width).transpose(0, 1)
        changed_parts.append(part + own.to(part.dtype))
        first += layers * width
    hidden = tuple(changed_parts) if isinstance(carry["hidden"], tuple) else changed_parts[0]
    return {**carry, "hidden": hidden}
