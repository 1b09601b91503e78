"""Permutations of variables: the paper's swaps and full permutations, visible or only perhaps."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np

from trace_mine.corpus.synthetic.game import Game

NAMES = "abcdefgh"
MOST = 6
"""Variables: 6! = 720 states, and as many full permutations, is where tables stop being small."""


def permutation_game(
    *,
    n: int = 3,
    moves: str = "swaps",
    p: float = 1.0,
    visible: float = 0.0,
    reveals: str = "partial",
    style: str = "print",
    values: str = "distinct",
    sticky: float = 0.0,
) -> Game:
    """``n`` variables; ``moves``: ``swaps`` of two or ``full`` permutations; ``p`` below 1: each happens with
    probability p (``if random() < p:``), but for the share ``visible`` of them, which just happens; ``reveals``:
    ``partial`` or ``full``; ``style``: ``print`` or ``echo``; ``values``: ``distinct`` 1..n, or ``repeated`` digits;
    ``sticky``: the probability that a command is the one before it again, and a reveal's variable that before it: what
    isn't concerned stays so for long.

    Raises:
        ValueError: a parameter is out of range.
    """
    choose("moves", moves, ("swaps", "full"))
    choose("reveals", reveals, ("partial", "full"))
    choose("style", style, ("print", "echo"))
    choose("values", values, ("distinct", "repeated"))
    between("n", n, 2, MOST)
    between("p", p, 1e-6, 1.0)
    between("visible", visible, 0.0, 1.0)
    between("sticky", sticky, 0.0, 0.99)
    orders = list(permutations(range(n)))
    index = {order: s for s, order in enumerate(orders)}
    names = NAMES[:n]
    sources: list[str] = []
    tables: list[list[int]] = []
    if moves == "swaps":
        for i, k in combinations(range(n), 2):
            places = list(range(n))
            places[i], places[k] = k, i
            sources.append(f"{names[i]}, {names[k]} = {names[k]}, {names[i]}")
            tables.append([index[tuple(order[place] for place in places)] for order in orders])
    else:
        for places_ in orders[1:]:
            sources.append(f"{', '.join(names)} = {', '.join(names[place] for place in places_)}")
            tables.append([index[tuple(order[place] for place in places_)] for order in orders])
    count = len(sources)
    # repr, not :g: the text has to say the very number that the draw is compared with, or a session would not replay
    hidden = [f"if random() < {p!r}:\n    {source}" for source in sources]
    chances, weights, actions = np.ones(count), np.ones(count), list(sources)
    if p < 1.0:
        actions = [*hidden, *(sources if visible else [])]
        chances = np.concatenate([np.full(count, p), np.ones(count if visible else 0)])
        weights = np.concatenate([np.full(count, 1.0 - visible), np.full(count if visible else 0, visible)])
        tables = tables * (2 if visible else 1)
        if visible == 1.0:
            raise ValueError("expected visible below 1 where p is, got 1; leave p out for visible moves only")
    return Game(
        name="permutations",
        variables=tuple(names),
        holds=np.array(orders, dtype=np.int64),
        items=tuple(str(i + 1) for i in range(n)) if values == "distinct" else tuple("0" for _ in range(n)),
        opening=tuple(f"{name} = {{{i}}}" for i, name in enumerate(names)),
        actions=tuple(actions),
        moves=np.array(tables, dtype=np.int64),
        chances=chances,
        weights=weights,
        setup="from random import random\n" if p < 1.0 else "",
        num_labels=None if values == "distinct" else 10,
        shows_all=reveals == "full",
        style=style,
        sticky=sticky,
    )


def choose(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raises ValueError where the value is none of the known ones."""
    if value not in known:
        raise ValueError(f"expected {name} to be {' or '.join(known)}, got {value!r}")


def between(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError where the value is out of range."""
    if not low <= value <= high:
        raise ValueError(f"expected {low:g} <= {name} <= {high:g}, got {value}")
