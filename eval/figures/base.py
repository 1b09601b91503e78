"""The contract of a figure: the runs that it needs, the function that draws it, and the files that it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trace_mine.eval import results
from trace_mine.eval.claims import Claim
from trace_mine.eval.plan import PlannedRun
from trace_mine.eval.rate_sweeps import is_finished
from trace_mine.eval.results import Result
from trace_mine.eval.subjects import Subject, subject
from trace_mine.tracer.visible import prose_in_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
"""Header and lines."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A drawn figure: matplotlib's ``figure``, and all that is said with it.

    ``rows`` are the results behind it, ``caption`` says in a few lines what was measured, ``claims`` are sentences with
    a verdict each. ``table`` (header, lines) has the numbers of many models, for which a caption has no room.
    """

    figure: Canvas
    rows: list[Result]
    caption: str
    claims: list[Claim] = field(default_factory=list)
    table: Table | None = None

    def __post_init__(self) -> None:
        if not self.rows or not self.caption:
            raise ValueError(f"expected results and a caption, got {len(self.rows)} results and {self.caption!r}")
        if self.table is not None and any(len(line) != len(self.table[0]) for line in self.table[1]):
            raise ValueError(f"expected lines of {len(self.table[0])} cells, got others: {self.table[1]}")


@dataclass(slots=True, kw_only=True, eq=False)
class Bench:
    """The runs that figures draw from: those of a plan that are finished under the folder ``runs``, each opened once.

    ``rows`` is the number of sessions of a measurement; ``fast`` leaves out the lengths and sessions that take longest.
    """

    plan: Sequence[PlannedRun]
    runs: Path
    rows: int = 64
    fast: bool = False
    _opened: dict[str, Subject] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows < 2:
            raise ValueError(f"expected at least two sessions a measurement, for an interval, got {self.rows}")

    def group(self, name: str) -> list[Subject]:
        """The finished runs of a group, by seed; empty where none is finished.

        Raises:
            ValueError: the plan has no such group.
        """
        planned = [run for run in self.plan if run.group == name]
        if not planned:
            groups = ", ".join(dict.fromkeys(run.group for run in self.plan))
            raise ValueError(f"expected a group of the plan ({groups}), got {name!r}")
        subjects = []
        for run in planned:
            # kept open: several figures draw from the same groups, and opening a run checks its data each time
            if run.name not in self._opened and is_finished(self.runs / run.name, run):
                self._opened[run.name] = subject(self.runs / run.name)
            if run.name in self._opened:
                subjects.append(self._opened[run.name])
        return sorted(subjects, key=lambda each: each.seed)

    def labels(self, names: Sequence[str]) -> dict[str, str]:
        """The label of the finished runs of each of these groups -> the group."""
        return {subject.label: name for name in names for subject in self.group(name)[:1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the registry: a name, its texts, its needs and the function that draws it.

    ``recipe`` says in words what is trained and how it is measured, ``paper`` what the paper shows there. ``needs`` are
    groups of the plan, empty where everything is computed. ``draw`` makes the drawing from a bench, and raises
    ``NothingTrained`` where none of the needed runs is finished.
    """

    name: str
    title: str
    recipe: str
    paper: str
    needs: tuple[str, ...]
    draw: Callable[[Bench], Drawn]

    def __post_init__(self) -> None:
        if not (self.name and self.title and self.recipe and self.paper):
            raise ValueError(f"expected a name, title, recipe and a word on the paper, got {self}")


def save(figure: Figure, drawn: Drawn, folder: Path) -> list[Path]:
    """Write NAME.png, .svg, .pdf, .csv (results), .md (caption) and .json (claims); return their paths."""
    from trace_mine.eval.figures import style  # here, since this module is imported without matplotlib too

    paths = style.save(drawn.figure, folder, figure.name)
    table, caption, claims = (folder / f"{figure.name}.{ending}" for ending in ("csv", "md", "json"))
    results.write(table, drawn.rows)
    caption.write_text(captioned(figure, drawn), encoding="utf-8")
    # claims as data too, so that a later run can be compared without reading a page
    claims.write_text(json.dumps([asdict(claim) for claim in drawn.claims], indent=1) + "\n", encoding="utf-8")
    return [*paths, table, caption, claims]


def captioned(figure: Figure, drawn: Drawn) -> str:
    """The text of the caption file: title and seeds, the measured numbers, the recipe, and the paper's own figure."""
    # -1 is the seed of baselines and of all that is computed
    seeds = sorted({row.seed for row in drawn.rows if row.seed >= 0})
    origin = f"seeds {', '.join(map(str, seeds))}" if seeds else "computed, nothing trained"
    table = "" if drawn.table is None else f"{table_in_markdown(drawn.table)}\n"
    return (
        f"**{figure.title}** ({origin}). {drawn.caption}\n\n{table}Recipe: {figure.recipe}\n\n"
        f"In the paper: {figure.paper}\n"
    )


def table_in_markdown(table: Table) -> str:
    """The lines of a Markdown table, with a line end after each."""
    header, lines = table
    rows = [header, ("---",) * len(header), *(tuple(map(prose_in_markdown, line)) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


class NothingTrained(Exception):
    """None of the runs that the figure needs is finished; the message names their groups."""


def at_least_one(bench: Bench, needs: Sequence[str]) -> None:
    """Raise ``NothingTrained`` where none of these groups has a finished run; one run suffices to draw something."""
    if not any(bench.group(name) for name in needs):
        raise NothingTrained(", ".join(needs))
