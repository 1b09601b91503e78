"""The session's variables: which names are in use, and what each tracked variable held after the last command."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from typing import Any

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import NOT_STATE


class _Missing:
    """The value of a name that is not bound."""


missing = _Missing()


class Variables:
    """Names over the namespace that commands are executed in.

    A name is *tracked* from the command on that binds it as a variable of the program, until it is forgotten; it is
    *reserved* where a command may use it later although nothing is bound to it now.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._reserved: set[str] = set()
        self.temporaries: list[str] = []
        """Names that the walk lets go of when the statement that made them is done; the latest last."""
        self._gone: list[str] = []
        self._tracked: dict[str, bytes | str | None] = {}
        """Name to the snapshot of its value; None while it is not bound, or holds a function, a class or a module."""

    # names

    def reserve(self, names: Iterable[str]) -> None:
        """Keeps these names for the program."""
        self._reserved.update(names)

    def is_reserved(self, name: str) -> bool:
        """True if the name may be used later."""
        return name in self._reserved

    def fresh(self, stem: str) -> str:
        """A name that nothing in the session uses: the first of ``stem_1``, ``stem_2`` and so on; bound to None."""
        number = 1
        while self._is_used(name := f"{stem}_{number}"):
            number += 1
        self.namespace.setdefault(name, None)
        return name

    def claim(self, name: str, avoid: Iterable[str] = ()) -> str:
        """A session name for a local, reserved from now on: the local's own where nothing else uses that, else the
        name with a number. Names of ``avoid`` are not given, but for the local's own.
        """
        avoided = set(avoid) - {name}
        candidate, number = name, 0
        while self._is_used(candidate) or candidate in avoided:
            number += 1
            candidate = f"{name}_{number}"
        self._reserved.add(candidate)
        return candidate

    def _is_used(self, name: str) -> bool:
        return (
            name in self.namespace
            or name in self._tracked
            or name in self._reserved
            or hasattr(builtins, name)  # a variable of that name would hide the built-in from later commands
        )

    def temporary(self, stem: str) -> str:
        """A fresh name that is let go of when the statement being run is done."""
        name = self.fresh(stem)
        self.temporaries.append(name)
        return name

    def make_temporary(self, name: str) -> None:
        """Lets go of the name, too, when the statement being run is done."""
        self.temporaries.append(name)

    def is_temporary(self, name: str) -> bool:
        """True if the name is let go of when a statement that runs now is done."""
        return name in self.temporaries

    def unbind(self, name: str) -> None:
        """Makes the name free for another use."""
        self.namespace.pop(name, None)
        self._reserved.discard(name)

    def peek(self, node: ast.expr) -> Any:
        """The value of a name or constant, without a command; ``missing`` for an unbound name and for any other
        expression.
        """
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.namespace:
                return self.namespace[node.id]
            built_in = self.namespace["__builtins__"]
            table = built_in if isinstance(built_in, dict) else vars(built_in)
            return table.get(node.id, missing)
        return missing

    # values

    def track(self, names: Iterable[str]) -> None:
        """A command binds these names."""
        for name in names:
            self._tracked.setdefault(name, None)

    def forget(self, name: str) -> None:
        """Stops following a variable; if it held a value, the next command's changes say that it is gone."""
        if self._tracked.pop(name, None) is not None:
            self._gone.append(name)

    def has_value(self, name: str) -> bool:
        """True if the tracked variable held a value of the program's state after the last command."""
        return self._tracked.get(name) is not None

    def observe(self) -> tuple[list[str], dict[str, str | None]]:
        """Looks at every tracked variable. Gives the names whose value is another than at the last look, and the
        values of these and of variables forgotten since, as text (None where there is none).

        By value, not by name: a command that changes a list is seen to change each variable that holds the list.
        """
        namespace = self.namespace
        wrote: list[str] = []
        changes: dict[str, str | None] = {}
        if self._gone:
            changes = dict.fromkeys(self._gone)
            self._gone.clear()
        for name, before in self._tracked.items():
            if name in namespace:
                value = namespace[name]
                after: bytes | str | None = None if issubclass(type(value), NOT_STATE) else values.snapshot(value)
            else:
                after = None
            if after != before:
                wrote.append(name)
                changes[name] = None if after is None else values.text(after)
                self._tracked[name] = after
        return wrote, changes
