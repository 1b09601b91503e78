"""Snippets whose sessions open the way to one function alone, and what is tried where such a session opens none.

That a session opens a way is known only once it is written: a call on it may have to stay a call. Then further forms of
the snippet (``Candidate.fallbacks``) are tried: other calls that lead to the function, then the same snippet for a
function on the way that no other one was taken for. Where all of them fail, the snippet is a drop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from trace_mine.corpus.mined.harvest.harvest_protocol import Focus, ReachedFunction, SeenWay
from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.tracer.schema import Snippet

MOST_OTHERS = 2
"""Other calls that are tried in the place of one."""
MOST_SHORTER = 3
"""Functions on the way that are tried in the place of the one at its end."""

Place = tuple[str, int]
"""A function by its file and first line."""


class FocusFallbacks:
    """Gives candidates with a focus their fallbacks.

    Args:
        functions: those that were reached.
        served: those, by place, that other snippets open.
    """

    def __init__(self, functions: Iterable[ReachedFunction], served: Collection[Place]) -> None:
        self._by_place: Mapping[Place, ReachedFunction] = {(each.path, each.line): each for each in functions}
        self._served = frozenset(served)

    def of_calls(self, candidates: list[Candidate], others: list[Candidate]) -> list[Candidate]:
        """Return the candidates of the calls that were taken for one function, with their fallbacks.

        Args:
            candidates: what was taken; its source is in the function's file.
            others: further calls that lead to the function, the best first.
        """
        result = []
        for number, each in enumerate(candidates):
            mine = [other.snippet for other in others[number :: len(candidates)]][:MOST_OTHERS]
            # of the same file alone, since the file's hash and licence are the candidate's
            shorter = [
                replace(each.snippet, name=f"{function.module}.{function.qualname}[1]", focus=focus)
                for function, focus in self._shorter(each.snippet.focus)
                if function.path == each.snippet.path
            ]
            result.append(replace(each, fallbacks=(*mine, *shorter)))
        return result

    def of_way(self, candidate: Candidate, way: SeenWay) -> Candidate:
        """Return the candidate of a test or snippet that leads to a function, with its fallbacks."""
        forms = (candidate.snippet, *candidate.fallbacks)
        name = candidate.snippet.name
        snippets: list[Snippet] = [replace(each, name=f"{name}>{way.qualname}", focus=way.focus) for each in forms]
        snippets += [
            replace(candidate.snippet, name=f"{name}>{function.qualname}", focus=focus)
            for function, focus in self._shorter(way.focus)
        ]
        return replace(candidate, snippet=snippets[0], fallbacks=tuple(snippets[1:]))

    def _shorter(self, focus: Focus) -> list[tuple[ReachedFunction, Focus]]:
        """The functions on the way that no other snippet is for, the deepest first, each with the way to it."""
        found: list[tuple[ReachedFunction, Focus]] = []
        seen = {focus[-1]}
        for end in range(len(focus) - 1, 0, -1):
            place = focus[end - 1]
            function = self._by_place.get(place)
            if place not in seen and place not in self._served and function is not None:
                found.append((function, focus[:end]))
            seen.add(place)
        return found[:MOST_SHORTER]
