"""Sub-expressions that Python evaluates before an opened call: held in variables where the call may change them.

A constant stays where it is. So does a name that nothing rebinds: a followed call has locals of its own, and only
``global``, ``nonlocal`` and ``:=`` bind a name of the session. These are seen in the program's text; what no text tells
(``globals()["n"] = 2``) is noticed afterwards, when the name has another value, and the statement is kept whole then.
"""

from __future__ import annotations

import ast
import copy
import types
from functools import cached_property
from typing import cast

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.targets import class_member
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import ATOMS, HEAP_TYPE, attributes, class_flags, plain_access
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression

_PLAIN_MEMBERS: tuple[type, ...] = (
    types.FunctionType,
    staticmethod,
    classmethod,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.BuiltinFunctionType,
    types.MethodType,
)
"""Types of class members that a look-up binds without running code of the snippet."""


class Held:
    """What of one statement's expressions was evaluated so far, while calls in them are opened.

    Args:
        context: the session.
        frame: the activation that the statement runs in.
        nodes: all the expressions.
    """

    def __init__(self, context: DriveContext, frame: Frame, nodes: list[ast.expr]) -> None:
        self._context = context
        self._frame = frame
        self._nodes = nodes
        self._left: list[tuple[ast.expr, object]] = []
        """Expressions that were left in place, with what they gave when Python evaluates them."""

    @cached_property
    def _bound(self) -> set[str]:
        """The names that the statement binds: ``:=`` in a later operand rebinds one that an earlier operand reads."""
        return bound_names([ast.Expr(node) for node in self._nodes])

    def mark(self) -> int:
        """Return a mark: expressions that are left in place from now on are those after it."""
        return len(self._left)

    def check(self, mark: int = 0) -> None:
        """Check that all that was left in place since the mark still has its value, before a command evaluates it.

        Raises:
            Restart: it has not, so that the commands so far have another order of evaluation than the program.
        """
        for node, value in self._left[mark:]:
            current = self._method(node) if isinstance(node, ast.Attribute) else self._context.variables.peek(node)
            if current is not value:
                self._context.give_up_statement(self._frame, Reason.REBOUND)
        del self._left[mark:]

    def settle(self, node: ast.expr, *, stem: str = "value", reveal: bool = True) -> ast.expr:
        """Return an expression whose value is what the node's is now, whatever is opened before it is evaluated."""
        if isinstance(node, ast.Name):
            return self._name(node, stem, reveal)
        if isinstance(node, ast.Constant) or (isinstance(node, ast.Lambda) and not _has_defaults(node)):
            return node
        if isinstance(node, ast.Starred):
            spread = self._assign(ast.List([node], ast.Load()), stem, reveal)
            return ast.Starred(spread, ast.Load())
        if isinstance(node, ast.FormattedValue):
            return self._formatted(node)
        # what a subscript may have and an assignment may not
        if isinstance(node, ast.Slice):
            changed = copy.copy(node)
            for field in ("lower", "upper", "step"):
                bound = getattr(node, field)
                setattr(changed, field, None if bound is None else self.settle(bound))
            return changed
        if isinstance(node, ast.Tuple) and any(isinstance(item, (ast.Slice, ast.Starred)) for item in node.elts):
            return ast.Tuple([self.settle(item) for item in node.elts], ast.Load())
        return self._assign(node, stem, reveal)

    def spread(self, node: ast.expr) -> ast.expr:
        """Return a variable that holds a copy of a mapping which ``**`` spreads before a call is opened."""
        return self._assign(ast.Dict([None], [node]), "value", True)

    def method(self, node: ast.expr) -> ast.expr:
        """Return the function of a method call, which Python looks up before it evaluates the arguments.

        ``node`` is an attribute of a settled expression. It stays where its look-up runs no code of the snippet.
        """
        current = self._method(node)
        if current is missing:
            return self._assign(node, "method", True)
        self._left.append((node, current))
        return node

    def _method(self, node: ast.expr) -> object:
        """Return what the attribute of a name gives by a look-up without code of the snippet; else ``missing``."""
        assert isinstance(node, ast.Attribute)
        value = self._context.variables.peek(node.value)
        kind = type(value)
        if value is missing:
            return missing
        if kind is types.ModuleType:
            return vars(value).get(node.attr, missing)
        # ``kind`` and not ``isinstance``, which would ask the snippet's ``__class__``
        if issubclass(kind, type):
            member = class_member(cast("type", value), node.attr)
            return member if kind is type and type(member) in (type, *_PLAIN_MEMBERS) else missing
        is_built_in = not class_flags(kind) & HEAP_TYPE
        if not is_built_in and not plain_access(kind):
            return missing
        own = attributes(value).get(node.attr, missing)
        member = class_member(kind, node.attr)
        if own is not missing and not hasattr(type(member), "__set__"):
            return own
        return member if is_built_in or type(member) in _PLAIN_MEMBERS else missing

    def _name(self, node: ast.Name, stem: str, reveal: bool) -> ast.expr:
        variables = self._context.variables
        if variables.is_temporary(node.id):
            return node
        value = variables.peek(node)
        # an unbound name raises before the call, not after it
        if value is missing or node.id in self._bound or variables.may_be_rebound(node.id):
            return self._assign(node, stem, reveal)
        self._left.append((node, value))
        return node

    def _formatted(self, node: ast.FormattedValue) -> ast.expr:
        """Hold the text: Python formats each value of an f-string before it evaluates the next one."""
        value = self._context.variables.peek(node.value)
        spec = node.format_spec
        is_plain = not isinstance(spec, ast.JoinedStr) or all(isinstance(item, ast.Constant) for item in spec.values)
        if type(value) in ATOMS and is_plain:
            changed = copy.copy(node)
            changed.value = self.settle(node.value)
            return changed
        return ast.FormattedValue(self._assign(ast.JoinedStr([node]), "value", True), -1, None)

    def _assign(self, node: ast.expr, stem: str, reveal: bool) -> ast.Name:
        context = self._context
        name = context.variables.temporary(stem)
        writes = [name, *sorted(bound_names([ast.Expr(node)]))]
        context.emit(f"{name} = {expression(node)}", self._frame, "statement", writes, reveal)
        return ast.Name(name, ast.Load())


def _has_defaults(node: ast.Lambda) -> bool:
    return bool(node.args.defaults or any(default is not None for default in node.args.kw_defaults))
