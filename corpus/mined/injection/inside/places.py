"""The places of a program's text where a draw can be put: statements that only change state, literals, operators.

A place is found by its syntax, from the tree that ``ast`` gives; the edits are made on the text, so that comments and
layout stay those of the author.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trace_mine_inject.neighbours import exchangeable, last_name, neighbours_of

_CHANGING = """
append appendleft extend extendleft insert pop popleft popitem remove discard add update clear reverse sort setdefault
rotate difference_update intersection_update symmetric_difference_update
"""
CHANGING_METHODS = frozenset(_CHANGING.split())
"""Methods of the built-in containers that change them."""
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BLOCKS = ("body", "orelse", "finalbody")
_SIMPLE = (ast.Assign, ast.AugAssign, ast.Expr)
_VALUED = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)


@dataclass(frozen=True)
class DrawPlace:
    """A place for one draw.

    Attributes:
        kind: ``maybe``, ``either`` or ``order``.
        nodes: one statement, two neighbouring ones, or one expression.
        others: of ``either``, the texts of the further outcomes, beside that of the node.
    """

    kind: str
    nodes: tuple[ast.stmt | ast.expr, ...]
    others: tuple[str, ...] = ()

    @property
    def first(self) -> tuple[int, int]:
        return (self.nodes[0].lineno, self.nodes[0].col_offset)

    @property
    def lines(self) -> range:
        last = self.nodes[-1]
        return range(self.nodes[0].lineno, (last.end_lineno or last.lineno) + 1)


@dataclass
class _Around:
    """The surroundings of a statement, as far as they are known.

    Attributes:
        bound: names that every way to here has bound.
        tests: the names in the tests of the ``while`` statements around it: what these read must not be drawn, or the
            loop may have no end.
        own: the name of the function around it.
        in_while: a ``while`` statement is around it, whose end a jump may decide.
    """

    bound: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    own: str = ""
    in_while: bool = False


def places_of(scope: Scope, lines: Sequence[str], kinds: Sequence[str]) -> list[DrawPlace]:
    """Find the places of a function's body, or of a whole program.

    Args:
        scope: a module, or a function.
        lines: the lines of the text that it was parsed from.
        kinds: the kinds that are wanted.
    """
    finder = _Finder(lines, frozenset(kinds))
    finder.scope(scope, frozenset())
    return sorted(finder.places, key=lambda place: (place.first, place.kind))


class _Finder:
    def __init__(self, lines: Sequence[str], kinds: frozenset[str]) -> None:
        self._lines, self._kinds = lines, kinds
        self.places: list[DrawPlace] = []

    def scope(self, scope: Scope, bound: frozenset[str]) -> None:
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = scope.args
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
            bound = frozenset(each.arg for each in every if each is not None)
            around = _Around(bound=bound, own=scope.name)
        else:
            around = _Around(bound=bound)
        self._block(scope.body, around)

    def _block(self, body: Sequence[ast.stmt], around: _Around) -> frozenset[str]:
        """Find the places of a block; return the names that are bound behind it."""
        bound = around.bound
        before: ast.stmt | None = None
        for number, statement in enumerate(body):
            if number == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            here = replace(around, bound=bound)
            is_changing = self._is_alone(statement) and _only_changes(statement, here)
            if is_changing and "maybe" in self._kinds:
                self.places.append(DrawPlace("maybe", (statement,)))
            if (
                is_changing
                and "order" in self._kinds
                and before is not None
                and _meet(before, statement)
                and ast.dump(before) != ast.dump(statement)
            ):
                self.places.append(DrawPlace("order", (before, statement)))
            before = statement if is_changing else None
            if "either" in self._kinds:
                self._expressions(statement, here)
            bound = self._inner(statement, here) | _bound_by(statement)
        return bound

    def _inner(self, statement: ast.stmt, around: _Around) -> frozenset[str]:
        bound = around.bound
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self.scope(statement, frozenset())
            return bound
        if isinstance(statement, ast.ClassDef):
            for each in statement.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    self.scope(each, frozenset())
            return bound
        tests = around.tests | (_names(statement.test) if isinstance(statement, ast.While) else frozenset())
        inside = bound
        if isinstance(statement, ast.For | ast.AsyncFor):
            inside |= _targets(statement.target)
            tests |= _names(statement.iter)  # a list that grows while it is walked
        if isinstance(statement, ast.With | ast.AsyncWith):
            inside |= frozenset(
                name
                for item in statement.items
                if item.optional_vars is not None
                for name in _targets(item.optional_vars)
            )
        inner = replace(around, bound=inside, tests=tests, in_while=around.in_while or isinstance(statement, ast.While))
        ends: list[frozenset[str]] = []
        for name in _BLOCKS:
            block = getattr(statement, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                ends.append(self._block(block, inner))
        for handler in getattr(statement, "handlers", ()):
            self._block(handler.body, inner)
        for case in getattr(statement, "cases", ()):
            self._block(case.body, inner)
        if isinstance(statement, ast.If) and len(ends) == 2:
            return ends[0] & ends[1]
        if isinstance(statement, ast.With | ast.AsyncWith) and ends:
            return ends[0]
        return bound

    def _is_alone(self, statement: ast.stmt) -> bool:
        """Tell if a statement has its lines for itself, so that they can be moved, and no text that they part."""
        first = self._lines[statement.lineno - 1]
        last = self._lines[(statement.end_lineno or statement.lineno) - 1]
        if first[: _column(first, statement.col_offset)].strip():
            return False
        behind = last[_column(last, statement.end_col_offset or 0) :].strip()
        if behind and not behind.startswith("#"):
            return False
        texts = (node for node in ast.walk(statement) if isinstance(node, ast.Constant | ast.JoinedStr))
        return all(node.lineno == node.end_lineno for node in texts)

    def _expressions(self, statement: ast.stmt, around: _Around) -> None:
        """Find literals and operators of a simple statement, or of the test of an ``if``."""
        may_flip = not around.in_while
        if isinstance(statement, ast.If):
            root: ast.AST = statement.test
            if around.own and around.own in _names_called(statement) | _names_called(statement.test):
                return
            may_flip |= not _jumps(statement)
        elif isinstance(statement, _VALUED) and statement.value is not None:
            if isinstance(statement, ast.Expr) and _is_assertion(statement.value):
                return
            root = statement.value
        else:
            return
        if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            names = frozenset(name for target in _target_list(statement) for name in _names(target))
            if names & around.tests:
                return
        if isinstance(statement, ast.Expr) and _names(root) & around.tests:
            return
        for node in exchangeable(root):
            if isinstance(node, ast.Name) and node.id in around.bound:
                continue  # not the built-in function
            others = neighbours_of(node, is_test=node is root and isinstance(statement, ast.If), may_flip=may_flip)
            if others and node.lineno == node.end_lineno:
                self.places.append(DrawPlace("either", (node,), others))


def _column(line: str, offset: int) -> int:
    """The index of a character by its offset in UTF-8, as trees have it."""
    return len(line.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "surrogatepass"))


def _only_changes(statement: ast.stmt, around: _Around) -> bool:
    """Tell if a statement changes state that exists, and does nothing else."""
    if not isinstance(statement, _SIMPLE) or _does_more(statement):
        return False
    if isinstance(statement, ast.Expr):
        call = statement.value
        is_change = (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in CHANGING_METHODS
            and not _names(call.func.value) & around.tests
        )
        return is_change and _is_bound(_root(call.func.value) if isinstance(call, ast.Call) else None, around)  # type: ignore[attr-defined]
    targets = [inner for target in _target_list(statement) for inner in _flat(target)]
    if any(_names(target) & around.tests for target in targets):
        return False
    if isinstance(statement, ast.Assign) and len(statement.targets) > 1:
        return False
    for target in targets:
        if isinstance(target, ast.Name):
            if target.id not in around.bound:
                return False
        elif isinstance(target, ast.Subscript):
            if not _is_bound(_root(target.value), around):
                return False
        elif isinstance(target, ast.Attribute):
            # in ``__init__`` it is the attribute's first value
            if around.own == "__init__" or not _is_bound(_root(target.value), around):
                return False
        else:
            return False
    return bool(targets)


def _is_bound(name: str | None, around: _Around) -> bool:
    return name is not None and (name in around.bound or not around.own)


def _does_more(statement: ast.stmt) -> bool:
    more = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Lambda, ast.Starred)
    return any(isinstance(node, more) for node in ast.walk(statement))


def _meet(one: ast.stmt, other: ast.stmt) -> bool:
    """Tell if the order of two statements can matter: one names what the other changes."""
    return bool(_changed(one) & _mentioned(other) or _changed(other) & _mentioned(one))


def _changed(statement: ast.stmt) -> frozenset[str]:
    """The texts of what a statement changes: of ``a.b[0] = 1`` it is ``a.b``."""
    if isinstance(statement, ast.Expr):
        call = statement.value
        is_method = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        return frozenset((ast.unparse(call.func.value),)) if is_method else frozenset()  # type: ignore[attr-defined]
    targets = [inner for target in _target_list(statement) for inner in _flat(target)]
    return frozenset(ast.unparse(each.value if isinstance(each, ast.Subscript) else each) for each in targets)


def _mentioned(statement: ast.stmt) -> frozenset[str]:
    return frozenset(
        ast.unparse(node) for node in ast.walk(statement) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript)
    )


def _target_list(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AugAssign | ast.AnnAssign) else []


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for inner in target.elts:
            yield from _flat(inner)
    else:
        yield target


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _names(node: ast.AST) -> frozenset[str]:
    return frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _names_called(node: ast.AST) -> frozenset[str]:
    return frozenset(
        each.func.id for each in ast.walk(node) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    )


def _targets(target: ast.expr) -> frozenset[str]:
    return frozenset(each.id for each in _flat(target) if isinstance(each, ast.Name))


def _bound_by(statement: ast.stmt) -> frozenset[str]:
    if isinstance(statement, ast.Assign):
        return frozenset(name for target in statement.targets for name in _targets(target))
    if isinstance(statement, ast.AnnAssign):
        return _targets(statement.target) if statement.value is not None else frozenset()
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset((statement.name,))
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return frozenset((alias.asname or alias.name).partition(".")[0] for alias in statement.names)
    return frozenset()


def _jumps(statement: ast.stmt) -> bool:
    return any(isinstance(each, ast.Break | ast.Continue | ast.Return | ast.Raise) for each in ast.walk(statement))


def _is_assertion(node: ast.expr) -> bool:
    """Tell if a call's name says that it compares: an edited expectation is none."""
    return isinstance(node, ast.Call) and last_name(node.func).lower().startswith(("assert", "expect", "check"))
