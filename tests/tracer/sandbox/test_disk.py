"""What a run holds on disk at level 2: counted whatever it does with names, modes and descriptors."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trace_mine.tracer.sandbox.disk import MAX_DEPTH, MAX_FILES, exceeds, stopped

FILE_BYTES = 1 << 20
MEGABYTE = "bytes(1 << 20)"


def make_deep(folder, depth: int) -> None:
    source = f"""
import os
os.chdir({str(folder)!r})
for _ in range({depth}):
    os.mkdir('d'); os.chdir('d')
open('end', 'w').close()
"""
    subprocess.run([sys.executable, "-c", source], check=True)


def test_folder_exceeds(tmp_path):
    assert not exceeds(str(tmp_path), 1, FILE_BYTES)
    (tmp_path / "file").write_bytes(bytes(100_000))
    assert exceeds(str(tmp_path), 99_999, FILE_BYTES)
    assert not exceeds(str(tmp_path), 200_000, FILE_BYTES)


def test_folder_exceeds_by_depth_and_number(tmp_path):
    deep, wide = tmp_path / "deep", tmp_path / "wide"
    deep.mkdir()
    wide.mkdir()
    make_deep(deep, MAX_DEPTH + 2)
    assert exceeds(str(deep), 1 << 30, FILE_BYTES)
    for number in range(MAX_FILES + 1):
        (wide / str(number)).symlink_to("x")
    assert exceeds(str(wide), 1 << 30, FILE_BYTES)


def test_folder_exceeds_to_the_byte(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100_000))
    used = (tmp_path / "file").stat().st_blocks * 512
    assert not exceeds(str(tmp_path), used, FILE_BYTES)
    assert exceeds(str(tmp_path), used - 1, FILE_BYTES)


def test_folder_exceeds_follows_no_links(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "file").write_bytes(bytes(100_000))
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "file")
    assert not exceeds(str(inside), 50_000, FILE_BYTES)


def test_depth_and_number_alone(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    make_deep(deep, MAX_DEPTH - 1)
    assert not exceeds(str(deep), 1 << 30, FILE_BYTES)
    make_deep(deep / "/".join("d" * (MAX_DEPTH - 1)), 2)
    assert exceeds(str(deep), 1 << 30, FILE_BYTES)


@pytest.fixture
def running(tmp_path):
    """Starts a program in a folder of its own, as a group, and gives its process id once it says that it is ready."""
    started = []

    def start(source: str) -> int:
        source = f"import os, socket, mmap, time\n{source}\nprint(flush=True)\ntime.sleep(100)"
        program = subprocess.Popen(
            [sys.executable, "-c", source], cwd=tmp_path, stdout=subprocess.PIPE, process_group=0
        )
        started.append(program)
        assert program.stdout.readline() == b"\n"
        return program.pid

    yield start
    for program in started:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        program.stdout.close()


HIDES = {
    "open without a name": f"""
file = open("f", "wb"); file.write({MEGABYTE}); file.flush(); os.unlink("f")
""",
    "never named": f"""
fd = os.open(".", os.O_TMPFILE | os.O_RDWR); os.write(fd, {MEGABYTE})
""",
    "mapped without a name": f"""
with open("f", "w+b") as file:
    file.write({MEGABYTE}); file.flush(); mapped = mmap.mmap(file.fileno(), 4096); os.unlink("f")
import ctypes
os.closerange(3, 100)
""",
    "on its way": f"""
ours, theirs = socket.socketpair()
with open("f", "wb") as file:
    file.write({MEGABYTE}); file.flush(); os.unlink("f"); socket.send_fds(ours, [b"x"], [file.fileno()])
""",
    "in a folder that can't be read": f"""
os.mkdir("d", 0o300); open("d/f", "wb").write({MEGABYTE})
""",
    "below what a path can name": f"""
for _ in range(30): os.mkdir("d" * 200); os.chdir("d" * 200)
open("f", "wb").write({MEGABYTE})
""",
    "mapped by a process whose first thread has ended": f"""
import ctypes, threading
def hold():
    with open("f", "w+b") as file:
        file.write({MEGABYTE}); file.flush(); mapped = mmap.mmap(file.fileno(), 4096); os.unlink("f")
    os.closerange(3, 100)
    time.sleep(0.2)
    print(flush=True); time.sleep(100)
threading.Thread(target=hold).start()
libc = ctypes.CDLL(None); libc.syscall(60 if os.uname().machine == "x86_64" else 93, 0)
""",
    "by a thread": f"""
import threading
def hold():
    global file
    file = open("f", "wb"); file.write({MEGABYTE}); file.flush(); os.unlink("f")
thread = threading.Thread(target=hold); thread.start(); thread.join()
""",
}


def test_threads_and_processes_that_end_are_no_error(running, tmp_path):
    """The kernel gives what an ending thread has open to root."""
    leader = running("""
import threading
def ends():
    while True:
        thread = threading.Thread(target=int); thread.start(); thread.join()
        if not os.fork(): os._exit(0)
        os.wait()
threading.Thread(target=ends, daemon=True).start()
""")
    assert not any(exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader) for _ in range(300))


@pytest.mark.parametrize("how", HIDES)
def test_what_is_held_is_counted(how, running, tmp_path):
    leader = running(HIDES[how])
    assert exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader)
    if how != "on its way":  # how much it holds can't be told
        assert not exceeds(str(tmp_path), 3 << 19, FILE_BYTES, leader)


def test_what_a_fork_holds_is_counted(running, tmp_path):
    leader = running(f"""
if os.fork() == 0:
    file = open("f", "wb"); file.write({MEGABYTE}); file.flush(); os.unlink("f")
    print(flush=True); time.sleep(100)
import select; select.select([], [], [], 0.3)
""")
    assert exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader)


def test_a_job_on_its_way_to_a_run_is_no_file(running, tmp_path):
    """On a busy machine it waits in the socket for longer than until the first measurement."""
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(100)"], pass_fds=(theirs.fileno(),), process_group=0
        ) as program,
    ):
        inode = os.fstat(theirs.fileno()).st_ino
        theirs.close()
        socket.send_fds(ours, [b"x"], [0])
        assert exceeds(str(tmp_path), 1 << 19, FILE_BYTES, program.pid)
        assert not exceeds(str(tmp_path), 1 << 19, FILE_BYTES, program.pid, frozenset({inode}))
        program.kill()


def test_what_was_sent_to_the_measuring_process_counts(running, tmp_path):
    ours, theirs = socket.socketpair()
    leader = running("")
    with ours, theirs, open(tmp_path / "f", "wb") as file:
        assert not exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader)
        socket.send_fds(theirs, [b"x"], [file.fileno()])
        assert exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader)


def test_what_others_hold_is_not(running, tmp_path):
    """Files without a name that lie elsewhere on the disk, and names that look like none."""
    leader = running(f"""
file = open({str(tmp_path.parent / "elsewhere")!r}, "w+b"); file.write(bytes(4096)); file.flush()
mapped = mmap.mmap(file.fileno(), 4096); os.unlink(file.name); file.close()
first, second = socket.socketpair()
""")
    assert not exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader)


def test_a_hard_link_takes_its_blocks_once(tmp_path):
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    for number in range(4):
        os.link(tmp_path / "file", tmp_path / str(number))
    assert not exceeds(str(tmp_path), 3 << 19, FILE_BYTES)


MOVES = {
    "renames a folder": """
while True:
    for number in range(1000): os.rename(f"d{number}", f"d{number + 1}")
    os.rename("d1000", "d0")
""",
    "moves a file between folders": """
while True:
    os.rename("a/f", "d0/f"); os.rename("d0/f", "a/f")
""",
}


@pytest.mark.parametrize("how", MOVES)
def test_what_moves_all_the_time_is_counted(how, running, tmp_path):
    leader = running(f"""
os.mkdir("a"); os.mkdir("d0")
open("{"a" if "file" in how else "d0"}/f", "wb").write({MEGABYTE})
import threading
threading.Thread(target=exec, args=({MOVES[how]!r},), daemon=True).start()
time.sleep(0.1)
""")
    assert all(exceeds(str(tmp_path), 1 << 19, FILE_BYTES, leader) for _ in range(20))
    assert not any(exceeds(str(tmp_path), 3 << 19, FILE_BYTES, leader) for _ in range(20)), "nothing counts twice"


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_run_goes_on_after_it_was_measured(running):
    leader = running("")
    with stopped(leader):
        assert state(leader) == "T"
    deadline = time.monotonic() + 10
    while state(leader) == "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state(leader) in "SR"


def test_a_run_that_stopped_itself_stays_so(running):
    leader = running("")
    os.kill(leader, signal.SIGSTOP)
    while state(leader) != "T":
        time.sleep(0.001)
    with stopped(leader):
        pass
    assert state(leader) == "T"


def test_modes_are_left_as_they_were(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(bytes(1 << 20))
    (tmp_path / "d").chmod(0o300)
    assert exceeds(str(tmp_path), 1 << 19, FILE_BYTES)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o300


def test_measuring_leaves_no_mark(tmp_path):
    (tmp_path / "d").mkdir()
    before = [os.stat(place).st_atime_ns for place in (tmp_path, tmp_path / "d")]
    time.sleep(0.05)
    exceeds(str(tmp_path), 1 << 19, FILE_BYTES)
    assert [os.stat(place).st_atime_ns for place in (tmp_path, tmp_path / "d")] == before
