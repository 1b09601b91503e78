"""Samples tests that are alike, by how much they differ.

Alike are the items of one test, which differ in their parameters; tests of one file whose statements differ in their
literals and the names of their variables alone; and a test that several classes inherit. 907 of attrs' items are those
of 170 functions, and 356 of cachetools' 476 are inherited: all of them would drown the rest, and the first few of a
long table tell less than a few unlike ones. A class may bring functions of its own, though, so an inherited test that
reaches one which no item taken before reaches is always taken.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from trace_mine.corpus.mined.items.item_protocol import ItemRecipe

SIBLINGS = 4
"""Items alike of which sessions are made, where no option says otherwise."""
_TOKEN = re.compile(
    r"""(?P<text>[rbfu]{0,2}(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))|(?P<name>[^\W\d][\w.]*)|(?P<number>-?[\d.]+(?:e-?\d+)?)|(?P<sign>\S)""",
    re.VERBOSE | re.DOTALL,
)


def sampled(items: Sequence[ItemRecipe], siblings: int = SIBLINGS) -> tuple[list[ItemRecipe], int]:
    """Return at most so many items of those that are alike, in their order, and how many are left out.

    Those that can be spelt come first; of them the first one, and then each time the one that reaches most functions
    which no one before it reaches, and whose parameters and literals have most features (kinds of values, signs, orders
    of magnitude, names) that no one of the same test has. More are taken while they reach such functions.
    """
    families = _families(items)
    chosen: set[int] = set()
    reached: set[str] = set()
    for members in families:
        if len(members) <= siblings:
            chosen.update(members)
            reached.update(place for index in members if not items[index].problem for place in items[index].reaches)
    for members in families:
        if len(members) > siblings:
            spelt = [index for index in members if not items[index].problem and not items[index].skip]
            others = [index for index in members if items[index].problem or items[index].skip]
            unlike = _unlike({index: items[index] for index in spelt}, siblings, reached)
            chosen.update([*unlike, *others[: max(siblings - len(unlike), 0)]])
    return [item for index, item in enumerate(items) if index in chosen], len(items) - len(chosen)


def _families(items: Sequence[ItemRecipe]) -> list[list[int]]:
    """The indices of items that are alike, by family, in the order of the first ones."""
    by_test: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        # in whatever class, a function stands in one file
        owner = ("", item.home) if item.home else (item.path, item.cls)
        by_test[(*owner, item.name)].append(index)
    families: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for test, members in by_test.items():
        first = items[members[0]]
        families[(first.home or first.path, shape_of(first)) if first.body else test] += members
    return [sorted(members) for members in families.values()]


def shape_of(item: ItemRecipe) -> str:
    """Return a digest of an item's statements and fixtures: the same for two that differ in their literals alone, in
    the names of variables, or in how often one kind of statement follows another.
    """
    variables = {name: f"variable {number}" for number, name in enumerate(item.binds)}
    statements = ["".join(_blank(match, variables) for match in _TOKEN.finditer(text)) for text in item.body]
    around = [f"{each.kind} {each.name} {each.module}.{each.qualname}" for each in item.fixtures]
    parts = [*dict.fromkeys(statements), "", *around, "", *item.before, "", *item.after, str(item.is_static)]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _blank(match: re.Match[str], variables: dict[str, str]) -> str:
    """A part of a statement without what it is in this one alone."""
    if match.lastgroup != "name":
        return {"text": "''", "number": "0"}.get(match.lastgroup or "", match.group())
    root, dot, rest = match.group().partition(".")
    return f" {variables.get(root, root)}{dot}{rest}"


def _unlike(members: dict[int, ItemRecipe], number: int, reached: set[str]) -> list[int]:
    """The indices of so many members, or more; where nothing new is left, of those that stand farthest from all chosen
    ones. Adds what they reach to ``reached``.
    """
    chosen: list[int] = []
    seen: set[str] = set()
    left = {index: frozenset(features_of(item)) for index, item in members.items()}

    def worth(index: int) -> tuple[int, int, int, int]:
        distance = min((abs(index - other) for other in chosen), default=0)
        return len({*members[index].reaches} - reached), len(left[index] - seen), distance, -index

    while left:
        best = max(left, key=worth) if chosen else next(iter(left))
        if len(chosen) >= number and reached.issuperset(members[best].reaches):
            break
        seen.update(left.pop(best))
        reached.update(members[best].reaches)
        chosen.append(best)
    return chosen


def features_of(item: ItemRecipe) -> Iterator[str]:
    """Yield what tells an item from its siblings: for each parameter its shape and its parts, the parts of the literals
    in its statements, and what it reaches.

    >>> from trace_mine.corpus.mined.items.item_protocol import FixtureRecipe
    >>> sorted(_features("n", "[-30, None]"))
    ['n:', 'n:-2', 'n:None', 'n:[-2,None]']
    """
    for fixture in item.fixtures:
        if fixture.text:
            yield from _features(fixture.name, fixture.text)
    for statement in item.body:
        for match in _TOKEN.finditer(statement):
            if match.lastgroup in ("text", "number"):
                yield f" {_part(match)}"
    yield from (f"{place} reached" for place in item.reaches)


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
