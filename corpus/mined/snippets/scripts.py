"""Finds scripts, which ``file_roles`` tells from modules, as they are to be run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.layout import ImportPlace
from trace_mine.corpus.mined.snippets.candidate import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.class_index import dotted
from trace_mine.corpus.mined.snippets.file_roles import FileRole, main_block, top_statements
from trace_mine.corpus.mined.snippets.script_start import ScriptStart
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.notebook_cells import NotebookError, SplitCells, split_cells
from trace_mine.tracer.notebooks import notebook_snippet
from trace_mine.tracer.schema import Drop, Piece, Snippet
from trace_mine.tracer.scripts import starting_code

TEST_RUNNERS = frozenset(
    ("unittest.main", "pytest.main", "doctest.testmod", "doctest.testfile", "nose.main", "nose.runmodule", "testmod")
)
"""A block that calls one of these would trace the test runner; the tests that it runs are found one by one."""


def find_scripts(source: SourceText, context: RepositoryContext) -> Iterator[Candidate]:
    """Find the script that a file is: the whole file, run as ``__main__`` without arguments.

    A file that ``context.listed`` has is found once for each entry there, with its arguments and input.
    """
    if source.cells is not None:
        yield from _notebooks(source, context, source.cells)
    if source.tree is None:
        return
    listed = context.listed.get(source.path, ())
    if context.roles.role(source, is_listed=bool(listed)) is not FileRole.SCRIPT:
        return
    drop = None
    block = main_block(source.tree)
    # without a block by what stands at the top alone: a walk through all of a module takes as long as parsing it
    simple = (ast.Expr, ast.Assign)
    top = [node for node in top_statements(source.tree.body) if isinstance(node, simple)] if block is None else [block]
    runner = next((name for node in top for name in _called_names(node) if name in TEST_RUNNERS), None)
    if runner is not None and not listed:
        drop = Drop(reason=Reason.TEST_RUNNER, evidence=f"the __main__ block calls {runner}")
    for started in listed or (ScriptStart(path=source.path),):
        yield _candidate(source, context.place(source.path), started, drop)


def _notebooks(source: SourceText, context: RepositoryContext, cells: Sequence[str]) -> Iterator[Candidate]:
    if context.roles.role(source) is not FileRole.NOTEBOOK:
        return
    split, drop = SplitCells([], [], 0), None
    try:
        split = split_cells(cells)
    except (NotebookError, RecursionError, MemoryError) as error:
        drop = Drop(reason=Reason.BAD_NOTEBOOK, evidence=str(error)[:300] or type(error).__name__)
    for started in context.listed.get(source.path) or (ScriptStart(path=source.path),):
        yield Candidate(
            snippet=notebook_snippet(
                cells, split, source.path, name=started.name, arguments=started.arguments, stdin=started.stdin
            ),
            sys_path=context.place(source.path).sys_path,
            source_hash=source.hash,
            drop=drop,
            num_skipped=split.num_left_out,
        )


def _candidate(source: SourceText, place: ImportPlace, started: ScriptStart, drop: Drop | None) -> Candidate:
    assert source.tree is not None
    file = source.path.rpartition("/")[2]
    text, futures = without_futures(source.text, source.tree)
    # A fresh interpreter needs the same name, arguments, package (for relative imports) and compiler flags.
    code = starting_code(
        source.text,
        file,
        started.arguments,
        futures=futures,
        package=(place.module or "").rpartition(".")[0],
        in_folder=True,  # each run begins in a copy of the script's folder
        below_root=source.path,
        stdin=started.stdin,
    )
    return Candidate(
        snippet=Snippet(
            kind="script",
            name=started.name or place.module or source.path,
            path=source.path,
            line=1,
            end_line=source.text.count("\n") + 1,
            pieces=(Piece(source=text, line=1),),
            code=code,
            file=file,
        ),
        sys_path=place.sys_path,
        source_hash=source.hash,
        drop=drop,
    )


def without_futures(text: str, tree: ast.Module) -> tuple[str, list[str]]:
    """The text with its ``from __future__`` statements blanked (lines keep their numbers), and those statements.

    In a session they must stand in the set-up: doctest takes the compiler's flags from the names that the namespace
    holds before the first example.

    Example:
        >>> text = "from __future__ import annotations; x = 1"
        >>> without_futures(text, ast.parse(text))
        ('pass; x = 1', ['from __future__ import annotations'])
    """
    lines = text.split("\n")
    futures = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            futures.append(ast.unparse(node))
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            # Offsets of a syntax tree count bytes of UTF-8, not characters.
            before = lines[first].encode()[: node.col_offset].decode()
            after = lines[last].encode()[node.end_col_offset :].decode()
            shared = before.strip() or after.partition("#")[0].strip()
            lines[first : last + 1] = [""] * (last - first + 1)
            if shared:  # `from __future__ import x; y = 1`: something has to stand between the semicolons
                lines[first] = f"{before}pass{after}"
    return "\n".join(lines), futures


def _called_names(node: ast.AST) -> Iterator[str]:
    """The dotted name of the callee of each call below the node, where it has one."""
    for child in ast.walk(node):
        name = dotted(child.func) if isinstance(child, ast.Call) else None
        if name is not None:
            yield name
