"""Units run while others are planned; what ends the planning or the engine ends both, and is raised once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from own_process import OwnProcess
from trace_mine.corpus.engines import KeyFeed, KeyList, PlanningEnded
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.unit_run import UnitRun
from trace_mine.corpus.work import Dropped, Item, Payload, WorkUnit

SNIPPET = {"path": "m.py", "name": "f", "repository": "r", "entry": "doctest", "line": 1}
PATIENCE = 20.0
"""Seconds after which a test says that what it waits for does not come."""


def traces(payload: Payload) -> Iterator[Item]:
    yield Dropped.at(SNIPPET, reason="empty", evidence="")


def put(ledger: Ledger, run: UnitRun, key: str) -> None:
    ledger.add(WorkUnit(key=key, payload={"snippets": [SNIPPET]}))
    run.put(key)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def test_the_first_unit_is_finished_before_the_second_one_is_planned(tmp_path: Path) -> None:
    ledger, done = Ledger(tmp_path), []
    with UnitRun(ledger, traces, OwnProcess(), on_done=lambda key, marker: done.append(key)) as run:
        for key in ("a1", "b2", "c3"):
            put(ledger, run, key)
            until(lambda key=key: ledger.is_done(key))  # type: ignore[misc]
    assert done == ["a1", "b2", "c3"]


def test_all_are_finished_at_the_end_and_those_of_an_earlier_run_are_told(tmp_path: Path) -> None:
    ledger, done = Ledger(tmp_path), []
    keys = [f"{number:08x}" for number in range(20)]
    for _ in range(2):
        done.clear()
        with UnitRun(ledger, traces, OwnProcess(), on_done=lambda key, marker: done.append(key)) as run:
            for key in keys:
                put(ledger, run, key)
        assert sorted(done) == keys


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_what_ends_the_planning_ends_the_engine(kind: type[BaseException], tmp_path: Path) -> None:
    ledger, engine = Ledger(tmp_path), OwnProcess()
    with pytest.raises(kind), UnitRun(ledger, traces, engine, on_done=lambda key, marker: None) as run:
        put(ledger, run, "a1")
        until(lambda: ledger.is_done("a1"))
        raise kind
    assert engine.is_closed
    assert not [thread for thread in threading.enumerate() if thread.name == "units"]


def test_what_the_engine_raises_is_raised_by_the_next_check(tmp_path: Path) -> None:
    def full(key: str) -> None:
        raise OSError(28, "No space left on device")

    ledger, planned = Ledger(tmp_path), []
    with (
        pytest.raises(OSError, match="No space"),
        UnitRun(ledger, traces, OwnProcess(full), on_done=lambda key, marker: None) as run,
    ):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            run.check()
            planned.append(f"{len(planned):08x}")
            put(ledger, run, planned[-1])
            time.sleep(0.02)
    assert planned and time.monotonic() < deadline


def test_what_the_engine_raises_over_the_last_unit_is_raised_at_the_end(tmp_path: Path) -> None:
    def lost(key: str) -> None:
        raise LookupError("no sandbox")

    with (
        pytest.raises(LookupError),
        UnitRun(Ledger(tmp_path), traces, OwnProcess(lost), on_done=lambda key, marker: None) as run,
    ):
        put(Ledger(tmp_path), run, "a1")


def test_a_feed_gives_each_key_once_and_says_when_it_is_over() -> None:
    feed = KeyFeed()
    assert feed.take() is None and feed.left() is None and not feed.wait(1, 0.01)
    feed.put("a")
    feed.put("b")
    assert feed.wait(2, 0.0) and feed.left() is None
    assert [feed.take(), feed.take(), feed.take()] == ["a", "b", None]
    feed.end()
    assert feed.left() == 0 and feed.wait(1, 0.0)
    feed.stop()
    for ask in (feed.take, feed.left, lambda: feed.wait(1, 0.0)):
        with pytest.raises(PlanningEnded):
            ask()


def test_a_list_is_a_source_that_is_known() -> None:
    keys = KeyList(["a", "b"])
    assert keys.left() == 2 and keys.wait(5, 9.0)
    assert [keys.take(), keys.take(), keys.take(), keys.left()] == ["a", "b", None, 0]
