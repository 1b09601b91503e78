"""What goes wrong beside, before and after a run: interrupts, forks of ours, imports that keep things, exact limits."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import threading
import time
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker, jail_process, wire
from trace_mine.tracer.schema import Outcome

LIMITS = Limits(wall_seconds=20.0, cpu_seconds=7, memory_bytes=256 << 20)


def start(jail: Jail = Jail(), level: int = 3, **options) -> Worker:  # noqa: B008  # Jail is frozen
    try:
        return Worker(jail, LIMITS, minimum_level=level, maximum_level=level, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")


def plain(worker: Worker, source: str, **limits: float) -> Outcome:
    return worker.run(PlainJob(source=source), dataclasses.replace(LIMITS, **limits))


@pytest.fixture(params=[3, 2])
def level(request):
    return request.param


@pytest.fixture(scope="module", params=[3, 2])
def shared(request):
    with start(level=request.param) as worker:
        yield worker


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    return folder


def jail_of(repository: Path, *warm: str) -> Jail:
    return Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=warm)


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("when", ["before its end", "after its end"])
def test_an_interrupted_run_is_not_taken_for_the_next(level, when, monkeypatch):
    """Ctrl-C leaves a run behind; init's report of it must not become another run's."""

    def interrupted(process: jail_process.JailProcess, *_: object) -> None:
        if when == "after its end":
            assert select.select([process._control], [], [], 30)[0], "init has reported"
        raise Interrupt

    with start(level=level) as worker:
        with monkeypatch.context() as patch, pytest.raises(Interrupt):
            patch.setattr(jail_process.JailProcess, "_collect", interrupted)
            plain(worker, "import os\nos._exit(9)")
        outcome = plain(worker, "print('the second')")
        assert (outcome.status, outcome.stdout) == ("ok", b"the second\n")
        assert worker.restarts == 1


def test_a_fork_of_ours_leaves_the_jail_alone(level):
    with start(level=level) as worker:
        pid = os.fork()
        if pid == 0:
            try:
                worker.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert plain(worker, "print(1)").stdout == b"1\n"
        assert worker.restarts == 0


def test_a_killed_jail_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o777)
    strangers = children()  # workers that other tests of this process share, and whose runs come and go
    with start(level=2) as worker:
        plain(worker, "open('f', 'w').write('x')")
        mine = children() - strangers
        for pid in mine | descendants(mine):
            os.kill(pid, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def children() -> set[int]:
    """The processes that this one started itself."""
    return {child for child, parent in parents_of_all().items() if parent == os.getpid()}


def parents_of_all() -> dict[int, int]:
    """The parent of each process."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return parents


def descendants(roots: set[int]) -> set[int]:
    """All processes below these."""
    parents, family = parents_of_all(), {*roots}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return family - roots


@pytest.mark.parametrize("busy_with", ["an import", "a run"])
def test_a_killed_init_takes_the_jail_along(repository, level, busy_with, monkeypatch):
    """Also what does not listen: a zygote that imports, a runner that runs."""
    (repository / "hangs.py").write_text("import time\ntime.sleep(1000)\n")
    start(level=level).close()
    strangers = children()
    begun = threading.Event()
    name = "warm" if busy_with == "an import" else "_collect"
    real = getattr(jail_process.JailProcess, name)

    def work() -> None:
        with contextlib.suppress(SandboxUnavailable):
            serve()

    def serve() -> None:
        jail = jail_of(repository, "hangs") if busy_with == "an import" else Jail()
        with Worker(jail, LIMITS, minimum_level=level, maximum_level=level, warm_seconds=200.0) as worker:
            if busy_with == "a run":
                monkeypatch.setattr(jail_process.JailProcess, name, announced)
                plain(worker, "import time\ntime.sleep(1000)", wall_seconds=200.0)

    def announced(*arguments):
        begun.set()
        monkeypatch.setattr(jail_process.JailProcess, name, real)
        return real(*arguments)

    if busy_with == "an import":
        monkeypatch.setattr(jail_process.JailProcess, name, announced)
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    time.sleep(0.3)  # the order is under way; where it comes later the test asks for less, and still passes
    mine = children() - strangers
    jail = sorted(mine | descendants(mine))
    monkeypatch.setattr(Worker, "_start", lambda worker: (_ for _ in ()).throw(SandboxUnavailable("not again")))
    os.kill(jail[1] if level == 3 else jail[0], signal.SIGKILL)  # at level 3 the first is init's outer process
    deadline = time.monotonic() + 30  # only against what never ends
    while left := [pid for pid in jail if runs(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
    thread.join()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("stream", [1, 2])
def test_a_run_that_ends_by_itself_beyond_the_output_limit(shared, stream):
    source = f"import os\nos.write({stream}, b'x' * 1000)"
    assert plain(shared, source, output_bytes=1000).status == "ok"
    for _ in range(5):
        over = plain(shared, source, output_bytes=999)
        assert over.status == "output-limit" and over.integrity == "truncated"
        assert len(over.stdout + over.stderr) == 999


def test_an_exit_status_that_contradicts_the_end_record(shared):
    """What patches ``os._exit`` runs after the end record went out."""
    outcome = plain(shared, "import os\nleave = os._exit\nos._exit = lambda code: leave(3)\nprint('before')")
    assert (outcome.status, outcome.integrity, outcome.exception) == ("no-end", "truncated", None)


def test_limits_are_accepted_up_to_the_workers_own(shared):
    assert plain(shared, "print(1)", memory_bytes=LIMITS.memory_bytes).status == "ok"
    with pytest.raises(ValueError, match="memory_bytes <= 268435456"):
        plain(shared, "", memory_bytes=LIMITS.memory_bytes + 1)
    for number in (1, 0, -1):
        with pytest.raises(ValueError, match="allow_unsafe"):
            Worker(Jail(), LIMITS, minimum_level=number)


def test_descriptors_that_an_import_keeps_do_not_reach_a_run(repository, level):
    (repository / "keeper.py").write_text("""
import os
file = os.open(__file__, os.O_RDONLY)
for number in (100, 150, 950, 1000):
    os.dup2(file, number)
""")
    with start(jail_of(repository, "keeper"), level) as worker:
        assert worker.warm_failures == {}
        source = """
import os
def is_open(fd):
    try: os.fstat(fd)
    except OSError: return False
    return True
print([fd for fd in range(3, 1024) if is_open(fd)])
"""
        outcome = plain(worker, source, open_files=4096)
    record = eval(outcome.stdout)
    assert len(record) == 1 and record[0] in jail_process.RECORD_FDS, outcome


def test_what_an_import_inherits(repository, level):
    """One socket (init's), the two files that the zygote reads of itself, and what Landlock rules point to."""
    (repository / "look.py").write_text("""
import os, stat
kinds, proc = {}, []
for fd in range(3, 1024):
    try: mode = os.fstat(fd).st_mode
    except OSError: continue
    kinds.setdefault(stat.S_IFMT(mode), []).append(fd)
    try: os.stat("self/stat", dir_fd=fd); proc.append(fd)
    except OSError: pass
import fcntl
flags = {fd: fcntl.fcntl(fd, fcntl.F_GETFL) for fd in kinds.get(stat.S_IFREG, [])}
streams = [os.fstat(fd).st_rdev for fd in (0, 1, 2)]
""")
    source = """
import look, os, stat
count = lambda kind: len(look.kinds.get(kind, []))
print(count(stat.S_IFSOCK), count(stat.S_IFIFO), count(0), look.proc, set(look.streams) == {os.makedev(1, 3)})
O_PATH = 0o10000000  # such a descriptor can be named in a rule, not read
print(sum(not flags & O_PATH for flags in look.flags.values()))
"""
    with start(jail_of(repository, "look"), level) as worker:
        assert worker.warm_failures == {}
        told, files = plain(worker, source).stdout.decode().splitlines()
        assert told == "1 2 0 [] True"  # the pipe is the one by which two forks tell the process id
        assert files == "2"


def test_what_an_import_writes_is_gone(repository, level):
    (repository / "writes.py").write_text("import tempfile\nopen(tempfile.gettempdir() + '/left', 'w').write('x')\n")
    with start(jail_of(repository, "writes"), level) as worker:
        assert worker.warm_failures == {}
        assert plain(worker, "import os\nprint(os.listdir('.'))").stdout == b"[]\n"


def test_imports_survive_a_restart(repository, level):
    (repository / "ready.py").write_text("")
    strangers = children()
    with start(jail_of(repository, "ready"), level) as worker:
        mine = children() - strangers
        for pid in sorted(mine | descendants(mine)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it went with the one before
        outcome = plain(worker, "import sys\nprint('ready' in sys.modules)")
        assert (outcome.stdout, worker.restarts) == (b"True\n", 1)


def test_a_job_that_no_message_holds_is_an_outcome_of_that_run(shared, monkeypatch):
    restarts, lost = shared.restarts, shared.lost_runs
    with monkeypatch.context() as patch:
        patch.setattr(wire, "MAX_MESSAGE_BYTES", 10_000)
        outcome = plain(shared, f"print({'x' * 20_000!r})")
    assert (outcome.status, outcome.integrity, outcome.stdout) == ("no-end", "truncated", b"")
    assert b"at most 10000 bytes" in outcome.stderr
    assert plain(shared, "print(1)").stdout == b"1\n"
    assert (shared.restarts, shared.lost_runs) == (restarts, lost)


def test_a_jail_that_dies_before_each_run_is_an_outcome(repository):
    """One death costs a restart; a second one is what is said of the run."""
    (repository / "fickle.py").write_text("import os\nos.pread = lambda *arguments: os._exit(1)\n")
    with start(jail_of(repository, "fickle")) as worker:
        outcome = plain(worker, "print(1)")
        assert (outcome.status, outcome.integrity) == ("no-end", "truncated")
        assert b"the jail died" in outcome.stderr
        assert worker.restarts >= 1


def test_a_run_that_can_not_be_confined_does_not_run(repository, level):
    """What a repository's import patches can make our own set-up fail; then nothing of the run is started."""
    (repository / "patches.py").write_text("""
import os
def broken(*arguments):
    raise OSError("patched")
os.chdir = broken
""")
    with start(jail_of(repository, "patches"), level) as worker:
        outcome = plain(worker, "print('ran')")
        assert (outcome.status, outcome.integrity, outcome.stdout) == ("no-end", "truncated", b""), outcome
        assert b"patched" in outcome.stderr


def test_imports_that_all_hang_come_to_an_end(repository):
    names = [f"hangs{number}" for number in range(8)]
    for name in names:
        (repository / f"{name}.py").write_text("import time\ntime.sleep(1000)\n")
    with start(jail_of(repository, *names), warm_seconds=0.2) as worker:
        assert set(worker.warm_failures) == set(names)
        assert "timeout" in worker.warm_failures[names[0]]
        assert worker.warm_failures[names[-1]].startswith("not tried")
        assert plain(worker, "print(1)").status == "ok"


def test_root_is_told_of_mounts_that_runs_can_not_read(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("does not apply: an ordinary user's runs can read what the user can")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    start().close()  # else the refusal might be for another reason
    jail = Jail(mounts=(Mount(source=closed, target="/repo"),))
    before = children()
    with pytest.raises(PermissionError, match=r"chmod -R o\+rX"):
        Worker(jail, LIMITS, minimum_level=3)
    assert children() <= before, "the jail that was started for it is down"


def test_keys_and_record_descriptors_differ(shared, monkeypatch):
    keys = []
    judge = jail_process.outcome_of
    monkeypatch.setattr(jail_process, "outcome_of", lambda *given: keys.append(given[4]) or judge(*given))
    source = """
import os
for fd in range(3, 1024):
    try: os.fstat(fd); print(fd)
    except OSError: pass
"""
    numbers = {plain(shared, source).stdout for _ in range(6)}
    assert len(set(keys)) == 6 and all(len(key) == 16 for key in keys)
    assert len(numbers) > 1


def test_pipes_are_read_to_their_end(shared, monkeypatch):
    """Not until a deadline passes: that is for a hostile zygote, which may keep a copy of a pipe."""
    left = []
    collected = jail_process.RunPipes.collected
    monkeypatch.setattr(
        jail_process.RunPipes, "collected", lambda pipes: left.append(set(pipes.open)) or collected(pipes)
    )
    assert plain(shared, "print(1)").status == "ok"
    assert left == [set()]


def test_resource_limits_of_a_run(shared):
    """All of them, soft and hard, and never above what this process has."""
    import resource

    wanted = {
        "CORE": (0, 0),
        "CPU": (14, 15),  # twice what init watches
        "FSIZE": (LIMITS.file_bytes,) * 2,
        "MEMLOCK": (0, 0),
        "MSGQUEUE": (0, 0),
        "NOFILE": (LIMITS.open_files,) * 2,
        "SIGPENDING": (64, 64),
    }
    # the C library's function, because ``resource`` answers for an ordinary machine in a recording jail
    source = """
import ctypes, resource
def limits(name):
    found = (ctypes.c_int64 * 2)()
    assert ctypes.CDLL(None).getrlimit(getattr(resource, "RLIMIT_" + name), found) == 0
    return tuple(found)
print({name: limits(name) for name in %r})
"""
    found = eval(plain(shared, source % [*wanted, "AS", "NPROC"]).stdout)
    for name, (soft, hard) in wanted.items():
        inherited = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
        most = hard if inherited == resource.RLIM_INFINITY else min(hard, inherited)
        assert found[name] == (min(soft, most), most), name
    assert LIMITS.memory_bytes < found["AS"][0] == found["AS"][1] < LIMITS.memory_bytes + (2 << 30)
    assert LIMITS.processes <= found["NPROC"][0] == found["NPROC"][1]


def test_what_a_run_starts_with(shared):
    source = """
import ctypes, os, struct
print(oct(os.umask(0)), os.getsid(0) == os.getpgrp() == os.getpid())
header, data = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0)), ctypes.create_string_buffer(24)
number = {"x86_64": 125, "aarch64": 90}[os.uname().machine]
assert ctypes.CDLL(None).syscall(ctypes.c_long(number), header, data) == 0
words = struct.unpack("6I", data.raw)
print(words[0] | words[3] << 32, words[1] | words[4] << 32, words[2] | words[5] << 32)
"""
    first, capabilities = plain(shared, source).stdout.decode().splitlines()
    assert first == "0o22 True"
    effective, permitted, inheritable = map(int, capabilities.split())
    # at level 2 root's jail may keep CAP_DAC_READ_SEARCH, within Landlock's list, where it could not read without it
    assert effective == permitted and inheritable == 0
    assert permitted in ((0,) if shared.level == 3 else (0, 1 << 2))


def test_pinned_clocks_agree_and_go_on(shared):
    source = """
import time, os
first = time.time()
assert time.time() > first
for name in ("perf_counter", "process_time", "thread_time"):
    read, read_ns = getattr(time, name), getattr(time, name + "_ns")
    assert abs(read() - (time.time() - 1_700_000_000)) < 0.1, name
    assert abs(read_ns() / 1e9 - read()) < 0.1, name
assert abs(time.time_ns() / 1e9 - time.time()) < 0.1
before = time.time(); time.sleep(0.05); assert time.time() - before > 0.05
assert time.localtime()[:5] == time.gmtime()[:5] == time.gmtime(1_700_000_000)[:5], time.localtime()
assert time.strftime("%Y-%m-%d") == "2023-11-14" and time.ctime().endswith("2023") and "2023" in time.asctime()
print(os.urandom(4), __import__("secrets").token_bytes(4), time.tzname)
"""
    outcomes = [plain(shared, source) for _ in range(2)]
    assert outcomes[0].status == "ok", outcomes[0].stderr
    assert outcomes[0].stdout == outcomes[1].stdout and b"UTC" in outcomes[0].stdout


def test_numpys_generator_is_seeded_where_it_is_loaded(repository):
    (repository / "numpy").mkdir()
    (repository / "numpy" / "__init__.py").write_text("")
    (repository / "numpy" / "random.py").write_text("seeds = []\nseed = seeds.append\n")
    with start(dataclasses.replace(jail_of(repository, "numpy.random"), seed=12)) as worker:
        assert plain(worker, "import numpy.random\nprint(numpy.random.seeds)").stdout == b"[12]\n"


def test_a_repository_that_all_may_write_is_read_only(repository, level):
    (repository / "file").write_text("before")
    (repository / "file").chmod(0o666)
    repository.chmod(0o777)
    with start(jail_of(repository), level) as worker:
        source = f"""
import os
root = {worker.inside(repository)!r}
calls = [lambda: open(root + "/file", "a"), lambda: open(root + "/new", "w"), lambda: os.truncate(root + "/file", 1),
         lambda: os.unlink(root + "/file"), lambda: os.rename(root + "/file", "here"), lambda: os.mkdir(root + "/d"),
         lambda: os.link(root + "/file", "here"), lambda: os.chmod(root + "/file", 0), lambda: os.utime(root + "/file")]
for call in calls:
    try: call(); print("done", calls.index(call))
    except OSError: pass
"""
        assert plain(worker, source).stdout == b""
    assert (repository / "file").read_text() == "before"
    assert os.listdir(repository) == ["file"]


@pytest.mark.parametrize(("level", "left_out"), [(3, ("seccomp", "landlock")), (2, ("seccomp",))])
def test_nothing_that_a_run_writes_can_be_executed(level, left_out):
    """Exec is refused by the filter; without it the scratch file system or Landlock refuses it."""
    source = """
import os, socket
with open("program", "w") as file: file.write("#!/bin/sh\\necho executed")
os.chmod("program", 0o755)
try: os.execv("./program", ["program"])
except OSError as error: print(error.errno)
"""
    start(level=level).close()
    try:
        worker = start(level=level, ablate=frozenset(left_out))
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    with worker:
        assert plain(worker, source).stdout == b"13\n"


def test_no_sockets_in_the_scratch_folder_by_landlock_alone():
    with start(level=2, ablate=frozenset({"seccomp"})) as worker:
        source = "import socket\ntry: socket.socket(socket.AF_UNIX).bind('s'); print('bound')\nexcept OSError: print(1)"
        assert plain(worker, source).stdout == b"1\n"


@pytest.mark.parametrize("left_out", ["seccomp", "landlock"])
def test_namespaces_hold_alone_what_two_layers_hold(left_out):
    """At level 3 a single hole in one layer opens little: what else would break without it."""
    from trace_mine.tracer.sandbox import selftest

    with start() as whole, start(ablate=frozenset({left_out})) as ablated:
        answers = selftest.self_test(ablated.ask)
        broken = {line.partition(":")[0] for line in selftest.broken_promises(answers, whole.claim())}
    still = {"no_tcp", "no_host_files", "no_write_outside", "no_proc", "not_root", "no_setuid", "memory_bounded"}
    assert not broken & still
    assert left_out == "seccomp" or broken == {"no_list_of_root"}


def test_landlock_alone_holds_signals_inside():
    """The jail's processes have one user, so that nothing but the scope keeps a run from init."""
    with start(level=2, ablate=frozenset({"seccomp"})) as worker:
        if int(worker.layers.partition("landlock")[2].partition("+")[0]) < 6:
            pytest.skip("Landlock before version 6 has no signal scope; the filter lets no signal pass then")
        # the real parent: ``os.getppid`` gives another number in a recording jail
        source = (
            "import ctypes, os\nparent = ctypes.CDLL(None).getppid()\n"
            "try: os.kill(parent, 0); print('sent')\nexcept PermissionError: print('refused')"
        )
        assert plain(worker, source).stdout == b"refused\n"
