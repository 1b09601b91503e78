"""The terminal output of ``trace-mine`` and ``trace-synth``: progress while a run lasts, then a table and a session.

Names and sessions are text of strangers: all of it goes through ``one_line`` or ``visible``, so that control characters
never reach the terminal raw, and no name looks like a line of ours.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from trace_mine.corpus.merge import Merged
from trace_mine.corpus.pace import Pace, time_left
from trace_mine.corpus.rows import text_key
from trace_mine.corpus.splits import SPLITS
from trace_mine.corpus.stats import GroupStats, Stats, cleaning_sentence, frames_sentence, verification_sentence
from trace_mine.corpus.tally import Counts
from trace_mine.corpus.work import Marker
from trace_mine.tracer.inside.reasons import drop_sentence
from trace_mine.tracer.visible import one_line, visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID
    from rich.table import Table

EMPTY_TEXT = text_key("")
LINE_SECONDS = 5.0
"""At most one line of progress in so many seconds, where there is no terminal."""
MAX_SESSION_LINES = 40
"""Lines of the first session that are shown."""
MAX_REASON = 1000
"""Characters of the reason why an input was not mined that are shown: it is a sentence with a path in it."""
ROLE_WORDS = {
    "script": "script",
    "notebook": "notebook",
    "imported": "imported by others",
    "definitions": "only definitions",
    "module": "of a package",
    "tests": "with tests",
    "configuration": "configuration",
    "unmatched": "not matched by --scripts",
}
"""The part that a Python file has in its repository, for people; the words are those of the mined origin."""
ROLE_CURES = {
    "definitions": "add lines that call what is defined, a doctest, or a test",
    "script": "name the entry by --sources, or leave that out",
}
"""What to do where all files have one part and nothing was found."""
TAKEN_ROLES = {"script", "notebook"}
"""The parts of files that are snippets themselves."""
MAX_EXPLAINED_FILES = 50
"""Python files of all inputs up to which those that are no scripts are named."""
MAX_NAMED_FILES = 8
"""Files that are named on one line."""
MAX_EXPLAINED_REASONS = 5
"""Reasons for drops that are explained below the table, the most counted first."""


class Progress:
    """A ``Watcher`` that shows a bar on a terminal, and plain lines elsewhere, while its context lasts.

    Its counts of rows and duplicates are those of the units finished so far: near-duplicates are found by the merge
    alone, and counted there.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._counts = {"units": 0, "planned": 0, "snippets": 0, "found": 0, "rows": 0, "duplicates": 0, "drops": 0}
        self._counts["records"] = 0
        self._texts: set[bytes] = set()
        self._last_line = time.monotonic()
        self._pace = Pace()
        self._share = 0.0
        self._done: frozenset[str] = frozenset()

    def __enter__(self) -> Progress:
        # In a log file a bar is thousands of lines of control characters.
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

    def tell(self, line: str) -> None:
        """Show a line above the bar, or among the lines of progress."""
        if self._bar is not None:
            self._bar.console.print(one_line(line, MAX_REASON), markup=False, highlight=False)
        else:
            print(one_line(line, MAX_REASON), flush=True)

    def begun(self, done: frozenset[str]) -> None:
        """Remember which units were finished before: they say nothing of this run's pace."""
        self._done = done
        self._pace = Pace()

    def planned(self, num_units: int, num_snippets: int, share: float) -> None:
        """Show how many snippets were found so far."""
        self._counts.update(planned=num_units, snippets=num_snippets)
        self._share = share
        self._show(f"found {num_snippets} snippets")

    def finished(self, key: str, marker: Marker) -> None:
        """Add a finished unit to the counts, and show them."""
        counts = self._counts
        counts["units"] += 1
        counts["found"] += marker.found
        counts["drops"] += marker.drops
        counts["records"] += sum(marker.records.values())
        for text in marker.texts:
            if text == EMPTY_TEXT:
                continue  # a record's
            text_hash = bytes.fromhex(text)  # 16 bytes instead of 32 digits: a set of millions is held here
            counts["duplicates" if text_hash in self._texts else "rows"] += 1
            self._texts.add(text_hash)
        if key not in self._done:
            self._pace.add(marker.found)
        so_far = "" if self._share == 1.0 else " found so far"
        self._show(f"units {counts['units']}/{counts['planned']}{so_far}: {self._sums()}{self._time_left()}")

    def merged(self, counts: Counts) -> None:
        """Show how many rows the merge has written."""
        total = counts.total
        self._show(f"writing: rows {total.rows}, duplicates {total.duplicates}")

    def _time_left(self) -> str:
        """The time that is left, as a clause; nothing where it can't be told yet."""
        total = self._counts["snippets"] / (self._share or 1.0)
        seconds = self._pace.seconds_for(total - self._counts["found"])
        return "" if seconds is None else f", {time_left(seconds)}"

    def _sums(self) -> str:
        names = ("rows", "duplicates", "drops", *(["records"] if self._counts["records"] else []))
        return ", ".join(f"{name} {self._counts[name]}" for name in names)

    def _show(self, line: str) -> None:
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                completed=self._counts["found"],
                total=self._counts["snippets"],
                counts=self._sums() + self._time_left(),
            )
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            print(line, flush=True)  # piped output is buffered: lines of progress would come all at the end


def print_dataset(merged: Merged, out: Path | str) -> bool:
    """Print the counts and the first session; return False if the dataset has no row."""
    print_summary(merged.stats)
    if merged.first_text is None:
        return False
    print(f"\nThe first of {merged.stats['rows']} sessions in {one_line(str(out))}:\n")
    print_session(merged.first_text)
    return True


def print_summary(stats: Stats) -> None:
    """Print a table of the counts by entry with the reasons for drops, then the inputs that could not be read."""
    from rich.console import Console
    from rich.table import Table

    # Without markup: `[red]` in the name of a file is text.
    console = Console(markup=False, highlight=False, emoji=False)
    kept = "records" in stats
    table = Table("source", "found", "rows", "duplicates", "drops", *["records"] * kept, "reasons for drops")
    for name, group in stats["by_source"].items():
        reasons = ", ".join(f"{reason} {count}" for reason, count in group["drops"].items())
        _add_row(table, name, group, reasons, kept=kept)
    _add_row(table, "all", stats, "", kept=kept)
    console.print(table)
    if stats["rows"] and "task" not in stats["config"]:  # of a synthetic task nothing was run
        console.print(verification_sentence(stats))
        console.print(frames_sentence(stats))
        console.print(splits_line(stats))
        console.print(cleaning_sentence(stats))
    # The commonest few: all of them are explained in the card and in docs/reasons.md.
    for reason, _ in sorted(stats["drops"].items(), key=lambda item: -item[1])[:MAX_EXPLAINED_REASONS]:
        console.print(f"{reason}: {drop_sentence(reason)}")
    for line in roles_lines(stats):
        console.print(line)
    unreadable = stats["files"]["unreadable"] if "files" in stats else {}
    if unreadable:
        counts = ", ".join(f"{one_line(reason)} {count}" for reason, count in unreadable.items())
        console.print(f"files not searched: {counts} (stats.json names some)")
    for ignored in stats.get("ignored_inputs", []):
        console.print(f"not mined: {one_line(ignored['name'])}: {one_line(ignored['reason'], MAX_REASON)}")
    for repository, names in stats.get("missing_packages", {}).items():
        missing = ", ".join(map(one_line, names[:12]))
        console.print(f"{one_line(repository)} imports packages that are not installed here: {missing}")


def splits_line(stats: Stats) -> str:
    """The rows of each split, as a sentence; where one has them all, why that is so, and what else can be had.

    >>> splits_line({"rows": 3, "splits": {"test": 3}, "by_repository": {"pluggy": {}}, "config": {}})
    'splits: train 0, validation 0, test 3: by its name pluggy is in test; --split-by function parts a repository.'
    """
    counts = [f"{split} {stats['splits'].get(split, 0)}" for split in SPLITS]
    line = f"splits: {', '.join(counts)}"
    names = [*stats["by_repository"]]
    if len(stats["splits"]) > 1 or stats["config"].get("split_by") == "function":
        return f"{line}."
    (split,) = stats["splits"]
    who = f"its name {one_line(names[0])} is" if len(names) == 1 else f"their names all {len(names)} repositories are"
    return f"{line}: by {who} in {split}; --split-by function parts a repository."


def roles_lines(stats: Stats) -> list[str]:
    """What the folders held, as lines: how many Python files there are of each kind, and a few that are no scripts.

    >>> files = {"roles": {"script": 9, "imported": 3}, "not_scripts": [{"path": "a.py", "role": "imported"}]}
    >>> roles_lines({"files": files})
    ['12 .py files: 9 scripts, 3 imported by others', 'no scripts: a.py (imported by others), ...']
    """
    files = stats.get("files")
    roles = files.get("roles", {}) if files is not None else {}
    if files is None or not roles:
        return []
    total = sum(roles.values())
    words = {role: ROLE_WORDS.get(role, one_line(role)) for role in roles}
    words |= {role: f"{words[role]}s" for role in TAKEN_ROLES & roles.keys() if roles[role] != 1}
    counts = ", ".join(f"{number} {words[role]}" for role, number in roles.items())
    kinds = ".py and .ipynb" if "notebook" in roles else ".py"
    lines = [f"{total} {kinds} file{'s' * (total != 1)}: {counts}"]
    # of a large repository most files are modules, and nobody asks why
    others = files.get("not_scripts", [])
    if others and total <= MAX_EXPLAINED_FILES:
        named = [f"{one_line(each['path'])} ({ROLE_WORDS.get(each['role'], '')})" for each in others]
        more = ", ..." if len(others) < total - sum(roles.get(role, 0) for role in TAKEN_ROLES) else ""
        lines.append(f"no scripts: {', '.join(named[:MAX_NAMED_FILES])}{', ...' if named[MAX_NAMED_FILES:] else more}")
    return lines


def why_nothing(stats: Stats) -> str:
    """Say why no snippet became a row, and what to do about it."""
    if stats["found"]:
        drops = ", ".join(f"{reason} {number}" for reason, number in stats["drops"].items())
        reason = max(stats["drops"], key=lambda word: stats["drops"][word], default="")
        return f"none of the snippets became a row ({drops})" + (
            f": {drop_sentence(reason).rstrip('.')}" if reason else ""
        )
    not_edited: Counter[str] = Counter()
    for each in stats.get("not_edited", {}).values():
        not_edited.update(each)
    if not_edited:
        reasons = ", ".join(f"{word} {number}" for word, number in not_edited.most_common())
        return f"draws could be put into none of {not_edited.total()} snippets ({reasons}); see docs/choices.md"
    files = stats.get("files")
    ignored = stats.get("ignored_inputs", [])
    if ignored and (files is None or files["read"] == 0):
        named = "; ".join(f"{one_line(each['name'])}: {one_line(each['reason'])}" for each in ignored[:MAX_NAMED_FILES])
        more = f"; and {len(ignored) - MAX_NAMED_FILES} more" if len(ignored) > MAX_NAMED_FILES else ""
        return f"no snippet was found, as no repository could be read: {named}{more}"
    if files is None:
        return "no snippet was found"
    if files["read"] == 0:
        unread = ", ".join(f"{one_line(reason)} {number}" for reason, number in files["unreadable"].items())
        return f"no snippet was found: {f'no file could be read ({unread})' if unread else 'there is no Python file'}"
    roles = files.get("roles", {})
    (role,) = roles if len(roles) == 1 else ("",)
    cure = ROLE_CURES.get(role, "--scripts GLOB takes files as scripts whatever they look like")
    lines = roles_lines(stats)
    return f"no snippet was found: {lines[0]}; {cure}" if lines else "no snippet was found"


def _add_row(table: Table, name: str, group: GroupStats, reasons: str, *, kept: bool) -> None:
    numbers = [group["found"], group["rows"], group["duplicates"], sum(group["drops"].values())]
    numbers += [group.get("records", 0)] * kept
    table.add_row(one_line(name), *map(str, numbers), visible(reasons))


def print_session(text: str) -> None:
    """Print the first MAX_SESSION_LINES lines of a session, coloured on a terminal."""
    lines = visible(text).split("\n")
    shown = "\n".join(lines[:MAX_SESSION_LINES])
    # Piped, the session is plain text: a doctest that can be copied.
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.syntax import Syntax

        Console().print(Syntax(shown, "pycon", background_color="default"))
    else:
        print(shown)
    if len(lines) > MAX_SESSION_LINES:
        print(f"[{len(lines) - MAX_SESSION_LINES} more lines]")
