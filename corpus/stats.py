"""The shape of ``stats.json``: everything that was counted, and what two runs into one dataset must have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class GroupStats(TypedDict):
    """Counts of a group of snippets: found = rows + duplicates + the sum of ``drops`` (reason to number)."""

    found: int
    rows: int
    duplicates: int
    drops: dict[str, int]


class BeliefStats(TypedDict):
    """How many beliefs there are, by method, and their mean entropy; ``certain`` ones have one outcome."""

    reveals: int
    exact: int
    bounded: int
    sampled: int
    certain: int
    mean_entropy_bits: float | None


class FileStats(TypedDict):
    """How many files were read, which were not, by reason, and the first few of them."""

    read: int
    unreadable: dict[str, int]
    examples: list[dict[str, str]]


class Notes(TypedDict, total=False):
    """What the mined origin adds; the synthetic one adds nothing."""

    files: FileStats
    ignored_inputs: list[dict[str, str]]
    missing_packages: dict[str, list[str]]


class Stats(GroupStats, Notes):
    """``stats.json``; ``by_source`` groups by how snippets are entered (the rows' column ``entry``)."""

    by_source: dict[str, GroupStats]
    by_repository: dict[str, GroupStats]
    splits: dict[str, int]
    by_licence: dict[str, int]
    by_outcome: dict[str, int]
    by_python: dict[str, int]
    by_sandbox_level: dict[str, int]
    doctests: dict[str, int]
    kept_whole: dict[str, int]
    steps: int
    characters: int
    opened_calls: int
    rows_with_opened_calls: int
    skipped_examples: int
    choices: int
    beliefs: BeliefStats
    config: Mapping[str, object]
    schema_version: int
