"""Watches the calls of a repository's functions while its own code runs, and writes those that have a text.

Over 400 lines because a call is seen, spelt and followed in one pass, with the texts of its arguments.
"""

from __future__ import annotations

import sys
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from trace_mine_harvest.objects import Objects
from trace_mine_harvest.spelling import CallSpeller, is_changing
from trace_mine_harvest.targets import WatchedFunction, WatchedFunctions, unwrapped
from trace_mine_harvest.texts import SELF, Registry, Unspelt

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
_GENERATOR = 0x20


@dataclass
class _Seen:
    """What was seen of one function."""

    num_tries: int = 0
    num_now: int = 0
    texts: set[str] = field(default_factory=set)
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
        self._not_spelt: Counter[str] = Counter()
        self._num_calls = 0
        self._num_spelt = 0
        self._is_busy = False
        # by identity, for most of what a suite runs: code that is neither watched nor a constructor
        self._others: dict[int, types.CodeType] = {}

    def start(self) -> None:
        """Begin to watch the current thread, for one test or snippet."""
        self._objects.begin()
        for seen in self._seen.values():
            seen.num_now = 0
        sys.setprofile(self._hook)

    def stop(self) -> None:
        """End it."""
        sys.setprofile(None)
        self._pending.clear()

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
        elif event == "return" and frame in self._pending:
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
            self._write({"reached_function": _function(target)})
        self._num_calls += 1
        if self._num_calls % COUNTS_EVERY == 0:
            self.write_counts()
        if target.problem:
            seen.is_enough = True
        follows = (
            seen.num_now < MAX_NOW
            and seen.num_tries < MAX_FOLLOWED
            and (target.kind == "init" or (target.kind in ("method", "function") and self._is_followed(frame, code)))
        )
        if not follows and (seen.is_enough or seen.num_now >= MAX_NOW):
            return
        self._look(frame, code, target, seen, follows=follows)

    def _look(
        self, frame: types.FrameType, code: types.CodeType, target: WatchedFunction, seen: _Seen, *, follows: bool
    ) -> None:
        """Spell a call; write it where it is new; note what it may do to its object."""
        seen.num_tries += 1
        seen.num_now += 1
        values = _arguments(frame, code)
        self._speller.begin()
        before: tuple[str, ...] | None = None
        step = why = ""
        call: _Call | None = None
        try:
            if follows and target.kind != "init":
                before = self._objects.steps(values[0][1])
            call = _Call(self._speller, self._registry, target, code, values)
            step = call.step
            if not seen.is_enough:
                self._num_spelt += 1
                self._take(target, seen, call)
        except Unspelt as error:
            why = str(error)
            if not seen.is_enough:
                self._not_spelt[why] += 1
        except RecursionError:
            self._not_spelt["large_argument"] += 1
        if seen.num_tries >= MAX_TRIES or len(seen.texts) >= MAX_DISTINCT:
            seen.is_enough = True
        gives = "" if target.is_generator or target.kind in ("init", "setter") or call is None else call.plain
        if follows and values:
            self._pending[frame] = _Pending(values[0][1], step, before, target.kind == "init", why, gives)
        elif gives:
            self._pending[frame] = _Pending(None, "", None, False, "", gives)

    def _take(self, target: WatchedFunction, seen: _Seen, call: _Call) -> None:
        shape = call.shape
        if seen.shapes[shape] >= MAX_ALIKE:
            return
        record = call.record()
        text = "\n".join([*record["before"], record["call"]])  # type: ignore[misc,list-item]
        if text in seen.texts:
            return
        seen.texts.add(text)
        seen.shapes[shape] += 1
        self._write({"seen_call": {**_function(target), **record, "shape": " ".join(shape)[:400]}})

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
        values = _arguments(frame, code)
        kind = type(values[0][1])
        module = sys.modules.get(kind.__module__)
        file = getattr(module, "__file__", None)
        if type(file) is not str or not self._targets.place(file):
            self._others[id(code)] = code
            return
        made = unwrapped(kind.__init__, code)  # type: ignore[misc]
        if made is None:
            return
        self._speller.begin()
        step = why = ""
        try:
            texts = _texts(self._speller, code, values[1:], dict(_defaults_of(made)))
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


class _Call:
    """One call with its arguments as text.

    Attributes:
        plain: the call, with its arguments in place.
        step: the call as a statement in the making of its object; empty where it is none.
        shape: the classes of its arguments.

    Raises:
        Unspelt: an argument has no text.
    """

    def __init__(
        self,
        speller: CallSpeller,
        registry: Registry,
        target: WatchedFunction,
        code: types.CodeType,
        values: list[tuple[str, object]],
    ) -> None:
        if target.problem:
            raise Unspelt(target.problem)
        self._registry = registry
        self.step = ""
        self._kept: list[str] = []
        self.shape = tuple(type(value).__name__ for _, value in values)
        # arguments that may be changed, by the name of a variable for each: its text is in place of the argument's
        self._given: dict[str, str] = {}
        self._inline: dict[str, str] = {}
        rest = values
        if target.kind == "function" or target.kind == "staticmethod":
            callee = registry.imported(target.module, target.qualname)
        else:
            if not values:
                raise Unspelt("no_object")
            callee, rest = self._callee(speller, target, code, values)
        texts = _texts(speller, code, rest, dict(target.defaults))
        plain = ", ".join(texts)
        self.plain = _joined(target, callee, plain)
        named = _texts(speller, code, rest, dict(target.defaults), self._given)
        self._named_call = _joined(target, callee, ", ".join(named))
        if target.kind == "init":
            self.step = f"{SELF} = {self.plain}"
        elif self._kept and callee == f"{self._kept[0]}.{target.name}" and target.kind == "method":
            self.step = self.plain.replace(self._kept[0], SELF)
        elif target.kind == "function" and texts and (mark := _only_mark(texts[0])):
            self.step = self.plain.replace(mark, SELF)

    def _callee(
        self, speller: CallSpeller, target: WatchedFunction, code: types.CodeType, values: list[tuple[str, object]]
    ) -> tuple[str, list[tuple[str, object]]]:
        first = values[0][1]
        if target.kind in ("init", "new"):
            kind = type(first) if target.kind == "init" else first
            if not isinstance(kind, type):
                raise Unspelt("no_object")
            # reached from the constructor of a class below, which was called with other arguments
            if unwrapped(kind.__init__ if target.kind == "init" else kind.__new__, code) is None:  # type: ignore[misc]
                raise Unspelt("inner_constructor")
            return speller.spell(kind), values[1:]
        if target.kind == "classmethod":
            return f"{speller.spell(first)}.{target.name}", values[1:]
        text = speller.spell(first)
        if text.startswith("\x01"):
            self._kept.append(text)
        if target.kind in ("property", "setter"):
            return f"{text}.{target.name}", values[1:]
        if _is_reached(type(first), target.name, code):
            return f"{text}.{target.name}", values[1:]
        return self._registry.imported(target.module, target.qualname), values  # by `super()`, of a class below

    def record(self) -> dict[str, object]:
        """The call as commands, with the arguments in place and, where some may be changed, in variables."""
        plain = self._registry.render(self.plain, {}, self._given, self._kept)
        named = plain
        if self._given:
            named = self._registry.render(self._named_call, self._given, self._given, self._kept)
        return {
            "imports": plain.imports,
            "before": plain.before,
            "call": plain.call,
            "named_imports": named.imports,
            "named_before": named.before,
            "named_call": named.call,
            "variables": named.variables,
            "given": [*self._given],
        }


def _only_mark(text: str) -> str:
    """A text that is a mark and nothing else; else an empty one."""
    return text if text.startswith("\x01") and text.endswith("\x01") and text.count("\x01") == 2 else ""


def _joined(target: WatchedFunction, callee: str, arguments: str) -> str:
    if target.kind == "property":
        return callee
    if target.kind == "setter":
        return f"{callee} = {arguments}"
    return f"{callee}({arguments})"


def _texts(
    speller: CallSpeller,
    code: types.CodeType,
    values: list[tuple[str, object]],
    defaults: dict[str, object],
    given: dict[str, str] | None = None,
) -> list[str]:
    """The texts of arguments, by position as long as none is left out, by name after that.

    Args:
        speller: gives the texts.
        code: the function's, by which the parameters' kinds are known.
        values: by parameter.
        defaults: what parameters have by default: an argument that is its parameter's default is left out.
        given: gets the texts of arguments that may be changed, by parameter, whose names then stand in the call.
    """
    num_positional = code.co_argcount
    names = code.co_varnames
    keyword_only = set(names[num_positional : num_positional + code.co_kwonlyargcount])
    positional_only = set(names[: code.co_posonlyargcount])
    starred = names[num_positional + code.co_kwonlyargcount] if code.co_flags & 0x04 else None
    double_at = num_positional + code.co_kwonlyargcount + (1 if starred else 0)
    double = names[double_at] if code.co_flags & 0x08 else None
    by_name = dict(values)
    more = by_name.get(starred) if starred is not None else ()

    def text_of(name: str, value: object) -> str:
        text = speller.spell(value)
        if given is None or not is_changing(value):
            return text
        variable = name if name.isidentifier() and name not in _NOT_NAMES else "argument"
        while variable in given:
            variable += "_"
        given[variable] = text
        return variable

    parts: list[str] = []
    by_position = True
    for name, value in values:
        if name in (starred, double) or name in keyword_only:
            continue
        is_default = name in defaults and defaults[name] is value and not (more and starred)
        if is_default:
            by_position = False
            if name in positional_only:
                continue
            continue
        if by_position:
            parts.append(text_of(name, value))
        elif name in positional_only:
            raise Unspelt("positional_only")
        else:
            parts.append(f"{name}={text_of(name, value)}")
    if type(more) is tuple:
        parts += [text_of(f"{starred}_{number}", value) for number, value in enumerate(more)]
    for name, value in values:
        if name in keyword_only and not (name in defaults and defaults[name] is value):
            parts.append(f"{name}={text_of(name, value)}")
    named = by_name.get(double) if double is not None else {}
    if type(named) is dict:
        for name, value in named.items():
            if type(name) is not str or not name.isidentifier() or name in _KEYWORDS:
                raise Unspelt("keyword_name")
            parts.append(f"{name}={text_of(name, value)}")
    return parts


def _defaults_of(function: types.FunctionType) -> list[tuple[str, object]]:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    values = function.__defaults__ or ()
    return [*zip(names[len(names) - len(values) :], values, strict=True), *(function.__kwdefaults__ or {}).items()]


def _arguments(frame: types.FrameType, code: types.CodeType) -> list[tuple[str, object]]:
    """The arguments of a frame that has run nothing yet, by parameter."""
    number = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    variables = frame.f_locals
    return [(name, variables[name]) for name in code.co_varnames[:number] if name in variables]


def _is_reached(kind: type, name: str, code: types.CodeType) -> bool:
    """Return True if a method of an object of a class, asked for by name, is the function with this code."""
    for base in kind.__mro__:
        if name in vars(base):
            return unwrapped(vars(base)[name], code) is not None
    return False


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


def _function(target: WatchedFunction) -> dict[str, object]:
    return {
        "module": target.module,
        "qualname": target.qualname,
        "path": target.path,
        "line": target.line,
        "end_line": target.end_line,
        "kind": target.kind,
        "is_generator": target.is_generator,
        "problem": target.problem,
    }


_NOT_NAMES = frozenset(("_", "self", "cls"))
_KEYWORDS = frozenset(__import__("keyword").kwlist)
