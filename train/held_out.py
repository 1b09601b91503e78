"""Rows of datasets on disk, divided into rows to train on and rows that evaluations take.

No row that an evaluation takes is ever trained on. Which rows those are depends on their ``trace_id`` alone, so that a
resumed run, another machine and ``eval`` all find the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Any: the columns are nested lists and dicts as `datasets` decodes them; corpus/schema.py checked them on writing.
Row = Mapping[str, Any]
"""A row of a dataset: column name to value. ``docs/schema.md`` lists the columns."""

HELD_OUT = 0.05
"""Share of a dataset's rows that is held out of training if the dataset has neither a test nor a validation split."""

EVALUATED = ("test", "validation", "held_out")
"""Splits that evaluations may take, best first: they take the first of these that has rows."""

WITHOUT_TEST = ("validation", "held_out")
"""The same for runs among which one is chosen, of which none may look at the test (``final_split`` of settings)."""


def splits_of(folder: Path) -> dict[str, list[Row]]:
    """Read a dataset from disk as split name -> rows, with a split to evaluate on in any case.

    If neither ``test`` nor ``validation`` has rows, ``HELD_OUT`` of the training rows become the split ``held_out``.
    Splits other than ``train`` come shuffled (see ``shuffled``).

    Raises:
        ValueError: the folder holds no dataset, or a single row.
    """
    from datasets import load_dataset  # takes seconds to import, and tasks don't need it

    if not (folder / "stats.json").is_file():
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {folder}; mine one there first")
    # load_dataset caches by the folder's last name, the patterns of its files and the version in its card. Without the
    # version, which trace-mine makes from the content, two datasets in folders of one name were read as one.
    loaded = load_dataset(str(folder))
    splits = {name: list(loaded[name]) if name == "train" else shuffled(loaded[name]) for name in loaded}
    if not any(splits.get(name) for name in ("test", "validation")):
        splits["train"], splits["held_out"] = hold_out(splits["train"])
    return splits


def first_of(splits: Mapping[str, Sequence[object]], names: Sequence[str]) -> str:
    """Return the first of these names whose split has rows.

    Raises:
        ValueError: none has any.
    """
    for name in names:
        if splits.get(name):
            return name
    there = ", ".join(name for name in splits if splits[name]) or "none"
    raise ValueError(f"expected rows in the split {' or '.join(names)}, got rows in {there}; mine more repositories")


def joined_splits(
    datasets: Sequence[Mapping[str, list[Row]]], evaluated: Sequence[str] = EVALUATED
) -> dict[str, list[Row]]:
    """Join the splits of several datasets (each as ``splits_of`` gives them) into ``train`` and ``held_out``.

    ``held_out`` has the rows that evaluations of each dataset would take, shuffled. ``train`` has the training rows of
    all, without those whose text is held out by another dataset.

    Raises:
        ValueError: a dataset has rows in none of the splits ``evaluated``.
    """
    held_out = [row for splits in datasets for row in splits[first_of(splits, evaluated)]]
    # By text, not by trace_id: a model that has seen the text has seen the row, whatever the dataset calls it.
    texts = {row["text"] for row in held_out}
    return {
        # a dataset whose repositories are all held out by their names has no such split
        "train": [row for splits in datasets for row in splits.get("train", ()) if row["text"] not in texts],
        "held_out": shuffled(held_out),
    }


def shuffled(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by the SHA-256 of their ``trace_id``: an order without a seed that is the same wherever it is made.

    Evaluations take the first rows of a split. On disk the rows of a repository stand together, so that without this
    order the first rows would be those of one or two repositories.
    """
    return sorted(rows, key=lambda row: hashlib.sha256(row["trace_id"].encode()).digest())


def hold_out(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Divide rows into (to train on, held out): ``HELD_OUT`` of them, at least one, is held out.

    Held out are the first rows in the order of ``shuffled``, so that rows added later change the membership of few.

    Raises:
        ValueError: there are fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(f"expected at least two rows, to hold one out, got {len(rows)}; mine more")
    ranked = shuffled(rows)
    count = max(1, round(HELD_OUT * len(rows)))
    held_out_ids = {row["trace_id"] for row in ranked[:count]}
    return [row for row in rows if row["trace_id"] not in held_out_ids], ranked[:count]
