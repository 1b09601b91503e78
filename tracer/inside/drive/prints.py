"""The texts of instances in a call of ``print``: the bodies of the methods that make them, before the call itself.

``print`` makes each text when the ones before it are printed, so that only methods that show nothing run before that.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.commands import Position
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Raised
from trace_mine.tracer.inside.drive.holding import Held
from trace_mine.tracer.inside.drive.implicit import open_implicit, text_call
from trace_mine.tracer.inside.drive.implied import ImplicitCall
from trace_mine.tracer.inside.drive.parts import part, parts_of, with_part
from trace_mine.tracer.inside.observe.describe import ATOMS
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.walking import walk


def open_texts(context: DriveContext, node: ast.expr, held: Held, frame: Frame, position: Position) -> ast.expr:
    """Open the methods that make the texts of printed instances; return the call that prints these texts.

    Args:
        context: the session.
        node: the call, with its arguments lowered.
        held: what of the statement was evaluated so far.
        frame: the activation that it stands in.
        position: where the statement stands.

    Raises:
        Raised: the first of the methods raised an exception.
        Restart: a later one did, when Python has printed the texts before it.
    """
    changed = node
    function = node.func if isinstance(node, ast.Call) else node
    # a program may have a ``print`` of its own
    if getattr(context.variables.peek(function), "__module__", "") != "builtins":
        return node
    # all of them are evaluated before the first text is made
    for way in parts_of(node):
        changed = with_part(changed, way, held.settle(part(changed, way)))
    for number, way in enumerate(parts_of(node)):
        child = part(changed, way)
        implied = text_call(context, child)
        if implied is None:
            if _may_show_more(context, child):
                break  # a later text would be made before this one
            continue
        if number and not _is_one_return(implied):
            break
        try:
            result = open_implicit(context, implied, frame)
        except Raised:
            if number:
                context.give_up_statement(frame, Reason.UNFAITHFUL)
            raise
        context.return_to(position)
        if result is None:
            break
        changed = with_part(changed, way, result)
    return changed


def _may_show_more(context: DriveContext, node: ast.expr) -> bool:
    """Return True unless a value is an atom, whose text runs no code."""
    kind = type(context.variables.peek(node))
    return type(kind) is not type or kind not in ATOMS


def _is_one_return(implied: ImplicitCall) -> bool:
    """Return True if the function only returns a value made without calls: to run it early prints nothing early."""
    body = implied.target.definition.body
    return isinstance(body[-1], ast.Return) and not any(
        isinstance(inner, (ast.Call, ast.stmt)) and inner is not body[-1]
        for statement in body
        for inner in walk(statement)
    )
