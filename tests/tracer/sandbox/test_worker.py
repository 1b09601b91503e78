"""The worker as its callers see it: jails that differ, warm modules, limits, restarts, ends.

Over 400 lines because its jails are dear to start, and shared by its tests.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import interpreters
from trace_mine.tracer.inside.protocol.jobs import NativeJob, PlainJob, Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker

PROJECT = Path(__file__).parents[3]
LIMITS = Limits(wall_seconds=5.0, cpu_seconds=2, memory_bytes=256 << 20)


def start(jail: Jail = Jail(), level: int = 3, **options) -> Worker:  # noqa: B008  # Jail is frozen
    try:
        return Worker(jail, LIMITS, minimum_level=level, maximum_level=level, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")


def plain(worker: Worker, source: str, **limits: float):
    return worker.run(PlainJob(source=source), dataclasses.replace(LIMITS, **limits))


@pytest.fixture(params=[3, 2])
def level(request):
    return request.param


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer" / "__init__.py").write_text("name = 'the tokenizer of the repository'\n")
    (folder / "train.py").write_text("import tokenizer\nprint('printed at import', end='')\nvalue = [tokenizer.name]\n")
    (folder / "tracer.py").write_text("whose = 'the repository'\n")
    return folder


def jail_of(repository: Path, *warm: str, **options) -> Jail:
    return Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=warm, **options)


def test_a_repository_imports_its_own_modules(repository, level):
    with start(jail_of(repository, "train", "tracer"), level) as worker:
        assert worker.warm_failures == {}
        outcome = plain(worker, "import train, tracer, sys\nprint(train.value, tracer.whose, train.__file__)")
        place = worker.inside(repository / "train.py")
        expected = f"['the tokenizer of the repository'] the repository {place}\n"
        assert (outcome.status, outcome.stdout.decode()) == ("ok", expected)
        assert place == ("/repo/train.py" if level == 3 else str(repository / "train.py"))
        assert worker.inside(repository) == ("/repo" if level == 3 else str(repository))
        with pytest.raises(ValueError, match="below a mount"):
            worker.inside(Path("/etc"))


def test_the_repository_is_read_only(repository, level):
    with start(jail_of(repository), level) as worker:
        source = f"open({worker.inside(repository)!r} + '/new', 'w')"
        assert plain(worker, source).exception in ("OSError", "PermissionError")
    assert not (repository / "new").exists()


def test_imports_that_fail_are_data(repository, level):
    (repository / "bad.py").write_text("raise ValueError('not today')\n")
    (repository / "leaves.py").write_text("raise SystemExit(3)\n")
    (repository / "dies.py").write_text("import os; os._exit(7)\n")
    (repository / "hangs.py").write_text("import time; time.sleep(1000)\n")
    warm = ("bad", "leaves", "absent", "train", "dies", "hangs", "tracer")
    with start(jail_of(repository, *warm), level, warm_seconds=1.5) as worker:
        assert set(worker.warm_failures) == {"bad", "leaves", "absent", "dies", "hangs"}
        assert worker.warm_failures["bad"] == "ValueError: not today"
        assert "timeout" in worker.warm_failures["hangs"]
        outcome = plain(worker, "import sys\nprint([n for n in ('train', 'bad', 'tracer') if n in sys.modules])")
        assert outcome.stdout == b"['train', 'tracer']\n"


def test_a_hostile_import_is_as_confined_as_a_snippet(repository, level, tmp_path):
    (tmp_path / "secret").write_text("planted")
    (repository / "evil.py").write_text(f"""
import os, signal, socket, sys, threading
done = []
for name, call in dict(
    read=lambda: open({str(tmp_path / "secret")!r}).read(), write=lambda: open({str(repository)!r} + "/x", "w"),
    connect=lambda: socket.socket(), execute=lambda: os.execv("/bin/true", ["true"]),
    kill=lambda: os.kill({os.getpid()}, signal.SIGTERM), kill_all=lambda: os.kill(-1, signal.SIGKILL),
    root=lambda: os.setuid(0), mount=lambda: os.chroot("/"),
).items():
    try:
        call(); done.append(name)
    except OSError:
        pass
if os.fork() == 0:
    import time
    time.sleep(1000)
os._exit_ = os._exit
threading.Thread(target=lambda: __import__("time").sleep(1000), daemon=True).start()
""")
    strangers = processes_below(os.getpid())  # an idle pool of another test's, say
    with start(jail_of(repository, "evil"), level) as worker:
        assert worker.warm_failures == {}
        assert plain(worker, "import evil; print(evil.done)").stdout == b"[]\n"
        loop = plain(worker, "import time\ntime.sleep(100)", wall_seconds=0.3)
        assert loop.status == "wall"
        descendants = [pid for pid in processes_below(os.getpid()) if pid not in strangers]
    assert wait_until_gone(descendants) == []


def test_an_import_that_breaks_the_zygote_later_costs_a_restart_only(repository):
    (repository / "bomb.py").write_text("""
import os, threading, time
threading.Thread(target=lambda: (time.sleep(0.3), os._exit(1)), daemon=True).start()
""")
    with start(jail_of(repository, "bomb")) as worker:
        for _ in range(3):
            time.sleep(0.35)
            assert plain(worker, "print(1)").status == "ok"
        assert worker.restarts >= 1


def test_a_lying_zygote_gets_no_status(repository):
    """It answers with the process id of somebody else's child; init does not believe it, and the run ends as no-end."""
    (repository / "liar.py").write_text("""
import json
real = json.dumps
json.dumps = lambda value, *rest: real({"pid": 2} if "pid" in value else value, *rest)
""")
    with start(jail_of(repository, "liar")) as worker:
        outcome = plain(worker, "print(1)")
        assert (outcome.status, outcome.integrity) == ("no-end", "truncated")
        assert b"child of init" in outcome.stderr


def test_two_workers_differ_as_asked(repository):
    def jail(**options) -> Jail:
        return Jail(mounts=(Mount(source=repository, target=options["root"]),), sys_path=(options["root"],), **options)

    recorder = jail(root="/repo", scratch="/scratch", hostname="recorder", hash_seed=0)
    replayer = jail(
        root="/check/repo",
        scratch="/elsewhere/here",
        hostname="replayer",
        hash_seed=7,
        aslr=True,
        pinned_clock=False,
        seed=5,
    )
    source = """
import os, random, sys, time, uuid
os.urandom(4)
cells = os.getcwd(), os.uname().nodename, sys.path[0], hash("a"), random.random(), os.getpid(), os.environ["HOME"]
print(*cells, sep="|")
print(time.time(), uuid.uuid4())
"""
    with start(recorder) as one, start(replayer) as two:
        first, second = plain(one, source).stdout.split(b"\n")[:2], plain(two, source).stdout.split(b"\n")[:2]
        again = plain(one, source).stdout.split(b"\n")[:2]
    assert first == again
    cells, others = first[0].decode().split("|"), second[0].decode().split("|")
    assert cells[:3] == ["/scratch", "recorder", "/repo"]
    assert others[:3] == ["/elsewhere/here", "replayer", "/check/repo"]
    assert all(a != b for a, b in zip(cells[:5], others[:5], strict=True))
    assert cells[6] == "/scratch"
    assert first[1].startswith(b"1700000000.") and not second[1].startswith(b"1700000000.")


def test_same_seed_gives_the_same_run_in_every_worker():
    source = """
import os, random, time
print(hash('x'), random.random(), os.urandom(3), time.time(), os.getpid(), id(object()))
"""
    outputs = set()
    for _ in range(2):
        with start(Jail(hash_seed=3)) as worker:
            outputs |= {plain(worker, source).stdout for _ in range(2)}
    assert len(outputs) == 1, outputs


def test_time_and_memory_are_measured():
    with start() as worker:
        outcome = plain(worker, "x = bytearray(100 << 20)\nimport time\ntime.sleep(0.2)")
    assert outcome.status == "ok"
    assert outcome.peak_memory_bytes > 100 << 20
    assert outcome.wall_seconds > 0.2  # it slept as long; nothing can be said of how much longer a busy machine takes
    assert outcome.cpu_seconds > 0


def test_limits_of_one_run(level):
    with start(level=level) as worker:
        assert plain(worker, "for i in range(100):\n    pass", events=50).status == "trace-limit"
        assert plain(worker, "x = bytearray(64 << 20)", memory_bytes=32 << 20).status == "memory"
        assert plain(worker, "x = bytearray(64 << 20)").status == "ok"
        with pytest.raises(ValueError, match="the worker's"):
            plain(worker, "", memory_bytes=1 << 40)
        small = plain(worker, "open('f', 'wb').write(bytes(2 << 20))\nimport time\ntime.sleep(0.5)", disk_bytes=1 << 20)
        assert small.status == ("exception" if level == 3 else "disk-limit"), small
        assert plain(worker, "open('f', 'wb').write(bytes(2 << 20))").status == "ok"


@pytest.mark.parametrize(
    ("source", "status", "exception"),
    [
        ("print('\\udc80')", "ok", None),
        ("raise SystemExit", "exit", "SystemExit"),
        ("x = (", "syntax", "SyntaxError"),
        ("x = '\0'", "syntax", None),
        ("class E(Exception): pass\nraise E", "exception", "E"),
        ("raise KeyboardInterrupt", "exception", "KeyboardInterrupt"),
    ],
)
def test_how_a_plain_job_ends(shared, source, status, exception):
    outcome = plain(shared, source)
    assert outcome.status == status
    assert exception is None or outcome.exception == exception
    assert outcome.integrity == "clean"


@pytest.fixture(scope="module")
def shared():
    with start() as worker:
        yield worker


def test_errors_of_our_own_code_are_seen(shared):
    # an answer that is none: the message of a declared setup error is longer than evidence may be
    code = "class Long(Exception, metaclass=type):\n    pass\nLong.__name__ = 'x' * 5_000\nraise Long"
    outcome = shared.run(NativeJob(program=Program(code=code), max_depth=1))
    assert (outcome.status, outcome.exception, outcome.integrity) == ("exception", "ProtocolError", "suspect")
    assert b"trace_mine.tracer.inside.jobs.registry" in outcome.stderr


def test_standard_streams(shared):
    outcome = plain(
        shared, "import sys\nprint(repr(sys.stdin.read()), sys.stdout.encoding)\nsys.stderr.write('é')\nexit()"
    )
    assert (outcome.status, outcome.stdout, outcome.stderr) == ("exit", b"'' utf-8\n", "é".encode())


def test_threads_may_share_a_worker(shared):
    outputs: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: outputs.append(plain(shared, f"print({n})").stdout)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outputs) == [f"{n}\n".encode() for n in range(8)]


def test_no_descriptors_leak(shared):
    plain(shared, "")
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(20):
        plain(shared, "print(1)")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_killed_jail_is_started_again(level):
    strangers = processes_below(os.getpid())
    with start(level=level) as worker:
        for pid in processes_below(os.getpid()):
            if pid in strangers:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it went with the one before
        assert plain(worker, "print(1)").stdout == b"1\n"
        assert (worker.level, worker.restarts) == (level, 1)


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_was_killed_is_made_again_once(level, times, monkeypatch):
    """Whoever killed it says nothing of the program; one that kills itself is killed twice."""
    with start(level=level) as worker:
        process = worker._processes[-1]
        run, runs = process.run, []

        def killed(payload, limits):
            runs.append(payload)
            outcome = run(payload, limits)
            return dataclasses.replace(outcome, status="signal:9") if len(runs) <= times else outcome

        monkeypatch.setattr(process, "run", killed)
        outcome = plain(worker, "print(1)")
        assert (outcome.status, len(runs), worker.restarts) == ("ok" if times == 1 else "signal:9", 2, 0)
        assert worker.lost_runs == 0


def test_a_closed_worker_leaves_nothing(level, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    tmp_path.chmod(0o777)
    before = len(os.listdir("/proc/self/fd"))
    strangers = processes_below(os.getpid())
    worker = start(level=level)
    plain(worker, "open('f', 'w').write('x')")
    pids = [pid for pid in processes_below(os.getpid()) if pid not in strangers]
    worker.close()
    assert wait_until_gone(pids) == []
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="closed"):
        plain(worker, "")


KILLED = """
import sys, threading, time
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Worker
level = int(sys.argv[1])
def begin():
    global worker
    worker = Worker(Jail(), Limits(), minimum_level=level, maximum_level=level)
thread = threading.Thread(target=begin)
thread.start(); thread.join()
assert worker.run(PlainJob(source="print(1)")).stdout == b"1\\n"  # the thread that started it is gone
assert worker.restarts == 0
print("ready", flush=True)
worker.run(PlainJob(source="import time\\ntime.sleep(100)"), Limits(wall_seconds=100))
"""


@pytest.fixture
def public_folder():
    """Below /tmp, where the jail's own user may remove its folder; pytest's tmp_path is closed to it."""
    with tempfile.TemporaryDirectory(prefix="public-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_a_killed_supervisor_takes_its_jail_down(level, public_folder):
    environment = {"PYTHONPATH": str(PROJECT), "TMPDIR": str(public_folder)}
    command = [sys.executable, "-c", KILLED, str(level)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as supervisor:
        if supervisor.stdout.readline() != b"ready\n":
            error = supervisor.stderr.read().decode()
            assert "SandboxUnavailable" in error, error
            pytest.skip(f"level {level} does not work here: {error[-300:]}")
        pids = processes_below(supervisor.pid)
        supervisor.kill()
        assert len(pids) >= 2
    assert wait_until_gone(pids) == []
    assert list(public_folder.iterdir()) == []


def test_below_level_2_only_on_demand():
    with pytest.raises(ValueError, match="allow_unsafe"):
        Worker(Jail(), LIMITS, minimum_level=0)


def test_refusal_names_layer_and_reason(monkeypatch):
    import trace_mine.tracer.sandbox.selftest as selftest

    monkeypatch.setattr(selftest, "failures", lambda ask, claim: ["no_socket: expected True, got False"])
    with pytest.raises(SandboxUnavailable, match=r"level 3: .*no_socket.*level 2: .*no_socket.*allow_unsafe"):
        Worker(Jail(), LIMITS)


def test_jails_that_cannot_be():
    with pytest.raises(ValueError, match="plain absolute"):
        Mount(source=Path("/tmp"), target="repo")
    with pytest.raises(ValueError, match="plain absolute"):
        Jail(scratch="/a/../b")
    with pytest.raises(ValueError, match="hash_seed"):
        Jail(hash_seed=-1)
    with pytest.raises(ValueError, match="Python interpreter"):
        Worker(Jail(python="/bin/false"), LIMITS)
    missing = Jail(mounts=(Mount(source=Path("/no/such/folder"), target="/repo"),))
    with pytest.raises(SandboxUnavailable, match="/no/such/folder"):
        Worker(missing, LIMITS, minimum_level=3)


def test_an_interpreter_that_is_too_old_is_refused():
    python = interpreters.found("3.10")
    if python is None:
        pytest.skip(interpreters.not_found("3.10"))
    with pytest.raises(ValueError, match=r">= 3\.11"):
        Worker(Jail(python=python), LIMITS)


@pytest.mark.parametrize("minor", interpreters.MINORS)
def test_other_interpreters(minor):
    python = interpreters.found(minor)
    if python is None:
        pytest.skip(interpreters.not_found(minor))
    with start(Jail(python=python)) as worker:
        outcome = plain(worker, "import sys\nprint(sys.version_info[:2])")
        assert outcome.stdout.decode().strip() == str(tuple(map(int, minor.split("."))))
        assert worker.python_version.startswith(f"{minor}.")


def processes_below(pid: int) -> list[int]:
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return sorted(found - {pid})


def wait_until_gone(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if running(pid)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.01)
    return []


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_json_jobs_keep_lone_surrogates(shared):
    source = "print(ascii('\udc80'))"
    assert json.loads(json.dumps(source)) == source
    assert plain(shared, source).exception == "UnicodeEncodeError"  # compile's word for it, not the channel's
