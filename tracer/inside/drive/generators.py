"""Loops over generators of the repository's own: the generator's body runs, and at each ``yield`` the loop's body."""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.calls import enter_call, leave_call, yielded_text
from trace_mine.tracer.inside.drive.context import Context
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Return
from trace_mine.tracer.inside.drive.lowering import lower_arguments, opens, unconditional
from trace_mine.tracer.inside.drive.targets import Target, target_of
from trace_mine.tracer.inside.syntax.names import bound_names, walk_scope
from trace_mine.tracer.inside.syntax.text import bare


def open_generator(context: Context, loop: ast.For, frame: Frame) -> bool:
    """Runs the loop where it is over such a generator; False where it is not, or the call has to stay a call.

    Only where no ``yield`` stands in a ``try`` or ``with``, so that leaving the loop early runs nothing of the
    generator's, and where the loop has no ``else``.
    """
    call = loop.iter
    target = _target(context, loop)
    if target is None or not isinstance(call, ast.Call):
        return False
    sites = {id(inner) for inner in unconditional(call) if inner is not call and opens(context, inner)}
    call = lower_arguments(context, call, frame, sites)
    entered = enter_call(context, call, target, frame)
    if entered is None:
        return False
    body, inner = entered
    inner.collect = _Consumer(context, loop, frame, inner, target).consume
    try:
        context.block(body.statements, inner)
    except Return as signal:
        if signal.frame is not inner:
            raise
    except Break as signal:
        if signal.frame is not frame:
            raise
    finally:
        leave_call(context, body, inner, target)
    return True


def _target(context: Context, loop: ast.For) -> Target | None:
    """The generator that the loop runs over, where both can be opened."""
    if context.budget.is_full or not isinstance(loop.iter, ast.Call) or loop.orelse:
        return None
    if not context.opening.opens_generators():
        return None
    target = target_of(context, loop.iter, generator=True)
    return None if target is None or _has_guarded_yield(target.definition) else target


class _Consumer:
    """Runs the loop's body, in its own frame, for each value that the generator yields."""

    def __init__(self, context: Context, loop: ast.For, frame: Frame, generator: Frame, target: Target) -> None:
        self._context = context
        self._loop = loop
        self._frame = frame
        self._generator = generator
        self._target = target
        self._variable = bare(loop.target)
        self._writes = sorted(bound_names([ast.Assign([loop.target], ast.Constant(None), lineno=loop.lineno)]))

    def consume(self, value: ast.expr | None) -> None:
        """One iteration; ``value`` is the yielded expression."""
        context = self._context
        place = context.place
        source = yielded_text(value)
        if source != self._variable:
            context.emit(f"{self._variable} = {source}", self._generator, "iterate", self._writes)
        try:
            with context.calls.suspended(counts_depth=self._target.counts_depth):
                context.block(self._loop.body, self._frame)
        except Continue as signal:
            if signal.frame is not self._frame:
                raise
        finally:
            context.return_to(place)


def _has_guarded_yield(definition: ast.FunctionDef) -> bool:
    """True if a ``yield`` stands in a ``try`` or ``with``."""
    return any(
        isinstance(node, (ast.Try, ast.TryStar, ast.With))
        and any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in walk_scope([node]))
        for node in walk_scope(definition.body)
    )
