"""Every engine keeps the contract of ``corpus.engines.contract``: markers as they come, deaths told, workers ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from corpus_fakes import DyingTask, FailingTask, MarkingTask, SlowTask, marker_of

from trace_mine.corpus.engines import ENGINES, Engine, KeyFeed, KeyList, PlanningEnded, WorkersLost

PACKAGES = {"dask": "distributed", "ray": "ray"}


@pytest.fixture(scope="module", params=[pytest.param(name, id=name) for name in ENGINES])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Engine]]:
    """Makes an engine of so many workers; the last one is kept, as clusters take seconds to start."""
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param], reason=f"needs the extra [{request.param}]")
    made: dict[int, Engine] = {}

    def make_one(jobs: int) -> Engine:
        if jobs not in made:
            for engine in made.values():
                engine.close()
            made.clear()
            made[jobs] = ENGINES[request.param](jobs)
        return made[jobs]

    yield make_one
    for engine in made.values():
        engine.close()


def all_of(engine: Engine, task, keys) -> dict:
    pairs = list(engine.run(task, KeyList(keys)))
    assert len(pairs) == len({key for key, _ in pairs}), "each key at most once"
    return dict(pairs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_unit_is_finished_once_and_its_marker_given(make, jobs: int, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(11)]
    assert all_of(make(jobs), MarkingTask(tmp_path), keys) == {key: marker_of(key) for key in keys}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(keys)
    assert all(path.read_text() != str(os.getpid()) for path in tmp_path.iterdir()), "in processes of its own"


def test_no_units_are_no_work(make) -> None:
    assert list(make(2).run(MarkingTask(Path("/nowhere")), KeyList([]))) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_death_names_the_units_under_way(make, jobs: int, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(30)]
    finished = []
    with pytest.raises(WorkersLost) as lost:
        for key, _ in make(jobs).run(DyingTask(tmp_path, "k7"), KeyList(keys)):
            finished.append(key)
    assert "k7" in lost.value.keys
    assert set(lost.value.keys).isdisjoint(finished)
    assert len(lost.value.keys) <= 4 * jobs, "few are suspects"
    # Nothing is forgotten: what is neither finished nor a suspect was never handed out.
    began = {path.name for path in tmp_path.iterdir()}
    assert began <= {*finished, *lost.value.keys}


def test_a_unit_alone_that_dies_is_the_one_suspect(make, tmp_path: Path) -> None:
    with pytest.raises(WorkersLost) as lost:
        list(make(2).run(DyingTask(tmp_path, "k"), KeyList(["k"])))
    assert lost.value.keys == ("k",)


def test_what_a_task_raises_reaches_the_caller_as_it_was(make, tmp_path: Path) -> None:
    with pytest.raises(OSError) as error:
        list(make(2).run(FailingTask(tmp_path), KeyList(["k"])))
    assert error.value.errno == 28


def test_closing_early_ends_the_workers(make, tmp_path: Path) -> None:
    with closing(make(2).run(SlowTask(tmp_path, "k0"), KeyList(["k0", "k1", "k2", "k3"]))) as finished:
        assert next(finished)[0] == "k0"
        deadline = time.monotonic() + 60
        while not (pids := [int(path.read_text() or 0) for path in tmp_path.iterdir() if path.name != "k0"]):
            assert time.monotonic() < deadline, "no other unit was begun in a minute"
            time.sleep(0.01)
    for pid in pids:
        if pid:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, signal.SIG_DFL)


@pytest.mark.parametrize("jobs", [1, 2])
def test_keys_that_come_late_are_run_and_those_before_are_given_meanwhile(make, jobs: int, tmp_path: Path) -> None:
    """A source that plans its second key only once the first one is finished, as a slow archive would."""
    feed = KeyFeed()
    feed.put("k0")
    finished = []
    for key, _ in make(jobs).run(MarkingTask(tmp_path), feed):
        finished.append(key)
        if len(finished) < 5:
            feed.put(f"k{len(finished)}")
        else:
            feed.end()
    assert finished == ["k0", "k1", "k2", "k3", "k4"]


def test_a_death_leaves_the_keys_that_were_not_given_in_the_source(make, tmp_path: Path) -> None:
    feed = KeyFeed()
    keys = [f"k{number}" for number in range(30)]
    for key in keys:
        feed.put(key)
    finished = []
    with pytest.raises(WorkersLost) as lost:
        for key, _ in make(1).run(DyingTask(tmp_path, "k3"), feed):
            finished.append(key)
    feed.end()
    left = [*iter(feed.take, None)]
    assert sorted([*finished, *lost.value.keys, *left]) == sorted(keys)


def test_planning_that_ends_ends_the_workers(make, tmp_path: Path) -> None:
    feed = KeyFeed()
    feed.put("k0")
    feed.put("k1")
    with pytest.raises(PlanningEnded):
        for _ in make(2).run(SlowTask(tmp_path, "k0"), feed):
            feed.stop()
    for path in tmp_path.iterdir():
        if path.name != "k0" and path.read_text():
            with pytest.raises(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIG_DFL)


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_workers_are_refused(make, jobs: int) -> None:
    with pytest.raises(ValueError, match="expected jobs >= 1"):
        make(jobs)
