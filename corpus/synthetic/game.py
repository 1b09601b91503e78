"""Games: finite-state programs played at a prompt, from which every REPL task is made.

A game has a few variables, actions that permute what they hold, each perhaps only with a probability, and reveals of a
variable. Its state is a number; tables over states are all that sampling, text and the exact filter need, so that many
sessions are made at once. Which variable a reveal shows is drawn independently of the state: the text tells nothing of
a hidden outcome but what the reveals say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Game:
    """``variables`` and, for each state, the item that each holds: ``holds`` [states, variables]. ``items`` are the
    texts of the items, no two alike (where ``num_labels`` is set, drawn anew for each session, alike ones too).
    Commands before the first action are ``opening``, with ``{0}`` .. for the start's texts.

    ``actions`` are commands; action a maps state q to ``moves[a, q]``, with probability ``chances[a]``, and leaves it
    otherwise (chance 1: a visible action, no draw). ``start`` is the first state. ``sticky``: the probability that a
    command repeats the one before it, and that a reveal asks for the variable that the one before it showed.
    """

    name: str
    variables: tuple[str, ...]
    holds: Ints
    items: tuple[str, ...]
    opening: tuple[str, ...]
    actions: tuple[str, ...]
    moves: Ints
    chances: Floats
    weights: Floats
    start: int = 0
    setup: str = ""
    num_labels: int | None = None
    shows_all: bool = False
    style: str = "print"
    sticky: float = 0.0
    _inverse: list[Ints] = field(default_factory=list)

    @property
    def is_hidden(self) -> bool:
        """Whether some action may or may not happen."""
        return bool((self.chances < 1.0).any())

    def inverse(self) -> Ints:
        """[actions, states]: the state from which each action leads to a state."""
        if not self._inverse:
            self._inverse.append(np.argsort(self.moves, axis=1))
        return self._inverse[0]

    def reveal_source(self, variable: int) -> str:
        """The command that shows a variable, or all of them."""
        names = self.variables if self.shows_all else (self.variables[variable],)
        if self.style == "echo":
            return ", ".join(names)
        return f"print({', '.join(repr(name) + ', ' + name for name in names)})"

    def reveal_texts(self, variable: int, labels: Sequence[str]) -> list[str]:
        """What the reveal shows in each state."""
        if not self.shows_all:
            name = self.variables[variable]
            prefix = "" if self.style == "echo" else f"{name} "
            return [prefix + labels[item] for item in self.holds[:, variable]]
        rows = [[labels[item] for item in row] for row in self.holds]
        if self.style == "echo":
            return [row[0] if len(row) == 1 else f"({', '.join(row)})" for row in rows]
        return [" ".join(f"{n} {text}" for n, text in zip(self.variables, row, strict=True)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plays:
    """A batch of sessions of one length.

    ``actions``, ``states`` (after the action), ``draws`` (uniform; an action with a chance happens where the draw is
    below it) [batch, length]; ``shown`` [batch, reveals]: the variable of each reveal, which stands after action
    ``spacing``, ``2 spacing``, ...; ``labels`` [batch, items].
    """

    actions: Ints
    states: Ints
    draws: Floats
    shown: Ints
    labels: Ints
    spacing: int

    def rows(self, which: Sequence[bool]) -> Plays:
        """The sessions for which ``which`` is true."""
        return self.at(np.flatnonzero(np.asarray(which, dtype=np.bool_)))

    def at(self, places: Ints) -> Plays:
        """The sessions at these places, in this order."""
        return Plays(
            actions=self.actions[places],
            states=self.states[places],
            draws=self.draws[places],
            shown=self.shown[places],
            labels=self.labels[places],
            spacing=self.spacing,
        )


def play(game: Game, length: int, spacing: int, generators: Sequence[np.random.Generator]) -> Plays:
    """One session for each generator; a session depends on its own generator alone."""
    num_actions, num_reveals, num_items = len(game.actions), length // spacing, len(game.items)
    edges = np.cumsum(game.weights / game.weights.sum())
    actions = np.empty((len(generators), length), dtype=np.int64)
    draws = np.empty((len(generators), length))
    shown = np.empty((len(generators), num_reveals), dtype=np.int64)
    labels = np.empty((len(generators), num_items), dtype=np.int64)
    for row, generator in enumerate(generators):
        uniform = generator.random(2 * length + num_reveals)
        actions[row] = np.minimum(np.searchsorted(edges, uniform[:length], side="right"), num_actions - 1)
        draws[row] = uniform[length : 2 * length]
        # a full reveal shows no variable of its own: a draw that the text doesn't tell would part equal texts by split
        shown[row] = 0 if game.shows_all else (uniform[2 * length :] * len(game.variables)).astype(np.int64)
        labels[row] = (
            np.arange(num_items) if game.num_labels is None else generator.integers(game.num_labels, size=num_items)
        )
        if game.sticky:
            repeats = generator.random(length + num_reveals) < game.sticky
            actions[row], shown[row] = held(actions[row], repeats[:length]), held(shown[row], repeats[length:])
    states = np.empty_like(actions)
    state = np.full(len(generators), game.start, dtype=np.int64)
    for step in range(length):
        action = actions[:, step]
        state = np.where(draws[:, step] < game.chances[action], game.moves[action, state], state)
        states[:, step] = state
    return Plays(actions=actions, states=states, draws=draws, shown=shown, labels=labels, spacing=spacing)


def held(values: Ints, repeats: NDArray[np.bool_]) -> Ints:
    """Each value, or where it ``repeats`` the one that stands before it in the result; the first is never repeated."""
    places = np.arange(len(values))
    fresh = np.where(repeats & (places > 0), 0, places)
    return values[np.maximum.accumulate(fresh)] if len(values) else values


def beliefs_before_reveals(
    game: Game, plays: Plays, *, belief: Floats | None = None, first: int = 0, last: int | None = None
) -> Iterator[Floats]:
    """The exact filter over a batch: yields, for each reveal after commands ``first`` .. ``last`` (exclusive; None: all
    commands), the joint belief [batch, states] before the reveal is shown, in float64.

    The filter starts before command ``first`` from ``belief`` [batch, states] (None: the game's start, known). It takes
    in every command from there on, and every reveal that it yielded a belief for.
    """
    if belief is None:
        belief = np.tile(np.eye(len(game.holds))[game.start], (len(plays.actions), 1))
    end = plays.actions.shape[1] if last is None else last
    for step in range(first, end):
        if step > first and step % plays.spacing == 0:  # a reveal stands between the last command and this one
            belief = belief_after_reveal(game, belief, plays, step // plays.spacing - 1)
        belief = belief_after_action(game, belief, plays.actions[:, step])
        if (step + 1) % plays.spacing == 0:
            yield belief


def reveal_laws(game: Game, plays: Plays) -> Floats:
    """The exact law of every reveal: [batch, reveals, items], the law of the item that each reveal shows, before it is
    shown. With ``shows_all`` the last axis is the state.

    Joint belief over states in float64, renormalised at every reveal.
    """
    num_outcomes = len(game.holds) if game.shows_all else len(game.items)
    laws = np.zeros((*plays.shown.shape, num_outcomes))
    for reveal, belief in enumerate(beliefs_before_reveals(game, plays)):
        laws[:, reveal] = belief if game.shows_all else law_of_item(game, belief, plays.shown[:, reveal])
    return laws


def belief_after_action(game: Game, belief: Floats, action: Ints) -> Floats:
    """Joint beliefs [batch, states] after one action each [batch], which may or may not have happened."""
    chance = game.chances[action][:, None]
    moved = belief[np.arange(len(belief))[:, None], game.inverse()[action]]
    return np.asarray((1.0 - chance) * belief + chance * moved)


def belief_after_reveal(game: Game, belief: Floats, plays: Plays, reveal: int) -> Floats:
    """Joint beliefs [batch, states] after a reveal: the states that would have shown the same text, weighed anew. A
    full reveal leaves one state, the true one (its labels are distinct wherever beliefs are asked for).
    """
    variable, state = plays.shown[:, reveal], plays.states[:, (reveal + 1) * plays.spacing - 1]
    if game.shows_all:
        return np.asarray(np.eye(len(game.holds))[state])
    shown = np.take_along_axis(plays.labels, game.holds[state, variable][:, None], axis=1)
    held = np.take_along_axis(plays.labels, game.holds[:, variable].T, axis=1)
    kept = belief * (held == shown)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def law_of_item(game: Game, belief: Floats, variable: Ints) -> Floats:
    """[batch, items]: the law of the item that each variable [batch] holds, of joint beliefs [batch, states]."""
    emits = np.eye(len(game.items))[game.holds.T]  # [variables, states, items]
    return np.asarray(np.einsum("bs,bsi->bi", belief, emits[variable]))


def labelled(game: Game, plays: Plays, laws: Floats) -> Floats:
    """Laws over items [batch, reveals, items] as laws over labels: items with one text are one outcome."""
    if game.num_labels is None:
        return laws
    by_label = np.zeros((*laws.shape[:2], game.num_labels))
    rows = np.arange(len(laws))
    for item in range(laws.shape[2]):
        by_label[rows, :, plays.labels[:, item]] += laws[:, :, item]
    return by_label
