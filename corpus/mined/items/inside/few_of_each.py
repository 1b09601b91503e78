"""Takes a few of many items that differ in their parameters alone, before anything is asked of any of them.

packaging's 60,000 items are those of 500 tests: to spell each of them takes longer than a collection may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
STEP = 0.6180339887498949
"""The golden ratio's fraction: multiples of it, modulo 1, are spread evenly however many there are, and keep no step
with a table whose columns repeat (a product of two lists of parameters), as every tenth item would.
"""


def few_of_each(items: Sequence[Item], kind_of: Callable[[Item], object], most: int) -> Iterator[Item]:
    """Yield at most so many items of each kind, in their order: all of a kind that has no more, else ones far apart.

    >>> [*few_of_each("abcdefgh", str.isupper, 3)]
    ['a', 'b', 'e']
    """
    members: dict[object, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        members[kind_of(item)].append(index)
    taken: set[int] = set()
    for indices in members.values():
        taken.update(indices[place] for place in _places(len(indices), most))
    return (items[index] for index in sorted(taken))


def _places(number: int, most: int) -> set[int]:
    if number <= most:
        return {*range(number)}
    places: set[int] = set()
    step = 0
    while len(places) < most:
        places.add(int(step * STEP % 1 * number))
        step += 1
    return places
