"""Tells of a session with a focus whether it opens the function that it is for, and where the way to it ends if not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from trace_mine.tracer.inside.protocol.answers import DriveSummary, EnteredFrames
from trace_mine.tracer.inside.reasons import Reason

Place = tuple[str, int]
"""A function by its file and first line."""


def missed_focus(focus: Sequence[Place], entered: Sequence[EnteredFrames], driven: DriveSummary, root: str) -> str:
    """Return why a session doesn't open the last function of its focus; an empty text where it does.

    Args:
        focus: functions by file, as code in the jail sees it, and first line, the one that the session is for last.
        entered: the native run's frames.
        driven: the session.
        root: the repository's folder there, which the text doesn't name.

    Returns:
        The first function of the focus that the run entered and the session doesn't open, with the driver's reasons
        or, where it has none, the ways in which the function was entered.
    """
    if not focus:
        return ""
    # the code of a module begins at line 1, as a function may
    entered = [frames for frames in entered if frames.code[2] != "<module>"]
    opened = {frame.code[:2] for frame in driven.frames if frame.code[2] != "<module>"}
    if tuple(focus[-1]) in opened:
        return ""
    # the statements of a test stand in the session themselves: its function, the first of the way, isn't entered
    seen = {frames.code[:2] for frames in entered}
    place = next((each for each in focus if tuple(each) in seen - opened), focus[-1])
    reasons: Counter[str] = Counter()
    names: set[str] = set()
    for refused in driven.refused:
        if refused.code[:2] == tuple(place):
            reasons[refused.reason] += refused.number or 1
            names.add(refused.code[2])
    ways: Counter[str] = Counter()
    for frames in entered:
        if frames.code[:2] == tuple(place):
            ways[frames.way] += frames.number
            names.add(frames.code[2])
    if driven.is_full and not reasons:
        reasons[Reason.BUDGET.value] += 1
    words = ", ".join(f"{word} {number}" for word, number in sorted((reasons or ways).items()))
    name = f" ({', '.join(sorted(names))})" if names else ""
    return f"the way ends at {place[0].removeprefix(f'{root}/')}:{place[1]}{name}: {words or 'not entered'}"
