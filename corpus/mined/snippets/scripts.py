"""Finds scripts: files with an ``if __name__ == "__main__":`` block, and ``__main__.py``.

Files without such a block are modules: what they do at import is mostly to define things.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.candidate import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.class_index import dotted
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Piece, Snippet

TEST_RUNNERS = frozenset(
    ("unittest.main", "pytest.main", "doctest.testmod", "doctest.testfile", "nose.main", "nose.runmodule", "testmod")
)
"""A block that calls one of these would trace the test runner; the tests that it runs are found one by one."""


def find_scripts(source: SourceText, context: RepositoryContext) -> Iterator[Candidate]:
    """Find at most one candidate: the whole file, run as ``__main__`` without arguments."""
    if source.tree is None:
        return
    block = main_block(source.tree)
    if block is None and source.path.rpartition("/")[2] != "__main__.py":
        return
    place = context.place(source.path)
    drop = None
    runner = next((name for name in _called_names(block or source.tree) if name in TEST_RUNNERS), None)
    if runner is not None:
        drop = Drop(reason=Reason.TEST_RUNNER, evidence=f"the __main__ block calls {runner}")
    file = source.path.rpartition("/")[2]
    text, futures = without_futures(source.text, source.tree)
    package = (place.module or "").rpartition(".")[0]
    # A fresh interpreter needs the same name, arguments, package (for relative imports) and compiler flags.
    # By `__import__`, which leaves no name `sys` behind that the script itself did not import.
    # Future imports stand first, or the set-up does not compile.
    code = [*futures, "__name__ = '__main__'", f"__import__('sys').argv = [{file!r}]"]
    if package:  # else relative imports of a script in a package would fail
        code.append(f"__package__ = {package!r}")
    # Each run begins in a copy of the script's folder.
    code.append(f"__file__ = __import__('os').path.abspath({file!r})")
    num_lines = source.text.count("\n") + 1
    yield Candidate(
        snippet=Snippet(
            kind="script",
            name=place.module or source.path,
            path=source.path,
            line=1,
            end_line=num_lines,
            pieces=(Piece(source=text, line=1),),
            code="\n".join(code) + "\n",
            file=file,
        ),
        sys_path=place.sys_path,
        source_hash=source.hash,
        drop=drop,
    )


def main_block(tree: ast.Module) -> ast.If | None:
    """The first ``if __name__ == "__main__":`` at the top level, either way round; None without one."""
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and len(node.test.comparators) == 1:
            sides = [node.test.left, node.test.comparators[0]]
            has_name = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
            has_main = any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
            if has_name and has_main and isinstance(node.test.ops[0], ast.Eq):
                return node
    return None


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
