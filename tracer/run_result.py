"""What ``trace-run`` gives: the session or the reason why there is none, as text, as JSON and as a page."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace

from trace_mine.tracer.inside.reasons import Reason, reason_of
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop, Trace
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.show import beliefs_shown, session_shown
from trace_mine.tracer.visible import Colour, indented

DATA_REASONS = frozenset(
    {
        Reason.SYNTAX_ERROR,
        Reason.WALL,
        Reason.CPU,
        Reason.MEMORY,
        Reason.OUTPUT_LIMIT,
        Reason.TRACE_LIMIT,
        Reason.DISK_LIMIT,
        Reason.NO_END,
        Reason.EMPTY,
    }
)
"""Reasons that are an outcome of the script, not a failure of the tool: a record without a session, exit code 0."""


def is_failure(result: Trace | Drop) -> bool:
    """Return True if there is no session, for a reason that is no outcome of the script."""
    return isinstance(result, Drop) and reason_of(result.reason) not in DATA_REASONS | {Reason.SIGNAL}


def page_of(trace: Trace, *, title: str, sources: Mapping[str, str] | None = None) -> str:
    footer = f"Python {trace.python}, sandbox level {trace.sandbox['level']} ({trace.sandbox['layers']})"
    from trace_mine.tracer.viewer import page  # here: few runs ask for a page

    return page(trace, title=title, footer=footer, sources=sources)


def as_object(result: Trace | Drop, tracer: Tracer) -> Mapping[str, object]:
    """The object that ``--json`` prints; a run without a session has empty ``text``, ``segments`` and ``steps``."""
    common: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "sandbox": tracer.sandbox,
        "limits": tracer.config.limits.as_dict(),
        "python": tracer.python_version,
    }
    if isinstance(result, Trace):
        fields = asdict(replace(result, frames=()))
        del fields["frames"]  # as long as the run was; the JSON is of the session
        return {**fields, **common}
    # the words of ``schema.STATUSES``: a reason is written with _, a status with -
    outcome = {"syntax_error": "syntax"}.get(result.reason, result.reason.replace("_", "-"))
    empty: dict[str, object] = {"text": "", "segments": [], "steps": [], "exception": None, "evidence": result.evidence}
    return {**empty, "outcome": outcome, "integrity": "truncated", **common}


def print_result(result: Trace | Drop, *, beliefs: bool, color: Colour) -> None:
    """Print the session, and on standard error the reason why it doesn't replay, or why there is none."""
    if isinstance(result, Drop):
        print(indented(f"trace-run: no session ({result.reason}): {result.evidence}"), file=sys.stderr)
        return
    # NO_COLOR (https://no-color.org) is a wish for all programs, --color a wish for this run, which goes before it
    terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    colour = color is Colour.always or (color is Colour.auto and terminal)
    if beliefs:
        sys.stdout.write(beliefs_shown(result, colour=colour))
    else:
        sys.stdout.write(session_shown(result, colour=colour))
    if result.outcome not in ("ok", "exit", "exception"):
        print(f"trace-run: the script did not end ({result.outcome}); this is what it did before", file=sys.stderr)
    for check, evidence in result.failed_checks.items():
        print(indented(f"trace-run: this session is not true ({check}): {evidence}"), file=sys.stderr)
