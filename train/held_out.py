"""Rows of datasets on disk, parted into what is trained on and what is held out of it for evaluations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
"""A row of a dataset, by the names of its columns."""

HELD_OUT = 0.05
"""Share of a dataset's rows that is kept for evaluation where the dataset has no split for it."""

EVALUATED = ("test", "validation", "held_out")
"""What evaluations take: the first of these that has rows."""


def splits_of(folder: Path) -> dict[str, list[Row]]:
    """Split -> rows of a dataset; part of what is trained on held out where there is nothing else to evaluate on.

    Raises:
        ValueError: no dataset there.
    """
    from datasets import load_dataset

    if not (folder / "stats.json").is_file():
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {folder}; mine one there first")
    loaded = load_dataset(str(folder))
    splits = {name: list(loaded[name]) if name == "train" else shuffled(loaded[name]) for name in loaded}
    if not any(splits.get(name) for name in ("test", "validation")):
        splits["train"], splits["held_out"] = parted(splits["train"])
    return splits


def joined_splits(datasets: Sequence[Mapping[str, list[Row]]]) -> dict[str, list[Row]]:
    """The splits of several datasets: what each is evaluated on as ``held_out``, and all that each is trained on, but
    for texts that another one holds out.
    """
    held_out = [row for splits in datasets for row in next(splits[name] for name in EVALUATED if splits.get(name))]
    texts = {row["text"] for row in held_out}
    return {
        "train": [row for splits in datasets for row in splits["train"] if row["text"] not in texts],
        "held_out": shuffled(held_out),
    }


def shuffled(rows: Iterable[Row]) -> list[Row]:
    """By the hash of their trace_id: the first of them are a sample, where on disk repositories stand together."""
    return sorted(rows, key=lambda row: hashlib.sha256(row["trace_id"].encode()).digest())


def parted(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(trained on, held out): the rows whose trace_id hashes lowest, at least one of each.

    Raises:
        ValueError: there is one row at most.
    """
    if len(rows) < 2:
        raise ValueError(f"expected at least two rows, to hold one out, got {len(rows)}; mine more")
    ranked = shuffled(rows)
    count = max(1, round(HELD_OUT * len(rows)))
    held = {row["trace_id"] for row in ranked[:count]}
    return [row for row in rows if row["trace_id"] not in held], ranked[:count]
