"""Which argument of a call goes to which parameter, without evaluating any."""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.context import Context
from trace_mine.tracer.inside.drive.targets import Target
from trace_mine.tracer.inside.syntax.names import CannotFlatten
from trace_mine.tracer.inside.syntax.text import is_inert, is_literal

Argument = tuple[str, ast.expr]
"""A parameter with the expression that it gets."""


def arguments_of(context: Context, call: ast.Call, target: Target) -> list[Argument]:
    """Each parameter with the expression that it gets, in the order in which the expressions are evaluated.

    ``f(1, c=g())`` of ``def f(a, b=2, *, c)`` gives ``[("a", 1), ("c", g()), ("b", 2)]``.

    Raises:
        CannotFlatten: ``bad_arguments`` where the call would raise, ``star_arguments``, ``argument_order``, ``default``
            for a default value that cannot be named.
    """
    spec = target.definition.args
    positional, only_keyword = _positional_names(spec), [a.arg for a in spec.kwonlyargs]
    given = [*_given_first(target), *_given_positional(context, call)]
    arguments: list[Argument] = list(zip(positional, given, strict=False))
    extra = given[len(positional) :]
    if extra and spec.vararg is None:
        raise CannotFlatten("bad_arguments")
    by_name, rest = _match_keywords(spec, _given_keywords(context, call), {name for name, _ in arguments})
    arguments += by_name
    matched = {name for name, _ in arguments}
    if spec.vararg is not None:
        arguments.append((spec.vararg.arg, ast.Tuple(list(extra), ast.Load())))
    arguments += [(name, _default(call, target, name)) for name in [*positional, *only_keyword] if name not in matched]
    if spec.kwarg is not None:
        keys: list[ast.expr | None] = [ast.Constant(name) for name, _ in rest]
        arguments.append((spec.kwarg.arg, ast.Dict(keys, [value for _, value in rest])))
    if rest or extra:
        _check_order(arguments)
    return arguments


def _check_order(arguments: list[Argument]) -> None:
    """The values of ``*args`` or ``**kwargs`` are evaluated together, which is another order where more than one
    argument runs something.

    Raises:
        CannotFlatten: ``argument_order``.
    """
    if sum(not is_inert(value) and not is_literal(value) for _, value in arguments) > 1:
        raise CannotFlatten("argument_order")


def _positional_names(spec: ast.arguments) -> list[str]:
    return [a.arg for a in (*spec.posonlyargs, *spec.args)]


def _match_keywords(
    spec: ast.arguments, given: list[Argument], matched: set[str]
) -> tuple[list[Argument], list[Argument]]:
    """Parts keyword arguments into those of parameters and those for ``**kwargs``; ``matched`` are parameters that have
    got a positional argument.

    Raises:
        CannotFlatten: ``bad_arguments``.
    """
    matched = set(matched)
    nameable = {a.arg for a in (*spec.args, *spec.kwonlyargs)}
    of_parameters: list[Argument] = []
    rest: list[Argument] = []
    for name, value in given:
        if name in nameable:
            if name in matched:
                raise CannotFlatten("bad_arguments")
            matched.add(name)
            of_parameters.append((name, value))
        elif spec.kwarg is not None:
            rest.append((name, value))
        else:
            raise CannotFlatten("bad_arguments")
    return of_parameters, rest


def _given_first(target: Target) -> list[ast.expr]:
    """The argument that the call's form supplies: an object, a class, or an instance that is yet to be made."""
    if target.bound is None:
        return []
    return [target.bound if target.instance is None else ast.Name("", ast.Load())]


def _given_positional(context: Context, call: ast.Call) -> list[ast.expr]:
    """The positional arguments; ``*xs`` as ``xs[0], xs[1]``, where ``xs`` is a list or tuple."""
    given: list[ast.expr] = []
    for argument in call.args:
        if not isinstance(argument, ast.Starred):
            given.append(argument)
            continue
        value = context.variables.peek(argument.value)
        # how many there are is spelt by the session, so it must not depend on what the view hides
        if type(value) not in (list, tuple) or not context.opening.is_certain:
            raise CannotFlatten("star_arguments")
        for index in range(len(value)):
            given.append(ast.Subscript(argument.value, ast.Constant(index), ast.Load()))
    return given


def _given_keywords(context: Context, call: ast.Call) -> list[Argument]:
    """The keyword arguments; ``**table`` as ``a=table['a'], b=table['b']``, where ``table`` is a dictionary."""
    given: list[Argument] = []
    for keyword in call.keywords:
        if keyword.arg is not None:
            given.append((keyword.arg, keyword.value))
            continue
        value = context.variables.peek(keyword.value)
        if type(value) is not dict or not all(type(key) is str for key in value) or not context.opening.is_certain:
            raise CannotFlatten("star_arguments")
        for key in value:
            given.append((key, ast.Subscript(keyword.value, ast.Constant(key), ast.Load())))
    return given


def _default(call: ast.Call, target: Target, name: str) -> ast.expr:
    """An expression for the default value of a parameter: spelt where it is a constant, else read from the function,
    which evaluated it when it was defined.
    """
    spec = target.definition.args
    if name in _positional_names(spec):
        spelt, attribute, key = _positional_default(target, name)
    else:
        spelt, attribute, key = _keyword_default(target, name)
    if isinstance(spelt, ast.Constant) or (is_literal(spelt) and isinstance(spelt, ast.UnaryOp)):
        return spelt
    return ast.Subscript(ast.Attribute(name_of(call, target, "default"), attribute, ast.Load()), key, ast.Load())


def _positional_default(target: Target, name: str) -> tuple[ast.expr, str, ast.Constant]:
    """The default as it is written, and where the function keeps it: attribute and key."""
    spec, names = target.definition.args, _positional_names(target.definition.args)
    index = names.index(name) - (len(names) - len(spec.defaults))
    if index < 0 or len(target.function.__defaults__ or ()) != len(spec.defaults):
        raise CannotFlatten("bad_arguments")
    return spec.defaults[index], "__defaults__", ast.Constant(index)


def _keyword_default(target: Target, name: str) -> tuple[ast.expr, str, ast.Constant]:
    """The same of a keyword-only parameter."""
    spec = target.definition.args
    spelt = spec.kw_defaults[[a.arg for a in spec.kwonlyargs].index(name)]
    if spelt is None or name not in (target.function.__kwdefaults__ or {}):
        raise CannotFlatten("bad_arguments")
    return spelt, "__kwdefaults__", ast.Constant(name)


def name_of(call: ast.Call, target: Target, reason: str) -> ast.expr:
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
