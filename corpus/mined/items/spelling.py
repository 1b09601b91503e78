"""An item of pytest as commands: its fixtures, its parameters, the test, and what ends the fixtures.

The commands run in the namespace of the test's module, as examples of a docstring do. Calls of fixtures and set-up
functions are opened by the tracer at no depth (``Snippet.opens``), so that a session shows their bodies. The test
itself has several forms: ``flat``, its statements with what its assertions compare, or ``called``, opened like a
fixture; and each of the two in the repository's own folder, for tests that read files from there.

    @pytest.fixture                         numbers = numbers(3)
    def numbers(request): ...               expected = 6
    @pytest.mark.parametrize(...)           left = sum(numbers)
    def test_sum(numbers, expected):        left
        assert sum(numbers) == expected     6
                                            assert left == expected
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from trace_mine.corpus.mined.items.item_protocol import FixtureRecipe, ItemRecipe
from trace_mine.corpus.mined.items.stand_ins import ASYNC, PLAIN, STAND_INS, built_in

Form = Literal["flat", "called"]
FORMS: tuple[tuple[Form, bool], ...] = (("flat", False), ("called", False), ("flat", True), ("called", True))
"""The forms of a test, each with whether it runs in the repository's folder, in the order in which they are tried."""


@dataclass(slots=True, kw_only=True)
class SpeltItem:
    """The commands of an item.

    Attributes:
        setup: source that runs silently first.
        commands: the session's, in order.
        opens: callables whose calls the tracer opens at no depth.
        first_statement: the place in ``commands`` of the first statement of a flat body; None where the test is called.
    """

    setup: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    opens: list[str] = field(default_factory=list)
    first_statement: int | None = None

    @property
    def code(self) -> str:
        """The set-up as one source."""
        return "".join(f"{line}\n" for line in dict.fromkeys(self.setup))


def forms_of(item: ItemRecipe) -> list[SpeltItem]:
    """Return an item without ``problem`` in each of its forms, in the order in which they are to be tried."""
    spelt = [spell(item, form, in_root=in_root) for form, in_root in FORMS if form != "flat" or is_flat(item)]
    if uses_folder(item):
        # the folder of a test is a relative path, and another one from the repository's folder
        spelt = [each for each in spelt if IN_ROOT not in each.code]
    return spelt


def is_flat(item: ItemRecipe) -> bool:
    """Return True if the statements of the test can stand among the commands of its fixtures."""
    if not item.body:
        return False
    # a name that the body binds may be one that the commands after it mean otherwise
    after = {name for command in spell(item, "called").commands for name in re.findall(r"[^\W\d]\w*", command)}
    given = {name for name, _ in item.arguments}
    return not ({*item.binds} - given) & (after - given) and all(
        fixture.name == name for name, key in item.arguments for fixture in item.fixtures if fixture.key == key
    )


def uses_folder(item: ItemRecipe) -> bool:
    """Return True if pytest gives the test, or one of its fixtures, a temporary folder."""
    return any(each.kind == "built_in" and each.name in FOLDERS for each in item.fixtures)


def spell(item: ItemRecipe, form: Form = "called", *, in_root: bool = False) -> SpeltItem:
    """Spell an item that has no ``problem``.

    Args:
        item: the test.
        form: ``flat`` for one that ``is_flat``, or ``called``.
        in_root: the session runs in the repository's folder, as the test does under pytest.

    >>> recipe = ItemRecipe(nodeid="test_a.py::test_b", path="test_a.py", module="test_a", cls="", name="test_b",
    ...     case="test_b", line=1, end_line=2, skip="", is_unittest=False, is_async=False, is_static=False, before=(),
    ...     after=(), uses=(), gives=(), arguments=(("n", "n/1"),), order=("n/1",), changes_folder=False, modules=(),
    ...     problem="",
    ...     fixtures=(FixtureRecipe(key="n/1", name="n", kind="parameter", text="3"),))
    >>> spell(recipe).commands
    ['n = 3', 'test_b(n)']
    """
    speller = _Speller(item, form)
    if in_root:
        speller.spelt.setup.append(f"{IN_ROOT}({'/'.join(['..'] * item.path.count('/')) or '.'!r})")
    speller.run()
    return speller.spelt


FOLDERS = ("tmp_path", "tmpdir", "tmp_path_factory", "tmpdir_factory", "datadir", "shared_datadir")
IN_ROOT = """\
def _enter(up):
    import os
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), up))
_enter"""
"""Set-up that enters the repository's folder, from that of the test's file: true on every machine that replays it."""


class _Speller:
    def __init__(self, item: ItemRecipe, form: Form) -> None:
        self._form = form
        self._item = item
        self._fixtures = {fixture.key: fixture for fixture in item.fixtures}
        self._variables: dict[str, str] = {}
        self._after: list[str] = []
        self._has_instance = not item.cls
        self.spelt = SpeltItem()

    def run(self) -> None:
        item, spelt = self._item, self.spelt
        spelt.setup += [f"import {name}" for name in item.modules]
        spelt.setup += item.prepares
        if self._runs_coroutines():
            spelt.setup.append(ASYNC)
            spelt.commands.append("runner = Runner()")
            self._after.append("runner.close()")
        # pytest's closure has what its own fixtures ask for too (``tmp_path_factory``), which nobody here does
        pairs = [
            *item.arguments,
            *item.gives,
            *(pair for each in item.fixtures for pair in (*each.arguments, *each.gives)),
        ]
        asked = {key for _, key in pairs}
        for key in item.order:
            if self._fixtures[key].kind != "built_in" or key in asked:
                self._make(self._fixtures[key])
        for _, key in item.arguments:
            self._make(self._fixtures[key])
        self._need_instance()
        spelt.commands += item.before
        if self._form == "flat":
            spelt.setup += item.body_imports
            spelt.first_statement = len(spelt.commands)
            spelt.commands += item.body
        else:
            self._call()
        spelt.commands += [*item.after, *reversed(self._after)]
        spelt.opens += [callee for each in (*item.before, *item.after) if (callee := _callee(each)) != "runner.run"]

    def _runs_coroutines(self) -> bool:
        """Return True if the session needs an event loop."""
        item = self._item
        around = (*item.before, *item.after)
        return (
            item.is_async or any(each.is_async for each in item.fixtures) or any("runner." in each for each in around)
        )

    def _call(self) -> None:
        """The call of the test with its arguments."""
        item, spelt = self._item, self.spelt
        arguments = [f"{name}={self._variables[key]}" for name, key in item.arguments]
        is_in_order = not item.is_drawn  # of hypothesis' arguments only the names are known
        if is_in_order and all(
            argument == f"{name}={name}" for argument, (name, _) in zip(arguments, item.arguments, strict=True)
        ):
            arguments = [name for name, _ in item.arguments]  # in the order of the signature, by pytest
        owner = f"{item.cls}." if item.is_static else "self." if item.cls else ""
        call = f"{owner}{item.name}({', '.join(arguments)})"
        if item.is_drawn:
            test = f"{item.cls}.{item.name}" if item.cls else item.name
            spelt.setup.append(f"{test} = {test}.hypothesis.inner_test")
        spelt.commands.append(f"runner.run({call})" if item.is_async else call)
        spelt.opens.append(f"{owner}{item.name}")

    def _need_instance(self) -> None:
        if not self._has_instance:
            self._has_instance = True
            argument = repr(self._item.name) if self._item.is_unittest else ""
            made = f"self = {self._item.cls}({argument})"
            # of a class without a constructor of its own, what there is to see is unittest's
            (self.spelt.setup if self._item.has_plain_init else self.spelt.commands).append(made)

    def _make(self, fixture: FixtureRecipe) -> None:
        """Add the commands that make a fixture, after those that it asks for."""
        if fixture.key in self._variables:
            return
        for _, key in fixture.arguments:
            if key:
                self._make(self._fixtures[key])
        if fixture.kind == "xunit":
            self._variables[fixture.key] = ""
            if fixture.name == "method":
                self._need_instance()
            self.spelt.commands += fixture.before
            self._after += reversed(fixture.after)
            self.spelt.opens += map(_callee, (*fixture.before, *fixture.after))
        elif fixture.kind == "parameter":
            self._variables[fixture.key] = fixture.name
            self.spelt.commands.append(f"{fixture.name} = {fixture.text}")
        elif fixture.kind == "built_in":
            self._built_in(fixture)
        else:
            self._own(fixture)

    def _built_in(self, fixture: FixtureRecipe) -> None:
        self._variables[fixture.key] = fixture.name
        if fixture.name == "request":
            # of the test itself: a fixture's own is made where that is called
            if any(name == "request" for name, _ in self._item.arguments):
                self.spelt.commands.append(self._request("", self._item.uses, self._item.gives))
            return
        spelt = built_in(fixture.name, _folder_of(self._item), is_absolute=self._item.changes_folder)
        self.spelt.setup += spelt.setup
        self.spelt.commands += spelt.before
        self._after += reversed(spelt.after)

    def _own(self, fixture: FixtureRecipe) -> None:
        """A fixture of the repository: its function called, or stepped to its ``yield``."""
        level = fixture.key.rpartition("/")[2]
        variable = fixture.name if level == "1" else f"{fixture.name}_{level}"
        self._variables[fixture.key] = variable
        if fixture.is_method:
            self._need_instance()
            name = fixture.qualname.rpartition(".")[2]
            if fixture.module != self._item.module:
                self.spelt.setup.append(f"from {fixture.module} import {fixture.qualname.partition('.')[0]}")
            self.spelt.setup += [PLAIN, f"{fixture.qualname} = _plain({fixture.qualname})"]
            function = f"self.{name}"
        else:
            function = self._imported(fixture, variable)
        arguments = [f"{name}={self._variables[key]}" for name, key in fixture.arguments if key]
        if fixture.takes_request:
            request = self._request(fixture.text, fixture.uses, fixture.gives)
            self.spelt.commands.append(request)
            arguments.append("request=request")
        call = f"{function}({', '.join(arguments)})"
        self.spelt.opens.append(function)
        steps = f"{variable}_steps"
        if fixture.yields and fixture.is_async:
            self.spelt.commands += [f"{steps} = {call}", f"{variable} = runner.run(_next({steps}))"]
            self._after.append(f"runner.run(_next({steps}))")
        elif fixture.yields:
            self.spelt.commands += [f"{steps} = {call}", f"{variable} = next({steps})"]
            self._after.append(f"next({steps}, None)")
        elif fixture.is_async:
            self.spelt.commands.append(f"{variable} = runner.run({call})")
        else:
            self.spelt.commands.append(f"{variable} = {call}")
        if "addfinalizer" in fixture.uses:
            self._after.append(f"{variable}_request.close()")
            self.spelt.commands.insert(len(self.spelt.commands) - 1, f"{variable}_request = request")

    def _imported(self, fixture: FixtureRecipe, variable: str) -> str:
        """The name by which the session calls a fixture's function; its set-up takes pytest's wrapper off."""
        name = fixture.qualname if variable == fixture.name else variable
        root, _, rest = fixture.qualname.partition(".")
        if fixture.module != self._item.module:
            alias = name.partition(".")[0]
            renamed = f" as {alias}" if alias != root else ""
            self.spelt.setup.append(f"from {fixture.module} import {root}{renamed}")
            name = f"{alias}.{rest}" if rest else alias
        elif name != fixture.qualname:
            self.spelt.setup.append(f"{name} = {fixture.qualname}")
        self.spelt.setup += [PLAIN, f"{name} = _plain({name})"]
        return name

    def _request(self, parameter: str, uses: Sequence[str], gives: Sequence[tuple[str, str]]) -> str:
        """The command that makes ``request``; before it the fixtures that are asked of it by name."""
        self.spelt.setup.append(STAND_INS["request"])
        for _, key in gives:
            self._make(self._fixtures[key])
        item = self._item
        parts = [f"param={parameter}"] if parameter else []
        if item.cls and {"cls", "instance"} & {*uses}:
            self._need_instance()
            parts += [f"cls={item.cls}", "instance=self"]
        if {"node", "function"} & {*uses}:
            parts.append(f"name={item.case!r}")
        if gives:
            values = ", ".join(f"{name!r}: {self._variables[key]}" for name, key in gives)
            parts.append(f"fixtures={{{values}}}")
        return f"request = FixtureRequest({', '.join(parts)})"


def _callee(command: str) -> str:
    return command.partition("(")[0]


def _folder_of(item: ItemRecipe) -> str:
    """The name of the test's temporary folder, as pytest names it."""
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', item.case)[:30]}0"
