"""Finds test functions and ``unittest`` methods that need nothing from a test runner.

Tests are looked for in files named as pytest and unittest collect them (``test*.py``, ``*_test.py``, ``tests.py``). A
test that needs a runner is found and dropped: ``needs_fixture`` (arguments, parameters, autouse fixtures of the file),
``async_test``, ``generator_test``, ``skipped``, ``needs_init``.

Not covered: inherited test methods, autouse fixtures of a ``conftest.py``, conditions of ``skipif``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.candidate import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.class_index import Ancestry, Function, ancestry, dotted
from trace_mine.corpus.mined.snippets.names import is_test_file as is_test_file
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Piece, Snippet

RUNNER_MARKS = ("parametrize", "usefixtures", "given", "fixture", "expand", "data")
"""Last names of decorators by which a runner supplies arguments: of pytest, hypothesis, parameterized and ddt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """Commands around each test of a module or a class: ``before`` it and ``after`` it, in order.

    With a ``drop`` one of them can't be called as it stands, so no test there can run, and both are empty.

    Raises:
        ValueError: there are commands and a drop.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    drop: Drop | None = None

    def __post_init__(self) -> None:
        if self.drop is not None and (self.before or self.after):
            raise ValueError(
                f"expected no commands beside SetUp.drop {self.drop.reason}, got some; give one of the two"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTest:
    """One test as it is to be run: its definition, its name within the module, and its commands.

    ``opens`` are the callables whose calls are opened: set-up, test and tear-down, but not the class that makes
    ``self``.
    """

    node: Function
    name: str
    commands: tuple[str, ...]
    opens: tuple[str, ...]
    drop: Drop | None


def find_tests(source: SourceText, context: RepositoryContext) -> Iterator[Candidate]:
    """Find one candidate for each test function and method, in the order of the file.

    Example:
        The method ``test_a`` of ``class TestB(unittest.TestCase)``, which has a ``setUp``, gives the commands
        ``self = TestB('test_a')``, ``self.setUp()``, ``self.test_a()``.
    """
    if source.tree is None or not is_test_file(source.path):
        return
    # By name: of two definitions the later one is the module's, as at import.
    functions = {node.name: node for node in source.tree.body if isinstance(node, Function)}
    module = _module_set_up(functions)
    # pytest would run such a fixture around tests that do not name it, so they can't be run without pytest either.
    file_drop = _autouse_fixture([*functions.values()]) or module.drop
    for node in source.tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield _candidate(source, context, _function_test(node, module, file_drop))
        elif isinstance(node, ast.ClassDef) and _own_tests(node):
            for test in _method_tests(node, ancestry(source, node, context), module, file_drop):
                yield _candidate(source, context, test)


def _function_test(node: Function, module: SetUp, file_drop: Drop | None) -> FoundTest:
    opens = [call.removesuffix("()") for call in (*module.before, *module.after)]
    return FoundTest(
        node=node,
        name=node.name,
        commands=(*module.before, f"{node.name}()", *module.after),
        opens=(*opens, node.name),
        drop=_drop_of(node, num_bound=0) or file_drop,
    )


def _method_tests(node: ast.ClassDef, family: Ancestry, module: SetUp, file_drop: Drop | None) -> Iterator[FoundTest]:
    """The tests of a class, each with an object of its own, as both runners have it."""
    if not family.is_test_case and not node.name.startswith("Test"):
        return  # a mixin: its tests run in the classes that inherit it
    set_up = _class_set_up(node.name, family)
    # The first of several reasons is counted; what stands at the test itself says most, and comes before these.
    class_drop = (
        file_drop
        or _mark_drop(node)
        or _autouse_fixture([*family.methods.values()])
        or _family_drop(family)
        or set_up.drop
    )
    for test in _own_tests(node):
        # unittest's constructor takes the name of the test to run, pytest's classes take nothing
        create = f"self = {node.name}({test.name!r})" if family.is_test_case else f"self = {node.name}()"
        commands = [*module.before, create, *set_up.before, f"self.{test.name}()", *set_up.after, *module.after]
        yield FoundTest(
            node=test,
            name=f"{node.name}.{test.name}",
            commands=tuple(commands),
            opens=tuple(command.removesuffix("()") for command in commands if command != create),
            drop=_drop_of(test, num_bound=1) or class_drop,
        )


def _own_tests(node: ast.ClassDef) -> list[Function]:
    # Of the class itself. An inherited test would be found once for each class that inherits it.
    return [item for item in node.body if isinstance(item, Function) and item.name.startswith("test")]


def _family_drop(family: Ancestry) -> Drop | None:
    if not family.is_test_case and "__init__" in family.methods:
        return Drop(reason=Reason.NEEDS_INIT, evidence="pytest collects no class that has __init__")
    if family.is_async_case:
        return Drop(reason=Reason.ASYNC_TEST, evidence="IsolatedAsyncioTestCase runs its methods in an event loop")
    return None


def _candidate(source: SourceText, context: RepositoryContext, test: FoundTest) -> Candidate:
    place = context.place(source.path)
    node, drop = test.node, test.drop
    if place.module is None and drop is None:
        drop = Drop(reason=Reason.NOT_IMPORTABLE, evidence="no module name leads to this file")
    return Candidate(
        snippet=Snippet(
            kind="test",
            name=f"{place.module or source.path}.{test.name}",
            path=source.path,
            # `lineno` of a definition is that of its `def`, from CPython 3.8 on: decorators stand above it.
            line=min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]),
            end_line=node.end_lineno or node.lineno,
            pieces=tuple(Piece(source=f"{text}\n", line=node.lineno) for text in test.commands),
            module=place.module,
            opens=test.opens,
        ),
        sys_path=place.sys_path,
        source_hash=source.hash,
        drop=drop,
    )


def _module_set_up(functions: dict[str, Function]) -> SetUp:
    """Module-level set-up and tear-down; a drop when one of them wants an argument."""
    before = [name for name in ("setUpModule", "setup_module", "setup_function") if name in functions]
    after = [name for name in ("teardown_function", "teardown_module", "tearDownModule") if name in functions]
    for name in (*before, *after):
        missing = _required(functions[name], num_bound=0)
        if missing:
            return SetUp(drop=_needs_fixture(f"{name} takes {', '.join(missing)}"))
    return SetUp(before=tuple(f"{name}()" for name in before), after=tuple(f"{name}()" for name in after))


def _class_set_up(name: str, family: Ancestry) -> SetUp:
    """Set-up and tear-down that the repository's own classes define; unittest's, which are empty, are left out."""
    before: tuple[str, ...]
    after: tuple[str, ...]
    if family.is_test_case:
        # setUpClass is called for each test, since each has a process of its own.
        # doCleanups is unittest's own and so never among the methods, unless a class overrides it.
        before, after = ("setUpClass", "setUp"), ("tearDown", "doCleanups", "tearDownClass")
    else:
        before, after = ("setup_class", "setup_method"), ("teardown_method", "teardown_class")
    calls: dict[str, str] = {}
    for method in (*before, *after):
        node = family.methods.get(method)
        if node is not None:
            missing = _required(node, num_bound=1)
            if missing:
                return SetUp(drop=_needs_fixture(f"{method} takes {', '.join(missing)}"))
            is_class_method = any(dotted(decorator) == "classmethod" for decorator in node.decorator_list)
            calls[method] = f"{name if is_class_method else 'self'}.{method}()"
    return SetUp(
        before=tuple(calls[method] for method in before if method in calls),
        after=tuple(calls[method] for method in after if method in calls),
    )


def _drop_of(node: Function, *, num_bound: int) -> Drop | None:
    """The drop of a test that can't be called as it stands; None for one that can.

    ``num_bound`` of its arguments are bound by the call itself (``self``).
    """
    marked = _mark_drop(node)
    if marked is not None:
        return marked
    if isinstance(node, ast.AsyncFunctionDef):
        return Drop(reason=Reason.ASYNC_TEST, evidence="async def")
    if any(dotted(decorator) == "staticmethod" for decorator in node.decorator_list):
        num_bound = 0  # else its first argument would count as given, and the call would raise
    missing = _required(node, num_bound=num_bound)
    if missing:
        return _needs_fixture(f"takes {', '.join(missing)}")
    if any(isinstance(child, ast.Yield | ast.YieldFrom) for child in own_nodes(node)):
        return Drop(reason=Reason.GENERATOR_TEST, evidence="a generator: its tests are what it yields")
    return None


def _mark_drop(node: Function | ast.ClassDef) -> Drop | None:
    """The drop of a test or class that a decorator keeps from being run, by the decorator's last name."""
    for decorator in node.decorator_list:
        name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
        last = name.rpartition(".")[2]
        if last in RUNNER_MARKS:
            return _needs_fixture(f"decorated with {name}")
        if last == "skip":
            # Conditions are left to the run: unittest's `skipIf` raises SkipTest there, which is `test_skipped`.
            return Drop(reason=Reason.SKIPPED, evidence=f"decorated with {name}")
    return None


def _autouse_fixture(functions: Sequence[Function]) -> Drop | None:
    """A drop when one of the functions is a fixture that pytest applies to every test beside it."""
    for node in functions:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and (dotted(decorator.func) or "").rpartition(".")[2] == "fixture":
                for keyword in decorator.keywords:
                    if keyword.arg == "autouse" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
                        return _needs_fixture(f"the fixture {node.name} is used by every test here")
    return None


def _needs_fixture(evidence: str) -> Drop:
    return Drop(reason=Reason.NEEDS_FIXTURE, evidence=evidence)


def _required(node: Function, *, num_bound: int) -> list[str]:
    """Names of the arguments that a call without arguments lacks."""
    positional = [*node.args.posonlyargs, *node.args.args]
    without_default = positional[: len(positional) - len(node.args.defaults)][num_bound:]
    keyword_only = [
        arg for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default is None
    ]
    return [arg.arg for arg in (*without_default, *keyword_only)]


def own_nodes(node: Function) -> Iterator[ast.AST]:
    """The nodes of the function itself, not of functions and classes inside it."""
    pending: list[ast.AST] = list(node.body)
    while pending:
        current = pending.pop()
        yield current
        if not isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(current))
