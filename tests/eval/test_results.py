"""Results as data: what is written is read back, intervals cover, and seeds are put together."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.eval.intervals import interval
from trace_mine.eval.results import Result, measured, over_seeds, read, write

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12)
numbers = st.floats(allow_nan=True, width=64)
metrics = texts.filter(bool)
# An interval's ends are in order, which a nan never contradicts.
intervals = st.tuples(numbers, numbers).map(lambda ends: ends[::-1] if ends[0] > ends[1] else ends)
results = intervals.flatmap(
    lambda ends: st.builds(
        Result,
        metric=metrics,
        value=numbers,
        unit=texts,
        low=st.just(ends[0]),
        high=st.just(ends[1]),
        count=st.integers(0, 10**9),
        run=texts,
        model=texts,
        seed=st.integers(-1, 99),
        commands=st.integers(0, 4096),
        place=texts,
        at=numbers,
    )
)


def same(one: Result, other: Result) -> bool:
    pairs = zip(asdict(one).values(), asdict(other).values(), strict=True)
    return all(a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)) for a, b in pairs)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@settings(deadline=None)
@given(rows=st.lists(results, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, ending: str, rows: list) -> None:
    path = tmp_path_factory.mktemp("results") / f"r.{ending}"
    write(path, rows)
    back = read(path)
    assert len(back) == len(rows)
    assert all(same(one, other) for one, other in zip(rows, back, strict=True))


def test_other_endings_and_columns_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.parquet or \.csv"):
        write(tmp_path / "r.json", [])
    with pytest.raises(ValueError, match="expected a file of results"):
        read(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns metric"):
        read(tmp_path / "other.csv")


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = interval(generator.exponential(size=60), seed=trial)
        covered += low <= 1.0 <= high
    assert 175 <= covered <= 199


def test_intervals_are_over_sequences_not_tokens() -> None:
    # ten sequences that say one thing a hundred times each know ten things
    per_sequence = np.repeat(np.arange(10.0)[:, None], 100, axis=1)
    told = measured("m", per_sequence)
    low, high = interval(np.arange(10.0))
    assert (told.low, told.high, told.count) == (low, high, 10)
    assert math.isnan(interval(np.array([1.0]))[0])
    with pytest.raises(ValueError, match="expected at least one sequence"):
        measured("m", np.full((3, 2), np.nan))


def test_seeds_are_put_together_and_nothing_else() -> None:
    rows = [Result(metric="m", value=v, run=f"r{s}", seed=s, model="a", times=1.0) for s, v in ((1, 0.5), (0, 0.25))]
    rows.append(Result(metric="m", value=0.7, run="r2", seed=0, model="b", times=1.0))
    found = over_seeds(rows)
    assert [(r.model, values) for r, values in found] == [("a", [0.25, 0.5]), ("b", [0.7])]


def test_variants_and_sizes_part_results_of_seeds() -> None:
    rows = [
        Result(metric="m", value=float(n), seed=n, variant=v, commands=c) for n in (1, 0) for v in "ab" for c in (1, 2)
    ]
    assert [values for _, values in over_seeds(rows)] == [[0.0, 1.0]] * 4
