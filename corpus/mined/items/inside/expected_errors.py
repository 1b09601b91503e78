"""Blocks that must raise or warn, as what a prompt has for them: ``try``, and a list of the warnings that were shown.

    with pytest.raises(ValueError, match="neg"):    try:
        root(-1)                                        root(-1)
                                                    except ValueError as raised:
                                                        message = str(raised)
                                                    else:
                                                        raise AssertionError('DID NOT RAISE')
                                                    assert re.search('neg', message)

    with pytest.warns(DeprecationWarning):          with warnings.catch_warnings(record=True) as caught_warnings:
        old(1)                                          warnings.simplefilter('always')
                                                        old(1)
                                                    messages = [str(each.message) for each in caught_warnings if ...]
                                                    assert messages

A variable of such a block becomes the exception itself, or the list of warnings, where the test reads nothing else of
pytest's or unittest's object. Where it does, the block stays as its author wrote it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pytest
from trace_mine_items.asserted import attempt, is_load, is_name, nodes, replace
from trace_mine_items.at_prompt import own_nodes
from trace_mine_items.session_names import SessionNames

RAISES, GROUP, WARNS = "raises", "group", "warns"
_METHODS = {
    "assertRaises": (RAISES, False),
    "assertRaisesRegex": (RAISES, True),
    "assertWarns": (WARNS, False),
    "assertWarnsRegex": (WARNS, True),
}
_DEPRECATIONS = "(DeprecationWarning, PendingDeprecationWarning, FutureWarning)"
_EXCEPTION, _WARNING, _LIST = "exception", "warning", "list"
_READ = {
    _EXCEPTION: frozenset(("value", "exception", "type", "typename")),
    _WARNING: frozenset(("warning",)),
    _LIST: frozenset(("list",)),
}
"""By what a block caught, the attributes of pytest's or unittest's object that have it."""
_TEXTS = {"type": "type({})", "typename": "type({}).__name__"}


class ExpectedErrors:
    """Rewrites such blocks of one test.

    Args:
        value_of: the live object of a dotted name in the test's module; None where it is not known.
        method: the name of the method of ``TestCase`` itself that an expression names by ``self``; None for another.
        names: the names that are added.
    """

    def __init__(
        self, value_of: Callable[[ast.expr], object], method: Callable[[ast.expr], str | None], names: SessionNames
    ) -> None:
        self._value_of = value_of
        self._method = method
        self._names = names
        self._caught: set[str] = set()  # variables that held an object of pytest or unittest, and hold what it caught

    def kind_of(self, call: ast.expr) -> str | None:
        """Return what a call is for: RAISES, GROUP, WARNS, or None."""
        if not isinstance(call, ast.Call):
            return None
        method = self._method(call.func)
        if method in _METHODS:
            return _METHODS[method][0]
        function = self._value_of(call.func)
        if function is pytest.raises:
            return RAISES
        if function is pytest.warns or function is pytest.deprecated_call:
            return WARNS
        return GROUP if function is not None and function is getattr(pytest, "RaisesGroup", None) else None

    def block(self, statement: ast.With) -> list[ast.stmt] | None:
        """Return what a block of one manager is at a prompt; None where it stays."""
        item = statement.items[0]
        kind, call, variable = self.kind_of(item.context_expr), item.context_expr, item.optional_vars
        if kind is None or not isinstance(call, ast.Call):
            return None
        if variable is not None and not (isinstance(variable, ast.Name) and variable.id in self._caught):
            return None
        if any(isinstance(each, ast.Starred) for each in call.args):
            return None
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        given.pop("msg", None)
        pattern, operands = given.pop("match", None), [*call.args]
        if self._takes_pattern(call.func) and len(operands) == 2:
            pattern = operands.pop()
        if pattern is not None and not self._names.imports("re"):
            return None
        name = None if variable is None else variable.id
        if kind == GROUP:
            return self._group(statement.body, operands, given, pattern, name)
        if kind == WARNS:
            return self._warns(statement.body, call, operands, given, pattern, name)
        check = given.pop("check", None)
        if len(operands) != 1 or given or not is_name(operands[0]) or (check is not None and name is not None):
            return None
        return self._raises(statement.body, operands[0], pattern, check, name)

    def called(self, call: ast.Call, target: ast.expr | None) -> ast.With | None:
        """Return the block for the form that calls: ``raises(ValueError, int, "x")``; None for anything else.

        Args:
            call: the call.
            target: what its value is assigned to; None for none.
        """
        kind = self.kind_of(call)
        if kind not in (RAISES, WARNS):
            return None
        num_own = 2 if self._takes_pattern(call.func) else 1
        if self._value_of(call.func) is pytest.deprecated_call:
            num_own = 0
        if len(call.args) <= num_own or not all(map(is_name, call.args[: min(num_own, 1)])):
            return None
        inner: ast.expr = ast.Call(call.args[num_own], call.args[num_own + 1 :], call.keywords)
        run: ast.stmt = ast.Expr(inner)
        variable = target if kind == RAISES else None
        if kind == WARNS and target is not None:
            run = ast.Assign([target], inner, lineno=0)
        return ast.With([ast.withitem(ast.Call(call.func, call.args[:num_own], []), variable)], [run], lineno=0)

    def matching(self, call: ast.Call) -> list[ast.stmt]:
        """Return the assertion of ``info.match(pattern)``, which ``look_at`` has made a search; empty for another."""
        if ast.unparse(call.func) != "re.search" or len(call.args) != 2 or not _is_text_of(call.args[1], self._caught):
            return []
        before, message = self._names.bind("message", call.args[1])
        return [*before, *_searched(call.args[0], message)]

    # forms

    def _takes_pattern(self, function: ast.expr) -> bool:
        method = self._method(function)
        return method in _METHODS and _METHODS[method][1]

    def _raises(
        self,
        body: list[ast.stmt],
        kinds: ast.expr,
        pattern: ast.expr | None,
        check: ast.expr | None,
        name: str | None,
    ) -> list[ast.stmt]:
        if name is not None:
            kept = self._names.name("raised")
            block = attempt(body, kinds, kept, f"{name} = {kept}")
            if pattern is None:
                return [block]
            before, shown = self._names.bind("message", ast.parse(f"str({name})", mode="eval").body)
            return [block, *before, *_searched(pattern, shown)]
        after: list[ast.stmt] = []
        then = []
        if pattern is not None:
            message = self._names.name("message")
            then.append(f"{message} = str({self._names.name('raised')})")
            after += _searched(pattern, ast.Name(message, ast.Load()))
        if check is not None:
            error = self._names.name("error")
            then.append(f"{error} = {self._names.name('raised')}")
            after.append(ast.Assert(ast.Call(check, [ast.Name(error, ast.Load())], []), None))
        return [attempt(body, kinds, self._names.name("raised") if then else "", "\n".join(then)), *after]

    def _group(
        self,
        body: list[ast.stmt],
        kinds: list[ast.expr],
        given: dict[str | None, ast.expr],
        pattern: ast.expr | None,
        name: str | None,
    ) -> list[ast.stmt] | None:
        """A block that must raise a group of so many exceptions of plain types, none of which is another's."""
        classes = [self._value_of(kind) for kind in kinds]
        if given or not kinds:
            return None
        for index, cls in enumerate(classes):
            others = [*classes[:index], *classes[index + 1 :]]
            if not isinstance(cls, type) or issubclass(cls, BaseExceptionGroup):
                return None
            if any(isinstance(other, type) and issubclass(cls, other) for other in others):
                return None
        kept, group = self._names.name("raised"), name or self._names.name("group")
        statements = [attempt(body, ast.Name("BaseExceptionGroup", ast.Load()), kept, f"{group} = {kept}")]
        if pattern is not None:
            before, shown = self._names.bind("message", ast.parse(f"str({group})", mode="eval").body)
            statements += [*before, *_searched(pattern, shown)]
        lines = [f"assert len({group}.exceptions) == {len(kinds)}"]
        lines += [f"assert any(isinstance(each, {ast.unparse(kind)}) for each in {group}.exceptions)" for kind in kinds]
        return [*statements, *ast.parse("\n".join(lines)).body]

    def _warns(
        self,
        body: list[ast.stmt],
        call: ast.Call,
        kinds: list[ast.expr],
        given: dict[str | None, ast.expr],
        pattern: ast.expr | None,
        name: str | None,
    ) -> list[ast.stmt] | None:
        function = self._value_of(call.func)
        if not kinds:
            default = _DEPRECATIONS if function is pytest.deprecated_call else "Warning"
            kinds = [ast.parse(default, mode="eval").body]
        if len(kinds) != 1 or given or not is_name(kinds[0]) or not self._names.imports("warnings"):
            return None
        is_list = name is not None and function is pytest.warns  # which gives the test all of them
        caught = name if is_list and name is not None else self._names.name("caught_warnings")
        messages, kind = self._names.name("messages"), ast.unparse(kinds[0])
        lines = [
            f"with warnings.catch_warnings(record=True) as {caught}:\n    warnings.simplefilter('always')",
            f"{messages} = [str(each.message) for each in {caught} if issubclass(each.category, {kind})]",
        ]
        if pattern is None:
            lines.append(f"assert {messages}")
        else:
            lines.append(f"assert any(re.search({ast.unparse(pattern)}, each) for each in {messages})")
        if name is not None and not is_list:
            lines.append(f"{name} = next(each.message for each in {caught} if issubclass(each.category, {kind}))")
        statements = ast.parse("\n".join(lines)).body
        recording = statements[0]
        assert isinstance(recording, ast.With)
        recording.body += body
        return statements

    # variables

    def look_at(self, statements: Sequence[ast.stmt]) -> None:
        """Find the variables of such blocks of which the test reads nothing but what they caught.

        Where it reads an attribute that has it (``info.value``), the variable takes the attribute's place.
        """
        kinds: dict[str, set[str]] = {}
        num_bound: Counter[str] = Counter()
        for node in own_nodes(statements):
            for name, call in _bindings(node):
                kind = self._held(call)
                # what a call of ``warns`` gives is the value of the function that it calls
                if kind == _EXCEPTION or (kind is not None and isinstance(node, ast.With)):
                    kinds.setdefault(name, set()).add(kind)
                    num_bound[name] += 1
        names = [node for node in nodes(statements) if isinstance(node, ast.Name)]
        num_stored = Counter(node.id for node in names if not is_load(node))
        parents = {id(child): node for node in nodes(statements) for child in ast.iter_child_nodes(node)}
        for name in kinds:
            if len(kinds[name]) != 1 or num_stored[name] != num_bound[name]:
                continue
            (kind,) = kinds[name]
            reads = [_Read(node, parents) for node in names if node.id == name and is_load(node)]
            if all(read.is_of(kind) for read in reads) and (self._names.imports("re") or kind == _LIST):
                self._caught.add(name)
                for read in reads:
                    read.replace_in(statements)

    def _held(self, call: ast.expr) -> str | None:
        """The value of a block's variable afterwards: an exception, a warning or a list of warnings."""
        kind = self.kind_of(call)
        if kind == WARNS and isinstance(call, ast.Call):
            return _LIST if self._value_of(call.func) is pytest.warns else _WARNING
        return None if kind is None else _EXCEPTION


class _Read:
    """A place where a test reads the variable of a block."""

    def __init__(self, node: ast.Name, parents: Mapping[int, ast.AST]) -> None:
        self._node = node
        self._parent = parents.get(id(node))
        self._around = parents.get(id(self._parent))
        self._statement = parents.get(id(self._around))

    def is_of(self, kind: str) -> bool:
        """Return True where the read works with what the block caught, too."""
        parent = self._parent
        if isinstance(parent, ast.Attribute):
            if parent.attr == "match":
                call = self._around
                is_called = isinstance(call, ast.Call) and call.func is parent and len(call.args) == 1
                # where it finds nothing it fails itself, as an assertion does
                return kind == _EXCEPTION and is_called and isinstance(self._statement, (ast.Expr, ast.Assert))
            return parent.attr in _READ[kind]
        if kind != _LIST:
            return False
        is_loop = isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is self._node
        is_size = isinstance(parent, ast.Call) and ast.unparse(parent.func) in ("len", "list")
        return is_loop or is_size or (isinstance(parent, ast.Subscript) and parent.value is self._node)

    def replace_in(self, statements: Sequence[ast.stmt]) -> None:
        """Put what the block caught in the place of pytest's or unittest's object for it."""
        parent, name = self._parent, self._node.id
        if not isinstance(parent, ast.Attribute):
            return
        if parent.attr != "match":
            replace(statements, parent, ast.parse(_TEXTS.get(parent.attr, "{}").format(name), mode="eval").body)
        elif isinstance(self._around, ast.Call):
            searched = _searched(self._around.args[0], ast.parse(f"str({name})", mode="eval").body)
            assert isinstance(searched[0], ast.Assert)
            replace(statements, self._around, searched[0].test)


def _is_text_of(node: ast.expr, names: set[str]) -> bool:
    """Return True for ``str(name)`` of one of the names."""
    return any(ast.unparse(node) == f"str({name})" for name in names)


def _bindings(node: ast.AST) -> list[tuple[str, ast.expr]]:
    """The variables of managers and of assignments, with what they are bound to."""
    if isinstance(node, ast.With):
        pairs = [(item.optional_vars, item.context_expr) for item in node.items]
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        pairs = [(node.targets[0], node.value)]
    else:
        return []
    return [(target.id, value) for target, value in pairs if isinstance(target, ast.Name)]


def _searched(pattern: ast.expr, message: ast.expr) -> list[ast.stmt]:
    search = ast.parse("re.search", mode="eval").body
    return [ast.Assert(ast.Call(search, [pattern, message], []), None)]
