"""Names of a function's body: those that it binds, those that it reads from outside, and how to rename them.

A followed call's body runs at the top level of the session, which has one namespace for all, so the function's locals
become session variables. A local keeps its name where nothing else has that name, and gets a number otherwise
(``drive/bodies`` decides). Renaming respects nested scopes: a parameter of a lambda hides the outer name; ``nonlocal``
becomes ``global``; a private ``self.__x`` in a method is spelt with its class.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.walking import children, walk

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class CannotOpen(Exception):
    """A body that has no faithful form in one namespace, or a statement that cannot be written out.

    Attributes:
        reason: the reason that is counted where the construct is then kept as one command.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def parameters(arguments: ast.arguments) -> list[str]:
    """Return the names of all parameters, in the order of the signature."""
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg:
        named.append(arguments.vararg.arg)
    named += [a.arg for a in arguments.kwonlyargs]
    if arguments.kwarg:
        named.append(arguments.kwarg.arg)
    return named


def bound_names(body: Iterable[ast.stmt]) -> set[str]:
    """Return the names that these statements bind in their own scope, ``global`` and ``nonlocal`` ones included.

    Example:
        ``x = [y for y in z]`` binds ``x``; ``def f(a): b = 1`` binds ``f``; ``import a.b`` binds ``a``.
    """
    names: set[str] = set()
    for statement in body:
        _collect_bound(statement, names)
    return names


def _collect_bound(node: ast.AST, names: set[str]) -> None:
    """Add the names that a node, and the nodes inside it, bind in the node's own scope."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is ast.Name:
            # ``del x`` counts as well: to the compiler it makes ``x`` a local like an assignment does
            if type(node.ctx) is not ast.Load:  # type: ignore[attr-defined]  # a Name, as the two below
                names.add(node.id)  # type: ignore[attr-defined]
        elif kind is ast.Lambda:
            # ``:=`` in a lambda's body binds in the lambda's own scope, in a default in the one around it
            arguments: ast.arguments = node.args  # type: ignore[attr-defined]
            waiting += [each for each in (*arguments.defaults, *arguments.kw_defaults) if each is not None]
        elif isinstance(node, _comprehensions):
            # a scope of its own, but for the targets of ``:=``, which it binds in the scope around it
            for inner in walk(node):
                if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name):
                    names.add(inner.target.id)
        elif kind in _BINDERS:
            names.update(_bound_here(node))
            waiting += _evaluated_outside(node) if isinstance(node, _definitions) else children(node)
        else:
            waiting += children(node)


_BINDERS = {*_definitions, ast.Import, ast.ImportFrom, ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping}


def _bound_here(node: ast.AST) -> Iterable[str]:
    """Return the names that a node of ``_BINDERS`` itself binds, its children left aside: they stand there as text."""
    if isinstance(node, _definitions):
        return (node.name,)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        # ``import a.b`` binds ``a``, ``import a.b as c`` binds ``c``
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return (node.name,) if node.name else ()
    if isinstance(node, ast.MatchMapping):
        return (node.rest,) if node.rest else ()
    return ()


def _evaluated_outside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[ast.AST]:
    """Return the parts of a definition that are evaluated in the scope around it: decorators, defaults, bases."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
    return [*node.decorator_list, *defaults]


def type_parameters(node: ast.AST) -> list[Any]:
    """Return the type parameters of a function, a class or an alias (``def f[T]``), which 3.11 does not have."""
    return getattr(node, "type_params", [])


def declared(body: Iterable[ast.stmt], kind: type[ast.Global] | type[ast.Nonlocal]) -> set[str]:
    """Return the names that ``global`` (or ``nonlocal``) statements of this scope declare."""
    names: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, kind):
            names.update(node.names)
        # no expression has one in it
        if not isinstance(node, (*_scopes, ast.expr)):
            stack += children(node)
    return names


def local_names(function: FunctionNode) -> set[str]:
    """Return the function's local variables: its parameters and the names that its own scope binds."""
    bound = bound_names(function.body) | set(parameters(function.args))
    return bound - declared(function.body, ast.Global) - declared(function.body, ast.Nonlocal)


def read_names(body: Iterable[ast.AST]) -> set[str]:
    """Return every name that appears in these nodes, nested scopes included.

    More than what is read from outside, since a nested scope's own names are in it: the caller imports a name that
    its module has, and one import too many is harmless.
    """
    names: set[str] = set()
    for statement in body:
        for node in walk(statement):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                names.update(node.names)
    return names


def walk_scope(nodes: Iterable[ast.AST]) -> Iterable[ast.AST]:
    """Yield the nodes of this scope in source order, with a nested function, lambda or class but not its contents."""
    stack = [*nodes][::-1]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _scopes):
            stack += children(node)[::-1]


def has_yield(node: ast.AST) -> bool:
    """Return True if a ``yield`` of this scope stands in the node."""
    return any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in walk_scope([node]))


def class_of_code(qualified_name: str) -> str | None:
    """Return the name of the class whose private names a function means, by its code's ``co_qualname``.

    It is the innermost class around it, through which variable or class ever it is called; None outside classes.

    >>> class_of_code("C.method.<locals>.inner"), class_of_code("make.<locals>.C.method"), class_of_code("make")
    ('C', 'C', None)
    """
    *outer, _ = qualified_name.split(".")
    while outer and outer[-1] == "<locals>":
        outer = outer[:-2]  # the function with those locals, which is no class
    return outer[-1] if outer else None


def mangled(name: str, owner: str | None) -> str:
    """Return a private name as the compiler spells it in methods of the class ``owner``; any other name as it is."""
    # a class of underscores alone mangles nothing, others lose those in front: ``_C`` gives ``_C__x``
    owner = owner.lstrip("_") if owner else None
    if owner and name.startswith("__") and not name.endswith("__") and "." not in name:
        return f"_{owner}{name}"
    return name


class Rewriter(ast.NodeTransformer):
    """Renames a function's locals, nested scopes included, and spells private names with the class that owns them.

    Changes the tree that it visits: give it a copy. A nested scope that binds a name of its own hides the outer one, so
    the name is left out of ``mapping`` while that scope is visited.

    Args:
        mapping: old names to new ones; holds only names that change. A new one with a dot (``module.n``) is an
            attribute, which a variable that the function declares ``global`` becomes.
        owner: the class in which the function stands, None for a function outside classes.

    Raises:
        CannotOpen: from ``visit``. A nested class binds a renamed name, ``import a.b`` or ``type`` binds one, or a
            template string shows one.

    Example:
        With ``{"n": "n_1"}``, ``lambda x, n=n: x + n`` becomes ``lambda x, n=n_1: x + n``: the default is evaluated
        outside the lambda, its body reads the parameter.
    """

    def __init__(self, mapping: Mapping[str, str], owner: str | None) -> None:
        self.mapping = dict(mapping)
        self.owner = owner

    def _private(self, name: str) -> str:
        return mangled(name, self.owner)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        new = self.mapping.get(node.id)
        if new is None:
            new = self._private(node.id)
        holder, dot, attribute = new.rpartition(".")
        if dot:
            return ast.copy_location(ast.Attribute(ast.Name(holder, ast.Load()), attribute, node.ctx), node)
        return node if new == node.id else ast.copy_location(ast.Name(new, node.ctx), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self._private(node.attr)
        return node

    def _binds_name(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> ast.AST:
        """Rename the variable that the node binds: its name is text, which ``visit_Name`` does not see."""
        self.generic_visit(node)
        if node.name:
            node.name = self.mapping.get(node.name, node.name)
        return node

    visit_ExceptHandler = visit_MatchAs = visit_MatchStar = _binds_name

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        self.generic_visit(node)
        if node.rest:
            node.rest = self.mapping.get(node.rest, node.rest)
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        for alias in node.names:
            bound = (alias.asname or alias.name).split(".")[0]
            if bound in self.mapping:
                # ``import a.b as x`` binds the module ``a.b``, ``import a.b`` binds ``a``: no other name can be given
                if alias.asname is None and "." in alias.name:
                    raise CannotOpen(Reason.IMPORT_RENAME)
                alias.asname = self.mapping[bound]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        for alias in node.names:
            bound = alias.asname or alias.name
            if bound in self.mapping:
                alias.asname = self.mapping[bound]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        # the variable of the function around is a global of the session now
        names = [self.mapping.get(name, name) for name in node.names]
        names = [name for name in names if "." not in name]  # or an attribute
        return ast.copy_location(ast.Global(names) if names else ast.Pass(), node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [name for name in node.names if "." not in self.mapping.get(name, name)]
        return node if node.names else ast.copy_location(ast.Pass(), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._nested_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._nested_function(node)

    def _nested_function(self, node: FunctionNode) -> ast.AST:
        """Rename the function itself and its decorators in this scope, and its body in a scope of its own."""
        node.name = self.mapping.get(node.name, node.name)
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self._defaults(node.args)
        own_names = (bound_names(node.body) | set(parameters(node.args))) - declared(node.body, ast.Nonlocal)
        own_names -= {name for name in declared(node.body, ast.Global) if "." in self.mapping.get(name, name)}
        with self._type_scope(node):
            # annotations are evaluated around the function, so its own names hide nothing there
            for argument in walk(node.args):
                if isinstance(argument, ast.arg) and argument.annotation is not None:
                    argument.annotation = self.visit(argument.annotation)
            if node.returns is not None:
                node.returns = self.visit(node.returns)
            with self._hidden(own_names):
                node.body = [self.visit(statement) for statement in node.body]
        return node

    def _defaults(self, arguments: ast.arguments) -> None:
        """Rename in the parts of a signature that run where the function is defined, in the scope around it."""
        arguments.defaults = [self.visit(d) for d in arguments.defaults]
        arguments.kw_defaults = [None if d is None else self.visit(d) for d in arguments.kw_defaults]

    @contextmanager
    def _hidden(self, own_names: Iterable[str]) -> Iterator[None]:
        """Visit a nested scope, in which ``own_names`` are the scope's own variables."""
        outer = self.mapping
        self.mapping = {old: new for old, new in outer.items() if old not in own_names}
        yield
        self.mapping = outer

    @contextmanager
    def _type_scope(self, node: ast.AST) -> Iterator[None]:
        """Visit the scope of a definition's type parameters: its annotations or bases, its body, an alias's value."""
        own = type_parameters(node)
        with self._hidden([parameter.name for parameter in own]):
            for parameter in own:
                parameter.name = self._private(parameter.name)
                self.generic_visit(parameter)  # bounds and defaults
            yield

    def visit_TypeAlias(self, node: Any) -> ast.AST:
        if node.name.id in self.mapping:
            raise CannotOpen(Reason.NAME_SHOWN)  # the alias shows the name that stands here
        with self._type_scope(node):
            node.value = self.visit(node.value)
        return node  # type: ignore[no-any-return]  # 3.11 has no such node

    def visit_Interpolation(self, node: Any) -> ast.AST:
        """Refuse a template string (from 3.14 on) one of whose expressions changes: it shows their texts."""
        self.generic_visit(node)
        if ast.dump(node.value) != ast.dump(ast.parse(f"({node.str})", mode="eval").body):
            raise CannotOpen(Reason.NAME_SHOWN)
        return node  # type: ignore[no-any-return]

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._defaults(node.args)
        with self._hidden(parameters(node.args)):
            node.body = self.visit(node.body)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # a class body reads a name that it binds from the function around until it has bound it: no one name is both
        if bound_names(node.body) & self.mapping.keys():
            raise CannotOpen(Reason.CLASS_REBINDS_LOCAL)
        outer = self.owner
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.name = self.mapping.get(node.name, node.name)
        with self._type_scope(node):
            node.bases = [self.visit(b) for b in node.bases]
            for keyword in node.keywords:
                keyword.value = self.visit(keyword.value)
            # the class's own names live in its own namespace, so its body sees renamed locals only where it binds none
            self.owner = None  # a nested class's own compilation mangles its private names
            node.body = [self.visit(statement) for statement in node.body]
            self.owner = outer
        return node
