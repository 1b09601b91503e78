"""Fixtures, parameters and set-up become commands in pytest's order, and end in the reverse one."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from test_item_protocol import ITEM

from trace_mine.corpus.mined.items.item_protocol import FixtureRecipe, ItemRecipe
from trace_mine.corpus.mined.items.spelling import spell


def item(**fields: object) -> ItemRecipe:
    values: dict[str, object] = {name: getattr(ITEM, name) for name in ItemRecipe._fields}
    plain = {"arguments": (), "order": (), "fixtures": (), "modules": ()}
    return ItemRecipe(**{**values, **plain, **fields})


@dataclass
class Fixture:
    """Shorthand for recipes."""

    name: str

    def own(self, **fields: object) -> FixtureRecipe:
        given = {"key": f"{self.name}/1", "module": "tests.test_a", "qualname": self.name, **fields}
        return FixtureRecipe(name=self.name, kind="own", **given)

    def of(self, kind: str, **fields: object) -> FixtureRecipe:
        return FixtureRecipe(key=f"{self.name}/1", name=self.name, kind=kind, **fields)


def test_a_test_without_anything() -> None:
    spelt = spell(item())
    assert spelt.commands == ["test_b()"]
    assert spelt.opens == ["test_b"]
    assert spelt.code == ""


def test_fixtures_from_other_modules_with_their_arguments() -> None:
    spelt = spell(ITEM)
    assert spelt.commands == ["base = base()", "client = client(b=base)", "n = 1", "test_b(n, client)"]
    assert "from conftest import client" in spelt.code
    assert "import decimal" in spelt.code
    assert spelt.opens == ["base", "client", "test_b"]
    ast.parse(spelt.code)


def test_what_follows_a_yield_comes_after_the_test_in_reverse() -> None:
    one, two = Fixture("one").own(yields=True), Fixture("two").own(yields=True)
    spelt = spell(item(fixtures=(one, two), order=("one/1", "two/1"), arguments=(("two", "two/1"),)))
    assert spelt.commands == [
        "one_steps = one()",
        "one = next(one_steps)",
        "two_steps = two()",
        "two = next(two_steps)",
        "test_b(two)",
        "next(two_steps, None)",
        "next(one_steps, None)",
    ]


def test_a_fixture_that_takes_the_one_it_overrides() -> None:
    base = FixtureRecipe(key="x/2", name="x", kind="own", module="conftest", qualname="x")
    top = Fixture("x").own(arguments=(("x", "x/2"),))
    spelt = spell(item(fixtures=(base, top), order=("x/1",), arguments=(("x", "x/1"),)))
    assert spelt.commands == ["x_2 = x_2()", "x = x(x=x_2)", "test_b(x)"]
    assert "from conftest import x as x_2" in spelt.code


def test_requests() -> None:
    fixture = Fixture("number").own(takes_request=True, uses=("param", "addfinalizer"), text="[3]")
    spelt = spell(item(fixtures=(fixture,), order=("number/1",), arguments=(("number", "number/1"),)))
    assert spelt.commands == [
        "request = FixtureRequest(param=[3])",
        "number_request = request",
        "number = number(request=request)",
        "test_b(number)",
        "number_request.close()",
    ]


def test_methods_have_an_instance_after_the_class_s_set_up() -> None:
    around_class = Fixture("class").of("xunit", before=("TestC.setup_class()",), after=("TestC.teardown_class()",))
    around = Fixture("method").of("xunit", before=("self.setup_method()",), after=("self.teardown_method()",))
    spelt = spell(item(cls="TestC", fixtures=(around_class, around), order=("class/1", "method/1")))
    assert spelt.commands == [
        "TestC.setup_class()",
        "self = TestC()",
        "self.setup_method()",
        "self.test_b()",
        "self.teardown_method()",
        "TestC.teardown_class()",
    ]
    assert {"self.setup_method", "self.test_b", "TestC.setup_class"} <= {*spelt.opens}


def test_a_method_of_a_test_case() -> None:
    spelt = spell(
        item(cls="C", is_unittest=True, before=("self.setUp()",), after=("self.tearDown()", "self.doCleanups()"))
    )
    assert spelt.commands == [
        "self = C('test_b')",
        "self.setUp()",
        "self.test_b()",
        "self.tearDown()",
        "self.doCleanups()",
    ]


def test_pytest_s_own_fixtures() -> None:
    path, patch = Fixture("tmp_path").of("built_in"), Fixture("monkeypatch").of("built_in")
    fields = {"fixtures": (path, patch), "arguments": (("tmp_path", "tmp_path/1"), ("monkeypatch", "monkeypatch/1"))}
    spelt = spell(item(order=("tmp_path/1", "monkeypatch/1"), **fields))
    assert spelt.commands == [
        "tmp_path = pathlib.Path('test_b_1_0')",
        "tmp_path.mkdir()",
        "monkeypatch = MonkeyPatch()",
        "test_b(tmp_path, monkeypatch)",
        "monkeypatch.undo()",
    ]
    away = spell(item(order=("tmp_path/1", "monkeypatch/1"), changes_folder=True, **fields))
    assert away.commands[0] == "tmp_path = pathlib.Path('test_b_1_0').absolute()"


def test_coroutines() -> None:
    spelt = spell(item(is_async=True))
    assert spelt.commands == ["runner = Runner()", "runner.run(test_b())", "runner.close()"]
