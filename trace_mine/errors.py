"""The error of a program that gave no session: what happened, and what to do."""

from __future__ import annotations

from trace_mine.tracer.inside.reasons import Stage, reason_of
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.visible import visible

CURES = {
    "wall": "give timeout=SECONDS more of it, or less work to the program",
    "cpu": "give timeout=SECONDS more of it, or less work to the program",
    "memory": "give limits=Limits(memory_bytes=...) more",
    "output_limit": "print less, or give limits=Limits(output_bytes=...) more",
    "trace_limit": "trace less of the program, or give limits=Limits(events=..., record_bytes=...) more",
    "disk_limit": "write less, or give limits=Limits(disk_bytes=...) more",
    "no_end": "look for what ends the process: os._exit, a crash of C code, output past every limit",
    "syntax_error": "correct the syntax, or give python= an interpreter that knows it",
    "empty": "give at least one statement",
    "missing_context": "give root=FOLDER, from which the program may import",
    "replay_mismatch": "take out what differs from run to run (clock, id(), process id); lenient=True shows it anyway",
    "result_differs": "give lenient=True to look at the session, and report it: it is a fault of trace-mine",
    "path_differs": "give lenient=True to look at the session, and report it: it is a fault of trace-mine",
    "unfaithful": "give lenient=True to look at the session, and report it: it is a fault of trace-mine",
    "sandbox_denied": "let the program work in its working folder alone: files elsewhere and the network are not there",
    "not_a_doctest": "take out the output that looks like a prompt: no doctest can show it",
    "tracing_ended": "don't set sys.settrace or catch RecursionError in the program",
    "integrity_suspect": "take out what reaches into the sandbox: frames, descriptors, the garbage collector",
    "integrity_forged": "take out what reaches into the sandbox: frames, descriptors, the garbage collector",
}
"""What to do in Python about a reason for which a program gives no session (``Reason`` has the words for commands)."""

OTHER_CURE = "read the evidence; lenient=True shows a session that failed a check"
"""For all other reasons."""


class NoTraceError(Exception):
    """A program gave no session.

    Attributes:
        drop: the ``Drop``, with the counted ``reason`` and the ``evidence``.
        reason: the drop's reason, a word of ``docs/reasons.md``.
        why: what the reason means, a sentence.
        outcome: the run outcome, as ``trace-run --json`` spells it (``syntax``, ``wall``, ``memory``, ...).
        cure: what to do.

    >>> import trace_mine
    >>> try:
    ...     trace_mine.run("while True: pass\\n", timeout=0.3)
    ... except trace_mine.NoTraceError as error:
    ...     print(error.outcome, "-", error.cure)
    wall - give timeout=SECONDS more of it, or less work to the program
    """

    def __init__(self, name: str, drop: Drop) -> None:
        self.drop = drop
        self.reason = drop.reason
        self.outcome = {"syntax_error": "syntax"}.get(drop.reason, drop.reason.replace("_", "-"))
        meanings = reason_of(drop.reason).meanings
        self.why = next((each.why for each in meanings if each.stage is Stage.TRACING), meanings[0].why)
        self.cure = CURES.get(drop.reason, OTHER_CURE)
        super().__init__(
            visible(f"no session of {name}: {drop.reason}. {self.why} ({drop.evidence}) To do: {self.cure}")
        )
