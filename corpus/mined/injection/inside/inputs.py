"""Further calls of an edited function: those that its snippet makes, with other literals.

A call that somebody wrote says of which types the arguments are, and mostly what is sensible. So each further one keeps
its form, and has some of its literals exchanged for neighbours. What raises or shows nothing is left out. Where draws
are wanted and there are fewer of these calls, calls stand there again: their draws are others.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator, Sequence

MOST_STATEMENTS = 8
"""Statements that are repeated together; of a longer snippet the calls are repeated one by one."""
ATTEMPTS = 5
"""Calls that are tried for each one that is wanted."""
LONGEST = 400
_SIMPLE = (ast.Assign, ast.Expr, ast.AugAssign, ast.Delete)
_LARGEST = 1_000


def further_calls(
    pieces: Sequence[str],
    number: int,
    source: random.Random,
    runs: Callable[[Sequence[str]], str | None],
    again: bool = False,
) -> list[str]:
    """Texts of some statements each, at most so many, that can stand behind a snippet's own.

    Args:
        pieces: the snippet's own statements.
        number: of texts that are wanted.
        source: draws the literals.
        runs: runs the snippet with texts behind it; gives what it prints, None where it raises or does not end.
        again: fill up with texts that are there already.
    """
    bodies = _bodies(pieces)
    before = runs(()) if bodies and number else None
    if before is None:
        return []
    own = [ast.unparse(body) for body in bodies]
    seen = {*own}
    taken: list[str] = []
    varied = [body for body in bodies if any(_literals(body))]
    for attempt in range(ATTEMPTS * number if varied else 0):
        text = _varied(varied[attempt % len(varied)], source)
        if text in seen or len(text) > LONGEST:
            continue
        seen.add(text)
        shown = runs([*taken, text])
        if shown is not None and len(shown) > len(before):
            taken.append(text)
            before = shown
            if len(taken) == number:
                break
    repeated = [*own, *taken]
    for attempt in range(number - len(taken) if again else 0):
        text = repeated[attempt % len(repeated)]
        shown = runs([*taken, text]) if len(text) <= LONGEST else None
        if shown is not None and len(shown) > len(before):
            taken.append(text)
            before = shown
    return taken


def _bodies(pieces: Sequence[str]) -> list[ast.Module]:
    """The repeated text: all statements together where they are few and simple, else each call alone."""
    try:
        body = [node for piece in pieces for node in ast.parse(piece).body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    body = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
    is_simple = len(body) <= MOST_STATEMENTS and all(isinstance(node, _SIMPLE) for node in body)
    groups: list[list[ast.stmt]] = [body]
    if not is_simple:
        groups = [[node] for node in body if isinstance(node, ast.Expr)]
    modules = [ast.Module(body=group, type_ignores=[]) for group in groups]
    return [module for module in modules if _calls(module)]


def _calls(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call) for each in ast.walk(node))


def _varied(body: ast.Module, source: random.Random) -> str:
    """The text of statements in which some literals, one at least, are others."""
    new = copy.deepcopy(body)
    literals = [*_literals(new)]
    chosen = source.sample(literals, source.randint(1, min(3, len(literals))))
    for node in chosen:
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, bool | int | float | str)
            node.value = _other(node.value, source)
        elif node.elts:
            _rearrange(node.elts, source)
    return ast.unparse(new)


def _literals(node: ast.AST) -> Iterator[ast.Constant | ast.List | ast.Tuple]:
    """The numbers, texts, truth values and displays of these in a tree; keys of a dictionary stay what they are."""
    if isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.Constant):
        is_number = isinstance(node.value, int | float) and abs(node.value) <= _LARGEST
        if is_number or (isinstance(node.value, str) and node.value):
            yield node
        return
    if isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load) and node.elts:
        yield node
    children = node.values if isinstance(node, ast.Dict) else ast.iter_child_nodes(node)
    for child in children:
        yield from _literals(child)


def _other(value: bool | float | str, source: random.Random) -> bool | float | str:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        new = value + source.choice((-2, -1, 1, 2, 3))
        return abs(new) if value >= 0 else new
    if isinstance(value, float):
        return round(value * source.choice((0.5, 1.5, 2.0)) + source.choice((0.0, 1.0)), 6)
    return source.choice((value[::-1], value[1:] or value * 2, value + value[0], value.swapcase(), value[:-1] + "a"))


def _rearrange(elements: list[ast.expr], source: random.Random) -> None:
    """Change the order or the number of a display's elements, in place."""
    way = source.randrange(3)
    if way == 0:
        source.shuffle(elements)
    elif way == 1:
        elements.append(copy.deepcopy(source.choice(elements)))
    elif len(elements) > 1:
        del elements[source.randrange(len(elements))]
