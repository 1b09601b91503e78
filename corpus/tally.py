"""The counts of a dataset, gathered while the merge goes over its rows, and the invariant that they keep.

Of all snippets and of each group of them: found = rows + duplicates + drops, reason by reason, + records where these
are kept.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trace_mine.corpus.rows import Row
from trace_mine.corpus.stats import BeliefStats, GroupStats, ItemNote, Notes, Stats
from trace_mine.corpus.thinning import CopyKind
from trace_mine.corpus.uncertain_rows import is_uncertain
from trace_mine.corpus.work import Dropped
from trace_mine.corpus.worth import SHARES, Distribution
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import METHODS, SCHEMA_VERSION

Grouped = Literal["licence", "outcome", "python", "sandbox_level"]
"""Columns whose values are counted."""


@dataclass(slots=True)
class Tally:
    """The counts of one group of snippets; they grow as snippets are counted, so the record is not frozen."""

    rows: int = 0
    duplicates: int = 0
    records: int = 0
    drops: Counter[str] = field(default_factory=Counter)

    @property
    def found(self) -> int:
        """The number of snippets that were counted, whatever came of them."""
        return self.rows + self.duplicates + self.records + self.drops.total()

    def as_json(self) -> GroupStats:
        """Return the entry of ``stats.json``; the most frequent reason stands first, equals by name."""
        drops = dict(sorted(self.drops.items(), key=lambda item: (-item[1], item[0])))
        counts: GroupStats = {
            "found": self.found,
            "rows": self.rows,
            "duplicates": self.duplicates,
            "drops": drops,
        }
        return {**counts, "records": self.records} if self.records else counts


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _power_of_two(number: int) -> float:
    """The smallest power of two that is at least this number, 1 for 0."""
    return float(1 << max(number - 1, 0).bit_length())


class Counts:
    """All numbers that ``stats.json`` gives of the snippets. The merge adds each row, duplicate and drop once."""

    def __init__(self) -> None:
        self.total = Tally()
        self._by_entry: dict[str, Tally] = defaultdict(Tally)
        self._by_repository: dict[str, Tally] = defaultdict(Tally)
        self._splits: Counter[str] = Counter()
        # Written out for the type checker, which knows the columns by their names.
        self._groups: dict[Grouped, Counter[str]] = {
            "licence": Counter(),
            "outcome": Counter(),
            "python": Counter(),
            "sandbox_level": Counter(),
        }
        self._kept_whole: Counter[str] = Counter()
        self._unopened_frames: Counter[str] = Counter()
        self._doctests: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._beliefs: Counter[str] = Counter()
        self._entropy = 0.0
        self._printed: Counter[str] = Counter()
        self._copies: Counter[str] = Counter()
        self._worth = {name: Distribution() for name in SHARES}
        self._uncertain: Counter[str] = Counter()
        self._licences: dict[str, Counter[str]] = defaultdict(Counter)
        self._histograms: dict[str, Counter[float]] = {name: Counter() for name in ("characters", "commands", "bits")}

    def add_row(self, row: Row, split: str, *, new_characters: float | None = None) -> None:
        """Count a row that was written, and what it holds."""
        columns = row.columns
        for tally in self._tallies(columns["entry"], columns["repository"]):
            tally.rows += 1
        self._splits[split] += 1
        for name, group in self._groups.items():
            group[str(columns[name])] += 1
        self._kept_whole.update(json.loads(columns["kept_whole"]))
        self._unopened_frames.update(json.loads(columns["unopened_frames"]))
        self._sums["own_frames"] += columns["own_frames"]
        self._sums["opened_frames"] += columns["opened_frames"]
        # None for snippets that are no doctests.
        if columns["doctest_passed"] is not None:
            self._doctests["passed" if columns["doctest_passed"] else "failed"] += 1
        self._licences[columns["repository"]][columns["licence"]] += 1
        self._histograms["characters"][_power_of_two(len(columns["text"]))] += 1
        self._histograms["commands"][_power_of_two(len(columns["steps"]))] += 1
        most = 0.0
        for belief in columns["beliefs"]:
            self._beliefs[belief["method"]] += 1
            entropy = -sum(p * math.log2(p) for p in belief["probabilities"] if p > 0)
            self._entropy += entropy
            most = max(most, entropy)
            # By the number of outcomes, not by an entropy of 0, which rounding can miss.
            self._beliefs["certain"] += len(belief["outcomes"]) == 1
        if is_uncertain(columns):
            self._uncertain[split] += 1
            # rounded, so that an entropy of one bit is in one bin however it was summed up
            self._histograms["bits"][max(1, math.ceil(round(2 * most, 6))) / 2] += 1
        shares = (new_characters, columns["uncopied_values"], columns["writing_commands"])
        for measure, share in zip(SHARES, shares, strict=True):
            if share is not None:
                self._worth[measure].add(share)
        self._printed.update({*columns["printed_by"]})
        self._sums["unprinted"] += not columns["printed_by"]
        self._sums["states_verified"] += columns["states_verified"]
        self._sums["states_total"] += columns["states_total"]
        self._sums["choices"] += len(columns["choices"])
        self._sums["steps"] += len(columns["steps"])
        self._sums["characters"] += len(columns["text"])
        self._sums["opened_calls"] += columns["opened_calls"]
        self._sums["rows_with_opened_calls"] += columns["opened_calls"] > 0
        self._sums["skipped_examples"] += columns["num_skipped"]

    def add_duplicate(self, row: Row, kind: CopyKind) -> None:
        """Count a row that was left out, since the dataset has its text, or nearly its text, already."""
        self._copies[kind] += 1
        for tally in self._tallies(row.columns["entry"], row.columns["repository"]):
            tally.duplicates += 1

    def add_record(self, row: Row) -> None:
        """Count a record that was written: a snippet without a session that replays."""
        for tally in self._tallies(row.columns["entry"], row.columns["repository"]):
            tally.records += 1

    def add_drop(self, drop: Dropped) -> None:
        """Count a snippet that became no row."""
        for tally in self._tallies(drop.entry, drop.repository):
            tally.drops[drop.reason] += 1

    def as_json(self, *, found: int, notes: Notes, config: Mapping[str, object]) -> Stats:
        """Return all of ``stats.json``.

        Args:
            found: the number of snippets by the units' markers. The workers counted them, not this class, so that the
                invariant can fail.
            notes: further entries of the origin.
            config: the dataset's configuration.
        """
        # An assertion, not an error for the user: a dataset whose counts don't add up is a mistake of trace-mine.
        assert found == self.total.found, f"{found} snippets were found, but {self.total.found} counted: {self.total}"
        return {
            **self.total.as_json(),
            "duplicates_by_kind": _most_first(self._copies),
            "by_source": {name: tally.as_json() for name, tally in sorted(self._by_entry.items())},
            "by_repository": {name: tally.as_json() for name, tally in sorted(self._by_repository.items())},
            "splits": dict(sorted(self._splits.items())),
            "uncertain": dict(sorted(self._uncertain.items())),
            "by_licence": self._sorted("licence"),
            "licences_by_repository": {name: _most_first(each) for name, each in sorted(self._licences.items())},
            "by_outcome": self._sorted("outcome"),
            "by_python": self._sorted("python"),
            "by_sandbox_level": self._sorted("sandbox_level"),
            "doctests": dict(sorted(self._doctests.items())),
            "kept_whole": _most_first(self._kept_whole),
            "own_frames": self._sums["own_frames"],
            "opened_frames": self._sums["opened_frames"],
            "unopened_frames": _most_first(self._unopened_frames),
            "steps": self._sums["steps"],
            "characters": self._sums["characters"],
            "opened_calls": self._sums["opened_calls"],
            "rows_with_opened_calls": self._sums["rows_with_opened_calls"],
            "skipped_examples": self._sums["skipped_examples"],
            "choices": self._sums["choices"],
            "beliefs": self._beliefs_as_json(),
            "worth": {name: dict(distribution.quantiles()) for name, distribution in self._worth.items()},
            "histograms": {
                name: {f"{end:g}" if end < 1000 else str(int(end)): count for end, count in sorted(bins.items())}
                for name, bins in self._histograms.items()
            },
            "verification": {
                "printed": dict(sorted(self._printed.items())),
                "unprinted": self._sums["unprinted"],
                "states_verified": self._sums["states_verified"],
                "states_total": self._sums["states_total"],
            },
            **self._with_unjudged(notes),
            "config": dict(config),
            "schema_version": SCHEMA_VERSION,
        }

    def _with_unjudged(self, notes: Notes) -> Notes:
        """The notes, with the number of each repository's tests of which pytest's verdict is not known."""
        if "tests" not in notes:
            return notes
        tests: dict[str, ItemNote] = {}
        for name, note in notes["tests"].items():
            tests[name] = {**note, "unjudged": self._by_repository[name].drops[Reason.UNJUDGED]}
        return {**notes, "tests": tests}

    def _sorted(self, group: Grouped) -> dict[str, int]:
        return dict(sorted(self._groups[group].items()))

    def _beliefs_as_json(self) -> BeliefStats:
        reveals = sum(self._beliefs[method] for method in METHODS)
        return {
            "reveals": reveals,
            "exact": self._beliefs["exact"],
            "bounded": self._beliefs["bounded"],
            "sampled": self._beliefs["sampled"],
            "certain": self._beliefs["certain"],
            "mean_entropy_bits": round(self._entropy / reveals, 6) if reveals else None,
        }

    def _tallies(self, entry: str, repository: str) -> tuple[Tally, Tally, Tally]:
        return self.total, self._by_entry[entry], self._by_repository[repository]
