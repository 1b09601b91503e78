"""Test functions and ``unittest`` methods that need nothing from a test runner.

Files named as pytest and unittest collect them (``test*.py``, ``*_test.py``, ``tests.py``). What needs a runner is
found and dropped: ``needs_fixture`` (arguments, parameters, autouse fixtures of the file), ``async_test``,
``generator_test``, ``skipped``, ``needs_init``. Not covered: inherited test methods, autouse fixtures of a
``conftest.py``, conditions of ``skipif``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.candidate import Candidate, Context
from trace_mine.corpus.mined.snippets.class_index import Ancestry, ancestry, dotted
from trace_mine.tracer.schema import Piece, Snippet

TEST_FILE = re.compile(r"(test.*|.*_test|tests)\.py\Z")


def is_test_file(path: str) -> bool:
    """Whether pytest and unittest would look for tests in the file."""
    return TEST_FILE.match(path.rpartition("/")[2]) is not None


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What is called around a test, in order: before it, and after it."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def find_tests(source: SourceText, context: Context) -> Iterator[Candidate]:
    """One candidate for each test function and method, in the order of the file."""
    if source.tree is None or not is_test_file(source.path):
        return
    functions = {node.name: node for node in source.tree.body if isinstance(node, Function)}
    autouse = _autouse_fixture([*functions.values()])
    pieces_around, refusal = _module_calls(functions)
    for node in source.tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            why = _refusal(node, num_bound=0) or autouse or refusal
            opens = [name.removesuffix("()") for name in (*pieces_around.before, *pieces_around.after)]
            sources = [*pieces_around.before, f"{node.name}()", *pieces_around.after]
            yield _candidate(source, context, node, node.name, sources, [*opens, node.name], why)
        elif isinstance(node, ast.ClassDef) and _own_tests(node):
            yield from _methods(source, context, node, pieces_around, autouse or refusal)


def _methods(
    source: SourceText, context: Context, node: ast.ClassDef, around: Calls, refusal: tuple[str, str] | None
) -> Iterator[Candidate]:
    family = ancestry(source, node, context)
    if not family.is_test_case and not node.name.startswith("Test"):
        return  # a mixin: its tests run in the classes that inherit it
    why = refusal or _marks(node) or _autouse_fixture([*family.methods.values()]) or _family_refusal(family)
    calls, class_refusal = _class_calls(node.name, family)
    for test in _own_tests(node):
        create = f"self = {node.name}({test.name!r})" if family.is_test_case else f"self = {node.name}()"
        sources = [*around.before, create, *calls.before, f"self.{test.name}()", *calls.after, *around.after]
        opens = [call.removesuffix("()") for call in sources if call != create]
        reason = _refusal(test, num_bound=1) or why or class_refusal
        yield _candidate(source, context, test, f"{node.name}.{test.name}", sources, opens, reason)


def _own_tests(node: ast.ClassDef) -> list[Function]:
    return [item for item in node.body if isinstance(item, Function) and item.name.startswith("test")]


def _family_refusal(family: Ancestry) -> tuple[str, str] | None:
    if not family.is_test_case and "__init__" in family.methods:
        return "needs_init", "pytest collects no class that has __init__"
    if family.is_async_case:
        return "async_test", "IsolatedAsyncioTestCase runs its methods in an event loop"
    return None


def _candidate(
    source: SourceText,
    context: Context,
    node: Function,
    name: str,
    sources: list[str],
    opens: list[str],
    why: tuple[str, str] | None,
) -> Candidate:
    place = context.place(source.path)
    if place.module is None and why is None:
        why = ("not_importable", "no module name leads to this file")
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return Candidate(
        snippet=Snippet(
            kind="test",
            name=f"{place.module or source.path}.{name}",
            path=source.path,
            line=first,
            end_line=node.end_lineno or node.lineno,
            pieces=tuple(Piece(source=f"{text}\n", line=node.lineno) for text in sources),
            module=place.module,
            opens=tuple(opens),
        ),
        sys_path=place.sys_path,
        source_hash=source.hash,
        reason=why[0] if why else None,
        evidence=why[1] if why else "",
    )


def _module_calls(functions: dict[str, Function]) -> tuple[Calls, tuple[str, str] | None]:
    """Module-level set-up and tear-down, and a refusal when one of them wants an argument."""
    before = [name for name in ("setUpModule", "setup_module", "setup_function") if name in functions]
    after = [name for name in ("teardown_function", "teardown_module", "tearDownModule") if name in functions]
    for name in (*before, *after):
        missing = _required(functions[name], num_bound=0)
        if missing:
            return Calls(), ("needs_fixture", f"{name} takes {', '.join(missing)}")
    return Calls(before=tuple(f"{name}()" for name in before), after=tuple(f"{name}()" for name in after)), None


def _class_calls(name: str, family: Ancestry) -> tuple[Calls, tuple[str, str] | None]:
    """Set-up and tear-down that the repository defines; unittest's own empty ones are left out."""
    if family.is_test_case:
        first, last = ["setUpClass", "setUp"], ["tearDown", "doCleanups", "tearDownClass"]
    else:
        first, last = ["setup_class", "setup_method"], ["teardown_method", "teardown_class"]
    before: list[str] = []
    after: list[str] = []
    for method, calls in [*((method, before) for method in first), *((method, after) for method in last)]:
        node = family.methods.get(method)
        if node is not None:
            missing = _required(node, num_bound=1)
            if missing:
                return Calls(), ("needs_fixture", f"{method} takes {', '.join(missing)}")
            is_class_method = any(dotted(decorator) == "classmethod" for decorator in node.decorator_list)
            calls.append(f"{name if is_class_method else 'self'}.{method}()")
    return Calls(before=tuple(before), after=tuple(after)), None


def _refusal(node: Function, *, num_bound: int) -> tuple[str, str] | None:
    """Why the function can't be called as it stands; ``num_bound`` arguments are bound (``self``)."""
    marked = _marks(node)
    if marked:
        return marked
    if isinstance(node, ast.AsyncFunctionDef):
        return "async_test", "async def"
    if any(dotted(decorator) == "staticmethod" for decorator in node.decorator_list):
        num_bound = 0
    missing = _required(node, num_bound=num_bound)
    if missing:
        return "needs_fixture", f"takes {', '.join(missing)}"
    if any(isinstance(child, ast.Yield | ast.YieldFrom) for child in own_nodes(node)):
        return "generator_test", "a generator: its tests are what it yields"
    return None


def _marks(node: Function | ast.ClassDef) -> tuple[str, str] | None:
    for decorator in node.decorator_list:
        name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
        last = name.rpartition(".")[2]
        if last in ("parametrize", "usefixtures", "given", "fixture", "expand", "data"):
            return "needs_fixture", f"decorated with {name}"
        if last == "skip":
            return "skipped", f"decorated with {name}"
    return None


def _autouse_fixture(functions: list[Function]) -> tuple[str, str] | None:
    for node in functions:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and (dotted(decorator.func) or "").rpartition(".")[2] == "fixture":
                for keyword in decorator.keywords:
                    if keyword.arg == "autouse" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
                        return "needs_fixture", f"the fixture {node.name} is used by every test here"
    return None


def _required(node: Function, *, num_bound: int) -> list[str]:
    """Names of the arguments that a call without arguments lacks."""
    positional = [*node.args.posonlyargs, *node.args.args]
    without_default = positional[: len(positional) - len(node.args.defaults)][num_bound:]
    keyword_only = [
        arg for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default is None
    ]
    return [arg.arg for arg in (*without_default, *keyword_only)]


def own_nodes(node: Function) -> Iterator[ast.AST]:
    """Nodes of the function itself, not of functions and classes inside it."""
    pending: list[ast.AST] = list(node.body)
    while pending:
        current = pending.pop()
        yield current
        if not isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(current))
