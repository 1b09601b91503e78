"""The records in which the jail that collects tests says what it found.

They come from a process in which the repository's own code ran: each field has a length and a form, and what is right
in form may still be wrong. An invented item is a snippet that runs in a sandbox like any other.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from trace_mine.corpus.mined.marked_lines import marked_lines
from trace_mine.corpus.mined.reader_protocol import check_relative
from trace_mine.tracer.inside.protocol.codec import AtMost, OneOf, ProtocolError, Record, record
from trace_mine.tracer.inside.protocol.jobs import Count, Line, Location, Name

Text = Annotated[str, AtMost(2_000)]
Problem = Annotated[str, AtMost(400)]
Statement = Annotated[str, AtMost(20_000)]
FixtureKind = Literal["own", "built_in", "parameter", "xunit"]
MAX_ITEMS = 50_000
"""Items of a repository that are taken; networkx has 7,151."""
MAX_FIXTURES = 100
"""Fixtures of an item."""
MAX_REACHED = 1_000
"""Functions that an item is said to reach."""


@record
class FixtureRecipe(Record):
    """A fixture of an item.

    Attributes:
        key: its name and level (``client/1``): of fixtures that override each other, 1 is the last.
        name: as tests ask for it.
        kind: ``own`` for a function of the repository, ``built_in`` for pytest's, ``parameter`` for a value of
            ``parametrize``, ``xunit`` for the functions around tests that have fixed names.
        module, qualname: of an own one, where its function stands.
        is_method: it takes the test's instance first.
        yields: what follows its one ``yield`` ends it.
        arguments: name of an argument, and the key of the fixture that gives it.
        uses: attributes of ``request`` that it reads.
        takes_request: it has an argument ``request``.
        gives: fixtures that it may ask of ``request`` by name, with their keys.
        is_async: it is a coroutine function, or yields in one.
        text: the expression of its parameter; empty where it has none.
        before, after: of ``xunit``, the commands before and after the test; its name is ``module``, ``function``,
            ``class`` or ``method``.
    """

    key: Name
    name: Name
    kind: FixtureKind
    module: Name = ""
    qualname: Name = ""
    is_method: bool = False
    yields: bool = False
    arguments: tuple[tuple[Name, Name], ...] = ()
    uses: tuple[Name, ...] = ()
    takes_request: bool = False
    text: Text = ""
    before: tuple[Text, ...] = ()
    after: tuple[Text, ...] = ()
    gives: tuple[tuple[Name, Name], ...] = ()
    is_async: bool = False

    def agree(self) -> None:
        if not self.name.isidentifier():
            raise ProtocolError(f"expected FixtureRecipe.name to be a name, got {self.name[:40]!r}")
        for dotted in (self.module, self.qualname):
            if dotted and not all(part.isidentifier() for part in dotted.split(".")):
                raise ProtocolError(f"expected a dotted name of a fixture's function, got {dotted[:40]!r}")
        if self.kind == "own" and not (self.module and self.qualname):
            raise ProtocolError("expected the function of an own fixture, got none; send its module and qualname")


@record
class ItemRecipe(Record):
    """A test as pytest collected it.

    Attributes:
        nodeid: pytest's name for it.
        path: its file, relative to the repository's root.
        module: the name under which pytest imported the file.
        cls: the class that it was collected from, by its qualified name; empty for a function.
        name: the function's.
        case: the item's name, with the identifier of its parameters.
        line, end_line: of the function.
        skip: why a mark skips it; empty where none does.
        is_unittest: it is a method of a ``TestCase``.
        is_async: it is a coroutine function.
        is_static: it is a static or class method.
        arguments: name of an argument of the test, and the key of the fixture that gives it.
        order: keys of its fixtures in the order in which pytest makes them.
        before, after: of a method of a ``TestCase``, the commands around it.
        uses, gives: of its own ``request``, as a fixture has them.
        changes_folder: its code names ``chdir``, so that a relative path may not last.
        fixtures: all its fixtures, those that others ask for before these.
        modules: modules that texts of parameters name.
        problem: why it has no commands, as a word and a name; empty where it has.
        body, body_lines: the statements of the test, with its assertions as what they compare, and their lines in its
            file; none where it must be called.
        binds: the names that these statements bind.
        body_imports: commands of the set-up that they need.
        awaits: they run coroutines by a variable ``runner``.
        not_flat: why there are no such statements.
        is_drawn: hypothesis draws its arguments; those of ``arguments`` are one example.
        has_plain_init: its class has no constructor of its own.
        prepares: commands of the set-up: pytest's filters of warnings, imports for texts of parameters.
        home: of a function that several classes have, the file in which it stands; empty of any other.
        reaches: of such a function, what it reaches of the repository in this class (``a.py:12``), by the names in it.
    """

    nodeid: Text
    path: Location
    module: Name
    cls: Name
    name: Name
    case: Text
    line: Line
    end_line: Line
    skip: Text
    is_unittest: bool
    is_async: bool
    is_static: bool
    arguments: tuple[tuple[Name, Name], ...]
    order: tuple[Name, ...]
    before: tuple[Text, ...]
    after: tuple[Text, ...]
    uses: tuple[Name, ...]
    gives: tuple[tuple[Name, Name], ...]
    changes_folder: bool
    fixtures: tuple[FixtureRecipe, ...]
    modules: tuple[Name, ...]
    problem: Problem
    body: tuple[Statement, ...] = ()
    body_lines: tuple[Line, ...] = ()
    binds: tuple[Name, ...] = ()
    body_imports: tuple[Text, ...] = ()
    awaits: bool = False
    not_flat: Problem = ""
    is_drawn: bool = False
    has_plain_init: bool = False
    prepares: tuple[Text, ...] = ()
    home: Location = ""
    reaches: tuple[Name, ...] = ()

    def agree(self) -> None:
        check_relative(self.path)
        if len(self.reaches) > MAX_REACHED:
            raise ProtocolError(f"expected at most {MAX_REACHED} functions of an item, got {len(self.reaches)}")
        for dotted in (self.module, self.name, *self.modules, *([self.cls] if self.cls else [])):
            if not all(part.isidentifier() for part in dotted.split(".")):
                raise ProtocolError(f"expected dotted names in an ItemRecipe, got {dotted[:40]!r}")
        if len(self.body) != len(self.body_lines):
            raise ProtocolError(f"expected a line for each statement, got {len(self.body_lines)} for {len(self.body)}")
        if len(self.fixtures) > MAX_FIXTURES:
            raise ProtocolError(f"expected at most {MAX_FIXTURES} fixtures of an item, got {len(self.fixtures)}")
        known: set[str] = set()
        for fixture in self.fixtures:
            if not {key for _, key in (*fixture.arguments, *fixture.gives) if key} <= known:
                raise ProtocolError("expected a fixture's arguments before it, got another order")
            known.add(fixture.key)
        asked = {*self.order, *(key for _, key in (*self.arguments, *self.gives))}
        if not asked <= known:
            raise ProtocolError(f"expected the fixtures that an item asks for, got none called {min(asked - known)!r}")


@record
class CollectionSummary(Record):
    """The end of a collection: pytest's exit code, whether it went through all files, how many items it gave, how many
    more there are that differ from these in their parameters alone, the files that could not be collected, its version,
    and the repository's folders on ``sys.path``.
    """

    exit_code: Count
    is_whole: bool
    items: Count
    errors: tuple[Problem, ...]
    pytest: Name
    sys_path: tuple[Location, ...]
    left_out: Count = 0

    def agree(self) -> None:
        for path in self.sys_path:
            check_relative(path)


ANSWERS = OneOf(ItemRecipe, CollectionSummary)


def answers_of(output: bytes, word: str) -> tuple[list[ItemRecipe], CollectionSummary | None]:
    """Read what a jail wrote: lines that begin with the secret word; others are the repository's own.

    Returns:
        The items, and the summary; None where the collection did not come to its end.

    Raises:
        ProtocolError: a line is none of the records, or there are too many.
    """
    items: list[ItemRecipe] = []
    for line in marked_lines(output, word):
        answer = _answer_of(line)
        if isinstance(answer, CollectionSummary):
            return items, answer
        assert isinstance(answer, ItemRecipe)  # the other one of ANSWERS
        items.append(answer)
        if len(items) > MAX_ITEMS:
            raise ProtocolError(f"expected at most {MAX_ITEMS} items, got more")
    return items, None


def _answer_of(line: bytes) -> Record:
    try:
        return ANSWERS.from_json(json.loads(line))
    except RecursionError:
        raise ProtocolError("expected JSON of a few levels, got more") from None
    except ValueError as error:  # ProtocolError among them
        raise ProtocolError(str(error)[:300]) from None
