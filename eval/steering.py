"""Counterfactual steering: push the state along a probe to another belief; does the prediction follow?

The probe reads the joint belief off the recurrent state before a question is asked. A change is added after which it
reads another session's belief, the question is asked, and the model's law is compared with what that belief implies.

Many changes do that, and which one is taken decides what is shown. The least one in the Euclidean norm (``least norm``)
goes where states hardly differ, and a model needn't use that. The least one in the covariance of the model's own states
is what of a state goes along with such a reading on average; it comes first. It is no proof that the model uses the
probe's direction and no other: what is correlated with the belief moves too. Beside them:

* ``control: random``: a random change of the same size, which is the norm in that covariance;
* ``control: shuffled``: the same push by a probe that was fitted to other sessions' beliefs, of the same size. Left at
  its own size it goes many times as far, since such a probe reads next to nothing off a state. Each reveal's means are
  taken off first: sessions begin in one state, so a belief tells the time and the time something of a belief, and a
  shuffled probe that reads the time steers a little (slopes of .02 to .36, without the time -.04 to .06);
* ``exchanged``: the other session's whole state, what a change as large as between sessions does.

A change that only disturbs makes a law flat, and flat is nearer to another session's law than confident and wrong: the
share of the KL that is gone (``steering followed``) rewards that, and the shuffled control has had .11 to .24 of it.
``steering slope`` doesn't: it counts movement towards this target against that towards the targets of all sessions,
which is 0 on average for a change that doesn't know the target.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats, Ints, law_of_item
from trace_mine.eval.intervals import interval_of_ratio
from trace_mine.eval.probes import Linear, features, flat, ridge, shuffled
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.eval.subjects import Subject
from trace_mine.train.measure.laws import SMALLEST, joint_beliefs, logs
from trace_mine.train.measure.scores import kl
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.models.layers import Carry

STRENGTH = 1e-3
"""Singular values below this share of the largest count as none: along them nothing is read, or no state varies."""


def push(linear: Linear, x: Floats, target: Floats, states: Floats | None = None) -> Floats:
    """The least change of x [batch, width] after which the readout says ``target`` [batch, outputs]: least in the
    covariance of ``states`` [many, width], or in the Euclidean norm where none are given. What of the target lies
    outside all that the readout says (of these states) isn't reached.
    """
    if states is None:
        carriers = np.linalg.pinv(linear.matrix, rcond=STRENGTH)
    else:
        centred = states - states.mean(0)
        read = centred @ linear.matrix
        carriers = np.linalg.pinv(read.T @ read, rcond=STRENGTH**2, hermitian=True) @ (read.T @ centred)
    return np.asarray((target - linear.read(x)) @ carriers)


class Spread:
    """Sizes of changes and random changes, in the covariance of ``states`` [many, width]."""

    def __init__(self, states: Floats) -> None:
        centred = states - states.mean(0)
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        kept = lengths > STRENGTH * lengths[0]
        self._scales, self._axes = lengths[kept] / np.sqrt(len(states)), axes[kept]

    def size(self, change: Floats) -> Floats:
        """[batch]: how many standard deviations of the states each change is long, along what they vary in."""
        return np.asarray(np.linalg.norm(change @ self._axes.T / self._scales, axis=1))

    def random(self, size: Floats, seed: int = 0) -> Floats:
        """Changes [batch, width] of these sizes, in directions that are uniform in the covariance."""
        drawn = np.random.default_rng(seed).normal(size=(len(size), len(self._scales)))
        drawn *= (size / np.linalg.norm(drawn, axis=1))[:, None]
        return np.asarray(drawn * self._scales @ self._axes)

    def resized(self, change: Floats, size: Floats) -> Floats:
        """The changes with other sizes."""
        return np.asarray(change * (size / np.maximum(self.size(change), SMALLEST))[:, None])


def steered_run(subject: Subject, *, rows: int = 96, reveal: int | None = None) -> list[Result]:
    """At one reveal (the middle one), in sessions that the probe was fitted without, before and after each change:

    ``steering KL``: KL(what the target belief implies || the model's law). ``steering followed``: 1 - after / before of
    it. ``steering slope``: movement of the law along what the target implies less what all sessions' targets imply on
    average, as a share of what the whole way to the target would be; 0 for a change that doesn't know the target.

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
    x = places["layer 0 state"]
    at = sessions.plays.shown.shape[1] // 2 if reveal is None else reveal
    chosen = np.arange(rows, 2 * rows)
    targets = beliefs[np.roll(chosen, 1), at]
    moves = changes(x[:rows], beliefs[:rows], x[chosen, at], targets, at)
    where: dict[str, Where] = {**subject.named, "place": "layer 0 state", "commands": commands, "spacing": spacing}
    return steered(subject, sessions, moves, targets, at, chosen, where)


def changes(states: Floats, beliefs: Floats, x: Floats, targets: Floats, reveal: int) -> dict[str, Floats]:
    """Name -> change of x [batch, width], which stands at a reveal, towards ``targets`` [batch, outputs], the beliefs
    of the session before each. Probes are fitted on ``states`` [sessions, reveals, width] and their ``beliefs``.
    """
    timeless, fleeting = states - states.mean(0), beliefs - beliefs.mean(0)
    right, wrong = ridge(states, beliefs).linear, ridge(timeless, shuffled(fleeting)).linear
    assert right is not None and wrong is not None
    spread = Spread(flat(states))
    along = push(right, x, targets, flat(states))
    off = push(wrong, x - states[:, reveal].mean(0), targets - beliefs[:, reveal].mean(0), flat(timeless))
    size = spread.size(along)
    return {
        "": along,
        "least norm": push(right, x, targets),
        "control: random": spread.random(size),
        "control: shuffled": spread.resized(off, size),
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
    """``steered_run`` with everything given; intervals resample sessions."""
    game, variables = sessions.stream.game, sessions.plays.shown[rows, reveal]
    everyone = np.broadcast_to(targets.mean(0), targets.shape)
    wanted, usual = (law_of_item(game, aims, variables) for aims in (targets, everyone))
    before = asked(subject, sessions, rows, reveal, None)
    kl_before, own = kl(wanted, logs(before)), wanted - usual
    results = [measured("steering KL, before", kl_before, unit="nats", **where)]
    for name, change in moves.items():
        law = asked(subject, sessions, rows, reveal, change)
        kl_after, gone = kl(wanted, logs(law)), ((law - before) * own).sum(1)
        results.append(measured("steering KL, after", kl_after, unit="nats", variant=name, **where))
        for metric, part, whole in (
            ("steering followed", kl_before - kl_after, kl_before),
            ("steering slope", gone, ((wanted - before) * own).sum(1)),
        ):
            value = float(part.sum() / max(whole.sum(), SMALLEST))
            low, high = interval_of_ratio(part, whole, SMALLEST)
            interval: dict[str, Where] = {"low": low, "high": high, "count": len(rows)}
            results.append(number(metric, value, unit="share", variant=name, **interval, **where))
    return results


@torch.no_grad()
def asked(subject: Subject, sessions: Sessions, rows: Ints, reveal: int, change: Floats | None) -> Floats:
    """[rows, labels]: the model's law at the reveal, its first layer's state changed before the question."""
    device = next(subject.model.parameters()).device
    begin = int(sessions.batch.reveals[rows[0], reveal, 0]) - sessions.stream.value_offset
    end = int(sessions.batch.reveals[rows[0], reveal, 0])
    tokens = torch.from_numpy(sessions.batch.tokens[rows]).to(device)
    carry = subject.model(tokens[:, :begin], return_carry=True).carry
    if change is not None:
        carry[0] = changed(carry[0], torch.from_numpy(change).to(device))
    logits = subject.model(tokens[:, begin:end], carry).logits[:, -1]
    labels = torch.from_numpy(sessions.stream.label_tokens).to(device)
    return np.asarray(logits.double().softmax(-1)[:, labels].cpu().numpy())


def changed(carry: Carry, change: torch.Tensor) -> Carry:
    """The carry with its state moved by ``change`` [batch, width], laid out as ``probes.state_of`` reads it."""
    if "state" in carry:
        return {**carry, "state": carry["state"] + change.view_as(carry["state"]).to(carry["state"].dtype)}
    parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
    moved, first = [], 0
    for part in parts:
        layers, batch, width = part.shape
        own = change[:, first : first + layers * width].view(batch, layers, width).transpose(0, 1)
        moved.append(part + own.to(part.dtype))
        first += layers * width
    return {**carry, "hidden": tuple(moved) if isinstance(carry["hidden"], tuple) else moved[0]}
