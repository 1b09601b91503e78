"""What the command shows: progress while it runs, a table at the end, a session. Control characters never reach the
terminal raw.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from trace_mine.corpus.tally import Counts
from trace_mine.tracer.show import visible

LINE_SECONDS = 5.0
MOST_SESSION_LINES = 40


class Progress:
    """A bar on a terminal, plain lines elsewhere (at most one each LINE_SECONDS). A context manager."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._counts = {"units": 0, "planned": 0, "snippets": 0, "found": 0, "rows": 0, "duplicates": 0, "drops": 0}
        self._texts: set[bytes] = set()
        self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[counts]}"),
            )
            self._bar = Bar(*columns, TimeElapsedColumn())
            self._task = self._bar.add_task("snippets", total=None, counts="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def planned(self, num_units: int, num_snippets: int) -> None:
        """So many units are known by now."""
        self._counts.update(planned=num_units, snippets=num_snippets)
        self._show(f"found {num_snippets} snippets")

    def finished(self, key: str, marker: Mapping[str, Any]) -> None:
        """A unit is done, or was."""
        counts = self._counts
        counts["units"] += 1
        counts["found"] += marker["found"]
        counts["drops"] += marker["drops"]
        for text in marker["texts"]:
            known = bytes.fromhex(text)
            counts["duplicates" if known in self._texts else "rows"] += 1
            self._texts.add(known)
        self._show(f"units {counts['units']}/{counts['planned']}: {self._sums()}")

    def merged(self, counts: Counts) -> None:
        """A row went through the merge."""
        total = counts.total
        self._show(f"writing: rows {total.rows}, duplicates {total.duplicates}")

    def _sums(self) -> str:
        return ", ".join(f"{name} {self._counts[name]}" for name in ("rows", "duplicates", "drops"))

    def _show(self, line: str) -> None:
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(
                self._task, completed=self._counts["found"], total=self._counts["snippets"], counts=self._sums()
            )
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            print(line, flush=True)


def print_summary(stats: Mapping[str, Any]) -> None:
    """The table by source, the reasons for drops, and what could not be read."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False)
    table = Table("source", "found", "rows", "duplicates", "drops", "reasons for drops")
    for name, tally in [*stats["by_source"].items(), ("all", stats)]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally["drops"].items()) if name != "all" else ""
        drops = sum(tally["drops"].values())
        table.add_row(name, *(str(tally[key]) for key in ("found", "rows", "duplicates")), str(drops), visible(reasons))
    console.print(table)
    unreadable = stats.get("files", {}).get("unreadable", {})
    if unreadable:
        told = ", ".join(f"{reason} {count}" for reason, count in unreadable.items())
        console.print(f"files not searched: {told} (stats.json names some)")
    for ignored in stats.get("ignored_inputs", []):
        console.print(visible(f"not mined: {ignored['name']}: {ignored['reason']}"))
    for repository, names in stats.get("missing_packages", {}).items():
        console.print(visible(f"{repository} imports packages that are not installed here: {', '.join(names[:12])}"))


def print_session(text: str) -> None:
    """The beginning of a session, coloured on a terminal."""
    lines = visible(text).split("\n")
    shown = "\n".join(lines[:MOST_SESSION_LINES])
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.syntax import Syntax

        Console().print(Syntax(shown, "pycon", background_color="default"))
    else:
        print(shown)
    if len(lines) > MOST_SESSION_LINES:
        print(f"[{len(lines) - MOST_SESSION_LINES} more lines]")
