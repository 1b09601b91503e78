"""Watches the calls of a repository's functions while its own code runs, and writes those that have a text."""

from __future__ import annotations

import inspect
import sys
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from trace_mine_harvest.arguments import argument_texts, arguments_of
from trace_mine_harvest.objects import Objects
from trace_mine_harvest.spelling import CallSpeller
from trace_mine_harvest.targets import WatchedFunction, WatchedFunctions, defaults_of, unwrapped
from trace_mine_harvest.texts import SELF, Registry, Unspelt
from trace_mine_harvest.watched_call import WatchedCall
from trace_mine_harvest.ways import Ways

MAX_TRIES = 150
"""Calls of one function that are looked at."""
MAX_FOLLOWED = 800
"""Those that are looked at for what they do to their objects."""
MAX_NOW = 15
"""Those of them within one test."""
MAX_DISTINCT = 16
"""Distinct calls of one function that are written, of which ``selection`` takes some."""
MAX_ALIKE = 6
"""Those of them whose arguments are of the same classes."""
COUNTS_EVERY = 500
"""Calls after which the counts are written: those of a run that is ended would be lost."""
_GENERATOR = inspect.CO_GENERATOR


@dataclass
class _Seen:
    """What was seen of one function."""

    num_tries: int = 0
    num_now: int = 0
    texts: set[str] = field(default_factory=set)
    not_spelt: set[str] = field(default_factory=set)
    shapes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    is_enough: bool = False


@dataclass
class _Pending:
    """A call of a constructor or a method that has not returned."""

    value: object
    step: str
    before: tuple[str, ...] | None
    is_constructor: bool
    why: str
    gives: str = ""


class Observer:
    """The hook for ``sys.setprofile``.

    Args:
        targets: tells which functions are watched.
        write: writes a record.
    """

    def __init__(self, targets: WatchedFunctions, write: Callable[[dict[str, object]], object]) -> None:
        self._targets = targets
        self._write = write
        self._registry = Registry()
        self._objects = Objects()
        self._speller = CallSpeller(self._registry, self._objects, targets)
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._pending: dict[types.FrameType, _Pending] = {}
        self._ways = Ways(targets, write)
        self._not_spelt: Counter[str] = Counter()
        self._num_calls = 0
        self._num_spelt = 0
        self._is_busy = False
        # by identity, for most of what a suite runs: code that is neither watched nor a constructor
        self._others: dict[int, types.CodeType] = {}

    def start(self, name: str, *, is_item: bool = False) -> None:
        """Begin to watch the current thread, for one test or snippet of this name; ``is_item``: pytest runs it."""
        self._objects.begin()
        self._ways.begin(name, is_item=is_item)
        for seen in self._seen.values():
            seen.num_now = 0
        sys.setprofile(self._hook)

    def stop(self) -> None:
        """End it."""
        sys.setprofile(None)
        self._pending.clear()
        self._ways.end()

    def write_counts(self) -> None:
        """Write what was counted so far."""
        counts = {
            "calls": self._num_calls,
            "spelt": self._num_spelt,
            "not_spelt": dict(sorted(self._not_spelt.items())),
        }
        self._write({"harvest_counts": counts})

    def _hook(self, frame: types.FrameType, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code
            if id(code) in self._others or self._is_busy:
                return
            self._is_busy = True
            try:
                self._called(frame, code)
            finally:
                self._is_busy = False
        elif event == "return":
            self._ways.returned(frame, argument)
            if frame in self._pending:
                self._is_busy = True
                try:
                    self._returned(self._pending.pop(frame), argument)
                finally:
                    self._is_busy = False

    def _called(self, frame: types.FrameType, code: types.CodeType) -> None:
        target = self._targets.of(code, frame.f_globals)
        if target is None:
            if code.co_name == "__init__":
                self._constructor_made_elsewhere(frame, code)
            elif not self._targets.place(code.co_filename):
                self._others[id(code)] = code
            return
        if code.co_flags & _GENERATOR and _is_resumed(frame):
            return
        seen = self._seen.get((target.path, target.qualname))
        if seen is None:
            seen = self._seen[target.path, target.qualname] = _Seen()
            self._write({"reached_function": target.record()})
        self._ways.reached(frame, target)
        self._num_calls += 1
        if self._num_calls % COUNTS_EVERY == 0:
            self.write_counts()
        if target.problem:
            seen.is_enough = True
            self._ways.look_around(frame, target)
            return
        follows = (
            seen.num_now < MAX_NOW
            and seen.num_tries < MAX_FOLLOWED
            and (target.kind == "init" or (target.kind in ("method", "function") and self._is_followed(frame, code)))
        )
        # a call by what is not the repository's own may lead to functions that were not seen before
        leads_in = seen.num_now < MAX_NOW and frame.f_back is not None and not self._ways.is_own(frame.f_back)
        if not follows and not leads_in and (seen.is_enough or seen.num_now >= MAX_NOW):
            return
        self._look(frame, code, target, seen, follows=follows)

    def _look(
        self, frame: types.FrameType, code: types.CodeType, target: WatchedFunction, seen: _Seen, *, follows: bool
    ) -> None:
        """Spell a call; write it where it is new; note what it may do to its object."""
        seen.num_tries += 1
        seen.num_now += 1
        values = arguments_of(frame, code)
        self._speller.begin()
        before: tuple[str, ...] | None = None
        step = why = ""
        call: WatchedCall | None = None
        try:
            if follows and target.kind != "init":
                before = self._objects.steps(values[0][1])
            call = WatchedCall(self._speller, self._registry, target, code, values)
            step = call.step
            if not target.is_generator:
                self._ways.spelt[frame] = call
            if not seen.is_enough:
                self._num_spelt += 1
                self._take(target, seen, call)
        except Unspelt as error:
            why = str(error)
        except RecursionError:
            why = "large_argument"
        if why and not seen.is_enough:
            self._note_unspelt(target, seen, why)
        if why and not seen.texts:
            self._ways.look_around(frame, target)
        if seen.num_tries >= MAX_TRIES or len(seen.texts) >= MAX_DISTINCT:
            seen.is_enough = True
        gives = "" if target.is_generator or target.kind == "init" or call is None else call.value
        if follows and values:
            self._pending[frame] = _Pending(values[0][1], step, before, target.kind == "init", why, gives)
        elif gives:
            self._pending[frame] = _Pending(None, "", None, False, "", gives)

    def _note_unspelt(self, target: WatchedFunction, seen: _Seen, why: str) -> None:
        self._not_spelt[why] += 1
        if why not in seen.not_spelt:
            seen.not_spelt.add(why)
            self._write({"unspelt_call": {"path": target.path, "qualname": target.qualname, "why": why}})

    def _take(self, target: WatchedFunction, seen: _Seen, call: WatchedCall) -> None:
        shape = call.shape
        if seen.shapes[shape] >= MAX_ALIKE:
            return
        record = call.record()
        text = "\n".join([*record["before"], record["call"]])
        if text in seen.texts:
            return
        seen.texts.add(text)
        seen.shapes[shape] += 1
        self._write({"seen_call": {**target.record(), **record, "shape": " ".join(shape)[:400], "focus": []}})

    def _is_followed(self, frame: types.FrameType, code: types.CodeType) -> bool:
        """Return True for a call whose first argument is an object whose making is known."""
        if not code.co_argcount or code.co_flags & _GENERATOR:
            return False
        return self._objects.is_followed(frame.f_locals.get(code.co_varnames[0]))

    def _constructor_made_elsewhere(self, frame: types.FrameType, code: types.CodeType) -> None:
        """Note a constructor that a decorator wrote (of a data class), one of a class of the tests, or one of a class
        below another package's.
        """
        if not code.co_argcount:
            return
        values = arguments_of(frame, code)
        kind = type(values[0][1])
        module = sys.modules.get(kind.__module__)
        file = getattr(module, "__file__", None)
        if type(file) is not str or not self._targets.place(file):
            self._others[id(code)] = code
            return
        made = unwrapped(kind.__init__, code)
        if made is None:
            return
        self._speller.begin()
        step = why = ""
        try:
            texts = argument_texts(self._speller, code, values[1:], dict(defaults_of(made)))
            step = f"{SELF} = {self._speller.spell(kind)}({', '.join(texts)})"
        except Unspelt as error:
            why = str(error)
        except RecursionError:
            why = "large_argument"
        self._pending[frame] = _Pending(values[0][1], step, None, True, why)

    def _returned(self, pending: _Pending, result: object) -> None:
        try:
            if pending.gives:
                self._objects.returned(result, pending.gives)
            if pending.value is None:
                return
            if pending.is_constructor:
                self._objects.constructed(pending.value, pending.step, pending.why)
            else:
                self._objects.called(pending.value, pending.before, pending.step)
        except RecursionError:
            return


def _is_resumed(frame: types.FrameType) -> bool:
    """Return True for a generator's frame that has run before."""
    return frame.f_lasti > _first_resume(frame.f_code)


_RESUMES: dict[types.CodeType, int] = {}


def _first_resume(code: types.CodeType) -> int:
    known = _RESUMES.get(code)
    if known is None:
        import dis

        known = next((each.offset for each in dis.get_instructions(code) if each.opname == "RESUME"), 0)
        _RESUMES[code] = known
    return known
