"""Games that permute variables: the paper's swaps and full permutations, visible or happening with a probability.

The two checks of parameters at the end are shared with the other tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from trace_mine.corpus.synthetic.game import Game

Order = tuple[int, ...]
NAMES = "abcdefgh"  # one letter each: a command is then few tokens
MOST = 6
"""The largest number of variables: with 6! = 720 states and as many full permutations, ``moves`` has 0.5 million
entries; 7 would make 25 million.
"""


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
    """``n`` variables; ``moves``: ``swaps`` of two or ``full`` permutations; ``p`` below 1: a command's move happens
    with probability p (``if random() < p:``), but for a share ``visible`` of the commands, whose move always happens;
    ``reveals``: ``partial`` or ``full``; ``style``: ``print`` or ``echo``; ``values``: ``distinct`` 1..n, or
    ``repeated`` digits; ``sticky``: the probability that a command repeats the one before it, and a reveal the variable
    of the one before it, so that the other variables are left alone for long.

    Raises:
        ValueError: a parameter is out of range.
    """
    check_choice("moves", moves, ("swaps", "full"))
    check_choice("reveals", reveals, ("partial", "full"))
    check_choice("style", style, ("print", "echo"))
    check_choice("values", values, ("distinct", "repeated"))
    check_range("n", n, 2, MOST)
    check_range("p", p, 1e-6, 1.0)
    check_range("visible", visible, 0.0, 1.0)
    check_range("sticky", sticky, 0.0, 0.99)
    # 1e-6: a p of 0 would make commands that never act, and 1 - p must differ from 1 in the text of the law.
    if p < 1.0 and visible == 1.0:
        raise ValueError("expected visible below 1 where p is, got 1; leave p out for visible moves only")
    orders = list(permutations(range(n)))
    names = NAMES[:n]
    sources, tables = swaps(orders) if moves == "swaps" else full_permutations(orders)
    chances, weights = np.ones(len(sources)), np.ones(len(sources))
    if p < 1.0:
        # Each move is there twice, hidden and visible; without visible ones no action has the weight 0.
        certain = sources if visible else []
        chances = np.concatenate([np.full(len(sources), p), np.ones(len(certain))])
        weights = np.concatenate([np.full(len(sources), 1.0 - visible), np.full(len(certain), visible)])
        sources, tables = [*maybe_commands(sources, p), *certain], tables * (2 if visible else 1)
    return Game(
        name="permutations",
        variables=tuple(names),
        holds=np.array(orders, dtype=np.int64),
        # With repeated values the texts are drawn for each session; here only the number of items counts.
        items=tuple(str(i + 1) for i in range(n)) if values == "distinct" else tuple("0" for _ in range(n)),
        opening=tuple(f"{name} = {{{i}}}" for i, name in enumerate(names)),
        actions=tuple(sources),
        moves=np.array(tables, dtype=np.int64),
        chances=chances,
        weights=weights,
        # Silent, so that the session begins with the variables; `random` is the one name that commands need.
        setup="from random import random\n" if p < 1.0 else "",
        num_labels=None if values == "distinct" else 10,
        shows_all=reveals == "full",
        style=style,
        sticky=sticky,
    )


def maybe_commands(sources: Sequence[str], p: float) -> list[str]:
    """Return commands that run each source with probability p."""
    # repr, not :g: a session replays only if its text has the very number that the draw is compared with.
    return [f"if random() < {p!r}:\n    {source}" for source in sources]


def swaps(orders: Sequence[Order]) -> tuple[list[str], list[list[int]]]:
    """Return every swap of two variables, as (commands, tables).

    Args:
        orders: all orders of the items: ``order[v]`` is the item that variable v holds.

    Returns:
        The commands, and for each command a table: entry s is the number of the order to which it leads from order s.
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
    """Return every permutation but the identity, which is the first of ``orders``, as ``swaps`` returns swaps."""
    names = NAMES[: len(orders[0])]
    sources = [f"{', '.join(names)} = {', '.join(names[place] for place in places)}" for places in orders[1:]]
    return sources, [_table(orders, places) for places in orders[1:]]


def _table(orders: Sequence[Order], places: Order) -> list[int]:
    """Return, for each order, the number of the order in which variable v holds what variable ``places[v]`` held."""
    index = {order: number for number, order in enumerate(orders)}
    return [index[tuple(order[place] for place in places)] for order in orders]


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ValueError if the parameter's value is none of the choices."""
    if value not in choices:
        raise ValueError(f"expected {name} to be {' or '.join(choices)}, got {value!r}")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError if the parameter's value is not within [low, high]."""
    if not low <= value <= high:
        raise ValueError(f"expected {low:g} <= {name} <= {high:g}, got {value}")
