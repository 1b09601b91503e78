"""Classes, sentinels and cached functions as they were when they were met.

They stay the objects they are, and each state that is restored sets what is in them. So before the first state is
restored it is noted how they were: other namespaces of the process have them, too, and get them back as they were.
"""

from __future__ import annotations

import types
from dataclasses import dataclass

from trace_mine.tracer.inside.states import call_caches
from trace_mine.tracer.inside.states.attributes import (
    ATOMS,
    caches_of,
    functions_of,
    is_of_session,
    methods_with_state,
    set_attributes,
    set_class,
    state_of,
)
from trace_mine.tracer.inside.states.cache_states import CacheStates
from trace_mine.tracer.inside.states.kept_objects import KeptObjects

Attributes = dict[str, object]
States = dict[int, tuple[object, Attributes]]
"""Objects with all that can change in them, by their ``id``."""

_attributes_of = vars(types.FunctionType)["__dict__"].__get__


@dataclass(frozen=True, slots=True)
class _FirstClass:
    """The members of a class when it was met.

    Attributes:
        is_plain: nothing can change in its data.
        members: the data.
        names, values, ids: of all members; the values, so that no other object gets the ``id`` of one.
        functions: of a class of the session, its methods; they had no attributes if the class ``is_plain``.
    """

    is_plain: bool
    members: Attributes
    names: tuple[str, ...]
    values: tuple[object, ...]
    ids: list[int]
    functions: list[types.FunctionType]


class FirstStates:
    """Knows how the objects were.

    Attributes:
        members: cached functions that are members of the session's classes, by their ``id``.
        reset: makes a class what it was when it was met. Pickles call it, so it is a function, as
            ``KeptObjects.resolve``.
        set_cache: the same for what a cached function keeps.
    """

    def __init__(self, objects: KeptObjects, caches: CacheStates) -> None:
        self._objects = objects
        self._caches = caches
        self._classes: dict[int, _FirstClass] = {}
        self._noted: States = {}
        self.members: dict[int, object] = {}

        def reset(kind: type, state: object) -> None:
            if not self.is_as_at_first(kind):
                set_class(kind, self._classes[id(kind)].members)

        def set_cache(cache: object, contents: tuple[object, ...]) -> None:
            caches.set_contents(cache, contents[:2])  # type: ignore[arg-type]  # as ``contents_of`` made it

        self.reset = reset
        self.set_cache = set_cache

    def is_as_at_first(self, kind: type) -> bool:
        """Return True if a class has the members that it had when it was met, none of which can change in itself."""
        first = self._classes.get(id(kind))
        members = vars(kind)
        if first is None:
            state = state_of(kind)
            is_plain = all(type(value) in ATOMS for value in state.values()) and not self.methods_of(kind)
            functions = functions_of(kind) if is_of_session(kind) else []
            names, values = (*members,), (*members.values(),)
            first = _FirstClass(is_plain, state, names, values, [*map(id, values)], functions)
            self._classes[self._objects.keep(kind)] = first
        # by identity of the members, at the speed of C: a namespace may have twenty classes of fifty members each
        is_same = first.is_plain and [*map(id, members.values())] == first.ids and (*members,) == first.names
        return is_same and not any(map(_attributes_of, first.functions))

    def methods_of(self, kind: type) -> list[object]:
        """The methods of a class of the session in which something may change, cached ones too."""
        if not is_of_session(kind):
            return []
        caches = caches_of(kind)
        self.members.update((id(each), each) for each in caches)
        return [*methods_with_state(kind), *caches]

    def note(self, value: object, attributes: Attributes) -> None:
        """Note an object that each state restores in place, with all that can change in it."""
        self._noted.setdefault(id(value), (value, attributes))

    def note_class(self, kind: type) -> None:
        """Note a class that is as it was when it was met."""
        self.note(kind, self._classes[id(kind)].members)

    def now(self) -> States:
        """All that was noted, as it is now."""
        return {number: (value, self._state_of(value)) for number, (value, _) in self._noted.items()}

    def put_back(self, states: States) -> None:
        """Make the objects what they were in these states; those that were noted since, what they were when noted."""
        for value, attributes in {**self._noted, **states}.values():
            if type(value) is call_caches.CACHE:
                self._caches.set_contents(value, attributes["contents"])  # type: ignore[arg-type]  # of ``_state_of``
            elif not issubclass(type(value), type):
                set_attributes(value, attributes)
            elif attributes is not self._classes[id(value)].members or not self.is_as_at_first(value):  # type: ignore[arg-type]
                set_class(value, attributes)  # type: ignore[arg-type]  # a class

    def _state_of(self, value: object) -> Attributes:
        if type(value) is call_caches.CACHE:
            return self.state_of_cache(value)
        # of a class that is as at first its first members, by which ``put_back`` sees that they are these
        if issubclass(type(value), type) and self.is_as_at_first(value):  # type: ignore[arg-type]
            return self._classes[id(value)].members
        return state_of(value)

    def state_of_cache(self, cache: object) -> Attributes:
        """All that can change in a cached function, as ``note`` takes it."""
        return {"contents": self._caches.contents_of(cache)}
