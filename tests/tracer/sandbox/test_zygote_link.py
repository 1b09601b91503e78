"""What init believes of a zygote: nothing that could make it signal, wait for or believe another process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from trace_mine.tracer.sandbox import zygote_link
from trace_mine.tracer.sandbox.layer import Orders
from trace_mine.tracer.sandbox.own_time import OwnTime
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message
from trace_mine.tracer.sandbox.zygote_link import MAX_ZYGOTE_MESSAGE_BYTES, Ends, ZygoteGone, ZygoteLink


class Scene:
    """A link to a process that only waits; the test says what a zygote would say."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.supervisor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.supervisor_handle = os.pidfd_open(self.supervisor.pid)
        self.control, self.control_of_supervisor = socket.socketpair()
        ours, self.zygote = socket.socketpair()
        ends = Ends(control=self.control, supervisor=self.supervisor_handle)
        self.link = ZygoteLink(ours, self.process.pid, ends, None, 101)
        self.sockets = (ours, self.zygote, self.control, self.control_of_supervisor)

    def close(self) -> None:
        for process in (self.process, self.supervisor):
            process.kill()
            process.wait()
            process.stdin.close()
        for sock in self.sockets:
            sock.close()
        os.close(self.supervisor_handle)
        os.close(self.link.handle)


@pytest.fixture
def scene():
    made = Scene()
    yield made
    made.close()


def clock(scene: Scene, seconds: float = 20.0) -> OwnTime:
    return scene.link.clock(seconds)  # only against a test that hangs


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])


def test_a_child_of_ours_is_a_runner(scene):
    child = sleeper()
    send_message(scene.zygote, {"pid": child.pid})
    pid, handle = scene.link.accept_runner()
    assert pid == child.pid
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("whose", ["own", "parent", "grandchild", "zygote"])
def test_other_processes_are_none(scene, whose):
    """All of them exist, and at level 2 belong to the user of the jail."""
    source = "import subprocess, sys; p = subprocess.Popen(['sleep', '1000']); print(p.pid, flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    grandchild = int(parent.stdout.readline())
    try:
        pids = {"own": os.getpid(), "parent": os.getppid(), "grandchild": grandchild, "zygote": scene.process.pid}
        send_message(scene.zygote, {"pid": pids[whose]})
        with pytest.raises(ZygoteGone, match="child of init"):
            scene.link.accept_runner()
        os.kill(grandchild, 0)
    finally:
        os.kill(grandchild, signal.SIGKILL)
        parent.kill()
        parent.wait()
        parent.stdin.close()
        parent.stdout.close()


@pytest.mark.parametrize("answer", [{}, {"pid": "7"}, {"pid": None}, {"pid": 1.5}, {"pid": [1]}, {"pid": True}])
def test_answers_without_a_process_id(scene, answer):
    send_message(scene.zygote, answer)
    with pytest.raises(ZygoteGone, match="child of init"):
        scene.link.accept_runner()


@pytest.mark.parametrize("pid", [1, 0, -1, -2, 1 << 40])
def test_process_ids_that_mean_many_or_none(scene, pid, monkeypatch):
    """-1 and 0 mean groups; 1 is init itself. They are refused before any system call is made with them."""
    asked = []
    monkeypatch.setattr(os, "waitid", lambda *arguments: asked.append(arguments[1]))
    if pid > 1:
        monkeypatch.undo()
    send_message(scene.zygote, {"pid": pid})
    with pytest.raises(ZygoteGone):
        scene.link.accept_runner()
    assert asked == []


def test_a_zygote_that_says_nothing_or_dies(scene):
    with pytest.raises(ZygoteGone, match="timeout"):
        scene.link.receive(clock(scene, 0.01))
    scene.process.kill()
    with pytest.raises(ZygoteGone, match="died"):
        scene.link.receive(clock(scene))


def test_a_message_that_comes_byte_by_byte(scene, monkeypatch):
    """Each byte comes in time; the message has one deadline for all of them."""
    monkeypatch.setattr(zygote_link, "MESSAGE_SECONDS", 0.3)
    ended = threading.Event()

    def drip() -> None:
        scene.zygote.sendall((60_000).to_bytes(4, "big") + bytes(4))
        while not ended.wait(0.02):
            scene.zygote.sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(ZygoteGone, match=r"time for this message is over|timed out"):
            scene.link.receive(clock(scene))
    finally:
        ended.set()
        thread.join()


def test_what_it_said_before_it_died_is_heard(scene):
    send_message(scene.zygote, {"last": "word"})
    scene.process.kill()
    scene.process.wait()
    assert scene.link.receive(clock(scene)) == {"last": "word"}


@pytest.mark.parametrize("how", ["too long", "no object", "too deep", "hang-up"])
def test_a_zygote_that_talks_nonsense(scene, how):
    if how == "too long":
        send_message(scene.zygote, {"x": "y" * MAX_ZYGOTE_MESSAGE_BYTES})
    elif how == "no object":
        scene.zygote.sendall(bytes([0, 0, 0, 2, 0, 0, 0, 0]) + b"[]")
    elif how == "too deep":
        scene.zygote.sendall((50_000).to_bytes(4, "big") + bytes(4) + b"[" * 50_000)
    else:
        scene.zygote.close()
    with pytest.raises(ZygoteGone):
        scene.link.receive(clock(scene))


@pytest.mark.parametrize("how", ["dies", "hangs up"])
def test_the_supervisors_end_is_heard_meanwhile(scene, how):
    if how == "dies":
        scene.supervisor.kill()
    else:
        scene.control_of_supervisor.close()
    with pytest.raises(Hangup):
        scene.link.receive(clock(scene))


def test_a_dismissed_runner_is_gone(scene):
    scene.link.order_runner()
    message, _, (theirs,) = receive_message(scene.zygote, max_fds=1)
    assert message == {"do": "fork", "orders": Orders().as_json()}
    before = len(os.listdir("/proc/self/fd"))
    pid = os.fork()
    if pid == 0:
        signal.pause()
    send_message(scene.zygote, {"pid": pid})
    scene.link.dismiss_runner()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert len(os.listdir("/proc/self/fd")) == before - 1, "the socket to the runner is closed, no handle is left"
    with socket.socket(fileno=theirs) as sock:
        assert sock.recv(1) == b"", "nobody else holds the other end"


def test_the_runners_end_of_a_new_socket_is_not_kept(scene):
    before = len(os.listdir("/proc/self/fd"))
    scene.link.order_runner()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    scene.link.next_runner.close()
