"""Samples the items of one test that differ in their parameters alone, by how much these differ.

907 of attrs' items are those of 170 functions: all of them would drown the rest, and the first few of a long table tell
less than a few unlike ones.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from trace_mine.corpus.mined.items.item_protocol import ItemRecipe

SIBLINGS = 4
"""Items of one test of which sessions are made, where no option says otherwise."""
_TOKEN = re.compile(
    r"""(?P<text>[rbfu]{0,2}(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))|(?P<name>[^\W\d][\w.]*)|(?P<number>-?[\d.]+(?:e-?\d+)?)|(?P<sign>\S)""",
    re.VERBOSE | re.DOTALL,
)


def sampled(items: Sequence[ItemRecipe], siblings: int = SIBLINGS) -> tuple[list[ItemRecipe], int]:
    """Return at most so many items of each test, in their order, and how many are left out.

    Those that can be spelt come first; of them the first one, and then each time the one whose parameters have most
    features (kinds of values, signs, orders of magnitude, names) that no one before it has.
    """
    families: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        families[item.path, item.cls, item.name].append(index)
    chosen: set[int] = set()
    for members in families.values():
        if len(members) <= siblings:
            chosen.update(members)
            continue
        spelt = [index for index in members if not items[index].problem and not items[index].skip]
        others = [index for index in members if items[index].problem or items[index].skip]
        unlike = _unlike([(index, frozenset(features_of(items[index]))) for index in spelt], siblings)
        chosen.update([*unlike, *others][:siblings])
    return [item for index, item in enumerate(items) if index in chosen], len(items) - len(chosen)


def _unlike(members: Sequence[tuple[int, frozenset[str]]], number: int) -> list[int]:
    """The indices of so many members; where nothing new is left, those that stand farthest from all chosen ones."""
    chosen: list[int] = []
    seen: set[str] = set()
    left = dict(members)

    def worth(index: int) -> tuple[int, int, int]:
        distance = min((abs(index - other) for other in chosen), default=0)
        return len(left[index] - seen), distance, -index

    while left and len(chosen) < number:
        best = max(left, key=worth) if chosen else next(iter(left))
        seen.update(left.pop(best))
        chosen.append(best)
    return chosen


def features_of(item: ItemRecipe) -> Iterator[str]:
    """Yield what tells an item's parameters from those of its siblings: for each of them its shape and its parts.

    >>> from trace_mine.corpus.mined.items.item_protocol import FixtureRecipe
    >>> sorted(_features("n", "[-30, None]"))
    ['n:', 'n:-2', 'n:None', 'n:[-2,None]']
    """
    for fixture in item.fixtures:
        if fixture.text:
            yield from _features(fixture.name, fixture.text)


def _features(name: str, text: str) -> Iterator[str]:
    parts = []
    for match in _TOKEN.finditer(text):
        part = _part(match)
        parts.append(part)
        if match.lastgroup != "sign":
            yield f"{name}:{part}"
    yield f"{name}:{'x' * (len(parts) > 40)}"
    yield f"{name}:{''.join(parts[:40])}"


def _part(match: re.Match[str]) -> str:
    """A value without what of it is particular: of a number its sign and its digits' number, of a text its size."""
    token = match.group()
    if match.lastgroup == "text":
        kind = "" if token.isascii() else "u"
        return f"{kind}'{(len(token) - 2).bit_length()}'"
    if match.lastgroup == "number":
        digits = token.lstrip("-")
        is_real = "." in digits or "e" in digits
        size = "0" if not digits.strip("0.") else str(len(digits.partition(".")[0]))
        return f"{'-' if token[0] == '-' else ''}{size}{'.' if is_real else ''}"
    return token
