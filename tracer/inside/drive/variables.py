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

    A name is *tracked* from the command on that binds it as a variable of the program, until it is forgotten; it is
    *reserved* where a command may use it later although nothing is bound to it now; it is *temporary* if it is unbound
    at the end of the statement that made it.

    Attributes:
        namespace: the one dictionary of globals in which all commands run.
        temporaries: the temporary names, the latest last.
    """

    def __init__(self, namespace: dict[str, object]) -> None:
        self.namespace = namespace
        self._reserved: set[str] = set()
        self._rebound: set[str] = set()
        self.temporaries: list[str] = []
        self._placeholders: set[str] = set()
        """Names that ``fresh`` bound to None and no command has bound since: in a replay they are not bound at all."""
        self._gone: list[str] = []
        """Variables forgotten since the last look: the next command's changes say that they are gone."""
        self._tracked: dict[str, bytes | str | None] = {}
        """Name to the snapshot of its value; None while it is not bound, or holds a function, a class or a module."""

    # names

    def reserve(self, names: Iterable[str]) -> None:
        """Keep these names for the program: no other variable gets them."""
        self._reserved.update(names)

    def is_reserved(self, name: str) -> bool:
        """Return True if the name is kept for a later command."""
        return name in self._reserved

    def fresh(self, stem: str) -> str:
        """Return a name that nothing in the session uses: the first of ``stem_1``, ``stem_2`` and so on.

        The name is bound to None at once, so that the next call does not give it again.
        """
        number = 1
        while self._is_used(name := f"{stem}_{number}"):
            number += 1
        if name not in self.namespace:
            self.namespace[name] = None
            self._placeholders.add(name)
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
        return candidate

    def note_rebound(self, names: Iterable[str]) -> None:
        """Note that code which a command calls may rebind these names: ``global`` of a function declares them."""
        self._rebound.update(names)

    def may_be_rebound(self, name: str) -> bool:
        """Return True if a command that does not name this variable may rebind it, by what the program's text tells."""
        return name in self._rebound

    def _is_used(self, name: str) -> bool:
        """Return True if a new variable of this name would change the meaning of another command."""
        return (
            name in self.namespace
            or name in self._tracked
            or name in self._reserved
            or hasattr(builtins, name)  # a variable of that name would hide the built-in from later commands
        )

    def temporary(self, stem: str) -> str:
        """Return a fresh name that is unbound when the statement being run is done."""
        name = self.fresh(stem)
        self.temporaries.append(name)
        return name

    def make_temporary(self, name: str) -> None:
        """Make a variable temporary: it is unbound when the statement being run is done."""
        self.temporaries.append(name)

    def is_temporary(self, name: str) -> bool:
        """Return True if the name is unbound when a statement that runs now is done."""
        return name in self.temporaries

    def unbind(self, name: str) -> None:
        """Unbind the name, without a command, and let other variables have it."""
        self.namespace.pop(name, None)
        self._reserved.discard(name)
        self._placeholders.discard(name)

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

    def track(self, names: Iterable[str], *, bound: bool = True) -> None:
        """Note that a command binds these names: their values are compared after each command from now on.

        ``bound``: False where the command raised, so that it may not have bound them.
        """
        for name in names:
            self._tracked.setdefault(name, None)
            if bound:
                self._placeholders.discard(name)

    def forget(self, name: str) -> None:
        """Stop tracking a variable; if it held a value, the next command's changes say that it is gone."""
        if self._tracked.pop(name, None) is not None:
            self._gone.append(name)

    def has_value(self, name: str) -> bool:
        """Return True if the tracked variable held a value of the program's state after the last command."""
        return self._tracked.get(name) is not None

    def observe(self) -> tuple[list[str], dict[str, str | None]]:
        """Compare every tracked variable with its value after the last command.

        By value, not by name: a command that changes a list is seen to change each variable that holds the list. This
        is where a long session's time goes, as it grows with the variables; recording only what a statement's text
        binds would miss such aliases.

        Returns:
            The names whose value changed, and the new values of these and of variables forgotten since, as text (None
            where there is no value any more).
        """
        namespace = self.namespace
        wrote: list[str] = []
        changes: dict[str, str | None] = {}
        if self._gone:
            changes = dict.fromkeys(self._gone)
            self._gone.clear()
        for name, before in self._tracked.items():
            # our own None, in a name that no command has bound: the command that should have raised
            if name in self._placeholders and namespace.get(name) is None:
                after: bytes | str | None = None
            elif name in namespace:
                value = namespace[name]
                # ``type(value)``, since ``isinstance`` would ask the snippet's ``__class__``
                after = None if issubclass(type(value), NOT_STATE) else values.snapshot(value)
            else:
                after = None
            if after != before:
                wrote.append(name)
                changes[name] = None if after is None else values.text(after)
                self._tracked[name] = after
        return wrote, changes
