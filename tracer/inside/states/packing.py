"""States as numbers: the variables that hold plain data, each by the number of its value, and the rest by one number.

A support of thousands of states that differ in a few variables is thousands of snapshots, each of all variables. As
numbers they take no copies, and what a command does to some variables is the same difference for all states in which
these have the same values (``tables``): 24 maybe-swaps of six distinct items took 2.4 s by snapshots.

Each *group* of variables that some state has (``plain_data``) is a position of BITS bits in the number, and its values
are numbered from 1; 0 says that a state has no such group. All else (functions, objects, globals of modules, state
outside namespaces, and variables whose data these may hold too) is the *rest*, at the lowest position, with the order
of all names.

A state has one number, whatever way leads to it: the groups follow from the state itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.settings import FELT
from trace_mine.tracer.inside.states.footprints import drawing_functions, is_harmless
from trace_mine.tracer.inside.states.module_tables import LIBRARY, Tables
from trace_mine.tracer.inside.states.plain_data import Group, Parts, coded, groups_of, parts_of
from trace_mine.tracer.inside.states.records import CannotSnapshot
from trace_mine.tracer.inside.states.snapshots import Snapshots
from trace_mine.tracer.inside.states.start_names import Namespace
from trace_mine.tracer.inside.states.state_pickler import Saving

BITS = 24
REST = (1 << BITS) - 1
"""The bits of the rest's number."""


class Full(Exception):
    """A position has more values than it has numbers, or there are no more positions: go on with snapshots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """The rest of states.

    Attributes:
        saved: its variables, globals of modules and state outside namespaces, as ``Snapshots`` pickles them.
        order: all names of the namespace, in order.
        harmless: names of functions and modules that commands of a table may use.
        others: the further names whose values are in ``saved``.
        is_seeded: state outside the namespace is not that of the start: the program has seeded a generator, a declared
            input or variable is decided, or the standard library has other settings.
    """

    saved: bytes
    order: tuple[str, ...]
    harmless: Mapping[str, object]
    others: frozenset[str]
    is_seeded: bool


class Packing:
    """Numbers for states of one world.

    Attributes:
        num_positions: of groups, so far: masks change with it.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._shifts: dict[Group, int] = {}
        self._groups: list[Group] = []
        self._numbers: list[dict[object, int]] = []
        self._values: list[list[Callable[[], Sequence[object]]]] = []
        self._rests: list[Rest] = []
        self._rest_numbers: dict[tuple[bytes, tuple[str, ...]], int] = {}
        self._packed: dict[bytes, int] = {}
        self._unpacked: dict[int, bytes] = {}

    @property
    def num_positions(self) -> int:
        return len(self._groups)

    def mask(self, names: frozenset[str]) -> int:
        """The bits of the rest and of all groups that have one of the names."""
        mask = REST
        for index, group in enumerate(self._groups):
            if not names.isdisjoint(group):
                mask |= REST << BITS * (index + 1)
        return mask

    def rest(self, state: int) -> Rest:
        return self._rests[state & REST]

    def values(self, state: int) -> Iterator[tuple[str, object]]:
        """The variables of a state's groups, with copies of their values."""
        bits = state >> BITS
        index = 0
        while bits:
            number = bits & REST
            if number:
                yield from zip(self._groups[index], self._values[index][number - 1](), strict=True)
            bits >>= BITS
            index += 1

    # from a namespace to a number

    def pack_values(self, variables: Namespace) -> int:
        """The bits of variables that hold plain data.

        Raises:
            CannotSnapshot: one does not.
            Full: there are too many values.
        """
        parts: dict[str, Parts] = {}
        for name, value in variables.items():
            made_of = self.parts(value)
            if made_of is None:
                raise CannotSnapshot(f"{name} holds no plain data")
            parts[name] = made_of
        return self._bits(variables, parts)

    def parts(self, value: object) -> Parts | None:
        """The parts of a variable's data; None where it isn't plain."""
        return parts_of(value, self._snapshots.constants)

    def _bits(self, variables: Namespace, parts: Mapping[str, Parts]) -> int:
        bits = 0
        for group in groups_of(parts):
            try:
                key, value = coded(tuple(variables[name] for name in group), [parts[name] for name in group])
            except (ValueError, RecursionError, pickle.PicklingError) as error:  # too deep, for marshal or for pickle
                raise CannotSnapshot(f"{type(error).__name__}: {error}"[:200]) from None
            shift = self._shifts.get(group)
            if shift is None:
                shift = self._shifts[group] = BITS * (len(self._groups) + 1)
                self._groups.append(group)
                self._numbers.append({})
                self._values.append([])
            index = shift // BITS - 1
            numbers = self._numbers[index]
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(numbers) + 1
                if number > REST:
                    raise Full
                self._values[index].append(value)
            bits |= number << shift
        return bits

    def pack(self, saved: bytes) -> int:
        """The number of a snapshot. Called aside, as it restores classes and functions in place.

        Raises:
            Full: there are too many states.
        """
        state = self._packed.get(saved)
        if state is None:
            variables, module_globals, ambient = self._snapshots.load(saved)
            state = self._packed[saved] = self._pack(variables, module_globals, ambient)
            self._unpacked.setdefault(state, saved)
        return state

    def known(self, saved: bytes) -> int | None:
        """The number of a snapshot that was packed before."""
        return self._packed.get(saved)

    def _pack(self, variables: Namespace, module_globals: Tables, ambient: Ambient) -> int:
        variables = {name: value for name, value in variables.items() if name != "__builtins__"}
        parts = {name: made_of for name, value in variables.items() if (made_of := self.parts(value)) is not None}
        while True:
            others = {name: value for name, value in variables.items() if name not in parts}
            saving = self._snapshots.saving()
            saving.dump(self._snapshots.compact(others, module_globals, ambient))
            shared = [name for name, made_of in parts.items() if not made_of.ids.isdisjoint(saving.ids)]
            if not shared:
                break
            for name in shared:
                del parts[name]
        has_library_changes = bool(module_globals.get(LIBRARY))
        rest = self._rest_number(others, saving, tuple(variables), ambient, has_library_changes)
        return rest | self._bits(variables, parts)

    def _rest_number(
        self, others: Namespace, saving: Saving, order: tuple[str, ...], ambient: Ambient, has_library_changes: bool
    ) -> int:
        key = (saving.bytes(), order)
        number = self._rest_numbers.get(key)
        if number is None:
            functions = drawing_functions()
            harmless = {name: value for name, value in others.items() if is_harmless(value, functions)}
            is_seeded = ambient.generator is not None or ambient.inputs_read > 0 or bool(ambient.environ)
            is_seeded = is_seeded or not FELT.isdisjoint(ambient.settings) or has_library_changes
            number = self._new_rest(
                Rest(
                    saved=key[0],
                    order=order,
                    harmless=harmless,
                    others=frozenset(others.keys() - harmless.keys()),
                    is_seeded=is_seeded or ambient.numpy is not None,
                )
            )
        return number

    def _new_rest(self, rest: Rest) -> int:
        number = len(self._rests)
        if number > REST:
            raise Full
        self._rests.append(rest)
        self._rest_numbers[rest.saved, rest.order] = number
        return number

    def reordered(self, number: int, order: tuple[str, ...]) -> int:
        """The number of a rest with other names."""
        rest = self._rests[number]
        known = self._rest_numbers.get((rest.saved, order))
        if known is not None:
            return known
        return self._new_rest(
            Rest(saved=rest.saved, order=order, harmless=rest.harmless, others=rest.others, is_seeded=rest.is_seeded)
        )

    # and back

    def restore(self, state: int) -> None:
        """Make the namespace that of the state."""
        rest = self.rest(state)
        variables, module_globals, ambient = self._snapshots.load(rest.saved)
        variables.update(self.values(state))
        self._snapshots.install({name: variables[name] for name in rest.order}, module_globals, ambient)

    def unpack(self, state: int) -> bytes:
        """The snapshot of a state. Called aside.

        Raises:
            CannotSnapshot: it is too large, of variables each of which is not.
        """
        saved = self._unpacked.get(state)
        if saved is None:
            self.restore(state)
            saved = self._unpacked[state] = self._snapshots.save()
        return saved
