"""Followed calls: a call of the repository's own function becomes its body's statements.

Parameters become assignments, locals get session names of their own, the result stands where the call stood. A call
inside a larger expression is opened only where the order of evaluation stays what it was: what would be evaluated
before it is held in a variable first.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

from trace_mine.tracer.inside.drive.bodies import Body, arguments_of, prepare
from trace_mine.tracer.inside.drive.driver import Break, Continue, Driver, Frame, Raised, Return, missing
from trace_mine.tracer.inside.drive.statements import is_inert
from trace_mine.tracer.inside.drive.targets import Target, target_of
from trace_mine.tracer.inside.syntax.names import CannotFlatten, Rewriter, bound_names, walk_scope
from trace_mine.tracer.inside.syntax.text import bare, expression, operand

_collectors = frozenset({"list", "tuple", "sorted", "set", "frozenset", "sum", "max", "min", "dict"})


def lower(driver: Driver, node: ast.expr, frame: Frame) -> ast.expr:
    """The expression with its followed calls opened (their commands are emitted here); ``node`` itself where none
    is.
    """
    if driver.full() or (driver.follow == 0 and not driver.opens):
        return node
    if not driver.may_open(node):
        return node
    sites = {id(call) for call in _unconditional(node) if _opens(driver, call) is not None}
    if not sites:
        return node
    place = driver.session.place
    saved = place.path, place.line, place.depth
    lowered = _lower(driver, node, frame, sites, False)
    place.path, place.line, place.depth = saved
    return lowered


def _opens(driver: Driver, node: ast.expr) -> Target | ast.ListComp | None:
    """What this node opens into: a call's target, or a list comprehension where those are opened too."""
    if isinstance(node, ast.ListComp) and driver.gate is None:
        simple = len(node.generators) == 1 and not node.generators[0].is_async
        return node if driver.open_comprehensions and simple else None
    if not isinstance(node, ast.Call):
        return None
    if driver.gate is not None:
        target = target_of(driver, node, generator=False)
        return target if target is not None and driver.gate.opens_callee(expression(node.func)) else None
    if (inner := _collected(driver, node)) is not None:
        return target_of(driver, inner, generator=True)
    return target_of(driver, node, generator=False)


def _collected(driver: Driver, node: ast.Call) -> ast.Call | None:
    """The generator call in ``list(g(...))`` and its like, which run a generator to its end and nothing else."""
    if not (
        isinstance(node.func, ast.Name) and node.func.id in _collectors and len(node.args) == 1 and not node.keywords
    ):
        return None
    inner = node.args[0]
    if not isinstance(inner, ast.Call) or getattr(driver.peek(node.func), "__module__", "") != "builtins":
        return None
    return inner if target_of(driver, inner, generator=True) is not None else None


def _parts(node: ast.expr) -> list[tuple[str, int | None]]:
    """Fields of the sub-expressions that are evaluated unconditionally, in the order of evaluation."""
    if isinstance(node, ast.BinOp):
        return [("left", None), ("right", None)]
    if isinstance(node, ast.Compare):
        return [("left", None), ("comparators", 0)]
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return [("elts", index) for index in range(len(node.elts))]
    if isinstance(node, ast.Dict):
        pairs = [
            [("keys", i), ("values", i)] if key is not None else [("values", i)] for i, key in enumerate(node.keys)
        ]
        return [(field, i) for pair in pairs for field, i in pair]
    if isinstance(node, ast.JoinedStr):
        return [("values", index) for index in range(len(node.values))]
    if isinstance(node, ast.BoolOp):
        return [("values", 0)]
    if isinstance(node, ast.Subscript):
        return [("value", None), ("slice", None)]
    if isinstance(node, ast.UnaryOp):
        return [("operand", None)]
    if isinstance(node, ast.IfExp):
        return [("test", None)]
    if isinstance(node, (ast.Attribute, ast.Starred, ast.FormattedValue, ast.NamedExpr)):
        return [("value", None)]
    return []


def _children(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        function = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return [*function, *node.args, *(keyword.value for keyword in node.keywords)]
    return [_get(node, field, index) for field, index in _parts(node)]


def _get(node: ast.expr, field: str, index: int | None) -> ast.expr:
    value: Any = getattr(node, field)
    child: ast.expr = value if index is None else value[index]
    return child


def _unconditional(node: ast.expr) -> Iterator[ast.expr]:
    for child in _children(node):
        yield from _unconditional(child)
    yield node


def _has_site(node: ast.expr, sites: set[int]) -> bool:
    return any(id(inner) in sites for inner in _unconditional(node))


def _lower(driver: Driver, node: ast.expr, frame: Frame, sites: set[int], later: bool) -> ast.expr:
    """``later``: something is opened after this expression, so its value must not depend on when it is read."""
    if not _has_site(node, sites):
        return _settle(driver, node, frame, later)
    if id(node) in sites and isinstance(node, ast.ListComp):
        return _open_comprehension(driver, node, frame)
    if isinstance(node, ast.Call):
        return _lower_call(driver, node, frame, sites, later)
    parts = _parts(node)
    changed = copy.copy(node)
    for position, (field, index) in enumerate(parts):
        child = _get(node, field, index)
        after = any(_has_site(_get(node, *other), sites) for other in parts[position + 1 :])
        lowered = _lower(driver, child, frame, sites, after)
        if index is None:
            setattr(changed, field, lowered)
        else:
            items = list(getattr(changed, field))
            items[index] = lowered
            setattr(changed, field, items)
    return _settle(driver, changed, frame, later)


def _settle(driver: Driver, node: ast.expr, frame: Frame, later: bool) -> ast.expr:
    if not later or is_inert(node) or isinstance(node, (ast.Lambda, ast.Starred, ast.FormattedValue, ast.Slice)):
        return node
    return driver.hold(node, "value", frame)


def _lower_call(driver: Driver, node: ast.Call, frame: Frame, sites: set[int], later: bool) -> ast.expr:
    inner = _collected(driver, node) if id(node) in sites else None
    if inner is not None:
        call = _lower_arguments(driver, inner, frame, sites)
        target = target_of(driver, call, generator=True)
        collected = None if target is None else _collect(driver, call, target, frame)
        changed = copy.copy(node)
        changed.args = [collected or call]
        return _settle(driver, changed, frame, later)
    call = _lower_arguments(driver, node, frame, sites)
    chained = isinstance(node.func, ast.Attribute) and id(node.func.value) in sites
    if (id(node) in sites or chained) and not driver.full():
        target = target_of(driver, call, generator=False)
        if target is not None:
            result = open_call(driver, call, target, frame)
            if result is not None:
                return result
    return _settle(driver, call, frame, later)


def _lower_arguments(driver: Driver, node: ast.Call, frame: Frame, sites: set[int]) -> ast.Call:
    children = _children(node)
    flags = [_has_site(child, sites) for child in children]
    lowered = [_lower(driver, child, frame, sites, any(flags[i + 1 :])) for i, child in enumerate(children)]
    changed = copy.copy(node)
    if isinstance(node.func, ast.Attribute):
        changed.func = copy.copy(node.func)
        changed.func.value = lowered.pop(0)
    changed.args = lowered[: len(node.args)]
    values = lowered[len(node.args) :]
    changed.keywords = [ast.keyword(k.arg, value) for k, value in zip(node.keywords, values, strict=True)]
    return changed


def _enter(driver: Driver, call: ast.Call, target: Target, frame: Frame) -> tuple[Body, Frame] | None:
    """Emits what a body needs before its first statement; None where the call has to stay whole."""
    try:
        bindings = arguments_of(driver, call, target)
        body = prepare(driver, call, target, bindings, frame)
    except CannotFlatten as error:
        driver.keep(str(error))
        return None
    if driver.gate is not None and not driver.gate.opens_call([source for source, _ in body.bindings], body.statements):
        driver.keep("hidden")
        driver.release(body, None)
        return None
    inner = Frame(body.filename, body.names, body.definition)
    inner.package = body.package
    inner.first_line = body.first_line
    inner.captures = body.captures
    driver.opened_calls += 1
    driver.depth += 0 if target.free else 1
    place = driver.session.place
    place.path, place.line, place.depth = body.filename, body.definition.lineno, driver.depth
    try:
        for source, name in body.bindings:
            driver.emit(source, inner, "bind", [name] if name else [], reveal=name is not None)
    except Raised:
        # an argument raised, so the call never began: there is no frame to hold against settrace's
        driver.opened_calls -= 1
        driver.depth -= 0 if target.free else 1
        driver.release(body, None)
        raise
    return body, inner


def _exit(driver: Driver, body: Body, inner: Frame, target: Target, result: ast.expr | None = None) -> None:
    driver.depth -= 0 if target.free else 1
    driver.finished.append(
        {
            "code": [body.filename, body.first_line, target.function.__code__.co_name],
            "log": inner.log,
            "lines": body.lines,
        }
    )
    driver.release(body, result.id if isinstance(result, ast.Name) else None)


def open_call(driver: Driver, call: ast.Call, target: Target, frame: Frame) -> ast.expr | None:
    """Runs the called function's body here; gives the expression that holds its result, None where it stays whole."""
    entered = _enter(driver, call, target, frame)
    if entered is None:
        return None
    body, inner = entered
    result: ast.expr | None = None
    try:
        driver.block(body.statements, inner)
        result = ast.Constant(None)
    except Return as signal:
        if signal.frame is not inner:
            raise
        result = signal.result
    finally:
        if body.instance is not None:
            result = ast.Name(body.instance, ast.Load())
        _exit(driver, body, inner, target, result)
    return result


def _collect(driver: Driver, call: ast.Call, target: Target, frame: Frame) -> ast.expr | None:
    name = driver.temporary("yielded")
    entered = _enter(driver, call, target, frame)
    if entered is None:
        return None
    body, inner = entered
    driver.emit(f"{name} = []", inner, "bind", [name], reveal=False)

    def collect(value: ast.expr | None) -> None:
        source = "None" if value is None else _argument(value)
        driver.emit(f"{name}.append({source})", inner, "returned")

    inner.collect = collect
    try:
        driver.block(body.statements, inner)
    except Return as signal:
        if signal.frame is not inner:
            raise
    finally:
        _exit(driver, body, inner, target)
    return ast.Name(name, ast.Load())


def _argument(node: ast.expr) -> str:
    return operand(node) if isinstance(node, ast.Tuple) else expression(node)


def open_generator(driver: Driver, loop: ast.For, frame: Frame) -> bool:
    """A loop over a call of the repository's own generator: its body runs, and at each ``yield`` the loop's body.

    Only where no ``yield`` stands in a ``try`` or ``with``, so that leaving the loop early runs nothing of the
    generator's, and where the loop has no ``else``.
    """
    if driver.full() or not isinstance(loop.iter, ast.Call) or loop.orelse or driver.gate is not None:
        return False
    target = target_of(driver, loop.iter, generator=True)
    if target is None or _yields_guarded(target.definition):
        return False
    call = loop.iter
    sites = {id(inner) for inner in _unconditional(call) if inner is not call and _opens(driver, inner) is not None}
    call = _lower_arguments(driver, call, frame, sites)
    entered = _enter(driver, call, target, frame)
    if entered is None:
        return False
    body, inner = entered
    where = bare(loop.target)
    writes = sorted(bound_names([ast.Assign([loop.target], ast.Constant(None), lineno=loop.lineno)]))

    def consume(value: ast.expr | None) -> None:
        depth, place = driver.depth, driver.session.place
        saved = place.path, place.line, place.depth
        source = "None" if value is None else _argument(value)
        if source != where:
            driver.emit(f"{where} = {source}", inner, "iterate", writes)
        driver.depth -= 0 if target.free else 1
        try:
            driver.block(loop.body, frame)
        except Continue as signal:
            if signal.frame is not frame:
                raise
        finally:
            driver.depth = depth
            place.path, place.line, place.depth = saved

    inner.collect = consume
    try:
        driver.block(body.statements, inner)
    except Return as signal:
        if signal.frame is not inner:
            raise
    except Break as signal:
        if signal.frame is not frame:
            raise
    finally:
        _exit(driver, body, inner, target)
    return True


def _yields_guarded(definition: ast.FunctionDef) -> bool:
    for node in walk_scope(definition.body):
        if isinstance(node, (ast.Try, ast.TryStar, ast.With)) and any(
            isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in walk_scope([node])
        ):
            return True
    return False


def _open_comprehension(driver: Driver, node: ast.ListComp, frame: Frame) -> ast.expr:
    """A list comprehension as a loop that appends; its variable gets a session name of its own."""
    result = driver.temporary("collected")
    generator = node.generators[0]
    wrapped = ast.Assign([generator.target], ast.Constant(None), lineno=node.lineno)
    mapping = {
        name: driver.temporary(name)
        for name in sorted(bound_names([wrapped]))
        if driver.peek(ast.Name(name)) is not missing or name in driver.taken or name in frame.names.values()
    }
    fresh = copy.deepcopy(node)
    rewriter = Rewriter(mapping, None)
    append = ast.Call(
        ast.Attribute(ast.Name(result, ast.Load()), "append", ast.Load()), [rewriter.visit(fresh.elt)], []
    )
    body: list[ast.stmt] = [ast.Expr(append)]
    for test in reversed(fresh.generators[0].ifs):
        body = [ast.If(rewriter.visit(test), body, [])]
    loop = ast.For(rewriter.visit(fresh.generators[0].target), fresh.generators[0].iter, body, [])
    for inner in ast.walk(loop):
        if isinstance(inner, (ast.expr, ast.stmt)):
            ast.copy_location(inner, node)
    driver.emit(f"{result} = []", frame, "bind", [result], reveal=False)
    log = frame.log
    frame.log = []
    try:
        driver.block([loop], frame)
    finally:
        frame.log = log
    return ast.Name(result, ast.Load())
