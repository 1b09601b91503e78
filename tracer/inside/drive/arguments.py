"""Binds the arguments of a call to the parameters of its function, as expressions: nothing is evaluated.

``inspect.Signature.bind`` binds values. Here the session's commands evaluate the expressions one by one, so the order
of evaluation has to be kept as well.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.targets import Target
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.text import is_inert, is_literal

Argument = tuple[str, ast.expr]
"""A parameter with the expression that it gets."""


def arguments_of(context: DriveContext, call: ast.Call, target: Target) -> list[Argument]:
    """Return each parameter with the expression that it gets, in the order in which the expressions are evaluated.

    Raises:
        CannotOpen: ``BAD_ARGUMENTS`` where the call itself would raise, ``STAR_ARGUMENTS``, ``ARGUMENT_ORDER``.

    Example:
        ``f(1, c=g())`` of ``def f(a, b=2, *, c)`` gives ``[("a", 1), ("c", g()), ("b", 2)]``: the default comes last,
        since it was evaluated long ago.
    """
    spec = target.definition.args
    positional, only_keyword = _positional_names(spec), [a.arg for a in spec.kwonlyargs]
    given = [*_given_first(target), *_given_positional(context, call)]
    arguments: list[Argument] = list(zip(positional, given, strict=False))
    extra = given[len(positional) :]
    if extra and spec.vararg is None:
        raise CannotOpen(Reason.BAD_ARGUMENTS)
    # Python evaluates all positional arguments before the keywords, in the order of the call
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
        _check_order(context, arguments)
    return arguments


def needs_variables(context: DriveContext, call: ast.Call, target: Target) -> bool:
    """Return True if the call can be opened only when its arguments are variables: they are spread, or gathered."""
    spec = target.definition.args
    spreads = any(isinstance(each, ast.Starred) for each in call.args) or any(k.arg is None for k in call.keywords)
    if not (spreads or spec.vararg or spec.kwarg) or not context.opening.is_certain:
        return False
    try:
        arguments_of(context, call, target)
    except CannotOpen as error:
        return error.reason in (Reason.ARGUMENT_ORDER, Reason.STAR_ARGUMENTS)
    return False


def _check_order(context: DriveContext, arguments: list[Argument]) -> None:
    """Refuse a call with ``*args`` or ``**kwargs`` whose arguments could be evaluated in another order.

    One command evaluates all values of ``args`` together, which is another order where more than one argument runs
    code.

    Raises:
        CannotOpen: ``ARGUMENT_ORDER``.
    """
    runs = sum(not _runs_nothing(context, value) for _, value in arguments)
    changing = sum(isinstance(value, ast.Name) and context.variables.may_be_rebound(value.id) for _, value in arguments)
    if runs and runs + changing > 1:
        raise CannotOpen(Reason.ARGUMENT_ORDER)


def _runs_nothing(context: DriveContext, node: ast.expr) -> bool:
    """Return True if to evaluate the expression of an argument runs no code of the snippet."""
    if isinstance(node, ast.Tuple):
        return all(_runs_nothing(context, item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return all(_runs_nothing(context, value) for value in node.values)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        # an item of what the call spreads, or a default that the function holds
        is_default = isinstance(node.value, ast.Attribute) and node.value.attr in ("__defaults__", "__kwdefaults__")
        return is_default or type(context.variables.peek(node.value)) in (list, tuple, dict)
    return is_inert(node) or is_literal(node)


def _positional_names(spec: ast.arguments) -> list[str]:
    """Return the names of the parameters that take positional arguments, in their order."""
    return [a.arg for a in (*spec.posonlyargs, *spec.args)]


def _match_keywords(
    spec: ast.arguments, given: list[Argument], matched: set[str]
) -> tuple[list[Argument], list[Argument]]:
    """Part keyword arguments into those of parameters and those for ``**kwargs``.

    ``matched`` are the parameters that have a positional argument already.

    Raises:
        CannotOpen: ``BAD_ARGUMENTS``.
    """
    matched = set(matched)
    # not the positional-only ones: a keyword of such a name goes into ``**kwargs``
    nameable = {a.arg for a in (*spec.args, *spec.kwonlyargs)}
    of_parameters: list[Argument] = []
    rest: list[Argument] = []
    for name, value in given:
        if name in nameable:
            if name in matched:
                raise CannotOpen(Reason.BAD_ARGUMENTS)
            matched.add(name)
            of_parameters.append((name, value))
        elif spec.kwarg is not None:
            rest.append((name, value))
        else:
            raise CannotOpen(Reason.BAD_ARGUMENTS)
    return of_parameters, rest


def _given_first(target: Target) -> list[ast.expr]:
    """Return the argument that the call's form supplies: an object, a class, or an instance that is yet to be made."""
    if target.bound is None:
        return []
    # the instance has no expression: ``bodies`` binds the parameter by ``__new__``
    return [target.bound if target.instance is None else ast.Name("", ast.Load())]


def _check_spread(call: ast.Call) -> None:
    """Refuse a call that spreads a value while another argument may run code, which could change that value.

    Raises:
        CannotOpen: ``ARGUMENT_ORDER``.
    """
    is_spread = [isinstance(argument, ast.Starred) for argument in call.args] + [k.arg is None for k in call.keywords]
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    if any(is_spread) and not all(
        spread or is_inert(value) or is_literal(value) for spread, value in zip(is_spread, values, strict=True)
    ):
        raise CannotOpen(Reason.ARGUMENT_ORDER)


def _given_positional(context: DriveContext, call: ast.Call) -> list[ast.expr]:
    """Return the positional arguments; ``*xs`` as ``xs[0], xs[1]``, where ``xs`` is a list or tuple.

    Raises:
        CannotOpen: ``STAR_ARGUMENTS``: anything else is spread.
    """
    given: list[ast.expr] = []
    _check_spread(call)
    for argument in call.args:
        if not isinstance(argument, ast.Starred):
            given.append(argument)
            continue
        value = context.variables.peek(argument.value)
        # the session spells how many there are, so the number must not depend on what the view hides
        if not (type(value) is list or type(value) is tuple) or not context.opening.is_certain:
            raise CannotOpen(Reason.STAR_ARGUMENTS)
        for index in range(len(value)):
            given.append(ast.Subscript(argument.value, ast.Constant(index), ast.Load()))
    return given


def _given_keywords(context: DriveContext, call: ast.Call) -> list[Argument]:
    """Return the keyword arguments; ``**table`` as ``a=table['a'], b=table['b']``, where ``table`` is a dictionary.

    Raises:
        CannotOpen: ``STAR_ARGUMENTS``: anything else is spread, or the keys are no names.
    """
    given: list[Argument] = []
    for keyword in call.keywords:
        if keyword.arg is not None:
            given.append((keyword.arg, keyword.value))
            continue
        value = context.variables.peek(keyword.value)
        if type(value) is not dict or not all(type(key) is str for key in value) or not context.opening.is_certain:
            raise CannotOpen(Reason.STAR_ARGUMENTS)
        for key in value:
            given.append((key, ast.Subscript(keyword.value, ast.Constant(key), ast.Load())))
    return given


def _default(call: ast.Call, target: Target, name: str) -> ast.expr:
    """Return an expression for the default value of a parameter.

    A constant is spelt; anything else is read from the function, which evaluated it once, when it was defined: ``[]``
    as a default is the same list in every call.

    Raises:
        CannotOpen: ``BAD_ARGUMENTS``: there is no default.
    """
    spec = target.definition.args
    if name in _positional_names(spec):
        spelt, attribute, key = _positional_default(target, name)
    else:
        spelt, attribute, key = _keyword_default(target, name)
    if isinstance(spelt, ast.Constant) or (is_literal(spelt) and isinstance(spelt, ast.UnaryOp)):
        return spelt
    return ast.Subscript(ast.Attribute(name_of(call, target), attribute, ast.Load()), key, ast.Load())


def _positional_default(target: Target, name: str) -> tuple[ast.expr, str, ast.Constant]:
    """Return the default of a positional parameter as it is written, with the attribute and key that hold its value."""
    spec, names = target.definition.args, _positional_names(target.definition.args)
    index = names.index(name) - (len(names) - len(spec.defaults))  # defaults belong to the last parameters
    # the program may assign to ``__defaults__``: then the definition does not say what the call gets
    if index < 0 or len(target.function.__defaults__ or ()) != len(spec.defaults):
        raise CannotOpen(Reason.BAD_ARGUMENTS)
    return spec.defaults[index], "__defaults__", ast.Constant(index)


def _keyword_default(target: Target, name: str) -> tuple[ast.expr, str, ast.Constant]:
    """Return the default of a keyword-only parameter as it is written, with the attribute and key of its value."""
    spec = target.definition.args
    spelt = spec.kw_defaults[[a.arg for a in spec.kwonlyargs].index(name)]
    if spelt is None or name not in (target.function.__kwdefaults__ or {}):
        raise CannotOpen(Reason.BAD_ARGUMENTS)
    return spelt, "__kwdefaults__", ast.Constant(name)


def name_of(call: ast.Call, target: Target) -> ast.expr:
    """Return an expression for the function itself, from which to read its defaults and cells.

    To evaluate it once more runs nothing: ``target_of`` follows names and attributes that can be looked up without
    running code of the snippet, and no other expression.
    """
    if target.instance is not None:
        return ast.Attribute(call.func, "__init__", ast.Load())  # ``call.func`` is the class
    if target.bound is call.func:
        return ast.Attribute(call.func, "__call__", ast.Load())  # ``call.func`` is an object that is called
    return call.func
