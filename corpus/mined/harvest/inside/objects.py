"""Objects of the repository's classes by the calls that made them what they are.

A constructor's call is noted with its arguments as text, and so are the calls of methods from outside that follow. They
make an object again only if nothing else changed it, so its state after each noted call is kept, and compared when the
object is met.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from trace_mine_harvest.state import Opaque, fields_of, state_of

MAX_STEPS = 6
MAX_OBJECTS = 5_000


@dataclass
class History:
    """The statements that make an object, and its state after them; with a ``problem`` there are none."""

    kind: type
    steps: tuple[str, ...]
    state: object = None
    problem: str = ""


class Objects:
    """The histories of objects, by identity.

    A number may come to belong to another object. That object's own history replaces the first one's and, where it has
    none, its state will hardly be the same; if it is, the statements make it as well.
    """

    def __init__(self) -> None:
        self._histories: OrderedDict[int, History] = OrderedDict()

    def constructed(self, value: object, step: str) -> None:
        """Note that a constructor returned; ``step`` is its call, or empty where it can't be spelt."""
        history = History(type(value), (step,), problem="" if step else "unspelt_constructor")
        self._look(value, history)
        self._histories[id(value)] = history
        self._histories.move_to_end(id(value))
        if len(self._histories) > MAX_OBJECTS:
            self._histories.popitem(last=False)

    def is_followed(self, value: object) -> bool:
        """Return True if a call of the object's method is worth noting."""
        history = self._histories.get(id(value))
        return history is not None and history.kind is type(value) and not history.problem

    def called(self, value: object, before: tuple[str, ...] | None, step: str) -> None:
        """Note that a method, called from outside, returned.

        Args:
            value: its object.
            before: the statements that made the object before the call; None where there were none.
            step: the call, or empty where it can't be spelt.
        """
        history = self._histories.get(id(value))
        if history is None or history.kind is not type(value) or history.problem:
            return
        if before is None or before != history.steps:
            history.problem = "changed_object"
            return
        try:
            state = state_of(value)
        except Opaque as why:
            history.problem = f"{why}_object"
            return
        if state == history.state:
            return  # it only looked
        if not step or len(history.steps) >= MAX_STEPS:
            history.problem = "changed_object"
            return
        self._histories[id(value)] = History(type(value), (*history.steps, step), state)

    def _look(self, value: object, history: History) -> None:
        if history.problem:
            return
        try:
            history.state = state_of(value)
        except Opaque as why:
            history.problem = f"{why}_object"

    def steps(self, value: object) -> tuple[str, ...] | None:
        """Return the statements that make the object as it is now; None where there are none."""
        history = self._histories.get(id(value))
        if history is None or history.kind is not type(value) or history.problem:
            return None
        try:
            state = state_of(value)
        except Opaque:
            return None
        return history.steps if state == history.state else None

    def why_not(self, value: object) -> str:
        """Return a word for why ``steps`` gave none."""
        history = self._histories.get(id(value))
        if history is None or history.kind is not type(value):
            return "object"
        return history.problem or "changed_object"

    def is_empty(self, value: object) -> bool:
        """Return True if an object has no attribute and holds nothing."""
        return fields_of(value) == {} and not isinstance(value, (list, tuple, set, frozenset, dict))

    def has_no_fields(self, value: object) -> bool:
        """Return True if an object has no attribute besides what it holds."""
        return fields_of(value) == {}
