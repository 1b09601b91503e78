"""Pickles states by their rules: by number what is the same object in all of them, all else by what is in it."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from trace_mine.tracer.inside.states import rules_of_code, rules_of_library
from trace_mine.tracer.inside.states.pickling_rules import Known, PicklingRule, Recipe, rules_for
from trace_mine.tracer.inside.states.records import OURS, CannotSnapshot

RULES: tuple[PicklingRule, ...] = (
    PicklingRule(
        kind="data",
        reason="Numbers, texts and containers are what pickle has by value. They come first, as most objects are data.",
        types=(
            *(int, float, complex, bool, type(None), str, bytes, bytearray, object),
            *(list, dict, set, tuple, frozenset),
        ),
    ),
    *rules_of_code.RULES,
    *rules_of_library.RULES,
)
"""All rules. A type that none of them is for is pickled as pickle does."""

_DATA = frozenset(RULES[0].types)
_Numbers = tuple[Callable[[Known, Any], int | None], ...]
_Recipes = tuple[Callable[[Known, Any], Recipe], ...]
_of_types: dict[int, tuple[type, _Numbers, _Recipes]] = {}
"""The rules of each type that was seen, by its ``id``, as the program's metaclass may say which classes are equal."""


def _learn(kind: type) -> tuple[type, _Numbers, _Recipes]:
    rules = rules_for(kind, RULES)
    numbers = tuple(rule.number for rule in rules if rule.number is not None)
    recipes = tuple(rule.recipe for rule in rules if rule.recipe is not None)
    learnt = _of_types[id(kind)] = kind, numbers, recipes
    return learnt


class StatePickler(pickle.Pickler):
    """Pickles as the rules say."""

    def __init__(self, target: io.BytesIO, known: Known) -> None:
        super().__init__(target, 5)  # fixed, since the default differs between Python versions
        self._known = known
        self._numbered = known.objects.numbered

    def persistent_id(self, value: object) -> int | None:
        """The number of an object that stands for itself; None for one that is pickled. Called for every object."""
        if id(value) in self._numbered:
            return self._known.objects.keep(value)
        kind = type(value)
        if kind in _DATA:  # most are
            return None
        for number_of in (_of_types.get(id(kind)) or _learn(kind))[1]:
            number = number_of(self._known, value)
            if number is not None:
                return number
        return None

    def reducer_override(self, value: object) -> Recipe:
        """How an object that has no number is made again. Not called for most data."""
        kind = type(value)
        for recipe_of in (_of_types.get(id(kind)) or _learn(kind))[2]:
            recipe = recipe_of(self._known, value)
            if recipe is not NotImplemented:
                return recipe
        return NotImplemented


class StateUnpickler(pickle.Unpickler):
    """Makes what was pickled, with the objects that numbers stand for."""

    def __init__(self, saved: bytes, known: Known) -> None:
        super().__init__(io.BytesIO(saved))
        self._objects = known.objects.by_number

    def persistent_load(self, number: int) -> object:
        """The object that a number stands for."""
        return self._objects[number]


class Saving:
    """Pickles parts of a namespace once.

    Attributes:
        ids: of the lists, dictionaries, sets and the like that were pickled.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._target = io.BytesIO()
        self.ids: set[int] = set()

    def dump(self, parts: object) -> None:
        """Pickle.

        Raises:
            CannotSnapshot: as ``Snapshots.save``.
        """
        with refusing():
            _NotingPickler(self._target, self._known, self.ids).dump(parts)

    def bytes(self) -> bytes:
        """The bytes of all that was pickled."""
        return self._target.getvalue()


class _NotingPickler(StatePickler):
    """Notes the ``id`` of each object that has no number."""

    def __init__(self, target: io.BytesIO, known: Known, ids: set[int]) -> None:
        super().__init__(target, known)
        self._ids = ids

    def persistent_id(self, value: object) -> int | None:
        number = super().persistent_id(value)
        if number is None:
            self._ids.add(id(value))
        return number


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Around a pickler at work: CannotSnapshot in the place of whatever it raises."""
    try:
        yield
    except (CannotSnapshot, *OURS):
        raise
    except BaseException as error:  # pickle raises TypeError, PicklingError, AttributeError, RecursionError, ...
        raise CannotSnapshot(f"{type(error).__name__}: {error}"[:200]) from None
