"""Settings of the standard library's modules, each of which reads one thing and sets it: see ``settings``."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trace_mine.tracer.inside.draws.module_names import are_same


@dataclass(slots=True)
class PlainSetting:
    """A number or text that a function of C reads and another one sets.

    Args:
        get, set: names of the functions, in ``module``.
    """

    module: str
    get: str
    set: str
    _functions: tuple[Callable[..., Any], Callable[..., Any]] | None = None
    _first: object = None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``. A value in a tuple, since None may be one."""
        value = self._read()
        return None if value == self._first else (value,)

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        wanted = value[0] if isinstance(value, tuple) else self._first
        if self._read() != wanted:
            try:
                self._bound()[1](wanted)
            except (RecursionError, ValueError):
                return  # a limit below the depth here: the program meets it as it is now

    def _read(self) -> object:
        return self._bound()[0]()

    def _bound(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        if self._functions is None:
            module = sys.modules[self.module]
            self._functions = getattr(module, self.get), getattr(module, self.set)
            self._first = self._functions[0]()
        return self._functions


@dataclass(slots=True)
class FunctionSetting:
    """A setting with functions of ours."""

    module: str
    get: Callable[[], object]
    set: Callable[[Any], None]
    _first: object = None
    _is_begun: bool = False

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``."""
        value = self.get()
        if not self._is_begun:
            self._first, self._is_begun = value, True
        return None if value == self._first else (value,)

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        wanted = value[0] if isinstance(value, tuple) else self._first
        if self._is_begun and self.get() != wanted:
            self.set(wanted)


_umask = os.umask


def set_umask(mask: int) -> None:
    """Set the mask of new files' permissions."""
    _umask(mask)


def umask_now() -> int:
    """Return the mask of new files' permissions, which can be read by setting it alone."""
    mask = _umask(0o077)
    _umask(mask)
    return mask


def count_of(holder: Callable[[], Any], name: str) -> tuple[Callable[[], object], Callable[[Any], None]]:
    """Functions that read and set where an ``itertools.count`` stands of which only its ``__next__`` is kept."""

    def get() -> object:
        return repr(vars(holder())[name].__self__)  # "count(3)"

    def put(value: Any) -> None:
        setattr(holder(), name, itertools.count(int(value[len("count(") : -1])).__next__)

    return get, put


@dataclass(slots=True)
class DecimalContext:
    """The current context of ``decimal``: an object, which the program may hold, with its precision and flags.

    Attributes:
        first: the context of the start, which is one and the same in all states; what is in it is part of the setting.
    """

    module: str = "_decimal"
    first: Any = None
    _parts: tuple[Any, ...] = ()
    _functions: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def forget(self) -> None:
        """Have the context of the start be the one at the next question."""
        self.first, self._functions = None, None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``: the context where it is another one, and what is in it."""
        if self._functions is None:
            module = sys.modules[self.module]
            self._functions = module.getcontext, module.setcontext
            self.first = module.getcontext()
            self._parts = self.first.__reduce__()[1]
        context = self._functions[0]()
        if context is self.first:
            parts = context.__reduce__()[1]
            return None if parts == self._parts else (None, parts)
        return context, context.__reduce__()[1], self.first.__reduce__()[1]

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        if self._functions is None:
            return
        get, put = self._functions
        context, *parts = value if isinstance(value, tuple) else (None, self._parts)
        wanted = self.first if context is None else context
        if get() is not wanted:
            put(wanted)
            wanted = get()  # a copy, where it was one of the module's templates
        _set_parts(wanted, parts[0])
        if len(parts) > 1:
            _set_parts(self.first, parts[1])


DECIMAL = DecimalContext()
"""The setting of this process."""


def _set_parts(context: Any, parts: tuple[Any, ...]) -> None:
    if context.__reduce__()[1] == parts:
        return
    for name, part in zip(("prec", "rounding", "Emin", "Emax", "capitals", "clamp"), parts[:6], strict=True):
        setattr(context, name, part)
    for held, raised in ((context.flags, parts[6]), (context.traps, parts[7])):
        for signal in held:
            held[signal] = signal in raised


@dataclass(slots=True)
class WarningFilters:
    """The filters of ``warnings``, in the list that is in use."""

    module: str = "warnings"
    _first: list[object] | None = None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``."""
        filters = vars(sys.modules[self.module])["filters"]
        if self._first is None:
            self._first = [*filters]
        return None if are_same(filters, self._first) else tuple(filters)

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        if self._first is None:
            return
        members = vars(sys.modules[self.module])
        wanted = [*value] if isinstance(value, tuple) else self._first
        if not are_same(members["filters"], wanted):
            members["filters"][:] = wanted
            for name in ("_filters_mutated", "_filters_mutated_lock_held"):  # the second from Python 3.14 on
                if name in members:
                    members[name]()
                    break


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGVTALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE")
"""Signals whose handlers are state."""


@dataclass(slots=True)
class SignalHandlers:
    """The handlers of signals."""

    module: str = "_signal"
    _numbers: tuple[int, ...] = ()
    _first: list[object] = field(default_factory=list)
    _functions: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``: number and handler of those that are others."""
        if self._functions is None:
            members = vars(sys.modules[self.module])
            self._functions = members["getsignal"], members["signal"]
            self._numbers = tuple(int(members[name]) for name in SIGNALS)
            self._first = [*map(self._functions[0], self._numbers)]
        now = [*map(self._functions[0], self._numbers)]
        return None if are_same(now, self._first) else _differing(self._numbers, now, self._first)

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        if self._functions is None:
            return
        get, put = self._functions
        wanted = dict(zip(self._numbers, self._first, strict=True))
        if isinstance(value, tuple):
            wanted.update(value)
        for number, handler in wanted.items():
            if get(number) is not handler and handler is not None:  # None is one that was not set in Python
                put(number, handler)


_PARTS = (
    "delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict",
)  # fmt: skip


@dataclass(slots=True)
class CsvDialects:
    """The dialects that are registered with ``csv``, by their parts, as the objects can't be pickled."""

    module: str = "_csv"
    _first: dict[str, object] | None = None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``."""
        now = self._now()
        if self._first is None:
            self._first = now
        if [*now] == [*self._first] and are_same([*now.values()], [*self._first.values()]):
            return None
        return {name: _parts_of(dialect) for name, dialect in now.items()}

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        if self._first is None or (value is None and self.changed() is None):
            return
        module, now = sys.modules[self.module], self._now()
        wanted = value if isinstance(value, dict) else {name: _parts_of(each) for name, each in self._first.items()}
        for name in now.keys() - wanted.keys():
            module.unregister_dialect(name)
        for name, parts in wanted.items():
            if name not in now or _parts_of(now[name]) != parts:
                module.register_dialect(name, **dict(zip(_PARTS, parts, strict=True)))
        if value is None:
            self._first = self._now()  # other objects, with the same parts

    def _now(self) -> dict[str, object]:
        module = sys.modules[self.module]
        return {name: module.get_dialect(name) for name in module.list_dialects()}


def _parts_of(dialect: object) -> tuple[object, ...]:
    return tuple(getattr(dialect, part) for part in _PARTS)


def _differing(names: tuple[int, ...], now: list[object], then: list[object]) -> tuple[tuple[int, object], ...]:
    return tuple((name, new) for name, new, old in zip(names, now, then, strict=True) if new is not old)
