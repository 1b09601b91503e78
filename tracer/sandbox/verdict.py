"""How a run ended: init's report and the frames on the record pipe, put together as an Outcome.

Init's word comes first. The runner's own word counts only where it ended in good order: what runs there may be hostile,
so an exit status other than 0, a signal or a missing end record is never ``ok``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.frames import Received, verify_frames
from trace_mine.tracer.schema import Outcome

COUNTED_CPU = 0.6
"""RLIMIT_CPU counts clock ticks, rusage the time really had: on a busy virtual machine 0.78 s of 1 s were seen. Below
this share of the limit, SIGXCPU or SIGKILL came from the snippet itself."""
MAX_NAME_CHARACTERS = 80
"""Of a tripwire's name in an outcome; the names come from inside."""
END_STATUSES = ("ok", "exception", "exit", "syntax", "trace-limit")
"""What a runner may say of its own end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What init saw of a run: ``status`` as from ``waitpid``, ``why`` init ended it (empty where it did not).

    Raises:
        ValueError: a time or size is negative.
    """

    status: int
    why: str
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int

    def __post_init__(self) -> None:
        for name in ("wall_seconds", "cpu_seconds", "peak_memory_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected Report.{name} >= 0, got {getattr(self, name)!r}")

    @property
    def signal(self) -> int:
        """The signal that ended the runner, 0 for none."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0

    @property
    def in_good_order(self) -> bool:
        """Whether the runner ended by itself with exit status 0."""
        return self.status == 0 and not self.why


def outcome_of(
    report: Report,
    record: bytes | bytearray,
    out: bytes | bytearray,
    err: bytes | bytearray,
    key: bytes,
    limits: Limits,
) -> Outcome:
    """``record``, ``out`` and ``err`` are what the run's three pipes gave, ``key`` the key of its frames."""
    received = verify_frames(record, key)
    status, exception, forged = _status(report, received, limits)
    tripped = _tripped(received.end) if received.end is not None else ()
    return Outcome(
        status=status,
        integrity="forged" if forged else _integrity(report, received, tripped),
        records=received.records,
        stdout=bytes(out),
        stderr=bytes(err),
        exception=exception,
        tripped=tripped,
        wall_seconds=report.wall_seconds,
        cpu_seconds=report.cpu_seconds,
        peak_memory_bytes=report.peak_memory_bytes,
    )


def _status(report: Report, received: Received, limits: Limits) -> tuple[str, str | None, bool]:
    """Status and exception name of a run, and whether its end record is none that our code writes."""
    end = received.end
    if report.why:
        return report.why, None, False
    if report.signal:
        used_up = report.cpu_seconds >= limits.cpu_seconds * COUNTED_CPU
        by_limit = report.signal in (signal.SIGKILL, signal.SIGXCPU) and used_up
        return "cpu" if by_limit else f"signal:{report.signal}", None, False
    if end is None or report.status != 0:
        return "no-end", None, False
    status, exception = end.get("end"), end.get("exception")
    if status not in END_STATUSES or not isinstance(exception, str | None):
        return "no-end", None, True
    return "memory" if exception == "MemoryError" else status, exception, False


def _integrity(report: Report, received: Received, tripped: tuple[str, ...]) -> str:
    if received.integrity != "clean":
        return received.integrity
    if tripped:
        return "suspect"
    return "clean" if report.in_good_order else "truncated"


def _tripped(end: Mapping[str, object]) -> tuple[str, ...]:
    """What the end record says of tampering."""
    named = end.get("tripped")
    tripped = tuple(str(name)[:MAX_NAME_CHARACTERS] for name in named) if isinstance(named, list) else ()
    if end.get("tampered"):
        tripped += ("tracer replaced",)
    if end.get("escaped"):
        tripped += ("error of our own code",)
    return tripped
