"""Which modules, classes and functions are the session's own or the repository's: what changes in these is state.

All others are other libraries', whose objects stand for themselves. A module of the repository may compare some of its
globals by identity: texts, ``object()``, and instances of the repository's classes without an equality of their own
(sentinels). These *constants* stay the objects they are, and the attributes of sentinels are part of the state.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.states import call_caches
from trace_mine.tracer.inside.states.attributes import has_own_hooks
from trace_mine.tracer.inside.states.kept_objects import KeptObjects

WITHOUT_STATE = frozenset((str, bytes, object))
"""Exact types of constants in which nothing can change."""


class OwnCode:
    """Tells what is the session's or the repository's.

    Args:
        namespace: that of the session.
        is_own: tells by a file's path if it is the repository's.
        objects: get the constants, and the signatures that these hold.

    Attributes:
        constants: objects that a module of the repository may compare by identity, by their ``id``.
        is_first: True until the first snapshot is taken. What is seen by then was there at the start.
    """

    def __init__(self, namespace: dict[str, object], is_own: Callable[[str], bool], objects: KeptObjects) -> None:
        self._namespace = namespace
        self._is_own = is_own
        self._objects = objects
        self._modules: dict[str, bool] = {}
        self._first_functions: dict[int, types.FunctionType] = {}
        """Functions that other functions made before the session began, by ``id``."""
        self.is_first = True
        self.constants: dict[int, object] = {}
        if call_caches.can_be_read:  # keys of caches have an object among them by which they are told
            self._add_constant(call_caches.mark)

    def is_repository(self, name: str) -> bool:
        """Return True if a module is the repository's; the first time, remember its constants."""
        is_own = self._modules.get(name)
        if is_own is None:
            file = getattr(sys.modules.get(name), "__file__", None)
            is_own = type(file) is str and self._is_own(file)
            self._modules[name] = is_own
            if is_own:
                for value in [each for each in vars(sys.modules[name]).values() if self._is_constant(each)]:
                    self._add_constant(value)
        return is_own

    def is_own_class(self, kind: type) -> bool:
        """Return True if a class is the session's or the repository's, so that its attributes are part of the state."""
        # From the class's dictionary: ``kind.__module__`` may be a property of the program's metaclass.
        home = kind.__dict__.get("__module__")
        return type(home) is str and (home == "__main__" or self.is_repository(home))

    def has_plain_objects(self, kind: type) -> bool:
        """Return True for a class of the session or the repository whose objects have attributes and slots alone."""
        return all(map(self.is_own_class, kind.__mro__[:-1]))

    def may_change(self, function: types.FunctionType) -> bool:
        """Return True for a function whose attributes and cells are part of the state: one that the session defined, or
        that a function of the repository made since its start, as a decorator does.
        """
        table = function.__globals__
        if table is self._namespace:
            return True
        if "<locals>" not in function.__code__.co_qualname or id(function) in self._first_functions:
            return False
        name = table.get("__name__")
        if self.is_first or table.get(function.__name__) is function or type(name) is not str:
            self.add_first_functions([function])
            return False
        return self.is_repository(name)

    def add_first_functions(self, functions: list[types.FunctionType]) -> None:
        """Remember functions that were there before the session began."""
        self._first_functions.update((id(function), function) for function in functions)

    def _is_constant(self, value: object) -> bool:
        """Return True if a module may compare a global by identity, and all that can change in it is its attributes.

        So is a global whose author says how it is pickled: a decorated function of a library that currys it.
        """
        kind: Any = type(value)  # mypy takes methods of two classes to be different
        if kind in WITHOUT_STATE:
            return True
        if not self.has_plain_objects(kind):
            return False
        return has_own_hooks(kind) or (kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__)

    def _add_constant(self, value: object) -> None:
        self.constants[id(value)] = value
        kind = type(value)
        if kind in WITHOUT_STATE:
            self._objects.numbered[id(value)] = value
        elif kind.__dictoffset__:
            held = vars(value).values()
            self._objects.numbered.update((id(each), each) for each in held if type(each) is inspect.Signature)
