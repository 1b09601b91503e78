"""A function's source, and a call of it, as text of a session that has no effect there.

``definition_text`` gives a ``def`` that can be executed anywhere: it has its author's lines, but neither decorators nor
what evaluating its header would need names for. A default that may run something is ``...``, an annotation that may is
a string. The docstring is its first sentence: its examples would tell what the session is about to show.
"""

from __future__ import annotations

import ast
import copy
import itertools
import re
from collections.abc import Callable, Iterator

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.changed_text import Span, replaced
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.text import (
    CHANGED_BY_DOCTEST,
    is_literal,
    same_tree,
    unparse,
    without_blank_lines,
)
from trace_mine.tracer.inside.syntax.walking import walk

LONGEST_CALL = 200
"""Characters of a call in a comment; a call that is longer is cut."""
_BEGINS = frozenset("`'\"(")
"""What a line of a sentence begins with, where it is no letter or digit."""
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
LONGEST_SOURCE = 20_000
"""Characters of a function that is shown; 99.9% of functions are shorter."""


def one_line(text: str, longest: int = LONGEST_CALL) -> str:
    """Return hostile text as a part of a comment: on one line, of bounded length, and nothing that doctest reads.

    >>> one_line("f('a\\tb')\\r# doctest: +SKIP")
    "f('a\\\\tb')\\\\r# doctest : +SKIP"
    """
    cut = text if len(text) <= longest else text[: longest - 3] + "..."
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
    return shown.replace("doctest:", "doctest :")


def call_text(call: ast.Call, lines: list[str] | None) -> str:
    """Return a call as its author wrote it, for a comment: on one line, of bounded length.

    Args:
        call: the call; its arguments may be other ones by now, since calls in them were opened.
        lines: the lines of the file that its positions are of; None where they can't be read.
    """
    written = None if lines is None else _written(call, lines)
    try:
        return one_line(written or unparse(_as_asked(call)))
    except CannotOpen:
        return "..."


def _last_name(node: ast.expr) -> str:
    """The name that an expression of a function ends with, as the program has it."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return re.sub(r"_\d+$", "", node.id) if isinstance(node, ast.Name) else ""


def _as_asked(call: ast.Call) -> ast.AST:
    """Return a call that the driver spells, ``x.__class__.__len__(x)``, as its author means it: ``x.__len__()``.

    Of the functions of a property or descriptor that is the attribute, or the assignment to it.
    """
    function, fields = call.func, []
    while isinstance(function, ast.Attribute) and function.attr != "__class__":
        fields.append(function.attr)
        function = function.value
    is_asked = isinstance(function, ast.Attribute) and bool(fields) and bool(call.args)
    if not (is_asked and isinstance(function, ast.Attribute) and ast.dump(function.value) == ast.dump(call.args[0])):
        return call
    held, word = call.args[0], fields[0]
    asked: ast.expr = ast.Attribute(held, fields[-1], ast.Load())
    # of a descriptor, ``x.__class__.__dict__['name'].__class__.__get__``, the object is its second argument
    if isinstance(held, ast.Subscript) and isinstance(held.slice, ast.Constant) and len(call.args) == 3:
        is_held = isinstance(held.value, ast.Attribute) and held.value.attr == "__dict__"
        if is_held and word in ("__get__", "__set__") and type(held.slice.value) is str:
            asked = ast.Attribute(call.args[1], held.slice.value, ast.Load())
            value = None if word == "__get__" else call.args[2]
            return asked if value is None else ast.fix_missing_locations(ast.Assign([asked], value, lineno=1))
    if word == "fget" or (word == "func" and len(fields) == 2):
        return asked
    if word == "fset":
        return ast.fix_missing_locations(ast.Assign([asked], call.args[1], lineno=1))
    # of a metaclass: a call of the class
    return ast.Call(held if fields == ["__call__"] else asked, call.args[1:], call.keywords)


def _written(call: ast.Call, lines: list[str]) -> str | None:
    """Return the text at a call's position, where that is a call or another expression that makes it."""
    first, last = getattr(call, "lineno", 0), getattr(call, "end_lineno", None)
    if not first or last is None or not first <= last <= len(lines):
        return None
    block = [line.encode("utf-8", "surrogatepass") for line in lines[first - 1 : last]]
    block[-1] = block[-1][: call.end_col_offset]
    block[0] = block[0][call.col_offset :]
    text = b"\n".join(block).decode("utf-8", "surrogatepass")
    try:
        tree = ast.parse(f"({text})", mode="eval").body
        # a definition that was moved home has the columns of its command: then another text may stand there
        if isinstance(tree, ast.Call) and _last_name(tree.func) != _last_name(call.func):
            return None
        return text if len(block) == 1 else unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError, CannotOpen):
        return None


def definition_text(
    lines: list[str] | None, definition: ast.FunctionDef, qualified: str, name: str, is_safe: Callable[[ast.expr], bool]
) -> str:
    """Return a definition as a command that binds ``name`` and does nothing else.

    Args:
        lines: the lines of its file; None where they can't be read.
        definition: its tree, with the positions of that file.
        qualified: the qualified name, which a comment tells where it is more than the function's name.
        name: the name that the command binds.
        is_safe: says of a default or an annotation that evaluating it runs nothing and gives the very object.

    Raises:
        CannotOpen: it has no text: it is too long, or ``ast.unparse`` can't write it.
    """
    comment = _comment(definition, qualified)
    text = None
    if lines is not None and not definition.name.startswith("<"):
        text = _own_text(lines, definition, name, is_safe, comment)
    if text is None or any(mark in text for mark in CHANGED_BY_DOCTEST):
        text = _as_tree(definition, name, is_safe, comment)
    if len(text) > LONGEST_SOURCE or any(mark in text for mark in CHANGED_BY_DOCTEST):
        raise CannotOpen(Reason.UNPARSE)
    return text


def _as_tree(definition: ast.FunctionDef, name: str, is_safe: Callable[[ast.expr], bool], comment: str) -> str:
    """Return a definition's text as its tree has it."""
    plain = copy.copy(definition)
    plain.decorator_list, plain.name = [], name
    tree = _parsed(unparse(_without_docstring(plain)))
    lines = unparse(tree).split("\n")
    text = "\n".join(replaced(lines, [*_docstring(tree), *_header(tree, is_safe)], (1, 0)))
    return _with_comment(without_blank_lines(text), comment)


def _parsed(text: str) -> ast.FunctionDef:
    """Return the one definition that a text is.

    Raises:
        CannotOpen: it is another text.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CannotOpen(Reason.UNPARSE) from error
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        raise CannotOpen(Reason.UNPARSE)
    return body[0]


def _own_text(
    lines: list[str], definition: ast.FunctionDef, name: str, is_safe: Callable[[ast.expr], bool], comment: str
) -> str | None:
    """Return the author's lines of a definition at the left margin; None where they would be another function there."""
    first, last, indent = definition.lineno, definition.end_lineno or definition.lineno, definition.col_offset
    block = lines[first - 1 : last]
    head = f"def {definition.name}"
    if len(block) != last - first + 1 or not block[0][indent:].startswith(head):
        return None
    document = _document(definition)
    of_document = range(document.lineno + 1, (document.end_lineno or 0) + 1) if document is not None else ()
    if any(line[:indent].strip() for number, line in enumerate(block, first) if number not in of_document):
        return None  # a comment or a string stands further left
    # columns of a tree count bytes of UTF-8
    block[-1] = block[-1].encode("utf-8", "surrogatepass")[: definition.end_col_offset].decode("utf-8", "surrogatepass")
    block = [line[indent:] for line in block]
    strings = [
        node
        for node in walk(definition)
        if isinstance(node, (ast.Constant, ast.JoinedStr))
        and node.end_lineno != node.lineno
        and (document is None or node is not document.value)
    ]
    # a string of several lines would have another value there, unless each of its lines is one for itself
    if indent and strings:
        try:
            moved = _parsed("\n".join(block))
        except CannotOpen:
            return None
        if not same_tree(_without_docstring(moved), _without_decorators(_without_docstring(definition))):
            return None
    inside = {line for node in strings for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    spans = [*_docstring(definition), *_header(definition, is_safe)]
    texts = replaced(block, spans, (first, indent))
    texts[0] = texts[0].replace(head, f"def {name}", 1)
    # blank lines end a block at a prompt; of a node of several lines the further ones are empty now
    text = "\n".join(line for number, line in enumerate(texts, first) if line.strip() or number in inside)
    return text if first in inside else _with_comment(text, comment)


def _without_decorators(definition: ast.FunctionDef) -> ast.FunctionDef:
    plain = copy.copy(definition)
    plain.decorator_list = []
    return plain


def _without_docstring(definition: ast.FunctionDef) -> ast.FunctionDef:
    """Return a definition whose docstring is its first sentence."""
    document = _document(definition)
    if document is None:
        return definition
    short = copy.copy(definition)
    short.body = [
        ast.copy_location(ast.Expr(ast.Constant(_summary(document.value))), document),
        *definition.body[1:],
    ]
    return short


def _document(definition: ast.FunctionDef) -> ast.Expr | None:
    first = definition.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str
    return first if is_text and isinstance(first, ast.Expr) else None


def _summary(value: ast.expr) -> str:
    """The first sentence of a docstring, on one line; its first line, where it has a long one or an example."""
    assert isinstance(value, ast.Constant)
    lines = [line.strip() for line in str(value.value).strip().split("\n")]
    if lines[0].startswith(">>>"):
        return "..."
    # a list, an underline or a field (``:param x:``) is no part of a sentence
    sentence = list(itertools.takewhile(lambda line: line[:1].isalnum() or line[:1] in _BEGINS, lines[1:]))
    text = _END_OF_SENTENCE.split(" ".join([lines[0], *sentence]), maxsplit=1)[0]
    return one_line(text if len(text) <= LONGEST_CALL else lines[0])


def _docstring(definition: ast.FunctionDef) -> Iterator[Span]:
    """The docstring, where it is more than a line."""
    document = _document(definition)
    if document is None or not isinstance(document.value, ast.Constant):
        return
    line = _summary(document.value)
    if document.value.value != line:
        yield document, repr(line) if set(line) & set('"\\') else f'"""{line}"""'


def _header(definition: ast.FunctionDef, is_safe: Callable[[ast.expr], bool]) -> Iterator[Span]:
    """The defaults and annotations that can't stand as they are."""
    spec = definition.args
    for default in (*spec.defaults, *spec.kw_defaults):
        if default is not None and not (is_literal(default) or isinstance(default, ast.Lambda) or is_safe(default)):
            yield default, "..."
    parameters = (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg)
    notes = [each.annotation for each in parameters if each is not None and each.annotation is not None]
    for note in [*notes, *([definition.returns] if definition.returns is not None else [])]:
        if not is_safe(note):
            yield note, repr(one_line(unparse(note)))


def _comment(definition: ast.FunctionDef, qualified: str) -> str:
    """What a definition at the left margin no longer tells: its decorators, and where the function stands."""
    decorators = [f"@{one_line(unparse(each), 80)}" for each in definition.decorator_list]
    return " ".join([*decorators, *([qualified] if qualified != definition.name else [])])


def _with_comment(text: str, comment: str) -> str:
    """Return a definition, whose first line ends in no string, with a comment at the end of that line."""
    first, end, rest = text.partition("\n")
    return f"{first}  # {one_line(comment)}{end}{rest}" if comment and not first.endswith("\\") else text
