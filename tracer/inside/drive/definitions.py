"""Definitions with decorators of the program's own: function or class are defined without them, then each is called.

``@loud`` above ``def f`` becomes ``def f``, the body of ``loud`` with ``f`` as its argument, and ``f = wrapper``. The
decorators' expressions are evaluated before, in their order, as Python does.
"""

from __future__ import annotations

import ast
import copy
import types

from trace_mine.tracer.inside.drive.calls import open_call
from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Frame, Raised
from trace_mine.tracer.inside.drive.lowering import Lowering
from trace_mine.tracer.inside.drive.sites import sites_in
from trace_mine.tracer.inside.drive.statements import run_plain
from trace_mine.tracer.inside.drive.targets import static_value, target_of
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.syntax.text import expression

Definition = ast.FunctionDef | ast.ClassDef


def run_definition(context: DriveContext, node: Definition, frame: Frame) -> None:
    """Run ``def`` or ``class``: one command, where no decorator's call can be opened.

    Raises:
        Raised: a decorator, or a default value, raised an exception.
    """
    if context.budget.is_full or not _opens_decorator(context, node):
        run_plain(context, node, frame)
        if frame.is_call and context.rules.reads_qualified:
            _qualify(context, node, frame)
        return
    context.begin_statement(frame, node.lineno)
    lowering = Lowering(context, frame, node.decorator_list, sites_in(context, *node.decorator_list))
    decorators = [
        lowering.held.settle(lowering.lower(each, before_site=True), stem="decorator", reveal=False)
        for each in node.decorator_list
    ]
    lowering.held.check()
    plain = copy.copy(node)
    plain.decorator_list = []
    source = context.source(plain, frame, rewritten=True)
    context.emit(source, frame, writes=[node.name], reveal=False, origin=node)
    if frame.is_call and context.rules.reads_qualified:
        _qualify(context, node, frame)
    try:
        _decorate(context, node.name, decorators, frame)
    except Raised:
        # Python binds the name after the last decorator, so that none is bound where one raises
        context.emit(f"del {node.name}", frame, "bind", reveal=False)
        raise


def _qualify(context: DriveContext, node: Definition, frame: Frame) -> None:
    """Give a local function the qualified name that it has in the program; the session's own is its name alone."""
    if isinstance(context.variables.peek(ast.Name(node.name, ast.Load())), types.FunctionType):
        name = f"{frame.qualified}.<locals>.{node.name}"
        context.emit(f"{node.name}.__qualname__ = {name!r}", frame, "bind", reveal=False)


def _decorate(context: DriveContext, name: str, decorators: list[ast.expr], frame: Frame) -> None:
    """Call the decorators of a function or class, the last one first, and bind the name to what each returns."""
    for decorator in reversed(decorators):
        call = ast.Call(decorator, [ast.Name(name, ast.Load())], [])
        target = target_of(context, call, generator=False)
        result = None if target is None else open_call(context, call, target, frame)
        value = expression(call if result is None else result)
        if value != name:
            context.emit(f"{name} = {value}", frame, writes=[name], reveal=False)


def _opens_decorator(context: DriveContext, node: Definition) -> bool:
    """Return True if a decorator is a function of the program's own, or made by a call that can be opened."""
    if not node.decorator_list or not context.opening.is_certain or context.calls.depth >= context.rules.follow:
        return False
    # until the last decorator has returned, the name keeps the value that it had
    if context.variables.peek(ast.Name(node.name, ast.Load())) is not missing:
        return False
    if sites_in(context, *node.decorator_list):
        return True
    values = [static_value(context, each) for each in node.decorator_list]
    return any(
        isinstance(value, types.FunctionType) and context.writer.sources.is_own(value.__code__.co_filename)
        for value in values
    )


HANDLERS: dict[type[ast.stmt], Handler] = {ast.FunctionDef: run_definition, ast.ClassDef: run_definition}
