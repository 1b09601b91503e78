"""Examples in the dialects that authors write them in: doctest's, xdoctest's, Sphinx's directives, Markdown's fences.

All of them become doctest's examples, in the order in which their tool runs them, in one list for each namespace.

* **xdoctest**: the lines of one statement may all begin with ``>>>``. Doctest reads each as an example of its own, some
  of which do not compile: such an example is joined with those next to it until all of it compiles.
* **Sphinx**: ``testsetup`` runs before all else of its group, ``testcode`` is code without prompts whose output stands
  in ``testoutput``, ``doctest`` gives examples a group. In MyST the same directives are fences. ``testcleanup`` is left
  out: nothing is shown after it. A block with ``:skipif:`` counts as one with ``+SKIP``.
* **Markdown**: a fence that closes a block of code is no expected output.

A text that can't be read as a whole in any dialect is refused: without one of its examples the others are another
program.
"""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from trace_mine.tracer.replays.linear_parser import LinearParser

FOREIGN_OPTIONS = (
    "NUMBER",
    "ALLOW_UNICODE",
    "ALLOW_BYTES",
    "FLOAT_CMP",
    "IGNORE_OUTPUT",
    "REMOTE_DATA",
    "SHOW_WARNINGS",
)
"""Options of pytest, its plugins and NumPy. The parser refuses a whole docstring for one option that is not registered,
so these are; they never reach a row.
"""
LONGEST_JOINED = 200
"""Examples that are joined to one statement at most: each one more is another attempt to compile all of them."""
DEFAULT_GROUP = "default"
"""Sphinx's name for the group of what names none."""
EVERY_GROUP = "*"

_DIRECTIVE = re.compile(
    r"[ \t]*+(?:\.\. (testsetup|testcleanup|testcode|testoutput|doctest)::"
    r"|(?:`{3,}+|~{3,}+|:{3,}+)\{(testsetup|testcleanup|testcode|testoutput|doctest)\})[ \t]*+(.*+)"
)
_FIELD = re.compile(r"[ \t]*+:([a-z-]++):[ \t]*+(.*+)")
_FENCE = re.compile(r"[ \t]*+(`{3,}+|~{3,}+|:{3,}+)[ \t]*+(.*+)")
# what goes on with a statement that compiles without it: another line of its block, or another clause
_REST = re.compile(r"[ \t]|(?:else|elif|except|finally)\b")
# the errors by which CPython says that a text is no program
_BROKEN = ("SyntaxError", "IndentationError", "TabError")


@dataclass(slots=True, kw_only=True)
class _Block:
    """A directive's block: its kind, groups and fields, and its lines in the text, of which ``first`` is the first."""

    kind: str
    groups: tuple[str, ...]
    first: int
    lines: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def options(self) -> dict[int, bool]:
        """The block's options as doctest keeps them: number of the flag to on or off."""
        words = self.fields.get("options", "").replace(",", " ").split()
        known = {word: doctest.OPTIONFLAGS_BY_NAME.get(word[1:]) for word in words}
        options = {flag: word[0] == "+" for word, flag in known.items() if flag is not None}
        if "skipif" in self.fields:
            options[doctest.OPTIONFLAGS_BY_NAME["SKIP"]] = True
        return options


def may_have_examples(text: str) -> bool:
    """Return False for a text, of whatever length, that has neither a prompt nor a block of code: most have none."""
    return ">>>" in text or "testcode" in text


def examples_by_group(text: str, name: str) -> dict[str, list[doctest.Example]]:
    """Return the examples of a text by the namespace that they share, each list in the order in which it runs.

    Args:
        text: a docstring's value, or a whole file of prose.
        name: its owner, for messages.

    Returns:
        From Sphinx's group (``default`` where none is named) to its examples; groups without an example are left out.
        ``lineno`` counts the text's lines from 0.

    Raises:
        ValueError: doctest refuses the text; or an example does not compile, by itself or with those next to it, and
            is not one whose promised output is just that error.
    """
    for option in FOREIGN_OPTIONS:  # here and not at import, which should change nothing; a second time is the same
        doctest.register_optionflag(option)
    lines = text.split("\n")
    blocks = list(_blocks(lines))
    for block in blocks:
        if block.kind != "doctest":
            span = range(block.first, block.first + len(block.lines))
            for index in span:
                lines[index] = ""
    _blank_fences(lines)
    prompts = joined(LinearParser().get_examples("\n".join(lines), name))
    if not blocks:
        return {DEFAULT_GROUP: prompts} if prompts else {}
    return _grouped(blocks, prompts)


def _blocks(lines: list[str]) -> Iterator[_Block]:
    """The blocks of Sphinx's directives, in the order of the text, each read to its end."""
    index = 0
    while index < len(lines):
        match = _DIRECTIVE.fullmatch(lines[index])
        index += 1
        if match is None:
            continue
        groups = tuple(group.strip() for group in match[3].split(",") if group.strip())
        block = _Block(kind=match[1] or match[2], groups=groups or (DEFAULT_GROUP,), first=index)
        opening = lines[index - 1]
        indent = len(opening) - len(opening.lstrip())
        fence = "" if match[1] else opening.strip().split("{")[0]
        while index < len(lines) and (entry := _FIELD.fullmatch(lines[index])):
            block.fields[entry[1]] = entry[2]
            index += 1
        block.first = index
        while index < len(lines) and not _ends(lines[index], indent, fence):
            block.lines.append(lines[index])
            index += 1
        yield block


def _ends(line: str, indent: int, fence: str) -> bool:
    """Return True if a line is behind the block of a directive that stands at ``indent``, or in ``fence``."""
    if fence:
        return line.strip() == fence
    return bool(line.strip()) and len(line) - len(line.lstrip()) <= indent


def _blank_fences(lines: list[str]) -> None:
    """Make empty lines of Markdown's fences: doctest would take one that closes a block for its last example's output.

    A mark that closes nothing, and opens nothing that is closed, is left as it is: it may be output.
    """
    opened: int | None = None
    mark = ""
    for index, line in enumerate(lines):
        match = _FENCE.fullmatch(line)
        if match is None:
            continue
        if opened is None:
            opened, mark = index, match[1]
        elif not match[2] and match[1].startswith(mark):  # a fence may be closed by a longer one
            lines[opened] = lines[index] = ""
            opened = None


def _grouped(blocks: list[_Block], prompts: list[doctest.Example]) -> dict[str, list[doctest.Example]]:
    """The examples of a text with directives, by group: what ``testsetup`` has comes first, as Sphinx runs it."""
    setups: dict[str, list[doctest.Example]] = defaultdict(list)
    tests: dict[str, list[doctest.Example]] = defaultdict(list)
    names = {group for block in blocks for group in block.groups if block.kind != "testcleanup"} | {DEFAULT_GROUP}
    names.discard(EVERY_GROUP)
    directed = {
        line: block
        for block in blocks
        if block.kind == "doctest"
        for line in range(block.first, block.first + len(block.lines))
    }
    for example in prompts:
        around = directed.get(example.lineno)
        if around is not None:
            example.options = {**around.options, **example.options}
        for group in _expanded(around.groups if around is not None else (DEFAULT_GROUP,), names):
            tests[group].append(example)
    for position, block in enumerate(blocks):
        if block.kind in ("testsetup", "testcode"):
            want = _output_behind(blocks, position) if block.kind == "testcode" else None
            for group in _expanded(block.groups, names):
                (setups if block.kind == "testsetup" else tests)[group] += _statements(block, want)
    groups = {group: sorted(tests[group], key=lambda example: example.lineno) for group in sorted(names)}
    return {group: setups[group] + examples for group, examples in groups.items() if examples}


def _expanded(groups: tuple[str, ...], names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names)) if EVERY_GROUP in groups else groups


def _output_behind(blocks: list[_Block], position: int) -> str | None:
    """The promised output of the ``testcode`` at a position: that of the next block of its group; None without one."""
    code = blocks[position]
    for block in blocks[position + 1 :]:
        if set(block.groups) & set(code.groups):
            return textwrap.dedent("\n".join(block.lines)).strip("\n") + "\n" if block.kind == "testoutput" else None
    return None


def _statements(block: _Block, want: str | None) -> list[doctest.Example]:
    """The statements of a block of code, an example each, since a prompt takes one at a time.

    The promised output is that of all statements together: only a block of one statement can be held to it.

    Raises:
        ValueError: the block is no program.
    """
    code = textwrap.dedent("\n".join(block.lines))
    try:
        body = ast.parse(code).body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"expected Python in the {block.kind} at line {block.first}, got {error}") from error
    lines = code.split("\n")
    spans: list[list[int]] = []
    for node in body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        last = node.end_lineno or node.lineno
        if spans and first <= spans[-1][1]:
            spans[-1][1] = last  # statements that share a line
        else:
            spans.append([first, last])
    return [
        doctest.Example(
            "\n".join(lines[first - 1 : last]) + "\n",
            want if want is not None and len(spans) == 1 else "",
            lineno=block.first + first - 1,
            options=block.options,
        )
        for first, last in spans
    ]


def joined(examples: list[doctest.Example]) -> list[doctest.Example]:
    """Join the examples that are one statement only together, as xdoctest reads them.

    Raises:
        ValueError: an example does not compile, alone or joined, and does not promise that.

    Example:
        >>> parse = doctest.DocTestParser().get_examples
        >>> [example.source for example in joined(parse(">>> for i in range(2):\\n>>>     print(i)\\n0\\n1\\n"))]
        ['for i in range(2):\\n    print(i)\\n']
    """
    result: list[doctest.Example] = []
    index = 0
    while index < len(examples):
        first = examples[index]
        index += 1
        if not first.want and all(line.lstrip().startswith("#") for line in first.source.splitlines()):
            continue  # nothing to run; of a comment of one line doctest makes no example either
        run = [first]
        error = _error_of(first.source)
        while index < len(examples) and len(run) < LONGEST_JOINED and _follows(examples[index], run[-1]):
            if error is None and not _REST.match(examples[index].source):
                break
            run.append(examples[index])
            index += 1
            error = _error_of("".join(example.source for example in run))
        if error is not None and not (len(run) == 1 and _promises_error(first)):
            raise ValueError(f"line {first.lineno + 1}: expected a program in each example, got {error}")
        result.append(first if len(run) == 1 else _one_of(run))
    return result


def _follows(example: doctest.Example, before: doctest.Example) -> bool:
    """Return True if an example stands in the line behind another one that shows no output."""
    return not before.want and example.lineno == before.lineno + before.source.count("\n")


def _one_of(run: list[doctest.Example]) -> doctest.Example:
    options = {flag: is_on for example in run for flag, is_on in example.options.items()}
    return doctest.Example(
        "".join(example.source for example in run),
        run[-1].want,
        exc_msg=run[-1].exc_msg,
        lineno=run[0].lineno,
        indent=run[0].indent,
        options=options,
    )


def _error_of(source: str) -> str | None:
    """Return why a source is nothing that a prompt takes; None where it is something."""
    try:
        # mode ``single``, as the example is compiled when it runs; the last argument: our own future imports are ours
        compile(source, "<example>", "single", ast.PyCF_ONLY_AST, True)
    except UnicodeEncodeError:
        return None  # a lone surrogate: no row holds it, which is counted under a reason of its own
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _promises_error(example: doctest.Example) -> bool:
    """Return True if the promised output is a traceback that says that the example does not compile."""
    return example.exc_msg is not None and example.exc_msg.startswith(_BROKEN)
