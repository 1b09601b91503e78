"""List comprehensions, opened into loops that append.

``y = [n * n for n in xs if n]`` is run as ``for n in xs: if n: collected_1.append(n * n)``, by the handlers of ``for``
and ``if``, so that each item and each test is a command. Other comprehensions stay expressions: a set hides which item
was new, and a generator expression runs when its consumer asks.
"""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.syntax.names import Rewriter, bound_names


def open_comprehension(context: DriveContext, node: ast.ListComp, frame: Frame) -> ast.expr:
    """Run a comprehension with one ``for`` as a loop, and return the variable that holds the list.

    The comprehension is a scope of its own, so its variable gets another name in the session where its name is in use.
    """
    variables = context.variables
    result = variables.temporary("collected")
    generator = node.generators[0]
    wrapped = ast.Assign([generator.target], ast.Constant(None), lineno=node.lineno)
    mapping = {
        name: variables.temporary(name)
        for name in sorted(bound_names([wrapped]))
        if variables.peek(ast.Name(name)) is not missing or variables.is_reserved(name) or name in frame.names.values()
    }
    # no owner: private names were spelt with their class when the call's body was made ready
    loop = _as_loop(node, result, Rewriter(mapping, None))
    context.emit(f"{result} = []", frame, "bind", [result], reveal=False)
    # the loop's statements are the driver's own: settrace sees none of them in this frame, up to 3.11 since the
    # comprehension has a frame of its own, from 3.12 on, where it is inlined, since it is one line of this one
    own = Frame(frame.filename, {}, None)
    try:
        with frame.without_log():
            context.block([loop], frame)
    finally:
        # that frame of up to 3.11, for the count of frames; it has no lines to compare
        context.calls.finish(own, node.lineno, "<listcomp>", [])
    return ast.Name(result, ast.Load())


def _as_loop(node: ast.ListComp, result: str, rewriter: Rewriter) -> ast.For:
    """Return ``[f(x) for x in xs if p(x)]`` as the loop ``for x in xs: if p(x): result.append(f(x))``."""
    comprehension = copy.deepcopy(node)  # the rewriter changes the tree that it visits
    generator = comprehension.generators[0]
    append = ast.Call(
        ast.Attribute(ast.Name(result, ast.Load()), "append", ast.Load()), [rewriter.visit(comprehension.elt)], []
    )
    body: list[ast.stmt] = [ast.Expr(append)]
    for test in reversed(generator.ifs):
        body = [ast.If(rewriter.visit(test), body, [])]
    # the iterable is evaluated in the scope around the comprehension, so its names stay
    loop = ast.For(rewriter.visit(generator.target), generator.iter, body, [])
    for inner in ast.walk(loop):
        if isinstance(inner, (ast.expr, ast.stmt)):
            ast.copy_location(inner, node)
    return loop
