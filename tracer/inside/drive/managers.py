"""``with`` over a generator that ``contextlib.contextmanager`` made a manager: its body runs around the block.

The generator runs up to its ``yield``, then the block of the ``with``, then the rest of the generator. An exception of
the block is raised at the ``yield``, where the generator's own ``try`` takes it or not.
"""

from __future__ import annotations

import ast
import contextlib
import sys
import types
from collections.abc import Callable

from trace_mine.tracer.inside.drive.calls import enter_call, leave_call, yielded_text
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Raised, Restart, Return, Signal
from trace_mine.tracer.inside.drive.lowering import lower_arguments, sites_in
from trace_mine.tracer.inside.drive.targets import Target, static_value, target_of_function
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression, is_inert, without_brackets

_helper_file = contextlib.contextmanager.__code__.co_filename
_HELPER = "contextmanager.<locals>.helper"


def open_managed(
    context: DriveContext, node: ast.With, item: ast.withitem, frame: Frame, block: Callable[[], None]
) -> bool:
    """Run a ``with`` over such a generator; return False where it is over anything else, or the call has to stay one.

    Args:
        context: the session.
        node: the statement.
        item: its manager that is entered now.
        frame: the activation that it runs in.
        block: runs what stands inside.

    Raises:
        Signal: control left the block, or the generator raised an exception.
        Restart: the generator does not yield once, or sends the program's output elsewhere.
    """
    implied = _target(context, item.context_expr)
    if implied is None:
        return False
    call, target = implied
    call = lower_arguments(context, call, frame, sites_in(context, call) - {id(call)})
    entered = enter_call(context, call, target, frame)
    if entered is None:
        return False
    body, inner = entered
    managed = _Managed(context, (node, item), (frame, inner), target, block)
    inner.collect = managed.consume
    try:
        context.block(body.statements, inner)
    except Return as signal:
        if signal.frame is not inner:
            raise
    finally:
        leave_call(context, body, inner, target)
    if not managed.has_run:
        context.give_up_statement(frame, Reason.UNFAITHFUL)
    if managed.left_by is not None:
        raise managed.left_by
    return True


def _target(context: DriveContext, node: ast.expr) -> tuple[ast.Call, Target] | None:
    """Return the call of the generator function that a manager is made of, with its target."""
    if not isinstance(node, ast.Call) or context.budget.is_full or not context.opening.is_certain:
        return None
    made = static_value(context, node.func)
    if not isinstance(made, types.FunctionType):
        return None
    code, cells = made.__code__, made.__closure__ or ()
    if code.co_filename != _helper_file or code.co_qualname != _HELPER or len(cells) != 1:
        return None
    function: object = made.__dict__.get("__wrapped__")
    if function is not cells[0].cell_contents or not isinstance(function, types.FunctionType):
        return None
    spelt = ast.Attribute(node.func, "__wrapped__", ast.Load())
    call = ast.copy_location(ast.Call(spelt, node.args, node.keywords), node)
    target = target_of_function(context, call, function, None, generator=True)
    return None if target is None else (call, target)


class _Managed:
    """Runs the block at the generator's ``yield``.

    Attributes:
        has_run: the block was run.
        left_by: the jump that left the block, which goes on once the generator has ended.
    """

    def __init__(
        self,
        context: DriveContext,
        statement: tuple[ast.With, ast.withitem],
        frames: tuple[Frame, Frame],
        target: Target,
        block: Callable[[], None],
    ) -> None:
        self._context = context
        self._node, self._item = statement
        self._frame, self._generator = frames
        self._target = target
        self._block = block
        self._stdout = sys.stdout
        self.has_run = False
        self.left_by: Signal | None = None

    def consume(self, value: ast.expr | None) -> None:
        """Run the block; ``value`` is the yielded expression, None for a bare ``yield``.

        Raises:
            Raised: the block raised an exception.
            Restart: the generator yields again, or has sent the program's output elsewhere.
        """
        context = self._context
        if self.has_run:
            context.give_up_statement(self._frame, Reason.UNFAITHFUL)
        if sys.stdout is not self._stdout:
            # what is shown after this command would go where the program sends its output
            sys.stdout = self._stdout
            node = self._node
            place = Place(path=self._frame.filename, line=node.lineno, column=node.col_offset)
            raise Restart(place, Reason.REDIRECTS_OUTPUT)
        self.has_run = True
        position = context.position
        self._bind(value)
        try:
            with context.calls.suspended(counts_depth=self._target.counts_depth):
                self._block()
        except Raised:
            self._generator.entries += 1  # entered once more, to raise the exception in it
            raise
        except Signal as signal:
            self.left_by = signal
        finally:
            context.return_to(position)

    def _bind(self, value: ast.expr | None) -> None:
        """Bind the value that was yielded to the target of ``as``."""
        context, variables = self._context, self._item.optional_vars
        if variables is None:
            if value is not None and not is_inert(value):
                context.evaluate(expression(value), self._generator)
            return
        source, target = yielded_text(value), without_brackets(variables)
        if source != target:  # ``x = x`` would say nothing
            writes = bound_names([ast.Assign([variables], ast.Constant(None), lineno=self._node.lineno)])
            context.emit(f"{target} = {source}", self._generator, writes=sorted(writes))
