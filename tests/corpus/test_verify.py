"""``trace-mine verify``: a true dataset passes, one with a changed character does not, and nothing of it is obeyed."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import command_here
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.schema import features
from trace_mine.tracer.formats import repl
from trace_mine.tracer.schema import Step

MODULE = '''\
import random
def double(n):
    """
    >>> double(4)
    8
    """
    return n * 2
if __name__ == "__main__":
    print(double(3))
    raise SystemExit(0)
'''
VERSION_1 = Path(__file__).resolve().parents[1] / "data" / "version-1"


def command(*arguments: object) -> tuple[int, str]:
    """The exit code, and what was printed on both streams."""
    told = command_here.command(*arguments)
    return told.returncode, told.stderr + told.stdout


def report_of(*arguments: object) -> tuple[int, dict[str, Any]]:
    code, told = command("verify", *arguments, "--json")
    return code, json.loads(told)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repositories") / "shop"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1.0"\n')
    (root / "m.py").write_text(MODULE)
    return root


@pytest.fixture(scope="module")
def mined(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mined") / "out"
    code, told = command(repository, "--out", out, "--jobs", 1, "--sources", "doctest,script,test")
    assert code == 0, told
    return out


@pytest.fixture(scope="module")
def row(mined: Path) -> dict[str, Any]:
    """The row of the function that doubles."""
    rows = [row for shard in (mined / "data").glob("*.parquet") for row in pq.read_table(shard).to_pylist()]
    (double,) = [row for row in rows if row["name"] == "m.double"]
    return double


def dataset_of(out: Path, rows: list[dict[str, Any]], row_group_size: int = 1000) -> Path:
    (out / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=features().arrow_schema)
    pq.write_table(table, out / "data" / "train-00000-of-00001.parquet", row_group_size=row_group_size)
    return out


def failures_of(report: dict[str, Any]) -> list[tuple[int, list[str]]]:
    """The number of each row that failed, with what refused it."""
    return [(each["row"], sorted(each["failures"])) for each in report["failures"]]


def forged(row: dict[str, Any], **setup: Any) -> dict[str, Any]:
    """The row with another set-up, and steps, segments and name that agree with its text, as a forger would have it."""
    steps = []
    for source, output in repl.parse(row["text"]):
        steps.append(Step(source=source, output=output, kind="statement"))
    rendered = repl.render(steps)
    columns = [
        {**row["steps"][min(place, len(row["steps"]) - 1)], "source": step.source, "output": step.output}
        for place, step in enumerate(steps)
    ]
    segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in rendered.segments]
    told = json.dumps({**json.loads(row["setup"]), **setup}, sort_keys=True)
    place = (row["repository"], row["version"], row["path"], row["name"], row["line"])
    return {
        **row,
        "setup": told,
        "text": rendered.text,
        "segments": segments,
        "steps": columns,
        "states": ["{}"] * len(steps),
        "source": [],
        "calls": [],  # of other steps
        "trace_id": content_key(rendered.text, told, *place),
    }


def test_a_true_dataset_is_verified(mined: Path, repository: Path) -> None:
    code, report = report_of(mined, "--repository", repository)
    assert code == 0, report
    assert (report["sampled"], report["verified"], report["not_verified"], report["not_checkable"]) == (2, 2, 0, 0)
    assert report["printed"]["literal"] == 2
    code, told = command("verify", mined, "--repository", repository)
    assert code == 0
    assert "verified 2 of 2 rows (fresh " in told and "not verified 0, not checkable 0; the dataset has 2" in told
    assert told.count("sandbox: level") == 1


HEAD = "Traceback (most recent call last):\n    ...\n"


def test_a_row_is_no_more_than_what_readers_compare(row: dict[str, Any], tmp_path: Path) -> None:
    """Texts of which doctest skips a part, and one whose segments are not those of its steps."""
    bare = {**row, "setup": json.dumps({**json.loads(row["setup"]), "module": None, "sys_path": [], "code": ""})}
    texts = [
        ">>> x = 2 + 2\n\n2 + 2 is 5\n",
        ">>> x = 2 + 2\n>>> # x\n5\n",
        ">>> 1 / 0\nTraceback (most recent call last):\n  2 + 2 is 5\nZeroDivisionError: division by zero\n",
        ">>> x = 2 + 2\n>>> x\n4\n",
        ">>> x = 2 + 2\n>>> x\n4\n",
    ]
    rows = [forged({**bare, "text": text}, module=None, sys_path=[], code="") for text in texts]
    rows[4]["segments"][0]["role"], rows[4]["segments"][1]["role"] = "command", "prompt"
    code, report = report_of(dataset_of(tmp_path / "out", rows))
    assert code == 1 and report["verified"] == 1
    assert failures_of(report) == [
        (0, ["fresh", "literal"]),
        (1, ["fresh", "literal"]),
        (2, ["fresh", "literal"]),
        (4, ["segments"]),
    ]


def test_steps_that_are_read_as_others_fail(row: dict[str, Any], tmp_path: Path) -> None:
    """An output that holds a prompt gives the same text as an output and a command."""
    changed = forged({**row, "text": ">>> x = 4\n>>> x\n4\n>>> x\n4\n"}, module=None, sys_path=[], code="")
    steps = [{**step} for step in changed["steps"][:2]]
    steps[1]["output"] = "4\n>>> x\n4"
    changed |= {"steps": steps, "states": changed["states"][:2]}
    changed["segments"] = [each for each in changed["segments"] if each["step"] < 2]
    changed["segments"][-1]["end"] = len(changed["text"])
    code, report = report_of(dataset_of(tmp_path / "out", [changed]))
    assert code == 1 and failures_of(report) == [(0, ["steps"])]


def test_a_row_that_goes_on_after_an_exit_is_not_called_verified(row: dict[str, Any], tmp_path: Path) -> None:
    ends = f">>> raise SystemExit\n{HEAD}SystemExit\n"
    like = f">>> class SystemExitLike(Exception): pass\n>>> raise SystemExitLike\n{HEAD}SystemExitLike\n"
    asks = ">>> import sys\n>>> 4 if hasattr(sys, 'ps1') else 5\n5\n"
    texts = [ends, ends + ">>> 1\n1\n", asks + ends + ">>> 1\n1\n", like + asks]
    rows = [forged({**row, "text": text}, module=None, sys_path=[], code="") for text in texts]
    code, report = report_of(dataset_of(tmp_path / "out", rows))
    assert code == 1 and report["verified"] == 1
    assert failures_of(report) == [(2, ["fresh"]), (3, ["fresh"])]
    assert list(report["not_checkable_reasons"]) == [
        "not asked at a prompt: it goes on after SystemExit, which ends one"
    ]


def test_one_changed_character_fails(row: dict[str, Any], repository: Path, tmp_path: Path) -> None:
    text = row["text"]
    changes = [
        text.replace("8", "9"),
        text.replace("n * 2", "n * 3"),
        text.replace("= 4", "= 5"),
        text[:-1] + " \n",
        text.replace(">>> ", ">>>  ", 1),
    ]
    assert text not in changes
    rows = [{**row, "text": change} for change in changes]
    code, report = report_of(dataset_of(tmp_path / "out", [row, *rows]), "--repository", repository)
    assert code == 1 and report["verified"] == 1
    assert [number for number, _ in failures_of(report)] == [1, 2, 3, 4, 5]
    first = report["failures"][0]
    assert (first["name"], first["repository"], first["path"], first["trace_id"]) == (
        *("m.double", "shop", "m.py"),
        row["trace_id"],
    )


def test_a_forged_row_fails_by_what_it_prints(row: dict[str, Any], repository: Path, tmp_path: Path) -> None:
    """Whoever forges a row makes its hash and its steps agree; what remains is to run it."""
    out = dataset_of(tmp_path / "out", [forged(row), forged({**row, "text": row["text"].replace("8", "9")})])
    code, report = report_of(out, "--repository", repository)
    assert code == 1 and report["verified"] == 1 and failures_of(report) == [(1, ["fresh", "literal"])], report
    told = report["failures"][0]["failures"]
    assert all("printed" in why and "'8" in why and "'9" in why for why in told.values()), told
    code, shown = command("verify", out, "--repository", repository)
    (line,) = [line for line in shown.splitlines() if line.startswith("not verified: ")]
    assert code == 1 and "row 1, shop m.double (m.py:" in line and "verified 1 of 2 rows" in shown


def test_a_row_that_is_none_fails(row: dict[str, Any], tmp_path: Path) -> None:
    wrong: list[tuple[str, Any, str]] = [
        ("trace_id", "0" * 32, "trace_id"),
        ("steps", [], "columns"),
        ("segments", [], "columns"),
        ("states", ["not JSON"], "columns"),
        ("setup", "[]", "columns"),
        ("outcome", "fine", "columns"),
        ("opened_calls", None, "columns"),
        ("kept_whole", '{"films": 1}', "columns"),
        ("printed_by", ["## x"], "columns"),
        ("states_verified", 10**6, "columns"),
    ]
    steps = [{**row["steps"][0], "source": "x = 1"}, *row["steps"][1:]]
    rows = [{**row, column: value} for column, value, _ in wrong] + [{**row, "steps": steps}]
    code, report = report_of(dataset_of(tmp_path / "out", rows))
    assert code == 1
    assert failures_of(report) == [(place, [each[2]]) for place, each in enumerate(wrong)] + [(len(wrong), ["steps"])]


def test_what_it_has_not_it_can_not_check(row: dict[str, Any], mined: Path, repository: Path, tmp_path: Path) -> None:
    code, report = report_of(mined)
    assert (code, report["verified"], report["not_checkable"]) == (1, 0, 2)
    assert report["not_checkable_reasons"] == {"the repository shop was not given": 2}
    other = tmp_path / "shop"
    shutil.copytree(repository, other)
    (other / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "2.0"\n')
    _, report = report_of(mined, "--repository", other)
    assert report["not_checkable_reasons"] == {"of shop another version was given": 2}
    later = dataset_of(tmp_path / "later", [row, {**row, "schema_version": 10**6}])
    code, report = report_of(later, "--repository", repository)
    assert (code, report["verified"], report["not_checkable"], report["not_verified"]) == (0, 1, 1, 0)


def test_rows_of_version_1_are_rows(tmp_path: Path) -> None:
    root = tmp_path / "game"
    root.mkdir()
    (root / "other.py").write_text("x = 1\n")
    _, report = report_of(VERSION_1, "--repository", root)
    told = [*report["not_checkable_reasons"], *(why for each in report["failures"] for why in each["failures"])]
    assert not {"columns", "trace_id", "steps", "setup"} & {*told}, report


def test_the_same_seed_draws_the_same_rows(row: dict[str, Any], tmp_path: Path) -> None:
    out = dataset_of(tmp_path / "out", [{**row, "outcome": "none of the words"}] * 5, row_group_size=2)
    drawn = {
        seed: [failures_of(report_of(out, "--sample", 2, "--seed", seed)[1]) for _ in range(2)] for seed in range(8)
    }
    assert all(once == again and len(once) == 2 for once, again in drawn.values())
    assert {number for once, _ in drawn.values() for number, _ in once} == {0, 1, 2, 3, 4}


def is_harmless(shown: str) -> bool:
    return not [char for char in shown if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl")]


NASTY = "\x1b[2J\x1b[31m\u202e\nverified 99 of 99 rows"


def test_names_and_evidence_of_a_row_act_nowhere(row: dict[str, Any], repository: Path, tmp_path: Path) -> None:
    nasty = forged({**row, "name": NASTY, "path": NASTY, "text": f">>> print({NASTY!r})\nno\n"})
    elsewhere = forged({**row, "repository": NASTY})
    code, told = command("verify", dataset_of(tmp_path / "out", [nasty, elsewhere]), "--repository", repository)
    assert code == 1 and is_harmless(told)
    assert "not verified: row 0" in told and "not checkable, 1 of 2: the repository" in told
    assert not [line for line in told.splitlines() if line.startswith("verified 99")]


def test_a_hostile_set_up_fails(row: dict[str, Any], repository: Path, tmp_path: Path) -> None:
    refused = [
        {"sys_path": ["/etc"]},
        {"sys_path": ["../.."]},
        {"sys_path": "m"},
        {"module": 5},
        {"choices": {}},
        {"code": None},
        {"sys_path": ["\ud800"]},
        {"sys_path": ["a" * 1_001]},
        {"sys_path": ["a"] * 101},
    ]
    run = [
        {"module": "no.such.module"},
        {"code": "raise SystemExit"},
        {"code": "while True: pass"},
        {"code": "import os; os._exit(0)"},
        {"choices": [[1]]},
        {"choices": [{"a": "b" * 10}]},
        {"module": "\ud800"},
        {"module": ""},
        {"code": "\ud800"},
        {"code": "\0"},
        {"sys_path": ["no/such/folder"], "module": "no.such.module"},
        {"sys_path": ["m.py/"], "module": "no.such.module"},
        {"sys_path": ["a" * 300], "module": "no.such.module"},
    ]
    rows = [forged(row, **setup) for setup in (*refused, *run)]
    out = dataset_of(tmp_path / "out", [*rows, row])
    code, report = report_of(out, "--repository", repository, "--timeout", 1, "--sample", 100)
    told = failures_of(report)
    assert code == 1 and report["verified"] == 1
    assert told[: len(refused)] == [(number, ["setup"]) for number in range(len(refused))]
    assert [number for number, _ in told] == [*range(len(rows))]


def test_a_row_reaches_nothing_of_this_machine(row: dict[str, Any], repository: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    source = f">>> len(open({str(secret)!r}).read())\n11\n"
    out = dataset_of(tmp_path / "out", [forged({**row, "text": source})])
    code, report = report_of(out, "--repository", repository)
    assert code == 1 and failures_of(report) == [(0, ["fresh", "literal"])], report


@pytest.mark.parametrize(
    "arguments",
    [("nowhere",), ("DATASET", "--sample", 0), ("DATASET", "--repository", "nowhere"), ("DATASET", "--packages", "no")],
    ids=str,
)
def test_wrong_usage_is_told(mined: Path, arguments: tuple[object, ...]) -> None:
    given = [mined if each == "DATASET" else each for each in arguments]
    code, told = command("verify", *given)
    assert code == 2 and "expected" in told and "Traceback" not in told


def test_a_folder_without_rows_or_a_damaged_file_is_told(mined: Path, tmp_path: Path) -> None:
    code, told = command("verify", tmp_path)
    assert code == 2 and "expected a dataset with rows" in told
    out = tmp_path / "out"
    shutil.copytree(mined, out)
    (shard,) = (out / "data").glob("*.parquet")
    whole = shard.read_bytes()
    for damaged in (whole[:-10], b"PAR1", whole[:200] + bytes(200) + whole[400:]):
        shard.write_bytes(damaged)
        code, told = command("verify", out)
        assert code == 1 and "get the dataset again" in told and "Traceback" not in told
    pq.write_table(pa.Table.from_pylist([], schema=features().arrow_schema), shard)
    assert command("verify", out)[0] == 2


@pytest.mark.slow
def test_a_row_of_any_size_is_a_failure_of_that_row(row: dict[str, Any], repository: Path, tmp_path: Path) -> None:
    """Longer than a message to a jail, in the characters that take the most room there."""
    huge = [
        forged(row, code="#" + "\u20ac" * 12_000_000),
        forged(row, module="\U0001f40d" * 6_000_000),
        forged({**row, "text": ">>> 1\n1\n# " + "\u20ac" * 12_000_000 + "\n"}),
        {**row, "name": "n" * 10_000_000, "repository": "r" * 10_000_000},
    ]
    code, report = report_of(dataset_of(tmp_path / "out", [*huge, row]), "--repository", repository)
    assert code == 1 and report["verified"] == 1
    assert [number for number, _ in failures_of(report)] == [0, 1, 2, 3]
    assert len(json.dumps(report)) < 100_000


def test_values_that_python_lacks_are_a_failure_of_that_row(
    row: dict[str, Any], repository: Path, tmp_path: Path
) -> None:
    out = dataset_of(tmp_path / "out", [row, row])
    (shard,) = (out / "data").iterdir()
    table = pq.read_table(shard)
    days = pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32())
    pq.write_table(table.append_column("day", days), shard)
    code, report = report_of(out, "--repository", repository)
    assert code == 1 and failures_of(report) == [(0, ["columns"]), (1, ["columns"])], report
