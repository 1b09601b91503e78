"""Clusters of Dask and Ray give loky's bytes: whoever dies, whatever disk the workers see; and no command hangs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_here import command
from corpus_fakes import SlowTask
from disturbances import files_of

from trace_mine.corpus.engines import KeyList, make_engine
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined import options

PACKAGES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
PATIENCE = 120.0
"""Seconds after which a test says that what it waits for does not come; a loaded machine takes half of them."""
ENGINES = [pytest.param(name, marks=[pytest.mark.slow] if name == "ray" else []) for name in PACKAGES]


def needs(name: str) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"needs the extra [{name}]")


def module(*sources: str) -> str:
    """A module with a function for each source, whose docstring holds it as an example."""
    return "".join(
        f'def f{number}():\n    """\n    >>> {source}\n    1\n    """\n\n' for number, source in enumerate(sources)
    )


@dataclass(frozen=True)
class DeadlyRepository:
    """A repository of four units, of which one kills each worker, and another one kills one while there is ``flag``.

    ``files`` are those of its dataset as workers of loky make it without the flag.
    """

    root: Path
    flag: Path
    files: Mapping[str, bytes]


ARGUMENTS = ("--sources", "doctest", "--environment", "none", "--jobs", "2")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(options.MineOptions.__init__.__kwdefaults__, "tracer_factory", "corpus_fakes:start_fake")


@pytest.fixture(scope="module")
def kept() -> dict[str, DeadlyRepository]:
    return {}


@pytest.fixture
def deadly(fake: None, kept: dict[str, DeadlyRepository], tmp_path: Path) -> DeadlyRepository:
    """Made once for all engines, by a test's own means: a worker imports the fake tracer by what a test sets."""
    if not kept:
        root, flag = tmp_path / "toolz", tmp_path / "flag"
        root.mkdir()
        (root / "pyproject.toml").write_text('[project]\nname = "toolz"\nversion = "1.0"\nlicense = "MIT"\n')
        for number in range(4):
            last = {1: "DIE", 2: f"'ONCE_{flag}'"}.get(number, "x")
            (root / f"m{number}.py").write_text(module(*(f"x{number}_{i}" for i in range(31)), last))
        assert command(root, *ARGUMENTS, "--out", tmp_path / "loky").returncode == 0
        kept["toolz"] = DeadlyRepository(root, flag, files_of(tmp_path / "loky"))
    return kept["toolz"]


@pytest.mark.parametrize("name", ENGINES)
def test_killed_workers_cost_nothing_but_the_unit_that_kills_each_of_them(
    name: str, deadly: DeadlyRepository, tmp_path: Path
) -> None:
    """A worker is killed (SIGKILL) over one unit, and each one over another; loky undisturbed is the measure."""
    needs(name)
    deadly.flag.touch()
    told = command(deadly.root, *ARGUMENTS, "--out", tmp_path / "out", "--engine", name)
    assert told.returncode == 0, told.stderr
    assert not deadly.flag.exists(), "a worker was killed"
    assert files_of(tmp_path / "out") == deadly.files
    assert json.loads((tmp_path / "out" / "stats.json").read_text())["drops"] == {"worker_died": 32}


class Elsewhere:
    """Two workers of a cluster that see nothing below a folder, and have caches of their own.

    Attributes:
        hidden: the folder.
        address: of the cluster.
        caches: the workers' caches; one where all workers are of one machine.
    """

    def __init__(self, scratch: Path) -> None:
        self.hidden, self.scratch = scratch / "hidden", scratch
        self.hidden.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.caches: list[Path] = []

    def open(self, name: str) -> None:
        scratch = self.scratch
        if name == "dask":
            file = scratch / "scheduler.json"
            named = [f"--scheduler-file={file}", "--no-dashboard"]
            self.start(["-m", "distributed.cli.dask_scheduler", "--port=0", *named])
            until(file.exists)
            for number in range(2):
                worker = ["-m", "distributed.cli.dask_worker", "--nthreads=1", "--no-nanny", *named]
                self.start(worker, hides=True, cache=f"cache{number}")
            self.address = str(file)
        else:
            worker = ["-m", "ray.scripts.scripts", "start", "--head", "--port=0", "--num-cpus=2", "--block"]
            self.start([*worker, "--include-dashboard=false", f"--temp-dir={scratch}"], hides=True)
            until((scratch / "ray_current_cluster").exists)
            self.address = (scratch / "ray_current_cluster").read_text().strip()

    def start(self, arguments: list[str], *, hides: bool = False, cache: str = "cache") -> None:
        home = self.scratch / cache
        home.mkdir(exist_ok=True)
        line = [sys.executable, *arguments]
        if hides:
            self.caches.append(home)
            covered = 'mount -t tmpfs none "$0" && exec "$@"'
            line = ["unshare", "--mount", "sh", "-c", covered, str(self.hidden), *line]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
        environment |= {"HOME": str(home), "TRACE_MINE_CACHE": str(home), "XDG_CACHE_HOME": str(home)}
        environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": ""}
        log = open(home / "log", "ab")
        self.processes.append(
            subprocess.Popen(line, env=environment, cwd=home, stdout=log, stderr=log, start_new_session=True)
        )

    def close(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(is_so) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


@pytest.fixture(params=[pytest.param("dask"), pytest.param("ray", marks=pytest.mark.slow)])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[tuple[str, Elsewhere]]:
    needs(request.param)
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting over a folder needs privileges")
    scratch = Path(tempfile.mkdtemp(prefix="tm-"))  # not below pytest's own, which the jails' user can't enter
    scratch.chmod(0o755)
    cluster = Elsewhere(scratch)
    try:
        cluster.open(request.param)
        yield request.param, cluster
    finally:
        cluster.close()
        for log in scratch.glob("cache*/log"):
            print(log.read_text())  # pytest shows it where the test failed
        shutil.rmtree(scratch)


PROGRAM = '''import os.path

from helping import twice


def theirs():
    with open(os.path.join(os.path.dirname(__file__), "data.txt")) as file:
        return file.read()


def shown(x):
    """
    >>> shown({number})
    ({doubled}, 'theirs')
    """
    return twice(x), theirs()
'''


def test_workers_that_see_nothing_of_the_disk_give_the_same_bytes(
    elsewhere: tuple[str, Elsewhere], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a unit reads, a repository and a package, comes to each machine once; results come back."""
    name, cluster = elsewhere
    monkeypatch.setenv("TRACE_MINE_CACHE", str(cluster.hidden / "cache"))
    packages = cluster.hidden / "packages"
    (packages / "helping").mkdir(parents=True)
    (packages / "helping" / "__init__.py").write_text("def twice(x):\n    return 2 * x\n")
    root = cluster.hidden / "toolz"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "toolz"\nversion = "1.0"\nlicense = "MIT"\n')
    (root / "data.txt").write_text("theirs")
    monkeypatch.setattr("trace_mine.corpus.mined.miner.UNIT_SNIPPETS", 8)
    for number in range(9):  # two units
        (root / f"m{number}.py").write_text(PROGRAM.format(number=number, doubled=2 * number))
    arguments = [root, "module:bisect", "--sources", "doctest,test", "--environment", "none", "--packages", packages]
    for path in (cluster.hidden, packages, packages / "helping", root, *root.iterdir()):
        path.chmod(0o755)
    whole = cluster.hidden / "loky"
    assert command(*arguments, "--out", whole, "--jobs", "1").returncode == 0
    out = cluster.hidden / "out"
    told = command(*arguments, "--out", out, "--engine", name, "--address", cluster.address)
    assert told.returncode == 0, told.stderr
    assert files_of(out) == files_of(whole)
    assert json.loads((out / "stats.json").read_text())["rows"] >= 9
    for cache in cluster.caches:
        kept = [path.name for path in (cache / "sent").iterdir() if path.is_dir()]
        assert len(kept) <= 2, "the repository and the package, each once"
    assert any((cache / "sent").is_dir() for cache in cluster.caches)


@pytest.mark.slow  # half a minute, in which the client tries to connect again
def test_a_scheduler_that_dies_ends_the_command(tmp_path: Path) -> None:
    needs("dask")
    import dask

    file = tmp_path / "scheduler.json"
    command_line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port=0", "--no-dashboard"]
    scheduler = subprocess.Popen([*command_line, f"--scheduler-file={file}"], stderr=subprocess.DEVNULL)
    try:
        until(file.exists)
        engine = make_engine("dask", 1, str(file))
        threading.Timer(2.0, scheduler.kill).start()
        # a client tries to connect again, for 30 s unless said otherwise
        patience = dask.config.set({"distributed.comm.timeouts.connect": "4s"})
        with patience, pytest.raises(CorpusError, match="finished units are kept"):
            [*engine.run(SlowTask(tmp_path, "quick"), KeyList(["a", "b"]))]
    finally:
        scheduler.kill()
        scheduler.wait()


def test_a_cluster_without_workers_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("dask")
    monkeypatch.setattr("trace_mine.corpus.engines.cluster.WORKERS_SECONDS", 2.0)
    import distributed

    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as cluster:
        engine = make_engine("dask", 1, cluster.scheduler_address)
        with pytest.raises(CorpusError, match="expected a worker in the cluster, got none for 2 s"):
            [*engine.run(SlowTask(tmp_path, "quick"), KeyList(["a", "b"]))]


def test_workers_of_several_threads_are_refused(tmp_path: Path) -> None:
    needs("dask")
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, silence_logs=50
    ) as cluster:
        engine = make_engine("dask", 1, cluster.scheduler_address)
        with pytest.raises(CorpusError, match="expected Dask workers of one thread each, got 2"):
            [*engine.run(SlowTask(tmp_path, "a"), KeyList(["a"]))]
