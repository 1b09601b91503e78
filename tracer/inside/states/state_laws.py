"""Laws of a session's variables: the joint law of their values after a command and of the text that it shows.

A law is found where a belief is: it stands for the states after the command, given all text *before* its output. So its
sum over states is the belief, and its part of one text, divided by its mass, is the law of the states once that text is
read. For a command that only asks (``print(x)``) the states after it are those before it.

A state is told by the *variables that vary*: those whose values, as the column ``states`` writes them, are not the same
in all states. What else may differ (a closure's cell, an attribute of a function, a module's list) is summed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trace_mine.tracer.inside.draws.reals import Variable
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import NOT_STATE
from trace_mine.tracer.inside.states.records import State
from trace_mine.tracer.inside.states.world import World

MOST_STATES = 64
"""Values of the variables that vary, in one law."""
MOST_PAIRS = 1_024
"""Pairs of a state and a text that are looked at to make one law: states may differ in what no variable shows."""
MOST_CHARACTERS = 20_000
"""Characters of a law's states."""
MOST_OF_SESSION = 500_000
"""Characters of all laws of a session together; a row may have eight million in all."""
_KEPT = 4_096
_UNDRAWN = ("LazyReal(", "LazyReading(")
"""How the text of a number that is not drawn begins."""

_EMPTY: tuple[object, ...] = (
    *(iter(()), iter([]), iter(""), iter("\u00e9"), iter(b""), iter(range(0)), iter(set()), reversed([]), reversed({})),
    *(
        iter({}),
        iter({}.items()),
        iter({}.values()),
        enumerate(()),
        zip(),
        map(int, ()),
        filter(None, ()),
        (0 for _ in ()),
    ),
)
_ITERATORS = tuple(map(type, _EMPTY))

Absence = Literal["", "many_states", "long", "undrawn", "sampled"]
"""Why there is no law: more states, or more characters of them, than are kept; a number that is not drawn yet, of which
a variable has infinitely many values; draws that are sampled, so that states are no more than examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLaw:
    """A joint law.

    Attributes:
        variables: the names of those that vary, sorted.
        states: of each pair the values of ``variables``, as texts; None where one isn't bound, or holds a function, a
            class, a module or an iterator.
        texts: of each pair the text that the command shows.
        probabilities: of the pairs; they sum to 1.
        absent: why the others are empty; "" where they are not.
    """

    variables: tuple[str, ...] = ()
    states: tuple[tuple[str | None, ...], ...] = ()
    texts: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    absent: Absence = ""


class JointMass:
    """The mass of each (state after a command, text), as ``Support.push`` meets them.

    Attributes:
        pairs: None where there are more than MOST_PAIRS.
    """

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: dict[tuple[State, str], float] | None = {}

    def add(self, state: State, text: str, mass: float) -> None:
        """Add to the mass of a pair."""
        pairs = self.pairs
        if pairs is not None:
            pairs[state, text] = pairs.get((state, text), 0.0) + mass
            if len(pairs) > MOST_PAIRS:
                self.pairs = None


class StateLaws:
    """Makes laws of the masses that the states of one world have along a session."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = MOST_OF_SESSION
        self._texts: dict[State, Mapping[str, str] | None] = {}

    def law(self, mass: JointMass) -> StateLaw:
        """The joint law of variables and texts."""
        if mass.pairs is None:
            return StateLaw(absent="many_states")
        tables: dict[State, Mapping[str, str]] = {}
        distinct: set[frozenset[tuple[str, str]]] = set()
        for state, _ in mass.pairs:
            table = self._table(state)
            if table is None:
                return StateLaw(absent="undrawn")
            if state not in tables:
                tables[state] = table
                distinct.add(frozenset(table.items()))
                if len(distinct) > MOST_STATES:
                    return StateLaw(absent="many_states")
        first = next(iter(tables.values()))
        names = sorted({name for table in tables.values() for name, _ in table.items() ^ first.items()})
        values_of = {state: tuple(table.get(name) for name in names) for state, table in tables.items()}
        total = sum(mass.pairs.values())
        joint: dict[tuple[tuple[str | None, ...], str], float] = {}
        for (state, text), weight in mass.pairs.items():
            key = values_of[state], text
            joint[key] = joint.get(key, 0.0) + weight
        # sorted, as the outcomes of a belief are: the order in which paths meet depends on the budget
        num_characters = sum(
            len(name) + len(value or "") for state, _ in joint for name, value in zip(names, state, strict=True)
        )
        if num_characters > min(self._left, MOST_CHARACTERS):
            return StateLaw(absent="long")
        self._left -= num_characters
        pairs = sorted(joint, key=lambda pair: ([(value is None, value or "") for value in pair[0]], pair[1]))
        return StateLaw(
            variables=tuple(names),
            states=tuple(state for state, _ in pairs),
            texts=tuple(text for _, text in pairs),
            probabilities=tuple(joint[pair] / total for pair in pairs),
        )

    def _table(self, state: State) -> Mapping[str, str] | None:
        """The values of a state's variables, as text; None where a number in them is not drawn."""
        try:
            return self._texts[state]
        except KeyError:
            pass
        world = self._world
        with world.aside():
            before = Variable.num_restored
            world.restore(state)
            table: dict[str, str] | None = None
            if Variable.num_restored == before:
                table = {
                    name: values.text(values.snapshot(value))
                    for name, value in world.namespace.items()
                    if type(name) is str and not name.startswith("__") and _is_told(type(value))
                }
                # a state that is run again, and not brought back, has the draws that are not drawn as they are made
                if isinstance(state, tuple) and any(each in text for each in _UNDRAWN for text in table.values()):
                    table = None
        if len(self._texts) >= _KEPT:
            self._texts.clear()
        self._texts[state] = table
        return table


def _is_told(kind: type) -> bool:
    """Return True if a value of this type has a text that says what it holds.

    Of the interpreter's iterators the type alone would be told, and that of a dictionary is another one after a
    snapshot.
    """
    return not issubclass(kind, NOT_STATE) and not any(kind is each for each in _ITERATORS)
