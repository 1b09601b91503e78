"""The source of a caller's function, with all that it needs of its module, as statements for a session.

No code of the caller's is run: sources are read and parsed, and values are spelt only if their exact types are built-in
types. The object that a needed name stands for decides the statement that binds the name in the session:

| the name stands for | statement |
|---|---|
| a module | ``import it`` |
| a function or class of the same module | its source, after the statements that it needs |
| a function or class of another module | ``from it import name`` |
| a value of built-in types | ``name = value``, as it is now |
| anything else | the one statement of the module that assigns it, after the statements that it needs |

Not covered: names that are looked up as text (``globals()[name]``, ``eval``), attributes that were set on functions and
classes later, assignments to a module's names from outside.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from trace_mine.literals import NotLiteralError, Speller

WRAPPERS = (FunctionType, type(functools.cache(lambda: None)))
"""The exact types of objects that are traced as functions: plain functions, and those of ``functools.cache``, which is
C code, so that asking for ``__wrapped__`` runs nothing of the caller's.
"""


class FunctionSourceError(ValueError):
    """A function or an argument can't be written as source; the message says which, why, and what to do.

    >>> import trace_mine
    >>> trace_mine.trace(len, "abc")
    Traceback (most recent call last):
        ...
    trace_mine.function_source.FunctionSourceError: expected a function written with def, got ...
    """


class Statements:
    """Collects the statements that a session needs, each after the statements that it needs itself.

    Attributes:
        texts: the statements, each with a line end.
        lines: for each, the 1-based line of its file at which it stands; 1 where it has none.
        modules: top-level names of the modules that are imported.
        futures: names of the ``__future__`` features under which the sources are written.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.lines: list[int] = []
        self.modules: set[str] = set()
        self.futures: set[str] = set()
        self._bound: dict[str, object] = {}
        self._speller = Speller()

    def add_function(self, function: Any) -> str:
        """Add a function with all that it needs; return the name under which the session defines it.

        Raises:
            FunctionSourceError: the function has no source, or needs an object that no statement can make.
        """
        self._define(function, function.__name__, names_around(function))
        return str(function.__name__)

    def spell(self, value: object) -> str:
        """Return an argument as source: a literal, or the name of a function or class, which is added.

        Raises:
            FunctionSourceError: no statement can make the function or class.
            NotLiteralError: the argument is no function, no class, and has no literal.
        """
        named: Any = value
        # `len` and the like are there in every session, by identity: the caller may have rebound the name.
        if type(value) is BuiltinFunctionType and vars(builtins).get(named.__name__) is value:
            return str(named.__name__)
        if type(value) in WRAPPERS or _is_class(value):
            if vars(builtins).get(named.__name__) is not value:
                self._need(named.__name__, value, names_around(value))
            return str(named.__name__)
        return self._speller.spell(value)

    def is_free(self, name: str) -> bool:
        """Return True if no statement binds the name and no built-in has it."""
        return name not in self._bound and not hasattr(builtins, name)

    def _need(self, name: str, value: Any, around: Mapping[str, object]) -> None:
        """Add the statements that bind ``name`` to ``value``, by the table at the head of this file.

        Each name is noted in ``_bound`` before its own needs are added, so that functions which call each other end.
        The order of the branches matters: an importable function is imported and not copied, since its own module has
        more state than its source shows.
        """
        if name in self._bound:
            if self._bound[name] is not value:
                raise FunctionSourceError(f"expected one meaning of {name!r}, got two; rename one of them")
            return
        # `type(value)`, never isinstance: `__class__` may be a property of the caller's.
        has_source = type(value) in WRAPPERS or _is_class(value)
        if issubclass(type(value), ModuleType):
            self._bound[name] = value
            self._import(f"import {value.__name__}", value.__name__, value.__name__, name)
        elif has_source and value.__module__ != around.get("__name__") and _is_importable(value):
            self._bound[name] = value
            self._import(f"from {value.__module__} import {value.__name__}", value.__module__, value.__name__, name)
        elif has_source and value.__name__.isidentifier() and _has_def(value):
            own = value.__name__
            if own != name:  # an alias: `f = g` in the module
                self._need(own, value, around)
                self._bound[name] = value
                self._emit(f"{name} = {own}\n", 1)
            else:
                self._define(value, name, names_around(value))
        elif type(value) is BuiltinFunctionType and _is_importable(value):
            self._bound[name] = value
            self._import(
                f"from {value.__module__} import {value.__name__}", str(value.__module__), value.__name__, name
            )
        else:
            self._assign(name, value, around)

    def _import(self, text: str, module: str, own: str, name: str) -> None:
        self.modules.add(module.partition(".")[0])
        plain = "." not in own and own == name
        self._emit(f"{text}\n" if plain else f"{text} as {name}\n", 1)

    def _define(self, definition: Any, name: str, around: Mapping[str, object]) -> None:
        """Add the source of a function or class, after all that it needs."""
        self._bound[name] = definition
        text, line = _source_of(definition)
        is_decorated = text.startswith("@")
        if is_decorated and around.get(name, definition) is not definition:
            raise FunctionSourceError(
                f"expected the decorators of {name} to use functools.wraps, got one that doesn't; its source would be "
                "decorated twice"
            )
        self._emit_with_needs(text, line, around)

    def _assign(self, name: str, value: object, around: Mapping[str, object]) -> None:
        """Add an assignment: of the value's literal, or as the module's source has it."""
        self._bound[name] = value
        # The value as it is now, not as it was when the module was imported, wherever it has a literal.
        try:
            self._emit(f"{name} = {self._speller.spell(value)}\n", 1)
            return
        except NotLiteralError as error:
            statement = _assignment(name, around)
            if statement is None:
                raise FunctionSourceError(
                    f"expected {name!r} to be a module, a function, a class, a value of built-in types, or assigned "
                    f"once at the top level of its module, got {error}; make it inside the function"
                ) from None
        self._emit_with_needs(*statement, around)

    def _emit_with_needs(self, text: str, line: int, around: Mapping[str, object]) -> None:
        # A module that says `from __future__ import annotations` has the feature object under that name.
        futures = {name for name in __future__.all_feature_names if around.get(name) is getattr(__future__, name)}
        self.futures |= futures
        self.modules |= _imported(text)  # imports inside the function's body
        for needed in needed_names(text, are_annotations_text="annotations" in futures):
            if needed in around:
                self._need(needed, around[needed], around)
        self._emit(text, line)

    def _emit(self, text: str, line: int) -> None:
        self.texts.append(text)
        self.lines.append(line)


def needed_names(text: str, *, are_annotations_text: bool = False) -> list[str]:
    """Return the global names that a statement or its functions may read, sorted; built-ins are among them.

    Args:
        text: the source of one statement.
        are_annotations_text: annotations are not evaluated (``from __future__ import annotations``), so their names are
            left out.

    Raises:
        SyntaxError: the text is no Python.

    >>> needed_names("def f(x, y=START):\\n    z = x\\n    return g(z)\\n")
    ['START', 'g']
    """
    tree = ast.parse(text)
    if are_annotations_text:
        tree = ast.fix_missing_locations(_WithoutAnnotations().visit(tree))
    # The compiler's own symbol table: it knows scopes, `global`, comprehensions and class bodies.
    table = symtable.symtable(ast.unparse(tree), "<source>", "exec")
    assigned = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    return sorted(set(_globals_of(table)) - assigned)


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    is_top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if (symbol.is_referenced() and (is_top or symbol.is_global())) or symbol.is_declared_global():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals_of(child)


def _imported(text: str) -> set[str]:
    """Return the top-level names of the modules that import statements in the text name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


class _WithoutAnnotations(ast.NodeTransformer):
    """Removes annotations, where nothing evaluates them."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)


def names_around(definition: Any) -> Mapping[str, object]:
    """Return the objects that the free names of a function or class stand for: the names of its module, and the values
    of the variables that a function closes over.

    Raises:
        FunctionSourceError: the function closes over a variable that has no value yet.
    """
    if _is_class(definition):
        return vars(sys.modules[definition.__module__]) if definition.__module__ in sys.modules else {}
    function = inspect.unwrap(definition)
    names = dict(function.__globals__)  # a copy: closure variables come before globals of the same name
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:
            raise FunctionSourceError(
                f"expected a value for {name!r}, which {function.__name__} closes over, got none yet; assign it first"
            ) from None
    return names


def _source_of(definition: Any) -> tuple[str, int]:
    """Return the source of a function or class without indentation, and its line in its file.

    Raises:
        FunctionSourceError: there is no source, or it assigns variables of a function around it.
    """
    name = definition.__qualname__
    try:
        lines, line = inspect.getsourcelines(definition)
    except (OSError, TypeError):
        raise FunctionSourceError(
            f"expected a function with source, got {name}, whose source can't be found; write it in a file or a "
            "notebook's cell, or give its text to run"
        ) from None
    text = "".join(lines)
    # A lambda's or a method's lines may not parse alone; the `if` gives indented source a block to stand in.
    for attempt in (textwrap.dedent(text), f"if 1:\n{text}"):
        try:
            node = ast.parse(attempt).body[0]
        except SyntaxError:
            continue
        if isinstance(node, ast.If):  # a string inside it reaches left of its margin
            node = node.body[0]
            attempt = f"{ast.unparse(node)}\n"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # In the session the closure's variables are globals, which `nonlocal` can't name.
            closure_names = getattr(getattr(inspect.unwrap(definition), "__code__", None), "co_freevars", ())
            if any(isinstance(each, ast.Nonlocal) and set(each.names) & set(closure_names) for each in ast.walk(node)):
                raise FunctionSourceError(
                    f"expected a function that stands alone, got {name}, which assigns a variable of the function "
                    "around it; trace that one"
                )
            return attempt if attempt.endswith("\n") else f"{attempt}\n", line
    raise FunctionSourceError(f"expected a function written with def, got {name}; write it with def")


def _has_def(definition: Any) -> bool:
    """Return False for lambdas, and for classes that a call made (``namedtuple``), which no ``def`` or ``class``
    defines.

    A named function without source counts as one with: ``_define`` then raises the error that says so.
    """
    try:
        _source_of(definition)
    except FunctionSourceError:
        return not _is_class(definition) and definition.__name__ != "<lambda>"
    return True


def _assignment(name: str, around: Mapping[str, object]) -> tuple[str, int] | None:
    """Return the one statement at the top level of the module that assigns the name, and its line; None if there is no
    such statement, or more than one.
    """
    file = around.get("__file__")
    # linecache has the source of notebook cells too, which are in no file.
    lines = linecache.getlines(file) if isinstance(file, str) else []
    try:
        body = ast.parse("".join(lines)).body
    except SyntaxError:
        return None
    statements = [
        node
        for node in body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if name in {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
    ]
    if len(statements) != 1:  # two: which one made the value can't be told from the text
        return None
    first, last = statements[0].lineno, statements[0].end_lineno or statements[0].lineno
    return "".join(lines[first - 1 : last]), first


def _is_class(value: object) -> bool:
    return issubclass(type(value), type)


def _is_importable(value: Any) -> bool:
    """Return True if ``from MODULE import NAME`` gives the value, in any process."""
    module = sys.modules.get(value.__module__ or "")
    return value.__module__ != "__main__" and module is not None and vars(module).get(value.__name__) is value
