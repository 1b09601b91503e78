"""Runs the tracer's jobs without a sandbox, for samples of our own: one process forked from a warm one for each job.

``PlainTracer`` is the real ``Tracer`` over such processes, so that its rounds and checks are the tested code, and only
the jail is missing. The replayer has another hash seed, as in a jail.
"""

from __future__ import annotations

import json
import marshal
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import interpreters
from trace_mine.tracer.inside.draws import settings
from trace_mine.tracer.inside.protocol.answers import ANSWERS, End
from trace_mine.tracer.inside.protocol.codec import from_json
from trace_mine.tracer.inside.protocol.jobs import JOBS, DriveJob, Job, NativeJob, Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replays.jails import WORLD_SEEDS, ReplayJails
from trace_mine.tracer.replays.reader import WORLDS
from trace_mine.tracer.sandbox.answers import with_answers
from trace_mine.tracer.sandbox.bundle import VERSION, bundle_bytes, bundle_sources
from trace_mine.tracer.sandbox.conversation import Conversation, TalkPipes
from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.fresh_interpreter import FIRST, FLAGS, program_message
from trace_mine.tracer.sandbox.prompt import RunRequest
from trace_mine.tracer.sandbox.replayer import PROGRAM, PROGRAMS
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers
from trace_mine.tracer.sandbox.verdict import Report
from trace_mine.tracer.sandbox.wire import receive_message, send_message
from trace_mine.tracer.schema import Outcome, Piece, Snippet
from trace_mine.tracer.session import Tracer, TracerConfig

TESTS = Path(__file__).parent.parent
SERVER = """
import marshal, os, sys, json
def read(size):
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            os._exit(0)
        data += chunk
    return data
def receive():
    return json.loads(read(int.from_bytes(read(8), "big")))
bundle, paths = marshal.loads(read(int.from_bytes(read(8), "big")))
sources, compiled = marshal.loads(bundle)
namespace = {"__name__": "trace_mine.tracer.sandbox.loader"}
code = compiled.get(namespace["__name__"])
text = sources[namespace["__name__"]]
exec(marshal.loads(code) if code else compile(text, "<loader>", "exec", dont_inherit=True), namespace)
jobs = namespace["Bundle"](sources, compiled).load("trace_mine.tracer.inside.jobs.registry")
sys.path[:0] = paths
sys.addaudithook(lambda event, arguments: None)
class Guard:
    noticed = ()
    def arm(self): pass
    def disarm(self): pass
exit, dumps, write = os._exit, json.dumps, os.write
while True:
    job, limits = receive()
    inside, outside = os.pipe()
    child = os.fork()
    if not child:
        os.close(inside)
        records = []
        try:
            end = jobs.run(job, limits, records.append, Guard())
        except BaseException as error:
            import traceback
            print(traceback.format_exc(), file=sys.stderr)
            end = {"end": "exception", "exception": type(error).__name__, "escaped": True}
        data = dumps([{**end, "tripped": [], "tampered": False}, records]).encode()
        while data:
            data = data[write(outside, data):]
        exit(0)
    os.close(outside)
    data = b""
    while chunk := os.read(inside, 1 << 20):
        data += chunk
    os.close(inside)
    os.waitpid(child, 0)
    os.write(1, len(data).to_bytes(8, "big"))
    while data:
        data = data[os.write(1, data):]
"""


class PlainWorker:
    """Stands in for ``trace_mine.tracer.sandbox.Worker``: same jobs, same records, no confinement."""

    level = 0
    layers = "none"
    library = ("", "")
    host_paths = ()
    lost_runs = 0
    cpu_of_jobs = cpu_of_replays = 0.0

    def __init__(
        self,
        python: str = sys.executable,
        hash_seed: int = 0,
        paths: tuple[str, ...] = (),
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self._limits = limits
        environment = {"PYTHONHASHSEED": str(hash_seed), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            [python, "-S", "-s", "-B", "-P", "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # "generator ignored GeneratorExit" and the like
            env=environment,
        )
        self.warm_failures: dict[str, str] = {}
        self.python_version = python
        bundle = bundle_bytes(with_code=python == sys.executable)  # to compile it takes half a second
        self._send_bytes(marshal.dumps((bundle, list(paths)), VERSION))

    def _send(self, message: Any) -> None:
        self._send_bytes(json.dumps(message).encode())

    def _send_bytes(self, raw: bytes) -> None:
        try:
            self.process.stdin.write(len(raw).to_bytes(8, "big") + raw)
            self.process.stdin.flush()
        except BrokenPipeError:
            # A job of an earlier test killed the process that all share: its exit status says how.
            raise AssertionError(f"expected a living worker, got exit status {self.process.wait(10)}") from None

    def run(self, job: Job, limits: Limits | None = None) -> Outcome:
        self._send([JOBS.to_json(job), (limits or self._limits()).as_dict()])
        size = int.from_bytes(self.process.stdout.read(8), "big")
        raw = self.process.stdout.read(size)
        if not raw:
            return Outcome(status="no-end", integrity="truncated", exception=None)
        value, records = json.loads(raw)
        end = from_json(End, value)
        outcome = Outcome(status=end.end, integrity="clean", exception=end.exception, records=tuple(records))
        return with_answers(outcome, job)

    def raw(self, job: Job) -> list[Any]:
        """The JSON values that a run of the job sends."""
        return [ANSWERS.to_json(record) for record in self.run(job).records]

    def inside(self, path: Path) -> str:
        return str(path)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


NO_ORDERS = {"limits": [], "rulesets": 0, "filters": []}


class PlainReplayer:
    """Stands in for a worker whose jail is a replayer's: the same zygote, told to confine nothing; we are its init."""

    level = 0
    layers = "none"

    lost_runs = 0
    cpu_of_jobs = cpu_of_replays = 0.0

    def __init__(self, python: str = sys.executable, hash_seed: int = 0, paths: tuple[str, ...] = ()) -> None:
        self.limits = Limits()
        self._control, theirs = socket.socketpair()

        def number_descriptors() -> None:
            for fd, path in ((101, "/proc/self/statm"), (102, "/proc/self/stat")):
                os.dup2(os.open(path, os.O_RDONLY), fd)
            os.dup2(theirs.fileno(), 100)

        self.process = subprocess.Popen(
            [python, *FLAGS, "-q", "-i", "-c", FIRST, "100"],
            env={**environment(hash_seed), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,  # the numbers above would be closed; our own descriptors are not inheritable
            preexec_fn=number_descriptors,
        )
        theirs.close()
        sources = bundle_sources()
        machine = machine_of_this_process()
        introduction = {
            "machine": machine,
            "numbers": {"clone": syscall_numbers(machine)["clone"]},
            "pid_place": 0,
            "init_pid": os.getpid(),
            "layers": "none",
            "orders": NO_ORDERS,
            "programs": {name: sources[name] for name in PROGRAMS},
            "sys_path": list(paths),
            "scratch": "/",
            "seed": 1,
        }
        self._control.sendall(program_message(f"{sources[PROGRAM]}\nbegin(*serve(100))\n"))
        send_message(self._control, introduction)
        assert receive_message(self._control)[0] == {"ready": "none"}

    def converse(self, request: RunRequest, talk: Callable[[Conversation], Any], limits: Limits | None = None) -> Any:
        limits = limits or self.limits
        ours, theirs = socket.socketpair()
        send_message(self._control, {"do": "fork", "orders": NO_ORDERS}, fds=(theirs.fileno(),))
        theirs.close()
        pid = int(str(receive_message(self._control)[0]["pid"]))
        ended = os.pidfd_open(pid)
        reason = ""

        def report() -> Report:
            _, status, usage = os.wait4(pid, 0)
            seconds = usage.ru_utime + usage.ru_stime
            return Report(
                status=status, why=reason, wall_seconds=0.0, cpu_seconds=seconds, peak_memory_bytes=usage.ru_maxrss
            )

        def kill(why: str) -> None:
            nonlocal reason
            reason = why
            os.kill(pid, signal.SIGKILL)

        with TalkPipes() as pipes:
            send_message(ours, {"orders": NO_ORDERS}, request.as_json(), pipes.theirs)
            ours.close()
            pipes.close_theirs()
            conversation = Conversation(pipes, limits, ended, report)
            try:
                return talk(conversation), conversation.finish(kill)
            finally:
                os.close(ended)

    def close(self) -> None:
        self._control.close()
        self.process.wait(timeout=10)


class PlainReplays(ReplayJails):
    """Stands in for the replaying jails: plain processes, each started when it is needed."""

    def __init__(self, config: TracerConfig, paths: tuple[str, ...]) -> None:
        super().__init__(config)
        self._paths = paths

    def worker(self, kind: str) -> Any:
        if kind not in self._workers:
            if kind in WORLDS:
                seed = WORLD_SEEDS.get(kind, 4_242)
                made: Any = PlainWorker(self._config.python, seed, self._paths, lambda: self._config.limits)
            else:
                made = PlainReplayer(self._config.python, 4_242, self._paths)
            self._workers[kind] = made
        return self._workers[kind]


class PlainTracer(Tracer):
    """A ``Tracer`` over plain processes."""

    def __init__(self, config: TracerConfig) -> None:
        self.config = config
        root = str(config.repository) if config.repository else ""
        paths = tuple(f"{root}/{folder}" for folder in config.sys_path)
        self._recorder = PlainWorker(config.python, 0, paths, lambda: self.config.limits)
        self._replays = PlainReplays(config, paths)


def script(source: str, name: str = "sample") -> Snippet:
    """A snippet that runs the source as ``__main__``."""
    return Snippet(
        kind="script",
        name=name,
        path=f"{name}.py",
        line=1,
        end_line=source.count("\n") + 1,
        pieces=(Piece(source=source, line=1),),
        code="__name__ = '__main__'",
    )


def program(source: str | list[str], **options: Any) -> Program:
    """A job's program: the sources as pieces of one script, or, with ``single=True``, as examples at a prompt."""
    sources = [source] if isinstance(source, str) else source
    pieces = tuple(Piece(source=each, line=1) for each in sources)
    return Program(**{"pieces": pieces, "code": "__name__ = '__main__'", **options})


def driving(program: Program, **options: Any) -> DriveJob:
    """The job that writes a session of the program."""
    return DriveJob(program=program, **{"follow": 1, **options})


def recording(program: Program, **options: Any) -> NativeJob:
    """The job that runs the program natively under settrace."""
    return NativeJob(program=program, **{"max_depth": 2, **options})


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What the tests of this folder share (importlib mode has no importable conftest)."""
    return SimpleNamespace(
        PlainTracer=PlainTracer,
        PlainWorker=PlainWorker,
        PlainReplayer=PlainReplayer,
        PlainReplays=PlainReplays,
        TracerConfig=TracerConfig,
        Limits=Limits,
        script=script,
        program=program,
        driving=driving,
        recording=recording,
        samples=TESTS / "samples",
        golden=TESTS / "golden",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def worker(kit: SimpleNamespace) -> Any:
    """A plain worker under hash seed 0."""
    made = kit.PlainWorker()
    yield made
    made.close()


@pytest.fixture(scope="session")
def plain_replayer(kit: SimpleNamespace) -> Any:
    """A plain replayer under another hash seed."""
    made = kit.PlainReplayer(hash_seed=4_242)
    yield made
    made.close()


@pytest.fixture(scope="session")
def other_worker(kit: SimpleNamespace) -> Any:
    """A plain worker under another hash seed, for replays."""
    made = kit.PlainWorker(hash_seed=4_242)
    yield made
    made.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "interpreter" in metafunc.fixturenames:
        found = {minor: interpreters.found(minor) for minor in interpreters.MINORS}
        if os.environ.get(interpreters.OWN_ALONE) == "1":
            found = {minor: path for minor, path in found.items() if path == sys.executable}
        metafunc.parametrize(
            "interpreter",
            [
                pytest.param(
                    path,
                    id=minor,
                    marks=[
                        pytest.mark.skipif(path is None, reason=interpreters.not_found(minor)),
                        *[pytest.mark.slow] * interpreters.is_between(minor),
                    ],
                )
                for minor, path in found.items()
            ],
            scope="session",
        )


@pytest.fixture(autouse=True)
def settings_of_another_program(without_loggers: None) -> Iterator[None]:
    """A program's settings are those since its start: those of an earlier test's are none of its business."""
    settings.forget()
    yield
    settings.forget()
