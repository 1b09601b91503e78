"""Counterfactual steering: push the state along a probe to another belief; does the prediction follow?

The probe reads the joint belief off the recurrent state before a question is asked. The smallest change of the state
that makes it read another session's belief is added, the question is asked, and the model's law is compared with what
that belief implies. A change of equal norm in a random direction is the control; the
other session's whole state in its place (``exchanged``) shows what a change as large as between sessions does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from corpus.synthetic.game import Floats
from eval.predictors import SMALLEST
from eval.probes import Linear, features, joint_beliefs, ridge
from eval.results import Result, measured
from eval.sessions import Sessions, sessions_of
from eval.subjects import Subject

STRENGTH = 1e-3
"""Singular values of the readout below this share of the largest count as none: along them nothing is read."""


def push(linear: Linear, x: Floats, target: Floats) -> Floats:
    """The change of x [batch, width] of least norm after which the readout says ``target`` [batch, outputs]."""
    return np.asarray((target - linear.read(x)) @ np.linalg.pinv(linear.matrix, rcond=STRENGTH))


def steered_run(subject: Subject, *, rows: int = 96, reveal: int | None = None) -> list[Result]:
    """KL(what the target belief implies || the model's law) before, after, and after the control, at one reveal (the
    middle one), in sessions that the probe was fitted without.

    Raises:
        ValueError: the model's first layer has no state to push, or outcomes aren't hidden.
    """
    if not subject.source.task.game.is_hidden:
        raise ValueError(f"expected a task that hides outcomes, got {subject.run}; beliefs there are certain")
    commands, spacing = subject.trained
    sessions = sessions_of(subject.source, commands=commands, spacing=spacing, rows=2 * rows)
    found = features(subject.model, sessions)
    if "layer 0 state" not in found:
        raise ValueError(f"expected a model with a recurrent state, got {subject.label}")
    beliefs = joint_beliefs(sessions.stream.game, sessions.plays)
    x = found["layer 0 state"]
    told = ridge(x[:rows], beliefs[:rows])
    assert told.linear is not None
    at = sessions.plays.shown.shape[1] // 2 if reveal is None else reveal
    where = {**subject.named, "place": "layer 0 state", "commands": commands, "spacing": spacing}
    return steered(subject, sessions, told.linear, x[:, at], beliefs[:, at], at, range(rows, 2 * rows), where)


@torch.no_grad()
def steered(
    subject: Subject,
    sessions: Sessions,
    linear: Linear,
    x: Floats,
    beliefs: Floats,
    reveal: int,
    rows: Any,
    where: Mapping[str, Any],
) -> list[Result]:
    """``steered_run`` with everything given."""
    chosen = np.asarray(rows)
    other = np.roll(chosen, 1)
    change = push(linear, x[chosen], beliefs[other])
    generator = np.random.default_rng(0)
    noise = generator.normal(size=change.shape)
    noise *= np.linalg.norm(change, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    whole = x[other] - x[chosen]
    game, shown = sessions.stream.game, sessions.plays.shown[chosen, reveal]
    emits = np.eye(len(game.items))[game.holds.T]  # [variables, states, items]
    wanted = np.einsum("bs,bsi->bi", beliefs[other], emits[shown])
    kls = {}
    for name, delta in (("before", None), ("after", change), ("control", noise), ("exchanged", whole)):
        law = asked(subject, sessions, chosen, reveal, delta)
        terms = wanted * (np.log(np.maximum(wanted, SMALLEST)) - np.log(np.maximum(law, SMALLEST)))
        kls[name] = np.where(wanted > 0, terms, 0.0).sum(1)
    found = [measured(f"steering KL, {name}", kl, unit="nats", **where) for name, kl in kls.items()]
    total = kls["before"].sum()
    for name in ("after", "control", "exchanged"):
        followed = 1.0 - kls[name].sum() / total
        variant = "" if name == "after" else name
        found.append(Result(metric="steering followed", value=float(followed), unit="share", variant=variant, **where))
    return found


def asked(subject: Subject, sessions: Sessions, rows: Any, reveal: int, change: Floats | None) -> Floats:
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


def changed(carry: dict[str, Any], change: torch.Tensor) -> dict[str, Any]:
    """The carry with its state moved by ``change`` [batch, width], laid out as ``probes.state_of`` reads it."""
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
