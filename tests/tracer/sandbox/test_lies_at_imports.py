"""What a hostile import says to init in the zygote's name: the supervisor gets a failure of that module, no error."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker, rlimits

LIAR = """
import json
real = json.dumps
json.dumps = lambda value, *rest: {lie} if "warmed" in value else real(value, *rest)
"""
LIES = {
    "a failure without its text": """real({"failed": "liar"})""",
    "a failure of another module": """real({"failed": "other", "why": ""})""",
    "nested too deeply": """'{"a": ' + "[" * 50_000""",
    "something else": """real({"strange": True})""",
    "a fault without a text": """real({"fault": ""})""",
}

DRIPS = """
import os, socket, time
for number in range(3, 64):
    try:
        control = socket.socket(fileno=number)
        control.sendall((60_000).to_bytes(4, "big") + bytes(4))
    except OSError:
        continue
    while True:
        control.sendall(b" ")
        time.sleep(0.05)
"""


def start(repository: Path, name: str, warm_seconds: float = 5.0) -> Worker:
    jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=(name,))
    try:
        return Worker(jail, Limits(wall_seconds=5.0), minimum_level=3, warm_seconds=warm_seconds)
    except SandboxUnavailable as error:
        pytest.skip(f"level 3 does not work here: {error}")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_instead_of_the_end_of_the_imports(repository, lie):
    (repository / "liar.py").write_text(LIAR.format(lie=LIES[lie]))
    with start(repository, "liar") as worker:
        assert set(worker.warm_failures) == {"liar"}
        assert "timeout" not in worker.warm_failures["liar"]  # known for a lie as soon as it was told
        assert worker.run(PlainJob(source="print(1)")).stdout == b"1\n"


def test_an_answer_that_comes_byte_by_byte(repository):
    """Each byte comes soon; all of them would come in an hour, were there no deadline for the message."""
    (repository / "drips.py").write_text(DRIPS)
    with start(repository, "drips", warm_seconds=0.5) as worker:
        assert worker.warm_failures["drips"].startswith("TimeoutError"), worker.warm_failures
        assert worker.run(PlainJob(source="print(1)")).stdout == b"1\n"


FLOOD = """
import os, socket
for number in range(3, 64):
    try:
        control = socket.socket(fileno=number)
    except OSError:
        continue
    body = b'{"failed": "floods", "why": "%s"}' % (b"x" * 60_000)
    while True:
        control.sendall(len(body).to_bytes(4, "big") + bytes(4) + body)
"""


@pytest.mark.parametrize("kind", ["failed", "begin"])
def test_a_flood_of_answers(repository, kind):
    """Init takes two messages for each module and no more, and its memory is limited besides."""
    (repository / "floods.py").write_text(FLOOD.replace("failed", kind))
    with start(repository, "floods", warm_seconds=20.0) as worker:
        assert "expected two messages for each of 1 modules" in worker.warm_failures["floods"]
        assert worker.run(PlainJob(source="print(1)")).stdout == b"1\n"


def test_inits_limits(repository):
    """Init can't grow, open or fork without bound, whatever is said to it."""
    (repository / "good.py").write_text("")
    with start(repository, "good") as worker:
        init = int(
            Path(f"/proc/{worker._processes[0]._popen.pid}/task/{worker._processes[0]._popen.pid}/children").read_text()
        )
        told = {
            line[:26].strip(): line[26:].split()[:2] for line in Path(f"/proc/{init}/limits").read_text().splitlines()
        }
        mapped = int(Path(f"/proc/{init}/statm").read_text().split()[0]) * resource.getpagesize()
    assert mapped < int(told["Max address space"][1]) <= mapped + rlimits.INIT_BYTES + (64 << 20)
    assert told["Max open files"] == [str(rlimits.INIT_FILES)] * 2
    assert told["Max processes"] == ["1", "1"]
    assert told["Max core file size"] == ["0", "0"]
    assert told["Max file size"] == [str(rlimits.INIT_FILE_BYTES)] * 2
