"""Edits of a program's text at places: the lines of the author, with draws among them."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine_inject.places import DrawPlace

STEP = "    "


@dataclass(frozen=True)
class Edit:
    """One edit, as a row says it: kind, line of the text before it, law, and the text before and after.

    ``author_line`` is the line of the author's file at which it was made, 0 where that is not known.
    """

    kind: str
    line: int
    law: tuple[float, ...]
    before: str
    after: str
    author_line: int = 0


Origins = list[int]
"""Of each line of a text, the line of the author's file that it is or was made of, from 1; 0: of none."""


@dataclass(frozen=True)
class DrawNames:
    """The names by which the edited program draws: of ``random.random`` and of ``random.choice``."""

    random: str
    choice: str

    def imports(self, text: str) -> str:
        """The statement that binds those of them that a text uses."""
        used = {each.id for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Name)}
        parts = [
            name if name == alias else f"{name} as {alias}"
            for name, alias in (("choice", self.choice), ("random", self.random))
            if alias in used
        ]
        return f"from random import {', '.join(parts)}\n"


def free_names(text: str) -> DrawNames:
    """Names that a text does not use for anything else."""
    taken = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    taken |= {node.arg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arg)}
    taken |= {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    def free(*names: str) -> str:
        return next((name for name in names if name not in taken), f"{names[0]}_of_draws")

    return DrawNames(random=free("random", "draw", "uniform"), choice=free("choice", "pick", "one_of"))


def choose_places(places: Sequence[DrawPlace], number: int, source: random.Random) -> list[DrawPlace]:
    """Choose so many places at most, none over another, in the order of the text."""
    left = list(places)
    source.shuffle(left)
    # one of each kind after the other: a kind of which there are many places is not to drive out the others
    ranks: Counter[str] = Counter()
    ranked: list[tuple[int, DrawPlace]] = []
    for place in left:
        ranked.append((ranks[place.kind], place))
        ranks[place.kind] += 1
    left = [place for _, place in sorted(ranked, key=lambda each: each[0])]
    return sorted(first_apart(left, number), key=lambda place: place.first)


def first_apart(places: Sequence[DrawPlace], number: int) -> list[DrawPlace]:
    """Return the first places, so many at most, without those on the lines of one before."""
    chosen: list[DrawPlace] = []
    for place in places:
        if len(chosen) == number:
            break
        if all(_are_apart(place, other) for other in chosen):
            chosen.append(place)
    return chosen


def _are_apart(one: DrawPlace, other: DrawPlace) -> bool:
    return one.lines.stop <= other.lines.start or other.lines.stop <= one.lines.start


def edited(
    text: str, places: Sequence[DrawPlace], laws: Sequence[float], names: DrawNames, origins: Origins
) -> tuple[str, list[Edit], Origins]:
    """Return a text with a draw at each of the places, what was done, and the origins of the new text's lines.

    Args:
        text: the program; the places are of its tree.
        places: none over another, in order.
        laws: of each place, the probability of its first outcome: that a statement runs, that two stay in their order.
            What is chosen by ``either`` has equal chances.
        names: of the functions that draw.
        origins: of the lines of ``text``.
    """
    lines, new_origins = text.split("\n"), [*origins]
    edits: list[Edit] = []
    for place, law in reversed([*zip(places, laws, strict=True)]):
        start, stop = place.lines.start - 1, place.lines.stop - 1
        before = "\n".join(lines[start:stop])
        if place.kind == "either":
            new, made_of = _either(lines, place, names), [place.lines.start]
        else:
            new, made_of = _conditional(lines, place, law, names)
        lines[start:stop] = new
        new_origins[start:stop] = [origins[line - 1] for line in made_of]
        number = len(place.others) + 1
        chances = (1 / number,) * number if place.kind == "either" else (law, round(1 - law, 12))
        shown = _dedented(before), _dedented("\n".join(new))
        edits.insert(0, Edit(place.kind, start + 1, chances, *shown, author_line=origins[start]))
    return "\n".join(lines), edits, new_origins


def _conditional(lines: Sequence[str], place: DrawPlace, law: float, names: DrawNames) -> tuple[list[str], list[int]]:
    """The new lines, and of each the line that it is made of."""
    first = lines[place.nodes[0].lineno - 1]
    indent = first[: len(first) - len(first.lstrip())]
    spans = [range(node.lineno, (node.end_lineno or node.lineno) + 1) for node in place.nodes]
    blocks = [lines[span.start - 1 : span.stop - 1] for span in spans]
    head = f"{indent}if {names.random}() < {law}:"
    if place.kind == "maybe":
        return [head, *_moved(blocks[0])], [spans[0].start, *spans[0]]
    one, other = map(_moved, blocks)
    here, there = spans
    made_of = [here.start, *here, *there, here.start, *there, *here]
    return [head, *one, *other, f"{indent}else:", *other, *one], made_of


def _moved(lines: Sequence[str]) -> list[str]:
    """Lines one step further in; what continues within brackets moves along."""
    return [f"{STEP}{line}" if line.strip() else line for line in lines]


def _either(lines: Sequence[str], place: DrawPlace, names: DrawNames) -> list[str]:
    (node,) = place.nodes
    line = lines[node.lineno - 1].encode("utf-8", "surrogatepass")
    own = line[node.col_offset : node.end_col_offset].decode("utf-8", "surrogatepass")
    call = f"{names.choice}([{', '.join((own, *place.others))}])".encode()
    return [(line[: node.col_offset] + call + line[node.end_col_offset :]).decode("utf-8", "surrogatepass")]


def _dedented(text: str) -> str:
    lines = text.split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] if not line[:indent].strip() else line for line in lines)
