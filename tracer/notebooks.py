"""A notebook as a snippet: its cells as pieces, and what is silent before them.

It has a display of ``repr`` alone: no rich output, and none of IPython's line breaks in long values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from trace_mine.tracer import notebook_cells
from trace_mine.tracer.inside.protocol.jobs import Piece
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.notebook_cells import CellPiece, NotebookError, SplitCells
from trace_mine.tracer.schema import Outcome, Snippet
from trace_mine.tracer.scripts import seeding_of, starting_code

SPLITTING_LIMITS = Limits(cpu_seconds=20, wall_seconds=60.0, output_bytes=32 << 20)
_display = re.compile(r"(?<![\w.])display\(")
DISPLAY = "display = lambda *values, **options: [print(repr(value)) for value in values] and None\n"
"""What stands in for the function that IPython gives each notebook; it is in the silent code."""


def notebook_snippet(
    cells: Sequence[str],
    split: SplitCells,
    path: str,
    *,
    name: str = "",
    arguments: Sequence[str] = (),
    stdin: bytes | None = None,
    seed: int | None = None,
) -> Snippet:
    """The snippet of a notebook.

    Args:
        cells: the sources of its code cells.
        split: the same as pieces.
        path: its file.
        name: the snippet's; empty: the path.
        arguments, stdin, seed: as ``scripts.script_snippet`` takes them.

    Raises:
        ValueError: ``stdin`` is longer than ``scripts.MAX_INPUT_BYTES``.
    """
    source = "\n".join(cells)
    code = starting_code(source, path.rpartition("/")[2], arguments, futures=split.futures, stdin=stdin)
    if _display.search(source):
        code += DISPLAY
    if seed is not None:
        code += seeding_of(source, seed)
    return Snippet(
        kind="script",
        name=name or path,
        path=path,
        line=1,
        end_line=source.count("\n") + 1,
        pieces=tuple(Piece(source=each.source, line=each.line, quiet=each.quiet) for each in split.pieces),
        code=code,
    )


def split_inside(cells: Sequence[str], run: Callable[[str, Limits], Outcome]) -> SplitCells:
    """Split a notebook's cells into pieces, in a sandbox.

    Args:
        cells: the sources of its code cells.
        run: runs a source there, as ``Tracer.run_source`` does.

    Raises:
        NotebookError: a cell is not what a plain interpreter can run, or splitting did not come to a good end.
    """
    # no snippet can import our code there, so it is the program itself
    program = Path(notebook_cells.__file__).read_text(encoding="utf-8")
    outcome = run(f"{program}\nprint(answer({json.dumps(cells)!r}))\n", SPLITTING_LIMITS)
    if outcome.status != "ok" or outcome.integrity != "clean":
        raise NotebookError(f"splitting the notebook's cells ended with {outcome.status}; simplify them")
    try:
        answer = json.loads(outcome.stdout)
        if isinstance(answer, str):
            raise NotebookError(answer[:500])
        pieces, futures, num_left_out = answer
        return SplitCells(
            [CellPiece(str(source), int(line), bool(quiet)) for source, line, quiet in pieces],
            [str(future) for future in futures],
            int(num_left_out),
        )
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, NotebookError):
            raise
        raise NotebookError("splitting the notebook's cells gave no pieces; simplify them") from None
