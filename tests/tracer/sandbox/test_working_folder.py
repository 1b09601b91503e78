"""A working folder: each run has a copy of its own, laid down without following anything that lies there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.working_folder import MAX_BYTES, MAX_ENTRIES, WorkingFolder, opened_parent

LIMITS = Limits(memory_bytes=256 << 20, disk_bytes=1 << 20)
FOLDER = WorkingFolder(
    folders=("data", "data/deep"),
    files=(("main.py", 0o644, b"x = 1\n"), ("data/deep/a.txt", 0o600, b"held\n"), ("run.sh", 0o755, b"")),
    links=(("link.txt", "data/deep/a.txt"),),
)


@pytest.fixture(scope="module", params=[3, 2])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    try:
        made = Worker(Jail(), LIMITS, minimum_level=request.param, maximum_level=request.param)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox of level {request.param} here: {error}")
    with made:
        made.hold_folder(FOLDER)
        yield made


def printed(worker: Worker, source: str) -> str:
    """What a run prints to its descriptors."""
    outcome = worker.run(PlainJob(source=source))
    assert outcome.status == "ok", outcome
    return outcome.stdout.decode()


names = st.from_regex(r"[a-z]{1,3}", fullmatch=True)


@given(
    files=st.dictionaries(names, st.tuples(st.sampled_from([0o644, 0o755]), st.binary(max_size=20)), max_size=5),
    folders=st.sets(names, max_size=3),
)
def test_a_packed_folder_is_unpacked_as_it_was(files: dict[str, tuple[int, bytes]], folders: set[str]) -> None:
    made = WorkingFolder(
        folders=tuple(f"d{name}" for name in folders),
        files=tuple((name, mode, content) for name, (mode, content) in files.items()),
        links=(("l", "x"),),
    )
    assert WorkingFolder.unpacked(*made.packed()) == made


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/../../b", "", ".", "a\0b"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="plain relative paths"):
        WorkingFolder(files=((path, 0o644, b""),))


def test_what_is_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="of at most"):
        WorkingFolder(files=(("a", 0o644, bytes(MAX_BYTES + 1)),))
    with pytest.raises(ValueError, match="of at most"):
        WorkingFolder(folders=tuple(f"f{number}" for number in range(MAX_ENTRIES + 1)))


def test_a_run_finds_the_folder(worker: Worker) -> None:
    source = """
import os
print(sorted(os.listdir()), open("link.txt").read(), oct(os.stat("run.sh").st_mode & 0o777))
"""
    assert printed(worker, source) == "['data', 'link.txt', 'main.py', 'run.sh'] held\n 0o755\n"


def test_no_run_sees_what_another_wrote(worker: Worker) -> None:
    first = "open('main.py', 'w').write('changed'); open('new', 'w').close(); import os; os.unlink('link.txt')"
    assert printed(worker, first) == ""
    assert printed(
        worker, "import os; print(open('main.py').read(), os.path.exists('new'), os.path.lexists('link.txt'))"
    ) == ("x = 1\n False True\n")


def test_the_limit_of_the_disk_is_for_what_a_run_writes(worker: Worker) -> None:
    big = WorkingFolder(files=(("big", 0o644, bytes(3 << 20)),))
    worker.hold_folder(big)
    try:
        assert printed(worker, "open('mine', 'wb').write(bytes(900_000)); print('fits')") == "fits\n"
        outcome = worker.run(PlainJob(source="import time\nopen('f', 'wb').write(bytes(2 << 20))\ntime.sleep(5)"))
        assert outcome.status != "ok"
    finally:
        worker.hold_folder(FOLDER)


def test_a_jail_that_was_started_again_has_the_folder(worker: Worker) -> None:
    killed = worker._processes[-1]._popen
    killed.kill()
    killed.wait()  # else the run may begin before its end, and is lost with it
    assert printed(worker, "print(open('main.py').read())") == "x = 1\n\n"


@pytest.mark.parametrize("planted", ["data", "main.py"])
def test_nothing_that_lies_in_the_scratch_is_followed(tmp_path: Path, planted: str) -> None:
    """A hostile zygote may write into the scratch that the next run gets."""
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    target = outside if planted == "data" else outside / "victim"
    if planted == "main.py":
        target.write_bytes(b"safe")
    (scratch / planted).symlink_to(target)
    with pytest.raises(OSError):
        FOLDER.lay(str(scratch))
    assert [path.name for path in outside.iterdir()] == ([] if planted == "data" else ["victim"])
    assert planted == "data" or target.read_bytes() == b"safe"


def test_a_folder_within_that_became_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    base = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with opened_parent(base, "real/name") as (_, name):
            assert name == "name"
        for path in ("link/name", "real/../name"):
            with pytest.raises(OSError), opened_parent(base, path):
                pytest.fail("entered")
    finally:
        os.close(base)
