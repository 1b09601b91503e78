"""Comprehensions, opened into loops: on request, and where they call functions of the program's own.

``y = [f(n) for n in xs if n]`` is run as ``for n in xs: if n: collected_1.append(f(n))``, by the handlers of ``for``
and ``if``, so that each item, each test and each call is a command. A generator expression is opened where a built-in
uses it up at once: ``sum(f(n) for n in xs)`` collects its values first, ``any`` and ``all`` end the loop where they
stop.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.observe.describe import ATOMS
from trace_mine.tracer.inside.syntax.names import Rewriter, bound_names, read_names
from trace_mine.tracer.inside.syntax.text import is_inert
from trace_mine.tracer.inside.syntax.walking import walk
from trace_mine.tracer.inside.views.opening import Comprehension

_FORMS: dict[type[ast.expr], tuple[str, str, str]] = {
    ast.ListComp: ("[]", "append", "<listcomp>"),
    ast.SetComp: ("set()", "add", "<setcomp>"),
    ast.DictComp: ("{}", "", "<dictcomp>"),
    ast.GeneratorExp: ("[]", "append", "<genexpr>"),
}
"""What a comprehension begins with, the method that takes an item, and the name of its code."""

COLLECTORS = frozenset({"list", "tuple", "sorted", "set", "frozenset", "sum", "max", "min", "dict"})
"""Built-ins that run a generator to its end."""
SEARCHES = frozenset({"any", "all", "next"})
"""Built-ins that may stop before it."""


class _Evaluated(ast.Pass):
    """A statement of the driver's: an element is evaluated next. It has no command.

    Attributes:
        entered: the frame of the comprehension, which a generator expression's value is given by at each entry.
    """

    entered: Frame


def run_evaluated(context: DriveContext, node: _Evaluated, frame: Frame) -> None:
    """Count that a generator expression was entered for one value more."""
    node.entered.entries += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A call that stops at a value of a generator expression.

    Attributes:
        name: ``any``, ``all`` or ``next``.
        default: what ``next`` gives where there is no value.
    """

    name: str
    default: ast.expr | None = None

    def __post_init__(self) -> None:
        if (self.name == "next") is not (self.default is not None):
            raise ValueError(f"expected a default for next alone, got {self.name!r}; without one, next may raise")


def may_open(node: Comprehension) -> bool:
    """Return True if a loop does what the comprehension does: nothing in it runs later, or somewhere else."""
    if any(generator.is_async for generator in node.generators):
        return False
    parts: list[ast.expr] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    parts += [test for generator in node.generators for test in generator.ifs]
    parts += [generator.iter for generator in node.generators[1:]]
    if _reads_unbound(node.generators):
        return False
    # a closure that is made in it would read the loop's variable of later on
    return not any(isinstance(inner, (ast.Lambda, ast.Await)) for each in parts for inner in walk(each))


def _reads_unbound(generators: list[ast.comprehension]) -> bool:
    """Return True if a part may read a variable of the comprehension before it is bound: an UnboundLocalError."""
    unbound = bound_names([ast.Assign([each.target], ast.Constant(None), lineno=1) for each in generators])
    for number, generator in enumerate(generators):
        if number and read_names([generator.iter]) & unbound:
            return True
        unbound -= bound_names([ast.Assign([generator.target], ast.Constant(None), lineno=1)])
        if read_names(generator.ifs) & unbound:
            return True
    return False


def open_comprehension(
    context: DriveContext, node: Comprehension, frame: Frame, search: Search | None = None, *, is_written: bool = True
) -> ast.expr:
    """Run a comprehension as a loop, and return the variable that holds what it gives.

    The comprehension is a scope of its own, so its variables get other names in the session where theirs are in use.

    Args:
        context: the session.
        node: the comprehension.
        frame: the activation that it stands in.
        search: the call that uses it up and may stop; None collects all items.
        is_written: it stands in the program, so that it has a frame.
    """
    variables = context.variables
    begins, _, name = _FORMS[type(node)]
    result = variables.temporary("collected" if search is None else "result")
    targets = [ast.Assign([each.target], ast.Constant(None), lineno=node.lineno) for each in node.generators]
    mapping = {name: variables.claim(name) for name in sorted(bound_names(targets))}
    for variable in mapping.values():
        variables.make_temporary(variable)
    # its own frame of up to 3.11, for the count of frames; it has no lines to compare
    own = Frame(frame.filename, {}, None)
    own.entries = 1
    # no owner: private names were spelt with their class when the call's body was made ready
    rewriter = Rewriter({old: new for old, new in mapping.items() if old != new}, None)
    loop = _as_loop(context, node, result, rewriter, own, search)
    if search is not None:
        begins = str(search.name == "all") if search.default is None else ast.unparse(search.default)
    context.emit(f"{result} = {begins}", frame, "bind", [result], reveal=False)
    # the loop's statements are the driver's own: settrace sees none of them in this frame, up to 3.11 since the
    # comprehension has a frame of its own, from 3.12 on, where it is inlined, since it is one line of this one
    try:
        with frame.without_log():
            context.block([loop], frame)
    finally:
        if is_written:
            context.calls.finish(own, node.lineno, name, [])
    return ast.Name(result, ast.Load())


def is_order_free(function: ast.expr, items: object) -> bool:
    """Return True if a built-in runs nothing of the program's between two items, and can't raise before the last one.

    ``sum`` adds each item when it gets it. ``items`` are the items, collected.
    """
    if not isinstance(function, ast.Name) or function.id in ("list", "tuple", "sorted") or type(items) is not list:
        return True
    kinds = set(map(type, items))
    if function.id in ("set", "frozenset"):
        return kinds <= ATOMS
    if function.id == "dict":
        return all(type(item) is tuple and len(item) == 2 and type(item[0]) in ATOMS for item in items)
    return kinds <= {int, float, bool} or (kinds == {str} and function.id != "sum")


def _as_loop(
    context: DriveContext, node: Comprehension, result: str, rewriter: Rewriter, own: Frame, search: Search | None
) -> ast.For:
    """Return ``[f(x) for x in xs if p(x)]`` as the loop ``for x in xs: if p(x): result.append(f(x))``."""
    comprehension = copy.deepcopy(node)  # the rewriter changes the tree that it visits
    targets = bound_names([ast.Assign([each.target], ast.Constant(None), lineno=1) for each in node.generators])
    if isinstance(comprehension, ast.DictComp):
        body = _entry(context, comprehension, result, rewriter, targets)
    else:
        body = _item(comprehension, result, rewriter, search)
    if isinstance(node, ast.GeneratorExp):
        evaluated = _Evaluated()
        evaluated.entered = own
        body.insert(0, evaluated)
    for number in reversed(range(len(comprehension.generators))):
        generator = comprehension.generators[number]
        for test in reversed(generator.ifs):
            body = [ast.If(rewriter.visit(test), body, [])]
        # the first iterable is evaluated in the scope around the comprehension, so its names stay
        iterable = rewriter.visit(generator.iter) if number else generator.iter
        body = [ast.For(rewriter.visit(generator.target), iterable, body, [])]
    loop = body[0]
    assert isinstance(loop, ast.For)
    for inner in walk(loop):
        if isinstance(inner, (ast.expr, ast.stmt)):
            ast.copy_location(inner, node)
    return loop


def _item(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp, result: str, rewriter: Rewriter, search: Search | None
) -> list[ast.stmt]:
    """Return the statements that take one item."""
    element = rewriter.visit(node.elt)
    if search is None:
        method = ast.Attribute(ast.Name(result, ast.Load()), _FORMS[type(node)][1], ast.Load())
        return [ast.Expr(ast.Call(method, [element], []))]
    if search.name == "next":
        return [ast.Assign([ast.Name(result, ast.Store())], element), ast.Break()]
    decides = ast.Constant(search.name == "any")
    test = element if search.name == "any" else ast.UnaryOp(ast.Not(), element)
    return [ast.If(test, [ast.Assign([ast.Name(result, ast.Store())], decides), ast.Break()], [])]


def _entry(
    context: DriveContext, node: ast.DictComp, result: str, rewriter: Rewriter, targets: set[str]
) -> list[ast.stmt]:
    """Return the statements that take one entry: the key is evaluated first, and after the value in an assignment."""
    is_fixed = isinstance(node.key, ast.Constant) or (isinstance(node.key, ast.Name) and node.key.id in targets)
    key, value = rewriter.visit(node.key), rewriter.visit(node.value)
    body: list[ast.stmt] = []
    if not is_fixed and not is_inert(value):
        name = context.variables.temporary("key")
        body.append(ast.Assign([ast.Name(name, ast.Store())], key))
        key = ast.Name(name, ast.Load())
    body.append(ast.Assign([ast.Subscript(ast.Name(result, ast.Load()), key, ast.Store())], value))
    return body


HANDLERS: dict[type[ast.stmt], Handler] = {_Evaluated: run_evaluated}
