"""Games: finite-state programs played at a prompt, in tables, and their exact filter.

A game has a few variables, actions that permute the values of the variables, each with certainty or with a probability,
and reveals that show a variable. Its state is a number, and tables over states are all that drawing, text and the exact
filter need, so many sessions are made at once. The variable that a reveal shows is drawn independently of the state, so
the text tells of hidden outcomes only through the values shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
STYLES = ("print", "echo")


# eq=False: `==` of arrays is an array, so a generated __eq__ would raise.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Game:
    """A finite-state program as tables.

    An item is an abstract value; a label is the text of an item in one session. Without ``num_labels`` the labels are
    ``items``, all different. With ``num_labels`` = k each session draws a digit below k for each item, and two items
    may have one label.

    Attributes:
        variables: names of the variables.
        holds: [states, variables], the item that each variable holds in each state.
        items: the items' labels.
        opening: the commands before the first action; ``{0}``, ``{1}``, ... stand for the start's labels.
        actions: the commands of the actions.
        moves: [actions, states], the state to which an action leads; a permutation of the states for each action.
        chances: [actions], the probability that the action happens. Below 1 its command draws; 1 is a visible action.
        weights: [actions], how often each action is chosen, not normalised.
        start: the first state.
        setup: code that runs silently before the first command.
        num_labels: see above.
        shows_all: a reveal shows all variables instead of one.
        style: how a reveal shows: ``print`` or ``echo``.
        sticky: the probability that a command repeats the one before it, and that a reveal asks for the variable of the
            reveal before it.

    Raises:
        ValueError: a table's shape or a number is out of range.
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
    # A list, so that a frozen record can remember the table; not a parameter, so that `replace` can't hand on an old
    # one.
    _inverse: list[Ints] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        num_states, num_actions = len(self.holds), len(self.actions)
        shapes = {
            "holds": (self.holds.shape, (num_states, len(self.variables))),
            "moves": (self.moves.shape, (num_actions, num_states)),
            "chances": (self.chances.shape, (num_actions,)),
            "weights": (self.weights.shape, (num_actions,)),
        }
        for table, (shape, expected) in shapes.items():
            if shape != expected:
                raise ValueError(f"expected {table} of {self.name} of shape {expected}, got {shape}; see Game")
        if not (self.chances.min(initial=1.0) > 0.0 and self.chances.max(initial=1.0) <= 1.0):
            raise ValueError(f"expected chances of {self.name} in (0, 1], got {self.chances.tolist()}; correct them")
        if self.style not in STYLES:
            raise ValueError(f"expected style to be {' or '.join(STYLES)}, got {self.style!r}")
        if not (0 <= self.start < num_states and 0.0 <= self.sticky < 1.0):
            raise ValueError(
                f"expected start among {num_states} states and sticky in [0, 1), got {self.start} and {self.sticky}"
            )

    @property
    def is_hidden(self) -> bool:
        """True if some action happens with a probability below 1, so that the text doesn't tell its outcome."""
        return bool((self.chances < 1.0).any())

    def inverse(self) -> Ints:
        """Return the table [actions, states] of the state from which each action leads to a state."""
        if not self._inverse:
            self._inverse.append(np.argsort(self.moves, axis=1))  # rows of `moves` are permutations
        return self._inverse[0]

    def reveal_source(self, variable: int) -> str:
        """Return the command that shows a variable, given by its number, or with ``shows_all`` all of them."""
        names = self.variables if self.shows_all else (self.variables[variable],)
        if self.style == "echo":
            return ", ".join(names)
        return f"print({', '.join(repr(name) + ', ' + name for name in names)})"

    def reveal_texts(self, variable: int, labels: Sequence[str]) -> list[str]:
        """Return the output of a variable's reveal for each state.

        Args:
            variable: the variable's number; no matter with ``shows_all``.
            labels: the session's labels of the items.
        """
        if not self.shows_all:
            name = self.variables[variable]
            prefix = "" if self.style == "echo" else f"{name} "
            return [prefix + labels[item] for item in self.holds[:, variable]]
        rows = [[labels[item] for item in row] for row in self.holds]
        if self.style == "echo":
            # The echo of `a, b` is a tuple; of `a` alone it is the value.
            return [row[0] if len(row) == 1 else f"({', '.join(row)})" for row in rows]
        return [" ".join(f"{n} {text}" for n, text in zip(self.variables, row, strict=True)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plays:
    """A batch of sessions of one length and spacing.

    Attributes:
        actions: [batch, length], the number of each command's action.
        states: [batch, length], the state after each command.
        draws: [batch, length], uniform in [0, 1). An action happens where its draw is below its chance; visible actions
            have a draw too, which nothing looks at.
        shown: [batch, reveals], the variable of each reveal; 0 for a full reveal. Reveal n stands after command
            ``(n + 1) * spacing``.
        labels: [batch, items], the label of each item: its number in ``Game.items``, or a digit with ``num_labels``.
        spacing: number of commands between two reveals.

    Raises:
        ValueError: the arrays are not those of one batch.
    """

    actions: Ints
    states: Ints
    draws: Floats
    shown: Ints
    labels: Ints
    spacing: int

    def __post_init__(self) -> None:
        batch, length = self.actions.shape
        if self.spacing < 1 or {self.states.shape, self.draws.shape} != {(batch, length)}:
            raise ValueError(
                f"expected spacing >= 1 and states and draws of shape {(batch, length)}, got {self.spacing}, "
                f"{self.states.shape} and {self.draws.shape}; give an entry for each command"
            )
        if self.shown.shape != (batch, length // self.spacing) or len(self.labels) != batch:
            raise ValueError(
                f"expected shown of shape {(batch, length // self.spacing)} and {batch} rows of labels, got "
                f"{self.shown.shape} and {len(self.labels)}; give an entry for each reveal"
            )

    def rows(self, mask: Sequence[bool]) -> Plays:
        """Return the sessions for which ``mask`` is true."""
        return self.at(np.flatnonzero(np.asarray(mask, dtype=np.bool_)))

    def at(self, places: Ints) -> Plays:
        """Return the sessions at these places of the batch, in this order."""
        return Plays(
            actions=self.actions[places],
            states=self.states[places],
            draws=self.draws[places],
            shown=self.shown[places],
            labels=self.labels[places],
            spacing=self.spacing,
        )


def play(game: Game, length: int, spacing: int, generators: Sequence[np.random.Generator]) -> Plays:
    """Play one session for each generator, by the game's own law.

    Args:
        game: the game.
        length: number of commands.
        spacing: number of commands between two reveals.
        generators: a session depends on its own generator alone, so a batch of any size has the same sessions.
    """
    num_actions, num_reveals, num_items = len(game.actions), length // spacing, len(game.items)
    edges = np.cumsum(game.weights / game.weights.sum())
    actions = np.empty((len(generators), length), dtype=np.int64)
    draws = np.empty((len(generators), length))
    shown = np.empty((len(generators), num_reveals), dtype=np.int64)
    labels = np.empty((len(generators), num_items), dtype=np.int64)
    for row, generator in enumerate(generators):
        # The order of draws from the generator is a part of the format: another one makes other rows of every dataset.
        uniform = generator.random(2 * length + num_reveals)
        # min: the last edge may be below 1 by rounding.
        actions[row] = np.minimum(np.searchsorted(edges, uniform[:length], side="right"), num_actions - 1)
        draws[row] = uniform[length : 2 * length]
        # A full reveal shows no variable of its own. A drawn number would be a part of the sequence that is hashed for
        # the split (task.sequence_of), although the text doesn't have it, and equal texts would stand in two splits.
        shown[row] = 0 if game.shows_all else (uniform[2 * length :] * len(game.variables)).astype(np.int64)
        labels[row] = (
            np.arange(num_items) if game.num_labels is None else generator.integers(game.num_labels, size=num_items)
        )
        if game.sticky:
            repeats = generator.random(length + num_reveals) < game.sticky
            actions[row] = with_repeats(actions[row], repeats[:length])
            shown[row] = with_repeats(shown[row], repeats[length:])
    # Drawing was a loop over sessions, each with its own generator; acting is a loop over commands, for all at once.
    states = np.empty_like(actions)
    state = np.full(len(generators), game.start, dtype=np.int64)
    for step in range(length):
        action = actions[:, step]
        state = np.where(draws[:, step] < game.chances[action], game.moves[action, state], state)
        states[:, step] = state
    return Plays(actions=actions, states=states, draws=draws, shown=shown, labels=labels, spacing=spacing)


def with_repeats(values: Ints, repeats: NDArray[np.bool_]) -> Ints:
    """Return the values, but where ``repeats`` is true the value before it in the result.

    The first value stays, whatever ``repeats`` says.

    >>> with_repeats(np.array([5, 6, 7]), np.array([True, False, True])).tolist()
    [5, 6, 6]
    """
    places = np.arange(len(values))
    # The place of the last value that is no repetition is a running maximum: no loop over commands.
    origins = np.where(repeats & (places > 0), 0, places)
    return values[np.maximum.accumulate(origins)] if len(values) else values


def beliefs_before_reveals(
    game: Game, plays: Plays, *, belief: Floats | None = None, first: int = 0, last: int | None = None
) -> Iterator[Floats]:
    """Run the exact filter over a batch; yield the joint belief [batch, states], float64, before each reveal.

    The filter takes in every command from ``first`` on, and every reveal that it has yielded a belief for.

    Args:
        game: the game.
        plays: the sessions.
        belief: [batch, states], the belief before command ``first``; None: the game's start, with certainty.
        first: the first command that is taken in.
        last: the command before which the filter ends; None: after all commands.
    """
    if belief is None:
        belief = np.tile(np.eye(len(game.holds))[game.start], (len(plays.actions), 1))
    end = plays.actions.shape[1] if last is None else last
    for step in range(first, end):
        # A reveal stands between the last command and this one. It is taken in here, not before the `yield`: its belief
        # is that of before it is shown. The reveal before command `first` is a part of the caller's `belief`.
        if step > first and step % plays.spacing == 0:
            belief = belief_after_reveal(game, belief, plays, step // plays.spacing - 1)
        belief = belief_after_action(game, belief, plays.actions[:, step])
        if (step + 1) % plays.spacing == 0:
            yield belief


def reveal_laws(game: Game, plays: Plays) -> Floats:
    """Return the exact law of every reveal given the text before it, float64.

    Returns:
        [batch, reveals, items], the law of the item that each reveal shows; with ``shows_all`` [batch, reveals,
        states], the law of the state. The joint belief behind it is renormalised at every reveal.
    """
    num_outcomes = len(game.holds) if game.shows_all else len(game.items)
    laws = np.zeros((*plays.shown.shape, num_outcomes))
    for reveal, belief in enumerate(beliefs_before_reveals(game, plays)):
        laws[:, reveal] = belief if game.shows_all else law_of_item(game, belief, plays.shown[:, reveal])
    return laws


def belief_after_action(game: Game, belief: Floats, action: Ints) -> Floats:
    """Return joint beliefs [batch, states] after one action each [batch], whose outcome isn't known."""
    chance = game.chances[action][:, None]
    # b'(q) = (1 - p) b(q) + p b(the state from which the action leads to q): a gather, not a product with a matrix.
    moved = belief[np.arange(len(belief))[:, None], game.inverse()[action]]
    return np.asarray((1.0 - chance) * belief + chance * moved)


def belief_after_reveal(game: Game, belief: Floats, plays: Plays, reveal: int) -> Floats:
    """Return joint beliefs [batch, states] after a reveal: states that would have shown another text get weight 0.

    A full reveal leaves the true state alone, since labels are distinct wherever beliefs over full reveals are asked
    for (``TokenStream`` refuses the rest).
    """
    variable, state = plays.shown[:, reveal], plays.states[:, (reveal + 1) * plays.spacing - 1]
    if game.shows_all:
        return np.asarray(np.eye(len(game.holds))[state])
    # Labels are compared, not items: two items with one label show one text.
    shown = np.take_along_axis(plays.labels, game.holds[state, variable][:, None], axis=1)
    label_by_state = np.take_along_axis(plays.labels, game.holds[:, variable].T, axis=1)
    kept = belief * (label_by_state == shown)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def law_of_item(game: Game, belief: Floats, variable: Ints) -> Floats:
    """Return the laws [batch, items] of the item that each variable [batch] holds, by joint beliefs [batch, states]."""
    emits = np.eye(len(game.items))[game.holds.T]  # [variables, states, items]
    return np.asarray(np.einsum("bs,bsi->bi", belief, emits[variable]))


def labelled(game: Game, plays: Plays, laws: Floats) -> Floats:
    """Turn laws over items [batch, reveals, items] into laws over labels: items with one label are one outcome."""
    if game.num_labels is None:
        return laws
    # A loop over items, not a scatter: within one session two items may have one label, and both must be added.
    by_label = np.zeros((*laws.shape[:2], game.num_labels))
    rows = np.arange(len(laws))
    for item in range(laws.shape[2]):
        by_label[rows, :, plays.labels[:, item]] += laws[:, :, item]
    return by_label
