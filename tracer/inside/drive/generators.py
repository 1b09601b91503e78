"""Loops over generators of the repository's own: the generator's body runs, and at each ``yield`` the loop's body.

Two frames run in turns. In the driver the loop's body is called from the middle of the generator's body
(``Frame.collect``), so a ``break`` of the loop leaves the generator's statements as a signal that is addressed to the
loop's frame.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.calls import enter_call, leave_call, yielded_text
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Return
from trace_mine.tracer.inside.drive.implicit import special_call
from trace_mine.tracer.inside.drive.lowering import lower_arguments, sites_in
from trace_mine.tracer.inside.drive.targets import Target, target_of
from trace_mine.tracer.inside.syntax.names import bound_names, walk_scope
from trace_mine.tracer.inside.syntax.text import without_brackets


def open_generator(context: DriveContext, loop: ast.For, frame: Frame) -> bool:
    """Run the loop if it is over a call of such a generator; return False where it is not, or the call has to stay one.

    The call may be that of ``__iter__`` of an instance, which the loop does not spell. Only where no ``yield`` stands
    in a ``try`` or ``with``, so that leaving the loop early runs nothing of the generator's, and where the loop has no
    ``else``.

    Raises:
        Signal: control left the loop's body by ``return``, or the body or the generator raised an exception.
    """
    spelt = _target(context, loop)
    if spelt is None:
        return False
    call, target = spelt
    # the arguments are evaluated when the generator is made, so calls in them are opened before its body
    sites = sites_in(context, call) - {id(call)}
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
            raise  # the loop's function returned; a generator that returns only ends the loop
    except Break as signal:
        if signal.frame is not frame:
            raise  # of a loop around this one, whose body runs in turns with another generator
    finally:
        leave_call(context, body, inner, target)
    return True


def _target(context: DriveContext, loop: ast.For) -> tuple[ast.Call, Target] | None:
    """Return the call of the generator function that the loop runs over; None where it or the loop can't be opened."""
    if context.budget.is_full or loop.orelse or not context.opening.opens_generators():
        return None
    call = _numbered(context, loop.iter) or loop.iter
    if isinstance(call, ast.Call):
        target = target_of(context, call, generator=True)
    else:
        implied = special_call(context, "__iter__", [loop.iter], generator=True)
        if implied is None:
            return None
        call, target = implied.call, implied.target
    return None if target is None or _has_guarded_yield(target.definition) else (call, target)


def _numbered(context: DriveContext, node: ast.expr) -> ast.expr | None:
    """Return what a call of the built-in ``enumerate`` numbers from 0; None for any other expression."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return None
    return node.args[0] if context.variables.peek(node.func) is enumerate else None


class _Consumer:
    """Runs the loop's body, in its own frame, for each value that the generator yields."""

    def __init__(self, context: DriveContext, loop: ast.For, frame: Frame, generator: Frame, target: Target) -> None:
        self._context = context
        self._loop = loop
        self._frame = frame
        self._generator = generator
        self._target = target
        self._variable = without_brackets(loop.target)
        self._is_numbered = _numbered(context, loop.iter) is not None
        self._num_done = 0
        self._writes = sorted(bound_names([ast.Assign([loop.target], ast.Constant(None), lineno=loop.lineno)]))

    def consume(self, value: ast.expr | None) -> None:
        """Run one iteration; ``value`` is the yielded expression, None for a bare ``yield``.

        Raises:
            Signal: control left the loop's body other than by its end or ``continue``.
        """
        context = self._context
        position = context.position
        source = yielded_text(value)
        if self._is_numbered:
            source = f"{self._num_done}, {source}"
            self._num_done += 1
        if source != self._variable:  # ``x = x`` would say nothing
            context.emit(f"{self._variable} = {source}", self._generator, "iterate", self._writes)
        try:
            with context.calls.suspended(counts_depth=self._target.counts_depth):
                context.block(self._loop.body, self._frame)
        except Continue as signal:
            if signal.frame is not self._frame:
                raise
        finally:
            context.return_to(position)  # the generator's next commands come from its own line again


def _has_guarded_yield(definition: ast.FunctionDef) -> bool:
    """Return True if a ``yield`` stands in a ``try`` or ``with``: closing the generator there runs its statements."""
    return any(
        isinstance(node, (ast.Try, ast.TryStar, ast.With))
        and any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in walk_scope([node]))
        for node in walk_scope(definition.body)
    )
