"""Facts of a function that its tree alone gives: its locals, and if its body can be opened.

Each fact is worked out once for a function, on demand: a loop may call the function thousands of times.
"""

from __future__ import annotations

import ast
import pickle
from functools import cached_property

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.comparable_lines import comparable_lines
from trace_mine.tracer.inside.syntax.names import bound_names, declared, local_names, walk_scope
from trace_mine.tracer.inside.syntax.walking import walk

_dump, _load = pickle.dumps, pickle.loads
"""Copy a tree 2.7 times as fast as ``copy.deepcopy``; bound before the snippet can patch them."""


_aliases = (ast.TypeAlias,) if hasattr(ast, "TypeAlias") else ()  # ``type X = ...``, from 3.12 on
OF_ARGUMENTS = frozenset({"vars", "dir"})
"""Functions that look at what they are given, and without arguments at the names around them."""
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class FunctionFacts:
    """The facts of one definition. Holds its tree, so that the tree's id is not given to another one."""

    def __init__(self, definition: ast.FunctionDef) -> None:
        self.definition = definition

    def copy_tree(self) -> ast.FunctionDef:
        """Return a copy of the definition's tree, which each call renames for itself."""
        tree: ast.FunctionDef = _load(self._pickled)
        return tree

    @cached_property
    def _pickled(self) -> bytes:
        """The tree as bytes, from which ``copy_tree`` makes its copies."""
        return _dump(self.definition, -1)

    @cached_property
    def locals(self) -> frozenset[str]:
        """The names of its local variables: its parameters and the names that its body binds."""
        return frozenset(local_names(self.definition))

    @cached_property
    def rebound(self) -> frozenset[str]:
        """The names that its body binds: parameters that are among them change their value."""
        return frozenset(bound_names(self.definition.body))

    @cached_property
    def captures(self) -> bool:
        """True if a function, class or generator made in its body may read its variables after the call."""
        # other comprehensions are done when the statement is; the value of an alias is computed when it is asked for
        return any(
            isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp, *_aliases))
            for node in walk_scope(self.definition.body)
        )

    @cached_property
    def looks_at_itself(self) -> bool:
        """True if ``vars`` or ``dir`` stand in the body otherwise than as calls with a first argument, which is no
        ``*``: without one they give the body's own names.
        """
        given = {
            id(node.func)
            for node in walk(self.definition)
            if isinstance(node, ast.Call) and node.args and not isinstance(node.args[0], ast.Starred)
        }
        return any(
            isinstance(node, ast.Name) and node.id in OF_ARGUMENTS and id(node) not in given
            for node in walk(self.definition)
        )

    @cached_property
    def lines(self) -> list[tuple[int, int]]:
        """The lines at which its path can be compared with settrace's."""
        if self.definition.name.startswith("<"):
            return []  # a lambda's: an expression, which has no lines of its own
        return comparable_lines(self.definition.body)

    @cached_property
    def nonlocals(self) -> frozenset[str]:
        """The names that it declares ``nonlocal``."""
        return frozenset(declared(self.definition.body, ast.Nonlocal))

    @cached_property
    def rebound_inside(self) -> frozenset[str]:
        """The names that functions in its body declare ``nonlocal``: a call of one may rebind a local of this one."""
        inner = [node for node in walk_scope(self.definition.body) if isinstance(node, _INNER)]
        return frozenset(
            name
            for function in inner
            for node in walk(function)
            if isinstance(node, ast.Nonlocal)
            for name in node.names
        )

    @cached_property
    def has_globals(self) -> bool:
        """True if it declares names ``global``. In a function of the program these are the session's own variables."""
        return bool(declared(self.definition.body, ast.Global))

    @cached_property
    def outer_names(self) -> frozenset[str] | None:
        """The names that it, or a function in it, declares ``global``, where each of their uses, and of those that it
        declares ``nonlocal``, can be an attribute: ``n += 1`` is ``module.n += 1``. None where one can't.
        """
        nodes = [*walk(self.definition)]
        names = frozenset(name for node in nodes if isinstance(node, ast.Global) for name in node.names)
        both = names | self.nonlocals
        return names if not any(_binds_plainly(node, both) for node in nodes if node is not self.definition) else None

    @cached_property
    def is_generator(self) -> bool:
        """True if a ``yield`` stands in its body."""
        return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in walk_scope(self.definition.body))

    @cached_property
    def refusal(self) -> Reason | None:
        """The reason for which its body cannot be opened, by the nodes in it; None where no node forbids that."""
        for node in walk_scope(self.definition.body):
            # ``super()`` can be spelt with its class (``bodies``), a bare ``__class__`` is the method's own cell
            if isinstance(node, ast.Name) and node.id == "__class__":
                return Reason.CLASS_CELL
            if isinstance(node, (ast.Yield, ast.YieldFrom)) and not self._is_whole_value(node):
                return Reason.YIELD_EXPRESSION
            if isinstance(node, ast.TryStar):
                return Reason.TRY_STAR
            # in a function that is no coroutine, which is refused before, ``await`` can stand in a generator
            # expression only; the other two are for a tree that is not the function's own (``compile(text, path)``)
            if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
                return Reason.AWAIT_EXPRESSION
        return None

    def _is_whole_value(self, node: ast.expr) -> bool:
        """Return True if the expression is all of a statement's value (``x = yield y``), or a statement by itself."""
        kinds = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)
        outer = [each for each in walk_scope(self.definition.body) if isinstance(each, kinds) and each.value is node]
        # another target would be evaluated before the ``yield``
        return any(not isinstance(each, ast.AugAssign) or isinstance(each.target, ast.Name) for each in outer)


def _binds_plainly(node: ast.AST, names: frozenset[str]) -> bool:
    """Return True if a node binds one of the names where no attribute can stand."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name in names or (isinstance(node, ast.ClassDef) and bool(bound_names(node.body) & names))
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return any((alias.asname or alias.name).split(".")[0] in names for alias in node.names)
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return node.name in names
    if isinstance(node, ast.MatchMapping):
        return node.rest in names
    if isinstance(node, ast.NamedExpr):
        return node.target.id in names
    if isinstance(node, ast.comprehension):  # a variable of its own, which ``Rewriter`` takes for the outer one
        return any(isinstance(each, ast.Name) and each.id in names for each in walk(node.target))
    return isinstance(node, _aliases) and node.name.id in names


class KnownFunctions:
    """The facts of every function that was asked for, by the id of its definition."""

    def __init__(self) -> None:
        self._facts: dict[int, FunctionFacts] = {}

    def facts(self, definition: ast.FunctionDef) -> FunctionFacts:
        """Return the facts of a definition, whose tree must not change afterwards."""
        facts = self._facts.get(id(definition))
        if facts is None:
            facts = self._facts[id(definition)] = FunctionFacts(definition)
        return facts
