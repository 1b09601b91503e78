"""Chooses among the calls of a function: those that run other lines of it, or have arguments of other classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from trace_mine.corpus.mined.harvest.harvest_protocol import SeenCall, SeenWay, TriedCall
from trace_mine.tracer.views import DEFAULT_FOLLOW

MOST = 8
"""Calls of one function that become snippets."""
FEWEST = 3
"""So many are taken even where they differ in their values alone."""
MOST_RAISING = 2
MOST_ROUTES = 2
"""Calls of others that lead to a function, of those that become snippets for it, or lead through it to another."""

SOON = 12
"""Calls in a test before the one of a function that its session, which may have 400 commands, has room for."""

Function = tuple[str, str]
"""A function by its file and qualified name."""
Tried = tuple[SeenCall, TriedCall]


def chosen_routes(routes: Mapping[Function, Sequence[Tried]]) -> dict[Function, list[Tried]]:
    """Return for functions that no call of their own stands for some calls of others that lead to them.

    One to which the way is long comes first: its session opens all functions on the way. A call with a short way, by
    the lines that run before the function does, is better than one with a long one, then the shortest text.
    """
    best = {key: sorted(some, key=length_of_route) for key, some in routes.items() if some}
    served: Counter[tuple[str, int]] = Counter()
    taken: dict[Function, list[Tried]] = {}
    for key, some in sorted(best.items(), key=lambda each: (-len(each[1][0][0].focus), each[0])):
        for call, tried in some:
            if served[call.focus[-1]] >= MOST_ROUTES:
                break
            taken.setdefault(key, []).append((call, tried))
            served.update({*call.focus})  # once, however often it is on the stack
    return taken


def length_of_route(each: Tried) -> tuple[int, int]:
    """Return what a call of another function, which leads to one, is chosen by: the smallest is the best."""
    return each[1].num_before, sum(map(len, each[1].commands))


def chosen_ways(ways: Mapping[Function, Sequence[SeenWay]], served: Collection[tuple[str, int]]) -> list[SeenWay]:
    """Return for functions that no call stands for some tests or snippets that lead to them.

    Args:
        ways: the tests and snippets that are to be had, by function.
        served: functions, by file and first line, that are opened on other ways.
    """
    best = {key: min(some, key=lambda way: (way.num_before, len(way.focus))) for key, some in ways.items() if some}
    # the session of the test itself opens what it calls soon, and not deeply
    is_served = {*served, *(way.focus[-1] for way in best.values() if is_near(way))}
    taken = []
    for _, way in sorted(best.items(), key=lambda each: (-len(each[1].focus), each[0])):
        if way.focus[-1] not in is_served:
            taken.append(way)
            is_served.update(way.focus)
    return taken


def is_near(way: SeenWay) -> bool:
    """Return True where an ordinary session of the test or snippet will most likely open the function."""
    return len(way.focus) - 1 <= DEFAULT_FOLLOW and way.num_before <= SOON


def chosen(calls: Sequence[Tried]) -> list[Tried]:
    """Return at most MOST of a function's calls, in their order.

    The one that runs the most lines that no other one chosen runs comes first, then the one with arguments of classes
    that none has, then the shortest text.
    """
    left = [*range(len(calls))]
    taken: list[int] = []
    lines: set[int] = set()
    shapes: set[str] = set()
    num_raising = 0

    def worth(index: int) -> tuple[int, bool, bool, int, int]:
        call, tried = calls[index]
        length = sum(map(len, tried.commands))
        return len({*tried.lines} - lines), call.shape not in shapes, not tried.raised, -length, -index

    while left and len(taken) < MOST:
        best = max(left, key=worth)
        left.remove(best)
        new_lines, is_new_shape, _, _, _ = worth(best)
        call, tried = calls[best]
        if not new_lines and not is_new_shape and len(taken) >= FEWEST:
            continue
        if tried.raised and not new_lines and num_raising >= MOST_RAISING:
            continue
        num_raising += bool(tried.raised)
        taken.append(best)
        lines |= {*tried.lines}
        shapes.add(call.shape)
    return [calls[index] for index in sorted(taken)]
