"""Finds in the author's file what a row with edits says of the text that ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


# Any: a row as `datasets` gives it.
def author_line(row: Mapping[str, Any], step: int) -> int | None:
    """Return the line of a step's file, as its author wrote it, that the step's statement is or was made of.

    In a row with ``edits`` the lines of the program's own statements are counted in the text that ran, and those of
    functions that it calls in their files; the column ``author_lines`` leads back from the first kind. In all other
    rows ``steps.line`` is the author's.

    Args:
        row: a row of a dataset, of any version of the schema.
        step: the index of a step in ``steps``.

    Returns:
        The line in ``steps[step]["path"]``, from 1. None where the author wrote no such statement (a question, the
        import of what draws), where the step is of no file, and where an older row does not say it.

    Raises:
        IndexError: the row has no such step.

    >>> step = {"path": "m.py", "line": 12, "depth": 0, "kind": "statement", "source": "n += 1"}
    >>> row = {"path": "m.py", "line": 10, "edits": [{}], "author_lines": [10, 11, 17], "steps": [step]}
    >>> import trace_mine
    >>> trace_mine.author_line(row, 0), trace_mine.author_line({**row, "edits": []}, 0)
    (17, 12)
    """
    steps = row["steps"]
    if not 0 <= step < len(steps):
        raise IndexError(f"expected a step from 0 to {len(steps) - 1}, got {step}; see the row's steps")
    own = steps[step]
    line = int(own["line"]) if own["path"] else 0
    if not row.get("edits") or own["path"] != row["path"] or not _is_of_program(row, step):
        return line or None
    lines = row.get("author_lines") or ()
    place = line - row["line"]
    return (lines[place] or None) if 0 <= place < len(lines) else None


def _is_of_program(row: Mapping[str, Any], step: int) -> bool:
    """Tell if a step stands in the edited program, and not in a function that the file has besides: the program's
    functions are those that its own commands define.
    """
    name = next((call["name"] for call in row.get("calls") or () if step in call["steps"]), None)
    texts = [function["text"].strip("\n") for function in row.get("source") or () if function["name"] == name]
    if not texts:
        return True
    own = [each["source"] for each in row["steps"] if each["depth"] == 0 and each["kind"] != "source"]
    return any(text in command for text in texts for command in own)
