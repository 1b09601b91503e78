"""Notebooks: cells as pieces of one session, IPython's own lines, and files that are none."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trace_mine.tracer.notebook_cells import MAX_NOTEBOOK_BYTES, NotebookError, answer, code_cells, split_cells
from trace_mine.tracer.notebooks import notebook_snippet, split_inside
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.session import Tracer, TracerConfig


def notebook(*cells: Any, language: str = "python", version: int = 4) -> bytes:
    if version == 4:
        listed = [{"cell_type": "code", "source": cell, "outputs": []} for cell in cells]
        kernel = {"kernelspec": {"language": language}}
        return json.dumps({"nbformat": 4, "cells": listed, "metadata": kernel}).encode()
    listed = [{"cell_type": "code", "input": cell, "language": language} for cell in cells]
    return json.dumps({"nbformat": 3, "worksheets": [{"cells": listed}]}).encode()


def pieces(*cells: str) -> list[tuple[str, int, bool]]:
    return [tuple(piece) for piece in split_cells(cells).pieces]


def test_code_cells_of_both_formats() -> None:
    assert code_cells(notebook(["x = 1\n", "x"], "y\r\n")) == ["x = 1\nx", "y\n"]
    assert code_cells(notebook("x", version=3)) == ["x"]
    markdown = {"cells": [{"cell_type": "markdown", "source": ">>> 1"}, {"cell_type": "raw", "source": "x"}]}
    assert code_cells(json.dumps(markdown).encode()) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected JSON"),
        (b"\xff\xfe{", "expected JSON"),
        (b"[1]", "expected a JSON object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "expected JSON"),
        (b"{}", "expected cells"),
        (b'{"cells": {}}', "expected cells"),
        (b'{"worksheets": [1, {"cells": 2}]}', "expected cells"),
        (notebook([1]), "expected texts"),
        (notebook({"a": 1}), "expected texts"),
        (b'{"cells": [{"cell_type": "code", "source": "\\ud800"}]}', "lone surrogate"),
        (notebook("x <- 1", language="R\x1b[31m"), r"got one of 'R\\x1b\[31m'"),
        (b" " * (MAX_NOTEBOOK_BYTES + 1), "bytes"),
    ],
)
def test_files_that_are_no_notebooks(data: bytes, message: str) -> None:
    with pytest.raises(NotebookError, match=message):
        code_cells(data)


def test_what_nests_too_deeply_is_an_error_that_readers_know() -> None:
    with pytest.raises(RecursionError):
        code_cells(b'{"cells": ' + b"[" * 200_000)
    assert "expected cells that the parser can follow" in answer(json.dumps(["(" * 150 + "-" * 100_000 + "1"])) or True
    with pytest.raises((NotebookError, RecursionError, MemoryError)):
        split_cells(["x" + "(" * 100_000])


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", []),
        ("# a comment\n", []),
        ("x", [("x", 1, False)]),
        ("x;", [("x;", 1, True)]),
        ("x  ;  # hidden", [("x  ;  # hidden", 1, True)]),
        ("x  # shown;", [("x", 1, False)]),
        ("x = 1", [("x = 1", 1, True)]),
        ("x = 1\nx\n\n", [("x = 1", 1, True), ("x", 2, False)]),
        ("x = 1; x", [("x = 1", 1, True), ("x", 1, False)]),
        ("é = 'é'; (é +\n  é)", [("é = 'é'", 1, True), ("(é +\n  é)", 1, False)]),
        ("f(\n    1,\n)\n", [("f(\n    1,\n)", 1, False)]),
        ("for i in x:\n    i\n", [("for i in x:\n    i\n", 1, True)]),
        ("'''a\n%x\n'''\n", [("'''a\n%x\n'''", 1, False)]),
        ("x = (5\n% 3)\nx", [("x = (5\n% 3)", 1, True), ("x", 3, False)]),
        ("%matplotlib inline\n%config A.b = 1\nx", [("x", 3, False)]),
        ("if x:\n    %pip install y\nx", [("if x:\n    pass", 1, True), ("x", 3, False)]),
        ("!pip install x\n!{sys.executable} -m pip install y", []),
        ("%%time\nx = 1\nx", [("\nx = 1", 1, True), ("x", 3, False)]),
        ("%time x = f()", [("x = f()", 1, True)]),
        ("%%bash\nls\n", []),
        ("?print\nprint?\nlen??\nx", [("x", 4, False)]),
    ],
)
def test_cells_as_pieces(cell: str, expected: list[tuple[str, int, bool]]) -> None:
    assert pieces("0", cell)[1:] == [(source, line + 1, quiet) for source, line, quiet in expected]


def test_a_notebook_without_code_is_none() -> None:
    with pytest.raises(NotebookError, match="no cell has code"):
        split_cells(["# nothing", "%matplotlib inline"])


@pytest.mark.parametrize(
    "cell",
    [
        "!ls",
        "files = !ls",
        "%run other.py",
        "%pylab inline",
        "%%writefile x.py\nx = 1",
        "%%cython\nx = 1",
        "get_ipython().system('ls')",
        "await f()",
        "async with a as b:\n    pass",
        "return 1",
        "def f(:",
        "x = '\0'",
    ],
)
def test_cells_that_a_plain_interpreter_cannot_run(cell: str) -> None:
    with pytest.raises(NotebookError, match="cell 2"):
        split_cells(["x = 1", cell])


def test_lines_are_counted_over_all_cells_and_futures_hold_for_all() -> None:
    split = split_cells(["from __future__ import annotations\nx = 1", "# c", "y = 2\ny"])
    assert split.futures == ["from __future__ import annotations"]
    assert [piece[:2] for piece in split.pieces] == [("\nx = 1", 1), ("y = 2", 4), ("y", 5)]


@pytest.fixture(scope="module")
def tracer() -> Iterator[Tracer]:
    # not pytest's folder, which is its user's alone: root's runs belong to another one
    root = Path(tempfile.mkdtemp(prefix="notebooks-"))
    root.chmod(0o755)
    (root / "data.txt").write_text("seven\n")
    (root / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    with Tracer(TracerConfig(repository=root, sys_path=("",), own=("",))) as started:
        yield started
    shutil.rmtree(root)


def text_of(tracer: Tracer, *cells: str, **start: Any) -> str:
    result = tracer.trace(notebook_snippet(cells, split_inside(cells, tracer.run_source), "tour.ipynb", **start))
    assert isinstance(result, Trace), result
    assert "stock" in result.verification.printed
    return result.text


def test_a_session_of_cells(tracer: Tracer) -> None:
    text = text_of(
        tracer,
        "from beside import double\nxs = [1, 2]\nxs.append(3)\nxs",
        "for x in xs:\n    double(x)\nNone",
        "xs.copy();",
        "display(xs)\nopen('data.txt').read().strip()",
    )
    assert ">>> xs\n[1, 2, 3]\n" in text
    assert ">>> # double(x)\n... returned_1 = 2 * x\n" in text  # opened, as any call
    assert "'seven'" in text and ">>> display(xs)\n[1, 2, 3]\n" in text


def test_a_cell_that_raises_ends_the_session(tracer: Tracer) -> None:
    text = text_of(tracer, "x = 1\nx", "1 / 0", "x = 2")
    assert text.rstrip().endswith("ZeroDivisionError: division by zero")


def test_arguments_input_and_seed_are_in_the_set_up(tracer: Tracer) -> None:
    cells = ("import random, sys", "input(), sys.argv, random.randrange(100)")
    first, second = (text_of(tracer, *cells, arguments=["a"], stdin=b"typed\n", seed=3) for _ in range(2))
    assert "('typed', ['tour.ipynb', 'a'], " in first
    assert first == second


def test_splitting_inside_believes_nothing(tracer: Tracer) -> None:
    assert split_inside(["x = 1\nx"], tracer.run_source) == split_cells(["x = 1\nx"])
    with pytest.raises(NotebookError, match="cell 1"):
        split_inside(["!ls"], tracer.run_source)
    with pytest.raises(NotebookError, match="gave no pieces"):
        split_inside(["x"], lambda source, limits: tracer.run_source("print('[[1]]')", limits))
    with pytest.raises(NotebookError, match="ended with exception"):
        split_inside(["x"], lambda source, limits: tracer.run_source("1 / 0", limits))


def test_trace_run_takes_a_notebook(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from trace_mine.tracer.__main__ import main

    (tmp_path / "a.ipynb").write_bytes(notebook("x = 6\nx * 7"))
    assert main([str(tmp_path / "a.ipynb")]) == 0
    assert capfd.readouterr().out == ">>> x = 6\n>>> x * 7\n42\n"
    (tmp_path / "a.ipynb").write_bytes(notebook("!ls"))
    assert main([str(tmp_path / "a.ipynb")]) == 1
    assert "cell 1 has the line" in capfd.readouterr().err
    (tmp_path / "a.ipynb").write_bytes(notebook("# nothing", "%matplotlib inline"))
    assert main([str(tmp_path / "a.ipynb")]) == 1
    assert "no cell has code" in capfd.readouterr().err
    (tmp_path / "a.ipynb").write_bytes(b"{")
    assert main([str(tmp_path / "a.ipynb")]) == 2
