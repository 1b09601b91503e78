"""What a model holds at chosen points of sessions, and what it would have to hold: features and targets of probes.

Row (b, n) of every feature conditions on the text of session b up to stop n and on nothing later. Stops are one of
``POINTS``: ``question``, before each reveal is asked for; ``value``, before each value, the question read (where a
delta rule retrieves); ``command``, after each command. The question tells nothing of the state, so that ``question``
and ``value`` have the same exact belief. Not covered: commands of different widths, full reveals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from corpus.synthetic.game import Floats, Game, Ints, Plays
from eval.sessions import Sessions
from train.hooks import recording
from train.models.language_model import SequenceModel

POINTS = ("question", "value", "command")


@torch.no_grad()
def features(model: SequenceModel, sessions: Sessions, point: str = "question") -> dict[str, Floats]:
    """Place -> [batch, stops, width]: ``embedding`` (of the last token read), ``layer n residual`` and, where a layer
    is recurrent, ``layer n state`` (matrix or hidden state, flat). One pass over the text, stop by stop.

    Raises:
        ValueError: there is no such point, or stops are at different positions in different sessions.
    """
    device = next(model.parameters()).device
    tokens = torch.from_numpy(sessions.batch.tokens).to(device)
    found: dict[str, list[Floats]] = {}
    carry, first = None, 0
    for stop in stops_of(sessions, point):
        with recording(model, ("residual",)) as readings:
            carry = model(tokens[:, first:stop], carry, return_carry=True).carry
        first = stop
        embedded = model.backbone_module.embeddings(tokens[:, stop - 1])
        found.setdefault("embedding", []).append(embedded.double().cpu().numpy())
        for layer, kept in enumerate(carry):
            hidden = state_of(kept)
            if hidden is not None:
                found.setdefault(f"layer {layer} state", []).append(hidden)
            last = readings[layer, "residual"][0][:, -1]
            found.setdefault(f"layer {layer} residual", []).append(last.double().cpu().numpy())
    return {place: np.stack(parts, axis=1) for place, parts in found.items()}


def stops_of(sessions: Sessions, point: str) -> list[int]:
    """How many tokens are read at each stop, the same for all sessions.

    Raises:
        ValueError: as ``features``.
    """
    if point not in POINTS:
        raise ValueError(f"expected a point of {', '.join(POINTS)}, got {point!r}")
    stream, plays = sessions.stream, sessions.plays
    values = sessions.batch.reveals[:, :, 0]
    if point == "command":
        ends = []
        for count in range(1, plays.actions.shape[1] + 1):
            if count % plays.spacing == 0:
                ends.append(values[:, count // plays.spacing - 1] - stream.value_offset)
                continue
            cut = replace(
                plays,
                actions=plays.actions[:, :count],
                states=plays.states[:, :count],
                draws=plays.draws[:, :count],
                shown=plays.shown[:, : count // plays.spacing],
            )
            ends.append(stream.batch_of(cut).lengths)
        stops = np.stack(ends, axis=1)
    else:
        stops = values if point == "value" else values - stream.value_offset
    if (stops != stops[0]).any():
        raise ValueError("expected commands of one width, so that reveals stand in line; give per=command")
    return [int(stop) for stop in stops[0]]


def state_of(carry: Mapping[str, Any]) -> Floats | None:
    """[batch, width] of what a recurrent layer keeps: its matrix state, or an RNN's hidden (and cell); else None."""
    if "state" in carry:
        return np.asarray(carry["state"].detach().flatten(1).double().cpu().numpy())
    if "hidden" in carry:
        parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
        return np.concatenate(
            [part.detach().transpose(0, 1).flatten(1).double().cpu().numpy() for part in parts], axis=1
        )
    return None


def joint_beliefs(game: Game, plays: Plays, point: str = "question") -> Floats:
    """[batch, stops, states]: the exact joint belief at each stop (float64, renormalised at every reveal).

    Raises:
        ValueError: reveals show all variables at once, or there is no such point.
    """
    if game.shows_all:
        raise ValueError("expected reveals of one variable, got full ones; give --set task.reveals=partial")
    if point not in POINTS:
        raise ValueError(f"expected a point of {', '.join(POINTS)}, got {point!r}")
    batch, length = plays.actions.shape
    belief = np.zeros((batch, len(game.holds)))
    belief[:, game.start] = 1.0
    inverse, rows = game.inverse(), np.arange(batch)[:, None]
    found = np.zeros((batch, length, len(game.holds)))
    for step in range(length):
        action = plays.actions[:, step]
        chance = game.chances[action][:, None]
        belief = (1.0 - chance) * belief + chance * belief[rows, inverse[action]]
        found[:, step] = belief
        if (step + 1) % plays.spacing:
            continue
        variable = plays.shown[:, (step + 1) // plays.spacing - 1]
        item = game.holds[plays.states[:, step], variable]
        told = np.take_along_axis(plays.labels, item[:, None], axis=1)
        held = np.take_along_axis(plays.labels, game.holds[:, variable].T, axis=1)
        kept = belief * (held == told)
        belief = kept / kept.sum(axis=1, keepdims=True)
    return at_stops(found, plays, point)


def true_states(plays: Plays, point: str = "question") -> Ints:
    """[batch, stops]: the state at each stop."""
    return np.asarray(at_stops(plays.states, plays, point))


def at_stops(by_command: Any, plays: Plays, point: str) -> Any:
    """[batch, commands, ...] -> [batch, stops, ...]."""
    if point == "command":
        return by_command
    return by_command[:, plays.spacing - 1 :: plays.spacing][:, : plays.shown.shape[1]]


def has_parity(game: Game) -> bool:
    """Whether states are orders of the items."""
    wanted = list(range(len(game.variables)))
    return all(sorted(row) == wanted for row in game.holds.tolist())


def parity(game: Game) -> Ints:
    """[states]: 0 for an even order of items, 1 for an odd one.

    Raises:
        ValueError: states aren't orders of items.
    """
    if not has_parity(game):
        raise ValueError("expected states that are orders of the items, for their parity, got others")
    count = len(game.variables)
    pairs = [(i, k) for i in range(count) for k in range(i + 1, count)]
    return np.array([sum(row[i] > row[k] for i, k in pairs) % 2 for row in game.holds.tolist()])
