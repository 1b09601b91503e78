"""The source of functions whose bodies a session shows: as commands of it, and as the row has it.

Before the first call of a function is opened whose definition the text doesn't hold, the session has it as ``def``
under the function's own name, and right after it the command that gives the name back::

    >>> def median(data):
    ...     data = sorted(data)
    ...     return data[len(data) // 2]
    >>> from statistics import median

``del median`` stands there instead where nothing had that name. No command of the program stands between the two, and
executing ``def`` runs nothing (``syntax.shown_source``), so that the session is the same as without them. Where the
name means something that no import gives back, the ``def`` has it with a number.

A function that others make, a decorator's wrapper say, comes with the outermost function around it.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import sys
import types
from dataclasses import dataclass

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Body
from trace_mine.tracer.inside.drive.rules import ShownFunction
from trace_mine.tracer.inside.drive.targets import Target, static_value
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.shown_source import definition_text
from trace_mine.tracer.inside.syntax.text import unparse

_PLAIN_TYPES = (list, dict, tuple, set, frozenset, type)
"""Built-in types whose ``X[...]``, in an annotation, runs no code of the program's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A definition that is to be shown: its tree, its qualified name, and the function that gives its defaults."""

    definition: ast.FunctionDef
    qualified: str
    function: types.FunctionType | None


def show_function(context: DriveContext, target: Target, body: Body) -> None:
    """Have the session hold the source of a function that is opened now, where it doesn't yet."""
    code = target.function.__code__
    home = body.filename, body.first_line
    if home in context.calls.shown:
        return
    sources = context.writer.sources
    lines = sources.lines(body.filename)
    context.calls.shown[home] = ShownFunction(name=body.qualified, text=_lines_of(lines, target.definition, home))
    # a command, or the program itself, has defined it
    if code.co_filename.startswith(("<command", "<piece")) or body.filename.startswith("<piece"):
        return
    outer = sources.outermost(code) if "<locals>" in code.co_qualname else None
    if outer is not None:
        if (body.filename, outer.lineno) in context.calls.sources:
            return
        shown = _Shown(definition=outer, qualified=code.co_qualname.split(".<locals>")[0], function=None)
    else:
        shown = _Shown(definition=target.definition, qualified=code.co_qualname, function=target.function)
    key = body.filename, shown.definition.lineno
    if key in context.calls.sources:
        return
    context.calls.sources.add(key)
    try:
        _show(context, shown, target.function.__globals__, lines)
    except CannotOpen as error:
        context.kept.count(error.reason)


def _lines_of(lines: list[str] | None, definition: ast.FunctionDef, home: tuple[str, int]) -> str:
    """The lines of a function in its file; what its tree says where they can't be read."""
    last = definition.end_lineno or home[1]
    if lines is None or not home[1] <= last <= len(lines):
        try:
            return unparse(definition)
        except CannotOpen:
            return ""
    return "\n".join(lines[home[1] - 1 : last]) + "\n"


def _show(context: DriveContext, shown: _Shown, home: dict[str, object], lines: list[str] | None) -> None:
    """Execute the definition, and what gives its name back."""
    name = shown.definition.name
    if name.startswith("<"):
        name = name.strip("<>") + "_"
    restore = _restoring(context, name, home)
    if restore is None:
        name = _free_name(context, name)
        restore = f"del {name}"
    text = definition_text(lines, shown.definition, shown.qualified, name, _Safety(context, shown).holds)
    gives_back = context.writer.show_source(text, name, restore)
    if gives_back is not None and restore == f"del {name}":
        context.set_up.note_deletion(name, gives_back)


def _restoring(context: DriveContext, name: str, home: dict[str, object]) -> str | None:
    """The command by which a name means again what it means now; None where there is none."""
    namespace = context.variables.namespace
    if keyword.iskeyword(name):
        return None
    if name not in namespace:
        return f"del {name}"
    if type(namespace[name]) is types.ModuleType and sys.modules.get(name) is namespace[name]:
        return f"import {name}"
    module = home.get("__name__")
    if type(module) is not str or module == "__main__" or not all(map(str.isidentifier, module.split("."))):
        return None
    held = sys.modules.get(module)
    if type(held) is not types.ModuleType or vars(held).get(name, missing) is not namespace[name]:
        return None
    if any(map(keyword.iskeyword, module.split("."))):
        return None
    return f"from {module} import {name}"


def _free_name(context: DriveContext, name: str) -> str:
    """A name like this one that nothing has."""
    number = 1
    while (free := f"{name}_{number}") in context.variables.namespace or hasattr(builtins, free):
        number += 1
    return free


class _Safety:
    """Says which defaults and annotations of a definition can be evaluated in the session without an effect."""

    def __init__(self, context: DriveContext, shown: _Shown) -> None:
        self._context = context
        function, spec = shown.function, shown.definition.args
        self._defaults: dict[str, list[object]] = {}
        if function is None or not context.opening.is_certain:
            return
        values = function.__defaults__ or ()
        pairs = list(zip(spec.defaults, values, strict=False)) if len(values) == len(spec.defaults) else []
        by_name = function.__kwdefaults__ or {}
        for parameter, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            if default is not None and parameter.arg in by_name:
                pairs.append((default, by_name[parameter.arg]))
        for node, value in pairs:
            self._defaults.setdefault(ast.dump(node), []).append(value)

    def holds(self, node: ast.expr) -> bool:
        """Return True if evaluating a default or an annotation runs nothing."""
        values = self._defaults.get(ast.dump(node))
        if values is not None and isinstance(node, (ast.Name, ast.Attribute)):
            held = static_value(self._context, node)
            return all(value is held for value in values)
        return self._is_plain(node)

    def _is_plain(self, node: ast.expr) -> bool:
        """Return True for a constant, a built-in type, and what such types are made into in annotations."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            kind = self._context.variables.peek(node)
            return isinstance(kind, type) and kind is getattr(builtins, node.id, None)
        if isinstance(node, ast.Subscript):
            base = self._context.variables.peek(node.value)
            return any(base is each for each in _PLAIN_TYPES) and self._is_plain(node.slice)
        if isinstance(node, (ast.Tuple, ast.List)):
            return all(map(self._is_plain, node.elts))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            # ``None | None`` is no type
            return (
                isinstance(node.left, (ast.Name, ast.BinOp))
                and self._is_plain(node.left)
                and self._is_plain(node.right)
            )
        return False
