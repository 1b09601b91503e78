"""Nothing of the supervisor's state, of an earlier run or of a jail that got stuck reaches a run."""

from __future__ import annotations

import dataclasses
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import BeliefsJob, PlainJob, Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker, jail_process
from trace_mine.tracer.sandbox.kernel import syscall
from trace_mine.tracer.schema import Outcome

LIMITS = Limits(wall_seconds=20.0, cpu_seconds=7, memory_bytes=256 << 20)


def start(level: int, limits: Limits = LIMITS, jail: Jail = Jail(), **options) -> Worker:  # noqa: B008  # frozen
    try:
        return Worker(jail, limits, minimum_level=level, maximum_level=level, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")


def plain(worker: Worker, source: str, **limits: float) -> Outcome:
    return worker.run(PlainJob(source=source), dataclasses.replace(LIMITS, **limits))


@pytest.fixture
def public_folder():
    """Below /tmp, where the jail's own user may read and write; pytest's tmp_path is closed to it."""
    with tempfile.TemporaryDirectory(prefix="public-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.mark.parametrize("level", [3, 2])
def test_signals_that_the_supervisor_ignores_or_blocks(level):
    """A program inherits both, even over an exec; a run is as a program that was started from a shell."""
    source = """
import signal
print(signal.getsignal(signal.SIGHUP) == signal.getsignal(signal.SIGQUIT) == signal.SIG_DFL,
      signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    before = [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGQUIT)]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        with start(level) as worker:
            assert plain(worker, source).stdout == b"True True set()\n"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip((signal.SIGHUP, signal.SIGQUIT), before, strict=True):
            signal.signal(number, handler)


def test_an_init_that_stops_answering_costs_a_restart(monkeypatch):
    monkeypatch.setattr(jail_process, "SPARE_SECONDS", 0.5)
    monkeypatch.setattr(jail_process, "STOP_SECONDS", 0.5)
    with start(3) as worker:
        stuck = worker._processes[-1]
        outer = stuck._popen.pid  # at level 2 the next message would let init go on
        (init,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        os.kill(int(init), signal.SIGSTOP)
        with monkeypatch.context() as patch:
            # the jail that takes its place answers within the usual time
            patch.setattr(stuck, "stop", lambda: (patch.undo(), stuck.stop()))
            outcome = plain(worker, "print('another jail')", wall_seconds=0.5)
        assert (outcome.status, outcome.stdout, worker.restarts) == ("ok", b"another jail\n", 1)


@pytest.mark.parametrize(("level", "stopped"), [(3, "outer"), (3, "init"), (3, "zygote"), (2, "init"), (2, "zygote")])
def test_a_jail_with_a_stopped_process_ends_with_its_supervisor(level, stopped, public_folder):
    code = "import sys; from trace_mine.tracer.sandbox import *; from trace_mine.tracer.limits import Limits\n"
    code += f"worker = Worker(Jail(), Limits(), minimum_level={level}, maximum_level={level})\n"
    code += "print(worker._processes[-1]._popen.pid, flush=True); sys.stdin.read()"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(public_folder)}
    command = [sys.executable, "-c", code]
    supervisor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    if not (line := supervisor.stdout.readline()):
        pytest.skip(f"level {level} does not work here")
    chain = [int(line)]
    while children := Path(f"/proc/{chain[-1]}/task/{chain[-1]}/children").read_text().split():
        chain.append(int(children[0]))
    names = ["outer", "init", "zygote"] if level == 3 else ["init", "zygote"]
    handles = [os.pidfd_open(pid) for pid in chain]
    os.kill(chain[names.index(stopped)], signal.SIGSTOP)
    supervisor.kill()
    supervisor.communicate()
    for handle in handles:
        assert select.select([handle], [], [], 30)[0], "a process of the jail is left"
        os.close(handle)


def test_a_group_is_forgotten_with_its_run():
    """Its number may be another process's by the time at which the jail is taken down."""
    limits = dataclasses.replace(LIMITS, forks=2)
    job = BeliefsJob(program=Program(), commands=(("exec('x = 1')", ""),), outcomes=None, num_seeds=1, max_seconds=3.0)
    with start(2, limits) as worker:
        heard = []
        receive = jail_process.JailProcess._receive
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                jail_process.JailProcess, "_receive", lambda *given: heard.append(receive(*given)) or heard[-1]
            )
            assert worker.run(job, limits).status == "ok"
        assert any(message.get("begun", 0) > 1 for message in heard)
        assert worker._processes[-1]._group is None


def test_landlock_alone_holds_tcp_inside():
    try:
        abi = syscall("landlock_create_ruleset", None, 0, 1)
    except OSError:
        abi = 0
    if abi < 4:
        pytest.skip("Landlock has network rules from version 4 on")
    with socket.create_server(("127.0.0.1", 0)) as server, start(2, ablate=frozenset({"seccomp"})) as worker:
        source = f"""
import socket
for call in (lambda s: s.connect({server.getsockname()!r}), lambda s: s.bind(("127.0.0.1", 0))):
    with socket.socket() as sock:
        try: call(sock); print("done")
        except OSError as error: print(error.errno)
"""
        assert plain(worker, source).stdout.split() == [str(errno.EACCES).encode()] * 2


@pytest.mark.parametrize("level", [3, 2])
def test_the_supervisors_umask(level):
    """It shows in no run, and folders of the view that only root may enter would leave level 3 without libraries."""
    start(level).close()  # skips where the level does not work at all
    before = os.umask(0o077)
    try:
        with Worker(Jail(), LIMITS, minimum_level=level, maximum_level=level) as worker:
            assert plain(worker, "import os\nprint(oct(os.umask(0)))").stdout == b"0o22\n"
    finally:
        os.umask(before)


@pytest.mark.parametrize("level", [3, 2])
def test_the_umask_of_an_import(level, public_folder):
    (public_folder / "closes.py").write_text("import os\nos.umask(0o077)\n")
    jail = Jail(mounts=(Mount(source=public_folder, target="/repo"),), sys_path=("/repo",), warm=("closes",))
    with start(level, jail=jail) as worker:
        assert worker.warm_failures == {}
        assert plain(worker, "import os\nprint(oct(os.umask(0)))").stdout == b"0o22\n"


@pytest.mark.parametrize("level", [3, 2])
def test_the_first_reading_of_each_clock_is_the_same_in_all_runs(level):
    names = ("time", "perf_counter", "process_time", "thread_time", "time_ns", "process_time_ns", "thread_time_ns")
    source = f"import time\nprint([getattr(time, name)() for name in {names!r}])"
    with start(level) as worker:
        assert plain(worker, source).stdout == plain(worker, source).stdout != b""


@pytest.mark.parametrize("level", [3, 2])
def test_what_a_hostile_import_left_does_not_stay_a_zombie(level, public_folder):
    """Init is the parent of what the zygote's children leave; each would hold a process id until the jail's end."""
    (public_folder / "leaves.py").write_text("""
import os
middle = os.fork()
if middle == 0:
    for _ in range(3):
        if os.fork() == 0: os._exit(0)
    os._exit(0)
os.waitpid(middle, 0)
""")
    jail = Jail(mounts=(Mount(source=public_folder, target="/repo"),), sys_path=("/repo",), warm=("leaves",))
    strangers = set(zombies())
    with start(level, jail=jail) as worker:
        assert worker.warm_failures == {}
        plain(worker, "")
        # init has collected them before it orders the runner that this run gets
        assert plain(worker, "print('next')").stdout == b"next\n"
        assert set(zombies()) <= strangers


def zombies() -> list[int]:
    """Processes below this one that have ended and were not waited for."""
    parents: dict[int, int] = {}
    ended = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(path.name)] = int(fields[1])
            if fields[0] == "Z":
                ended.append(int(path.name))

    def is_below(pid: int) -> bool:
        while pid in parents:
            if (pid := parents[pid]) == os.getpid():
                return True
        return False

    return [pid for pid in ended if is_below(pid)]


HELD = """
import os, signal
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
try: worker = Worker(Jail(), Limits(), minimum_level=2, maximum_level=2)
except SandboxUnavailable: print("unavailable", flush=True); raise SystemExit
child = os.fork()
if child == 0:
    while True: signal.pause()
print(child, flush=True)
worker.run(PlainJob(source="import time\\nopen('begun', 'w').close()\\ntime.sleep(100)"), Limits(wall_seconds=100))
"""


def test_a_killed_supervisor_whose_sockets_a_fork_holds(public_folder):
    """The hang-up does not show then; the handle of its process does."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(public_folder)}
    with subprocess.Popen([sys.executable, "-c", HELD], stdout=subprocess.PIPE, env=environment) as supervisor:
        answer = supervisor.stdout.readline().strip()
        if answer == b"unavailable":
            pytest.skip("level 2 does not work here")
        try:
            await_that(lambda: list(public_folder.glob("*/begun")))
            supervisor.kill()
            await_that(lambda: not any(public_folder.iterdir()))
        finally:
            os.kill(int(answer), signal.SIGKILL)
            supervisor.kill()


def await_that(condition) -> None:
    deadline = time.monotonic() + 30  # only against a test that hangs
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("message", [{"gone": "the zygote died"}, {"traceback": "..."}, {"warmed": True}, {}])
def test_what_is_no_report_ends_the_jail(message, begun):
    """Another jail takes the run where it had not begun. "Gone" is said only then."""
    process = object.__new__(jail_process.JailProcess)
    process._receive = lambda deadline: message
    process._begun = begun
    with pytest.raises(jail_process.JailDied, match=str(next(iter(message.values()), "{}"))) as error:
        process._receive_of_run()
    assert error.value.begun == (begun and "gone" not in message)


def init_of(worker: Worker) -> int:
    """The process id of init: at level 3 the only child of the process that was started."""
    started = worker._processes[-1]._popen.pid
    if worker.level == 2:
        return started
    return int(Path(f"/proc/{started}/task/{started}/children").read_text())


@pytest.mark.parametrize(
    ("moment", "status", "restarts"),
    [
        ("before the job is sent", "ok", 1),
        ("when the job is sent", None, None),
        ("when the run begins", "no-end", 0),
        ("in the middle of the run", "no-end", 0),
        ("when the run is over", "ok", 0),
    ],
)
@pytest.mark.parametrize("level", [3, 2])
def test_a_run_that_inits_death_interrupts(level, moment, status, restarts, monkeypatch):
    """It is run again only where it is certain that it had not begun; else it is never called clean."""
    # a run that does not wait may be over, and rightly ok, before the supervisor has read that it began
    waits = moment in ("when the run begins", "in the middle of the run")
    source = f"import time\nprint('ran', flush=True)\nif {waits}: time.sleep(100)"
    with start(level) as worker:
        init = init_of(worker)
        send, receive, read = (
            jail_process.send_message,
            jail_process.JailProcess._receive_of_run,
            jail_process.RunPipes.read,
        )
        killed = []

        def kill() -> None:
            if not killed:
                killed.append(init)
                os.kill(init, signal.SIGKILL)

        def sending(*given, **named):
            if moment == "before the job is sent":
                kill()
            send(*given, **named)
            if moment == "when the job is sent":
                kill()

        def receiving(process):
            report = receive(process)
            if (moment == "when the run begins" and report is None) or (moment == "when the run is over" and report):
                kill()
            return report

        def reading(pipes, fd):
            more = read(pipes, fd)
            if moment == "in the middle of the run" and any(b"ran" in text for text in pipes.collected()[1:]):
                kill()
            return more

        monkeypatch.setattr(jail_process, "send_message", sending)
        monkeypatch.setattr(jail_process.JailProcess, "_receive_of_run", receiving)
        monkeypatch.setattr(jail_process.RunPipes, "read", reading)
        outcome = plain(worker, source)
        assert killed == [init]
        if moment == "when the job is sent":  # init may have begun the run by then, or not: never both
            status = outcome.status
            assert (status, worker.restarts) in (("ok", 1), ("ok", 0), ("no-end", 0)), outcome
        else:
            assert (outcome.status, worker.restarts) == (status, restarts), outcome
        assert outcome.integrity == ("clean" if status == "ok" else "truncated")
        assert (b"the jail died" in outcome.stderr) == (status == "no-end")
        monkeypatch.undo()
        assert plain(worker, "print(2)").stdout == b"2\n"
