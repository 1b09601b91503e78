"""Questions whose answers are not certain: what may be asked of variables, with the bits that an answer has.

A question is an expression over one variable: the variable itself, its length, an item, its remainder by 2 or 3, an
attribute. It may be asked only where every state that agrees with the text has an answer, which no code of the program
is run for. So which questions there are, and how uncertain each is, follows from the text alone, and to ask one of them
tells nothing of what it hides.
"""

from __future__ import annotations

import collections
import enum
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.describe import plain_access
from trace_mine.tracer.inside.observe.reveals import NOT_STATE, is_property
from trace_mine.tracer.inside.states.records import State
from trace_mine.tracer.inside.states.world import World

LEAST_BITS = 0.05
"""Bits of an answer that is worth asking for."""
LONGEST_ANSWER = 80
MOST_ITEMS = 8
"""Items of a sequence, and keys of a dictionary, that are asked for."""
MOST_ATTRIBUTES = 4
MOST_STATES = 8_192
"""States up to which all variables are looked at; with more of them FEW are."""
FEW = 3
_KEPT = 20_000

_TABLES = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)

_SEQUENCES = (list, tuple, str, collections.deque)

Answers = Mapping[str, str]
"""Questions with their answers, as texts that are equal where what is shown is."""


class Questions:
    """Finds questions in the states of one world.

    Args:
        world: that the states are of.
        style: ``print`` where answers are shown by ``str``, ``echo`` where by ``repr``.
    """

    def __init__(self, world: World, style: str) -> None:
        self._world = world
        self._told = str if style == "print" else repr
        self._answers: dict[tuple[str, State], Answers | None] = {}

    def bits(self, states: Mapping[State, float], names: Sequence[str]) -> dict[str, float]:
        """The bits of each question that all states have an answer to, and that is uncertain.

        Args:
            states: with their weights, which sum to 1.
            names: of the variables; where there are many states, the first ones are looked at.
        """
        bits_by_question: dict[str, float] = {}
        for name in names if len(states) <= MOST_STATES else names[:FEW]:
            masses = self._masses_by_question(states, name)
            for question, law in masses.items():
                bits = -sum(mass * math.log2(mass) for mass in law.values() if mass > 0)
                if bits >= LEAST_BITS:
                    bits_by_question[question] = bits
        return bits_by_question

    def _masses_by_question(self, states: Mapping[State, float], name: str) -> dict[str, dict[str, float]]:
        """For each question of the variable the mass of each answer; none where some state has no answer."""
        part = self._world.part
        weights: dict[State, float] = {}
        examples: dict[State, State] = {}
        for state, weight in states.items():
            # states in which the variable has one value have the same answers
            key = part(state, name)
            weights[key] = weights.get(key, 0.0) + weight
            examples.setdefault(key, state)
        laws: dict[str, dict[str, float]] | None = None
        for key, weight in weights.items():
            answers = self._answers_of(name, key, examples[key])
            if answers is None:
                return {}
            laws = {question: {} for question in answers} if laws is None else laws
            for question in [question for question in laws if question not in answers]:
                del laws[question]
            for question, law in laws.items():
                law[answers[question]] = law.get(answers[question], 0.0) + weight
        return laws or {}

    def _answers_of(self, name: str, key: State, state: State) -> Answers | None:
        """The answers in a state; ``key`` stands for all those that have the same ones."""
        try:
            return self._answers[name, key]
        except KeyError:
            pass
        if len(self._answers) >= _KEPT:
            self._answers.clear()
        with self._world.aside():
            self._world.restore(state)
            namespace = self._world.namespace
            answers = dict(_answers(name, namespace[name], self._told)) if name in namespace else {}
            if "len" in namespace:  # the program has another one
                answers = {question: text for question, text in answers.items() if not question.startswith("len(")}
        self._answers[name, key] = answers or None
        return self._answers[name, key]


def _answers(name: str, value: object, shown: Callable[[object], str]) -> Iterator[tuple[str, str]]:
    """(question, answer) of all that may be asked of a variable's value."""
    for question, part in _parts(name, value):
        if values.stable(part):
            text = shown(part)
            if len(text) <= LONGEST_ANSWER:
                yield question, text


def _parts(name: str, value: object) -> Iterator[tuple[str, object]]:
    """(expression, what it gives) of a value and what can be read of it without code of the program."""
    yield name, value
    kind = type(value)
    if kind is int:
        yield f"{name} % 2", value % 2  # type: ignore[operator]
        yield f"{name} % 3", value % 3  # type: ignore[operator]
    elif _is_one(kind, _SEQUENCES):
        items: Sequence[object] = value  # type: ignore[assignment]
        yield f"len({name})", len(items)
        for index in range(min(len(items), MOST_ITEMS)):
            yield f"{name}[{index}]", items[index]
        if items:
            yield f"{name}[-1]", items[-1]
    elif _is_one(kind, (set, frozenset)):
        yield f"len({name})", len(value)  # type: ignore[arg-type]
    elif _is_one(kind, _TABLES):
        table: dict[object, object] = value  # type: ignore[assignment]
        yield f"len({name})", len(table)
        for key in [key for key in table if type(key) in (int, str)][:MOST_ITEMS]:
            yield f"{name}[{key!r}]", table[key]
    elif not issubclass(kind, (*NOT_STATE, enum.Enum)) and plain_access(kind):
        own = values.attributes(value)
        # ``__name`` would be mangled, or is Python's own
        names = [key for key in own if key.isidentifier() and not key.startswith("__") and not is_property(kind, key)]
        for key in sorted(names)[:MOST_ATTRIBUTES]:
            yield f"{name}.{key}", own[key]


def _is_one(kind: type, kinds: tuple[type, ...]) -> bool:
    """Return True if the type is one of these; ``in`` would ask a metaclass of the program's."""
    return any(kind is each for each in kinds)
