"""Word problems of small groups, as programs over variables.

Elements are permutations of points; a product of groups acts on the points side by side. Parity and Z_n are counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trace_mine.corpus.synthetic.game import Game, Ints
from trace_mine.corpus.synthetic.permutations import NAMES, choose

Element = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """``elements``: the identity first; each is a permutation of ``degree`` points followed by a number modulo
    ``modulus`` (1: no number). (g h)(point) = g at the place that h says: h acts after g on what variables hold.
    """

    name: str
    degree: int
    modulus: int
    elements: tuple[Element, ...]

    def product(self, g: Element, h: Element) -> Element:
        """g, then h."""
        moved = tuple(g[place] for place in h[: self.degree])
        return (*moved, (g[-1] + h[-1]) % self.modulus) if self.modulus > 1 else moved

    def table(self) -> Ints:
        """[elements, elements]: the number of (row, then column)."""
        index = {element: n for n, element in enumerate(self.elements)}
        return np.array([[index[self.product(g, h)] for h in self.elements] for g in self.elements], dtype=np.int64)


def _even(order: Element) -> bool:
    return sum(order[i] > order[k] for i in range(len(order)) for k in range(i + 1, len(order))) % 2 == 0


def make_group(name: str) -> Group:
    """``parity``, ``Zn`` (Z2 .. Z120), ``Sn`` and ``An`` (n = 3, 4, 5), and products of one of those with a Zn, such as
    ``A4xZ5``.

    Raises:
        ValueError: no such group.
    """
    spelt = "Z2" if name == "parity" else name
    first, _, second = spelt.partition("x")
    degree, even, modulus = 0, False, 1
    for part in (first, second) if second else (first,):
        kind, number = part[:1], part[1:]
        if kind == "Z" and number.isdigit() and 2 <= int(number) <= 120 and modulus == 1:
            modulus = int(number)
        elif kind in ("S", "A") and number in ("3", "4", "5") and degree == 0:
            degree, even = int(number), kind == "A"
        else:
            raise ValueError(f"expected parity, Zn, Sn, An or a product such as A4xZ5, got {name!r}")
    orders = [order for order in permutations(range(degree)) if not even or _even(order)]
    elements = [(*order, k) if modulus > 1 else order for order in orders for k in range(modulus)]
    return Group(name=name, degree=degree, modulus=modulus, elements=tuple(elements))


def group_game(*, group: str = "S3", style: str = "print", reveals: str = "partial") -> Game:
    """A program whose state is the product so far: ``group`` as ``make_group`` has it, all its elements but the
    identity as actions; ``style``: ``print`` or ``echo``; ``reveals``: ``partial`` or ``full``.

    Raises:
        ValueError: a parameter is out of range.
    """
    choose("style", style, ("print", "echo"))
    choose("reveals", reveals, ("partial", "full"))
    made = make_group(group)
    names = NAMES[: made.degree]
    variables = tuple(names) + (("x",) if made.modulus > 1 else ())
    actions = []
    for element in made.elements[1:]:
        targets, sources = list(names), [names[place] for place in element[: made.degree]]
        moved = [n for n in range(made.degree) if sources[n] != targets[n]]
        left, right = [targets[n] for n in moved], [sources[n] for n in moved]
        if made.modulus > 1 and element[-1]:
            left.append("x")
            right.append(f"(x + {element[-1]}) % {made.modulus}")
        actions.append(f"{', '.join(left)} = {', '.join(right)}" if left else "pass")
    table = made.table()
    texts = [
        [*(str(i + 1) for i in e[: made.degree]), *([str(e[-1])] if made.modulus > 1 else [])] for e in made.elements
    ]
    values = [str(i + 1) for i in range(made.degree)] + [str(k) for k in range(made.modulus if made.modulus > 1 else 0)]
    items = list(dict.fromkeys(values))  # 1 of a permuted variable and 1 of the counter are one text, so one item
    return Game(
        name="groups",
        variables=variables,
        holds=np.array([[items.index(text) for text in row] for row in texts], dtype=np.int64),
        items=tuple(items),
        opening=tuple(f"{name} = {{{i}}}" for i, name in enumerate(variables)),
        actions=tuple(actions),
        moves=table[:, 1:].T.copy(),
        chances=np.ones(len(actions)),
        weights=np.ones(len(actions)),
        shows_all=reveals == "full",
        style=style,
    )
