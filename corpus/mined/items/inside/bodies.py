"""The body of a test as the statements of a session: what a function has of its own becomes what a prompt has.

The statements run in the namespace of the item's module, with the test's arguments as variables. ``nonlocal`` becomes
``global``, ``super()`` and private names are spelt out, annotations of local variables go, decorators that are context
managers stand around the body. A body that can't be had so (it returns from within, reads its own frame, is a
generator, or its names would mean something else) is ``NotFlat``: the test is called then, and the tracer opens it.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import copy
import inspect
import textwrap
import types
import unittest.mock
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trace_mine_items.assertions import Shown
from trace_mine_items.at_prompt import AtPrompt, NotFlat, own_nodes, without_returns
from trace_mine_items.closeness import numeric_variables
from trace_mine_items.sources import ModuleSource, definition, source_of
from trace_mine_items.values import Speller

# ``Any``: the repository's and pytest's own objects.

MAX_BODY = 20_000
"""Characters of a body; a longer one is a table."""
READS_FRAME = frozenset(
    ("locals", "vars", "dir", "globals", "eval", "exec", "_getframe", "currentframe", "stack", "extract_stack")
)
"""Names of what tells a function from a prompt."""
OF_LOOP = frozenset(("runner", "Runner", "entered", "stepped", "in_loop"))
"""Names that sessions of coroutines have for the event loop, and what runs in it."""
TIME_MANAGERS = frozenset((("freezegun.api", "freeze_time"), ("time_machine", "travel")))
"""Functions and classes whose results are decorators and context managers alike, by module and name."""


@dataclass(frozen=True)
class FlatBody:
    """The statements of a body.

    Attributes:
        texts: a statement each.
        lines: the line of each in the test's file.
        binds: the names that they bind.
        imports: commands of the set-up without which names of the body would be missing.
        awaits: they run coroutines by a variable ``runner``.
    """

    texts: list[str]
    lines: list[int]
    binds: list[str]
    imports: list[str]
    awaits: bool


def flat_body(
    item: Any, function: types.FunctionType, speller: Speller, arguments: Sequence[str], root: str
) -> FlatBody:
    """Return the statements of a test.

    Args:
        item: pytest's.
        function: the test's function, without its decorators.
        speller: knows what the session may import.
        arguments: names of the arguments that fixtures give.
        root: the repository's folder.

    Raises:
        NotFlat: it has none.
    """
    source = source_of(function.__module__)
    node = None if source is None else definition(source, function.__code__.co_name, function.__code__.co_firstlineno)
    if source is None or node is None or "<" in function.__qualname__:
        raise NotFlat("it has no source of its own")
    return _Flattener(item, function, source, node, speller, root).body(arguments)


class _Flattener:
    def __init__(
        self,
        item: Any,
        function: types.FunctionType,
        source: ModuleSource,
        node: ast.FunctionDef | ast.AsyncFunctionDef,
        speller: Speller,
        root: str,
    ) -> None:
        self._root = root
        self._item = item
        self._function = function
        self._source = source
        self._node = node
        self._speller = speller
        code = function.__code__
        self._locals = {*code.co_varnames, *code.co_cellvars}
        self._names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}

    def body(self, arguments: Sequence[str]) -> FlatBody:
        """The statements, checked for what a prompt can't have."""
        function, node = self._function, self._node
        self._check()
        # before the body is looked at: what is injected are variables of it
        managers, injected = self._managers()
        self._check_arguments([*arguments, *injected])
        taken = {*self._names, *self._locals, *self._item.fixturenames}
        statements = node.body
        if isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant):
            statements = statements[1:] or [ast.copy_location(ast.Pass(), statements[0])]
        if isinstance(node, ast.AsyncFunctionDef) and (of_loop := taken & OF_LOOP):
            raise NotFlat(f"it names {min(of_loop)}")
        owner = self._owner()
        flat = AtPrompt(owner, _leading(function))
        changed = without_returns([flat.visit(copy.deepcopy(each)) for each in statements])
        if any(isinstance(each, ast.Return) for each in own_nodes(changed)):
            raise NotFlat("it returns from within a statement")
        cls = self._item.cls
        case = cls if isinstance(cls, type) and issubclass(cls, unittest.TestCase) else None
        shown = Shown(
            self._resolve, case, taken, imports=self._imports, opens=self._opens, numbers=self._numbers(arguments)
        )
        texts: list[str] = []
        lines: list[int] = []
        if managers:
            changed = shown.body(changed)
            texts.append(_around(managers, changed))
            lines.append(node.body[0].lineno)
        else:
            # of all at once: a variable of ``raises`` is read by later statements
            parts = [(each.lineno, each) for each in changed]
            together = shown.body(_marked(parts))
            for each in together:
                lines.append(_line_of(each, lines[-1] if lines else node.body[0].lineno))
                texts.append(self._text(each))
        if sum(map(len, texts)) > MAX_BODY:
            raise NotFlat("it is too long")
        return FlatBody(
            texts=texts,
            lines=lines,
            binds=sorted(self._locals - {*arguments, "self"}),
            imports=self._own_names(),
            awaits=flat.awaits,
        )

    def _check(self) -> None:
        function, code = self._function, self._function.__code__
        if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
            raise NotFlat("it is a generator")
        if {*code.co_freevars} - {"__class__"}:
            raise NotFlat("it closes over variables")
        attributes = {each.attr for each in ast.walk(self._node) if isinstance(each, ast.Attribute)}
        if resolved := READS_FRAME & (self._names | attributes):
            raise NotFlat(f"it names {min(resolved)}")
        for each in own_nodes(self._node.body):
            if isinstance(each, ast.Global):
                raise NotFlat("it binds globals of its module")
        static = inspect.getattr_static(self._item.cls, self._item.function.__name__, None) if self._item.cls else None
        if isinstance(static, (staticmethod, classmethod)):
            raise NotFlat("it is no plain method")
        if self._item.cls is not None and _leading(function) != "self":
            raise NotFlat("its first argument is not called self")

    def _check_arguments(self, given: Sequence[str]) -> None:
        parameters = [*inspect.signature(self._function).parameters]
        if self._item.cls is not None:
            parameters = parameters[1:]
        if missing := [name for name in parameters if name not in given]:
            raise NotFlat(f"nothing gives its argument {missing[0]}")

    def _owner(self) -> str:
        """The name of the class that the method is defined in; empty for a function."""
        if self._item.cls is None:
            return ""
        return self._function.__qualname__.rpartition(".")[0]

    # names

    def _own_names(self) -> list[str]:
        """Commands that import what the body names of its own module, where the item's is another one."""
        namespace, own = vars(self._item.module), self._function.__globals__
        if own is namespace:
            return []
        imports = []
        for name in sorted(self._names - self._locals):
            if name not in own or name.startswith("__"):
                continue
            if name not in namespace:
                imports.append(f"from {self._function.__module__} import {name}")
            elif namespace[name] is not own[name]:
                raise NotFlat(f"{name} is another one in its module")
        return imports

    def _resolve(self, node: ast.expr) -> object:
        """The live object of a dotted name; None where it is none, or would run code of the repository."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self._locals:
            return None
        resolved: Any = self._function.__globals__.get(node.id, getattr(builtins, node.id, None))
        for name in reversed(parts):
            if isinstance(resolved, types.ModuleType):
                resolved = vars(resolved).get(name)
            elif resolved is unittest.mock.patch:
                resolved = getattr(resolved, name, None)
            else:
                return None
        return resolved

    def _numbers(self, arguments: Sequence[str]) -> set[str]:
        """The variables of the body that are numbers, as far as parameters and assignments tell."""
        given = getattr(getattr(self._item, "callspec", None), "params", {})
        numbers = [name for name in arguments if type(given.get(name)) in (int, float)]
        variables: set[str] = numeric_variables(self._node, numbers, self._resolve)
        return variables

    def _imports(self, module: str) -> bool:
        """Return True if the session can name a module of the standard library by its own name."""
        return module not in self._locals and self._speller.module(module) is not None

    def _opens(self, resolved: object) -> bool:
        """Return True for a plain function of the repository."""
        if not isinstance(resolved, types.FunctionType) or hasattr(resolved, "__wrapped__"):
            return False
        is_plain = not resolved.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE)
        return is_plain and resolved.__code__.co_filename.startswith(f"{self._root}/")

    # decorators

    def _managers(self) -> tuple[list[str], list[str]]:
        """The decorators that are context managers, outermost first, as ``with`` has them; the names that they give.

        ``patch`` without a replacement gives one to the test as an argument, the innermost decorator first.
        """
        raw = getattr(self._item.function, "__func__", self._item.function)
        if not hasattr(raw, "__wrapped__") and raw.__code__ is self._function.__code__:
            return [], []
        is_drawn = False
        managers: list[str] = []
        injected: list[str] = []
        names = [*inspect.signature(self._function).parameters]
        if self._item.cls is not None:
            names = names[1:]
        for decorator in reversed(self._node.decorator_list):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            resolved = self._resolve(called)
            if str(getattr(resolved, "__module__", "")).partition(".")[0] == "hypothesis":
                is_drawn = True  # its arguments are variables
                continue
            if _is_mark(self._resolve(_root(called))) or type(resolved).__name__ == "MarkDecorator":
                continue
            if not isinstance(decorator, ast.Call) or not _is_manager(resolved):
                raise NotFlat(f"its decorator {ast.unparse(called)} is no context manager")
            text = ast.unparse(decorator)
            if _injects(resolved, decorator):
                name = names[len(injected)]
                injected.append(name)
                text += f" as {name}"
            managers.insert(0, text)
        if not managers and not is_drawn:
            raise NotFlat("it is wrapped by what is no decorator of its own")
        return managers, injected

    def _text(self, statement: ast.stmt) -> str:
        """The author's text of a statement that was not changed; else a text of its own."""
        original = getattr(statement, "original", None)
        if original is not None and ast.dump(original) == ast.dump(statement):
            text = ast.get_source_segment(self._source.text, original, padded=True) or ""
            text = textwrap.dedent(text).strip("\n")
            try:
                if [ast.dump(each) for each in ast.parse(text).body] == [ast.dump(statement)]:
                    return text
            except SyntaxError:
                pass  # a part of a line, or a text whose lines have less indentation
        return ast.unparse(ast.fix_missing_locations(statement))


def _marked(parts: Sequence[tuple[int, ast.stmt]]) -> list[ast.stmt]:
    for line, statement in parts:
        for node in ast.walk(statement):
            if not hasattr(node, "lineno"):
                node.lineno = line  # type: ignore[attr-defined]
    return [statement for _, statement in parts]


def _line_of(statement: ast.stmt, before: int) -> int:
    """The first line that a node of the statement has; what was added stands at the line before it."""
    lines = [line for node in ast.walk(statement) if (line := getattr(node, "lineno", 0))]
    return min([line for line in lines if line >= before], default=before)


def _around(managers: Sequence[str], statements: Sequence[ast.stmt]) -> str:
    block = "\n".join(ast.unparse(ast.fix_missing_locations(each)) for each in statements)
    tree = ast.parse(block)
    for manager in reversed(managers):
        outer = ast.parse(f"with {manager}:\n    pass").body[0]
        assert isinstance(outer, ast.With)
        outer.body = tree.body
        tree = ast.Module([outer], [])
    return ast.unparse(tree)


def _leading(function: Any) -> str:
    return next(iter(inspect.signature(function).parameters), "")


def _root(node: ast.expr) -> ast.expr:
    """``pytest.mark`` of ``pytest.mark.parametrize``."""
    return node.value if isinstance(node, ast.Attribute) else node


def _is_mark(resolved: object) -> bool:
    return type(resolved).__name__ in ("MarkGenerator", "MarkDecorator")


def _is_manager(resolved: object) -> bool:
    """Return True if what the callable returns is a context manager that a decorator enters for each call."""
    patch: Any = unittest.mock.patch
    if any(resolved is each for each in (patch, patch.object, patch.dict)):
        return True
    if (getattr(resolved, "__module__", ""), getattr(resolved, "__qualname__", "")) in TIME_MANAGERS:
        return True
    if isinstance(resolved, type):
        return issubclass(resolved, contextlib.ContextDecorator)
    code = getattr(resolved, "__code__", None)
    return code is not None and code.co_filename == contextlib.__file__ and hasattr(resolved, "__wrapped__")


def _injects(resolved: object, decorator: ast.Call) -> bool:
    """Return True if ``patch`` hands its replacement to the test."""
    patch: Any = unittest.mock.patch
    given = {keyword.arg for keyword in decorator.keywords}
    if resolved is patch:
        return len(decorator.args) < 2 and "new" not in given
    return resolved is patch.object and len(decorator.args) < 3 and "new" not in given
