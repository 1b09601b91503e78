"""The literal calls of a repository, by the function that they call: in code, tests and doctest examples, by syntax.

A call counts where every argument is a literal (a short ``range`` is one, a set of two or more isn't) and its name
leads, through imports, re-exports and star imports, to a function of a module of the repository. A name that is bound
to anything else where the call stands (a variable, a parameter) leads nowhere. Not followed: aliases by assignment,
attributes of instances, starred arguments.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trace_mine.corpus.mined.files import TEXT_SUFFIXES, SourceText
from trace_mine.corpus.mined.snippets.candidate import Context
from trace_mine.corpus.mined.snippets.class_index import absolute_module, dotted
from trace_mine.corpus.mined.snippets.doctests import examples_of

READERS = ("list", "tuple", "sorted", "dict", "set")
"""Built-ins that turn what an iterator gives into a value that can be shown."""

MAX_DEPTH = 12
"""Of a literal's nesting; deeper ones are data, not examples."""

MAX_HOPS = 8
"""Imports that are followed from a call to the function."""

MAX_RANGE = 10_000
"""Of the numbers in a literal ``range``: larger ones are there to be lazy about."""

Bindings = Mapping[str, str | None]
"""What a name is: a dotted name that was imported, ``FUNCTION``, or None for anything else."""

FUNCTION = ""

_scopes = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralCall:
    """A call as it was found: its arguments as source text, and the built-in that read its result, if one did."""

    args: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...] = ()
    reader: str | None = None


@dataclass(slots=True)
class Names:
    """What a module's names are, and the modules whose names it takes with a star."""

    bindings: dict[str, str | None] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


class CallIndex:
    """Every literal call of a repository; built once, by reading each of its files once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._names: dict[str, Names] = {}
        self._calls: dict[tuple[str, str], list[LiteralCall]] = defaultdict(list)
        sites: list[tuple[str, str, bool, LiteralCall]] = []
        for path in context.paths:
            source = context.read(path)
            if source is not None:
                self._names[path] = _module_names(source, context)
                sites += [(path, *site) for site in _sites(source, context)]
        for path, name, is_full, call in sites:
            target = self._from(path, name, MAX_HOPS) if is_full else self._within(path, name, MAX_HOPS)
            if target is not None:
                self._calls[target].append(call)

    def calls(self, path: str, name: str) -> Sequence[LiteralCall]:
        """The calls of the function ``name`` of the file, in the order of the repository's files."""
        return self._calls.get((path, name), ())

    def is_function(self, path: str, name: str) -> bool:
        """Whether the file's name is a function in the end: not wrapped or replaced by a later statement."""
        return path in self._names and self._names[path].bindings.get(name) == FUNCTION

    def _within(self, path: str, name: str, hops: int) -> tuple[str, str] | None:
        """The function that a dotted name means in a module."""
        names = self._names.get(path)
        if names is None or not hops:
            return None
        head, _, rest = name.partition(".")
        if head in names.bindings:
            bound = names.bindings[head]
            if bound == FUNCTION:
                return None if rest else (path, head)
            return None if bound is None else self._from(path, f"{bound}.{rest}" if rest else bound, hops - 1)
        for module in names.stars:
            starred = self._from(path, f"{module}.{name}", hops - 1)
            if starred is not None and not head.startswith("_"):
                return starred
        return None

    def _from(self, path: str, full: str, hops: int) -> tuple[str, str] | None:
        """The function that a full dotted name means for a file: in the longest prefix that is a module."""
        layout = self._context.layout
        sys_path = layout.main_roots if path.endswith(TEXT_SUFFIXES) else layout.place(path).sys_path
        parts = full.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = layout.find(".".join(parts[:end]), sys_path)
            if module is not None:
                return self._within(module, ".".join(parts[end:]), hops)
        return None


def literal_text(node: ast.expr) -> str | None:
    """A literal's source, in one spelling for one value where its ``repr`` is a literal too; None for what is none, or
    nests too deeply.
    """
    if not _is_literal(node, MAX_DEPTH):
        return None
    try:
        if isinstance(node, ast.Call):
            return repr(range(*map(ast.literal_eval, node.args)))
        spelt = repr(ast.literal_eval(node))
        return spelt if _is_literal(ast.parse(spelt, mode="eval").body, MAX_DEPTH) else ast.unparse(node)
    except (ValueError, TypeError, SyntaxError):
        # a range within, a key that can't be hashed (its call raises), a number past all digits
        return ast.unparse(node)


def _is_literal(node: ast.expr | None, depth: int) -> bool:
    match node:
        case ast.Constant(value=value):
            return value is not Ellipsis  # examples leave something out with it
        case _ if node is None or not depth:
            return False
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=value)):
            return type(value) in (int, float, complex)
        case ast.Set(elts=[_, _, *_]):
            return False  # it is shown in another order in another run
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return all(_is_literal(part, depth - 1) for part in parts)
        case ast.Dict(keys=keys, values=values):
            return all(_is_literal(part, depth - 1) for part in (*keys, *values))
        case ast.Call(func=ast.Name(id="range"), args=[_, *_] as args, keywords=[]):
            return all(map(_is_integer, args))
    return False


def _is_integer(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(inner, ast.Constant) and type(inner.value) is int and inner.value <= MAX_RANGE


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's statements, those under ``if``, ``try``, ``with`` and loops too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            handlers = [inner for handler in getattr(node, "handlers", []) for inner in handler.body]
            yield from statements([*node.body, *handlers, *getattr(node, "orelse", [])])
            yield from statements(getattr(node, "finalbody", []))


def _module_names(source: SourceText, context: Context) -> Names:
    names = Names()
    module = context.layout.place(source.path).module
    for node in statements(source.tree.body if source.tree else []):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names.stars.append(absolute_module(node, module, source.path))
        else:
            names.bindings |= _bound(node, module, source.path)
    return names


def _bound(node: ast.AST, module: str | None, path: str) -> dict[str, str | None]:
    """The names that one node binds by itself, without the nodes inside it."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name: FUNCTION}
        case ast.ClassDef(name=name):
            return {name: None}
        case ast.Import():
            return dict(map(_imported, node.names))
        case ast.ImportFrom():
            prefix = absolute_module(node, module, path)
            return {each.asname or each.name: f"{prefix}.{each.name}" if prefix else each.name for each in node.names}
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.With() | ast.Delete():
            names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
            return {name.id: None for name in names if not isinstance(name.ctx, ast.Load)}
    return {}


def _imported(alias: ast.alias) -> tuple[str, str | None]:
    """``import a.b`` binds ``a``, ``import a.b as c`` binds ``c``, to ``a.b``."""
    top = alias.name.partition(".")[0]
    return (alias.asname, alias.name) if alias.asname else (top, top)


def _scope(nodes: Iterable[ast.AST], module: str | None, path: str) -> Bindings:
    """What a function's or a docstring's own statements bind; comprehensions count as theirs."""
    bindings: dict[str, str | None] = {}
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bindings[node.id] = None
        elif isinstance(node, ast.arg):
            bindings[node.arg] = None
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bindings[node.name] = None
        bound = _bound(node, module, path)
        bindings |= {name: None if full == FUNCTION else full for name, full in bound.items()}
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return bindings


def _sites(source: SourceText, context: Context) -> Iterator[tuple[str, bool, LiteralCall]]:
    """``(name, whether it is a full dotted name, call)`` of a file's literal calls: its code, then its examples."""
    module = context.layout.place(source.path).module if source.tree else None
    if source.tree is not None:
        yield from _sites_below(source.tree, (), module, source.path)
    for docstring in examples_of(source):
        trees = [tree for tree in map(_parsed, docstring) if tree is not None]
        scope = _scope([node for tree in trees for node in tree.body], None, source.path)
        for tree in trees:
            yield from _sites_below(tree, (scope,), module, source.path)


def _parsed(example: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(example)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # an example of a syntax error, say: it calls nothing


def _sites_below(
    tree: ast.AST, scopes: tuple[Bindings, ...], module: str | None, path: str
) -> Iterator[tuple[str, bool, LiteralCall]]:
    pending: list[tuple[ast.AST, tuple[Bindings, ...], str | None]] = [(tree, scopes, None)]
    while pending:
        node, around, reader = pending.pop()
        if isinstance(node, ast.Call):
            site = _site(node, around, reader)
            if site is not None:
                yield site
        if isinstance(node, _scopes):
            body = node.body if isinstance(node.body, list) else [node.body]
            around = (*around, _scope([*ast.walk(node.args), *body], module, path))
        inner = _read_by(node, around)
        pending += [(child, around, inner) for child in reversed(list(ast.iter_child_nodes(node)))]


def _read_by(node: ast.AST, scopes: tuple[Bindings, ...]) -> str | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS):
        return None
    is_shadowed = any(node.func.id in scope for scope in scopes)
    return node.func.id if len(node.args) == 1 and not node.keywords and not is_shadowed else None


def _site(node: ast.Call, scopes: tuple[Bindings, ...], reader: str | None) -> tuple[str, bool, LiteralCall] | None:
    name = dotted(node.func)
    call = _literal_call(node, reader)
    if name is None or call is None:
        return None
    head, _, rest = name.partition(".")
    scope = next((scope for scope in reversed(scopes) if head in scope), None)
    if scope is None:
        return name, False, call
    full = scope[head]
    return None if full is None else (f"{full}.{rest}" if rest else full, True, call)


def _literal_call(node: ast.Call, reader: str | None) -> LiteralCall | None:
    """The call with its arguments as text; None where one of them is no literal, or starred."""
    args = [text for text in map(literal_text, node.args) if text is not None]
    spelt = [(keyword.arg, literal_text(keyword.value)) for keyword in node.keywords]
    keywords = tuple((name, text) for name, text in spelt if name is not None and text is not None)
    if len(args) != len(node.args) or len(keywords) != len(spelt):
        return None
    return LiteralCall(args=tuple(args), keywords=keywords, reader=reader)
