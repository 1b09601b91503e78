"""Calls that an expression makes without saying so: an operator, a property, an index, ``len`` of an instance.

``a + b`` runs the body of ``__add__`` of ``a``'s class. ``implicit_call`` finds that function by the types of the
operands, where it is certain which one Python calls; the call is then opened as one that the program spells.

Python asks the other operand where a special method returns NotImplemented. ``ImplicitCall.reflected`` is that second
call; where there is none that could be opened, the statement is kept as one command.
"""

from __future__ import annotations

import ast
import sys
import types
from functools import cached_property

from trace_mine.tracer.inside.drive.calls import open_call
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.descriptors import property_call
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.implied import (
    ImplicitCall,
    found_in,
    is_instance,
    known_value,
    special_of,
)
from trace_mine.tracer.inside.drive.operators import (
    BINARY,
    COMPARED,
    CONVERSIONS,
    UNARY,
    Asked,
    is_print,
    operands,
)
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import HEAP_TYPE, attributes, class_flags, class_mro
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.text import operand as operand_text
from trace_mine.tracer.inside.syntax.text import unparse

_NUMBERS = (int, float, complex, bool)
"""Types whose operators return NotImplemented for an instance of a class of the program's."""


def concerns(context: DriveContext, asked: list[Asked]) -> bool:
    """Return True if one of the operands is known to be an instance whose class has a function for the expression.

    The other operand need not be known yet.
    """
    for operand, names in asked:
        kind = _class_of(context, operand)
        if kind is not None and any(_is_own(context, found_in(kind, name)[0]) for name in names):
            return True
    return False


def _class_of(context: DriveContext, operand: ast.expr) -> type | None:
    """Return the class of an operand that is an instance of one that a program made; None as long as that is not known.

    The instance may be yet to be made, by a call of its class.
    """
    value = known_value(context, operand)
    if is_instance(value):
        return type(value)
    made = known_value(context, operand.func) if isinstance(operand, ast.Call) else missing
    return made if type(made) is type else None


def _is_own(context: DriveContext, member: object) -> bool:
    """Return True for a function of the program's own, and for a property or descriptor that calls one."""
    if type(member) is property:
        member = member.fget
    elif type(member) is cached_property:
        member = attributes(member).get("func")
    elif member is not missing and class_flags(type(member)) & HEAP_TYPE:
        member = found_in(type(member), "__get__")[0]
    return isinstance(member, types.FunctionType) and context.writer.sources.is_own(member.__code__.co_filename)


def implicit_call(context: DriveContext, node: ast.expr) -> ImplicitCall | None:
    """Return the call that an expression makes now and that can be opened; None where it is not certain, or none."""
    # a hidden outcome may decide the operands' types
    if not context.opening.is_certain:
        return None
    values = [known_value(context, operand) for operand in operands(node)]
    if not values or missing in map(_known, values) or not any(map(is_instance, values)):
        return None
    if isinstance(node, ast.BinOp):
        name = BINARY[type(node.op)]
        return _binary(context, node, (f"__{name}__", f"__r{name}__"), (node.left, node.right), values)
    if isinstance(node, ast.Compare):
        return _compared(context, node, values)
    if isinstance(node, ast.UnaryOp):
        return special_of(context, UNARY[type(node.op)], [node.operand], values[0])
    if isinstance(node, ast.Subscript):
        index = _index(context, node.slice)
        return None if index is None else special_of(context, "__getitem__", [node.value, index], values[0])
    if isinstance(node, ast.Attribute):
        return property_call(context, node, values[0])
    if isinstance(node, ast.FormattedValue):
        return text_call(context, node.value, is_repr=node.conversion == ord("r"), is_formatted=node.conversion == -1)
    return _converted(context, node, values[0]) if isinstance(node, ast.Call) and not is_print(node) else None


def text_call(
    context: DriveContext, node: ast.expr, *, is_repr: bool = False, is_formatted: bool = False
) -> ImplicitCall | None:
    """Return the call that makes an instance's text; ``is_formatted``: by ``format``, which asks ``str`` by default."""
    value = known_value(context, node)
    if not context.opening.is_certain or not is_instance(value):
        return None
    if is_formatted and found_in(type(value), "__format__")[1] is not object:
        return None
    is_repr = is_repr or found_in(type(value), "__str__")[1] is object
    return special_of(context, "__repr__" if is_repr else "__str__", [node], value, kind=str)


def open_implicit(
    context: DriveContext, implied: ImplicitCall, frame: Frame, *, is_used: bool = True
) -> ast.expr | None:
    """Open an implicit call, and return the value that the expression has; None where it has to stay.

    ``is_used``: something uses that value, so that None needs a variable.

    Raises:
        Restart: the call gave something else than the expression does, or was not the last one that it makes.
    """
    result = open_call(context, implied.call, implied.target, frame)
    if result is None:
        return None
    value = context.variables.peek(result)
    if implied.may_decline and value is NotImplemented:
        reflected = None if implied.reflected is None else open_implicit(context, implied.reflected, frame)
        if reflected is None:
            context.give_up_statement(frame, Reason.UNFAITHFUL)
        return reflected
    # an int is a length, which Python bounds
    is_bad_length = type(value) is int and implied.kind is int and not 0 <= value <= sys.maxsize
    if is_bad_length or (implied.kind is not None and type(value) is not implied.kind):
        context.give_up_statement(frame, Reason.UNFAITHFUL)
    # a variable, so that the next command doesn't spell what it shows
    if isinstance(result, ast.Constant) and is_used:
        result = context.assign_temporary(result, "returned", frame, "returned")
    if implied.kept_as is not None:
        context.emit(f"{unparse(implied.kept_as)} = {operand_text(result)}", frame, reveal=False)
    return ast.UnaryOp(ast.Not(), result) if implied.is_negated else result


def open_special(
    context: DriveContext, frame: Frame, name: str, instance: ast.expr, *arguments: ast.expr
) -> ast.expr | None:
    """Open the special method of an instance that a statement calls; return what it gave, None where it has to stay."""
    implied = None if context.budget.is_full else special_call(context, name, [instance, *arguments])
    return None if implied is None else open_call(context, implied.call, implied.target, frame)


def makes_instance(context: DriveContext, node: ast.expr, name: str) -> bool:
    """Return True if the expression is a call that makes an instance whose class has its own method of this name."""
    kind = _class_of(context, node) if isinstance(node, ast.Call) and context.opening.is_certain else None
    return kind is not None and _is_own(context, found_in(kind, name)[0])


def special_call(
    context: DriveContext, name: str, arguments: list[ast.expr], *, generator: bool = False
) -> ImplicitCall | None:
    """Return the call of a special method of the first argument, where it can be opened.

    ``generator``: see ``targets.target_of``.
    """
    value = known_value(context, arguments[0])
    if not context.opening.is_certain or not is_instance(value):
        return None
    return special_of(context, name, arguments, value, generator=generator)


def in_place(context: DriveContext, target: ast.expr, operator: ast.operator, value: ast.expr) -> ImplicitCall | None:
    """Return the call that ``target += value`` makes now, where the class of the target defines it in place."""
    holder = known_value(context, target)
    if not context.opening.is_certain or not is_instance(holder):
        return None
    return special_of(context, f"__i{BINARY[type(operator)]}__", [target, value], holder, may_decline=True)


def has_in_place(context: DriveContext, target: ast.expr, operator: ast.operator) -> bool:
    """Return True if the class of a variable's value has a method for ``+=`` and the like."""
    return found_in(type(known_value(context, target)), f"__i{BINARY[type(operator)]}__")[0] is not missing


def truth(context: DriveContext, node: ast.expr) -> ImplicitCall | None:
    """Return the call that a test of an instance makes, of ``__bool__`` or else of ``__len__``."""
    value = known_value(context, node)
    if not context.opening.is_certain or not is_instance(value):
        return None
    if found_in(type(value), "__bool__")[0] is not missing:
        return special_of(context, "__bool__", [node], value, kind=bool)
    return special_of(context, "__len__", [node], value, kind=int)


def _index(context: DriveContext, node: ast.expr) -> ast.expr | None:
    """Return an index as an argument; None for ``1:2`` where the program has a ``slice`` of its own."""
    if not isinstance(node, ast.Slice):
        return node
    made = ast.Name("slice", ast.Load())
    if context.variables.peek(made) is not slice:
        return None
    bounds = [ast.Constant(None) if each is None else each for each in (node.lower, node.upper, node.step)]
    return ast.fix_missing_locations(ast.copy_location(ast.Call(made, bounds, []), node))


def _known(value: object) -> object:
    # ``in`` compares by ``==`` as well, which is the snippet's
    return missing if value is missing else None


def _binary(
    context: DriveContext,
    node: ast.expr,
    names: tuple[str, str],
    sides: tuple[ast.expr, ast.expr],
    values: list[object],
    *,
    is_comparison: bool = False,
) -> ImplicitCall | None:
    """Return the call of a binary operator or comparison."""
    (left, right), (forward, backward) = sides, names
    kind, other = type(values[0]), type(values[1])
    # the right operand goes first where its class is a subclass with a method of its own
    if kind is not other and any(base is kind for base in class_mro(other)):
        return None
    reflected = None
    if kind is not other or is_comparison:
        reflected = special_of(context, backward, [right, left], values[1], may_decline=True)
    owner = found_in(kind, forward)[1]
    if is_instance(values[0]) and owner is not None and owner is not object:
        return special_of(context, forward, [left, right], values[0], may_decline=True, reflected=reflected)
    # ``object`` knows an instance equal to itself, and declines all else
    declines = any(kind is each for each in _NUMBERS) or (is_instance(values[0]) and values[0] is not values[1])
    return reflected if declines else None


def _compared(context: DriveContext, node: ast.Compare, values: list[object]) -> ImplicitCall | None:
    """Return the call of a comparison, or of ``in``."""
    operator, sides = node.ops[0], (node.left, node.comparators[0])
    if isinstance(operator, (ast.In, ast.NotIn)):
        is_negated = isinstance(operator, ast.NotIn)
        if not is_instance(values[1]):
            return None
        return special_of(context, "__contains__", [*reversed(sides)], values[1], kind=bool, is_negated=is_negated)
    if isinstance(operator, (ast.Is, ast.IsNot)):
        return None
    if isinstance(operator, ast.NotEq) and found_in(type(values[0]), "__ne__")[1] is object:
        # ``object`` negates what ``__eq__`` says, unless that is NotImplemented
        return special_of(context, "__eq__", [*sides], values[0], kind=bool, is_negated=True)
    return _binary(context, node, COMPARED[type(operator)], sides, values, is_comparison=True)


def opens_look_up(context: DriveContext, node: ast.Attribute) -> bool:
    """Return True if looking up the function of a call runs one of the program's own that can be opened."""
    value = known_value(context, node.value)
    if not is_instance(value):
        return False
    member = found_in(type(value), node.attr)[0]
    # most calls are of methods
    return not isinstance(member, types.FunctionType) and implicit_call(context, node) is not None


def _converted(context: DriveContext, node: ast.Call, value: object) -> ImplicitCall | None:
    """Return the call that ``len(x)`` and its like make."""
    assert isinstance(node.func, ast.Name)
    name, kind = CONVERSIONS[node.func.id]
    # a program may have a ``len`` of its own
    if getattr(context.variables.peek(node.func), "__module__", "") != "builtins":
        return None
    if name == "__str__" and found_in(type(value), name)[1] is object:
        name = "__repr__"
    if name == "__bool__":
        return truth(context, node.args[0]) if found_in(type(value), name)[0] is not missing else None
    return special_of(context, name, [node.args[0]], value, kind=kind)
