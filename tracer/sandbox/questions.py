"""The questions of the self-test: the source of a plain job that runs inside a jail and prints one JSON object of
answers.

Each answer is True where the sandbox keeps its promise, or a value to compare (``layers`` says with what). The caller
puts ``NUMBERS``, system-call numbers by name, in front. Exec is asked last: where it is not refused, it ends the test.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import socket
import sys
import time
from collections.abc import Callable

NUMBERS: dict[str, int] = globals().get("NUMBERS", {})
answers: dict[str, object] = {}
libc = ctypes.CDLL(None, use_errno=True)


def refused(function: Callable[..., object], *arguments: object) -> bool:
    """Return True if the call fails with one of the errors that Python makes of a refusal."""
    try:
        function(*arguments)
    except (OSError, MemoryError, ValueError):
        return True
    return False


def reaches_host(family: int, kind: int, address: tuple[str, int]) -> bool:
    """Return True if a connection gets an answer from the host.

    A refused connection is an answer: something outside said no. "Network unreachable" (an empty network namespace) and
    "operation not permitted" (the filter) are none.
    """
    try:
        with socket.socket(family, kind) as sock:
            sock.settimeout(1)
            sock.connect(address)
    except OSError as error:
        return error.errno in (errno.ECONNREFUSED, errno.ETIMEDOUT)
    return True


def fork() -> None:
    """Make a process and wait for its end."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def fill() -> None:
    """Write a file of 256 MB, far over every limit; raise OSError where that fails."""
    try:
        with open("fill", "wb", buffering=0) as file:
            # The limit of a file's size refuses this at once; where there is none, all is written, for the scratch's.
            os.pwrite(file.fileno(), b"x", (256 << 20) - 1)
            for _ in range(256):
                # the kernel writes as much as the limit allows; only the next write fails
                if file.write(bytes(1 << 20)) < 1 << 20:
                    raise OSError("short write")
    finally:
        os.unlink("fill")


def reached_system_calls() -> list[str]:
    """Return the dangerous calls whose answer shows that the kernel ran them: anything but EPERM and ENOSYS."""
    reached = []
    for name, number in NUMBERS.items():
        # ptrace(0) is PTRACE_TRACEME: where nothing refuses it, this process stops at its exec below, until its limit
        first = -1 if name == "ptrace" else 0
        result = libc.syscall(ctypes.c_long(number), ctypes.c_long(first), *[ctypes.c_long(0)] * 5)
        if result >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
            reached.append(name)
    return reached


def hard_limit(which: int) -> int:
    """Return the hard limit of this process."""
    limits = (ctypes.c_int64 * 2)()
    assert libc.getrlimit(which, limits) == 0
    return limits[1]


def locked() -> bool:
    """Return True if a file that is not this jail's can be locked: then a second descriptor finds it so."""
    with open(os.__file__) as first, open(os.__file__) as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        return refused(fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def most_threads() -> int:
    """Return how many threads start before one is refused, 256 at most."""
    import threading

    # One heap for all threads: each of its own reserves 64 MB, and the limit of memory would be met first.
    libc.mallopt(-8, 1)  # M_ARENA_MAX
    threading.stack_size(1 << 16)
    go_on = threading.Event()
    threads: list[threading.Thread] = []
    try:
        while len(threads) < 256:
            thread = threading.Thread(target=go_on.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    return len(threads)


def library() -> str:
    """Return the folder of the standard library."""
    return os.path.dirname(os.__file__)


answers["no_socket"] = refused(socket.socket)
answers["no_tcp"] = not reaches_host(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 9))
answers["no_datagram_pair"] = refused(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)
answers["no_fork"] = refused(fork)
answers["no_host_files"] = all(refused(os.listdir, path) for path in ("/var", "/proc", "/sys", "/boot"))
answers["no_list_of_root"] = refused(os.listdir, "/")
outside = ("/", "/usr/lib", "/etc", "/var/tmp", "/dev/shm", library())
answers["no_write_outside"] = all(refused(open, f"{folder}/trace-mine-probe", "w") for folder in outside)
answers["no_proc"] = not os.path.exists("/proc/self")
answers["scratch_empty"] = os.listdir(".") == []
answers["scratch_writable"] = not refused(open, "probe", "w")
answers["file_size_bounded"] = refused(fill)
# At level 3 the parent is process 1; 0 stands for a parent outside the namespace, and would mean our own group to kill.
parent = libc.getppid() or 1
answers["no_signal_to_parent"] = refused(os.kill, parent, 0) and refused(os.kill, -1, 0)
answers["no_limits_of_parent"] = refused(resource.prlimit, parent, resource.RLIMIT_CORE)
answers["descriptors"] = sum(not refused(os.fstat, fd) for fd in range(1024))
answers["environment"] = dict(os.environ)
# here and below the kernel's own answers: the functions of the recording jail's ``os`` and ``resource`` give others
answers["not_root"] = libc.getuid() != 0 and libc.geteuid() != 0
answers["no_attributes"] = refused(os.listxattr, library())
answers["no_locks"] = not locked()
answers["no_links_of_host"] = refused(os.readlink, "/proc/self/exe")
answers["no_setuid"] = refused(os.setuid, 0)
answers["no_chroot"] = refused(os.chroot, ".")
# only reserved, never touched: where no limit refuses it, it costs nothing
answers["memory_bounded"] = refused(mmap.mmap, -1, 8 << 30)
answers["most_threads"] = {"threads": most_threads()}
answers["stdin_empty"] = sys.stdin.read() == ""
answers["hash"] = hash("trace-mine")
answers["time_zone"] = time.tzname[0]
answers["limits"] = {
    name: hard_limit(getattr(resource, f"RLIMIT_{name}")) for name in ("CPU", "FSIZE", "NOFILE", "CORE")
}
answers["process_id"] = os.getpid()
name = ctypes.create_string_buffer(256)
assert libc.gethostname(name, ctypes.c_size_t(len(name))) == 0
answers["host_name"] = name.value.decode()
answers["directory"] = os.getcwd()
answers["system_calls_reached"] = reached_system_calls()
text = json.dumps(answers)
os.write(1, text.encode())  # not print: a buffer would be lost with the exec
try:
    os.execv("/bin/true", ["true"])
except OSError:
    os.write(1, b"\n")
