"""A session as a page: its source beside it, the variables and beliefs after each step, calls that fold.

All text is a stranger's: control characters become escapes, the page's data are JSON in which nothing ends the element
around it, and the page's own policy lets no other program run than the viewer's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_mine.tracer.bounded import DamagedFile, read_bytes
from trace_mine.tracer.schema import Belief, Segment, Trace
from trace_mine.tracer.viewer_page import PAGE, PROGRAM, STYLE
from trace_mine.tracer.visible import in_html, marked_up, one_line, visible

MAX_SOURCE_BYTES = 1 << 20
"""Longer files are not shown beside the session."""
MAX_VALUE = 2_000
"""Characters of a variable's value that are shown; a page with megabytes a step is none that a browser opens."""
MAX_OUTCOMES = 12
"""Outcomes of a belief that have a bar, the likeliest first."""


def page(trace: Trace, *, title: str, footer: str, sources: Mapping[str, str] | None = None) -> str:
    """Return the session as one HTML page that loads nothing from elsewhere; without scripts it shows the text alone.

    Args:
        trace: the session.
        title, footer: text, not HTML.
        sources: by path, as steps name it, the text of each file that is shown beside the session.
    """
    return _filled(
        title=in_html(one_line(title)),
        session=marked_up((segment.role, trace.text[segment.start : segment.end], "") for segment in trace.segments),
        footer=in_html(footer),
        data=in_script(session_data(trace, {path: [(1, text)] for path, text in (sources or {}).items()})),
    )


def empty_page(*, title: str, footer: str, data: str) -> str:
    """Return the page with these words where its title, footer and data stand, for a program that fills them in: title
    and footer as HTML, data as JSON that ``in_script`` gives.
    """
    return _filled(title=title, session="", footer=footer, data=data)


def _filled(*, title: str, session: str, footer: str, data: str) -> str:
    policy = in_html(f"default-src 'none'; style-src 'unsafe-inline'; script-src {script_digest(PROGRAM)}")
    return PAGE.format(
        policy=policy, title=title, style=STYLE, session=session, footer=footer, data=data, program=PROGRAM
    )


def script_digest(program: str) -> str:
    """Return the source expression by which a page's policy allows this program and no other."""
    digest = base64.b64encode(hashlib.sha256(program.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEdit:
    """A change of the program before it ran, as a page shows it.

    Attributes:
        kind: its word.
        place: where it was made, for people.
        law: the probabilities of its outcomes; none where it draws nothing.
        before, after: the lines as their author wrote them, and as they ran.
    """

    kind: str
    place: str
    law: tuple[float, ...]
    before: str
    after: str


def session_data(
    trace: Trace, sources: Mapping[str, Sequence[tuple[int, str]]], edits: Sequence[ShownEdit] = ()
) -> dict[str, object]:
    """Return what the page's program shows of a session, as JSON; all text in it is visible.

    Args:
        trace: the session.
        sources: by path, as steps name it, the parts of each file that are shown beside the session: the number of
            their first line, from 1, and their text. A whole file is one part.
        edits: what was changed in the program before it ran.
    """
    paths = {step.path for step in trace.steps}
    return {
        "sources": {
            visible(path): [[first, visible(text)] for first, text in sorted(parts)]
            for path, parts in sources.items()
            if path in paths
        },
        "steps": list(_steps(trace)),
        "calls": list(_calls(trace)),
        "edits": [
            {
                "kind": one_line(edit.kind),
                "place": one_line(edit.place),
                "law": [_number(probability) for probability in edit.law],
                "before": _shortened(edit.before),
                "after": _shortened(edit.after),
            }
            for edit in edits
        ],
    }


def sources_of(trace: Trace, root: Path) -> dict[str, str]:
    """Return the files below ``root`` that a trace's steps stand in, by the steps' path.

    A path comes from the process that ran the snippet, so that one that leads out of the folder is left out, like what
    is no file, is too long or is not UTF-8.
    """
    sources = {}
    root = root.resolve()
    for path in sorted({step.path for step in trace.steps if step.path}):
        try:
            place = (root / path).resolve()
            if place.is_relative_to(root):
                sources[path] = read_bytes(place, MAX_SOURCE_BYTES).decode("utf-8-sig")
        except (DamagedFile, OSError, ValueError):  # ValueError: a NUL in the path, a wrong byte in the file
            continue
    return sources


def in_script(data: object) -> str:
    """Return JSON that can stand in a script element: ASCII, and no ``<`` that could end the element."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _calls(trace: Trace) -> Iterator[dict[str, object]]:
    """What the page is given of each call that has steps: a box of theirs folds under its text."""
    depths: list[int] = []
    for call in trace.calls:
        depths.append(1 if call.caller < 0 else depths[call.caller] + 1)
        if call.first >= 0:
            yield {"text": _shortened(call.text), "depth": depths[-1], "first": call.first, "last": call.last}


def _steps(trace: Trace) -> Iterator[dict[str, object]]:
    """What the page is given of each step; variables as changes, since in full they would be most of the page."""
    segments: list[list[tuple[int, Segment]]] = [[] for _ in trace.steps]
    for index, segment in enumerate(trace.segments):
        segments[segment.step].append((index, segment))
    beliefs = {belief.segment: belief for belief in trace.beliefs}
    before: Mapping[str, str] = {}
    for step, own in zip(trace.steps, segments, strict=True):
        yield {
            "text": [[segment.role, visible(trace.text[segment.start : segment.end])] for _, segment in own],
            "depth": step.depth,
            "path": visible(step.path),
            "line": step.line,
            "wrote": [visible(name) for name in step.wrote],
            "set": [[visible(n), _shortened(value)] for n, value in step.state.items() if before.get(n) != value],
            "gone": [visible(name) for name in before if name not in step.state],
            "beliefs": [
                _law(beliefs[index], place, trace.text[segment.start : segment.end])
                for place, (index, segment) in enumerate(own)
                if index in beliefs and len(beliefs[index].outcomes) > 1
            ],
        }
        before = step.state


def entropy_bits(probabilities: Sequence[float]) -> float:
    """The entropy of a law, in bits; what is no law (a number below 0, or none) has 0.

    >>> entropy_bits([0.5, 0.25, 0.25]), entropy_bits([1.0, 0.0])
    (1.5, 0.0)
    """
    total = -sum(p * math.log2(p) for p in probabilities if p > 0)
    return total if math.isfinite(total) and total > 0 else 0.0


def _law(belief: Belief, place: int, shown: str) -> dict[str, object]:
    """The law of an output that is the step's segment at this place."""
    ranked = sorted(zip(belief.probabilities, belief.outcomes, strict=True), key=lambda each: -each[0])
    outcomes = [
        [_number(probability), _shortened(outcome), outcome == shown.removesuffix("\n")]
        for probability, outcome in ranked[:MAX_OUTCOMES]
    ]
    return {
        "method": belief.method,
        "at": place,
        "bits": round(entropy_bits(belief.probabilities), 4),
        "outcomes": outcomes,
        "others": max(0, len(ranked) - MAX_OUTCOMES),
    }


def _number(probability: float) -> float:
    """The probability; 0 for what is no number, which would be no JSON."""
    return probability if math.isfinite(probability) else 0.0


def _shortened(text: str) -> str:
    return visible(text) if len(text) <= MAX_VALUE else f"{visible(text[:MAX_VALUE])}... ({len(text)} characters)"
