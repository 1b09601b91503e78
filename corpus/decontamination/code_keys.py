"""Keys of code: of a function whatever its locals are called, of an example call with its result, of runs of words.

The same keys are made of a benchmark's problems and of a repository's files; equal keys mean equal code. Source is only
parsed here, which for a repository happens in the reader's sandbox; ``gram_keys`` alone reads text by an expression of
linear time, and may be given text of a run anywhere.
"""

from __future__ import annotations

import ast
import hashlib
import keyword
import re
import textwrap
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from trace_mine.corpus.mined.files import parse
from trace_mine.tracer.schema import Drop

MIN_NODES = 30
"""Nodes of a function's tree from which on its text alone tells it; shorter ones are told with their names."""
MIN_NAMED_NODES = 12
"""Nodes below which a function is anybody's: ``return x + y``."""
MIN_EXAMPLE = 20
"""Characters of a call that tells its problem alone; of shorter ones two are needed."""
GRAM = 13
MIN_WORDS = 7
"""Different words of a run that are no keywords, numbers or letters, so that a run says something."""
MAX_FUNCTION_CHARS = 20_000
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*+|\d++")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call with its result, as a key; ``tells`` says that it is long enough to tell its problem alone."""

    key: str
    tells: bool


def key_of(kind: str, text: str) -> str:
    """The hash of a text of one kind, 16 hexadecimal digits."""
    data = f"{kind} {text}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def functions_of(tree: ast.Module) -> Iterator[Function]:
    """The functions of a module, methods and inner ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def function_key(function: Function, text: str) -> str | None:
    """The key of a function; None for one that is too short to be anybody's, or too long to be a problem's.

    Args:
        function: a node of a tree.
        text: the source of the tree.
    """
    source = ast.get_source_segment(text, function)
    if source is None or len(source) > MAX_FUNCTION_CHARS:
        return None
    # parsed again, since names are changed in place
    parsed = parse(textwrap.dedent(source))
    if isinstance(parsed, Drop) or not parsed.body or not isinstance(parsed.body[0], Function):
        return None
    copy = parsed.body[0]
    name = copy.name
    _strip(copy)
    num_nodes = sum(not isinstance(node, ast.expr_context) for node in ast.walk(copy))
    if num_nodes < MIN_NAMED_NODES:
        return None
    _Renamer(copy).visit(copy)
    shape = ast.dump(copy, annotate_fields=False)
    return key_of("function", shape if num_nodes >= MIN_NODES else f"{name} {shape}")


def _strip(function: Function) -> None:
    """Leave out what a function does not do: docstrings, decorators, annotations."""
    for node in ast.walk(function):
        if isinstance(node, Function | ast.ClassDef):
            node.decorator_list = []
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, Function):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None


class _Renamer(ast.NodeTransformer):
    """Gives a function and its locals names by the order in which they come."""

    def __init__(self, function: Function) -> None:
        outer = {
            name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
        }
        bound = [function.name]
        for node in ast.walk(function):
            if isinstance(node, ast.arg):
                bound.append(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.append(node.id)
            elif isinstance(node, Function | ast.ClassDef) or (isinstance(node, ast.ExceptHandler) and node.name):
                bound.append(node.name or "")
        self._local = frozenset(bound) - outer
        self._names: dict[str, str] = {}

    def _renamed(self, name: str) -> str:
        if name not in self._local:
            return name
        return self._names.setdefault(name, f"v{len(self._names)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:  # the name is ast's
        node.id = self._renamed(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:  # as above
        node.arg = self._renamed(node.arg)
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, Function | ast.ClassDef) or (isinstance(node, ast.ExceptHandler) and node.name):
            node.name = self._renamed(node.name or "")
        return super().generic_visit(node)


# examples -------------------------------------------------------------------------------------------------------------


def doctest_examples(text: str) -> Iterator[tuple[int, Example]]:
    """The one-line examples of a text, ``>>> call`` with a result in the next line; each with its line, from 0."""
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1]):
        stripped = line.strip()
        if stripped.startswith(">>> ") and (example := _example(stripped[4:], lines[number + 1].strip())):
            yield number, example


def assert_examples(node: ast.AST, renamed: str = "") -> Iterator[Example]:
    """The examples of the assertions below a node, ``assert call == result``.

    Args:
        node: any node.
        renamed: the function's name, where tests call it ``candidate``.
    """
    for inner in ast.walk(node):
        if not isinstance(inner, ast.Assert) or not isinstance(inner.test, ast.Compare) or len(inner.test.ops) != 1:
            continue
        if isinstance(inner.test.ops[0], ast.Eq | ast.Is):
            call = ast.unparse(inner.test.left)
            if renamed and call.startswith("candidate("):
                call = renamed + call.removeprefix("candidate")
            if example := _example(call, ast.unparse(inner.test.comparators[0])):
                yield example


def _example(call: str, result: str) -> Example | None:
    parsed, wanted = _expression(call), _expression(result)
    # a call with arguments: `f()` is anybody's
    if not isinstance(parsed, ast.Call) or not parsed.args or not isinstance(parsed.func, ast.Name) or wanted is None:
        return None
    text = ast.unparse(parsed)
    return Example(key=key_of("example", f"{text} -> {ast.unparse(wanted)}"), tells=len(text) >= MIN_EXAMPLE)


def _expression(text: str) -> ast.expr | None:
    if not text or len(text) > MAX_FUNCTION_CHARS:
        return None
    tree = parse(text)
    if isinstance(tree, Drop) or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    return tree.body[0].value


# words ----------------------------------------------------------------------------------------------------------------


def gram_keys(text: str) -> Iterator[str]:
    """The keys of all runs of GRAM words of a text that have MIN_WORDS different ones that say something."""
    window: deque[str] = deque(maxlen=GRAM)
    for match in _WORD.finditer(text):
        window.append(match.group().lower())
        if len(window) == GRAM and len({word for word in window if _says_something(word)}) >= MIN_WORDS:
            yield key_of("words", " ".join(window))


def _says_something(word: str) -> bool:
    return len(word) >= 3 and not word.isdigit() and not keyword.iskeyword(word) and word not in _COMMON


_COMMON_WORDS = "len range int str list dict set float bool print self return none true false the and for"
_COMMON = frozenset(_COMMON_WORDS.split())
