"""Source texts with places for names that are chosen later, and their rendering as commands.

A text is Python with marks in it: an object that stands in a variable, a name that is imported, a function whose
``def`` stands before. Marks hold control characters, which no literal that ``repr`` wrote and no author's code has.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from trace_mine_harvest.operators import ungrouped

_MARK = re.compile("\x01([^\x01]*)\x01")
RESERVED = frozenset((*keyword.kwlist, *dir(builtins), "_"))
MAX_STATEMENTS = 40
"""Statements before a call that make its objects."""
MAX_TEXT = 2_000
"""Characters of each of its commands."""


class Unspelt(Exception):
    """A value has no text; the message is a word for why."""


@dataclass(frozen=True)
class Made:
    """An object by the statements that make it, the first of which binds it; ``name`` is a hint for its variable.

    The statements' texts may hold the mark of the object itself, ``SELF``.
    """

    name: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A function or a class by its author's text: a ``def`` or ``class`` or, with an empty ``name``, an expression.

    ``imports`` are statements by the name that they bind, imports and further definitions, each behind those that it
    needs. The texts have these names in them, so they are not chosen.
    """

    name: str
    text: str
    imports: tuple[tuple[str, str], ...]


SELF = "\x02"
"""Stands for the object in the statements that make it."""


@dataclass
class RenderedCall:
    """A call as commands.

    Attributes:
        imports: import statements, and definitions of functions behind them.
        before: statements that make objects.
        call: the call.
        variables: the names of the objects that ``before`` binds.
    """

    imports: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    call: str = ""
    variables: list[str] = field(default_factory=list)


class Registry:
    """What marks stand for. Texts with marks are of use only with the registry that gave these out."""

    def __init__(self) -> None:
        self._things: list[Made | Source | tuple[str, str]] = []
        self._imports: dict[tuple[str, str], str] = {}

    def imported(self, module: str, name: str) -> str:
        """Return the mark of a name of a module, or of the module itself where the name is empty."""
        key = (module, name)
        if key not in self._imports:
            self._imports[key] = self._mark(key)
        return self._imports[key]

    def made(self, thing: Made) -> str:
        """Return the mark of an object."""
        return self._mark(thing)

    def source(self, thing: Source) -> str:
        """Return the mark of a function that stands there by its text."""
        return self._mark(thing)

    def _mark(self, thing: Made | Source | tuple[str, str]) -> str:
        self._things.append(thing)
        return f"\x01{len(self._things) - 1}\x01"

    def render(self, call: str, given: dict[str, str], taken: Iterable[str], kept: Iterable[str]) -> RenderedCall:
        """Turn a call into commands.

        Args:
            call: its text, with marks, and with ``{name}`` for none of them: arguments that stand in variables are
                marks of their own.
            given: texts of variables that are bound before the call, by name; the call names them as they are.
            taken: names that nothing else may have.
            kept: marks of objects that stand in variables although they could stand in the call.

        Raises:
            Unspelt: two texts want one name for different things, or there is too much of it.
        """
        return _Renderer(self._things, taken, kept).render(call, given)


class _Renderer:
    def __init__(
        self, things: list[Made | Source | tuple[str, str]], taken: Iterable[str], kept: Iterable[str]
    ) -> None:
        self._things = things
        self._kept = {int(match[1]) for mark in kept if (match := _MARK.match(mark))}
        self._taken = {*RESERVED, *taken}
        self._names: dict[int, str] = {}
        self._imports: dict[str, str] = {}
        self._rendered = RenderedCall()
        self._uses: Counter[int] = Counter()

    def render(self, call: str, given: dict[str, str]) -> RenderedCall:
        self._count([call, *given.values()])
        # names that stand in authors' texts can't be chosen, so they come first
        for number in sorted(self._uses):
            thing = self._things[number]
            if isinstance(thing, Source):
                for name, statement in thing.imports:
                    if self._imports.setdefault(name, statement) != statement:
                        raise Unspelt("name_clash")
                if thing.name:
                    if self._imports.setdefault(thing.name, thing.text) != thing.text:
                        raise Unspelt("name_clash")
                    self._names[number] = thing.name
        if not self._taken.isdisjoint(self._imports):
            raise Unspelt("name_clash")
        self._taken |= self._imports.keys()
        before = [f"{name} = {self._text(text)}" for name, text in given.items()]
        self._rendered.call = self._text(call)
        self._rendered.before += before
        statements = [*dict.fromkeys(self._imports.values())]
        # definitions behind all imports, in their own order: one may need another
        imports = sorted(text for text in statements if text.startswith(("import ", "from ")))
        self._rendered.imports = [*imports, *(text for text in statements if text not in imports)]
        if len(self._rendered.before) > MAX_STATEMENTS:
            raise Unspelt("long")
        if any(len(text) > MAX_TEXT for text in (*self._rendered.imports, *self._rendered.before, self._rendered.call)):
            raise Unspelt("long")
        return self._rendered

    def _count(self, texts: Iterable[str]) -> None:
        pending = [*texts]
        while pending:
            for match in _MARK.finditer(pending.pop()):
                number = int(match[1])
                self._uses[number] += 1
                thing = self._things[number]
                if self._uses[number] == 1 and isinstance(thing, Made):
                    pending += thing.steps
                if len(self._uses) > 200:
                    raise Unspelt("long")

    def _text(self, text: str) -> str:
        return _MARK.sub(lambda match: self._of(int(match[1])), text)

    def _of(self, number: int) -> str:
        if number in self._names:
            return self._names[number]
        thing = self._things[number]
        if isinstance(thing, tuple):
            self._names[number] = self._import(*thing)
        elif isinstance(thing, Source):
            return thing.text
        elif len(thing.steps) == 1 and self._uses[number] == 1 and number not in self._kept:
            return self._text(thing.steps[0].partition(f"{SELF} = ")[2])
        else:
            self._make(number, thing)
        return self._names[number]

    def _make(self, number: int, thing: Made) -> None:
        steps = [self._text(step) for step in thing.steps]
        if steps[0].startswith(f"{SELF} = ("):
            steps[0] = f"{SELF} = {ungrouped(steps[0].removeprefix(f'{SELF} = '))}"
        name = self._unused(thing.name)
        self._taken.add(name)
        self._names[number] = name
        self._rendered.variables.append(name)
        self._rendered.before += [step.replace(SELF, name) for step in steps]

    def _import(self, module: str, name: str) -> str:
        root = name.partition(".")[0]
        if name and (root not in self._taken or self._imports.get(root) == f"from {module} import {root}"):
            self._imports[root] = f"from {module} import {root}"
            self._taken.add(root)
            return name
        top = module.partition(".")[0]
        if top in self._taken and not self._imports.get(top, "").startswith("import "):
            raise Unspelt("name_clash")
        key = top if top not in self._imports else module
        self._imports.setdefault(key, f"import {module}")
        if self._imports[key] != f"import {module}":
            self._imports[module] = f"import {module}"
        self._taken.add(top)
        return f"{module}.{name}" if name else module

    def _unused(self, hint: str) -> str:
        name = hint if hint.isidentifier() else "value"
        while name in self._taken:
            name += "_"
        return name
