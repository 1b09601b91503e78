"""What a figure is: a recipe of what it needs, a function that draws it, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trace_mine.eval import results
from trace_mine.eval.claims import Claim
from trace_mine.eval.plan import PlannedRun
from trace_mine.eval.results import Result
from trace_mine.eval.subjects import Subject, subject
from trace_mine.eval.training import is_finished


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A drawn figure: matplotlib's, the rows behind it, a caption with the measured numbers, claims with verdicts."""

    figure: Any
    rows: list[Result]
    caption: str
    claims: list[Claim] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Bench:
    """What figures draw from: the runs of a plan that are finished under ``runs``, opened once. ``rows``: sessions of a
    measurement; ``fast`` leaves out what takes longest.
    """

    plan: Sequence[PlannedRun]
    runs: Path
    rows: int = 64
    fast: bool = False
    _opened: dict[str, Subject] = field(default_factory=dict)

    def group(self, name: str) -> list[Subject]:
        """The finished runs of a group, by seed; empty where none is finished.

        Raises:
            ValueError: the plan has no such group.
        """
        wanted = [run for run in self.plan if run.group == name]
        if not wanted:
            known = ", ".join(dict.fromkeys(run.group for run in self.plan))
            raise ValueError(f"expected a group of the plan ({known}), got {name!r}")
        found = []
        for run in wanted:
            if run.name not in self._opened and is_finished(self.runs / run.name, run):
                self._opened[run.name] = subject(self.runs / run.name)
            if run.name in self._opened:
                found.append(self._opened[run.name])
        return sorted(found, key=lambda each: each.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """``recipe``: what is trained for it and how it is measured; ``paper``: what the paper shows there; ``needs``:
    groups of the plan (empty: computed, nothing trained).
    """

    name: str
    title: str
    recipe: str
    paper: str
    needs: tuple[str, ...]
    draw: Callable[[Bench], Drawn]


def save(figure: Figure, drawn: Drawn, folder: Path) -> list[Path]:
    """NAME.png, .svg, .csv (rows), .md (caption) and .json (claims) in the folder."""
    from trace_mine.eval.figures import style

    paths = style.save(drawn.figure, folder, figure.name)
    table, caption, claims = (folder / f"{figure.name}.{ending}" for ending in ("csv", "md", "json"))
    results.write(table, drawn.rows)
    caption.write_text(captioned(figure, drawn), encoding="utf-8")
    claims.write_text(json.dumps([asdict(claim) for claim in drawn.claims], indent=1) + "\n", encoding="utf-8")
    return [*paths, table, caption, claims]


def captioned(figure: Figure, drawn: Drawn) -> str:
    """The caption file: title, what was measured, how, and what the paper shows."""
    seeds = sorted({row.seed for row in drawn.rows if row.seed >= 0})
    told = f"seeds {', '.join(map(str, seeds))}" if seeds else "computed, nothing trained"
    return f"**{figure.title}** ({told}). {drawn.caption}\n\nRecipe: {figure.recipe}\n\nIn the paper: {figure.paper}\n"


class NothingTrained(Exception):
    """None of the runs that the figure needs is finished."""


def at_least_one(bench: Bench, needs: Sequence[str]) -> None:
    """Raises ``NothingTrained`` where no group has a finished run."""
    if not any(bench.group(name) for name in needs):
        raise NothingTrained(", ".join(needs))
