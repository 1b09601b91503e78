"""Shows a session on a terminal, coloured, with beliefs below its outputs; ``viewer`` makes a page of it.

A snippet's output is hostile: control characters become escapes, so that none reaches a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trace_mine.tracer.schema import Belief, Segment, Trace
from trace_mine.tracer.visible import visible as visible

COLOURS = {"prompt": "2", "command": "1", "reveal": "36", "value": "32", "error": "31", "hidden": "33"}
"""ANSI attributes of each role: dim prompts, bold commands, cyan reveals, green values, red errors, yellow hidden
text.
"""


def coloured(text: str, segments: Iterable[Segment]) -> str:
    """The session with ANSI colours by role; ``segments`` cover ``text``."""
    parts = []
    for segment in segments:
        # escaped before the colours go round it: an escape sequence of the snippet's own must not be among ours
        body = visible(text[segment.start : segment.end])
        # the newline comes after the reset: some terminals colour the rest of the line otherwise
        end = "\n" if body.endswith("\n") else ""
        parts.append(f"\x1b[{COLOURS[segment.role]}m{body[: len(body) - len(end)]}\x1b[0m{end}")
    return "".join(parts)


DIFFERS = "# differs from the script's own run:"
"""The line above the command at which a session is first known to be false."""


def session_shown(trace: Trace, *, colour: bool) -> str:
    """The session; where a check failed, the command that differs is marked by a line above it."""
    starts = [segment.start for segment in trace.segments if segment.step == trace.differs_at]
    # without a command that is known to differ, all of it stands before the mark
    at = starts[0] if starts else len(trace.text)
    mark = f"{DIFFERS}\n" if starts else ""
    return _stretch(trace, 0, at, colour=colour) + mark + _stretch(trace, at, len(trace.text), colour=colour)


def _stretch(trace: Trace, start: int, end: int, *, colour: bool) -> str:
    """A stretch of the session that begins and ends with segments."""
    text = trace.text[start:end]
    if not colour:
        return visible(text)
    inside = [each for each in trace.segments if start <= each.start < end]
    return coloured(text, [replace(each, start=each.start - start, end=each.end - start) for each in inside])


MOST_OUTCOMES = 6
"""The number of a belief's outcomes that people are shown, the likeliest first; the others are summed up."""


def beliefs_shown(trace: Trace, *, colour: bool) -> str:
    """The session with a line below each output that could have been another one: its belief.

    The line has the likeliest outcomes with their probabilities; the one that was shown is marked with ``*``. The
    command that differs is marked as in ``session_shown``.
    """
    beliefs = {belief.segment: belief for belief in trace.beliefs}
    parts = []
    for index, segment in enumerate(trace.segments):
        if segment.step == trace.differs_at and (not index or trace.segments[index - 1].step != segment.step):
            parts.append(f"{DIFFERS}\n")
        body = trace.text[segment.start : segment.end]
        alone = [replace(segment, start=0, end=len(body))]
        parts.append(coloured(body, alone) if colour else visible(body))
        belief = beliefs.get(index)
        # a belief with one outcome says that the output was certain, as most are: a line each would bury the others
        if belief is not None and len(belief.outcomes) > 1:
            line = f"    {_line_of(belief, body.removesuffix(chr(10)))}\n"
            parts.append(f"\x1b[35m{line}\x1b[0m" if colour else line)
    return "".join(parts)


def _line_of(belief: Belief, shown: str) -> str:
    """``0.5 heads * | 0.5 tails  (exact)``: the outcomes in falling order of probability."""
    ranked = sorted(zip(belief.probabilities, belief.outcomes, belief.stderr, strict=True), key=lambda each: -each[0])
    parts = []
    for probability, outcome, error, *_ in ranked[:MOST_OUTCOMES]:
        about = f" ± {error:.2g}" if error else ""
        # on one line, whatever was printed; an output may be empty, and "nothing" can be read
        text = visible(outcome).replace("\n", " ⏎ ") or "nothing"
        parts.append(f"{probability:.4g}{about} {text}{' *' if outcome == shown else ''}")
    if len(ranked) > MOST_OUTCOMES:
        rest = sum(probability for probability, *_ in ranked[MOST_OUTCOMES:])
        parts.append(f"{rest:.4g} {len(ranked) - MOST_OUTCOMES} others")
    return f"{' | '.join(parts)}  ({belief.method})"
