"""Indexes the literal calls of a repository by the function that they call: in code, tests and doctest examples.

``priors`` makes a law of them. Calls are found by syntax, in two passes over all files: the first notes what each
module's names mean, and each call with the name that it calls; the second follows these names through imports,
re-exports and star imports to a function of a module of the repository.

A call counts where every argument is a literal (a short ``range`` is one, a set of two or more elements isn't). A name
that is bound to anything else where the call stands (a variable, a parameter) leads nowhere. Not followed: aliases by
assignment, attributes of instances, starred arguments.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from trace_mine.corpus.mined.clock import within_limits
from trace_mine.corpus.mined.files import TEXT_SUFFIXES, SourceText
from trace_mine.corpus.mined.snippets.candidate import RepositoryContext
from trace_mine.corpus.mined.snippets.class_index import MAX_HOPS, Function, absolute_module, dotted
from trace_mine.corpus.mined.snippets.doctests import examples_of

READERS = ("list", "tuple", "sorted", "dict", "set")
"""Built-ins that turn what an iterator gives into a value that can be shown."""

MAX_DEPTH = 12
"""Levels of nesting in a literal; one that nests more deeply is data, not an example."""

INDEX_SECONDS = 20.0
"""CPU time to index one file."""

MAX_RANGE = 10_000
"""The largest number in a literal ``range``. A larger one shows that nothing reads the range to its end."""

FUNCTION = ""
"""The meaning of a name that a ``def`` binds; no dotted name is empty."""

Bindings = Mapping[str, str | None]
"""The meaning of each name: the dotted name that it was imported as, ``FUNCTION``, or None for anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralCall:
    """A call as it stands in the repository, with its arguments as source text.

    Attributes:
        args: positional arguments.
        keywords: name and source text of each keyword argument.
        reader: the built-in of READERS around the call (``list(f(3))``); None without one.

    Raises:
        ValueError: the reader is none of READERS.
    """

    args: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...] = ()
    reader: str | None = None

    def __post_init__(self) -> None:
        if self.reader is not None and self.reader not in READERS:
            raise ValueError(f"expected LiteralCall.reader in {READERS}, got {self.reader!r}; leave others out")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSite:
    """A literal call with the name that it calls.

    ``is_full`` says how to read the ``name``: as a dotted name from the top of ``sys.path``, or else as one in the
    module that the call stands in.
    """

    name: str
    is_full: bool
    call: LiteralCall


@dataclass(slots=True)
class Names:
    """The meaning of a module's names, and the modules whose names it takes with a star, as full dotted names."""

    bindings: dict[str, str | None] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


class CallIndex:
    """Every literal call of a repository; built by reading each of its files once.

    Args:
        context: the repository. ``context.once(CallIndex)`` builds one index for all of its files.
    """

    def __init__(self, context: RepositoryContext) -> None:
        self._context = context
        self._names: dict[str, Names] = {}
        self._calls: dict[tuple[str, str], list[LiteralCall]] = defaultdict(list)
        sites: list[tuple[str, CallSite]] = []
        for path in context.paths:
            # Within limits of its own, as `discovery` reads the file for its snippets; one that is over them is counted
            # there, and has no calls here.
            index = within_limits(partial(_names_and_sites, path, context), INDEX_SECONDS)
            if isinstance(index, tuple):
                self._names[path] = index[0]
                sites += [(path, site) for site in index[1]]
        # A second pass, since a name may lead through a module that the first one comes to later.
        for path, site in sites:
            resolve = self._resolve_full if site.is_full else self._resolve_within
            target = resolve(path, site.name, MAX_HOPS)
            if target is not None:
                self._calls[target].append(site.call)

    def calls(self, path: str, name: str) -> Sequence[LiteralCall]:
        """The calls of the function ``name`` of the file, in the order of the repository's files."""
        return self._calls.get((path, name), ())

    def is_function(self, path: str, name: str) -> bool:
        """Tell if the file's name is a function at the module's end: not wrapped or replaced by a later statement."""
        return path in self._names and self._names[path].bindings.get(name) == FUNCTION

    def _resolve_within(self, path: str, name: str, hops: int) -> tuple[str, str] | None:
        """The function that a dotted name means in a module, as its file and name; None for anything else.

        ``hops`` are the imports that may still be followed: two modules may import one name from each other.
        """
        names = self._names.get(path)
        if names is None or not hops:
            return None
        head, _, rest = name.partition(".")
        if head in names.bindings:
            bound = names.bindings[head]
            if bound == FUNCTION:
                return None if rest else (path, head)  # with a rest: an attribute of a function
            return None if bound is None else self._resolve_full(path, f"{bound}.{rest}" if rest else bound, hops - 1)
        for module in names.stars:
            starred = self._resolve_full(path, f"{module}.{name}", hops - 1)
            if starred is not None and not head.startswith("_"):  # a star takes no name with an underscore
                return starred
        return None

    def _resolve_full(self, path: str, full: str, hops: int) -> tuple[str, str] | None:
        """The function that a full dotted name means for a file: in the longest prefix that is a module."""
        # A text file has no place among the modules; its examples import what an installation would.
        layout = self._context.layout
        sys_path = layout.main_roots if path.endswith(TEXT_SUFFIXES) else layout.place(path).sys_path
        parts = full.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = layout.find(".".join(parts[:end]), sys_path)
            if module is not None:
                return self._resolve_within(module, ".".join(parts[end:]), hops)
        return None


def literal_text(node: ast.expr) -> str | None:
    """The source of a literal, None for an expression that is none or nests too deeply.

    One value has one spelling, that of ``repr``, so that ``0x10`` and ``16`` count as one argument; where ``repr``
    gives no literal (``inf`` of ``1e999``), the spelling of the source stays.
    """
    if not _is_literal(node, MAX_DEPTH):
        return None
    try:
        if isinstance(node, ast.Call):
            return repr(range(*map(ast.literal_eval, node.args)))
        spelt = repr(ast.literal_eval(node))
        return spelt if _is_literal(ast.parse(spelt, mode="eval").body, MAX_DEPTH) else ast.unparse(node)
    except (ValueError, TypeError, SyntaxError):
        # a range inside, a key that can't be hashed (its call raises)
        pass
    try:
        return ast.unparse(node)
    except ValueError:  # an integer of more digits than CPython writes, as a hexadecimal number may have
        return None


def _is_literal(node: ast.expr | None, depth: int) -> bool:
    match node:
        case ast.Constant(value=value):
            return value is not Ellipsis  # examples write it where they leave something out
        case _ if node is None or not depth:
            return False  # None: the key of `{**other}`
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=value)):
            # type() and not isinstance(): `-True` is an expression, not a literal that anybody would write
            return type(value) in (int, float, complex)
        case ast.Set(elts=[_, _, *_]):
            return False  # with two elements or more it is shown in another order under another hash seed
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return all(_is_literal(part, depth - 1) for part in parts)
        case ast.Dict(keys=keys, values=values):
            return all(_is_literal(part, depth - 1) for part in (*keys, *values))
        case ast.Call(func=ast.Name(id="range"), args=[_, *_] as args, keywords=[]):
            return all(map(_is_integer, args))
    return False


def _is_integer(node: ast.expr) -> bool:
    """Tell if a ``range`` may have this argument: an integer, of either sign, of at most MAX_RANGE."""
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(inner, ast.Constant) and type(inner.value) is int and inner.value <= MAX_RANGE


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's statements with those under ``if``, ``try``, ``with`` and loops, which bind the module's names too."""
    # A stack, not a recursion: each `elif` is nested in the one before it.
    pending = [*body][::-1]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            handlers = [inner for handler in getattr(node, "handlers", []) for inner in handler.body]
            inner = [*node.body, *handlers, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            pending += reversed(inner)


def _names_and_sites(path: str, context: RepositoryContext) -> tuple[Names, list[CallSite]] | None:
    source = context.read(path)
    return None if source is None else (_module_names(source, context), [*_sites(source, context)])


def _module_names(source: SourceText, context: RepositoryContext) -> Names:
    """The meaning of the names of a module at its end: of two statements that bind one, the later one's."""
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
            return {
                alias.asname or alias.name: f"{prefix}.{alias.name}" if prefix else alias.name for alias in node.names
            }
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.With() | ast.Delete():
            # By context and not by field: targets may be nested tuples. A walrus inside is found on the way.
            names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
            return {name.id: None for name in names if not isinstance(name.ctx, ast.Load)}
    return {}


def _imported(alias: ast.alias) -> tuple[str, str | None]:
    """``import a.b`` binds ``a``, ``import a.b as c`` binds ``c``, to ``a.b``."""
    top = alias.name.partition(".")[0]
    return (alias.asname, alias.name) if alias.asname else (top, top)


def _scope(nodes: Iterable[ast.AST], module: str | None, path: str) -> Bindings:
    """The names that a function's or a docstring's own statements bind; those of comprehensions count among them.

    Outside of its comprehension such a name may mean a function, whose call is then lost. To leave it out would count
    calls of whatever the comprehension goes over.
    """
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
        # A function that is defined here is not the module's of that name, so a call of it is nobody's.
        bound = _bound(node, module, path)
        bindings |= {name: None if full == FUNCTION else full for name, full in bound.items()}
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return bindings


def _sites(source: SourceText, context: RepositoryContext) -> Iterator[CallSite]:
    """The literal calls of a file: those of its code, then those of its examples."""
    module = context.layout.place(source.path).module if source.tree else None
    if source.tree is not None:
        yield from _sites_below(source.tree, (), module, source.path)
    for docstring in examples_of(source):
        # Example by example: one that does not compile costs itself alone.
        trees = [tree for tree in map(_parsed, docstring) if tree is not None]
        # The examples of one docstring share a namespace, in which imports of the first ones hold for all.
        scope = _scope([node for tree in trees for node in tree.body], None, source.path)
        for tree in trees:
            yield from _sites_below(tree, (scope,), module, source.path)


def _parsed(example: str) -> ast.Module | None:
    """The syntax tree of a doctest example; None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(example)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # an example of a syntax error, say: it calls nothing


def _sites_below(
    tree: ast.AST, outer_scopes: tuple[Bindings, ...], module: str | None, path: str
) -> Iterator[CallSite]:
    """The literal calls below a node, in the order of the source; ``outer_scopes`` are around it, outermost first.

    A stack, not a recursion: long chains of operators nest more deeply than Python's own stack allows.
    """
    pending: list[tuple[ast.AST, tuple[Bindings, ...], str | None]] = [(tree, outer_scopes, None)]
    while pending:
        node, scopes, reader = pending.pop()
        if isinstance(node, ast.Call):
            site = _site(node, scopes, reader)
            if site is not None:
                yield site
        if isinstance(node, Function | ast.Lambda):
            body = node.body if isinstance(node.body, list) else [node.body]
            scopes = (*scopes, _scope([node.args, *body], module, path))
        child_reader = _read_by(node, scopes)
        # Reversed, since the last of a stack comes first.
        pending += [(child, scopes, child_reader) for child in reversed(list(ast.iter_child_nodes(node)))]


def _read_by(node: ast.AST, scopes: tuple[Bindings, ...]) -> str | None:
    """The built-in of READERS that the node calls with one argument; None where it is no such call."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS):
        return None
    is_shadowed = any(node.func.id in scope for scope in scopes)  # a parameter `list`, say, is no built-in
    return node.func.id if len(node.args) == 1 and not node.keywords and not is_shadowed else None


def _site(node: ast.Call, scopes: tuple[Bindings, ...], reader: str | None) -> CallSite | None:
    """The call with the name that it calls, as the innermost scope that binds it has it; None for other calls."""
    name = dotted(node.func)
    call = _literal_call(node, reader)
    if name is None or call is None:
        return None
    head, _, rest = name.partition(".")
    scope = next((scope for scope in reversed(scopes) if head in scope), None)
    if scope is None:
        return CallSite(name=name, is_full=False, call=call)
    full = scope[head]
    return None if full is None else CallSite(name=f"{full}.{rest}" if rest else full, is_full=True, call=call)


def _literal_call(node: ast.Call, reader: str | None) -> LiteralCall | None:
    """The call with its arguments as text; None where one of them is no literal, or starred."""
    args = [text for text in map(literal_text, node.args) if text is not None]
    spelt = [(keyword.arg, literal_text(keyword.value)) for keyword in node.keywords]
    keywords = tuple((name, text) for name, text in spelt if name is not None and text is not None)
    # `f(*args)` has an argument that is no literal, `f(**named)` a keyword without a name: both fall short here.
    if len(args) != len(node.args) or len(keywords) != len(spelt):
        return None
    return LiteralCall(args=tuple(args), keywords=keywords, reader=reader)
