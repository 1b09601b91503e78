"""Handlers of the statements without control flow of their own, of jumps, and of ``if``.

Each handler emits its statement as one command, with the calls in it opened first where that is possible; a jump emits
nothing and becomes a ``Signal``.
"""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Return
from trace_mine.tracer.inside.drive.lowering import Lowering, decide
from trace_mine.tracer.inside.drive.parts import part, parts_of, with_part
from trace_mine.tracer.inside.drive.sites import iterates_own, sites_in
from trace_mine.tracer.inside.drive.stores import (
    deletes_own,
    open_augmented,
    open_deletion,
    open_store,
    reads_own,
    stores_own,
)
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression, is_inert


def run_expression(context: DriveContext, node: ast.Expr, frame: Frame) -> None:
    """Run an expression statement; at a program's own prompt its echo belongs to the program.

    An ``await`` does not get here: Python refuses it outside a function, and a function that has one is not opened.
    """
    at_prompt = frame.echoes
    value = node.value
    if isinstance(value, ast.Constant) and not at_prompt:
        return  # a string used as a comment: the compiler makes no code of it
    context.begin_statement(frame, node.lineno)
    lowered = context.lower(value, frame, is_used=False)
    if lowered is value:
        source = context.author_text(node, frame) or context.text(value, frame)
        context.evaluate(source, frame, echo="native" if at_prompt else "safe")
    elif is_inert(lowered):
        _echo_result(context, lowered, frame, at_prompt)
    else:
        context.evaluate(context.text(lowered, frame), frame, echo="native" if at_prompt else "safe")


def _echo_result(context: DriveContext, result: ast.expr, frame: Frame, at_prompt: bool) -> None:
    """Show the value that an opened call returned, where a prompt would echo it."""
    value = context.variables.peek(result)
    # None is shown by nothing; where another value could stand there, the command must
    is_silent = value is None and (
        not context.opening.hides or context.opening.opens_test(f"{expression(result)} is None")
    )
    if not at_prompt or is_silent or value is missing:
        return
    context.writer.take_back_reveal(expression(result))
    context.evaluate(context.text(result, frame), frame, echo="native")


def run_assign(context: DriveContext, node: ast.Assign, frame: Frame) -> None:
    """Run ``a = b = value``: the value first, then the targets, in their order.

    Where a call in a target is opened, as in ``xs[f()] = 1``, each target has an assignment of its own.
    """
    context.begin_statement(frame, node.lineno)
    if len(node.targets) == 1 and _opens_unpacked(context, node.targets[0], node.value):
        _unpack(context, node, frame)
        return
    targets = [target for target in node.targets if isinstance(target, (ast.Subscript, ast.Attribute))]
    if not sites_in(context, *targets):
        lowered = context.lower(node.value, frame)
        if len(node.targets) > 1 or not open_store(context, node.targets[0], lowered, frame):
            _emit_changed(context, node, "value", lowered, frame)
        return
    nodes = [node.value, *node.targets]
    lowering = Lowering(context, frame, nodes, sites_in(context, node.value, *targets))
    value = lowering.lower(node.value, before_site=True)
    for target in node.targets:
        lowered = lowering.finish(lowering.lower(target))
        assignment = ast.copy_location(ast.Assign([lowered], value), node)
        context.emit(context.source(assignment, frame, rewritten=True), frame, writes=sorted(bound_names([assignment])))


def _opens_unpacked(context: DriveContext, target: ast.expr, value: ast.expr) -> bool:
    """Return True if an assignment unpacks an iterable whose functions are opened."""
    is_unpacked = isinstance(target, (ast.Tuple, ast.List)) and not context.budget.is_full
    return is_unpacked and context.opening.opens_generators() and iterates_own(context, value)


def _unpack(context: DriveContext, node: ast.Assign, frame: Frame) -> None:
    """Run ``a, *b = values``: the values are collected first.

    Raises:
        Restart: there are too many of them, or too few: Python takes one more than it needs, and no other.
    """
    target = node.targets[0]
    assert isinstance(target, (ast.Tuple, ast.List))
    lowering = Lowering(context, frame, [node.value], sites_in(context, node.value))
    given = lowering.items(node.value)
    values = context.variables.peek(given)
    has_star = any(isinstance(each, ast.Starred) for each in target.elts)
    if not has_star and type(values) is list and len(values) != len(target.elts):
        context.give_up_statement(frame, Reason.UNFAITHFUL)
    _emit_changed(context, node, "value", given, frame)


def run_augmented(context: DriveContext, node: ast.AugAssign, frame: Frame) -> None:
    """Run ``x += value``. Where a call in it is opened, the target is read by a command of its own, before the value::

        value_1 = xs[0]            (for xs[0] += f(3))
        value_1 += returned_1      (after the commands of f)
        xs[0] = value_1

    Not where the target is a name that nothing rebinds: it may as well be read after the value.
    """
    context.begin_statement(frame, node.lineno)
    if open_augmented(context, node, frame):
        return
    target: ast.expr = node.target
    sites = sites_in(context, target, node.value)
    is_own = reads_own(context, target) or stores_own(context, target)
    if not sites and not is_own:
        _emit_changed(context, node, "value", node.value, frame)
        return
    # not a name, which the statement binds: it would be held for that
    nodes = [node.value] if isinstance(target, ast.Name) else [target, node.value]
    lowering = Lowering(context, frame, nodes, sites)
    if isinstance(target, ast.Name):
        held = lowering.held.settle(ast.Name(target.id, ast.Load()))
        if isinstance(held, ast.Name) and held.id == target.id:
            lowered = lowering.finish(lowering.lower(node.value))
            _emit_changed(context, node, "value", lowered, frame)
            return
    else:
        # the object and the index are evaluated once, for reading and writing
        for way in parts_of(target):
            child = part(target, way)
            target = with_part(target, way, lowering.held.settle(lowering.lower(child, before_site=True)))
        assert isinstance(target, (ast.Attribute, ast.Subscript))
        read = copy.copy(target)
        read.ctx = ast.Load()
        given = context.lower(read, frame)
        held = context.assign_temporary(given, "value", frame)
    assert isinstance(held, ast.Name)
    variable = ast.Name(held.id, ast.Store())
    lowered = lowering.finish(lowering.lower(node.value))
    added: list[ast.stmt] = [ast.AugAssign(variable, node.op, lowered)]
    if not is_own:
        added.append(ast.Assign([target], ast.Name(held.id, ast.Load())))
    for statement in added:
        ast.copy_location(statement, node)
        context.emit(context.source(statement, frame, rewritten=True), frame, writes=sorted(bound_names([statement])))
    stored: ast.expr = ast.Name(held.id, ast.Load())
    if is_own and not open_store(context, target, stored, frame):
        assignment = ast.copy_location(ast.Assign([target], stored), node)
        context.emit(context.source(assignment, frame, rewritten=True), frame)


def run_annotated(context: DriveContext, node: ast.AnnAssign, frame: Frame) -> None:
    """Run ``x: int = value``, in a function as the assignment ``x = value``.

    A function does not evaluate the annotations of its variables; at the top level, where the session runs, Python
    does. The annotation may not even be a name that exists (tests/samples/scope_words.py).
    """
    if not frame.is_call:
        context.begin_statement(frame, node.lineno)
        # the value, then the target, then the annotation
        lowered = None if node.value is None else context.lower(node.value, frame)
        _emit_changed(context, node, "value", lowered, frame)
    elif node.value is not None:
        run_assign(context, ast.copy_location(ast.Assign([node.target], node.value), node), frame)


def _emit_changed(context: DriveContext, node: ast.stmt, field: str, lowered: ast.expr | None, frame: Frame) -> None:
    """Emit a statement with the expression of one field replaced by its lowered form, which may be the same."""
    if lowered is getattr(node, field):
        context.emit(context.source(node, frame), frame, writes=context.writes(node), origin=node)
        return
    changed = copy.copy(node)
    setattr(changed, field, lowered)
    context.emit(context.source(changed, frame, rewritten=True), frame, writes=sorted(bound_names([node])))


def run_plain(context: DriveContext, node: ast.stmt, frame: Frame) -> None:
    """Run a statement that is its own command: an import, a definition."""
    context.begin_statement(frame, node.lineno)
    context.emit(context.source(node, frame), frame, writes=context.writes(node), origin=node)


def run_delete(context: DriveContext, node: ast.Delete, frame: Frame) -> None:
    """Run ``del a, b``; where a call is opened (``del d[f()]``), each target has commands of its own."""
    if not sites_in(context, *node.targets) and not any(deletes_own(context, each) for each in node.targets):
        run_plain(context, node, frame)
        return
    context.begin_statement(frame, node.lineno)
    lowering = Lowering(context, frame, node.targets, sites_in(context, *node.targets))
    for target in node.targets:
        lowered = lowering.finish(lowering.lower(target))
        if open_deletion(context, lowered, frame):
            continue
        deletion = ast.copy_location(ast.Delete([lowered]), node)
        context.emit(context.source(deletion, frame, rewritten=True), frame, writes=sorted(bound_names([deletion])))


def run_assert(context: DriveContext, node: ast.Assert, frame: Frame) -> None:
    """Run ``assert``; calls in its test may be opened, its message is evaluated only when the test fails."""
    context.begin_statement(frame, node.lineno)
    _emit_changed(context, node, "test", context.lower(node.test, frame), frame)


def run_import_from(context: DriveContext, node: ast.ImportFrom, frame: Frame) -> None:
    """Run ``from ... import``; a relative one of a followed call is written with the package's full name.

    The session runs in another module than the function, so the dots would mean another package.
    """
    if node.level and frame.is_call:
        package = frame.package.split(".")
        if not frame.package or node.level > len(package):
            # the program's own import raises ImportError here: the call shows it
            context.give_up(node, frame, Reason.RELATIVE_IMPORT)
        # one dot is the package itself, each further one a package above
        base = package[: len(package) - node.level + 1]
        node = ast.copy_location(
            ast.ImportFrom(".".join([*base, *([node.module] if node.module else [])]), node.names, 0), node
        )
    run_plain(context, node, frame)


def run_return(context: DriveContext, node: ast.Return, frame: Frame) -> None:
    """Run ``return``: a variable of this call stands for the result; else a temporary variable is made.

    A constant gets one too: spelt in its place, it would make commands that tell their own answer
    (``print('even', 'odd')`` for ``print(label(4), label(3))``). None does where the call's value is used.

    Raises:
        Return: always, with the expression that gives the result.
    """
    context.begin_statement(frame, node.lineno)
    if node.value is None:
        raise Return(frame, ast.Constant(None))
    # a None that the value gives is handed on: the statement with the call knows if it uses it
    lowered = context.lower(node.value, frame, is_used=False)
    # not a local that a closure may rebind before the caller reads it, and not a global, which anything may rebind
    can_be_passed_on = (isinstance(lowered, ast.Constant) and lowered.value is None) or (
        isinstance(lowered, ast.Name)
        and context.variables.peek(lowered) is not missing  # it raises here, not in the caller
        and (context.variables.is_temporary(lowered.id) or (lowered.id in frame.names.values() and not frame.captures))
    )
    if not can_be_passed_on:
        lowered = context.assign_temporary(lowered, "returned", frame, "returned")
    raise Return(frame, lowered)


def run_raise(context: DriveContext, node: ast.Raise, frame: Frame) -> None:
    """Run ``raise``; a bare one raises the exception being handled, which gets a variable for it.

    When a handler is opened, no exception is being handled at the prompt, so a bare ``raise`` would raise RuntimeError;
    which it does in the program where none is.
    """
    context.begin_statement(frame, node.lineno)
    if node.exc is None:
        context.emit(f"raise {context.name_of(context.handling[-1])}" if context.handling else "raise", frame)
        return
    nodes = [node.exc] if node.cause is None else [node.exc, node.cause]
    sites = sites_in(context, *nodes)
    changed = node
    if sites:
        lowering = Lowering(context, frame, nodes, sites)
        is_before = node.cause is not None and lowering.has_site(node.cause)
        changed = copy.copy(node)
        changed.exc = lowering.lower(node.exc, before_site=is_before)
        if node.cause is not None:
            changed.cause = lowering.lower(node.cause)
        lowering.held.check()
    context.emit(context.source(changed, frame, rewritten=changed is not node), frame)


def run_nothing(context: DriveContext, node: ast.stmt, frame: Frame) -> None:
    """Run ``pass``, ``global`` and ``nonlocal``, which do nothing at the top level, where the session runs.

    ``global`` in the program's own text is kept as a command, which changes nothing either.
    """
    if not frame.is_call and isinstance(node, ast.Global):
        run_plain(context, node, frame)


def run_break(context: DriveContext, node: ast.Break, frame: Frame) -> None:
    """Leave the innermost loop of this frame; ``break`` has no command."""
    raise Break(frame)


def run_continue(context: DriveContext, node: ast.Continue, frame: Frame) -> None:
    """End the iteration of the innermost loop of this frame; ``continue`` has no command."""
    raise Continue(frame)


def run_if(context: DriveContext, node: ast.If, frame: Frame) -> None:
    """Run ``if``: its test is a command, then the statements of the branch that is taken."""
    branch = taken_branch(context, node, frame)
    if branch is not None:
        context.block(branch, frame)


def taken_branch(context: DriveContext, node: ast.If, frame: Frame) -> list[ast.stmt] | None:
    """Emit the test of an ``if``; return the statements that are to run, None where it was kept as one command."""
    if isinstance(node.test, ast.Constant):
        is_true = bool(node.test.value)  # the compiler drops such a test, so settrace sees no event for it
    elif not context.opening.opens_test(context.text(node.test, frame)):
        context.keep_as_one_command(node, frame, Reason.HIDDEN)
        return None
    else:
        context.begin_statement(frame, node.lineno)
        is_true = decide(context, node.test, frame)
    return node.body if is_true else node.orelse


HANDLERS: dict[type[ast.stmt], Handler] = {
    ast.Expr: run_expression,
    ast.Assign: run_assign,
    ast.AugAssign: run_augmented,
    ast.AnnAssign: run_annotated,
    ast.Assert: run_assert,
    ast.Delete: run_delete,
    ast.Import: run_plain,
    ast.ImportFrom: run_import_from,
    ast.AsyncFunctionDef: run_plain,
    ast.Return: run_return,
    ast.Raise: run_raise,
    ast.Pass: run_nothing,
    ast.Global: run_nothing,
    ast.Nonlocal: run_nothing,
    ast.Break: run_break,
    ast.Continue: run_continue,
    ast.If: run_if,
}
