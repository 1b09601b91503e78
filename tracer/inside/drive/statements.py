"""Statements without control flow of their own, and ``if``."""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.driver import Break, Continue, Driver, Frame, Handler, Return, missing
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression


def is_inert(node: ast.expr) -> bool:
    """Whether evaluating the expression runs nothing and gives the same whenever it is evaluated."""
    return isinstance(node, (ast.Name, ast.Constant))


def run_expression(driver: Driver, node: ast.Expr, frame: Frame) -> None:
    """A call or value for its own sake; at a program's own prompt its echo belongs to the program."""
    at_prompt = driver.single and not frame.is_call
    value = node.value
    if isinstance(value, ast.Constant) and not at_prompt:
        return
    if isinstance(value, (ast.Yield, ast.YieldFrom)):
        run_yield(driver, node, value, frame)
        return
    if isinstance(value, ast.Await):
        driver.give_up(node, frame, "await")
    driver.stand(frame, node.lineno)
    lowered = driver.lower(driver, value, frame)
    if lowered is not value and is_inert(lowered):
        held = driver.peek(lowered)
        if not at_prompt or held is None or held is missing:
            return
        driver.session.drop_reveal(expression(lowered))
        driver.value(lowered, frame, echo="native")
        return
    source = driver.author_text(node, frame) if lowered is value else None
    echo = "native" if at_prompt else "safe"
    driver.check(driver.session.evaluate(source or driver.text(lowered, frame), "statement", echo), frame)


def run_yield(driver: Driver, node: ast.stmt, value: ast.Yield | ast.YieldFrom, frame: Frame) -> None:
    """A ``yield`` of a generator whose body is shown: its consumer runs here."""
    if frame.collect is None:
        driver.give_up(node, frame, "yield")
    assert frame.collect is not None
    driver.stand(frame, node.lineno)
    if isinstance(value, ast.Yield):
        frame.collect(None if value.value is None else driver.lower(driver, value.value, frame))
        return
    name = driver.temporary("item")
    loop = ast.For(
        target=ast.Name(name, ast.Store()),
        iter=value.value,
        body=[ast.Expr(ast.Yield(ast.Name(name, ast.Load())))],
        orelse=[],
    )
    for inner in ast.walk(ast.copy_location(loop, node)):
        if isinstance(inner, (ast.expr, ast.stmt)):
            ast.copy_location(inner, node)
    frame.log.append(["gap", node.lineno, node.end_lineno or node.lineno])
    driver.block([loop], frame)


def run_assign(driver: Driver, node: ast.Assign, frame: Frame) -> None:
    """``a = b = value``; the value is evaluated before the targets, so calls in it may be opened."""
    driver.stand(frame, node.lineno)
    lowered = driver.lower(driver, node.value, frame)
    _emit_changed(driver, node, "value", lowered, frame)


def run_augmented(driver: Driver, node: ast.AugAssign, frame: Frame) -> None:
    """``x += value``; an attribute or item is read before the value is evaluated, so only a plain name is opened."""
    driver.stand(frame, node.lineno)
    lowered = driver.lower(driver, node.value, frame) if isinstance(node.target, ast.Name) else node.value
    _emit_changed(driver, node, "value", lowered, frame)


def run_annotated(driver: Driver, node: ast.AnnAssign, frame: Frame) -> None:
    """``x: int = value``; a function evaluates no annotation of its variables, so there it is a plain assignment."""
    if not frame.is_call:
        driver.stand(frame, node.lineno)
        _emit_changed(driver, node, "value", node.value, frame)
    elif node.value is not None:
        run_assign(driver, ast.copy_location(ast.Assign([node.target], node.value), node), frame)


def _emit_changed(driver: Driver, node: ast.stmt, field: str, lowered: ast.expr | None, frame: Frame) -> None:
    if lowered is getattr(node, field):
        driver.emit(driver.source(node, frame), frame, writes=driver.writes(node), origin=node)
        return
    changed = copy.copy(node)
    setattr(changed, field, lowered)
    driver.emit(driver.source(changed, frame, rewritten=True), frame, writes=sorted(bound_names([node])))


def run_plain(driver: Driver, node: ast.stmt, frame: Frame) -> None:
    """Statements that are their own command: ``assert``, ``del``, definitions."""
    driver.stand(frame, node.lineno)
    driver.emit(driver.source(node, frame), frame, writes=driver.writes(node), origin=node)


def run_assert(driver: Driver, node: ast.Assert, frame: Frame) -> None:
    """``assert``; calls in its test may be opened, its message is evaluated only when it fails."""
    driver.stand(frame, node.lineno)
    _emit_changed(driver, node, "test", driver.lower(driver, node.test, frame), frame)


def run_import_from(driver: Driver, node: ast.ImportFrom, frame: Frame) -> None:
    """``from ... import``; a relative one of a followed call is spelt in full, since the session has another home."""
    if node.level and frame.is_call:
        package = frame.package.split(".")
        if not frame.package or node.level > len(package):
            driver.give_up(node, frame, "relative_import")
        base = package[: len(package) - node.level + 1]
        node = ast.copy_location(
            ast.ImportFrom(".".join([*base, *([node.module] if node.module else [])]), node.names, 0), node
        )
    run_plain(driver, node, frame)


def run_return(driver: Driver, node: ast.Return, frame: Frame) -> None:
    """``return``: a name or constant is passed on as it is, anything else through a variable of its own."""
    driver.stand(frame, node.lineno)
    if node.value is None:
        raise Return(frame, ast.Constant(None))
    lowered = driver.lower(driver, node.value, frame)
    stays = isinstance(lowered, ast.Constant) or (
        isinstance(lowered, ast.Name)
        and (lowered.id in driver.pending or (lowered.id in frame.names.values() and not frame.captures))
    )
    raise Return(frame, lowered if stays else driver.hold(lowered, "returned", frame, "returned"))


def run_raise(driver: Driver, node: ast.Raise, frame: Frame) -> None:
    """``raise``; a bare one raises the exception being handled, bound to a name for it."""
    driver.stand(frame, node.lineno)
    if node.exc is None:
        if not frame.errors:
            driver.give_up(node, frame, "bare_raise")
        error, index, name = frame.errors[-1]
        if name is None:
            name = driver.session.guard(index, driver.temporary("error"))
            frame.errors[-1] = (error, index, name)
        driver.emit(f"raise {name}", frame)
        return
    driver.emit(driver.source(node, frame), frame)


def run_nothing(driver: Driver, node: ast.stmt, frame: Frame) -> None:
    """``pass``, and ``global`` and ``nonlocal`` of a followed call, whose variables are the session's already."""
    if not frame.is_call and isinstance(node, ast.Global):
        run_plain(driver, node, frame)


def run_break(driver: Driver, node: ast.Break, frame: Frame) -> None:
    """Ends the innermost loop of this frame."""
    raise Break(frame)


def run_continue(driver: Driver, node: ast.Continue, frame: Frame) -> None:
    """Ends the iteration of the innermost loop of this frame."""
    raise Continue(frame)


def run_if(driver: Driver, node: ast.If, frame: Frame) -> None:
    """``if``: the test is a command, then the statements of the taken branch."""
    if isinstance(node.test, ast.Constant):
        taken = bool(node.test.value)
    elif driver.gate is not None and not driver.gate.opens_test(driver.text(node.test, frame)):
        driver.whole(node, frame, "hidden")
        return
    else:
        driver.stand(frame, node.lineno)
        taken = driver.condition(driver.lower(driver, node.test, frame), frame)
    driver.block(node.body if taken else node.orelse, frame)


HANDLERS: dict[type[ast.stmt], Handler] = {
    ast.Expr: run_expression,
    ast.Assign: run_assign,
    ast.AugAssign: run_augmented,
    ast.AnnAssign: run_annotated,
    ast.Assert: run_assert,
    ast.Delete: run_plain,
    ast.Import: run_plain,
    ast.ImportFrom: run_import_from,
    ast.FunctionDef: run_plain,
    ast.AsyncFunctionDef: run_plain,
    ast.ClassDef: run_plain,
    ast.Return: run_return,
    ast.Raise: run_raise,
    ast.Pass: run_nothing,
    ast.Global: run_nothing,
    ast.Nonlocal: run_nothing,
    ast.Break: run_break,
    ast.Continue: run_continue,
    ast.If: run_if,
}
