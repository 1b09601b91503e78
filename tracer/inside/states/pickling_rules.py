"""A rule says how states have the objects of one kind, where that isn't what pickle does by itself.

All that can change in an object is in the bytes of a state; what is one and the same in all states has a number there.
``rules_of_code`` and ``rules_of_library`` have the rules, ``state_pickler`` the list of them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.states.cache_states import CacheStates
from trace_mine.tracer.inside.states.first_states import FirstStates
from trace_mine.tracer.inside.states.kept_objects import KeptObjects
from trace_mine.tracer.inside.states.own_code import OwnCode

Recipe = Any
"""How ``reducer_override`` tells pickle to make an object: pickle's own union of tuples of two to six items."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that rules may ask of the session whose states are saved.

    Attributes:
        objects: those with a number.
        code: which classes and functions are the session's or the repository's.
        firsts: classes, sentinels and cached functions as they were when they were met.
        caches: what of a cached function is part of states.
        can_save: tells if there are bytes for something, and no more than for an object that is held.
    """

    objects: KeptObjects
    code: OwnCode
    firsts: FirstStates
    caches: CacheStates
    can_save: Callable[[object], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class PicklingRule:
    """How states have the objects of one kind.

    Attributes:
        kind: of the objects, in words.
        reason: why pickle's own way would not do.
        types: exact types, whose objects follow this rule alone.
        is_for: tells of any other type if its objects follow the rule. A type may have several rules: the first number
            that one of them gives counts, or else the first recipe.
        number: gives the number of an object that is one and the same in all states; None for an object that is not.
        recipe: how the object is made again; NotImplemented where the rule does not tell.

    Recipes raise CannotSnapshot where a state would lose something.
    """

    kind: str
    reason: str
    types: tuple[type, ...] = ()
    is_for: Callable[[type], bool] | None = None
    number: Callable[[Known, Any], int | None] | None = None
    recipe: Callable[[Known, Any], Recipe] | None = None


def kept(known: Known, value: object) -> int:
    """The number of an object that is one and the same in all states, whatever it is."""
    return known.objects.keep(value)


def any_type(kind: type) -> bool:
    """Of rules that tell by the object."""
    return True


def subclasses_of(base: type) -> Callable[[type], bool]:
    """A test for a class and those derived from it; it runs nothing of the program, unlike ``isinstance``."""
    return lambda kind: issubclass(kind, base)


def rules_for(kind: type, rules: Sequence[PicklingRule]) -> list[PicklingRule]:
    """The rules that objects of a type follow, the first one first."""
    exact = [rule for rule in rules if any(kind is each for each in rule.types)]
    return exact or [rule for rule in rules if rule.is_for is not None and rule.is_for(kind)]
