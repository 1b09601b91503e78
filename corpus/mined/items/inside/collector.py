"""Collects a repository's tests by pytest, and writes for each item what a session of it needs.

Every line that is written begins with a random word, since the repository's own code runs in this process and may write
too. Code that looks through the process can learn the word; what it then invents are snippets, which run in a sandbox.
The rest of a line is JSON: ``item_protocol`` says of which form, and believes no more than that.

Over 400 lines because an item's fixtures, parameters and statements are found by one walk over pytest's objects.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from trace_mine_items.at_prompt import NotFlat
from trace_mine_items.bodies import flat_body
from trace_mine_items.drawn_examples import example_of, is_drawn
from trace_mine_items.few_of_each import few_of_each
from trace_mine_items.fixed_functions import around_a_case, fixed_functions
from trace_mine_items.fixture_columns import columns_of
from trace_mine_items.function_facts import (
    as_dotted,
    class_name,
    first_line,
    function_of,
    has_plain_init,
    last_line,
    skip_reason,
    uses_of_request,
)
from trace_mine_items.known_fixtures import BUILT_IN, OF_PLUGINS, STANDS_IN, WITHOUT_EFFECT
from trace_mine_items.reached import InheritedTests
from trace_mine_items.sources import fixture_parameter, imports_for, parametrized
from trace_mine_items.values import Speller
from trace_mine_items.warning_filters import filters_of

# ``Any`` stands in this file for pytest's own objects, whose classes differ from version to version.

MAX_NODEID, MAX_CUT = 2_000, 200
"""Characters of an item's identifier that can be told, and those that are kept of a longer one."""
MAX_ERROR = 300
MAX_ERRORS = 500
"""Files that could not be collected which are told."""


def collect(
    root: str,
    word: str,
    write: Callable[[bytes], object],
    *,
    options: Sequence[str],
    marks: Sequence[str],
    most_of_a_test: int,
) -> None:
    """Collect the tests below a folder.

    Args:
        root: the repository.
        word: what each line begins with.
        write: writes a line.
        options: pytest's.
        marks: of plugins that are left out.
        most_of_a_test: the number of items of one test, which differ in their parameters alone, that are written.
    """
    os.chdir(root)
    plugin = _Plugin(
        root, marks, lambda record: write(f"{word} {json.dumps(record)}\n".encode("ascii")), most_of_a_test
    )
    code = pytest.main([*options, "--collect-only", f"--rootdir={root}", root], plugins=[plugin])
    plugin.finish(int(code))


class _Plugin:
    def __init__(
        self, root: str, marks: Sequence[str], write: Callable[[dict[str, object]], object], most_of_a_test: int
    ) -> None:
        self._root = root
        self._marks = marks
        self._write = write
        self._errors: list[str] = []
        self._most_of_a_test = most_of_a_test
        self._num_items = self._num_left_out = 0
        self._is_collected = False

    def pytest_configure(self, config: Any) -> None:
        for name in self._marks:
            config.addinivalue_line("markers", f"{name}: of a plugin that is left out here")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        # after the repository's own hooks, and never where collection broke off before them
        self._is_collected = True

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            last = str(report.longrepr).strip().rpartition("\n")[2]
            self._errors.append(f"{report.nodeid}: {last}"[:MAX_ERROR])

    def pytest_collection_finish(self, session: Any) -> None:
        if not self._is_collected:
            return
        items = [item for item in session.items if isinstance(item, pytest.Function)]
        taken = [*few_of_each(items, _test_of, self._most_of_a_test)]
        inherited = InheritedTests(taken, self._root)
        for item in taken:
            self._num_items += 1
            self._write({"item_recipe": _Recipe(item, self._root, inherited).record()})
        self._num_left_out = len(items) - self._num_items

    def finish(self, code: int) -> None:
        """Write what is to be said of the collection."""
        folders = [os.path.abspath(path) for path in sys.path]
        below = [os.path.relpath(path, self._root) for path in folders if f"{path}/".startswith(f"{self._root}/")]
        summary = {
            "exit_code": code,
            "is_whole": self._is_collected,
            "items": self._num_items,
            "left_out": self._num_left_out,
            "errors": self._errors[:MAX_ERRORS],
            "pytest": pytest.__version__,
            "sys_path": below,
        }
        self._write({"collection_summary": summary})


def _test_of(item: Any) -> object:
    """The test of an item: items of one test differ in their parameters alone."""
    return item.module, item.cls, getattr(item, "originalname", None) or item.name


_BODIES: dict[tuple[object, ...], tuple[dict[str, object], frozenset[str]]] = {}
"""Statements with the modules that they name, by function, class, module, and names of arguments, fixtures and numbers:
with these, and the definitions that are looked up, markdown-it-py's 1,189 items take 1.7 s of CPU instead of 9.0.
"""


class _NotSpelt(Exception):
    """The item has no commands; the message is why, as a word and a name (``plugin_fixture benchmark``)."""


class _Recipe:
    """What a session of one item needs."""

    def __init__(self, item: Any, root: str, inherited: InheritedTests) -> None:
        self._item = item
        self._root = root
        self._inherited = inherited
        self._function = function_of(item)
        self._speller = Speller(vars(item.module))
        self._fixtures: dict[tuple[str, int], dict[str, object]] = {}
        self._names = {*getattr(getattr(self._function, "__code__", None), "co_names", ())}

    def record(self) -> dict[str, object]:
        """The JSON of the item; with a ``problem`` it has no commands."""
        item = self._item
        case, nodeid = item.name, item.nodeid
        name = getattr(item, "originalname", None) or item.name
        is_told = len(nodeid) <= MAX_NODEID
        if not is_told:
            # of a parameter whose text is a page: others of the same test say as much
            case, nodeid = f"{case[:MAX_CUT]}...", f"{nodeid[:MAX_CUT]}..."
        record: dict[str, object] = {
            "nodeid": nodeid,
            "path": os.path.relpath(getattr(item, "path", item.fspath), self._root),
            "module": as_dotted(item.module.__name__),
            "cls": as_dotted(class_name(item)),
            "name": as_dotted(name),
            "case": case,
            "line": first_line(self._function),
            "end_line": last_line(self._function),
            "skip": "",
            "is_unittest": type(item).__name__ == "TestCaseFunction",
            "is_async": inspect.iscoroutinefunction(self._function),
            "is_static": False,
            "arguments": [],
            "order": [],
            "before": [],
            "after": [],
            "uses": [],
            "gives": [],
            "changes_folder": False,
            "fixtures": columns_of([]),
            "modules": [],
            "problem": "",
            "body": [],
            "body_lines": [],
            "binds": [],
            "body_imports": [],
            "awaits": False,
            "not_flat": "",
            "has_plain_init": False,
            "is_drawn": False,
            "prepares": [],
            "home": "",
            "reaches": [],
        }
        try:
            record["skip"] = skip_reason(item)[:MAX_NODEID]
            if not is_told:
                raise _NotSpelt("long_identifier")
            if "<" in class_name(item):
                raise _NotSpelt("local_class")
            for each in (item.module.__name__, name):
                if each != as_dotted(each):
                    raise _NotSpelt("no_identifier")
            if not record["skip"]:
                record.update(self._body())
            record.update(self._inherited.columns(item))
        except _NotSpelt as why:
            record["problem"] = str(why)
        except Exception as error:  # a plugin's or the repository's own object, of any behaviour
            record["problem"] = f"collector {type(error).__name__}: {error}"[:MAX_ERROR]
        return record

    def _body(self) -> dict[str, object]:
        item, function = self._item, self._function
        if not inspect.isfunction(function):
            raise _NotSpelt(f"no_function {type(function).__name__}")
        drawn = self._draw() if is_drawn(item.function) else {}
        function = self._function
        if inspect.isgeneratorfunction(function):
            raise _NotSpelt("generator")
        before, after = around_a_case(item.cls) if type(item).__name__ == "TestCaseFunction" else ([], [])
        is_static = item.cls is not None and isinstance(
            inspect.getattr_static(item.cls, item.function.__name__, None), (staticmethod, classmethod)
        )
        asked = item._fixtureinfo.argnames
        order = [self._around(name) for name in item.fixturenames if name in asked or name not in WITHOUT_EFFECT]
        arguments = {name: self._fixture(name, 1) for name in asked}
        uses = uses_of_request(function) if "request" in arguments else frozenset()
        gives = self._asked_by_name(function, uses)
        arguments.update({name: self._keep(name, 1, {"kind": "parameter", "text": drawn[name]}) for name in drawn})
        body = self._statements([name for name, key in arguments.items() if key])
        return {
            **body,
            "is_static": is_static,
            "is_drawn": bool(drawn),
            "has_plain_init": item.cls is not None and has_plain_init(item.cls),
            "arguments": [[name, key] for name, key in arguments.items() if key],
            "order": [key for key in order if key],
            "before": before,
            "after": after,
            "uses": sorted(uses),
            "gives": gives,
            "changes_folder": "chdir" in self._names,
            "prepares": [*filters_of(item, self._speller), *self._speller.imports],
            "fixtures": columns_of([*self._fixtures.values()]),
            "modules": sorted(self._speller.modules),
        }

    def _draw(self) -> dict[str, str]:
        """The arguments of one example of a hypothesis test, whose own function takes the place of the wrapper."""
        wrapper = getattr(self._item.function, "__func__", self._item.function)
        fixtures = [*self._item._fixtureinfo.argnames]
        is_method = self._item.cls is not None
        example: dict[str, str] | None = example_of(wrapper, fixtures, self._speller, is_method=is_method)
        if example is None:
            raise _NotSpelt("hypothesis example")
        self._function = inspect.unwrap(wrapper.hypothesis.inner_test)
        return example

    def _statements(self, arguments: Sequence[str]) -> dict[str, object]:
        """The statements of the test, or why it has none; the same for items that differ in their parameters alone."""
        item = self._item
        numbers = [name for name, value in self._parameters().items() if type(value) in (int, float)]
        key = (self._function, item.cls, item.module, *map(tuple, (arguments, item.fixturenames, numbers)))
        if key not in _BODIES:
            speller = Speller(vars(item.module))
            _BODIES[key] = self._flat(arguments, speller), frozenset(speller.modules)
        record, modules = _BODIES[key]
        self._speller.modules |= modules
        return record

    def _flat(self, arguments: Sequence[str], speller: Speller) -> dict[str, object]:
        try:
            body = flat_body(self._item, self._function, speller, arguments, self._root)
        except NotFlat as why:
            return {"not_flat": str(why)[:MAX_ERROR]}
        except Exception as error:  # of a text that Python reads otherwise than its tree, say
            return {"not_flat": f"{type(error).__name__}: {error}"[:MAX_ERROR]}
        return {
            "body": body.texts,
            "body_lines": body.lines,
            "binds": body.binds,
            "body_imports": body.imports,
            "awaits": body.awaits,
        }

    # fixtures

    def _around(self, name: str) -> str:
        """The key of a fixture that the test may have without asking for it.

        One of a plugin (pytest-asyncio's ``event_loop_policy`` is around every test) is left out: where the test does
        need it, the session ends otherwise than under pytest.
        """
        try:
            return self._fixture(name, 1)
        except _NotSpelt as why:
            if str(why).startswith("plugin_fixture ") and name not in self._item._fixtureinfo.argnames:
                return ""
            raise

    def _fixture(self, name: str, level: int) -> str:
        """Note a fixture, and those that it asks for, before it; return its key, empty where it has no effect."""
        if (name, level) in self._fixtures:
            return f"{name}/{level}"
        if name.startswith(("_xunit", "_unittest", "xunit_", "unittest_")):
            scope, before, after = fixed_functions(self._item, name)
            # pytest's name for it ends in a class's, with any characters
            return self._keep(scope, level, {"kind": "xunit", "before": before, "after": after})
        definitions = self._definitions(name)
        if not definitions:
            if name in self._parameters():
                return self._parameter(name, level)
            if name == "request":
                return self._keep(name, level, {"kind": "built_in"})
            raise _NotSpelt(f"fixture {name}")
        definition = definitions[-level]
        function = definition.func
        if type(definition).__name__ == "DirectParamFixtureDef" or (
            getattr(function, "__name__", "") == "get_direct_param_fixture_func"
        ):
            return self._parameter(name, level)
        function = inspect.unwrap(getattr(function, "__func__", function))
        module = getattr(function, "__module__", "") or ""
        file = inspect.getsourcefile(function) or ""
        if not os.path.abspath(file).startswith(f"{self._root}/"):
            packages = ("_pytest",) if name in BUILT_IN else OF_PLUGINS.get(name, ())
            if module.partition(".")[0] not in packages:
                raise _NotSpelt(f"plugin_fixture {name}")
            return self._keep(name, level, {"kind": "built_in"})
        return self._own(name, level, definition, function)

    def _own(self, name: str, level: int, definition: Any, function: Any) -> str:
        if "doctest_namespace" in definition.argnames and name not in self._item._fixtureinfo.argnames:
            return ""  # it serves the repository's doctests alone
        if "<" in function.__qualname__:
            raise _NotSpelt(f"local_fixture {name}")
        uses = uses_of_request(function) if "request" in definition.argnames else frozenset()
        gives = self._asked_by_name(function, uses)
        arguments = [
            [argument, self._fixture(argument, level + 1 if argument == name else 1)]
            for argument in definition.argnames
            if argument != "request"
        ]
        parameter = ""
        if name in self._parameters():  # by ``params``, or by ``parametrize`` with ``indirect``
            parameter = self._text_of(name, function)
        self._names.update(function.__code__.co_names)
        names = [*inspect.signature(function).parameters]
        is_method = "." in function.__qualname__ and bool(names) and names[0] not in definition.argnames
        return self._keep(
            name,
            level,
            {
                "kind": "own",
                "module": function.__module__,
                "qualname": function.__qualname__,
                "is_method": is_method,
                "yields": inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
                "is_async": inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
                "arguments": arguments,
                "uses": sorted(uses),
                "gives": gives,
                "takes_request": "request" in definition.argnames,
                "text": parameter,
            },
        )

    def _asked_by_name(self, function: Any, uses: frozenset[str]) -> list[list[str]]:
        """The fixtures that a function may ask of ``request`` by name: those that texts of its code or parameters name.

        Raises:
            _NotSpelt: it asks for more of ``request`` than there is a stand-in for.
        """
        if uses - STANDS_IN:
            raise _NotSpelt(f"request.{min(uses - STANDS_IN)}")
        if "getfixturevalue" not in uses:
            return []
        texts = [*function.__code__.co_consts, *self._parameters().values()]
        names = sorted({text for text in texts if isinstance(text, str) and text.isidentifier()})
        return [[name, self._fixture(name, 1)] for name in names if self._definitions(name)]

    def _parameter(self, name: str, level: int) -> str:
        return self._keep(name, level, {"kind": "parameter", "text": self._text_of(name, None)})

    def _text_of(self, name: str, fixture: Any) -> str:
        """The text of a parameter: its value's, or its expression's in the decorator."""
        value = self._parameters()[name]
        text = self._speller.spell(value)
        # a path of this machine would be another one in a replay: its expression is not
        if text is not None and self._root not in text:
            return str(text)
        index = self._item.callspec.indices[name]
        source = None if fixture is None else fixture_parameter(fixture, index)
        source = source or parametrized(self._function, self._item.cls, self._item.module.__name__, name, index)
        # the text's names are those of the module that it stands in
        imports = None if source is None else imports_for(source[0], source[1], vars(self._item.module))
        if source is None or imports is None:
            if text is not None:
                return str(text)
            raise _NotSpelt(f"parameter {type(value).__name__}")
        self._speller.imports += imports
        return str(source[0])

    def _keep(self, name: str, level: int, fields: dict[str, object]) -> str:
        key = f"{name}/{level}"
        self._fixtures[name, level] = {"key": key, "name": name, **fields}
        return key

    def _definitions(self, name: str) -> Sequence[Any]:
        definitions: Sequence[Any] = self._item._fixtureinfo.name2fixturedefs.get(name) or ()
        return definitions or self._item.session._fixturemanager.getfixturedefs(name, self._item) or ()

    def _parameters(self) -> dict[str, object]:
        return getattr(getattr(self._item, "callspec", None), "params", {})
