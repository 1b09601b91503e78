"""The ways to a function, for the focus of a session: calls around it that have a text, tests that come to it soon."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field

from trace_mine_harvest.targets import WatchedFunction, WatchedFunctions
from trace_mine_harvest.texts import Unspelt
from trace_mine_harvest.watched_call import WatchedCall

MAX_ROUTES = 6
"""Calls around it that are written for one function."""
MAX_ROUTE_TRIES = 60
MAX_FOCUS = 20
"""Functions on the way to a function: those of a record."""
MAX_WAYS = 8
"""Tests and snippets that are written for a function, each of which calls it sooner than those before."""

Place = tuple[str, int]


@dataclass
class _Known:
    """The ways to one function that were written so far."""

    routes: set[str] = field(default_factory=set)
    num_route_tries: int = 0
    num_ways: int = 0
    least_before: int = sys.maxsize


class Ways:
    """Finds the ways to functions, and writes them.

    Args:
        targets: tells which functions are watched.
        write: writes a record.

    Attributes:
        spelt: of the frames on the stack, those whose call has a text.
    """

    def __init__(self, targets: WatchedFunctions, write: Callable[[dict[str, object]], object]) -> None:
        self._targets = targets
        self._write = write
        self._known: dict[tuple[str, str], _Known] = {}
        self._start, self._num_calls = "", 0
        # by identity of a generator's frame, the functions that gave it: a session opens it where these are opened
        self._givers: dict[int, list[Place]] = {}
        self.spelt: dict[types.FrameType, WatchedCall] = {}

    def begin(self, start: str) -> None:
        """Begin a test or snippet, by its name."""
        self._start, self._num_calls = start, 0

    def end(self) -> None:
        """End it: no frame of it goes on."""
        self.spelt.clear()
        self._givers.clear()

    def is_own(self, frame: types.FrameType) -> bool:
        """Return True for a frame of an importable module of the repository's."""
        return self._targets.place(frame.f_code.co_filename) == "own"

    def returned(self, frame: types.FrameType, result: object) -> None:
        """Note that a frame returned, or gave a value and goes on later."""
        self.spelt.pop(frame, None)
        given = result.gi_frame if type(result) is types.GeneratorType else None
        if given is None or not self._is_opened(frame) or not self._is_opened(given):
            return
        place = self._targets.place_of(frame.f_code)
        givers = self._givers.setdefault(id(given), [])
        if place is not None and len(givers) < MAX_FOCUS:
            givers.append(place)

    def _is_opened(self, frame: types.FrameType) -> bool:
        """Return True for a frame whose function a session may open: one of the repository's, tests too."""
        return bool(self._targets.place(frame.f_code.co_filename))

    def reached(self, frame: types.FrameType, target: WatchedFunction) -> None:
        """Write how this test or snippet comes to call a function, where none before calls it as soon."""
        num_before, self._num_calls = self._num_calls, self._num_calls + 1
        known = self._of(target)
        if num_before >= known.least_before or known.num_ways >= MAX_WAYS:
            return
        known.least_before = num_before
        focus = self._focus(frame, self._is_opened)
        if len(focus) <= MAX_FOCUS:
            known.num_ways += 1
            way = {"path": target.path, "qualname": target.qualname, "start": self._start, "num_before": num_before}
            self._write({"seen_way": {**way, "focus": focus}})

    def look_around(self, frame: types.FrameType, target: WatchedFunction) -> None:
        """Write the nearest call on the stack that has a text, for a function whose own calls have none.

        All functions from there to it must be the repository's own: a session opens no others.
        """
        known = self._of(target)
        if len(known.routes) >= MAX_ROUTES or known.num_route_tries >= MAX_ROUTE_TRIES:
            return
        known.num_route_tries += 1
        outer = frame.f_back
        while outer is not None and self.is_own(outer) and outer not in self.spelt:
            outer = outer.f_back
        if outer is None or outer not in self.spelt:
            return
        call = self.spelt[outer]
        beyond = outer.f_back
        focus = self._focus(frame, lambda each: each is not beyond)
        if len(focus) > MAX_FOCUS:
            return
        try:
            record = call.record()
        except Unspelt:
            return
        text = "\n".join([*record["before"], record["call"]])
        if text not in known.routes:
            known.routes.add(text)
            fields = {**target.record(), "kind": call.target.kind, "problem": ""}
            self._write({"seen_call": {**fields, **record, "shape": " ".join(call.shape)[:400], "focus": focus}})

    def _of(self, target: WatchedFunction) -> _Known:
        return self._known.setdefault((target.path, target.qualname), _Known())

    def _focus(self, frame: types.FrameType, goes_on: Callable[[types.FrameType], bool]) -> list[Place]:
        """The functions of a frame and of those around it, the frame's own last; with those that gave generators."""
        focus: list[Place] = []
        outer: types.FrameType | None = frame
        while outer is not None and goes_on(outer) and len(focus) <= MAX_FOCUS:
            for place in [self._targets.place_of(outer.f_code), *self._givers.get(id(outer), ())]:
                if place is not None and place not in focus:
                    focus.append(place)
            outer = outer.f_back
        return focus[::-1]
