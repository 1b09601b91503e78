"""A merge never dies of a row: whatever stands in the ledger is a row, or one counted drop with evidence.

The units are made by the fake tracer, then poisoned on disk by hand, under a marker that vouches for the poison: so
the merge meets what a run of another version, or a hostile one, may have left.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_here import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_produce import doctests, errors_of, everything_below, pinned_code, run
from test_rows import origin, row_of, trace_of

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.merge import merge
from trace_mine.corpus.mined import miner
from trace_mine.corpus.row_check import check_row
from trace_mine.corpus.rows import make_row
from trace_mine.corpus.schema import COLUMNS, ROW_COLUMNS, features
from trace_mine.corpus.units import UnitTask
from trace_mine.corpus.work import Dropped, Marker, WorkUnit
from trace_mine.tracer.schema import Drop, Step

assert pinned_code  # a fixture, which acts on each test of this file by being imported

DEEP: Any = []
for _ in range(5_000):
    DEEP = [DEEP]
DEEP_JSON = "[" * 100_000 + "]" * 100_000
Change = Callable[[dict[str, Any]], Any]


def with_values(**columns: Any) -> Change:
    return lambda row: {**row, **columns}


def in_first(column: str, **fields: Any) -> Change:
    """Other fields in the first record of a column."""
    return lambda row: {**row, column: [{**row[column][0], **fields}, *row[column][1:]]}


CHOICE = {"step": 0, "kind": "k", "place": "", "outcomes": ["a"], "probabilities": [1.0], "taken": 0}
BELIEF = {"segment": 0, "outcomes": ["a"], "probabilities": [1.0], "method": "exact", "stderr": [0.0]}
POISONS: dict[str, Change | bytes] = {
    # what Arrow refuses, or takes for something else
    "opened_calls of 2**70": with_values(opened_calls=2**70),
    "a seed of -2**63-1": with_values(seed=-(2**63) - 1),
    "a depth of 2**70": in_first("steps", depth=2**70),
    "a line that is true": in_first("steps", line=True),
    "a text that is a number": with_values(text=5),
    "half a surrogate pair in text": with_values(text=">>> '\ud800'\n"),
    "half a surrogate pair in a name": with_values(name="\udfff"),
    "half a surrogate pair deep down": in_first("steps", wrote=["a", "\ud800"]),
    "no text": with_values(text=None),
    "requires that is a text": with_values(requires="a==1"),
    "steps that are no records": with_values(steps=[1]),
    "a step with a field more": in_first("steps", films=1),
    "a row with a column more": with_values(films=1),
    "a row without a column": lambda row: {name: row[name] for name in row if name != "view"},
    "a probability that is no number": lambda row: {**row, "choices": [{**CHOICE, "probabilities": [float("nan")]}]},
    "an infinite error": lambda row: {**row, "beliefs": [{**BELIEF, "stderr": [float("inf")]}]},
    "a probability of 10**400": lambda row: {**row, "choices": [{**CHOICE, "probabilities": [10**400]}]},
    # what the counts and the card are made of
    "kept_whole that is no JSON": with_values(kept_whole="{"),
    "kept_whole that is a list": with_values(kept_whole="[]"),
    "kept_whole with a word of its own": with_values(kept_whole='{"## Licences": 1}'),
    "kept_whole with a text": with_values(kept_whole='{"async": "many"}'),
    "kept_whole with a number below 0": with_values(kept_whole='{"async": -1}'),
    "kept_whole nested deeply": with_values(kept_whole=DEEP_JSON),
    "frames that are not counted": lambda row: {**row, "own_frames": row["own_frames"] + 1},
    "more frames opened than entered": lambda row: {**row, "opened_frames": row["own_frames"] + 1},
    "unopened_frames with a word of its own": with_values(own_frames=1, unopened_frames='{"## Licences": 1}'),
    "a state that is no JSON": lambda row: {**row, "states": ["x", *row["states"][1:]]},
    "a method of its own": lambda row: {**row, "beliefs": [{**BELIEF, "method": "guessed"}]},
    "an outcome of its own": with_values(outcome="<img onerror=alert(1)>"),
    "an integrity that is forged": with_values(integrity="forged"),
    "a role of its own": in_first("segments", role="system"),
    "another version": with_values(schema_version=10**6),
    # what readers follow
    "a segment past the end": in_first("segments", end=10**6),
    "segments that leave something out": with_values(segments=[]),
    "a step that is not there": in_first("segments", step=99),
    "states for other steps": with_values(states=[]),
    "a choice without an outcome": lambda row: {**row, "choices": [{**CHOICE, "taken": 1}]},
    "a belief of nothing": lambda row: {**row, "beliefs": [{**BELIEF, "segment": -1}]},
    "a belief with fewer numbers": lambda row: {**row, "beliefs": [{**BELIEF, "probabilities": []}]},
    "a repository of another unit": with_values(repository="good"),
    # lines that are no row
    "no JSON": b"\x00\xff",
    "nothing": b"",
    "a list": b"[]",
    "a number of 5,000 digits": b'{"trace_id": ' + b"1" * 5_000 + b"}",
    "JSON nested deeply": DEEP_JSON.encode(),
    "a line of 9 MB": b'{"trace_id": "' + b"x" * (9 << 20) + b'"}',
    "a drop for no reason": b'{"reason": "", "path": "", "name": ""}',
    "a drop for a reason of its own": json.dumps(
        {"reason": "## Licences", "path": "", "name": "", "evidence": "", "repository": "", "entry": "", "line": 0}
    ).encode(),
    "a drop with a number for a name": json.dumps(
        {"reason": "empty", "path": 1, "name": "", "evidence": "", "repository": "", "entry": "", "line": 0}
    ).encode(),
    "a drop at line 2**70": json.dumps(
        {"reason": "empty", "path": "", "name": "", "evidence": "", "repository": "", "entry": "", "line": 2**70}
    ).encode(),
}


def lines_of(result: Path) -> list[bytes]:
    return gzip.decompress(result.read_bytes()).splitlines()


def write_unit(root: Path, key: str, lines: list[bytes]) -> None:
    """Write a unit's result by hand, and make its marker vouch for it."""
    data = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
    (root / "results" / f"{key}.jsonl.gz").write_bytes(data)
    marker = json.loads((root / "done" / f"{key}.json").read_text())
    marker.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (root / "done" / f"{key}.json").write_text(json.dumps(marker))


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A dataset of a good repository and of another one, with three rows each."""
    folder = tmp_path_factory.mktemp("mined")
    inputs = []
    for name in ("good", "poison"):
        (folder / name).mkdir()
        (folder / name / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n')
        (folder / name / "m.py").write_text(doctests(*(f"{name}_{number}" for number in range(3))))
        inputs.append(folder / name)
    with pytest.MonkeyPatch.context() as patch:  # as in each test: the units' keys hold the code's hash
        patch.setattr(miner, "code_hash", lambda: "pinned")
        run(folder / "out", *inputs)
    return folder / "out", inputs


def key_of(out: Path, repository: str) -> str:
    (key,) = [
        path.stem
        for path in (out / ".ledger" / "done").iterdir()
        if repository in json.loads(path.read_text())["repositories"]
    ]
    return key


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [row for shard in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(shard).to_pylist()]


def merged(root: Path, keys: list[str]) -> Any:
    return merge(Ledger(root), keys, notes={}, config={}).stats


def poisoned(made: Path, out: Path, poison: str) -> list[str]:
    """A copy of the dataset with a poison in the second line of the one repository's unit; the keys of both units."""
    shutil.copytree(made, out)
    key = key_of(out, "poison")
    lines = lines_of(out / ".ledger" / "results" / f"{key}.jsonl.gz")
    change = POISONS[poison]
    lines[1] = change if isinstance(change, bytes) else json.dumps(change(json.loads(lines[1]))).encode()
    write_unit(out / ".ledger", key, lines)
    return [key_of(out, "good"), key]


def check_dataset(made: Path, out: Path, stats: Any) -> None:
    """All is as it was but for one row."""
    assert (stats["found"], stats["rows"], stats["drops"]) == (6, 5, {"bad_row": 1})
    before = [row for row in rows_of(made) if row["repository"] == "good"]
    assert [row for row in rows_of(out) if row["repository"] == "good"] == before
    (told,) = errors_of(out)
    assert told["reason"] == "bad_row" and 0 < len(told["evidence"]) <= 2000
    json.loads((out / "stats.json").read_text(), parse_constant=lambda word: pytest.fail(word))


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_row_is_one_drop_now_and_when_it_is_merged_again(
    mined: tuple[Path, list[Path]], tmp_path: Path, poison: str
) -> None:
    out = tmp_path / "out"
    keys = poisoned(mined[0], out, poison)
    written = []
    for _ in range(2):
        check_dataset(mined[0], out, merged(out, keys))
        written.append(everything_below(out))
    assert written[0] == written[1]


def test_the_same_command_goes_on_with_a_poisoned_unit(mined: tuple[Path, list[Path]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    poisoned(mined[0], out, "opened_calls of 2**70")
    for _ in range(2):
        check_dataset(mined[0], out, run(out, *mined[1]).stats)


@pytest.mark.slow
def test_what_is_damaged_is_made_again(mined: tuple[Path, list[Path]], tmp_path: Path) -> None:
    made, inputs = mined
    out = tmp_path / "out"
    shutil.copytree(made, out)
    key = key_of(out, "poison")
    result, marker = out / ".ledger" / "results" / f"{key}.jsonl.gz", out / ".ledger" / "done" / f"{key}.json"
    whole, told = result.read_bytes(), marker.read_bytes()
    for damaged in (whole[:-5], whole[:30] + bytes([whole[30] ^ 1]) + whole[31:]):
        result.write_bytes(damaged)
        run(out, *inputs)
        assert everything_below(out) == everything_below(made)
    for text in (b"", b"null", told.replace(b'"bytes": ', b'"bytes": -'), b"\xff"):
        marker.write_bytes(text)
        run(out, *inputs)
        assert everything_below(out) == everything_below(made)
    marker.unlink()
    result.unlink()
    run(out, *inputs)
    assert everything_below(out) == everything_below(made)


@pytest.mark.parametrize("what", ["cut", "changed", "gone", "no gzip", "no marker", "bad marker"])
def test_a_merge_counts_what_was_damaged_under_way(mined: tuple[Path, list[Path]], tmp_path: Path, what: str) -> None:
    made, _ = mined
    out = tmp_path / "out"
    shutil.copytree(made, out)
    good, bad = key_of(out, "good"), key_of(out, "poison")
    result, marker = out / ".ledger" / "results" / f"{bad}.jsonl.gz", out / ".ledger" / "done" / f"{bad}.json"
    whole = result.read_bytes()
    num_lost = 3
    if what == "cut":
        result.write_bytes(whole[:-5])
    elif what == "changed":
        result.write_bytes(whole[:40] + bytes([whole[40] ^ 4]) + whole[41:])
    elif what == "gone":
        result.unlink()
    elif what == "no gzip":
        write_unit(out / ".ledger", bad, [])
        data = b"not gzip"
        result.write_bytes(data)
        told = json.loads(marker.read_text())
        marker.write_text(json.dumps({**told, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}))
    else:
        num_lost = 1  # how many there were nobody knows
        marker.unlink() if what == "no marker" else marker.write_text('{"found": 3}')
    for _ in range(2):
        stats = merged(out, [good, bad])
        assert stats["drops"] == {"damaged_result": num_lost}
        assert (stats["found"], stats["rows"]) == (3 + num_lost, 3)
        assert [row["repository"] for row in rows_of(out)] == ["good"] * 3
        assert all(bad in each["evidence"] for each in errors_of(out))


def test_items_that_are_missing_or_too_many(mined: tuple[Path, list[Path]], tmp_path: Path) -> None:
    made, inputs = mined
    out = tmp_path / "out"
    shutil.copytree(made, out)
    key = key_of(out, "poison")
    lines = lines_of(out / ".ledger" / "results" / f"{key}.jsonl.gz")
    write_unit(out / ".ledger", key, lines[:2])
    assert run(out, *inputs).stats["drops"] == {"damaged_result": 1}
    write_unit(out / ".ledger", key, [*lines, *lines])
    stats = run(out, *inputs).stats
    assert (stats["found"], stats["rows"], stats["drops"]) == (6, 6, {})


def test_a_damaged_configuration_is_told(mined: tuple[Path, list[Path]], tmp_path: Path) -> None:
    made, inputs = mined
    out = tmp_path / "out"
    shutil.copytree(made, out)
    for text in ("", "{", "[]", DEEP_JSON):
        (out / ".ledger" / "config.json").write_text(text)
        with pytest.raises(CorpusError, match=r"damaged; give another --out, or --overwrite"):
            run(out, *inputs)


# any value anywhere ---------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63), 2**70, 10**400, 1 << 53])
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["\ud800", "ok", "exception", "clean", "mined", "exact", "{}", "[]", '{"async": 1}', "x\0y"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
PLACES = [
    *[(column.name,) for column in ROW_COLUMNS],
    *[(column.name, field.name) for column in COLUMNS for field in column.fields],
]
FULL = {**row_of("x").columns, "choices": [CHOICE], "beliefs": [BELIEF]}


@st.composite
def odd_rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row that is good but for some values, which may be any."""
    row = copy.deepcopy(FULL)
    for name, *field in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=2)):
        value = draw(VALUES)
        if not field:
            row[name] = value
        elif isinstance(row[name], list) and row[name] and isinstance(row[name][0], dict):
            row[name][0][field[0]] = value
    return row


def test_the_full_row_passes() -> None:
    check_row(FULL)


@settings(max_examples=400, deadline=None)
@given(odd_rows())
def test_arrow_takes_what_the_check_lets_pass(row: dict[str, Any]) -> None:
    try:
        check_row(json.loads(json.dumps(row)))
    except ValueError as error:
        assert len(str(error)) < 500
        return
    added = {"new_characters": None, "split": "train"}
    table = pa.Table.from_pylist([{**row, **added}], schema=features().arrow_schema)
    (again,) = table.to_pylist()
    assert again == {**row, **added}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(odd_rows(), min_size=1, max_size=4))
def test_any_value_in_any_column_is_a_row_or_a_drop(
    tmp_path_factory: pytest.TempPathFactory, odd: list[dict[str, Any]]
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    ledger = Ledger(root)
    good = row_of("good")
    ledger.finish("unit", [good, *[row_of(f"x{number}") for number in range(len(odd))]], 1 + len(odd))
    write_unit(root / ".ledger", "unit", [good.line, *[json.dumps(row).encode() for row in odd]])
    stats = merge(Ledger(root), ["unit"], notes={}, config={}).stats
    assert stats["found"] == 1 + len(odd) == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())
    assert {*stats["drops"]} <= {"bad_row"}
    assert good.columns["text"] in [row["text"] for row in rows_of(root)]
    assert len(errors_of(root)) == sum(stats["drops"].values())


# before the disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"opened_calls": 2**70},
        {"opened_calls": True},
        {"kept_whole": {"## Licences": 1}},
        {"kept_whole": {"async": 2**70}},
        {"own_frames": 1},
        {"own_frames": 2**70, "unopened_frames": {"async": 2**70}},
        {"outcome": "<b>"},
        {"setup": {"code": DEEP}},
        {"setup": {"code": object()}},
        {"sandbox": {"level": "three", "layers": ""}},
        {"steps": (Step(source="x", output="", kind="system"),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_trace_that_no_column_takes_is_a_drop(changes: dict[str, Any]) -> None:
    found = make_row(trace_of("x", **changes), origin())
    assert isinstance(found, Drop) and found.reason == "bad_row" and found.evidence, found


ENTRIES: Any = [{"path": "m.py", "name": f"f{n}", "repository": "r", "entry": "doctest", "line": n} for n in range(4)]


@pytest.mark.parametrize("error", [ValueError("v"), RecursionError("deep"), OverflowError("big"), KeyError("k")])
def test_what_an_origin_raises_costs_what_is_left_of_the_unit(tmp_path: Path, error: Exception) -> None:
    def traces(payload: Any) -> Iterator[Any]:
        yield row_of("a")
        yield Dropped.at(ENTRIES[1], reason="empty", evidence="")
        raise error

    Ledger(tmp_path).add(WorkUnit(key="unit", payload={"snippets": ENTRIES}))
    marker = UnitTask(out=tmp_path, traces=traces)("unit")
    assert (marker.found, marker.rows, marker.drops) == (4, 1, 3)
    drops = [item for item in Ledger(tmp_path).items("unit") if isinstance(item, Dropped)]
    assert [(drop.name, drop.reason) for drop in drops] == [
        ("f1", "empty"),
        ("f2", "internal_error"),
        ("f3", "internal_error"),
    ]
    assert type(error).__name__ in drops[1].evidence


@pytest.mark.parametrize("error", [CorpusError("no sandbox"), OSError(28, "full"), MemoryError()])
def test_what_is_so_for_all_units_ends_the_run(tmp_path: Path, error: Exception) -> None:
    def traces(payload: Any) -> Iterator[Any]:
        raise error
        yield

    Ledger(tmp_path).add(WorkUnit(key="unit", payload={"snippets": ENTRIES}))
    with pytest.raises(type(error)):
        UnitTask(out=tmp_path, traces=traces)("unit")
    assert not Ledger(tmp_path).is_done("unit")


@pytest.mark.parametrize(
    "change",
    [{"found": 1.0}, {"texts": ["xyz"]}, {"texts": 3}, {"repositories": {"r": -1}}, {"bytes": 2**70}, {"films": 1}],
    ids=str,
)
def test_a_marker_that_is_none_is_refused(change: dict[str, Any]) -> None:
    good = Marker(found=1, rows=1, drops=0, texts=("aa",), repositories={"r": 1}, bytes=1, sha256="").to_json()
    assert Marker.from_json(json.loads(json.dumps(good))).found == 1
    with pytest.raises(ValueError, match="expected"):
        Marker.from_json({**json.loads(json.dumps(good)), **change})


# the poison repository ------------------------------------------------------------------------------------------------

REACH = """
import sys
def forge(change):
    frame = sys._getframe()
    while frame is not None and not hasattr(frame.f_locals.get("context"), "send"):
        frame = frame.f_back
    if frame is None:
        return 1  # nothing of the tracer's is in reach
    cells = frame.f_locals["context"].send.__closure__
    cell = next(cell for cell in cells if callable(cell.cell_contents))
    raw = cell.cell_contents
    cell.cell_contents = lambda message: raw(change(message))
    return 1
"""
SUMMARY = "m['drive_summary']"
FORGERIES = {
    name: f"{{'drive_summary': {{**{SUMMARY}, {fields}}}}}"
    for name, fields in {
        "opened_calls": "'opened_calls': 2**70",
        "kept": "'kept': {'## Licences': 1}",
        "depth": f"'commands': {{**{SUMMARY}['commands'], 'depth': [2**70]}}",
        "spare": "'spare': chr(0xd800) * 9999",
        "more": "'films': [[[[2**70]]]]",
    }.items()
}


def test_the_poison_repository_costs_only_itself(tmp_path: Path, make_repository: Callable[..., Path]) -> None:
    """faults.md, A2: a record with a number that no column takes once ended every merge for all repositories."""
    forging = "".join(
        f'def f_{name}():\n    """\n    >>> forge(lambda m: {code} if "drive_summary" in m else m)\n    1\n    """\n'
        for name, code in FORGERIES.items()
    )
    good = make_repository("good", {"m.py": 'def f():\n    """\n    >>> 1 + 1\n    2\n    """\n'})
    poison = make_repository("poison", {"p.py": REACH + forging})
    for _ in range(2):
        # calls are harvested from the forgeries as well, where they find something
        arguments = ("--sources", "doctest", "--environment", "none", "--jobs", 1)
        told = command(poison, good, "--out", tmp_path / "out", *arguments)
        assert told.returncode == 0 and "Traceback" not in told.stderr, told.stderr
        stats = json.loads((tmp_path / "out" / "stats.json").read_text())
        assert stats["found"] == 1 + len(FORGERIES) == stats["rows"] + sum(stats["drops"].values())
        assert [row["text"] for row in rows_of(tmp_path / "out") if row["repository"] == "good"] == [">>> 1 + 1\n2\n"]
        # a forgery that found nothing to reach ran as what it is, and is a row like others
        assert all(row["opened_calls"] < 10 for row in rows_of(tmp_path / "out"))
        assert all(each["evidence"] for each in errors_of(tmp_path / "out"))
