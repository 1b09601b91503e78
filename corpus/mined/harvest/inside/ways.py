"""The ways to a function, for the focus of a session: calls around it that have a text, tests that come to it soon."""

from __future__ import annotations

import inspect
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
MAX_FOCUS = 40
"""Frames on the way to a function: those of a record."""
MAX_GIVERS = 3
"""Functions that gave one generator, or one local function, to each other."""
MAX_WAYS = 8
"""Tests and snippets that are written for a function, each of which calls it sooner than those before."""

EXAMPLE = "<example "
"""How the names of files begin that pieces of snippets are compiled under, but scripts."""

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
        self._is_item = False
        # by identity of a generator's frame, the functions that gave it: a session opens it where these are opened
        self._givers: dict[int, list[Place]] = {}
        # the same of local functions, by identity of their code, which is kept so that no other gets its number
        self._makers: dict[int, list[Place]] = {}
        self._codes: dict[int, types.CodeType] = {}
        self.spelt: dict[types.FrameType, WatchedCall] = {}

    def begin(self, start: str, *, is_item: bool) -> None:
        """Begin a test or snippet, by its name. ``is_item``: it is a test that pytest runs."""
        self._start, self._num_calls, self._is_item = start, 0, is_item

    def end(self) -> None:
        """End it: no frame of it goes on."""
        self.spelt.clear()
        self._givers.clear()
        self._makers.clear()
        self._codes.clear()

    def is_own(self, frame: types.FrameType) -> bool:
        """Return True for a frame of an importable module of the repository's."""
        return self._targets.place(frame.f_code.co_filename) == "own"

    def returned(self, frame: types.FrameType, result: object) -> None:
        """Note that a frame returned, or gave a value and goes on later."""
        self.spelt.pop(frame, None)
        kind = type(result)
        if kind is types.GeneratorType:
            given: types.FrameType | None = result.gi_frame  # type: ignore[attr-defined]
            if given is not None and self._is_opened(frame.f_code) and self._is_opened(given.f_code):
                self._note(self._givers, id(given), frame)
        elif kind is types.FunctionType and "<locals>" in result.__qualname__:  # type: ignore[attr-defined]
            code: types.CodeType = result.__code__  # type: ignore[attr-defined]
            if self._is_opened(frame.f_code) and self._is_opened(code):
                self._note(self._makers, id(code), frame)
                self._codes[id(code)] = code

    def _note(self, places: dict[int, list[Place]], number: int, frame: types.FrameType) -> None:
        """Note that a frame gave what has this number."""
        place = self._targets.place_of(frame.f_code)
        givers = places.setdefault(number, [])
        if place is not None and place not in givers and len(givers) < MAX_GIVERS:
            givers.append(place)

    def _is_opened(self, code: types.CodeType) -> bool:
        """Return True for code of a function that a session may open: one of the repository's, tests too."""
        return bool(self._targets.place(code.co_filename))

    def reached(self, frame: types.FrameType, target: WatchedFunction) -> None:
        """Write how this test or snippet comes to call a function, where none before calls it as soon."""
        num_before, self._num_calls = self._num_calls, self._num_calls + 1
        known = self._of(target)
        if num_before >= known.least_before or known.num_ways >= MAX_WAYS or not self._is_led_from(frame):
            return
        focus = self._focus(frame, lambda each: self._is_opened(each.f_code))
        if focus and len(focus) <= MAX_FOCUS:
            known.least_before = num_before
            known.num_ways += 1
            way = {"path": target.path, "qualname": target.qualname, "start": self._start, "num_before": num_before}
            self._write({"seen_way": {**way, "focus": focus}})

    def _is_led_from(self, frame: types.FrameType) -> bool:
        """Return True where nothing stands between the test or snippet and the frame but functions of the repository.

        A session opens no function of a library, so what a library calls back it never comes to: the tests of a script
        that runs ``unittest``, an encoder's ``default``, what runs while a module is imported.
        """
        while frame.f_back is not None and self._is_opened(frame.f_back.f_code):
            frame = frame.f_back
        file, beyond = frame.f_code.co_filename, frame.f_back
        if self._is_item:
            # a decorator of a library may stand around the test itself: it is spelt as a ``with``
            caller = "" if beyond is None else str(beyond.f_globals.get("__name__", ""))
            return self._targets.place(file) == "test" or caller.partition(".")[0] in ("_pytest", "unittest")
        if beyond is not None and beyond.f_code.co_filename.startswith(EXAMPLE):
            return True
        return not frame.f_code.co_flags & inspect.CO_NEWLOCALS and frame.f_globals.get("__name__") == "__main__"

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
        if not focus or len(focus) > MAX_FOCUS:
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
        """The functions of a frame and of those around it, the frame's own last; with those that gave generators, or
        the local functions that run. One that is on the stack several times is there as often: a session that opens
        the way goes as deep. None where a frame is one of those that no session opens.
        """
        focus: list[Place] = []
        outer: types.FrameType | None = frame
        while outer is not None and goes_on(outer) and len(focus) <= MAX_FOCUS:
            code = outer.f_code
            if _is_never_opened(code):
                return []
            place = self._targets.place_of(code)
            if place is not None:
                focus.append(place)
            for giver in (*self._givers.get(id(outer), ()), *self._makers.get(id(code), ())):
                if giver not in focus:
                    focus.append(giver)
            outer = outer.f_back
        return focus[::-1]


def _is_never_opened(code: types.CodeType) -> bool:
    """Return True for the body of a class, which runs within one command, and for coroutines."""
    is_class_body = not code.co_flags & inspect.CO_NEWLOCALS and code.co_name != "<module>"
    return is_class_body or bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))
