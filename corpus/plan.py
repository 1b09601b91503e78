"""The plan of a dataset: its units in order, and what is to be said of the inputs that they were cut from.

It stands in the ledger once a run has planned everything. By it the parts of a dataset that were mined apart
(``--shard``), or several datasets, become one: units and notes carry the place of their input among all inputs, so that
the parts come together in the order in which one run would have mined them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from trace_mine.corpus.stats import Notes

_KEY = re.compile(r"[0-9a-f]{8,128}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """A unit's key, and the place of the input that it was cut from."""

    place: int
    key: str

    def __post_init__(self) -> None:
        # A key names files below the ledger.
        if not _KEY.match(self.key) or self.place < 0:
            raise ValueError(f"expected a place and a key in hexadecimal, got {self.place} and {self.key!r:.100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPlan:
    """All units of a dataset in order; and notes, of single inputs by their place, and of the command as a whole."""

    units: Sequence[PlannedUnit] = ()
    by_place: Sequence[tuple[int, Notes]] = ()
    overall: Notes = field(default_factory=lambda: Notes())

    @property
    def keys(self) -> list[str]:
        """The units' keys, in order."""
        return [unit.key for unit in self.units]

    def to_json(self) -> dict[str, object]:
        """Return the plan as a JSON object; ``from_json`` is the inverse."""
        return {
            "units": [[unit.place, unit.key] for unit in self.units],
            "notes": [[place, notes] for place, notes in self.by_place],
            "overall": self.overall,
        }

    @staticmethod
    def from_json(data: object) -> DatasetPlan:
        """Return the plan whose ``to_json`` is ``data``.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(data, dict) or data.keys() != {"units", "notes", "overall"}:
            raise ValueError("expected a plan with units, notes and overall, got another object; mine again")
        units, notes, overall = data["units"], data["notes"], data["overall"]
        if not (_is_list_of_pairs(units, str) and _is_list_of_pairs(notes, dict) and isinstance(overall, dict)):
            raise ValueError("expected a plan's units and notes by place, got something else; mine again")
        return DatasetPlan(
            units=[PlannedUnit(place=place, key=key) for place, key in units],
            by_place=[(place, cast("Notes", each)) for place, each in notes],
            overall=cast("Notes", overall),
        )


def _is_list_of_pairs(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, list) and len(each) == 2 and type(each[0]) is int and isinstance(each[1], kind)
        for each in value
    )


def joined_plan(plans: Sequence[DatasetPlan], *, same_inputs: bool) -> DatasetPlan:
    """Join the plans of several datasets.

    Args:
        plans: in the order in which the datasets were named.
        same_inputs: the datasets are shards of one: a place means the same input in all of them, and what is said
            overall is said by each. Otherwise the inputs of each plan come behind those of the plans before it.
    """
    if same_inputs:
        # stable, and the units of one place all stand in one shard
        units = sorted((unit for plan in plans for unit in plan.units), key=lambda unit: unit.place)
        notes = sorted((each for plan in plans for each in plan.by_place), key=lambda each: each[0])
        return DatasetPlan(units=units, by_place=notes, overall=plans[0].overall)
    moved: list[PlannedUnit] = []
    by_place: list[tuple[int, Notes]] = []
    ignored: list[dict[str, str]] = []
    start = 0
    for plan in plans:
        moved += [PlannedUnit(place=start + unit.place, key=unit.key) for unit in plan.units]
        by_place += [(start + place, notes) for place, notes in plan.by_place]
        ignored += plan.overall.get("ignored_inputs", [])
        places = [unit.place for unit in plan.units] + [place for place, _ in plan.by_place]
        start += max(places, default=-1) + 1
    return DatasetPlan(units=moved, by_place=by_place, overall={**plans[0].overall, "ignored_inputs": ignored})
