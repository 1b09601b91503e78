"""What imports write: bounded as what a run writes, though no run is there yet that could be ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.config import ZygoteKind

LIMITS = Limits(wall_seconds=5.0, cpu_seconds=2, disk_bytes=8 << 20, file_bytes=4 << 20)
WRITES = """
import os, time
held = []
for number in range(100):
    held.append(open("f" + {name}, "wb", buffering=0))
    held[-1].write(bytes(4 << 20))
    {after}
    time.sleep(0.02)
"""


@pytest.mark.parametrize(("name", "after"), [("str(number)", "pass"), ("''", "os.unlink('f')")])
@pytest.mark.parametrize("level", [3, 2])
def test_what_imports_write_is_bounded(tmp_path: Path, level: int, name: str, after: str) -> None:
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "writes.py").write_text(WRITES.format(name=name, after=after))
    jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("writes",))
    try:
        worker = Worker(jail, LIMITS, minimum_level=level, maximum_level=level)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    with worker:
        wanted = "disk-limit" if level == 2 else "OSError: [Errno 28] No space left on device"
        assert worker.warm_failures == {"writes": wanted}
        assert worker.run(PlainJob(source="import os\nprint(os.listdir('.'))")).stdout == b"[]\n"


def test_what_an_import_left_open_counts(tmp_path: Path) -> None:
    """Written and closed to all eyes before init looks: asked once more at the end of the imports."""
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "keeps.py").write_text(
        "held = []\n"
        + WRITES.replace("100", "4").replace("    time.sleep(0.02)\n", "").format(name="''", after="os.unlink('f')")
    )
    jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("keeps",))
    try:
        worker = Worker(jail, LIMITS, minimum_level=2, maximum_level=2)
    except SandboxUnavailable as error:
        pytest.skip(f"level 2 does not work here: {error}")
    with worker:
        assert worker.warm_failures == {"keeps": "disk-limit"}
        assert worker.run(PlainJob(source="print(1)")).status == "ok"


@pytest.mark.parametrize("zygote", ["recorder", "replayer"])
@pytest.mark.parametrize("level", [3, 2])
def test_imports_have_a_folder_to_work_in(tmp_path: Path, level: int, zygote: ZygoteKind) -> None:
    """At level 3 the self-test's runs leave another file system at its place than the zygote began in."""
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "works.py").write_text("open('note', 'w').write('x')\nassert open('note').read() == 'x'\n")
    jail = Jail(
        mounts=(Mount(source=repository, target="/repo"),),
        sys_path=("/repo",),
        warm=("works",),
        zygote=zygote,
        pinned_clock=zygote == "recorder",
    )
    try:
        worker = Worker(jail, LIMITS, minimum_level=level, maximum_level=level)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    with worker:
        assert worker.warm_failures == {}
