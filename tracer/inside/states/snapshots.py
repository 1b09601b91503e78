"""Snapshots: a namespace as bytes, from which it can be restored. A support's states are snapshots.

One dictionary is the namespace of every state: it is cleared and refilled, because functions keep the dictionary that
they were defined in; with a new one they wrote to a stale ``__globals__``. Functions and classes of the session stay
the objects they are, and all that can change in them (attributes, defaults, closure cells, class attributes) is part of
the snapshot. Without it beliefs were off by 0.5, and called exact. A snapshot has three parts:

* the variables of the namespace that aren't bound as they were at the start (``start_names``);
* the same of the modules that it knows (``module_tables``);
* the state outside namespaces (``draws.ambient``).

They are pickled by rules for each kind of object (``state_pickler``). Two states that are equal have equal bytes; so
states are compared, hashed and merged as bytes.

Refused, with ``CannotSnapshot``, because restoring would lose something in silence: generators, files and all else that
pickle refuses or can't restore; objects of a class with pickling hooks of its own and with a built-in type among its
bases; anything past ``LARGEST`` bytes. Not covered: state held by C extensions, by modules outside the repository, and
by objects and caches of its modules that can't be saved.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import types
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.states.cache_states import CacheStates
from trace_mine.tracer.inside.states.first_states import FirstStates, States
from trace_mine.tracer.inside.states.held_objects import MOST_BYTES
from trace_mine.tracer.inside.states.kept_objects import KeptObjects
from trace_mine.tracer.inside.states.module_tables import ModuleTables, Tables
from trace_mine.tracer.inside.states.own_code import OwnCode
from trace_mine.tracer.inside.states.pickling_rules import Known
from trace_mine.tracer.inside.states.records import OURS, CannotSnapshot
from trace_mine.tracer.inside.states.start_names import Namespace, StartNames
from trace_mine.tracer.inside.states.state_pickler import Saving, StatePickler, StateUnpickler, refusing

LARGEST = 4 << 20
"""Bytes of a snapshot; 4,096 states of a support are kept at a time, in the memory of one run."""

Shared = tuple[Tables, States]
"""The values that states restore outside of the namespace: tables of modules, and contents of objects that stay."""
_KEPT = 20_000


class Snapshots:
    """Saves and restores a namespace, in place.

    Args:
        namespace: that of the session; the same dictionary for good.
        is_own: tells by a file's path if it is the repository's.
        texts: of the program and all that it can call, where they are known: see ``cache_states``.

    Attributes:
        constants: objects that a module of the repository may compare by identity, or holds, by their ``id``.
    """

    def __init__(self, namespace: Namespace, is_own: Callable[[str], bool], texts: Iterable[str] | None = None) -> None:
        self.namespace = namespace
        self._objects = KeptObjects()
        self._code = OwnCode(namespace, is_own, self._objects)
        caches = CacheStates(texts)
        self._firsts = FirstStates(self._objects, caches)
        self._known = Known(self._objects, self._code, self._firsts, caches, self._can_save)
        self._modules = ModuleTables(namespace, self._code, self._objects, caches, self._can_save)
        self._start = StartNames({}, namespace, self._code)
        self._same: dict[bytes, bytes] = {}
        """By a digest of a namespace's first bytes, those of the state: most runs end in states that are known."""

    @property
    def constants(self) -> Mapping[int, object]:
        return self._code.constants

    def save(self) -> bytes:
        """Save the namespace; equal states give equal bytes. The namespace may have copies of its objects then.

        Raises:
            CannotSnapshot: see the module's docstring.
        """
        first = self._dump()
        key = hashlib.blake2b(first, digest_size=20).digest()
        known = self._same.get(key)
        if known is not None:
            return known
        # Pickle writes a text that it has met before as a reference, if it is the same object, and again if it is an
        # equal one: the bytes would tell how a state was reached. A state that was restored from bytes has shared
        # objects where the bytes had, however it was reached.
        try:
            restored = self.load(first)
        except OURS:
            raise
        except BaseException as error:  # constructors of the program's classes, of which pickle calls some
            raise CannotSnapshot(f"it can't be restored: {type(error).__name__}: {error}"[:200]) from None
        self.install(*restored)
        saved = self._dump()
        if len(self._same) >= _KEPT:
            self._same.clear()
        self._same[key] = saved
        return saved

    def restore(self, saved: bytes) -> None:
        """Make the namespace that of a saved state."""
        self.install(*self.load(saved))

    def _dump(self) -> bytes:
        variables = {name: value for name, value in self.namespace.items() if name != "__builtins__"}
        target = io.BytesIO()
        tables = self._modules.of(variables)
        if self._code.is_first:
            self._start = StartNames(variables, self.namespace, self._code)
            self._code.add_first_functions([each for each in variables.values() if type(each) is types.FunctionType])
        try:
            with refusing():
                StatePickler(target, self._known).dump(self.compact(variables, tables, Ambient.now()))
        finally:
            self._code.is_first = False
        # After the fact: a file that counts while pickle writes would be Python code at each write.
        if target.tell() > LARGEST:
            raise CannotSnapshot(f"{target.tell()} bytes")
        return target.getvalue()

    def compact(self, variables: Namespace, tables: Tables, ambient: Ambient) -> object:
        """The pickled part of a state: all but what is bound as it was at the start, and can't change in itself."""
        return self._start.compacted(variables), self._modules.compacted(tables), tuple(ambient)

    def load(self, saved: bytes) -> tuple[Namespace, Tables, Ambient]:
        """Variables, tables of modules and state outside namespaces; functions and classes are changed in place."""
        (changed, gone), tables, ambient = StateUnpickler(saved, self._known).load()
        return self._start.expanded(changed, gone), self._modules.expanded(tables), Ambient(*ambient)

    def install(self, variables: Namespace, tables: Tables, ambient: Ambient) -> None:
        """Make the namespace, the modules and the state outside namespaces these."""
        ambient.put_back()
        self.namespace.clear()
        self.namespace.update(variables)
        self.namespace["__builtins__"] = builtins  # a module, which no snapshot should have to name
        self._modules.put(tables)

    def saving(self) -> Saving:
        """An object that pickles parts of a namespace, and notes the objects in them that can change."""
        return Saving(self._known)

    def _can_save(self, contents: object) -> bool:
        saving = self.saving()
        try:
            saving.dump(contents)
        except CannotSnapshot:
            return False
        return len(saving.bytes()) <= MOST_BYTES

    # what other namespaces of the process have, too

    def shared(self) -> Shared:
        """The values that states restore outside of the namespace, as they are now, for ``put_back``.

        A restored state has copies. The session, which runs in a namespace of its own, may hold the objects themselves,
        and a module that has a copy of a list would from then on change that one.
        """
        return self._modules.now(), self._firsts.now()

    def put_back(self, shared: Shared) -> None:
        """Undo what was restored outside of the namespace since ``shared`` was asked for."""
        tables, states = shared
        self._modules.put_back(tables)
        self._firsts.put_back(states)

    def printing_to(self, output: object, errors: object) -> AbstractContextManager[None]:
        """Around states whose variables that hold ``sys.stdout`` or ``sys.stderr`` are to hold these streams."""
        return self._objects.printing_to(output, errors)

    def learned(self) -> object:
        """A value that changes when this process learns of an object or module that later snapshots refer to.

        A fork in which it changed is no use: its snapshots name objects that other processes don't have.
        """
        return len(self._objects.by_number), self._modules.names
