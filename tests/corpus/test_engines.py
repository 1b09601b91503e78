"""Every engine keeps the contract of ``corpus.engines.contract``: markers as they come, deaths told, workers ended."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from corpus_fakes import DyingTask, FailingTask, MarkingTask, SlowTask, marker_of

from trace_mine.corpus.engines import ENGINES, Engine, KeyFeed, KeyList, PlanningEnded, WorkersLost, make_engine
from trace_mine.corpus.engines.cluster import Answer, Cluster, Death
from trace_mine.corpus.errors import CorpusError

PACKAGES = {"dask": "distributed", "ray": "ray"}


def numbers_of_workers(slow_too: tuple[str, ...] = ()) -> list[object]:
    """(engine, workers): with a single worker a cluster of its own keeps the same contract, and takes seconds more."""
    pairs = [(name, jobs) for name in ENGINES for jobs in (1, 2)]
    is_slow = [(name in PACKAGES and jobs == 1) or name in slow_too for name, jobs in pairs]
    return [
        pytest.param(pair, id=str(pair), marks=[pytest.mark.slow] * slow)
        for pair, slow in zip(pairs, is_slow, strict=True)
    ]


@pytest.fixture(scope="module", params=numbers_of_workers())
def made(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, int]]:
    """An engine and its number of workers, kept for all tests, since clusters take seconds to start."""
    name, jobs = request.param
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name], reason=f"needs the extra [{name}]")
    with closing(ENGINES[name](jobs)) as engine:
        yield engine, jobs


FEWER = pytest.mark.parametrize("made", numbers_of_workers(slow_too=("ray",)), indirect=True)
"""For tests after which an engine starts again, 8 s of CPU with Ray; what they look at all clusters share, and Dask's
keeps it quickly."""


@pytest.fixture
def engine(made: tuple[Engine, int]) -> Engine:
    return made[0]


def all_of(engine: Engine, task, keys) -> dict:
    pairs = list(engine.run(task, KeyList(keys)))
    assert len(pairs) == len({key for key, _ in pairs}), "each key at most once"
    return dict(pairs)


def test_every_unit_is_finished_once_and_its_marker_given(engine: Engine, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(11)]
    assert all_of(engine, MarkingTask(tmp_path), keys) == {key: marker_of(key) for key in keys}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(keys)
    assert all(path.read_text() != str(os.getpid()) for path in tmp_path.iterdir()), "in processes of its own"


def test_no_units_are_no_work(engine: Engine) -> None:
    assert list(engine.run(MarkingTask(Path("/nowhere")), KeyList([]))) == []


def test_a_death_names_the_units_under_way(made: tuple[Engine, int], tmp_path: Path) -> None:
    engine, jobs = made
    keys = [f"k{number}" for number in range(30)]
    finished = []
    with pytest.raises(WorkersLost) as lost:
        for key, _ in engine.run(DyingTask(tmp_path, "k7"), KeyList(keys)):
            finished.append(key)
    assert "k7" in lost.value.keys
    assert set(lost.value.keys).isdisjoint(finished)
    assert len(lost.value.keys) <= 4 * jobs, "few are suspects"
    # Nothing is forgotten: what is neither finished nor a suspect was never handed out.
    began = {path.name for path in tmp_path.iterdir()}
    assert began <= {*finished, *lost.value.keys}


def test_a_unit_alone_that_dies_is_the_one_suspect(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(WorkersLost) as lost:
        list(engine.run(DyingTask(tmp_path, "k"), KeyList(["k"])))
    assert lost.value.keys == ("k",)


def test_keys_that_come_late_are_run_and_those_before_are_given_meanwhile(engine: Engine, tmp_path: Path) -> None:
    """A source that plans its second key only once the first one is finished, as a slow archive would."""
    feed = KeyFeed()
    feed.put("k0")
    finished = []
    for key, _ in engine.run(MarkingTask(tmp_path), feed):
        finished.append(key)
        if len(finished) < 5:
            feed.put(f"k{len(finished)}")
        else:
            feed.end()
    assert finished == ["k0", "k1", "k2", "k3", "k4"]


def test_a_death_leaves_the_keys_that_were_not_given_in_the_source(engine: Engine, tmp_path: Path) -> None:
    feed = KeyFeed()
    keys = [f"k{number}" for number in range(30)]
    for key in keys:
        feed.put(key)
    finished = []
    with pytest.raises(WorkersLost) as lost:
        for key, _ in engine.run(DyingTask(tmp_path, "k3"), feed):
            finished.append(key)
    feed.end()
    left = [*iter(feed.take, None)]
    assert sorted([*finished, *lost.value.keys, *left]) == sorted(keys)


def test_closing_early_ends_the_workers(engine: Engine, tmp_path: Path) -> None:
    with closing(engine.run(SlowTask(tmp_path, "k0"), KeyList(["k0", "k1", "k2", "k3"]))) as finished:
        assert next(finished)[0] == "k0"
        deadline = time.monotonic() + 60
        while not (pids := [int(path.read_text() or 0) for path in tmp_path.iterdir() if path.name != "k0"]):
            assert time.monotonic() < deadline, "no other unit was begun in a minute"
            time.sleep(0.01)
    for pid in pids:
        assert pid == 0 or is_gone(pid), "a worker outlives the run that was closed"


@FEWER
def test_what_a_task_raises_reaches_the_caller_as_it_was(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(OSError) as error:
        list(engine.run(FailingTask(tmp_path), KeyList(["k"])))
    assert error.value.errno == 28


@FEWER
def test_planning_that_ends_ends_the_workers(engine: Engine, tmp_path: Path) -> None:
    feed = KeyFeed()
    feed.put("k0")
    feed.put("k1")
    with pytest.raises(PlanningEnded):
        for _ in engine.run(SlowTask(tmp_path, "k0"), feed):
            feed.stop()
    for path in tmp_path.iterdir():
        if path.name != "k0" and path.read_text():
            assert is_gone(int(path.read_text())), "a worker outlives the planning that ended"


def is_gone(pid: int) -> bool:
    """Wait for the end of a process: a cluster is told to end its workers, and takes its time on a busy machine."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.kill(pid, signal.SIG_DFL)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_of_dask_that_is_slow_to_start_again_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask gave a worker up that was not back 15 s after a death: on a busy machine the run then waited for none."""
    pytest.importorskip("distributed", reason="needs the extra [dask]")
    import dask

    monkeypatch.setattr("trace_mine.corpus.engines.cluster.WORKERS_SECONDS", 100.0)
    name = "distributed.deploy.lost-worker-timeout"
    with dask.config.set({name: "1ms"}), closing(make_engine("dask", 1)) as engine:
        with pytest.raises(WorkersLost):
            list(engine.run(DyingTask(tmp_path, "k"), KeyList(["k"])))
        assert all_of(engine, MarkingTask(tmp_path), ["a"]) == {"a": marker_of("a")}
        engine.close()
        assert dask.config.get(name) == "1ms"


def test_a_call_that_waits_for_a_dead_worker_of_dask_runs_elsewhere() -> None:
    """Dask keeps it for the worker that was wished for, where it is submitted while the cluster has no worker."""
    pytest.importorskip("distributed", reason="needs the extra [dask]")
    from trace_mine.corpus.engines.dask import DaskCluster

    cluster = DaskCluster(1, None)
    try:
        pid = cluster.submit(pickle.dumps(os.getpid), near="")
        [(ticket, answer)] = ended(cluster)
        assert ticket == pid
        os.kill(answer.value, signal.SIGKILL)
        assert is_gone(answer.value)
        while cluster._client.nthreads():
            time.sleep(0.01)
        wished = cluster.submit(pickle.dumps(os.getpid), near=answer.where)
        [(ticket, later)] = ended(cluster)
        assert ticket == wished
        assert later.where != answer.where
    finally:
        cluster.close()


def ended(cluster: Cluster) -> Sequence[tuple[Hashable, Answer | Death]]:
    """The calls that ended: asked for as the engine does, which counts the workers too."""
    until = time.monotonic() + 100
    while time.monotonic() < until:
        cluster.num_workers()
        if results := cluster.finished(0.2):
            return results
    return []


@pytest.mark.parametrize("jobs", [0, -1])
@pytest.mark.parametrize("name", ENGINES)
def test_no_workers_are_refused(name: str, jobs: int) -> None:
    with pytest.raises(ValueError, match="expected jobs >= 1"):
        ENGINES[name](jobs)


def test_an_unknown_engine_and_an_address_for_this_machine_are_refused() -> None:
    with pytest.raises(ValueError, match="expected an engine among loky, dask, ray, got 'spark'"):
        make_engine("spark", 1)
    with pytest.raises(ValueError, match="expected --address with the engine dask or ray"):
        make_engine("loky", 1, "tcp://127.0.0.1:8786")


@pytest.mark.parametrize("name", PACKAGES)
def test_an_engine_whose_package_is_missing_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(CorpusError, match=f"got none; do pip install 'trace-mine\\[{name}\\]'"):
        make_engine(name, 2)


@pytest.mark.parametrize(("name", "address"), [("dask", "tcp://127.0.0.1:9"), ("ray", "127.0.0.1:9")])
def test_a_cluster_that_is_not_there_is_told(
    name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"needs the extra [{name}]")
    monkeypatch.setattr("trace_mine.corpus.engines.dask.CONNECT_SECONDS", 2.0)
    with pytest.raises(CorpusError, match=r"expected a (Dask scheduler|Ray cluster) at (tcp://)?127.0.0.1:9, got"):
        [*make_engine(name, 1, address).run(MarkingTask(tmp_path), KeyList(["k"]))]
