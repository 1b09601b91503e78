"""Counts of a dataset, and the invariant that they keep: found = rows + duplicates + drops, reason by reason."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trace_mine.corpus.source import Dropped, Row
from trace_mine.tracer.schema import METHODS, SCHEMA_VERSION


@dataclass(slots=True)
class Tally:
    """Counts of one group of snippets."""

    rows: int = 0
    duplicates: int = 0
    drops: Counter[str] = field(default_factory=Counter)

    @property
    def found(self) -> int:
        """Every snippet that was counted."""
        return self.rows + self.duplicates + self.drops.total()

    def as_json(self) -> dict[str, Any]:
        """For ``stats.json``; the most frequent reason first."""
        drops = dict(sorted(self.drops.items(), key=lambda item: (-item[1], item[0])))
        return {"found": self.found, "rows": self.rows, "duplicates": self.duplicates, "drops": drops}


class Counts:
    """All that ``stats.json`` says of the snippets, gathered as the merge goes by."""

    def __init__(self) -> None:
        self.total = Tally()
        self._by_source: dict[str, Tally] = defaultdict(Tally)
        self._by_repository: dict[str, Tally] = defaultdict(Tally)
        self._splits: Counter[str] = Counter()
        self._groups: dict[str, Counter[str]] = {
            name: Counter() for name in ("licence", "outcome", "python", "sandbox_level")
        }
        self._kept_whole: Counter[str] = Counter()
        self._doctests: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._beliefs: Counter[str] = Counter()
        self._entropy = 0.0

    def add_row(self, row: Row, split: str) -> None:
        """A row that was written."""
        for tally in self._tallies(row["entry"], row["repository"]):
            tally.rows += 1
        self._splits[split] += 1
        for name, group in self._groups.items():
            group[str(row[name])] += 1
        self._kept_whole.update(json.loads(row["kept_whole"]))
        if row["doctest_passed"] is not None:
            self._doctests["passed" if row["doctest_passed"] else "failed"] += 1
        for belief in row["beliefs"]:
            self._beliefs[belief["method"]] += 1
            self._entropy += -sum(p * math.log2(p) for p in belief["probabilities"] if p > 0)
            self._beliefs["certain"] += len(belief["outcomes"]) == 1
        self._sums["choices"] += len(row["choices"])
        self._sums["steps"] += len(row["steps"])
        self._sums["characters"] += len(row["text"])
        self._sums["opened_calls"] += row["opened_calls"]
        self._sums["rows_with_opened_calls"] += row["opened_calls"] > 0
        self._sums["skipped_examples"] += row["num_skipped"]

    def add_duplicate(self, row: Row) -> None:
        """A row whose text is in the dataset already."""
        for tally in self._tallies(row["entry"], row["repository"]):
            tally.duplicates += 1

    def add_drop(self, drop: Dropped) -> None:
        """A snippet that became no row."""
        for tally in self._tallies(drop.entry, drop.repository):
            tally.drops[drop.reason] += 1

    def as_json(self, *, found: int, notes: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        """``stats.json``. ``found`` is what the units say: counted elsewhere, so that the invariant can fail."""
        assert found == self.total.found, f"{found} snippets were found, but {self.total.found} counted: {self.total}"
        return {
            **self.total.as_json(),
            "by_source": {name: tally.as_json() for name, tally in sorted(self._by_source.items())},
            "by_repository": {name: tally.as_json() for name, tally in sorted(self._by_repository.items())},
            "splits": dict(sorted(self._splits.items())),
            **{f"by_{name}": dict(sorted(group.items())) for name, group in self._groups.items()},
            "doctests": dict(sorted(self._doctests.items())),
            "kept_whole": dict(sorted(self._kept_whole.items(), key=lambda item: (-item[1], item[0]))),
            **{
                name: self._sums[name]
                for name in ("steps", "characters", "opened_calls", "rows_with_opened_calls", "skipped_examples")
            },
            "choices": self._sums["choices"],
            "beliefs": self._beliefs_as_json(),
            **notes,
            "config": dict(config),
            "schema_version": SCHEMA_VERSION,
        }

    def _beliefs_as_json(self) -> dict[str, Any]:
        """How many beliefs there are, by method, and their mean entropy; ``certain`` ones have one outcome."""
        methods = {method: self._beliefs[method] for method in METHODS}
        reveals = sum(methods.values())
        mean = round(self._entropy / reveals, 6) if reveals else None
        return {"reveals": reveals, **methods, "certain": self._beliefs["certain"], "mean_entropy_bits": mean}

    def _tallies(self, source: str, repository: str) -> tuple[Tally, Tally, Tally]:
        return self.total, self._by_source[source], self._by_repository[repository]
