"""Word problems of small groups, as programs over variables.

A word problem asks for the product of a sequence of group elements. S_n and A_n permute variables; parity and Z_n count
in a variable ``x``; in a product such as A4xZ5 each command does both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trace_mine.corpus.synthetic.game import Game, Ints
from trace_mine.corpus.synthetic.permutations import NAMES, check_choice

Element = tuple[int, ...]
FACTOR = re.compile(r"(Z)([2-9]|[1-9][0-9]|1[01][0-9]|120)|([SA])([345])")
"""A factor of a group's name: Zn with n = 2 .. 120, or Sn or An with n = 3, 4, 5. So no factor has more elements than
S5, which has 120.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A permutation group, a cyclic group, or the product of both.

    Attributes:
        name: as ``make_group`` takes it.
        degree: number of the permuted points; 0: none.
        modulus: of the cyclic part; 1: none.
        elements: the identity first. Each is a permutation of the points, followed by a number below ``modulus`` if
            that is not 1.

    Raises:
        ValueError: an element has another length.
    """

    name: str
    degree: int
    modulus: int
    elements: tuple[Element, ...]

    def __post_init__(self) -> None:
        length = self.degree + (self.modulus > 1)
        if not self.elements or any(len(element) != length for element in self.elements):
            raise ValueError(f"expected elements of {length} numbers of group {self.name}, got {self.elements!r:.100}")

    def product(self, g: Element, h: Element) -> Element:
        """Return the element that acts as g, then as h.

        (g h)[place] = g[h[place]]: a command assigns to each variable what another one holds, so h picks among the
        values that g has left.
        """
        moved = tuple(g[place] for place in h[: self.degree])
        return (*moved, (g[-1] + h[-1]) % self.modulus) if self.modulus > 1 else moved

    def table(self) -> Ints:
        """Return the table [elements, elements] of the number of the product: the row's element, then the column's."""
        index = {element: n for n, element in enumerate(self.elements)}
        return np.array([[index[self.product(g, h)] for h in self.elements] for g in self.elements], dtype=np.int64)


def _is_even(order: Element) -> bool:
    """Return True for a permutation with an even number of inversions."""
    return sum(order[i] > order[k] for i in range(len(order)) for k in range(i + 1, len(order))) % 2 == 0


def make_group(name: str) -> Group:
    """Make a group by its name: ``parity``, ``Zn`` (Z2 .. Z120), ``Sn`` and ``An`` (n = 3, 4, 5), and products of one
    of the last two with a Zn, such as ``A4xZ5``.

    Raises:
        ValueError: no group has this name.

    >>> len(make_group("A4xZ5").elements)
    60
    """
    kind, degree, modulus = _factors(name)
    orders = [order for order in permutations(range(degree)) if kind == "S" or _is_even(order)]
    # permutations() begins with the sorted order and k with 0, so the identity comes first.
    elements = [(*order, k) if modulus > 1 else order for order in orders for k in range(modulus)]
    return Group(name=name, degree=degree, modulus=modulus, elements=tuple(elements))


def _factors(name: str) -> tuple[str, int, int]:
    """Return (S or A, number of permuted points or 0, modulus or 1) of a group's name.

    Raises:
        ValueError: a factor is none of ``FACTOR``, or there are two of one kind.
    """
    factors = [FACTOR.fullmatch(part) for part in ("Z2" if name == "parity" else name).split("x")]
    moduli = [int(factor[2]) for factor in factors if factor and factor[1]]
    permuted = [(factor[3], int(factor[4])) for factor in factors if factor and factor[3]]
    if None in factors or len(moduli) > 1 or len(permuted) > 1:
        raise ValueError(f"expected parity, Zn, Sn, An or a product such as A4xZ5, got {name!r}")
    return (*(permuted[0] if permuted else ("S", 0)), moduli[0] if moduli else 1)


def command_of(group: Group, element: Element) -> str:
    """Return the assignment by which an element acts on the variables, such as ``a, b = b, a`` or ``x = (x + 2) % 5``;
    ``pass`` for the identity.
    """
    moved = [n for n in range(group.degree) if element[n] != n]
    left, right = [NAMES[n] for n in moved], [NAMES[element[n]] for n in moved]
    if group.modulus > 1 and element[-1]:
        left.append("x")
        right.append(f"(x + {element[-1]}) % {group.modulus}")
    return f"{', '.join(left)} = {', '.join(right)}" if left else "pass"


def group_game(*, group: str = "S3", style: str = "print", reveals: str = "partial") -> Game:
    """A program whose state is the product of the commands so far: ``group`` is parity, Zn, Sn, An or a product such as
    A4xZ5, and each of its elements but the identity is an action; ``style``: ``print`` or ``echo``; ``reveals``:
    ``partial`` or ``full``.

    Raises:
        ValueError: a parameter is out of range.
    """
    check_choice("style", style, ("print", "echo"))
    check_choice("reveals", reveals, ("partial", "full"))
    acting = make_group(group)
    variables = (*NAMES[: acting.degree], *(("x",) if acting.modulus > 1 else ()))
    actions = [command_of(acting, element) for element in acting.elements[1:]]
    table = acting.table()
    texts = [
        [*(str(i + 1) for i in e[: acting.degree]), *([str(e[-1])] if acting.modulus > 1 else [])]
        for e in acting.elements
    ]
    values = [str(i + 1) for i in range(acting.degree)] + [
        str(k) for k in range(acting.modulus if acting.modulus > 1 else 0)
    ]
    items = list(dict.fromkeys(values))  # 1 of a permuted variable and 1 of the counter are one text, so one item
    return Game(
        name="groups",
        variables=variables,
        holds=np.array([[items.index(text) for text in row] for row in texts], dtype=np.int64),
        items=tuple(items),
        opening=tuple(f"{name} = {{{i}}}" for i, name in enumerate(variables)),
        actions=tuple(actions),
        # Row of action a: the product (state, then element a + 1); the identity is no action.
        moves=table[:, 1:].T.copy(),
        chances=np.ones(len(actions)),
        weights=np.ones(len(actions)),
        shows_all=reveals == "full",
        style=style,
    )
