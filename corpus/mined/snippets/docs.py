"""Finds code of a repository's documentation: a snippet for each section of a README or of a page below ``docs``.

A section's blocks are one session. Before them stand those of earlier sections that bind a name which they need.
``harvest`` leaves out what does not run, as far as it is run before.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from trace_mine.corpus.mined.files import SourceText, parse
from trace_mine.corpus.mined.snippets.candidate import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.code_blocks import CodeBlock, code_blocks, is_more_than_words
from trace_mine.corpus.mined.snippets.dialects import examples_by_group
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.replays.linear_parser import LinearParser
from trace_mine.tracer.schema import Drop, Piece, Snippet

MARKDOWN = (".md",)
SUFFIXES = (".md", ".rst", ".txt")
FOLDERS = frozenset(("docs", "doc", "documentation"))
MAX_BLOCKS = 400
"""Blocks of one page that are read; those behind them are one drop."""
MAX_STATEMENTS = 150
"""Statements of one section's session, its needs included; it ends there, and those behind are one drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """A block that parses: its statements with their lines, the names that it binds, and those that it needs."""

    block: CodeBlock
    statements: tuple[tuple[str, int], ...]
    binds: frozenset[str] = field(default=frozenset())
    needs: frozenset[str] = field(default=frozenset())


def find_docs(source: SourceText, context: RepositoryContext) -> Iterator[Candidate]:
    """Find one candidate for each section of a page with code, and a dropped one for each block that is no program."""
    if not is_page(source.path):
        return
    takes_prompts = not _is_doctest(source)
    codes: list[_Code] = []
    blocks = code_blocks(source.text, is_markdown=source.path.endswith(MARKDOWN))
    for block in islice(blocks, MAX_BLOCKS):
        code = _code_of(block, takes_prompts=takes_prompts)
        if isinstance(code, Drop):
            yield _candidate(source, context, block, (), block.line, code)
        elif code is not None:
            codes.append(code)
    first = next(blocks, None)
    if first is not None:
        behind = f"{1 + sum(1 for _ in blocks)} blocks of code behind the first {MAX_BLOCKS} of the page"
        yield _cut(source, context, first, first.line, behind)
    for section in dict.fromkeys(code.block.section for code in codes):
        members = [code for code in codes if code.block.section == section]
        wanted = _with_needs(codes, members)
        pieces = [Piece(source=f"{text}\n", line=line) for code in wanted for text, line in code.statements]
        last = members[-1].statements[-1]
        end = last[1] + last[0].count("\n")
        yield _candidate(source, context, members[0].block, pieces[:MAX_STATEMENTS], end)
        if len(pieces) > MAX_STATEMENTS:
            behind = f"{len(pieces) - MAX_STATEMENTS} statements behind the first {MAX_STATEMENTS} of a section"
            yield _cut(source, context, members[0].block, pieces[MAX_STATEMENTS].line, behind)


def _cut(source: SourceText, context: RepositoryContext, block: CodeBlock, line: int, behind: str) -> Candidate:
    """The drop of what a limit left out: all that stands ``behind`` it, from a line on."""
    drop = Drop(reason=Reason.BEYOND_LIMIT, evidence=f"{behind} are not taken, from line {line} on")
    return _candidate(source, context, block, (), line, drop)


def is_page(path: str) -> bool:
    """Return True for a README, and for a page below a folder of documentation."""
    *folders, name = path.lower().split("/")
    if name.startswith("readme") and name.endswith(SUFFIXES):
        return True
    return not FOLDERS.isdisjoint(folders) and name.endswith((".md", ".rst"))


def _is_doctest(source: SourceText) -> bool:
    """Return True if the page's prompts are taken as one doctest."""
    try:
        examples_by_group(source.text, source.path)
    except ValueError:
        return False
    return True


def _code_of(block: CodeBlock, *, takes_prompts: bool) -> _Code | Drop | None:
    """The statements of a block; a drop where it is no program; None where it is none of ours."""
    text, lines = block.text, None
    if any(line.lstrip().startswith(">>>") for line in text.split("\n")):
        if not takes_prompts:
            return None
        try:
            examples = LinearParser().get_examples(text)
        except ValueError as error:
            return Drop(reason=Reason.BAD_BLOCK, evidence=str(error)[:300])
        lines = [example.lineno for example in examples]
        statements = [example.source.rstrip("\n") for example in examples]
        text = "\n".join(statements) + "\n"
    tree = parse(text)
    if isinstance(tree, Drop):
        return Drop(reason=Reason.BAD_BLOCK, evidence=tree.evidence) if block.is_declared else None
    if not tree.body or (not block.is_declared and not is_more_than_words(tree)):
        return None
    if lines is None:
        placed = _statements(text, tree, block.line)
    else:
        placed = tuple((text, block.line + line) for text, line in zip(statements, lines, strict=True))
    binds, needs = _names(text)
    return _Code(block=block, statements=placed, binds=binds, needs=needs)


def _statements(text: str, tree: ast.Module, line: int) -> tuple[tuple[str, int], ...]:
    """The statements of a block with their lines in the page; those that share a line are one."""
    lines = text.split("\n")
    spans: list[list[int]] = []
    for node in tree.body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        last = node.end_lineno or node.lineno
        if spans and first <= spans[-1][1]:
            spans[-1][1] = max(last, spans[-1][1])
        else:
            spans.append([first, last])
    return tuple(("\n".join(lines[first - 1 : last]), line + first - 1) for first, last in spans)


def _names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a program binds, and those that it uses, at any depth, and does not bind."""
    try:
        top = symtable.symtable(text, "<block>", "exec")
    except (SyntaxError, ValueError, RecursionError):  # a `return` outside a function: it will not run either
        return frozenset(), frozenset()
    binds = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    needs: set[str] = set()
    pending = [top]
    while pending:
        table = pending.pop()
        pending += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table is top):
                needs.add(symbol.get_name())
    return frozenset(binds), frozenset(needs - binds - {*dir(builtins)})


def _with_needs(codes: list[_Code], members: list[_Code]) -> list[_Code]:
    """A section's blocks, behind the earlier ones that bind the names that they need, in the page's order."""
    chosen = {codes.index(code) for code in members}
    bound: set[str] = set()
    pending = []
    for code in members:
        pending += [(name, codes.index(code)) for name in sorted(code.needs - bound)]
        bound |= code.binds
    while pending:
        name, position = pending.pop()
        earlier = next((n for n in range(position - 1, -1, -1) if name in codes[n].binds), None)
        if earlier is not None and earlier not in chosen:
            chosen.add(earlier)
            pending += [(other, earlier) for other in sorted(codes[earlier].needs)]
    return [codes[number] for number in sorted(chosen)]


def _candidate(
    source: SourceText,
    context: RepositoryContext,
    block: CodeBlock,
    pieces: list[Piece] | tuple[Piece, ...],
    end: int,
    drop: Drop | None = None,
) -> Candidate:
    return Candidate(
        snippet=Snippet(
            kind="docs",
            name=f"{source.path}:{block.line}",
            path=source.path,
            line=block.line,
            end_line=max(end, block.line),
            pieces=tuple(pieces),
            continue_on_error=True,
        ),
        sys_path=context.layout.main_roots,
        source_hash=source.hash,
        drop=drop,
    )
