"""States as numbers: the variables that hold plain data, each by the number of its value, and the rest by one number.

A support of thousands of states that differ in a few variables is thousands of snapshots, each of all variables. As
numbers they take no copies, and what a command does to some variables is the same difference for all states in which
these have the same values (``tables``): 24 maybe-swaps of six distinct items took 2.4 s by snapshots.

A variable holds *plain data* if all of it is of the exact types below. Variables that share a list, a dictionary or a
set (or one of which iterates over another's) are one *group*. Each group that some state has is a position of BITS bits
in the number, and its values are numbered from 1; 0 says that a state has no such group. All else (functions, objects,
globals of modules, state outside namespaces, and variables whose data these may hold too) is the *rest*, at the lowest
position, with the order of all names.

A state has one number, whatever way leads to it: the groups follow from the state itself.

Over 400 lines because what makes numbers of variables and what makes variables of numbers are read side by side.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import io
import marshal
import pickle
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.settings import FELT
from trace_mine.tracer.inside.states.footprints import drawing_functions, is_harmless
from trace_mine.tracer.inside.states.module_tables import LIBRARY, Tables
from trace_mine.tracer.inside.states.records import CannotSnapshot
from trace_mine.tracer.inside.states.snapshots import Snapshots
from trace_mine.tracer.inside.states.start_names import Namespace
from trace_mine.tracer.inside.states.state_pickler import Saving

BITS = 24
REST = (1 << BITS) - 1
"""The bits of the rest's number."""
MOST_PARTS = 2_000
"""Objects in a variable's data; past it the variable belongs to the rest."""

_ATOMS = (int, str, bool, types.NoneType, bytes, types.EllipsisType)
_SPELT = (float, complex, range)
"""Equal ones of these may be shown as different texts: 0.0 and -0.0."""
_FROZEN = (tuple, frozenset)
_LISTS = (list, set, collections.deque)
_DICTS = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)
_ITERATORS = tuple(
    map(
        type,
        (iter(()), iter([]), iter(""), iter("\u00e9"), iter(range(0)), iter(b""), reversed([]), enumerate(()), zip()),
    )
)
_FACTORIES = (None, int, float, str, list, dict, set, tuple, bool)

Group = tuple[str, ...]


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
        return _parts(value, self._snapshots.constants)

    def _bits(self, variables: Namespace, parts: Mapping[str, Parts]) -> int:
        bits = 0
        for group in _groups(parts):
            try:
                key, value = _coded(tuple(variables[name] for name in group), [parts[name] for name in group])
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


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a variable's plain data.

    Attributes:
        ids: of the objects in it that can change.
        is_atom: it is one object that can't.
        is_tree: it is made of atoms, tuples, lists and dictionaries, none of which stands in two places.
    """

    ids: frozenset[int]
    is_atom: bool
    is_tree: bool


def _parts(value: object, constants: Mapping[int, object]) -> Parts | None:
    kind = type(value)
    if kind in _ATOMS or kind in _SPELT:
        # a text that a module compares by identity stays the object that it is
        return None if id(value) in constants else _ATOM
    ids: set[int] = set()
    is_tree = True
    num_parts = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        num_parts += 1
        kind = type(value)
        if id(value) in constants or num_parts > MOST_PARTS:
            return None
        if kind in _ATOMS or kind in _SPELT:
            is_tree = is_tree and kind is not range
            continue
        if kind in _FROZEN:
            is_tree = is_tree and kind is tuple
            waiting.extend(value)  # type: ignore[arg-type]  # a tuple's parts
            continue
        if id(value) in ids:
            is_tree = False
            continue
        ids.add(id(value))
        if kind in _LISTS:
            is_tree = is_tree and kind is list
            waiting.extend(value)  # type: ignore[arg-type]
        elif kind in _DICTS:
            is_tree = is_tree and kind is dict
            if kind is collections.defaultdict and value.default_factory not in _FACTORIES:  # type: ignore[attr-defined]
                return None
            waiting.extend(value.keys())  # type: ignore[attr-defined]
            waiting.extend(value.values())  # type: ignore[attr-defined]
        elif kind in _ITERATORS:
            is_tree = False
            waiting.extend(value.__reduce__()[1])
        else:
            return None
    return Parts(frozenset(ids), False, is_tree)


_ATOM = Parts(frozenset(), True, True)


def _groups(parts: Mapping[str, Parts]) -> Iterator[Group]:
    """The groups of variables: those that share an object that can change are in one."""
    owners: dict[int, str] = {}
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while leaders.get(name, name) != name:
            name = leaders[name]
        return name

    for name, made_of in parts.items():
        for each in made_of.ids:
            other = owners.setdefault(each, name)
            if other != name:
                leaders[leader(name)] = leader(other)
    members: dict[str, list[str]] = {}
    for name in parts:
        members.setdefault(leader(name), []).append(name)
    # by name, as the order in which the variables were bound is the rest's
    return (tuple(sorted(group)) for group in members.values())


def _coded(values: tuple[object, ...], parts: Sequence[Parts]) -> tuple[object, Callable[[], Sequence[object]]]:
    """A key that equal values have in common, and what makes copies of them."""
    if len(values) == 1 and parts[0].is_atom:
        value = values[0]
        # 1, True and 1.0 are equal, 0.0 and -0.0, too
        key = (type(value), repr(value) if type(value) in _SPELT else value)
        return key, lambda: values
    if all(each.is_tree for each in parts) and len(values) == 1:
        plain: Any = values
        data = marshal.dumps(plain, 2)  # texts that are one object or two give the same bytes, unlike pickle's
        return data, lambda: marshal.loads(data)
    target = io.BytesIO()
    pickle.Pickler(target, 5).dump(values)
    pickled = target.getvalue()
    return pickled, lambda: pickle.loads(pickled)


class PlainNamespace:
    """In the place of ``Snapshots`` for a namespace of plain data: states are the bits of its groups and their rest."""

    def __init__(self, packing: Packing, namespace: Namespace) -> None:
        self._packing = packing
        self._namespace = namespace
        self.used: frozenset[str] = frozenset()
        self._rest = 0
        self._fixed: Namespace = {}

    def printing_to(self, output: object, errors: object) -> contextlib.nullcontext[None]:
        """Around states, as ``Snapshots`` has it: no plain data holds an output."""
        return contextlib.nullcontext()

    def restore(self, state: int) -> None:
        packing, namespace = self._packing, self._namespace
        rest = packing.rest(state)
        self._rest = state & REST
        self._fixed = {name: rest.harmless[name] for name in self.used if name in rest.harmless}
        values = dict(packing.values(state))
        namespace.clear()
        namespace.update(self._fixed)
        if len(values) > 1:
            values = {name: values[name] for name in rest.order if name in values}
        namespace.update(values)
        namespace["__builtins__"] = builtins
        self._before = [*values]

    def save(self) -> int:
        """The state, as a number.

        Raises:
            CannotSnapshot: a variable holds no plain data, or state outside the namespace changed.
            Full: there are too many values.
        """
        ambient = Ambient.now()
        if ambient.generator is not None or ambient.inputs_read or ambient.environ:
            raise CannotSnapshot("a generator was seeded")
        variables = {}
        for name, value in self._namespace.items():
            if name in self._fixed:
                if value is not self._fixed[name]:
                    raise CannotSnapshot(f"{name} is bound to something else")
            elif name != "__builtins__":
                variables[name] = value
        if self._fixed.keys() - self._namespace.keys():
            raise CannotSnapshot("a function is gone")
        rest = self._rest
        if [*variables] != self._before:
            gone = {name for name in self._before if name not in variables}
            order = tuple(name for name in self._packing.rest(rest).order if name not in gone)
            new = tuple(name for name in variables if name not in self._before)
            rest = self._packing.reordered(rest, order + new)
        return rest | self._packing.pack_values(variables)

    def learned(self) -> object:
        return None

    def shared(self) -> None:
        return None

    def put_back(self, shared: object) -> None:
        pass
