"""Functions that a program registers with ``atexit``: state, since a path that registers one would do it for
all others.

C code keeps the functions where nobody can read them. So ``atexit.register`` and ``unregister`` are replaced by
functions that keep a list, and C code knows one function alone, which runs what is in the list.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from types import SimpleNamespace
from typing import Any, TypeVar

from trace_mine.tracer.inside.draws.replacing import replace

Function = TypeVar("Function", bound=Callable[..., object])
Call = tuple[Callable[..., object], tuple[object, ...], dict[str, object]]
"""A function with its arguments."""

_register = atexit.register
_calls: list[Call] = []
_known_to_c: list[bool] = []


def install() -> None:
    """Keep what is registered from here on; once for a process, before the program runs."""
    if atexit.register is not _register:
        return

    def register(func: Function, /, *args: Any, **kwargs: Any) -> Function:
        if not callable(func):
            raise TypeError("the first argument must be callable")
        _calls.append((func, args, kwargs))
        _tell_c()
        return func

    def unregister(func: Callable[..., object], /) -> None:
        _calls[:] = [call for call in _calls if call[0] != func]

    replace(atexit, "register", register)
    replace(atexit, "unregister", unregister)


def _tell_c() -> None:
    """Have C code know the function that runs the list. It forgets it where it runs it."""
    if not _known_to_c:
        _known_to_c.append(True)
        _register(_run_all)


def _run_all() -> None:
    """Run the functions as C code does: the last one first, each once; what they raise is told on stderr."""
    _known_to_c.clear()
    while _calls:
        function, arguments, keywords = _calls.pop()
        try:
            function(*arguments, **keywords)
        except BaseException as error:
            unraisable = SimpleNamespace(
                exc_type=type(error),
                exc_value=error,
                exc_traceback=error.__traceback__,
                err_msg="Exception ignored in atexit callback",
                object=function,
            )
            sys.unraisablehook(unraisable)


@dataclass(slots=True)
class ExitFunctions:
    """The setting: functions with their arguments, in the order in which they were registered."""

    module: str = "atexit"
    _first: list[Call] | None = None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``."""
        if self._first is None:
            self._first = [*_calls]
        return None if len(_calls) == len(self._first) and all(map(is_, _calls, self._first)) else tuple(_calls)

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        _calls[:] = value if isinstance(value, tuple) else self._first or []
        if _calls:
            _tell_c()
