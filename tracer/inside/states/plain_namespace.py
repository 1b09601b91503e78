"""The namespace in which commands are learnt for tables: variables with plain data, and harmless functions."""

from __future__ import annotations

import builtins
import contextlib

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.states.packing import REST, Packing
from trace_mine.tracer.inside.states.records import CannotSnapshot
from trace_mine.tracer.inside.states.start_names import Namespace


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
        """Do nothing: plain data is shared with no other namespace."""
