"""Every attack runs at levels 3 and 2: as this user and, where this user is root, as an unprivileged one (slow)."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from strangers import STRANGER, public_python
from trace_mine.tracer.inside.protocol.answers import ANSWERS
from trace_mine.tracer.inside.protocol.jobs import JOBS, BeliefsJob, Job, PlainJob, Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
from trace_mine.tracer.schema import Outcome

PROJECT = Path(__file__).parents[3]
LIMITS = Limits(
    wall_seconds=4.0,
    cpu_seconds=1,
    memory_bytes=192 << 20,
    disk_bytes=8 << 20,
    file_bytes=4 << 20,
    output_bytes=1 << 18,
)

SERVE = """
import base64, json, sys
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.inside.protocol.jobs import JOBS
from trace_mine.tracer.inside.protocol.answers import ANSWERS
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
import dataclasses
level, limits = int(sys.argv[1]), Limits(**json.loads(sys.argv[2]))
try:
    worker = Worker(Jail(), limits, minimum_level=level, maximum_level=level)
except SandboxUnavailable as error:
    print(json.dumps({"unavailable": str(error)}), flush=True)
    sys.exit()
print(json.dumps({"layers": worker.layers}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    outcome = worker.run(JOBS.from_json(request["job"]), Limits(**request["limits"]))
    records = [ANSWERS.to_json(record) for record in outcome.records]
    outcome = dataclasses.asdict(outcome) | {"records": records}
    for name in ("stdout", "stderr"):
        outcome[name] = base64.b64encode(outcome[name]).decode()
    print(json.dumps(outcome), flush=True)
worker.close()
"""


class Target:
    """A worker under attack, in this process or in one of another user."""

    def __init__(self, level: int, user: str, forks: int = 0) -> None:
        self.level = level
        self.limits = dataclasses.replace(LIMITS, forks=forks)
        self.num_processes = 4 if level == 3 else 3  # outer process of the namespace, init, zygote, next runner
        self._server = None
        # other tests may have left workers of theirs in this process, such as an idle pool
        self.supervisor = os.getpid()
        self.owner = os.geteuid()
        self._strangers: frozenset[str] = frozenset()
        if user == "me":
            self._strangers = frozenset(self.processes())
        if user == "me":
            try:
                self._worker = Worker(Jail(), self.limits, minimum_level=level, maximum_level=level)
            except SandboxUnavailable as error:
                pytest.skip(f"level {level} does not work here: {error}")
            return
        python = public_python()
        limits = json.dumps(self.limits.as_dict())
        self._server = subprocess.Popen(
            [python, "-B", "-c", SERVE, str(level), limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **STRANGER,
            cwd="/",
            env={"PYTHONPATH": str(PROJECT), "TRACE_MINE_PLANTED": os.environ["TRACE_MINE_PLANTED"]},
        )
        hello = json.loads(self._server.stdout.readline())
        if "unavailable" in hello:
            pytest.skip(f"level {level} does not work here: {hello['unavailable']}")
        self.supervisor = self._server.pid
        self.owner = STRANGER["user"]

    def run(self, source: str, **limits: float) -> Outcome:
        return self.run_job(PlainJob(source=source), **limits)

    def believe(self, source: str, **limits: float) -> Outcome:
        """The source as the one command of a session whose beliefs are asked for: a run that may fork. What it writes
        to descriptor 1 is the outcome's ``stdout``.
        """
        job = BeliefsJob(
            program=Program(),
            commands=((f"exec({source!r})", ""),),
            outcomes=None,
            num_seeds=1,
            max_seconds=3.0,
        )
        return self.run_job(job, **limits)

    def run_job(self, job: Job, **limits: float) -> Outcome:
        given = dataclasses.replace(self.limits, **limits)
        if self._server is None:
            return self._worker.run(job, given)
        self._server.stdin.write(json.dumps({"job": JOBS.to_json(job), "limits": given.as_dict()}).encode() + b"\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        for name in ("stdout", "stderr"):
            answer[name] = base64.b64decode(answer[name])
        answer["tripped"] = tuple(answer["tripped"])
        answer["records"] = tuple(ANSWERS.from_json(record) for record in answer["records"])
        return Outcome(**answer)

    def processes(self) -> list[str]:
        """Every process that descends from the supervisor, but for those that were there before the jail."""
        parents, found = {}, []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    stat = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry.name)] = int(stat[1])
                except OSError:
                    continue
        for pid in parents:
            above = pid
            while above in parents and above != self.supervisor:
                above = parents[above]
            if above == self.supervisor and pid != self.supervisor:
                found.append(str(pid))
        return [pid for pid in found if pid not in self._strangers]

    def close(self) -> None:
        if self._server is None:
            self._worker.close()
        else:
            self._server.stdin.close()
            assert self._server.wait(10) == 0


USERS = [(3, "me"), (2, "me"), (3, "stranger"), (2, "stranger")]
EVERYWHERE = {
    # as another user an attack is a slow test; .ci/ordinary_user.py makes all of them as one
    "params": [pytest.param(each, marks=[pytest.mark.slow] * (each[1] == "stranger")) for each in USERS],
    "ids": lambda p: f"level{p[0]}-{p[1]}",
}


def begin(level: int, user: str, forks: int = 0) -> Target:
    if user == "stranger" and os.geteuid() != 0:
        pytest.skip("does not apply: the other half of these tests runs as this user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACE_MINE_PLANTED", "planted-secret")
        return Target(level, user, forks)


@pytest.fixture(scope="module", **EVERYWHERE)
def shared_target(request):
    target = begin(*request.param)
    yield target
    target.close()


@pytest.fixture(scope="module", **EVERYWHERE)
def shared_forking_target(request):
    target = begin(*request.param, forks=4)
    yield target
    target.close()


@pytest.fixture
def target(shared_target):
    yield shared_target
    leaves_nothing(shared_target)


@pytest.fixture
def forking_target(shared_forking_target):
    """A worker whose runs may fork, where they follow choices."""
    yield shared_forking_target
    leaves_nothing(shared_forking_target)


def leaves_nothing(shared_target: Target) -> None:
    """Afterwards the worker serves the next snippet, and the host shows no trace: no process more, no file."""
    expected = shared_target.num_processes
    after = shared_target.run("import os\nprint(sorted(os.listdir('.')), 'still here')")
    assert (after.status, after.integrity, after.stdout) == ("ok", "clean", b"[] still here\n")
    deadline = time.monotonic() + 5
    while len(shared_target.processes()) != expected:
        assert time.monotonic() < deadline, (
            f"expected {expected} processes of the jail, got {shared_target.processes()}"
        )
        time.sleep(0.01)
    places = [Path(place) for place in ("/", "/tmp", "/var/tmp", "/dev/shm", "/etc", "/usr/lib", Path.home(), PROJECT)]
    left = [path for place in places for path in place.glob("trace-mine-attack*")]
    assert left == []


@pytest.fixture
def public_folder():
    """A folder that every user of the host may read and write."""
    with tempfile.TemporaryDirectory(prefix="public-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)
