"""The blocks of Python in a page of documentation: Markdown's fences, and reStructuredText's directives and literals.

Blocks of prompts, and Sphinx's ``testcode``, are doctests (``dialects``) and none of these.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PYTHON = frozenset(("python", "python3", "py", "py3", "{code-block} python", "{code} python"))
"""What stands behind a fence of Python, in small letters."""
_FENCE = re.compile(r"([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+(.*+)")
_DIRECTIVE = re.compile(r"([ \t]*+)\.\. (?:code-block|code|sourcecode)::[ \t]*+(.*+)")
_LITERAL = re.compile(r"([ \t]*+)(?!\.\. [\w-]++::).*::")
_FIELD = re.compile(r"[ \t]*+:[\w-]++:.*+")
_MARKDOWN_TITLE = re.compile(r"#{1,6}+[ \t].*+")
_RULE = re.compile(r"([=\-~^\"'`#*+])\1{2,}+[ \t]*+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """A block of a page.

    Attributes:
        text: its lines, without what all of them are indented by.
        line: the number of its first line in the page, from 1 on.
        section: the number of the section that it stands in.
        is_declared: the page says that it is Python; else it only may be.

    Raises:
        ValueError: the block has no line.
    """

    text: str
    line: int
    section: int
    is_declared: bool

    def __post_init__(self) -> None:
        if not self.text.strip() or self.line < 1:
            raise ValueError(f"expected a CodeBlock with text at a line from 1 on, got line {self.line}")


def code_blocks(text: str, *, is_markdown: bool) -> Iterator[CodeBlock]:
    """Give the blocks of a page in their order.

    >>> page = "# A\\n```python\\nx = 1\\n```\\n# B\\n```sh\\nls\\n```\\n"
    >>> [(block.text, block.line, block.section) for block in code_blocks(page, is_markdown=True)]
    [('x = 1\\n', 3, 1)]
    """
    lines = text.split("\n")
    section = index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if is_markdown and (match := _FENCE.fullmatch(line)):
            end = _end_of_fence(lines, index, match[2])
            yield from _block(
                lines, index, end, section, is_declared=_is_python(match[3]), is_wanted=_is_python(match[3])
            )
            index = end + 1
        elif is_markdown:
            section += bool(_MARKDOWN_TITLE.fullmatch(line))
        elif _is_title(lines, index - 1):
            section += 1
        elif match := _DIRECTIVE.fullmatch(line):
            start = _behind_fields(lines, index)
            end = _end_of_indented(lines, start, len(match[1]))
            wanted = _is_python(match[2])
            yield from _block(lines, start, end, section, is_declared=True, is_wanted=wanted)
            index = end
        elif match := _LITERAL.fullmatch(line.rstrip()):
            end = _end_of_indented(lines, index, len(match[1]))
            yield from _block(lines, index, end, section, is_declared=False, is_wanted=True)
            index = max(index, end)


def _block(
    lines: Sequence[str], start: int, end: int, section: int, *, is_declared: bool, is_wanted: bool
) -> Iterator[CodeBlock]:
    while start < end and not lines[start].strip():
        start += 1
    text = textwrap.dedent("\n".join(lines[start:end])).rstrip() + "\n"
    if is_wanted and text.strip():
        yield CodeBlock(text=text, line=start + 1, section=section, is_declared=is_declared)


def _is_python(info: str) -> bool:
    words = info.lower().strip().strip("{").replace("}", "} ").split()
    if info.strip().startswith("{"):
        words = info.lower().split()
        return " ".join(words[:2]) in PYTHON or words[0].strip("{}.") in PYTHON
    return bool(words) and words[0].partition("{")[0].strip(",") in PYTHON


def _end_of_fence(lines: Sequence[str], start: int, mark: str) -> int:
    for index in range(start, len(lines)):
        if lines[index].strip().startswith(mark) and not lines[index].strip().strip(mark[0]):
            return index
    return len(lines)


def _behind_fields(lines: Sequence[str], start: int) -> int:
    while start < len(lines) and _FIELD.fullmatch(lines[start]):
        start += 1
    return start


def _end_of_indented(lines: Sequence[str], start: int, indent: int) -> int:
    """The first line behind the block that is indented further than what announces it."""
    for index in range(start, len(lines)):
        line = lines[index]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            return index
    return len(lines)


def _is_title(lines: Sequence[str], index: int) -> bool:
    """Return True for a line of reStructuredText with a rule below it that is as long."""
    if index + 1 >= len(lines) or not lines[index].strip() or _RULE.fullmatch(lines[index]):
        return False
    below = lines[index + 1]
    return bool(_RULE.fullmatch(below)) and len(below.rstrip()) >= len(lines[index].rstrip())


def is_more_than_words(tree: ast.Module) -> bool:
    """Return True if a text that may be Python is more than words: it imports, assigns, defines or calls."""
    kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.FunctionDef, ast.ClassDef, ast.Call)
    return any(isinstance(node, kinds) for node in ast.walk(tree))
