"""Objects of the repository's classes by the calls that made them what they are.

A constructor's call is noted with its arguments as text, and so are the calls of methods that follow, and of functions
that get the object first. They make an object again only if nothing else changed it, so its state after each noted call
is kept, and compared when the object is met. Calls within a call are noted until that returns: then it stands for them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from types import FunctionType

from trace_mine_harvest.state import HEAP, Opaque, StateReader, fields_of
from trace_mine_harvest.texts import SELF

MAX_STEPS = 8
"""Statements that make one object."""
MAX_RETURNED = 12
"""Objects in what a function gives, or within another object, that are noted."""
MAX_OBJECTS = 5_000
"""Objects whose making is remembered; of more, the oldest are forgotten."""
MAX_NODES = 4_000
"""Values that are looked at for all objects of one class in one test: of many large ones, the later ones are let go."""


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
        # by identity of an object within another one, this and the way there; it is kept, so that no other gets its
        # number
        self._within: OrderedDict[int, tuple[object, str]] = OrderedDict()
        self._num_nodes: Counter[type] = Counter()

    def begin(self) -> None:
        """Begin a test: it has its own share of what may be looked at."""
        self._num_nodes.clear()

    def constructed(self, value: object, step: str, why: str) -> None:
        """Note that a constructor returned; ``step`` is its call, empty where it has no text, by the word ``why``."""
        history = History(type(value), (step,), problem="" if step else why or "object")
        self._keep(value, history)

    def returned(self, value: object, step: str) -> None:
        """Note what a function gave: an object, or a few of them in a list or tuple, that no constructor tells of."""
        if (type(value) is list or type(value) is tuple) and len(value) <= MAX_RETURNED:
            for number, item in enumerate(value):
                self._returned_one(item, f"{step}[{number}]")
        else:
            self._returned_one(value, step)

    def _returned_one(self, value: object, step: str) -> None:
        kind = type(value)
        is_local = type(value) is FunctionType and "<locals>" in value.__qualname__
        if not (is_local or kind.__flags__ & HEAP) or self.steps(value) is not None:
            return
        self._keep(value, History(kind, (f"{SELF} = {step}",)))

    def _keep(self, value: object, history: History) -> None:
        self._look(value, history)
        self._keep_as(value, history)

    def _keep_as(self, value: object, history: History) -> None:
        self._histories[id(value)] = history
        self._histories.move_to_end(id(value))
        if len(self._histories) > MAX_OBJECTS:
            self._histories.popitem(last=False)

    def path(self, value: object) -> tuple[object, str] | None:
        """Return an object that can be made again and the way from it to the value; None where none is known."""
        known = self._within.get(id(value))
        return None if known is None or self.steps(known[0]) is None else known

    def is_followed(self, value: object) -> bool:
        """Return True if a call of the object's method is worth noting."""
        history = self._histories.get(id(value))
        return history is not None and history.kind is type(value) and not history.problem

    def called(self, value: object, before: tuple[str, ...] | None, step: str) -> None:
        """Note that a call which was given the object returned.

        Args:
            value: its object.
            before: the statements that made the object before the call; None where there were none.
            step: the call, or empty where it can't be spelt.
        """
        history = self._histories.get(id(value))
        if before is None or history is None or history.kind is not type(value):
            return
        try:
            state = self._state(value)
        except Opaque:
            return
        if state == history.state and history.steps == before:
            return  # it only looked
        if step and len(before) < MAX_STEPS:
            # in the place of what was noted within the call
            self._keep_as(value, History(type(value), (*before, step), state))

    def _state(self, value: object) -> object:
        kind = type(value)
        if self._num_nodes[kind] > MAX_NODES:
            raise Opaque("large")
        reader = StateReader()
        try:
            return reader.of(value)
        finally:
            self._num_nodes[kind] += reader.num_nodes
            for number, path in [*reader.paths.items()][:MAX_RETURNED]:
                self._within[number] = (value, path)
            while len(self._within) > MAX_OBJECTS:
                self._within.popitem(last=False)

    def _look(self, value: object, history: History) -> None:
        if history.problem:
            return
        try:
            history.state = self._state(value)
        except Opaque as why:
            history.problem = f"{why}_object"

    def steps(self, value: object) -> tuple[str, ...] | None:
        """Return the statements that make the object as it is now; None where there are none."""
        history = self._histories.get(id(value))
        if history is None or history.kind is not type(value) or history.problem:
            return None
        try:
            state = self._state(value)
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
