"""Tells how long a process had for itself: by the clock, less the time for which it waited for a processor. Runs
inside, in init.

By the clock alone, what else runs on the machine would decide which runs end at a limit. The time of its own is what
the clock would have said on a machine with nothing else to do: the process computed, or it waited for something that
no processor brings sooner (a sleep, a lock, a pipe).

The kernel counts for each thread how long it was ready to run and did not (``run_delay`` of ``/proc/PID/schedstat``,
Linux with CONFIG_SCHEDSTATS). Where that can't be read (``hidepid``), the processor time decides: a stretch in which
the process had next to none of it was waiting, any other counts as long as its processor time.

Not covered: time that a hypervisor gave to another machine counts as the process's own, where the kernel is not told.
"""

from __future__ import annotations

import os
import time

GUARD = 10.0
"""By the clock a process gets so many times its limit. Generous, because a process that waits for a processor takes
nothing from anybody: at load 16 on two cores, 8 CPU seconds take 70."""
LOOK_SECONDS = 0.2
"""The time between two looks, which cost some 50 us each."""
LEAST_SHARE = 0.01
"""Of a stretch, where run_delay can't be read: with a smaller share of a processor, the process waited for something
else. At load 100 a process that is ready has a hundredth of each processor."""
STRETCH_SECONDS = 1.0
"""The length of such a stretch: a process that is ready waits for a tenth of a second before its turn, at load 16."""
_PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED (linux/posix-timers.h): the scheduler's own count, in nanoseconds, of all threads. RLIMIT_CPU counts
clock ticks instead, and hits a process on a busy virtual machine after 0.78 s of 1 s."""


class OwnTime:
    """The clock of one process, started when the record is made.

    Attributes:
        limit_seconds: of its own time.
        own_seconds, cpu_seconds: as of the last look; processor time is that of all its threads, since the start. The
            kernel counts a wait for a processor when it is over, so own time may turn out to be less than it seemed.
    """

    def __init__(self, pid: int, handle: int, proc: int | None, limit_seconds: float, *, forks: bool = False) -> None:
        """Start the clock.

        Args:
            pid: the process id, as this process sees it. It must not be waited for while the clock is used.
            handle: a pidfd of the process, by which the host's /proc tells its number there.
            proc: an open descriptor of the host's /proc; None where there is none.
            limit_seconds: of its own time.
            forks: True if its descendants' waits and processor time count too.
        """
        self.limit_seconds = limit_seconds
        self.own_seconds = 0.0
        self.cpu_seconds = 0.0
        self._proc = proc
        self._handle = handle
        self._forks = forks
        self._clock_id = (~pid << 3) | _PROCESS_CLOCK  # as clock_getcpuclockid(3) makes it
        self._cpu_before = self._process_seconds()
        self._started = self._looked = time.monotonic()
        self._host_pid: int | None = None
        self._is_resolved = False
        self._delays: dict[str, int] = {}
        self._counts: dict[str, tuple[str, float]] = {}  # what schedstat said of a thread, and since when
        self._waited_seconds = 0.0
        self._stretch = (self._started, 0.0)  # where processor time decides: when it began, and with how much of it

    def wait_seconds(self, most: float = LOOK_SECONDS) -> float:
        """Return how long to wait until the next look: own time passes no faster than the clock's."""
        return max(0.0, min(most, self.limit_seconds - self.own_seconds))

    def is_due(self) -> bool:
        """Return True if the last look is LOOK_SECONDS ago."""
        return time.monotonic() - self._looked >= LOOK_SECONDS

    def look(self) -> None:
        """Bring the numbers up to date."""
        now = time.monotonic()
        if not self._is_resolved:
            self._host_pid = self._number_on_host()
            self._is_resolved = True
        self.cpu_seconds = max(self.cpu_seconds, self._process_seconds() - self._cpu_before)
        threads = None if self._host_pid is None else self._of_threads(self._host_pid)
        if threads is not None:
            delay_seconds, forks_cpu_seconds, waiting_seconds = threads
            if self._forks:
                self.cpu_seconds = max(self.cpu_seconds, forks_cpu_seconds)
            # at the first look the delays are those since the process began, which may be longer ago than the start
            self._waited_seconds = min(self._waited_seconds + delay_seconds, now - self._started)
            self._stretch = (now, self.cpu_seconds)
        began, cpu_before = self._stretch
        passed, computed = now - began, self.cpu_seconds - cpu_before
        waited = self._waited_seconds + (max(0.0, passed - computed) if computed >= LEAST_SHARE * passed else 0.0)
        if threads is not None:  # a wait that is not over yet, which at load 35 may last for a second
            waited += waiting_seconds
        if passed >= STRETCH_SECONDS:
            self._waited_seconds = waited
            self._stretch = (now, self.cpu_seconds)
        self.own_seconds = now - self._started - waited
        self._looked = now

    def over(self) -> bool:
        """Look, and return True if its own time, or the guard's by the clock, is used up."""
        self.look()
        return self.own_seconds >= self.limit_seconds or self._looked - self._started >= GUARD * self.limit_seconds

    @property
    def mostly_computed(self) -> bool:
        """True if more than half of its own time was processor time."""
        return 2 * self.cpu_seconds > self.own_seconds

    def _process_seconds(self) -> float:
        """Return the processor time of the process, the last number where it has ended."""
        try:
            return time.clock_gettime(self._clock_id)
        except OSError:
            return self.cpu_seconds

    def _number_on_host(self) -> int | None:
        """Return the process's number in the host's /proc, None where that does not tell."""
        if self._proc is None:
            return None
        try:
            lines = read(f"self/fdinfo/{self._handle}", self._proc).splitlines()
            number = next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
            slices = read(f"{number}/schedstat", self._proc).split()[2]
        except (OSError, ValueError, IndexError, StopIteration):
            return None
        # a kernel that does not count says 0 of everything, also of a process that ran
        return number if number > 0 and int(slices) > 0 else None

    def _of_threads(self, pid: int) -> tuple[float, float, float] | None:
        """Return the longest wait for a processor of all threads that ended since the last look, their processor time,
        and the longest that a thread has been waiting up to now, in seconds; None where the process has ended.

        The longest, not the sum: one thread often waits for another, and the sum could be longer than the clock's time.
        """
        assert self._proc is not None
        now = time.monotonic()
        delays: dict[str, int] = {}
        counts: dict[str, tuple[str, float]] = {}
        computed, longest = 0, 0
        longest_now = 0.0
        waiting = [str(pid)]
        while waiting:
            folder = f"{waiting.pop()}/task"
            for thread in listed(folder, self._proc):
                place = f"{folder}/{thread}"
                try:
                    count = read(f"{place}/schedstat", self._proc)
                    ran, delay, _ = map(int, count.split())
                    is_ready = read(f"{place}/stat", self._proc).rpartition(")")[2].split()[0] == "R"
                    if self._forks:
                        waiting += read(f"{place}/children", self._proc).split()
                except (OSError, ValueError, IndexError):
                    continue  # it ended meanwhile
                counts[place] = self._counts[place] if self._counts.get(place, ("",))[0] == count else (count, now)
                if is_ready:  # and no count has changed: it has not had a processor since then
                    longest_now = max(longest_now, now - counts[place][1])
                computed += ran
                longest = max(longest, delay - self._delays.get(place, 0))
                delays[place] = delay
        self._delays, self._counts = delays, counts
        return (longest / 1e9, computed / 1e9, longest_now) if delays else None


def read(path: str, folder: int) -> str:
    """Return a small file's text. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(fd, 1 << 16).decode("ascii", "replace")
    finally:
        os.close(fd)


def listed(path: str, folder: int) -> list[str]:
    """Return the names in a folder; none where it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return []
    try:
        return os.listdir(fd)
    except OSError:
        return []
    finally:
        os.close(fd)
