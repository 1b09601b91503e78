"""Judges how a run ended: puts init's report and the frames on the record pipe together as an Outcome.

Init's report comes first. The runner's own end record counts only where the process ended in good order: the code that
runs there may be hostile, so an exit status other than 0, a signal or a missing end record is never ``ok``.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import cast

from trace_mine.tracer.inside.protocol.answers import Answer, End
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.answers import no_collection, read_end
from trace_mine.tracer.sandbox.frames import verify_frames
from trace_mine.tracer.schema import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Init's report of a run: ``status`` as from ``waitpid``, ``why`` init ended it (empty where it did not).

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
        """True if the runner ended by itself with exit status 0."""
        return self.status == 0 and not self.why


def outcome_of(
    report: Report,
    record: bytes | bytearray,
    out: bytes | bytearray,
    err: bytes | bytearray,
    key: bytes,
    limits: Limits,
) -> Outcome:
    """Make the outcome of a run; its records are JSON as yet (``answers.with_answers`` reads them).

    Args:
        report: init's.
        record, out, err: the bytes that the run's three pipes gave.
        key: the key of the run's frames.
        limits: the run's.

    Returns:
        An outcome, whatever came; never raises for it.
    """
    with no_collection():
        received = verify_frames(record, key)
    end, integrity, tripped = read_end(received)
    status, exception = _status(report, end, limits)
    if end is not None:
        tripped = _tripped(end)
    return Outcome(
        status=status,
        integrity=_integrity(report, integrity, tripped),
        records=cast(
            "tuple[Answer, ...]", received.records
        ),  # no answers yet: ``with_answers`` makes them of this JSON
        stdout=bytes(out),
        stderr=bytes(err),
        exception=exception,
        tripped=tripped,
        wall_seconds=report.wall_seconds,
        cpu_seconds=report.cpu_seconds,
        peak_memory_bytes=report.peak_memory_bytes,
    )


def _status(report: Report, end: End | None, limits: Limits) -> tuple[str, str | None]:
    """Return status and exception name of a run, by the first source that tells: init's order, a signal, the end
    record."""
    if report.why:
        return report.why, None
    if report.signal:
        # RLIMIT_CPU, which is above the limit that init watches, sends SIGXCPU, then SIGKILL; a snippet can send itself
        # both, with its time unused
        used_up = report.cpu_seconds >= limits.cpu_seconds
        by_limit = report.signal in (signal.SIGKILL, signal.SIGXCPU) and used_up
        return "cpu" if by_limit else f"signal:{report.signal}", None
    if end is None or report.status != 0:
        return "no-end", None
    return "memory" if end.exception == "MemoryError" else end.end, end.exception


def _integrity(report: Report, integrity: str, tripped: tuple[str, ...]) -> str:
    """Return the grade of a run: the worst of what its frames, its tripwires and its end say."""
    if integrity != "clean":
        return integrity
    if tripped:
        return "suspect"
    return "clean" if report.in_good_order else "truncated"


def _tripped(end: End) -> tuple[str, ...]:
    """Return what the end record says of tampering, as short texts."""
    return end.tripped + ("tracer replaced",) * end.tampered + ("error of our own code",) * end.escaped
