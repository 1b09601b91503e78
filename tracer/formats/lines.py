"""The native run as ``sys.settrace`` saw it: one line of text for each line that was about to run.

    f:2 n=3
    f:3 total=3

is line 2 of a function ``f`` with its argument, then line 3 once ``total`` was assigned. A local is written when it is
new or has another value than at the frame's last line, and as ``-name`` when it is gone. Frames follow each other in
the order of their calls. Nothing is hidden, so a trace of a view that hides outcomes can't be written in this format.
"""

from __future__ import annotations

from collections.abc import Mapping

from trace_mine.tracer.formats.rendered import Format, Pieces, Rendered
from trace_mine.tracer.schema import Trace


def render(trace: Trace) -> Rendered:
    """Write the native run. Each line that ran is a step: its place is the command, its locals are the value.

    Raises:
        ValueError: the trace's view hides outcomes, or it holds no frames.
    """
    # choices, not the view: a view that hides outcomes hides nothing of a run that draws none
    if trace.choices or not trace.frames:
        raise ValueError(
            f"expected a trace with frames that hides nothing, got {trace!r}; trace the snippet in the default view"
        )
    pieces = Pieces()
    event = 0
    for frame in trace.frames:
        before: Mapping[str, str] = {}  # anew for each frame: an activation has locals of its own
        for line, local in frame.path:
            changes = [f"{name}={value}" for name, value in local.items() if before.get(name) != value]
            changes += [f"-{name}" for name in before if name not in local]
            # a text's repr has no newline, but that of an object may
            values = " ".join(changes).replace("\n", "\\n")
            pieces.add(f"{frame.code[2]}:{line}" + ("" if values else "\n"), "command", event)
            pieces.add(f" {values}\n" if values else "", "value", event)
            before = local
            event += 1
    return pieces.rendered()


LINES = Format(name="lines", description="the lines that ran natively, with the locals that changed", render=render)
