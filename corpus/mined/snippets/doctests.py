"""Finds doctest examples: of modules, classes, methods and functions, of ``__test__``, and of ``.rst``, ``.md`` and
``.txt`` files.

Examples are found by syntax alone, so nothing is imported. Not found: docstrings that are computed, those of functions
inside functions (doctest doesn't see them either). ``dialects`` reads the examples of a text.
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator
from dataclasses import dataclass

from trace_mine.corpus.mined.files import TEXT_SUFFIXES, SourceText
from trace_mine.corpus.mined.layout import ImportPlace
from trace_mine.corpus.mined.snippets.candidate import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.dialects import DEFAULT_GROUP, examples_by_group, may_have_examples
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.replays.linear_parser import directive_of
from trace_mine.tracer.schema import Drop, Piece, Snippet

STANDARD_OPTIONS = frozenset(doctest.OPTIONFLAGS_BY_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """A docstring's value, the dotted name of its owner within the module, and its lines in the file.

    ``name`` is empty for a module's own docstring and for a text file. Lines are 1-based, and ``end_line`` is the last.

    Raises:
        ValueError: the lines are not those of a file.
    """

    name: str
    value: str
    line: int
    end_line: int

    def __post_init__(self) -> None:
        if not 1 <= self.line <= self.end_line:
            raise ValueError(
                f"expected 1 <= Docstring.line <= end_line, got {self.line} and {self.end_line}; count lines from 1"
            )


def find_doctests(source: SourceText, context: RepositoryContext) -> Iterator[Candidate]:
    """Find one candidate for each docstring (or text file) with an example: its examples share a namespace."""
    if source.path.endswith(TEXT_SUFFIXES):
        document = Docstring(name="", value=source.text, line=1, end_line=source.text.count("\n") + 1)
        place = ImportPlace(sys_path=context.layout.main_roots, module=None)
        yield from _candidates(source, document, place, name=source.path)
    elif source.tree is not None and may_have_examples(
        source.text
    ):  # most files have no prompt, and their trees need no walk
        place = context.place(source.path)
        for docstring in docstrings(source.tree):
            name = ".".join(part for part in (place.module or source.path, docstring.name) if part)
            yield from _candidates(source, docstring, place, name=name)


def docstrings(tree: ast.Module) -> Iterator[Docstring]:
    """Every docstring with a prompt or code that doctest or Sphinx could find, in the order of the file."""
    unsorted = [*_own_docstring(tree, ""), *_docstrings_below(tree.body, "")]
    yield from sorted(unsorted, key=lambda docstring: docstring.line)


def _docstrings_below(body: list[ast.stmt], prefix: str) -> Iterator[Docstring]:
    """The docstrings of the classes and functions of a body; ``prefix`` is the dotted name of the class around it.

    Functions are not entered: doctest finds docstrings on objects, and an inner function is none before its outer one
    is called. A stack, not a recursion: each ``elif`` is nested in the one before it.
    """
    pending = [(node, prefix) for node in reversed(body)]
    while pending:
        node, prefix = pending.pop()
        inner: list[ast.stmt] = []
        inner_prefix = prefix
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _own_docstring(node, prefix + node.name)
            if isinstance(node, ast.ClassDef):
                inner, inner_prefix = node.body, f"{prefix}{node.name}."
        elif isinstance(node, ast.If | ast.Try | ast.With):
            handlers = [statement for handler in getattr(node, "handlers", []) for statement in handler.body]
            rest = [*getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            inner = [*node.body, *handlers, *rest]
        elif isinstance(node, ast.Assign) and not prefix:
            yield from _test_dictionary(node)
        pending += [(statement, inner_prefix) for statement in reversed(inner)]


def _own_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
) -> Iterator[Docstring]:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr):
        yield from _literal(first.value, name)


def _test_dictionary(node: ast.Assign) -> Iterator[Docstring]:
    """The docstrings of ``__test__ = {"name": "..."}``, doctest's table of further ones, as far as it is literal."""
    is_test = any(isinstance(target, ast.Name) and target.id == "__test__" for target in node.targets)
    if is_test and isinstance(node.value, ast.Dict):
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield from _literal(value, f"__test__.{key.value}")


def _literal(node: ast.expr, name: str) -> Iterator[Docstring]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and may_have_examples(node.value):
        yield Docstring(name=name, value=node.value, line=node.lineno, end_line=node.end_lineno or node.lineno)


def _candidates(source: SourceText, docstring: Docstring, place: ImportPlace, *, name: str) -> Iterator[Candidate]:
    """One candidate for each namespace that the docstring's examples run in; a dropped one for a bad docstring."""
    try:
        groups = examples_by_group(docstring.value, name)
    except ValueError as error:
        drop = Drop(reason=Reason.BAD_DOCTEST, evidence=str(error)[:300])
        yield _candidate(source, docstring, place, name, [], drop)
        return
    for group, examples in groups.items():
        yield _candidate(source, docstring, place, name if group == DEFAULT_GROUP else f"{name}[{group}]", examples)


def _candidate(
    source: SourceText,
    docstring: Docstring,
    place: ImportPlace,
    name: str,
    examples: list[doctest.Example],
    drop: Drop | None = None,
) -> Candidate:
    num_skipped = 0
    pieces: list[Piece] = []
    span = (docstring.line, docstring.end_line)
    if examples:
        lines = file_lines(source, docstring, examples)
        skip = doctest.OPTIONFLAGS_BY_NAME["SKIP"]
        kept = [(example, line) for example, line in zip(examples, lines, strict=True) if not example.options.get(skip)]
        num_skipped = len(examples) - len(kept)
        pieces = [_piece(example, line) for example, line in kept]
        # From the first prompt to the last line of expected output: the prose around them is not the snippet's.
        last = max(range(len(lines)), key=lambda index: lines[index])
        span = (min(lines), lines[last] + examples[last].source.count("\n") + examples[last].want.count("\n") - 1)
        if not pieces:
            drop = Drop(reason=Reason.ALL_SKIPPED, evidence=f"all {num_skipped} examples have +SKIP")
    if drop is None and place.module is None and source.tree is not None:
        drop = Drop(reason=Reason.NOT_IMPORTABLE, evidence="no module name leads to this file")
    snippet = Snippet(
        kind="doctest",
        name=name,
        path=source.path,
        line=span[0],
        end_line=max(span),
        pieces=tuple(pieces),
        module=place.module,
        continue_on_error=True,  # doctest goes on after an example that raises
    )
    return Candidate(
        snippet=snippet,
        sys_path=place.sys_path,
        source_hash=source.hash,
        drop=drop,
        num_skipped=num_skipped,
    )


def file_lines(source: SourceText, docstring: Docstring, examples: list[doctest.Example]) -> list[int]:
    """The 1-based line in the file of each example's first line.

    A docstring without escaped line ends has as many lines as its value, and the mapping is exact. In another one
    (``"first\\n\\n>>> 6"``) each prompt is looked for in the file's lines, behind the prompt before it; an example
    whose prompt is not there gets the line of the one before.

    Args:
        source: the file.
        docstring: one of its docstrings.
        examples: those that doctest's parser finds in it, at least one.
    """
    num_lines = docstring.end_line - docstring.line
    # An escaped line end in the value and a joined line in the file could make up for each other. Lines would then be
    # off by one, in the row's column only.
    if docstring.value.count("\n") == num_lines:
        return [docstring.line + example.lineno for example in examples]
    file_text = source.text.split("\n")[docstring.line - 1 : docstring.end_line]
    lines, start = [], 0
    for example in examples:
        prompt = ">>> " + example.source.split("\n", 1)[0]
        number = next((index for index in range(start, len(file_text)) if prompt in file_text[index]), None)
        if number is not None:
            start = number + 1
        lines.append(docstring.line + max(start - 1, 0))
    return lines


def examples_of(source: SourceText) -> Iterator[list[str]]:
    """The sources of the examples of each docstring, or of a text file.

    Examples with ``+SKIP`` and docstrings that doctest would refuse are left out.
    """
    if source.tree is None:
        texts = [source.text] if source.cells is None else []
    else:
        texts = [docstring.value for docstring in docstrings(source.tree)] if may_have_examples(source.text) else []
    # What an author skips is no call that works: it mostly needs a network, a file or another version.
    skip = doctest.OPTIONFLAGS_BY_NAME["SKIP"]
    for text in texts:
        try:
            groups = examples_by_group(text, "")
        except ValueError:
            continue  # find_doctests counts it as bad_doctest
        for examples in groups.values():
            yield [example.source for example in examples if not example.options.get(skip)]


def _piece(example: doctest.Example, line: int) -> Piece:
    # doctest keeps options as bits; a `-OPTION` only switches off what is off already, and says nothing in a row.
    names = {flag: name for name, flag in doctest.OPTIONFLAGS_BY_NAME.items()}
    options = sorted(names[flag] for flag, is_on in example.options.items() if is_on)
    return Piece(
        source=without_directives(example.source),
        line=line,
        want=example.want,
        options=tuple(option for option in options if option in STANDARD_OPTIONS),
    )


def without_directives(source: str) -> str:
    """The source without its ``# doctest:`` comments, which say how to compare outputs and not what to run.

    Doctest finds them by a pattern, which also matches inside a string literal; there the source is left as it is,
    since its syntax tree would change.

    Example:
        >>> without_directives("x  # doctest: +ELLIPSIS\\n")
        'x\\n'
    """
    if "doctest:" not in source:
        return source
    stripped = "\n".join(map(_without_directive, source.split("\n")))
    try:
        same = ast.dump(ast.parse(stripped)) == ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    return stripped if same else source


def _without_directive(line: str) -> str:
    directive = directive_of(line)
    return line if directive is None else line[: directive.start()].rstrip(" \t")
