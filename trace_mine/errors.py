"""The error of a program that gave no session, with the reason and a cure."""

from __future__ import annotations

from trace_mine.tracer.inside.reasons import Reason, ReasonStage, reason_of
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.visible import indented, one_line

# Keyed by members; a drop's word finds its entry, since a StrEnum's member equals its word.
CURES: dict[str, str] = {
    Reason.WALL: "give timeout=SECONDS more of it, or less work to the program",
    Reason.CPU: "give timeout=SECONDS more of it, or less work to the program",
    Reason.MEMORY: "give limits=Limits(memory_bytes=...) more",
    Reason.OUTPUT_LIMIT: "print less, or give limits=Limits(output_bytes=...) more",
    Reason.TRACE_LIMIT: "trace less of the program, or give limits=Limits(events=..., record_bytes=...) more",
    Reason.DISK_LIMIT: "write less, or give limits=Limits(disk_bytes=...) more",
    Reason.NO_END: "look for what ends the process: os._exit, a crash of C code, output past every limit",
    Reason.SYNTAX_ERROR: "correct the syntax, or give python= an interpreter that knows it",
    Reason.EMPTY: "give at least one statement",
    Reason.MISSING_CONTEXT: "give root=FOLDER, from which the program may import",
    Reason.REPLAY_MISMATCH: (
        "take out what differs from run to run (clock, id(), process id); lenient=True shows it anyway"
    ),
    Reason.RESULT_DIFFERS: "give lenient=True to look at the session, and report it: it is a fault of trace-mine",
    Reason.PATH_DIFFERS: "give lenient=True to look at the session, and report it: it is a fault of trace-mine",
    Reason.UNFAITHFUL: "give lenient=True to look at the session, and report it: it is a fault of trace-mine",
    Reason.SANDBOX_DENIED: (
        "let the program work in its working folder alone: files elsewhere and the network are not there"
    ),
    Reason.INTEGRITY_SUSPECT: "take out what reaches into the sandbox: frames, descriptors, the garbage collector",
    Reason.INTEGRITY_FORGED: "take out what reaches into the sandbox: frames, descriptors, the garbage collector",
}
"""The cure, in terms of this interface, for each reason that a caller can do something about. ``Reason`` has the cures
in terms of the commands' options.
"""

OTHER_CURE = "read the evidence; lenient=True shows a session that failed a check"
"""The cure for all other reasons."""


class NoTraceError(Exception):
    """A program gave no session.

    Attributes:
        drop: the ``Drop``, with the counted ``reason`` and the ``evidence``.
        reason: the drop's reason, a word of ``docs/reasons.md``.
        why: what the reason means, a sentence.
        outcome: the run outcome, as ``trace-run --json`` spells it (``syntax``, ``wall``, ``memory``, ...).
        cure: what to do about it, for people.

    >>> import trace_mine
    >>> try:
    ...     trace_mine.run("while True: pass\\n", timeout=0.3)
    ... except trace_mine.NoTraceError as error:
    ...     print(error.outcome, "-", error.cure)
    cpu - give timeout=SECONDS more of it, or less work to the program
    """

    def __init__(self, name: str, drop: Drop) -> None:
        self.drop = drop
        self.reason = drop.reason
        # Run outcomes have hyphens and reasons have underscores; `syntax` alone has another word.
        self.outcome = {"syntax_error": "syntax"}.get(drop.reason, drop.reason.replace("_", "-"))
        meanings = reason_of(drop.reason).meanings
        # A word may be a reason at several stages (`syntax_error` of a file, of a snippet): here a program was traced.
        self.why = next((each.why for each in meanings if each.stage is ReasonStage.TRACING), meanings[0].why)
        self.cure = CURES.get(drop.reason, OTHER_CURE)
        # The evidence quotes the program: no control character of its text reaches a terminal by a traceback.
        super().__init__(
            f"no session of {one_line(name)}: {drop.reason}. {self.why} ({indented(drop.evidence)}) To do: {self.cure}"
        )
