"""Permutations of variables: the paper's swaps and full permutations, visible or only perhaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from trace_mine.corpus.synthetic.game import Game

Order = tuple[int, ...]
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
    if p < 1.0 and visible == 1.0:
        raise ValueError("expected visible below 1 where p is, got 1; leave p out for visible moves only")
    orders = list(permutations(range(n)))
    names = NAMES[:n]
    sources, tables = swaps(orders) if moves == "swaps" else full_permutations(orders)
    chances, weights = np.ones(len(sources)), np.ones(len(sources))
    if p < 1.0:
        certain = sources if visible else []
        chances = np.concatenate([np.full(len(sources), p), np.ones(len(certain))])
        weights = np.concatenate([np.full(len(sources), 1.0 - visible), np.full(len(certain), visible)])
        sources, tables = [*perhaps(sources, p), *certain], tables * (2 if visible else 1)
    return Game(
        name="permutations",
        variables=tuple(names),
        holds=np.array(orders, dtype=np.int64),
        items=tuple(str(i + 1) for i in range(n)) if values == "distinct" else tuple("0" for _ in range(n)),
        opening=tuple(f"{name} = {{{i}}}" for i, name in enumerate(names)),
        actions=tuple(sources),
        moves=np.array(tables, dtype=np.int64),
        chances=chances,
        weights=weights,
        setup="from random import random\n" if p < 1.0 else "",
        num_labels=None if values == "distinct" else 10,
        shows_all=reveals == "full",
        style=style,
        sticky=sticky,
    )


def perhaps(sources: Sequence[str], p: float) -> list[str]:
    """Commands that each happen with probability p."""
    # repr, not :g: the text has to say the very number that the draw is compared with, or a session would not replay
    return [f"if random() < {p!r}:\n    {source}" for source in sources]


def swaps(orders: Sequence[Order]) -> tuple[list[str], list[list[int]]]:
    """(commands, tables): every swap of two variables, and for each the number of the order that it leads to from each
    of the ``orders`` (all of the items, by the variables that hold them).
    """
    n = len(orders[0])
    sources, tables = [], []
    for i, k in combinations(range(n), 2):
        places = list(range(n))
        places[i], places[k] = k, i
        sources.append(f"{NAMES[i]}, {NAMES[k]} = {NAMES[k]}, {NAMES[i]}")
        tables.append(_table(orders, tuple(places)))
    return sources, tables


def full_permutations(orders: Sequence[Order]) -> tuple[list[str], list[list[int]]]:
    """As ``swaps``: every permutation but the first of the ``orders``, which leaves all where it is."""
    names = NAMES[: len(orders[0])]
    sources = [f"{', '.join(names)} = {', '.join(names[place] for place in places)}" for places in orders[1:]]
    return sources, [_table(orders, places) for places in orders[1:]]


def _table(orders: Sequence[Order], places: Order) -> list[int]:
    """For each order the number of the one in which each variable holds what that at its place held."""
    index = {order: number for number, order in enumerate(orders)}
    return [index[tuple(order[place] for place in places)] for order in orders]


def choose(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises ValueError where the value is none of the known ones."""
    if value not in known:
        raise ValueError(f"expected {name} to be {' or '.join(known)}, got {value!r}")


def between(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError where the value is out of range."""
    if not low <= value <= high:
        raise ValueError(f"expected {low:g} <= {name} <= {high:g}, got {value}")
