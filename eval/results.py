"""Results as data: one row schema for every metric, with intervals over sequences, read and written as Parquet or CSV.

A result is one measured number. It names the ``metric``; the model (``run``, ``model``, ``seed``, ``variant``); the
sessions (``task``, ``split``, ``commands``, ``spacing``, ``times`` the trained length); and the ``place`` in them
(a reveal's number, a role, a layer and head, ...). Its ``value`` has a 95% bootstrap interval ``low`` .. ``high`` over
``count`` sequences. Baselines are results of their own, with an empty ``run`` and their name as ``model``.
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
    """One measured number; its fields are the columns of a file of results.

    Empty text, 0 and nan stand for "doesn't apply", and ``seed`` -1 for none: a file of one type a column has no null.
    ``unit`` is nats, share or empty (a pure number). ``count`` is the number of sequences (or reveals, in a reliability
    diagram) behind the value, and ``low``, ``high`` the 95% interval over them, nan where there is none. ``at`` is the
    place as a number, for the axis of a plot.
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

    def __post_init__(self) -> None:
        if not self.metric:
            raise ValueError("expected a metric's name, got ''")
        if self.count < 0 or self.seed < -1:
            raise ValueError(f"expected count >= 0 and seed >= -1, got count={self.count}, seed={self.seed}")
        if self.low > self.high:  # False where they are nan
            raise ValueError(f"expected low <= high, got {self.low} and {self.high} for {self.metric}")


# Types are texts here, for annotations are not evaluated (``from __future__ import annotations``).
TEXT = tuple(f.name for f in fields(Result) if f.type == "str")
INTEGERS = tuple(f.name for f in fields(Result) if f.type == "int")
REALS = tuple(f.name for f in fields(Result) if f.type == "float")
NAMES = tuple(f.name for f in fields(Result))
"""The columns of a file of results, in their order."""


def measured(metric: str, per_sequence: Floats, **where: Where) -> Result:
    """Make a result of a mean over sequences, with its interval over them.

    ``per_sequence`` [sequences, ...]: a sequence counts as one number, the mean over its places that aren't nan; a
    sequence of nan alone is left out. ``where`` are the other fields of the result.

    Raises:
        ValueError: no sequence has a number.
    """
    values = np.asarray(per_sequence, dtype=float).reshape(len(per_sequence), -1)
    values = values[~np.isnan(values).all(axis=1)]
    if not len(values):
        raise ValueError(f"expected at least one sequence with a number for {metric}, got none; take more rows")
    means = np.nanmean(values, axis=1)
    low, high = interval(means)
    return number(metric, float(means.mean()), low=low, high=high, count=len(means), **where)


def number(metric: str, value: float, **where: Where) -> Result:
    """Make a result out of its fields by name, of which only the first two are needed.

    Raises:
        TypeError: ``where`` has a name that is no field.
    """
    # Any, since a field's name picks its type: the type checker can't see that "seed" comes with an int
    given_fields: dict[str, Any] = dict(where)
    return Result(metric=metric, value=value, **given_fields)


def write(path: Path, results: Iterable[Result]) -> None:
    """Write all results into one file, as Parquet or as CSV by its ending, and make its folder where it is missing.

    Raises:
        ValueError: the file ends in neither ``.parquet`` nor ``.csv``.
    """
    check_ending(path)
    rows = [asdict(result) for result in results]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        # types by name, not by the values: a file without a single result must have the columns of all others
        text, integer, real = pa.string(), pa.int64(), pa.float64()
        types = {name: text if name in TEXT else integer if name in INTEGERS else real for name in NAMES}
        columns = [pa.array([row[name] for row in rows], types[name]) for name in NAMES]
        pq.write_table(pa.table(columns, names=list(NAMES)), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        # nan is written as "nan", which float() reads back
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(rows)


def check_ending(path: Path) -> None:
    """Raise ValueError where no results can be written under this name; commands call it before they measure."""
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"expected a file that ends in .parquet or .csv, got {path}")


def read(path: Path) -> list[Result]:
    """Read the results that ``write`` wrote.

    Raises:
        ValueError: there is no such file, its columns aren't a result's, or a value isn't of its column's type.
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
        # exactly these: a file of an older version lacks a column that tells two results apart
        if set(row) != set(NAMES):
            raise ValueError(f"expected the columns {', '.join(NAMES)}, got {', '.join(row)} in {path}")
        # a CSV file has texts alone; from Parquet the values have their types already, and the calls change nothing
        typed: dict[str, Any] = {name: row[name] for name in TEXT}
        typed |= {name: int(row[name]) for name in INTEGERS}
        typed |= {name: float(row[name]) for name in REALS}
        results.append(Result(**typed))
    return results


def over_seeds(results: Sequence[Result]) -> list[tuple[Result, list[float]]]:
    """Put results together that differ in run, seed, interval and value alone, as (one of them, the values by seed).

    Groups come in the order of their first results.
    """
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        varying = {"run", "seed", "value", "low", "high", "count"}
        shared = {name: value for name, value in asdict(result).items() if name not in varying}
        # nan is not equal to itself: results in which a field doesn't apply would each be a group of their own
        key = tuple("nan" if isinstance(value, float) and math.isnan(value) else value for value in shared.values())
        groups.setdefault(key, []).append(result)
    return [(group[0], [r.value for r in sorted(group, key=lambda r: r.seed)]) for group in groups.values()]
