"""The limits of one run, and the mechanism that keeps each.

| field | stopped by | outcome |
|---|---|---|
| wall_seconds | the jail's init process | ``wall``, or ``cpu`` where most of it was processor time |
| cpu_seconds | the jail's init process; RLIMIT_CPU, each process, twice as much | ``cpu`` |
| memory_bytes | RLIMIT_AS, on top of what the warm zygote already maps | ``memory``, or the snippet's own MemoryError |
| processes | RLIMIT_NPROC and the system-call filter (no fork, no exec; threads only) | an OSError in the snippet |
| forks | RLIMIT_NPROC and the system-call filter (see below); 0: no process | no fork point, paths run again |
| open_files | RLIMIT_NOFILE | an OSError in the snippet |
| file_bytes | RLIMIT_FSIZE, one file | an OSError in the snippet |
| disk_bytes | size of the scratch file system (level 3), polled (level 2) | an OSError, or ``disk-limit`` |
| output_bytes | the supervisor, stdout and stderr together | ``output-limit`` |
| record_bytes | the supervisor, what the run sends about itself | ``trace-limit`` |
| events | the recorder in the runner | ``trace-limit`` |
| commands | the statement driver | a construct is kept whole instead |

``wall_seconds`` is a run's own time: by the clock, less what it waited for a processor that others used (``own_time``).
On a machine with nothing else to do the two are the same, and on a busy one no run ends for that: load decides nothing.
By the clock a run gets ten times as much.

``forks`` is for runs that follow choices (beliefs, automata); no other run may fork. There, processes and threads count
together, ``forks`` in place of ``processes``. RLIMIT_CPU and RLIMIT_AS are each process's own: ``1 + forks`` times
``memory_bytes`` bounds their memory together, ``wall_seconds`` their time.

A jail as a whole (its imports, its runs with all their processes, the scratch) is bounded by a control group where one
can be had (``sandbox.cgroups``).

Not limited: memory bandwidth, time spent in one uninterruptible system call, CPU caches.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one run; sizes in bytes, durations in seconds.

    Raises:
        ValueError: a limit is not positive (``forks``: is negative).

    >>> import trace_mine
    >>> trace_mine.Limits(wall_seconds=2.0, memory_bytes=256 << 20).commands
    400
    """

    # Above cpu_seconds, so that it ends only what waits. Of 13 runs that ended at 10 s by the clock, each had used 1 or
    # 2 of its 8 CPU seconds and waited for a processor in between.
    wall_seconds: float = 10.0
    cpu_seconds: int = 8
    memory_bytes: int = 1 << 30
    processes: int = 32
    forks: int = 0
    open_files: int = 128
    file_bytes: int = 16 << 20
    disk_bytes: int = 32 << 20
    output_bytes: int = 1 << 20
    record_bytes: int = 32 << 20
    events: int = 200_000
    commands: int = 400  # real sessions have a median of 8 to 14, and nine of ten have fewer than 75

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "forks" and value == 0:  # the one limit that may be nothing at all
                continue
            if value <= 0:
                raise ValueError(f"expected Limits.{field.name} > 0, got {value!r}; give a positive number")

    def as_dict(self) -> dict[str, float | int]:
        """The limits as a JSON object: the field names with their numbers."""
        return asdict(self)
