"""Chooses among the calls of a function: those that run other lines of it, or have arguments of other classes."""

from __future__ import annotations

from collections.abc import Sequence

from trace_mine.corpus.mined.harvest.harvest_protocol import SeenCall, TriedCall

MOST = 8
"""Calls of one function that become snippets."""
FEWEST = 3
"""So many are taken even where they differ in their values alone."""
MOST_RAISING = 2


def chosen(calls: Sequence[tuple[SeenCall, TriedCall]]) -> list[tuple[SeenCall, TriedCall]]:
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
