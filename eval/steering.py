"""Counterfactual steering: push what a model holds along a probe to another belief; does the prediction follow?

The probe reads the joint belief off the recurrent state before a question is asked (or, in the residual stream, the law
of what is asked, before the value). A change is added that makes it read another session's, the model goes on, and its
law is compared with what that belief implies.

Which change matters. The least one in the Euclidean norm goes where states hardly differ, which the model doesn't use
either: on nine trained runs the prediction followed 1-22% of the way. The least one in the covariance of the model's
own states is what of a state goes along with such a reading: 91-95% on the same runs. It comes first, the other is
``least norm``. Beside them: ``control``, a random mixture of the model's states of equal norm; ``exchanged``, all of
the other session's state, the most that a change could do; ``unread``, that less what the probe reads, which moves
nothing if the probe reads all that the model uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from corpus.synthetic.game import Floats
from eval.features import features, joint_beliefs
from eval.predictors import SMALLEST
from eval.probes import Linear, ridge
from eval.results import Result, measured
from eval.sessions import Sessions, sessions_of
from eval.subjects import Subject
from train.hooks import intervening

STRENGTH = 1e-3
"""Singular values of the readout below this share of the largest count as none: along them nothing is read."""
RESAMPLES = 300


def carriers(linear: Linear, states: Floats | None = None) -> Floats:
    """[outputs, width]: the change of x that goes with a change of each output, as small as may be in the covariance of
    ``states`` [many, width], or in the Euclidean norm where none are given.
    """
    if states is None:
        return np.asarray(np.linalg.pinv(linear.matrix, rcond=STRENGTH))
    centred = states - states.mean(0)
    read = centred @ linear.matrix
    return np.asarray(np.linalg.pinv(read.T @ read, rcond=STRENGTH, hermitian=True) @ (read.T @ centred))


def push(linear: Linear, x: Floats, target: Floats, states: Floats | None = None) -> Floats:
    """The least change of x [batch, width] after which the readout says ``target`` [batch, outputs]; see ``carriers``.

    Not reached: what of the target lies outside all that the readout (over ``states``) says.
    """
    return np.asarray((target - linear.read(x)) @ carriers(linear, states))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steering:
    """What is steered: sessions ``rows``, at ``reveal``, in ``place``. ``linear`` reads the belief there; ``x``
    [sessions, width] and ``aims`` [sessions, outputs], what stands there and what it should read, of all sessions;
    ``states`` [many, width]: others of the model's own, to measure changes by.
    """

    sessions: Sessions
    place: str
    reveal: int
    rows: Sequence[int]
    linear: Linear
    x: Floats
    aims: Floats
    states: Floats

    @property
    def layer(self) -> int:
        """Where."""
        return int(self.place.split()[1])

    def wanted(self, aims: Floats) -> Floats:
        """[rows, items]: the law of what these sessions show, were these their beliefs."""
        if self.place.endswith("residual"):
            return aims
        game, shown = self.sessions.stream.game, self.sessions.plays.shown[np.asarray(self.rows), self.reveal]
        emits = np.eye(len(game.items))[game.holds.T]  # [variables, states, items]
        return np.einsum("bs,bsi->bi", aims, emits[shown])


def steered_run(subject: Subject, *, rows: int = 96, reveal: int | None = None, place: str = "") -> list[Result]:
    """KL(what the target belief implies || the model's law) before and after each change, and the share of the way that
    it followed (1 - after / before), at one reveal (the middle one), in sessions that the probe was fitted without.

    ``place``: ``layer n state``, or ``layer n residual`` of the question's last token; "": the first layer's state
    where it has one, else its residual.

    Raises:
        ValueError: there is no such place, or outcomes aren't hidden, or labels are drawn anew for each session.
    """
    game = subject.source.task.game
    if not game.is_hidden or game.num_labels is not None:
        raise ValueError(f"expected a task that hides outcomes of distinct values, got {subject.run}'s")
    commands, spacing = subject.trained
    sessions = sessions_of(subject.source, commands=commands, spacing=spacing, rows=2 * rows)
    found = features(subject.model, sessions)
    place = place or ("layer 0 state" if "layer 0 state" in found else "layer 0 residual")
    if place.endswith("residual"):
        found = features(subject.model, sessions, "value")
    if place not in found or place == "embedding":
        known = ", ".join(sorted(set(found) - {"embedding"}))
        raise ValueError(f"expected a place of {known}, got {place!r}")
    aims = joint_beliefs(game, sessions.plays) if place.endswith("state") else sessions.exact
    x = found[place]
    told = ridge(x[:rows], aims[:rows])
    assert told.linear is not None
    at = sessions.plays.shown.shape[1] // 2 if reveal is None else reveal
    steering = Steering(
        sessions=sessions,
        place=place,
        reveal=at,
        rows=range(rows, 2 * rows),
        linear=told.linear,
        x=x[:, at],
        aims=aims[:, at],
        states=x[:rows].reshape(-1, x.shape[-1]),
    )
    where = {**subject.named, "place": place, "commands": commands, "spacing": spacing}
    return steered(subject, steering, where)


def changes(steering: Steering, seed: int = 0) -> dict[str, Floats]:
    """Name -> change [rows, width]; the session before each one is its other session."""
    chosen = np.asarray(steering.rows)
    other, x, linear = np.roll(chosen, 1), steering.x, steering.linear
    along = push(linear, x[chosen], steering.aims[other], steering.states)
    whole = x[other] - x[chosen]
    centred = steering.states - steering.states.mean(0)
    mixed = np.random.default_rng(seed).normal(size=(len(chosen), len(centred))) @ centred
    mixed *= np.linalg.norm(along, axis=1, keepdims=True) / np.maximum(np.linalg.norm(mixed, axis=1), 1e-12)[:, None]
    return {
        "": along,
        "least norm": push(linear, x[chosen], steering.aims[other]),
        "control": mixed,
        "exchanged": whole,
        "unread": whole - (whole @ linear.matrix) @ carriers(linear, steering.states),
    }


def steered(subject: Subject, steering: Steering, where: Mapping[str, Any]) -> list[Result]:
    """``steered_run`` with everything given. Intervals resample sessions."""
    chosen = np.asarray(steering.rows)
    wanted = steering.wanted(steering.aims[np.roll(chosen, 1)])

    def kl(change: Floats | None) -> Floats:
        law = asked(subject, steering, change)
        terms = wanted * (np.log(np.maximum(wanted, SMALLEST)) - np.log(np.maximum(law, SMALLEST)))
        return np.asarray(np.where(wanted > 0, terms, 0.0).sum(1))

    before = kl(None)
    after = {name: kl(change) for name, change in changes(steering).items()}
    drawn = np.random.default_rng(0).integers(len(chosen), size=(RESAMPLES, len(chosen)))
    found = [measured("steering KL, before", before, unit="nats", **where)]
    for name, each in after.items():
        found.append(measured(f"steering KL, {name or 'after'}", each, unit="nats", **where))
    for name, each in after.items():
        shares = 1.0 - each[drawn].sum(1) / np.maximum(before[drawn].sum(1), SMALLEST)
        low, high = np.percentile(shares, [2.5, 97.5])
        told = Result(
            metric="steering followed",
            value=float(1.0 - each.sum() / max(before.sum(), SMALLEST)),
            unit="share",
            low=float(low),
            high=float(high),
            count=len(chosen),
            variant=name,
            **where,
        )
        found.append(told)
    return found


@torch.no_grad()
def asked(subject: Subject, steering: Steering, change: Floats | None) -> Floats:
    """[rows, labels]: the model's law at the reveal, the place changed by ``change`` [rows, width]: a state before the
    question is read, a residual at its last token.
    """
    model, stream = subject.model, steering.sessions.stream
    device = next(model.parameters()).device
    rows = np.asarray(steering.rows)
    end = int(steering.sessions.batch.reveals[rows[0], steering.reveal, 0])
    begin = end - stream.value_offset
    tokens = torch.from_numpy(steering.sessions.batch.tokens[rows]).to(device)
    carry = model(tokens[:, :begin], return_carry=True).carry
    delta = None if change is None else torch.from_numpy(change).to(device)
    if delta is None:
        logits = model(tokens[:, begin:end], carry).logits[:, -1]
    elif steering.place.endswith("state"):
        carry[steering.layer] = changed(carry[steering.layer], delta)
        logits = model(tokens[:, begin:end], carry).logits[:, -1]
    else:

        def at_the_end(residual: torch.Tensor) -> torch.Tensor:
            moved = residual.clone()
            moved[:, -1] += delta.to(residual.dtype)
            return moved

        with intervening(model, steering.layer, "residual", at_the_end):
            logits = model(tokens[:, begin:end], carry).logits[:, -1]
    labels = torch.from_numpy(stream.label_tokens).to(device)
    return np.asarray(logits.double().softmax(-1)[:, labels].cpu().numpy())


def changed(carry: dict[str, Any], change: torch.Tensor) -> dict[str, Any]:
    """The carry with its state moved by ``change`` [batch, width], laid out as ``features.state_of`` reads it."""
    if "state" in carry:
        return {**carry, "state": carry["state"] + change.view_as(carry["state"]).to(carry["state"].dtype)}
    parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
    moved, first = [], 0
    for part in parts:
        layers, batch, width = part.shape
        told = change[:, first : first + layers * width].view(batch, layers, width).transpose(0, 1)
        moved.append(part + told.to(part.dtype))
        first += layers * width
    return {**carry, "hidden": tuple(moved) if isinstance(carry["hidden"], tuple) else moved[0]}
