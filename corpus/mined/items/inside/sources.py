"""The source text of a parameter, where its value can't be spelt: its expression in the decorator that gives it."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType

MAX_TEXT = 2_000


@dataclass(frozen=True)
class ModuleSource:
    """A module with its text and tree."""

    module: ModuleType
    text: str
    tree: ast.Module

    def segment(self, node: ast.expr) -> str | None:
        """The author's text of an expression, in one line; None where it is too long."""
        text = ast.get_source_segment(self.text, node) or ""
        if "\n" in text:
            text = ast.unparse(node)  # one line, so that it can stand behind ``name = ``
        return text if text and len(text) <= MAX_TEXT else None

    def value_of(self, name: str) -> ast.expr | None:
        """The expression that the module's last assignment gives a name."""
        value = None
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                value = node.value
        return value


@cache
def source_of(name: str) -> ModuleSource | None:
    """Return the source of an imported module; None where it has none."""
    module = sys.modules.get(name)
    if module is None:
        return None
    try:
        text = inspect.getsource(module)
        return ModuleSource(module, text, ast.parse(text))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return None


def parametrized(function: object, cls: type | None, module: str, name: str, index: int) -> tuple[str, str] | None:
    """Return the text of a parameter's expression and the name of the module that the text stands in.

    Args:
        function: the test's function, without its decorators.
        cls: the class that it was collected from; None for a function of a module.
        module: the name of the item's module.
        name: the parameter.
        index: the number of the parameter's set among those that the decorator gives.
    """
    for source, decorator in _decorators(function, cls, module):
        if isinstance(decorator, ast.Name):  # ``over = pytest.mark.parametrize(...)``, then ``@over``
            decorator = source.value_of(decorator.id) or decorator
        if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("parametrize"):
            continue
        given = dict(zip(("argnames", "argvalues"), decorator.args, strict=False))
        given.update({keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg is not None})
        names = _names(given.get("argnames"))
        if names is None or name not in names or "argvalues" not in given:
            continue
        position = None if isinstance(given["argnames"], ast.Constant) and len(names) == 1 else names.index(name)
        text = _element(source, given["argvalues"], index, position)
        if text is not None and _is_computed(given["argvalues"]) and _is_parameter_set((function, cls), names, index):
            text = _element(source, given["argvalues"], index, None)
            text = None if text is None else f"{text}.values[{position or 0}]"
        return None if text is None else (text, source.module.__name__)
    return None


def _is_computed(values: ast.expr) -> bool:
    """Tell if the values of parameters are given by an expression, not one by one, and not by a name."""
    if isinstance(values, (ast.List, ast.Tuple)):
        return any(isinstance(item, ast.Starred) for item in values.elts)
    return not isinstance(values, ast.Name)


def _is_parameter_set(marked: tuple[object, ...], names: Sequence[str], index: int) -> bool:
    """Tell if a value of a computed list of parameters is a ``pytest.param(...)``, by the list that the mark holds."""
    for each in marked:
        for mark in getattr(each, "pytestmark", ()):
            given = dict(zip(("argnames", "argvalues"), mark.args, strict=False)) | mark.kwargs
            argnames, values = given.get("argnames"), given.get("argvalues")
            own = [part.strip() for part in argnames.split(",")] if isinstance(argnames, str) else argnames
            if mark.name == "parametrize" and [*(own or ())] == [*names] and isinstance(values, (list, tuple)):
                return index < len(values) and type(values[index]).__name__ == "ParameterSet"
    return False


def fixture_parameter(function: object, index: int) -> tuple[str, str] | None:
    """Return the text of ``request.param`` in the decorator of a fixture, and the name of the fixture's module."""
    module = getattr(function, "__module__", "")
    for source, decorator in _decorators(function, None, module):
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg == "params":
                text = _element(source, keyword.value, index, None)
                return None if text is None else (text, module)
    return None


def imports_for(
    text: str, module: str, namespace: Mapping[str, object], without: Sequence[str] = ()
) -> list[str] | None:
    """Return commands that import what an expression names of the module that it stands in.

    Args:
        text: the expression.
        module: the name of its module.
        namespace: that in which it is to be evaluated; what it has already needs no import.
        without: names that are no globals of the module.

    Returns:
        The commands; None where a name means something else in the namespace.
    """
    own = vars(sys.modules[module])
    if own is namespace:
        return []
    names = {each.id for each in ast.walk(ast.parse(text, mode="eval")) if isinstance(each, ast.Name)}
    used = sorted((names - {*without}) & own.keys())
    if any(name in namespace and namespace[name] is not own[name] for name in used):
        return None
    return [f"from {module} import {name}" for name in used if name not in namespace]


def _decorators(function: object, cls: type | None, module: str) -> Iterator[tuple[ModuleSource, ast.expr]]:
    """The decorators of a function, of the classes that it was collected from, and the marks of their module."""
    own = source_of(getattr(function, "__module__", ""))
    code = getattr(function, "__code__", None)
    if own is not None and code is not None:
        node = definition(own, code.co_name, code.co_firstlineno)
        for decorator in node.decorator_list if node is not None else ():
            yield own, decorator
    for base in cls.__mro__ if cls is not None else ():
        source = source_of(base.__module__)
        if source is None or base.__module__ in ("builtins", "unittest.case"):
            continue
        for each in ast.walk(source.tree):
            if isinstance(each, ast.ClassDef) and each.name == base.__name__:
                for decorator in each.decorator_list:
                    yield source, decorator
    source = source_of(module)
    marks = None if source is None else source.value_of("pytestmark")
    if source is not None and marks is not None:
        for mark in marks.elts if isinstance(marks, (ast.List, ast.Tuple)) else [marks]:
            yield source, mark


def _indexed(source: ModuleSource, values: ast.expr, index: int, position: int | None) -> str | None:
    """The text of a value of a list that is a name's, or computed: ``CASES[3][1]``."""
    text = source.segment(values)
    if text is None:
        return None
    if isinstance(values, ast.Name):
        cases = vars(source.module).get(values.id)
        if not isinstance(cases, (list, tuple)) or index >= len(cases):
            return None  # an iterator is at its end by now
        case = cases[index]
        one = f"{text}[{index}]"
        if type(case).__name__ == "ParameterSet":
            return f"{one}.values[{position or 0}]"
    else:
        one = f"list({text})[{index}]"
    return one if position is None else f"{one}[{position}]"


@cache
def definition(source: ModuleSource, name: str, first_line: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the ``def`` of a code object by its name and its first line, which is that of its first decorator."""
    for node in ast.walk(source.tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != name:
            continue
        if min([node.lineno, *(each.lineno for each in node.decorator_list)]) == first_line:
            return node
    return None


def _names(node: ast.expr | None) -> list[str] | None:
    """The names of ``parametrize``: ``"a, b"``, or a list of texts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [part.strip() for part in node.value.split(",") if part.strip()]
    if isinstance(node, (ast.List, ast.Tuple)):
        texts = [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        return texts if len(texts) == len(node.elts) else None
    return None


def _element(source: ModuleSource, values: ast.expr, index: int, position: int | None) -> str | None:
    """The text of one value of a list of parameter sets; ``position``: its place in a set of several."""
    if not isinstance(values, (ast.List, ast.Tuple)) or any(isinstance(item, ast.Starred) for item in values.elts):
        return _indexed(source, values, index, position)
    if index >= len(values.elts):
        return None
    node = values.elts[index]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "param":
        position = position or 0
        return source.segment(node.args[position]) if position < len(node.args) else None
    if position is None:
        return source.segment(node)
    if isinstance(node, (ast.Tuple, ast.List)) and not any(isinstance(item, ast.Starred) for item in node.elts):
        return source.segment(node.elts[position]) if position < len(node.elts) else None
    return None
