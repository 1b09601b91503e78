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

from trace_mine.tracer.inside.drive.calls import yielded_text
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Handled, Raised, Restart, Signal
from trace_mine.tracer.inside.drive.generators import OpenedGenerator, open_called
from trace_mine.tracer.inside.drive.handling import run_handling
from trace_mine.tracer.inside.drive.lowering import lower_arguments
from trace_mine.tracer.inside.drive.sites import sites_in
from trace_mine.tracer.inside.drive.targets import Target, static_value, target_of_function
from trace_mine.tracer.inside.observe.describe import class_mro
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
    opened = open_called(context, call, target, frame)
    if opened is None:
        return False
    stdout = sys.stdout
    value = opened.resume()
    if value is None:
        context.give_up_statement(frame, Reason.UNFAITHFUL)  # it did not yield
    if sys.stdout is not stdout:
        # what is shown after this command would go where the program sends its output
        sys.stdout = stdout
        place = Place(path=frame.filename, line=node.lineno, column=node.col_offset)
        raise Restart(place, Reason.REDIRECTS_OUTPUT)
    left_by: Signal | None = None
    try:
        _bind(context, node, item, value, frame)
        block()
    except Signal as signal:
        left_by = signal
    if isinstance(left_by, Raised):
        _throw(context, node, opened, left_by, frame)
        return True
    if opened.resume() is not None:
        context.give_up_statement(frame, Reason.UNFAITHFUL)  # it yields again
    if left_by is not None:
        raise left_by
    return True


def _throw(context: DriveContext, node: ast.With, opened: OpenedGenerator, raised: Raised, frame: Frame) -> None:
    """Raise the block's exception at the ``yield``.

    Raises:
        Raised: the generator does not catch it, or raised another one.
    """
    if any(base is StopIteration for base in class_mro(type(raised.error))):
        context.give_up_statement(frame, Reason.UNFAITHFUL)  # ``contextmanager`` tells it from the generator's own
    value: ast.expr | None = None

    def go_on() -> None:
        nonlocal value
        value = opened.throw(raised)

    handled = Handled(error=raised.error, index=raised.index, statement=node, frame=frame)
    left_by = run_handling(context, handled, frame, go_on)
    if value is not None:
        context.give_up_statement(frame, Reason.UNFAITHFUL)  # it yields again
    if left_by is not None:
        raise left_by
    context.writer.let_go(raised.index)


def _bind(context: DriveContext, node: ast.With, item: ast.withitem, value: ast.expr, frame: Frame) -> None:
    """Bind the value that was yielded to the target of ``as``."""
    variables = item.optional_vars
    if variables is None:
        if not is_inert(value):
            context.evaluate(expression(value), frame)
        return
    source, target = yielded_text(value), without_brackets(variables)
    if source != target:  # ``x = x`` would say nothing
        writes = bound_names([ast.Assign([variables], ast.Constant(None), lineno=node.lineno)])
        context.emit(f"{target} = {source}", frame, writes=sorted(writes))


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
