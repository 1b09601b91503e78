"""A followed call's body, made ready for the flat session.

``arguments_of`` pairs parameters with argument expressions as the call would. ``prepare`` renames locals, reads
closures
from their cells, imports what the body reads from its module, and says why where a body has no faithful flat form.
"""

from __future__ import annotations

import ast
import builtins
import pickle
import sys
import types
from dataclasses import dataclass, field
from typing import Any

from trace_mine.tracer.inside.drive.driver import Driver, Frame, missing
from trace_mine.tracer.inside.drive.statements import is_inert
from trace_mine.tracer.inside.drive.targets import Target
from trace_mine.tracer.inside.program import CO_GENERATOR
from trace_mine.tracer.inside.syntax.comparable_lines import comparable_lines
from trace_mine.tracer.inside.syntax.names import (
    CannotFlatten,
    Rewriter,
    bound_names,
    local_names,
    parameters,
    read_names,
    walk_scope,
)
from trace_mine.tracer.inside.syntax.text import is_literal, operand, unparse

_pickle, _unpickle = pickle.dumps, pickle.loads
"""Copy a tree 2.7 times as fast as ``copy.deepcopy``; bound before the snippet can patch them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What does not change from call to call of a function; holds its tree, so that the tree's id stays its own."""

    definition: ast.FunctionDef
    pickled: bytes
    local: frozenset[str]
    rebound: frozenset[str]
    captures: bool
    lines: list[tuple[int, int]]


@dataclass(slots=True, kw_only=True)
class Body:
    """A body ready to run: ``names`` maps locals to session variables, ``bindings`` are (command, variable or None)."""

    filename: str
    first_line: int
    definition: ast.FunctionDef
    statements: list[ast.stmt]
    names: dict[str, str]
    bindings: list[tuple[str, str | None]] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)
    package: str = ""
    instance: str | None = None
    shared: frozenset[str] = frozenset()
    captures: bool = False
    cells: list[str] = field(default_factory=list)


def arguments_of(driver: Driver, call: ast.Call, target: Target) -> list[tuple[str, ast.expr]]:
    """Each parameter with the expression that it gets, in the order in which the expressions are evaluated.

    Raises:
        CannotFlatten: ``bad_arguments`` where the call would raise, ``star_arguments``, ``default`` for a default value
            that can't be named.
    """
    spec = target.definition.args
    positional = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    only_positional = {a.arg for a in spec.posonlyargs}
    only_keyword = [a.arg for a in spec.kwonlyargs]
    given = _positional(driver, call)
    if target.bound is not None:
        given.insert(0, ast.Name("", ast.Load()) if target.instance is not None else target.bound)
    bound: list[tuple[str, ast.expr]] = list(zip(positional, given, strict=False))
    extra = given[len(positional) :]
    if extra and spec.vararg is None:
        raise CannotFlatten("bad_arguments")
    taken = {name for name, _ in bound}
    rest: list[tuple[str, ast.expr]] = []
    for name, value in _keywords(driver, call):
        if name in only_keyword or (name in positional and name not in only_positional):
            if name in taken:
                raise CannotFlatten("bad_arguments")
            taken.add(name)
            bound.append((name, value))
        elif spec.kwarg is not None:
            rest.append((name, value))
        else:
            raise CannotFlatten("bad_arguments")
    if spec.vararg is not None:
        bound.append((spec.vararg.arg, ast.Tuple(list(extra), ast.Load())))
    for name in [*positional, *only_keyword]:
        if name not in taken:
            bound.append((name, _default(call, target, name)))
    if spec.kwarg is not None:
        bound.append((spec.kwarg.arg, ast.Dict([ast.Constant(name) for name, _ in rest], [value for _, value in rest])))
    if sum(not is_inert(value) and not is_literal(value) for _, value in bound) > 1 and (rest or extra):
        raise CannotFlatten("argument_order")
    return bound


def _may_differ(driver: Driver) -> bool:
    """Whether a value may be another one in a state that looks the same, so that spelling it would tell."""
    return driver.gate is not None and not driver.gate.is_certain


def _positional(driver: Driver, call: ast.Call) -> list[ast.expr]:
    given: list[ast.expr] = []
    for argument in call.args:
        if not isinstance(argument, ast.Starred):
            given.append(argument)
            continue
        value = driver.peek(argument.value)
        if type(value) not in (list, tuple) or _may_differ(driver):
            raise CannotFlatten("star_arguments")
        for index in range(len(value)):
            given.append(ast.Subscript(argument.value, ast.Constant(index), ast.Load()))
    return given


def _keywords(driver: Driver, call: ast.Call) -> list[tuple[str, ast.expr]]:
    given: list[tuple[str, ast.expr]] = []
    for keyword in call.keywords:
        if keyword.arg is not None:
            given.append((keyword.arg, keyword.value))
            continue
        value = driver.peek(keyword.value)
        if type(value) is not dict or not all(type(key) is str for key in value) or _may_differ(driver):
            raise CannotFlatten("star_arguments")
        for key in value:
            given.append((key, ast.Subscript(keyword.value, ast.Constant(key), ast.Load())))
    return given


def _default(call: ast.Call, target: Target, name: str) -> ast.expr:
    spec = target.definition.args
    positional = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    if name in positional:
        index = positional.index(name) - (len(positional) - len(spec.defaults))
        if index < 0 or len(target.function.__defaults__ or ()) != len(spec.defaults):
            raise CannotFlatten("bad_arguments")
        spelt: ast.expr | None = spec.defaults[index]
        held: ast.expr = ast.Constant(index)
        attribute = "__defaults__"
    else:
        spelt = spec.kw_defaults[[a.arg for a in spec.kwonlyargs].index(name)]
        if spelt is None or name not in (target.function.__kwdefaults__ or {}):
            raise CannotFlatten("bad_arguments")
        held = ast.Constant(name)
        attribute = "__kwdefaults__"
    if isinstance(spelt, ast.Constant) or (spelt is not None and is_literal(spelt) and isinstance(spelt, ast.UnaryOp)):
        return spelt
    function = _naming(call, target, "default")
    return ast.Subscript(ast.Attribute(function, attribute, ast.Load()), held, ast.Load())


def _known(driver: Driver, definition: ast.FunctionDef) -> _Known:
    known = driver.definitions.get(id(definition))
    if known is None:
        known = driver.definitions[id(definition)] = _Known(
            definition=definition,
            pickled=_pickle(definition, -1),
            local=frozenset(local_names(definition)),
            rebound=frozenset(bound_names(definition.body)),
            captures=any(
                isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp))
                for node in walk_scope(definition.body)
            ),
            lines=comparable_lines(definition.body),
        )
    return known


def prepare(driver: Driver, call: ast.Call, target: Target, bound: list[tuple[str, ast.expr]], frame: Frame) -> Body:
    """Renames the body for the session and lists the commands that bind its parameters; emits the imports it needs.

    Raises:
        CannotFlatten: the reason why the call has to stay whole.
    """
    code = target.function.__code__
    known = _known(driver, target.definition)
    definition: ast.FunctionDef = _unpickle(known.pickled)
    local, rebound, captures = known.local, known.rebound, known.captures
    outside = _outside(driver, target, definition, local, frame)
    mapping: dict[str, str] = dict(outside)
    names: dict[str, str] = {}
    shared: set[str] = set()
    for name, value in bound:
        held = isinstance(value, ast.Name) and value.id == name and name in driver.session.namespace
        # a loop over a generator may rebind the caller's variable between two of the generator's statements
        if held and name not in rebound and not captures and not code.co_flags & CO_GENERATOR:
            names[name] = name
            shared.add(name)
    for name in sorted(local - shared):
        names[name] = driver.claim(name, avoid=outside.keys() | set(outside.values()) | names.keys() | local)
    mapping.update({old: new for old, new in names.items() if old != new})
    filename, first_line = driver.session.sources.home(code)
    body = Body(
        filename=filename,
        first_line=first_line,
        definition=definition,
        statements=[],
        names=names,
        package=str(target.function.__globals__.get("__package__") or ""),
        lines=known.lines,
        shared=frozenset(shared),
        captures=captures,
    )
    body.bindings += _closed_over(driver, call, target, mapping, body)
    statements = definition.body
    first = statements[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        statements = statements[1:]
    if "__class__" in code.co_freevars:
        statements = [_explicit_super(driver, target, definition).visit(statement) for statement in statements]
    rewriter = Rewriter(mapping, target.owner.__name__ if target.owner is not None else None)
    statements = [rewriter.visit(statement) for statement in statements]
    for statement in statements:
        ast.fix_missing_locations(statement)
    body.statements = statements
    for name, value in bound:
        if name in shared:
            continue
        if target.instance is not None and body.instance is None:
            maker = unparse(call.func)
            body.bindings.append((f"{names[name]} = {maker}.__new__({maker})", names[name]))
            body.instance = names[name]
        else:
            body.bindings.append(
                (
                    f"{names[name]} = {operand(value) if not isinstance(value, ast.Tuple) else unparse(value)}",
                    names[name],
                )
            )
    if target.instance is not None and (body.instance is None or parameters(definition.args)[0] in rebound):
        raise CannotFlatten("rebinds_self")
    return body


def _naming(call: ast.Call, target: Target, reason: str) -> ast.expr:
    """An expression for the function itself, to read its defaults and cells from; ``call.func`` may be its class or an
    object that is called.

    Raises:
        CannotFlatten: with ``reason``, where evaluating it once more would run something.
    """
    if any(isinstance(inner, ast.Call) for inner in ast.walk(call.func)):
        raise CannotFlatten(reason)
    if target.instance is not None:
        return ast.Attribute(call.func, "__init__", ast.Load())
    if target.bound is call.func:
        return ast.Attribute(call.func, "__call__", ast.Load())
    return call.func


def _closed_over(
    driver: Driver, call: ast.Call, target: Target, mapping: dict[str, str], body: Body
) -> list[tuple[str, str | None]]:
    """Commands that read a real closure's variables from its cells."""
    bindings: list[tuple[str, str | None]] = []
    for index, name in enumerate(target.function.__code__.co_freevars):
        if name == "__class__":
            continue
        function = _naming(call, target, "closure")
        held = driver.claim(name)
        body.cells.append(held)
        if held != name:
            mapping[name] = held
        bindings.append((f"{held} = {unparse(function)}.__closure__[{index}].cell_contents", held))
    return bindings


def _outside(
    driver: Driver, target: Target, definition: ast.FunctionDef, local: frozenset[str], frame: Frame
) -> dict[str, str]:
    """Names that the body reads from outside and that the session holds under another name; imports what it lacks."""
    namespace = driver.session.namespace
    home = target.function.__globals__
    renamed: dict[str, str] = {}
    if home is namespace:
        return renamed
    for name in sorted(read_names(definition.body) - local - set(target.function.__code__.co_freevars)):
        if name in home:
            value = home[name]
            if name in namespace and namespace[name] is value:
                continue
            alias = name if name not in namespace and name not in driver.taken else driver.claim(name, avoid=local)
            driver.emit(_import(home, name, alias), frame, "bind", reveal=False)
            driver.taken.add(alias)
            if alias != name:
                renamed[name] = alias
        elif hasattr(builtins, name) and namespace.get(name, getattr(builtins, name)) is not getattr(builtins, name):
            renamed[name] = driver.session.builtin(name)
    return renamed


def _import(home: dict[str, Any], name: str, alias: str) -> str:
    value = home[name]
    as_alias = "" if alias == name else f" as {alias}"
    if type(value) is types.ModuleType:
        path = value.__name__
        if sys.modules.get(path) is value:
            return f"import {path}" + ("" if path == alias else f" as {alias}")
    module = str(home.get("__name__"))
    if vars(sys.modules.get(module, builtins)).get(name, missing) is not value:
        raise CannotFlatten("global_unreachable")
    return f"from {module} import {name}{as_alias}"


class _explicit_super(ast.NodeTransformer):
    """Spells ``super()`` with its class and instance, which only a method's own frame can leave out."""

    def __init__(self, driver: Driver, target: Target, definition: ast.FunctionDef) -> None:
        owner = target.owner
        first = parameters(definition.args)
        if owner is None or not first:
            raise CannotFlatten("super")
        self.owner = owner.__name__
        self.first = first[0]
        if driver.session.namespace.get(self.owner) is not owner:
            raise CannotFlatten("super")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            node.args = [ast.Name(self.owner, ast.Load()), ast.Name(self.first, ast.Load())]
        return node
