"""Sessions in which one hidden swap is repeated and every reveal shows that nothing has moved.

The paper's Fig. 10: positions 2 and 3 are mixed, position 2 is seen to hold 2, again and again; the mass of the
marginal form outside what was revealed goes 1, 1/2, 1/4, ... while the exact belief stays what it was. The retention
test is the same with another question at the end: a variable that was never touched, whose value is certain.

The outcomes are those of the game given that they show this (drawn from the exact conditional law, not searched for),
so that beliefs are the game's own: what each reveal could have shown given the text before it. NOT covered: a session
of this kind is no sample of the game, so frequencies over many of them do not follow the beliefs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays


def adversary_plays(
    game: Game, length: int, spacing: int, generators: Sequence[np.random.Generator], *, asks_untouched: bool = False
) -> Plays:
    """One session for each generator: an action, and one of the two variables that it swaps, are drawn and repeated.

    ``asks_untouched``: the last reveal shows a variable that the action does not move. The game's actions are swaps
    with one chance, its reveals partial.

    Raises:
        ValueError: no variable is left untouched.
    """
    num_variables, num_reveals = len(game.variables), length // spacing
    if asks_untouched and num_variables < 3:
        raise ValueError(f"expected a variable that the swap leaves alone, got n={num_variables}; take n >= 3")
    batch = len(generators)
    actions = np.empty((batch, length), dtype=np.int64)
    draws = np.empty((batch, length))
    shown = np.empty((batch, num_reveals), dtype=np.int64)
    states = np.empty((batch, length), dtype=np.int64)
    for row, generator in enumerate(generators):
        action = int(generator.integers(len(game.actions)))
        moved, still = _touched(game, action)
        actions[row] = action
        shown[row] = moved[int(generator.integers(2))]
        free_from = num_reveals * spacing
        if asks_untouched and num_reveals:
            free_from -= spacing
            shown[row, -1] = still[int(generator.integers(len(still)))]
        chance = float(game.chances[action])
        for start in range(0, length, spacing):
            size = min(spacing, length - start)
            is_even = start < free_from
            draws[row, start : start + size] = _draws_of_block(chance, size, generator, is_even=is_even)
        happened = np.cumsum(draws[row] < chance) % 2
        states[row] = np.where(happened, game.moves[action, game.start], game.start)
    labels: Ints = np.tile(np.arange(len(game.items)), (batch, 1))
    return Plays(actions=actions, states=states, draws=draws, shown=shown, labels=labels, spacing=spacing)


def _touched(game: Game, action: int) -> tuple[Ints, Ints]:
    """The variables that the action moves from the start, and the others."""
    before, after = game.holds[game.start], game.holds[game.moves[action, game.start]]
    return np.flatnonzero(before != after), np.flatnonzero(before == after)


def _draws_of_block(chance: float, size: int, generator: np.random.Generator, *, is_even: bool) -> Floats:
    """Uniform draws, given (``is_even``) that an even number of them fall below the chance.

    P(even number among r more) = (1 + (1 - 2 chance)^r) / 2.
    """
    draws = generator.random(size)
    if not is_even:
        return draws
    odd = False
    for n in range(size):
        left = size - n - 1
        even_later = (1.0 + (1.0 - 2.0 * chance) ** left) / 2.0
        if_it_happens = chance * (even_later if odd else 1.0 - even_later)
        if_not = (1.0 - chance) * (1.0 - even_later if odd else even_later)
        happens = generator.random() * (if_it_happens + if_not) < if_it_happens
        # the draw is spread over the side that was chosen, and kept there: rounding could carry it onto the threshold
        if happens:
            draws[n] = min(draws[n] * chance, np.nextafter(chance, 0.0))
        else:
            draws[n] = min(chance + draws[n] * (1.0 - chance), np.nextafter(1.0, 0.0))
        odd ^= bool(happens)
    return draws
