"""The session's variables: the names in use, and the value of each tracked variable after the last command."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import NOT_STATE


class _Missing:
    """The type of ``missing``."""


missing = _Missing()
"""The value of a name that is not bound. An object of its own, since a variable may well hold None."""


class Variables:
    """Names over the namespace that commands are executed in.

    The namespace binds what the session's text binds, and nothing else: a name comes by a command, and goes by one.

    A name is *tracked* from the command on that binds it, until a command has unbound it; it is *reserved* where a
    command may use it later although nothing is bound to it now; it is *temporary* if it is not needed after the
    statement that made it. A temporary name whose value is plain may be *left over*: it stays bound until another
    temporary variable gets the name, or the call ends in whose frame it was made.

    Attributes:
        namespace: the one dictionary of globals in which all commands run.
        temporaries: the temporary names, the latest last.
    """

    def __init__(self, namespace: dict[str, object]) -> None:
        self.namespace = namespace
        self._reserved: set[str] = set()
        self._rebound: set[str] = set()
        self.temporaries: list[str] = []
        self._ever: set[str] = set()
        """Names that a command bound, or was to bind, at any time."""
        self._given: set[str] = set()
        """Names that ``fresh`` gave, bound or not."""
        self._left_over: set[str] = set()
        self._tracked: dict[str, bytes | str | None] = {}
        """Name to the snapshot of its value; None while it is not bound, or holds a function, a class or a module."""
        self._others = {name for name in namespace if type(name) is str}
        """Names that were bound before the first command, and that no command is known to bind."""
        self._num_others = len(namespace)
        """Names in the namespace that are not tracked: one more than that was bound by code that names it nowhere."""

    # names

    def reserve(self, names: Iterable[str]) -> None:
        """Keep these names for the program: no other variable gets them."""
        names = set(names)
        self._reserved |= names
        self._ever |= names

    def is_reserved(self, name: str) -> bool:
        """Return True if the name is kept for a later command."""
        return name in self._reserved

    def fresh(self, stem: str) -> str:
        """Return a name that nothing in the session needs: the first of ``stem_1``, ``stem_2`` and so on.

        It is not bound yet, and not given again before it is freed or left over.
        """
        number = 1
        while (name := f"{stem}_{number}") not in self._left_over and self._is_used(name):
            number += 1
        self._left_over.discard(name)
        self._given.add(name)
        self._ever.add(name)
        return name

    def claim(self, name: str, avoid: Iterable[str] = ()) -> str:
        """Return a session name for a local, reserved from now on.

        It is the local's own name where nothing else uses that, else the name with a number: the locals ``n`` of three
        nested calls are ``n``, ``n_1`` and ``n_2``. Names of ``avoid`` are not given, but for the local's own.
        """
        avoided = set(avoid) - {name}
        candidate, number = name, 0
        while self._is_used(candidate) or candidate in avoided:
            number += 1
            candidate = f"{name}_{number}"
        self._reserved.add(candidate)
        self._ever.add(candidate)
        return candidate

    def claim_new(self, name: str, avoid: Iterable[str]) -> str:
        """Return a name, reserved from now on, that no command has bound so far; none of ``avoid``."""
        avoided = set(avoid)
        candidate, number = name, 0
        while self._is_used(candidate) or candidate in avoided or candidate in self._ever:
            number += 1
            candidate = f"{name}_{number}"
        self.reserve([candidate])
        return candidate

    def bind_before(self, name: str, value: object) -> None:
        """Bind a new name as if it had been bound before the first command."""
        self.namespace[name] = value
        self._others.add(name)
        self._num_others += 1

    def note_rebound(self, names: Iterable[str]) -> None:
        """Note that code which a command calls may rebind these names: ``global`` of a function declares them."""
        names = set(names)
        self._rebound |= names
        held = sorted(names & self._others)  # by the set-up: what it holds now is no change
        self.track(held)
        self._compare(held, [], {})

    def may_be_rebound(self, name: str) -> bool:
        """Return True if a command that does not name this variable may rebind it, by what the program's text tells."""
        return name in self._rebound

    def _is_used(self, name: str) -> bool:
        """Return True if a new variable of this name would change the meaning of another command."""
        return (
            name in self.namespace
            or name in self._tracked
            or name in self._reserved
            or name in self._given
            or hasattr(builtins, name)  # a variable of that name would hide the built-in from later commands
        )

    def temporary(self, stem: str) -> str:
        """Return a fresh name that is not needed after the statement being run."""
        name = self.fresh(stem)
        self.temporaries.append(name)
        return name

    def make_temporary(self, name: str) -> None:
        """Make a variable temporary: it is not needed after the statement being run."""
        self.temporaries.append(name)

    def is_temporary(self, name: str) -> bool:
        """Return True if the name is not needed after a statement that runs now."""
        return name in self.temporaries

    def take_temporaries(self, start: int) -> list[str]:
        """Return the temporary names from this position on, once each, and forget that they are temporary."""
        names = self.temporaries[start:]
        del self.temporaries[start:]
        return list(dict.fromkeys(names))

    def is_plain(self, name: str) -> bool:
        """Return True if the variable held plain data after the last command: nothing tells how long that lives.

        An object's end shows: its ``__del__`` runs, a weak reference dies, a file is written.
        """
        return type(self._tracked.get(name)) is bytes

    def leave_over(self, name: str) -> bool:
        """Leave a name bound that ``fresh`` gave, and let ``fresh`` give it again; return False for any other name.

        Not one of the program's: a function that reads its variable before it binds it would find the old value.
        """
        if name not in self._given or not self.is_plain(name):
            return False
        self._left_over.add(name)
        return True

    def is_left_over(self, name: str) -> bool:
        """Return True if the name is still bound to a value that nothing needs."""
        return name in self._left_over

    def free(self, name: str) -> None:
        """Let other variables have a name that a command has unbound, or that none has bound."""
        self._reserved.discard(name)
        self._given.discard(name)
        self._left_over.discard(name)
        self._tracked.pop(name, None)

    def peek(self, node: ast.expr) -> object:
        """Return the value of a name or constant, without a command and without running code of the snippet.

        Returns:
            ``missing`` for an unbound name and for any other expression.
        """
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.namespace:
                return self.namespace[node.id]
            # CPython puts the module into ``__main__`` and the module's dictionary everywhere else
            built_in = self.namespace["__builtins__"]
            table = built_in if isinstance(built_in, dict) else vars(built_in)
            return table.get(node.id, missing)
        return missing

    # values

    def track(self, names: Iterable[str]) -> None:
        """Note that a command may have bound these names: their values are compared after each command from now on."""
        for name in names:
            if name not in self._tracked:
                self._ever.add(name)
                self._tracked[name] = None
                if name in self._others:
                    self._others.discard(name)
                    self._num_others -= 1

    def has_value(self, name: str) -> bool:
        """Return True if the tracked variable held a value of the program's state after the last command."""
        return self._tracked.get(name) is not None

    def held(self, name: str) -> str | None:
        """The value of a tracked variable after the last command, as text; None where it held no state."""
        shot = self._tracked.get(name)
        return None if shot is None else values.text(shot)

    def observe(self) -> tuple[list[str], dict[str, str | None]]:
        """Compare every tracked variable with its value after the last command.

        By value, not by name: a command that changes a list is seen to change each variable that holds the list. This
        is where a long session's time goes, as it grows with the variables; recording only what a statement's text
        binds would miss such aliases. Names that no text spells (``exec``, ``from m import *``) are found by their
        number.

        Returns:
            The names whose value changed, and their new values as text (None where there is no value any more).
        """
        wrote: list[str] = []
        changes: dict[str, str | None] = {}
        num_bound = self._compare(self._tracked, wrote, changes)
        if num_bound + self._num_others != len(self.namespace):
            known, others = self._tracked, self._others
            self._others = {name for name in others if name in self.namespace}
            # a program may put keys there that are no texts, whose comparison is its code
            new = [n for n in self.namespace if type(n) is str and n not in known and n not in others]
            # the interpreter's own note that it showed a warning of this module: no part of the program's state
            new = [name for name in new if name != "__warningregistry__"]
            self.track(new)
            num_bound += self._compare(new, wrote, changes)
            self._num_others = len(self.namespace) - num_bound
        return wrote, changes

    def _compare(self, names: Iterable[str], wrote: list[str], changes: dict[str, str | None]) -> int:
        """Add what changed of these variables to ``wrote`` and ``changes``; return how many of them are bound."""
        namespace, tracked = self.namespace, self._tracked
        num_bound = 0
        for name in names:
            after: bytes | str | None = None
            if name in namespace:
                num_bound += 1
                value = namespace[name]
                # ``type(value)``, since ``isinstance`` would ask the snippet's ``__class__``
                if not issubclass(type(value), NOT_STATE):
                    after = values.snapshot(value)
            if after != tracked[name]:
                wrote.append(name)
                changes[name] = None if after is None else values.text(after)
                tracked[name] = after
        return num_bound

    def bind(self, name: str, value: object) -> str | None:
        """Bind a name to what a command binds it to whose text was changed after it ran; return the value as text."""
        self.namespace[name] = value
        self.track([name])
        shot = self._tracked[name] = None if issubclass(type(value), NOT_STATE) else values.snapshot(value)
        return None if shot is None else values.text(shot)
