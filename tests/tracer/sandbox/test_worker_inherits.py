"""Nothing of the supervisor's state, of an earlier run or of a jail that got stuck reaches a run."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import socket

import pytest

from trace_mine.tracer.inside.protocol.jobs import BeliefsJob, PlainJob, Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, jail_process
from trace_mine.tracer.sandbox.kernel import syscall
from trace_mine.tracer.schema import Outcome

LIMITS = Limits(wall_seconds=20.0, cpu_seconds=7, memory_bytes=256 << 20)


def start(level: int, limits: Limits = LIMITS, **options) -> Worker:
    try:
        return Worker(Jail(), limits, minimum_level=level, maximum_level=level, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")


def plain(worker: Worker, source: str, **limits: float) -> Outcome:
    return worker.run(PlainJob(source=source), dataclasses.replace(LIMITS, **limits))


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
    with start(2) as worker:
        stuck = worker._processes[-1]
        os.kill(stuck._popen.pid, signal.SIGSTOP)  # at level 2 init is the process that was started
        with monkeypatch.context() as patch:
            # the jail that takes its place answers within the usual time
            patch.setattr(stuck, "stop", lambda: (patch.undo(), stuck.stop()))
            outcome = plain(worker, "print('another jail')", wall_seconds=0.5)
        assert (outcome.status, outcome.stdout, worker.restarts) == ("ok", b"another jail\n", 1)


def test_a_group_is_forgotten_with_its_run():
    """Its number may be another process's by the time at which the jail is taken down."""
    limits = dataclasses.replace(LIMITS, forks=2)
    job = BeliefsJob(program=Program(), commands=(("exec('x = 1')", ""),), outcomes=None, num_seeds=1, max_seconds=3.0)
    with start(2, limits) as worker:
        heard = []
        receive = jail_process.JailProcess._receive
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                jail_process.JailProcess, "_receive", lambda process: heard.append(receive(process)) or heard[-1]
            )
            assert worker.run(job, limits).status == "ok"
        assert any("group" in message for message in heard)
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
