"""Results as data: one row schema for every metric, with intervals over sequences, read and written as Parquet or CSV.

A row says what was measured (``metric``), on whom (``run``, ``model``, ``seed``, ``variant``), on what (``task``,
``split``, ``commands``, ``spacing``, ``times`` the trained length), where (``place``: a reveal's number, a role, a
layer and head, ...), and what came out: ``value`` with a 95% bootstrap interval ``low`` .. ``high`` over ``count``
sequences. Baselines are rows of their own: the ``run`` is empty and ``model`` says which (``chance``, ...).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.intervals import interval

Where = str | int | float
"""A field of a result, as keyword arguments hand it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measured number. Empty text, 0 and nan stand for "doesn't apply"; ``seed`` -1 for none.

    ``unit``: nats, share, ..; ``count``: sequences (or layers, ...) behind the value; ``low``, ``high``: the 95%
    interval over them, nan where there is none.
    """

    metric: str
    value: float
    unit: str = ""
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    run: str = ""
    model: str = ""
    variant: str = ""
    seed: int = -1
    task: str = ""
    split: str = ""
    commands: int = 0
    spacing: int = 0
    times: float = math.nan
    place: str = ""
    at: float = math.nan


TEXT = tuple(f.name for f in fields(Result) if f.type == "str")
WHOLE = tuple(f.name for f in fields(Result) if f.type == "int")


def measured(metric: str, per_sequence: Floats, **where: Where) -> Result:
    """The mean over sequences with its interval; ``per_sequence`` [sequences, ...]: a sequence's own number is the mean
    over its places, nan where it has none there. ``where`` are the other fields of the result.

    Raises:
        ValueError: no sequence has a number.
    """
    values = np.asarray(per_sequence, dtype=float).reshape(len(per_sequence), -1)
    kept = values[~np.isnan(values).all(axis=1)]
    if not len(kept):
        raise ValueError(f"expected at least one sequence with a number for {metric}, got none; take more rows")
    means = np.nanmean(kept, axis=1)
    low, high = interval(means)
    return number(metric, float(means.mean()), low=low, high=high, count=len(means), **where)


def number(metric: str, value: float, **where: Where) -> Result:
    """A result out of its fields by name, of which only the first two are needed."""
    fields_given: dict[str, Any] = dict(where)
    return Result(metric=metric, value=value, **fields_given)


def write(path: Path, results: Iterable[Result]) -> None:
    """All rows into one file, by its ending: ``.parquet`` or ``.csv``.

    Raises:
        ValueError: another ending.
    """
    check_ending(path)
    rows = [asdict(result) for result in results]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {name: pa.string() if name in TEXT else pa.int64() if name in WHOLE else pa.float64() for name in NAMES}
        columns = [pa.array([row[name] for row in rows], types[name]) for name in NAMES]
        pq.write_table(pa.table(columns, names=list(NAMES)), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(rows)


def check_ending(path: Path) -> None:
    """Raises ValueError where no results can be written under this name."""
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"expected a file that ends in .parquet or .csv, got {path}")


def read(path: Path) -> list[Result]:
    """The rows that ``write`` wrote.

    Raises:
        ValueError: no such file, or columns that aren't ours.
    """
    if not path.is_file():
        raise ValueError(f"expected a file of results, got {path}; make it with trace-eval RUN --out FILE")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(path).to_pylist()
    else:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    results = []
    for row in rows:
        if set(row) != set(NAMES):
            raise ValueError(f"expected the columns {', '.join(NAMES)}, got {', '.join(row)} in {path}")
        typed: dict[str, Any] = {
            name: row[name] if name in TEXT else int(row[name]) if name in WHOLE else float(row[name]) for name in NAMES
        }
        results.append(Result(**typed))
    return results


def over_seeds(results: Sequence[Result]) -> list[tuple[Result, list[float]]]:
    """Results that differ in run, seed, interval and value alone, together: (one of them, the values by seed)."""
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        own = {"run", "seed", "value", "low", "high", "count"}
        shared = {name: value for name, value in asdict(result).items() if name not in own}
        # nan is not equal to itself, and would part results that say alike that a field doesn't apply
        key = tuple("nan" if isinstance(value, float) and math.isnan(value) else value for value in shared.values())
        groups.setdefault(key, []).append(result)
    return [(group[0], [r.value for r in sorted(group, key=lambda r: r.seed)]) for group in groups.values()]


NAMES = tuple(f.name for f in fields(Result))
