"""Names that opened bodies need and the program doesn't bind: the row's set-up binds them before the first command.

A body reads globals of its module, variables of a closure and defaults that are objects of its function. As commands
they would stand between the program's statements and say nothing of what it does. The driver binds such a name without
a command where it is certain that the set-up gives the very same object in a fresh interpreter: the module was imported
before the first command, and had then what it has now. The name must be one that nothing else in the session has or
spells, so that binding it earlier changes nothing.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Literal, cast

from trace_mine.tracer.inside.drive.commands import Command
from trace_mine.tracer.inside.drive.variables import Variables, missing
from trace_mine.tracer.inside.observe.describe import class_dict, has_plain_metaclass
from trace_mine.tracer.inside.observe.loaded import LoadedModules
from trace_mine.tracer.inside.protocol.answers import SetUpName

MOST_NAMES = 500
"""Names of a session's set-up; further ones are bound by commands."""
Part = Literal["__defaults__", "__kwdefaults__", "__closure__"]
_word = re.compile(r"\w+")


class SessionSetUp:
    """The names of one session's set-up.

    Args:
        variables: the names of the session.
        sources: the program's own text: no name that stands in it is bound here.
        own: how the paths of the repository's own files begin.
        is_open: False where all names have to come by commands: the program may list them, or outcomes are hidden.
    """

    def __init__(
        self, variables: Variables, sources: Iterable[str], own: tuple[str, ...], *, is_open: bool = True
    ) -> None:
        self.names: list[SetUpName] = []
        self._variables = variables
        self._words = {word for source in sources for word in _word.findall(source)} if is_open else set()
        self._modules = LoadedModules() if is_open else None
        # what own modules held: the session may change them
        self._held = {
            name: dict(vars(module))
            for name, module in ({} if self._modules is None else self._modules.of_files(own)).items()
        }
        self._by_place: dict[tuple[str, tuple[str, ...], str, str], str] = {}
        self._deletions: dict[str, list[Command]] = {}

    @property
    def is_open(self) -> bool:
        """True where names may be bound before the first command: no outcome is hidden, and no name listed."""
        return self._modules is not None

    def note_deletion(self, name: str, command: Command) -> None:
        """Note that a command deletes a name that nothing had: a definition was shown under it.

        Where the set-up binds that name later on, so before the first command, the command gives it back instead.
        """
        self._deletions.setdefault(name, []).append(command)

    def name_of_global(self, home: Mapping[str, object], name: str, avoid: Iterable[str]) -> str | None:
        """Return the session's name for a global of a module, bound in the set-up; None where a command has to."""
        if self._modules is None:
            return None
        value, module = home[name], home.get("__name__")
        if type(value) is types.ModuleType:
            path = vars(value).get("__name__")
            if type(path) is str and self._modules.get(path) is value and sys.modules.get(path) is value:
                return self._bound(name, value, path, (), avoid=avoid)
        if type(module) is not str or self._held.get(module, {}).get(name, missing) is not value:
            return None
        return self._bound(name, value, module, (name,), avoid=avoid)

    def module_of(self, home: Mapping[str, object]) -> str | None:
        """Return the name of the module whose globals these are, where setting its attributes is setting them; None
        where it is not, or where outcomes are hidden or names listed.
        """
        path = home.get("__name__")
        if self._modules is None or type(path) is not str:
            return None
        module = sys.modules.get(path)
        is_it = type(module) is types.ModuleType and vars(module) is home
        return path if is_it and _is_spelt(path.split(".")) else None

    def name_of_module(self, home: Mapping[str, object], avoid: Iterable[str]) -> str | None:
        """Return the session's name for the module whose globals these are, bound in the set-up; None where a command
        has to.
        """
        path = self.module_of(home)
        if path is None or self._modules is None or self._modules.get(path) is not sys.modules[path]:
            return None
        return self._bound(path.rpartition(".")[2], sys.modules[path], path, (), avoid=avoid)

    def name_of_part(
        self, function: types.FunctionType, part: Part, key: int | str, name: str, avoid: Iterable[str] = ()
    ) -> str | None:
        """Return the session's name for a default of a function, or for a variable of its closure; None as above."""
        value = _part_of(function, part, key)
        if self._modules is None or value is missing:
            return None
        # a decorator's wrapper says the module of what it wraps
        for module in (function.__module__, function.__globals__.get("__name__")):
            if type(module) is str and (path := self._path_of(function, module)) is not None:
                return self._bound(name, value, module, path, part, str(key), avoid=avoid)
        return None

    def _path_of(self, function: types.FunctionType, module: str) -> tuple[str, ...] | None:
        """The attributes that lead from a module to a function, by look-ups that run nothing; None where none do."""
        path = tuple(function.__qualname__.split("."))
        reached: object = self._held.get(module, {}).get(path[0], missing)
        spelt = [path[0]]
        for name in path[1:]:
            # by ``type``, since ``isinstance`` would ask the snippet's ``__class__``
            if not issubclass(type(reached), type) or (name.startswith("__") and not name.endswith("__")):
                return None
            holder = cast("type", reached)
            if not has_plain_metaclass(holder):
                return None
            reached = class_dict(holder).get(name, missing)
            spelt.append(name)
        if type(reached) is property:
            reached = reached.fget
            spelt.append("fget")
        if isinstance(reached, (staticmethod, classmethod)):
            reached = reached.__func__
        return tuple(spelt) if reached is function else None

    def _bound(
        self,
        name: str,
        value: object,
        module: str,
        path: tuple[str, ...],
        part: str = "",
        key: str = "",
        *,
        avoid: Iterable[str],
    ) -> str | None:
        """Bind a name to a value without a command; return it, None where that can't be."""
        place = (module, path, part, key)
        known = self._by_place.get(place)
        namespace = self._variables.namespace
        if known is not None and namespace.get(known, missing) is value:
            return known
        if known is not None or len(self.names) >= MOST_NAMES or not _is_spelt((*module.split("."), *path)):
            return None
        is_imported = path == (name,) and not part
        deleted = self._deletions.keys() - ({name} if is_imported else set())
        alias = self._variables.claim_new(name, {*avoid, *self._words, *deleted})
        for command in self._deletions.pop(alias, ()):
            command.source = f"from {module} import {alias}"
        self._variables.bind_before(alias, value)
        self.names.append(
            SetUpName(name=alias, module=module, path=path, part=cast("Literal['', '__closure__']", part), key=key)
        )
        self._by_place[place] = alias
        return alias


def _part_of(function: types.FunctionType, part: Part, key: int | str) -> object:
    """A default of a function, or what a cell of it holds; missing where there is none."""
    if part == "__closure__":
        try:
            return (function.__closure__ or ())[int(key)].cell_contents
        except (ValueError, IndexError):
            return missing
    if part == "__kwdefaults__":
        return (function.__kwdefaults__ or {}).get(str(key), missing)
    defaults = function.__defaults__ or ()
    return defaults[int(key)] if int(key) < len(defaults) else missing


def _is_spelt(names: Iterable[str]) -> bool:
    """Return True if source can have all these names."""
    return all(map(SetUpName.is_name, names))
