"""Rows can be read while a dataset is made and after its making was stopped, and finished ones are never replaced."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import test_produce
from test_produce import SLOW, Silent, doctests, everything_below, run, start, wait_for_units

import trace_mine
from trace_mine.corpus import rows_so_far
from trace_mine.corpus.mined import miner
from trace_mine.corpus.pace import Pace
from trace_mine.corpus.report import Progress
from trace_mine.corpus.rows_so_far import RowsSoFar, is_finished
from trace_mine.corpus.work import Marker

Make = Callable[..., Path]

SLOW_FILES = dict(list(SLOW.items())[:8])
"""64 snippets of a twentieth of a second."""


@pytest.fixture(autouse=True)
def pinned_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miner, "code_hash", lambda: "pinned")


class Telling(Silent):
    """A watcher that keeps the lines, and may stop the run at a unit."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.done: frozenset[str] = frozenset()
        self.shares: list[float] = []
        self._stop_after = stop_after

    def tell(self, line: str) -> None:
        self.lines.append(line)

    def begun(self, done: frozenset[str]) -> None:
        self.done = done

    def planned(self, num_units: int, num_snippets: int, share: float) -> None:
        self.shares.append(share)
        if self._stop_after is not None and num_units > self._stop_after:
            deadline = time.monotonic() + 60
            while len(self.keys) < self._stop_after:
                assert time.monotonic() < deadline, "no unit was finished in a minute"
                time.sleep(0.02)
            raise KeyboardInterrupt


def two_repositories(make_repository: Make) -> list[Path]:
    return [
        make_repository(
            name, {f"m{number}.py": doctests(*(f"{name}{number}_{i}" for i in range(20))) for number in "12"}
        )
        for name in ("first", "second")
    ]


def stopped(out: Path, inputs: list[Path], after: int) -> Telling:
    """Mine until so many units are finished, then press Ctrl-C."""
    watcher = Telling(after)
    with pytest.raises(KeyboardInterrupt):
        run(out, *inputs, watcher=watcher)
    return watcher


def test_after_ctrl_c_the_rows_so_far_are_read(tmp_path: Path, make_repository: Make) -> None:
    out, inputs = tmp_path / "out", two_repositories(make_repository)
    watcher = stopped(out, inputs, 1)
    stats = json.loads((out / "stats.json").read_text())
    assert stats["unfinished"]["units"] >= 1
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())
    assert any(f"{stats['rows']} rows so far" in line for line in watcher.lines)
    rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert sum(map(len, rows.values())) == stats["rows"] > 0
    assert "**Unfinished**" in (out / "README.md").read_text()
    with pytest.warns(UserWarning, match="is unfinished"):
        trace_mine.load(out, cache_dir=tmp_path / "cache")


def test_a_run_that_goes_on_ends_in_the_bytes_of_one_that_was_not_stopped(
    tmp_path: Path, make_repository: Make
) -> None:
    inputs = two_repositories(make_repository)
    run(tmp_path / "whole", *inputs)
    stopped(tmp_path / "cut", inputs, 1)
    assert not is_finished(tmp_path / "cut")
    watcher = Telling()
    run(tmp_path / "cut", *inputs, watcher=watcher)
    assert is_finished(tmp_path / "cut")
    assert everything_below(tmp_path / "cut") == everything_below(tmp_path / "whole")
    (line,) = watcher.lines
    assert line.startswith("going on from ") and line.endswith("and those that were not planned yet")
    assert len(watcher.done) >= 1


def test_units_of_other_code_are_said_to_be_done_again(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = two_repositories(make_repository)
    run(tmp_path / "out", *inputs)
    monkeypatch.setattr(miner, "code_hash", lambda: "another")
    watcher = Telling()
    run(tmp_path / "out", *inputs, watcher=watcher)
    assert len(watcher.lines) == 1
    assert "finished by other code" in watcher.lines[0]


def test_a_finished_dataset_is_not_replaced_by_a_part_of_the_next(tmp_path: Path, make_repository: Make) -> None:
    out, inputs = tmp_path / "out", two_repositories(make_repository)
    run(out, *inputs)
    (inputs[0] / "m1.py").write_text(doctests(*(f"new{i}" for i in range(20))))
    before = {name: data for name, data in everything_below(out).items() if not name.startswith(".ledger")}
    stopped(out, inputs, 1)
    assert {name: data for name, data in everything_below(out).items() if not name.startswith(".ledger")} == before


def test_rows_are_written_while_the_run_goes_on(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RowsSoFar.__init__.__kwdefaults__ or {}, "first_seconds", 0.1)
    out = tmp_path / "out"
    read: list[int] = []

    class Reading(Telling):
        def tell(self, line: str) -> None:
            if "rows so far" in line:
                stats = json.loads((out / "stats.json").read_text())
                rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path / f"cache{len(read)}"))
                assert sum(map(len, rows.values())) == stats["rows"]
                read.append(stats["rows"])

    stats = run(out, make_repository("r", SLOW_FILES), watcher=Reading()).stats
    assert read, "no rows were written in ten seconds of a run"
    assert read == sorted(read)
    assert read[0] < stats["rows"] == 64
    assert "unfinished" not in stats


@pytest.mark.slow
def test_rows_are_left_by_a_killed_run(tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = (
        "from trace_mine.corpus.rows_so_far import RowsSoFar\n"
        "RowsSoFar.__init__.__kwdefaults__['first_seconds'] = 0.1\n"
    )
    monkeypatch.setattr(test_produce, "DRIVER", quick + test_produce.DRIVER)
    out = tmp_path / "out"
    process = start(out, make_repository("r", SLOW_FILES), "--jobs", 2)
    wait_for_units(out, 2)
    deadline = time.monotonic() + 60
    while not (out / "README.md").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert sum(map(len, rows.values())) > 0


def test_a_full_disk_is_told_and_ends_nothing(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows_so_far, "merge", full)
    monkeypatch.setitem(RowsSoFar.__init__.__kwdefaults__ or {}, "first_seconds", 0.1)
    watcher = Telling()
    stats = run(tmp_path / "out", make_repository("r", SLOW_FILES), watcher=watcher).stats
    assert stats["rows"] == 64
    assert [line for line in watcher.lines if "can't be written" in line], watcher.lines


def test_a_damaged_account_of_rows_counts_as_finished(tmp_path: Path) -> None:
    assert not is_finished(tmp_path)
    (tmp_path / "stats.json").write_text("{")
    assert is_finished(tmp_path)


def test_shares_of_the_inputs_end_at_one(tmp_path: Path, make_repository: Make) -> None:
    watcher = Telling()
    run(tmp_path / "out", *two_repositories(make_repository), watcher=watcher)
    assert watcher.shares[0] == 0.5
    assert watcher.shares == sorted(watcher.shares)
    assert watcher.shares[-1] == 1.0


def test_the_pace_is_that_of_this_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.seconds_for(10) is None
    now[0] = 20.0
    assert pace.seconds_for(10) is None  # nothing was finished
    pace.add(5)
    assert pace.seconds_for(10) == 40.0
    assert pace.seconds_for(-3) == 0.0


def marker_of(found: int) -> Marker:
    return Marker(found=found, rows=0, drops=found, texts=(), repositories={}, bytes=0, sha256="")


def test_lines_say_how_long_is_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress()
    progress._pace = Pace(lambda: now[0])
    progress.begun(frozenset({"old"}))
    progress._pace = Pace(lambda: now[0])
    progress.planned(2, 200, 0.5)  # 400 snippets are to be expected
    now[0] = 100.0
    progress.finished("old", marker_of(50))
    progress.finished("new", marker_of(50))
    now[0] = 110.0
    progress.finished("more", marker_of(60))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("units 3/2 found so far: rows 0, duplicates 0, drops 160, about 4 min left")
