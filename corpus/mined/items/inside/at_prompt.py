"""A function's statements as those of a prompt: what only a function has is spelt otherwise, or refused."""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from typing import Any

# ``Any``: trees of any kind, as ``NodeTransformer`` has them.


_MADE_IN_LOOP = frozenset(("asyncio.gather", "asyncio.create_task", "asyncio.ensure_future", "asyncio.shield"))
"""Functions whose results belong to the loop that runs when they are called."""


class NotFlat(Exception):
    """The body has no form as statements of a session; the message is why."""


class AtPrompt(ast.NodeTransformer):
    """Makes a function's statements those of a prompt.

    Args:
        owner: the class that the function is defined in; empty for none.
        instance: the name of its first argument.

    Attributes:
        awaits: they run coroutines by a variable ``runner``.

    Raises:
        NotFlat: while it visits, what has no such form.
    """

    def __init__(self, owner: str, instance: str) -> None:
        self._owner = owner
        self._instance = instance
        self._depth = 0
        self.awaits = False

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.stmt:
        return ast.copy_location(ast.Global(node.names), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        self.generic_visit(node)
        if self._depth or not isinstance(node.target, ast.Name):
            return node
        plain: ast.stmt = ast.Pass() if node.value is None else ast.Assign([node.target], node.value, lineno=0)
        return ast.copy_location(plain, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if self._owner and node.attr.startswith("__") and not node.attr.endswith("__"):
            node.attr = f"_{self._owner.rpartition('.')[2].lstrip('_')}{node.attr}"
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if self._owner and node.id.startswith("__") and not node.id.endswith("__"):
            raise NotFlat("it has private names")
        if node.id == "__class__":
            raise NotFlat("it names its class")
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            if not self._owner or self._depth:
                raise NotFlat("it calls super() within")
            node.args = [ast.parse(self._owner, mode="eval").body, ast.Name(self._instance, ast.Load())]
        return node

    def visit_Await(self, node: ast.Await) -> ast.expr:
        self.generic_visit(node)
        if self._depth:
            return node
        self.awaits = True
        run = ast.Attribute(ast.Name("runner", ast.Load()), "run", ast.Load())
        awaited = node.value
        if isinstance(awaited, ast.Call) and ast.unparse(awaited.func) in _MADE_IN_LOOP:
            made = ast.Lambda(ast.parse("lambda: 0", mode="eval").body.args, awaited)  # type: ignore[attr-defined]
            awaited = ast.Call(ast.Name("in_loop", ast.Load()), [made], [])
        return ast.copy_location(ast.Call(run, [awaited], []), node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.stmt:
        self.generic_visit(node)
        if self._depth:
            return node
        self.awaits = True
        items = [ast.withitem(self._of_loop("entered", each.context_expr), each.optional_vars) for each in node.items]
        return ast.copy_location(ast.With(items, node.body), node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.stmt:
        self.generic_visit(node)
        if self._depth:
            return node
        self.awaits = True
        return ast.copy_location(
            ast.For(node.target, self._of_loop("stepped", node.iter), node.body, node.orelse), node
        )

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        self.generic_visit(node)
        if node.is_async and not self._depth:
            self.awaits = True
            node.iter, node.is_async = self._of_loop("stepped", node.iter), 0
        return node

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        if not self._depth and any(each.is_async for each in node.generators):
            raise NotFlat("it has an asynchronous generator")
        self.generic_visit(node)
        return node

    def _of_loop(self, name: str, argument: ast.expr) -> ast.expr:
        """A call of what ``stand_ins`` has for statements of coroutines."""
        return ast.Call(ast.Name(name, ast.Load()), [argument], [])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._inner(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self._inner(node)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return self._inner(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        if any(isinstance(each, ast.Name) and each.id == "super" for each in ast.walk(node)):
            return node  # its own ``super()``, in its own methods
        owner, self._owner = self._owner, ""  # it has private names of its own
        try:
            return self._inner(node)
        finally:
            self._owner = owner

    def _inner(self, node: Any) -> Any:
        self._depth += 1
        try:
            return self.generic_visit(node)
        finally:
            self._depth -= 1

    def visit(self, node: ast.AST) -> Any:
        """Keep beside each statement the one that it was made from."""
        if isinstance(node, ast.stmt):
            original = copy.deepcopy(node)
            result = super().visit(node)
            result.original = original
            return result
        return super().visit(node)


def without_returns(statements: list[Any]) -> list[ast.stmt]:
    """Return the statements without a ``return`` at their end; ``if done: return`` has the rest in its ``else``."""
    for index, statement in enumerate(statements):
        if isinstance(statement, ast.Return):
            ending = [] if statement.value is None else [ast.copy_location(ast.Expr(statement.value), statement)]
            return [*statements[:index], *ending] or [ast.copy_location(ast.Pass(), statement)]
        is_guard = isinstance(statement, ast.If) and not statement.orelse
        if is_guard and isinstance(statement.body[-1], ast.Return) and statement.body[-1].value is None:
            statement.body = statement.body[:-1] or [ast.Pass()]
            statement.orelse = without_returns(statements[index + 1 :])
            return statements[: index + 1]
    return statements


def own_nodes(statements: Sequence[ast.AST]) -> list[ast.AST]:
    """Return the nodes of statements, without those of functions and classes in them."""
    resolved: list[ast.AST] = []
    pending = [*statements]
    while pending:
        node = pending.pop()
        resolved.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending += ast.iter_child_nodes(node)
    return resolved
