"""Makes a followed call's body ready for the session, which has one namespace for all.

``prepare`` renames locals, reads a closure's variables from its cells, imports the globals that the body reads from its
module, and refuses a body that has no faithful form in one namespace.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
import types
from collections.abc import Mapping

from trace_mine.tracer.inside.drive.arguments import Argument, name_of
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Body, Frame
from trace_mine.tracer.inside.drive.functions import FunctionFacts
from trace_mine.tracer.inside.drive.targets import Target, static_value
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import class_mro
from trace_mine.tracer.inside.program import CO_GENERATOR
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import (
    CannotOpen,
    Rewriter,
    bound_names,
    class_of_code,
    mangled,
    parameters,
    read_names,
)
from trace_mine.tracer.inside.syntax.text import is_inert, operand, unparse
from trace_mine.tracer.inside.syntax.walking import children, fix_locations, walk


def prepare(context: DriveContext, call: ast.Call, target: Target, arguments: list[Argument], frame: Frame) -> Body:
    """Rename a body for the session and list the commands that bind its parameters; emit the imports that it needs.

    The names are decided in the order imports, shared parameters, locals, closure variables: a local must not get the
    name of an import that the same body reads, and the other way round.

    Args:
        call: the call, with its arguments lowered.
        target: its function.
        arguments: each parameter with its expression, see ``arguments_of``.
        frame: the caller's activation.

    Raises:
        CannotOpen: the call has to stay a call, for the reason that the exception carries.
    """
    code = target.function.__code__
    facts = context.functions.facts(target.definition)
    definition = facts.copy_tree()
    imported = _import_globals(context, target, definition, facts, frame)
    shared = _shared_parameters(context, target, facts, arguments)
    namespace, home = context.variables.namespace, target.function.__globals__
    owner = class_of_code(code.co_qualname)
    names = {name: name for name, _ in arguments if name in shared}
    for name in sorted(facts.locals - shared):
        avoid = imported.keys() | set(imported.values()) | names.keys() | facts.locals
        names[name] = context.variables.claim(mangled(name, owner), avoid=avoid)
    filename, first_line = context.writer.sources.home(code)
    # from here on the names are claimed: where the body is refused below they stay so, which only costs a number
    body = Body(
        filename=filename,
        first_line=first_line,
        definition=definition,
        statements=[],
        names=names,
        package=str(target.function.__globals__.get("__package__") or ""),
        qualified=code.co_qualname,
        lines=facts.lines,
        shared=shared,
        captures=facts.captures,
        kept=frozenset(code.co_cellvars if facts.captures else ()),
    )
    context.variables.note_rebound(names[name] for name in facts.rebound_inside if name in names)
    for name in shared:
        body.same[name] = functools.partial(_identity, namespace[name])
    for name, alias in imported.items():
        if name in home and "." not in alias:  # neither a built-in nor an attribute of the module
            body.same[alias] = functools.partial(home.get, name, missing)
    renamed = {old: new for old, new in (*imported.items(), *names.items()) if old != new}
    _bind_closure(context, call, target, renamed, body)
    body.statements = _rewritten(context, target, definition, renamed)
    _bind_parameters(context, call, target, arguments, body)
    # settrace sees private names of locals as the compiler spells them
    for name in [name for name in names if mangled(name, owner) != name]:
        body.names[mangled(name, owner)] = body.names.pop(name)
    # in the order in which Python lets go of them when the call returns
    order = {name: number for number, name in enumerate((*code.co_varnames, *code.co_cellvars))}
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        names[name] = names.pop(name)
    # the call's result is the variable of ``self``, which must hold the instance until the end
    if target.instance is not None and (body.instance is None or parameters(definition.args)[0] in facts.rebound):
        raise CannotOpen(Reason.REBINDS_SELF)
    return body


def _identity(value: object) -> object:
    return value


def _contents(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return missing  # ``del`` in the function around


def _shared_parameters(
    context: DriveContext, target: Target, facts: FunctionFacts, arguments: list[Argument]
) -> frozenset[str]:
    """Return the parameters that need no variable of their own.

    Those are the ones whose argument is the caller's variable of the same name, where nothing rebinds either while the
    other is in use. They save a command like ``n = n``, or a second name for the same value.
    """
    if facts.captures or target.function.__code__.co_flags & CO_GENERATOR:
        # a closure may read the parameter after the caller rebound its variable, and a loop over a generator may
        # rebind the caller's variable between two of the generator's statements
        return frozenset()
    shared = frozenset(
        name
        for name, value in arguments
        if isinstance(value, ast.Name)
        and value.id == name
        and name in context.variables.namespace
        and name not in facts.rebound
        and not name.startswith("__")  # it may be another name in the class
        and not context.variables.may_be_rebound(name)
    )
    # none that ``:=`` in another argument binds
    return shared - bound_names([ast.Expr(value) for _, value in arguments]) if shared else shared


def _rewritten(
    context: DriveContext, target: Target, definition: ast.FunctionDef, renamed: dict[str, str]
) -> list[ast.stmt]:
    """Return the definition's statements in session names, without the docstring; changes its tree."""
    statements = definition.body
    first = statements[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        statements = statements[1:]
    # the compiler gives a method that cell if its body says ``super`` or ``__class__``
    if "__class__" in target.function.__code__.co_freevars:
        super_call = _ExplicitSuper(context, target, definition, renamed)
        statements = [super_call.visit(statement) for statement in statements]
    rewriter = Rewriter(renamed, class_of_code(target.function.__code__.co_qualname))
    statements = [rewriter.visit(statement) for statement in statements]
    for statement in statements:
        _qualify_classes(statement, f"{target.function.__code__.co_qualname}.<locals>")
        fix_locations(statement)
    return statements


def _qualify_classes(node: ast.AST, outer: str) -> None:
    """Have the classes that a statement defines say their qualified name, which the session's own would not have.

    ``repr`` shows it, that of data classes above all. Those of inner functions are left: other frames define them.
    """
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return
    if isinstance(node, ast.ClassDef):
        outer = f"{outer}.{node.name}"
        if "__qualname__" not in bound_names(node.body):
            has_doc = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
            named = ast.Assign([ast.Name("__qualname__", ast.Store())], ast.Constant(outer), lineno=node.lineno)
            node.body.insert(int(has_doc), named)
    for child in children(node):
        _qualify_classes(child, outer)


def _set_up_default(context: DriveContext, target: Target, name: str, value: ast.expr) -> ast.expr:
    """Return the name that the set-up has for a default which is read from its function; any other value as it is."""
    spec, function = target.definition.args, target.function
    is_read = isinstance(value, ast.Subscript) and isinstance(value.value, ast.Attribute)
    if not is_read or not isinstance(value, ast.Subscript) or not isinstance(value.value, ast.Attribute):
        return value
    part, key = value.value.attr, value.slice
    if not isinstance(key, ast.Constant) or (part != "__defaults__" and part != "__kwdefaults__"):
        return value
    if part == "__defaults__":
        spelt, held = spec.defaults[key.value], (function.__defaults__ or ())[key.value]  # type: ignore[index]
    else:
        position = [each.arg for each in spec.kwonlyargs].index(name)
        spelt, held = spec.kw_defaults[position] or value, (function.__kwdefaults__ or {})[name]
    home, known = function.__globals__, None
    if context.opening.is_certain and (
        (isinstance(spelt, (ast.Name, ast.Attribute)) and static_value(context, spelt) is held)
        or (isinstance(spelt, ast.Tuple) and all(isinstance(each, ast.Constant) for each in spelt.elts))
    ):
        return spelt  # the same where it is evaluated again
    if isinstance(spelt, ast.Name) and home.get(spelt.id, missing) is held and home is not context.variables.namespace:
        known = context.set_up.name_of_global(home, spelt.id, ())
    if known is None:
        known = context.set_up.name_of_part(function, part, key.value, f"{name}_default")  # type: ignore[arg-type]
    return value if known is None else ast.Name(known, ast.Load())


def _bind_parameters(
    context: DriveContext, call: ast.Call, target: Target, arguments: list[Argument], body: Body
) -> None:
    """Add the commands that bind the parameters. Where the call makes an instance, the first one makes it.

    ``C(1)`` is ``self = C.__new__(C)``, then the body of ``__init__``: ``target_of`` follows only classes that are made
    by ``object.__new__``.
    """
    for name, value in arguments:
        if name in body.shared:
            continue
        variable = body.names[name]
        value = _set_up_default(context, target, name, value)
        if target.instance is not None and body.instance is None:
            cls = unparse(call.func)  # without parameters, where the call has a class with some
            kept = [cls, *_kept_arguments(call, target.instance)]
            body.bindings.append((f"{variable} = {cls}.__new__({', '.join(kept)})", variable))
            body.instance = variable
        else:
            text = unparse(value) if isinstance(value, ast.Tuple) else operand(value)
            body.bindings.append((f"{variable} = {text}", variable))
            body.values[variable] = value


def _kept_arguments(call: ast.Call, cls: type) -> list[str]:
    """Return the texts of the arguments that ``__new__`` takes: an exception keeps those that have no keyword.

    Raises:
        CannotOpen: ``ARGUMENT_ORDER``: one would be evaluated twice, here and for ``__init__``.
    """
    if not any(base is BaseException for base in class_mro(cls)):
        return []
    if not all(is_inert(argument) for argument in call.args):
        raise CannotOpen(Reason.ARGUMENT_ORDER)
    return [operand(argument) for argument in call.args]


def _bind_closure(context: DriveContext, call: ast.Call, target: Target, renamed: dict[str, str], body: Body) -> None:
    """Add the commands that read a closure's variables from its cells, and the variables' new names to ``renamed``.

    The commands copy values, so a body that rebinds such a variable is refused before (``targets``).
    """
    for index, name in enumerate(target.function.__code__.co_freevars):
        if name == "__class__":
            continue  # ``_ExplicitSuper`` spells it
        if name in context.functions.facts(target.definition).nonlocals:
            # what it binds others see: the session has the cell, and the variable is what it holds
            cell = context.variables.claim(f"{name}_cell")
            body.cells.append(cell)
            renamed[name] = f"{cell}.cell_contents"
            body.bindings.append((f"{cell} = {unparse(name_of(call, target))}.__closure__[{index}]", cell))
            continue
        known = None
        if not _is_rebound_by_others(context, target, name):
            known = context.set_up.name_of_part(target.function, "__closure__", index, name, body.names.values())
        if known is not None:
            if known != name:
                renamed[name] = known
            body.same[known] = functools.partial(_contents, (target.function.__closure__ or ())[index])
            continue
        function = name_of(call, target)
        variable = context.variables.claim(name)
        body.cells.append(variable)
        if variable != name:
            renamed[name] = variable
        body.same[variable] = functools.partial(_contents, (target.function.__closure__ or ())[index])
        body.bindings.append((f"{variable} = {unparse(function)}.__closure__[{index}].cell_contents", variable))


def _is_rebound_by_others(context: DriveContext, target: Target, name: str) -> bool:
    """Return True if a function beside this one may rebind a variable of the closure: the set-up would be too early."""
    outer = context.writer.sources.outermost(target.function.__code__)
    if outer is None:
        return True
    return any(isinstance(node, ast.Nonlocal) and name in node.names for node in walk(outer))


def _import_globals(
    context: DriveContext, target: Target, definition: ast.FunctionDef, facts: FunctionFacts, frame: Frame
) -> dict[str, str]:
    """Import the globals that the body reads from its module and the session lacks.

    Returns:
        From names in the body to their names in the session, of built-ins only where the two differ.

    Raises:
        CannotOpen: ``GLOBAL_UNREACHABLE``, see ``_import_command``.
    """
    namespace, variables = context.variables.namespace, context.variables
    home = target.function.__globals__
    renamed: dict[str, str] = {}
    if home is namespace:
        return renamed  # a function of the program's own: its globals are the session's
    free = set(target.function.__code__.co_freevars)
    outer = read_names(definition.body) - facts.locals - free
    owner = target.owner
    if "__class__" in free and owner is not None and home.get(owner.__name__, missing) is owner:
        outer |= {owner.__name__} - facts.locals  # for ``_ExplicitSuper``
    rebound = facts.outer_names or frozenset()
    if rebound and (path := context.set_up.module_of(home)) is not None:
        # attributes of the module, which the session's own variables are not
        module = context.set_up.name_of_module(home, facts.locals | outer)
        if module is None:
            module = variables.claim(path.rpartition(".")[2], avoid=facts.locals | outer)
            context.emit(f"import {path}" + ("" if path == module else f" as {module}"), frame, "bind", reveal=False)
            variables.reserve([module])
        cls = class_of_code(target.function.__code__.co_qualname)
        renamed.update({name: f"{module}.{mangled(name, cls)}" for name in rebound})
        outer -= rebound
    for name in sorted(outer):
        if name in home:
            if name in namespace and namespace[name] is home[name]:
                renamed[name] = name
                continue  # an earlier call imported it, or the program did
            bound = context.set_up.name_of_global(home, name, facts.locals)
            if bound is not None:
                renamed[name] = bound
                continue
            is_unused = name not in namespace and not variables.is_reserved(name)
            alias = name if is_unused else variables.claim(name, avoid=facts.locals)
            context.emit(_import_command(home, name, alias), frame, "bind", reveal=False)
            variables.reserve([alias])  # for the session's whole length: later calls read it again
            renamed[name] = alias
        elif hasattr(builtins, name) and namespace.get(name, getattr(builtins, name)) is not getattr(builtins, name):
            # a variable of the session hides the built-in that the body means
            renamed[name] = context.writer.builtin(name)
    return renamed


def _import_command(home: Mapping[str, object], name: str, alias: str) -> str:
    """Return the command that imports the global ``name`` of a module, whose globals are ``home``, as ``alias``.

    Raises:
        CannotOpen: ``GLOBAL_UNREACHABLE``: no import gives this very object.
    """
    value = home[name]
    as_alias = "" if alias == name else f" as {alias}"
    if type(value) is types.ModuleType:
        path = value.__name__
        if sys.modules.get(path) is value:
            return f"import {path}" + ("" if path == alias else f" as {alias}")
    # by identity, since a module may have been reloaded, or its ``__name__`` changed, since the function was made
    module = str(home.get("__name__"))
    if vars(sys.modules.get(module, builtins)).get(name, missing) is not value:
        raise CannotOpen(Reason.GLOBAL_UNREACHABLE)
    return f"from {module} import {name}{as_alias}"


class _ExplicitSuper(ast.NodeTransformer):
    """Spells ``super()`` with its class and instance, which only a method's own frame can leave out.

    Raises:
        CannotOpen: when it is made, if the session does not know the class by its name.
    """

    def __init__(
        self, context: DriveContext, target: Target, definition: ast.FunctionDef, renamed: Mapping[str, str]
    ) -> None:
        owner = target.owner
        names = parameters(definition.args)
        if owner is None or not names:
            raise CannotOpen(Reason.SUPER)
        self.owner = owner.__name__  # as the body has it: other names come later
        self.instance = names[0]
        if context.variables.namespace.get(renamed.get(self.owner, self.owner)) is not owner:
            raise CannotOpen(Reason.SUPER)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            node.args = [ast.Name(self.owner, ast.Load()), ast.Name(self.instance, ast.Load())]
        return node
