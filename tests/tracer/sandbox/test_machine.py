"""The machine that a jail claims to be: what may be claimed, and that the kernel says so, not Python alone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.machine import OLD_RELEASE, OTHER_ARCHITECTURE, Machine
from trace_mine.tracer.sandbox.pinned_clocks import PINNED_TIME, Clock
from trace_mine.tracer.two_worlds import REPLAY_MACHINE

KERNEL = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
class Names(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char * 65) for name in "system host release version machine domain".split()]
class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
names, time = Names(), Time()
assert libc.uname(ctypes.byref(names)) == 0
uptime = {}
for clock in (1, 7):  # CLOCK_MONOTONIC, CLOCK_BOOTTIME
    assert libc.clock_gettime(clock, ctypes.byref(time)) == 0
    uptime[clock] = time.seconds
print(json.dumps({
    "host": names.host.decode(), "domain": names.domain.decode(), "release": names.release.decode(),
    "machine": names.machine.decode(), "uptime": uptime, "user": [libc.getuid(), libc.getgid()],
    "account": open("/etc/passwd").read(), "zone": os.environ["TZ"], "zones": os.listdir("/usr/share/zoneinfo/Arctic")
    if os.path.isdir("/usr/share/zoneinfo") else [],
}))
"""


def test_the_kernel_itself_says_so():
    try:
        with Worker(Jail(machine=REPLAY_MACHINE, hostname="claimed"), Limits(), minimum_level=3) as worker:
            outcome = worker.run(PlainJob(source=KERNEL))
    except SandboxUnavailable as error:
        pytest.skip(f"level 3 does not work here: {error}")
    assert outcome.status == "ok", outcome.stderr
    said = json.loads(outcome.stdout)
    assert (said["host"], said["domain"]) == ("claimed", REPLAY_MACHINE.domain_name)
    assert said["release"].startswith("2.6.") and said["machine"] in ("i686", "armv8l")
    assert said["user"] == [REPLAY_MACHINE.user_id] * 2
    assert said["account"].startswith("replay:x:1001:1001:")
    assert said["zone"] == "NPT-5:45"
    assert said["zones"] == []
    assert all(0 <= seconds - REPLAY_MACHINE.uptime_seconds < 600 for seconds in said["uptime"].values())


def test_the_two_machines_differ_in_everything():
    ordinary = dataclasses.asdict(Machine())
    alike = [name for name, value in dataclasses.asdict(REPLAY_MACHINE).items() if value == ordinary[name]]
    assert alike == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": ""}, {"domain_name": "a\nb"}, {"user_id": 0}, {"user_id": 70_000}, {"columns": -1},
        {"uptime_seconds": 0}, {"personality": 0x0040000}, {"hidden": ("relative",)},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_machine_can_be(wrong):
    with pytest.raises(ValueError, match="expected"):
        Machine(**wrong)


def test_a_machine_travels_in_a_configuration():
    config = JailConfig(
        layers=(), required=(), binds=(), devices=(), sys_path=(), scratch="/scratch", hostname="h", process_id=101,
        hash_seed=0, seed=0, pinned_clock=False, choices=False, uid=None, tasks=8, readable_by_all=True,
        limits=Limits(), zygote="recorder", executable="/python/bin/python3", machine=REPLAY_MACHINE,
        libraries=(("/lib/a", "/lib/b"),), links=(("/lib64", "lib"),), loadable=("/lib",), hidden=("/x",), library="/l",
    )  # fmt: skip
    assert JailConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.machine.personality == OLD_RELEASE | OTHER_ARCHITECTURE


def test_the_pinned_clock_moves_by_readings_and_by_waits_that_ended_without_result():
    clock = Clock()
    assert clock.read() == PINNED_TIME + 0.001
    for seconds, arrived in ((2.0, []), (None, []), (0.0, []), (-1, False), (3.0, ["ready"])):
        clock.waited(seconds, arrived)
    assert round(clock.elapsed(), 6) == 2.002


WAITS = """
import asyncio, queue, sched, select, selectors, threading, time
before = time.monotonic()
async def two():
    await asyncio.sleep(0.05)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.05)
    except asyncio.TimeoutError:
        return "late"
print(asyncio.run(two()))
try:
    queue.Queue().get(timeout=0.05)
except queue.Empty:
    print("empty")
print(threading.Event().wait(0.05), threading.Condition().acquire())
turns = []
scheduler = sched.scheduler()
for delay in (0.02, 0.01):
    scheduler.enter(delay, 1, turns.append, (delay,))
scheduler.run()
print(turns)
print(select.select([], [], [], 0.02), selectors.DefaultSelector().select(0.02))
lock = threading.Lock()
def hold():
    with lock:
        time.sleep(0.02)
thread = threading.Thread(target=hold)
thread.start()
thread.join(5)
print(thread.is_alive(), time.monotonic() - before >= 0.2)
end = time.monotonic() + 0.05
while time.monotonic() < end:
    pass
print("over", abs(time.monotonic_ns() / 1e9 - time.monotonic()) < 0.01)
"""


@pytest.mark.parametrize("level", [3, 2])
def test_waits_end_under_pinned_clocks(level):
    """Each in as many turns as with a real clock: a loop that waits its whole time again in each turn took seconds."""
    try:
        with Worker(Jail(), Limits(), minimum_level=level, maximum_level=level) as worker:
            one, two = (worker.run(PlainJob(source=WAITS)) for _ in range(2))
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    assert one.status == "ok", one.stderr
    assert one.stdout == two.stdout
    assert one.stdout.decode().split("\n") == [
        "late", "empty", "False True", "[0.01, 0.02]", "([], [], []) []", "False True", "over True", ""
    ]  # fmt: skip
