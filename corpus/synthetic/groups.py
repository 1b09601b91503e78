"""Word problems of small groups, as programs over variables.

Elements are permutations of points; a product of groups acts on the points side by side. Parity and Z_n are counters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trace_mine.corpus.synthetic.game import Game, Ints
from trace_mine.corpus.synthetic.permutations import NAMES, choose

Element = tuple[int, ...]
FACTOR = re.compile(r"(Z)([2-9]|[1-9][0-9]|1[01][0-9]|120)|([SA])([345])")
"""Z_n, or the permutations of a few points: all of them, or the even ones."""


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
    kind, degree, modulus = _factors(name)
    orders = [order for order in permutations(range(degree)) if kind == "S" or _even(order)]
    elements = [(*order, k) if modulus > 1 else order for order in orders for k in range(modulus)]
    return Group(name=name, degree=degree, modulus=modulus, elements=tuple(elements))


def _factors(name: str) -> tuple[str, int, int]:
    """(S or A, points that it permutes or 0 for none, modulus or 1 for none) of a group's name."""
    factors = [FACTOR.fullmatch(part) for part in ("Z2" if name == "parity" else name).split("x")]
    moduli = [int(factor[2]) for factor in factors if factor and factor[1]]
    permuted = [(factor[3], int(factor[4])) for factor in factors if factor and factor[3]]
    if None in factors or len(moduli) > 1 or len(permuted) > 1:
        raise ValueError(f"expected parity, Zn, Sn, An or a product such as A4xZ5, got {name!r}")
    return (*(permuted[0] if permuted else ("S", 0)), moduli[0] if moduli else 1)


def command_of(group: Group, element: Element) -> str:
    """The assignment that multiplies what the variables hold by the element: ``a, b = b, a``, ``x = (x + 2) % 5``."""
    moved = [n for n in range(group.degree) if element[n] != n]
    left, right = [NAMES[n] for n in moved], [NAMES[element[n]] for n in moved]
    if group.modulus > 1 and element[-1]:
        left.append("x")
        right.append(f"(x + {element[-1]}) % {group.modulus}")
    return f"{', '.join(left)} = {', '.join(right)}" if left else "pass"


def group_game(*, group: str = "S3", style: str = "print", reveals: str = "partial") -> Game:
    """A program whose state is the product so far: ``group`` as ``make_group`` has it, all its elements but the
    identity as actions; ``style``: ``print`` or ``echo``; ``reveals``: ``partial`` or ``full``.

    Raises:
        ValueError: a parameter is out of range.
    """
    choose("style", style, ("print", "echo"))
    choose("reveals", reveals, ("partial", "full"))
    made = make_group(group)
    variables = (*NAMES[: made.degree], *(("x",) if made.modulus > 1 else ()))
    actions = [command_of(made, element) for element in made.elements[1:]]
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
