"""The functions that ``weakref.finalize`` holds for the whole process: which of them are alive is state.

The objects are known to their class, by which a copy would be dead; so they stay the objects they are. Where one holds
something that may change (a list's ``append``), states can't be saved, and are run again. Not covered: an object of a
path that dies when another state is restored has its finalizer run then.
"""

from __future__ import annotations

import types
import weakref
from dataclasses import dataclass
from typing import Any

_registry: dict[Any, Any] = vars(weakref.finalize)["_registry"]
FINALIZER_INFO: type = vars(weakref.finalize)["_Info"]
"""The class of what the registry has of each."""
_CONSTANT = frozenset((str, bytes, int, float, bool, type(None), type))


def holds_constants(finalizer: Any) -> bool:
    """Return True for a finalizer that is dead, or whose function and arguments can't change."""
    info = _registry.get(finalizer)
    if info is None:
        return True
    kind = type(info.func)
    is_bound = kind is types.BuiltinFunctionType and not isinstance(info.func.__self__, types.ModuleType | type)
    if is_bound or kind not in (types.BuiltinFunctionType, types.FunctionType, types.MethodType):
        return False
    if kind is types.MethodType and not isinstance(info.func.__self__, type):
        return False
    return all(type(each) in _CONSTANT for each in (*info.args, *(info.kwargs or {}).values()))


@dataclass(slots=True)
class Finalizers:
    """The setting: the finalizers that are alive, with what they hold."""

    module: str = "weakref"
    _first: dict[Any, Any] | None = None

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``: those that are new, with what they hold, and those of the start that are
        not alive.
        """
        if self._first is None:
            self._first = {**_registry}
        first = self._first
        if _registry.keys() == first.keys():
            return None
        return (
            {each: info for each, info in _registry.items() if each not in first},
            tuple([each for each in first if each not in _registry]),
        )

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        new, gone = value if isinstance(value, tuple) else ({}, ())
        wanted = {**{each: info for each, info in (self._first or {}).items() if each not in gone}, **new}
        if _registry.keys() != wanted.keys():
            _registry.clear()
            _registry.update(wanted)
        # a path that runs the program's exit functions runs that of ``weakref``, after which no finalizer would
        weakref.finalize._shutdown = False  # type: ignore[attr-defined]
