"""Adversarial sessions: one hidden swap is repeated, and every reveal shows that nothing has moved.

This is the paper's Fig. 10: positions 2 and 3 are mixed, and position 2 is seen to hold 2, again and again. In the
marginal form (see ``linear``) the mass outside the revealed row and column goes 1, 1/2, 1/4, ..., while the exact
belief stays as it was. The retention test is the same with another question at the end: the value of a variable that
was never touched, which is certain.

The outcomes are drawn from the game's exact law, conditioned on all reveals showing this. So the beliefs are the
game's: the law of each reveal given the text before it. NOT covered: such a session is no sample of the game, so
frequencies over many of them do not follow the beliefs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays


def adversary_plays(
    game: Game, length: int, spacing: int, generators: Sequence[np.random.Generator], *, asks_untouched: bool = False
) -> Plays:
    """Play one session for each generator. An action, and one of the two variables that it swaps, are drawn once and
    repeated through the session.

    Args:
        game: its actions are swaps that all happen with one chance, its reveals show one variable.
        length: number of commands.
        spacing: commands between two reveals.
        generators: the source of each session's draws.
        asks_untouched: the last reveal shows a variable that the action does not move.

    Raises:
        ValueError: a variable that the swap leaves alone is asked for, and there is none.
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
        # The command from which on outcomes are unconditioned: no later reveal shows a swapped variable.
        unconditioned_from = num_reveals * spacing
        if asks_untouched and num_reveals:
            unconditioned_from -= spacing
            shown[row, -1] = still[int(generator.integers(len(still)))]
        chance = float(game.chances[action])
        # Blocks between reveals. What stands behind the last reveal is a shorter block, which no reveal constrains.
        for start in range(0, length, spacing):
            size = min(spacing, length - start)
            # A swap is its own inverse: nothing has moved exactly where it happened an even number of times, so the
            # condition falls apart into one for each block between two reveals.
            is_even = start < unconditioned_from
            draws[row, start : start + size] = _draws_of_block(chance, size, generator, is_even=is_even)
        # A swap leads from the start to one other state and back, so its parity is the state.
        happened = np.cumsum(draws[row] < chance) % 2
        states[row] = np.where(happened, game.moves[action, game.start], game.start)
    # Items keep their numbers as labels: the game's values are distinct, or "nothing has moved" could not be seen.
    labels: Ints = np.tile(np.arange(len(game.items)), (batch, 1))
    return Plays(actions=actions, states=states, draws=draws, shown=shown, labels=labels, spacing=spacing)


def _touched(game: Game, action: int) -> tuple[Ints, Ints]:
    """Return the variables that the action moves from the start, and the others."""
    before, after = game.holds[game.start], game.holds[game.moves[action, game.start]]
    return np.flatnonzero(before != after), np.flatnonzero(before == after)


def _draws_of_block(chance: float, size: int, generator: np.random.Generator, *, is_even: bool) -> Floats:
    """Draw ``size`` uniform numbers; with ``is_even`` from their law given that an even number is below ``chance``.

    One number after the other: whether it falls below the chance is drawn from the posterior, which weighs each side by
    P(even number among r more) = (1 + (1 - 2 chance)^r) / 2; then the number is uniform within its side.
    """
    draws = generator.random(size)
    if not is_even:
        return draws
    odd = False
    for n in range(size):
        num_later = size - n - 1
        p_even_later = (1.0 + (1.0 - 2.0 * chance) ** num_later) / 2.0
        weight_below = chance * (p_even_later if odd else 1.0 - p_even_later)
        weight_above = (1.0 - chance) * (1.0 - p_even_later if odd else p_even_later)
        happens = generator.random() * (weight_below + weight_above) < weight_below
        # Clamped to its side: rounding could carry the number onto the threshold, and the replay compares with `<`.
        if happens:
            draws[n] = min(draws[n] * chance, np.nextafter(chance, 0.0))
        else:
            draws[n] = min(chance + draws[n] * (1.0 - chance), np.nextafter(1.0, 0.0))
        odd ^= bool(happens)
    return draws
