"""What a hostile import says to init in the zygote's name: the supervisor gets a failure of that module, no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker, jail_process

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
    for _ in range(200):
        control.sendall(b" ")
        time.sleep(0.05)
    os._exit(0)
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


def test_an_answer_that_comes_byte_by_byte(repository, monkeypatch):
    """Each byte comes within init's time for one; all of them would come in hours."""
    monkeypatch.setattr(jail_process, "SPARE_SECONDS", 0.5)
    monkeypatch.setattr(jail_process, "ZYGOTE_SECONDS", 0.5)
    (repository / "drips.py").write_text(DRIPS)
    with start(repository, "drips", warm_seconds=0.5) as worker:
        assert "timed out" in worker.warm_failures["drips"]
        assert worker.run(PlainJob(source="print(1)")).stdout == b"1\n"
