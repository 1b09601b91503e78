"""The account of a program's own frames: how many the native run entered, how many of them the session shows, and
for what reason it does not show each of the others.

What was entered comes from the native run alone, what was opened and refused from the session, so that a frame which
neither of the two names a reason for is counted all the same: ``entered = opened + sum(unopened)`` for every session.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trace_mine.tracer.inside.protocol.answers import Code, DrivenFrame, EnteredFrames, RefusedCalls
from trace_mine.tracer.inside.reasons import Reason, reason_of

_CALLS = (Reason.WITHIN_COMMAND, Reason.DEEPER)
"""Ways of entry by a call of the program's own, which the driver may have refused to open."""
_number_at_end = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAccount:
    """The numbers of entered and opened frames, with the others by the word of their ``Reason``.

    Raises:
        ValueError: they don't add up.
    """

    entered: int = 0
    opened: int = 0
    unopened: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.entered != self.opened + sum(self.unopened.values()):
            raise ValueError(
                f"expected entered = opened + unopened, got {self.entered} and {self.opened} + {self.unopened}; "
                "count each frame once"
            )


def account_of(
    entered: Sequence[EnteredFrames],
    driven: Sequence[DrivenFrame],
    refused: Sequence[RefusedCalls],
    *,
    closed: bool,
    is_full: bool,
) -> FrameAccount:
    """Say of each entered frame if it was opened, or why not.

    Frames are paired by their code. Where frames of one code were entered in several ways, those of calls are taken to
    be the opened ones first.

    Args:
        entered: the native run's frames by code and way.
        driven: the session's activations.
        refused: calls that stayed calls, with the driver's reason.
        closed: each statement of the session is one command, since an open session did not hold.
        is_full: the session had as many commands as it may, so that calls after that were not opened.
    """
    ways = _ways(entered)
    opened = 0
    for frame in driven:
        left = ways.get(_key(frame.code), {})
        opened += _take(left, frame.entries, (*_CALLS, *left))
    unopened: dict[str, int] = {}
    # by code, since records may be forged: each with each would be work without end
    refusals: dict[Code, list[RefusedCalls]] = {}
    for call in () if closed else refused:
        refusals.setdefault(_key(call.code), []).append(call)
    for code, left in ways.items():
        for call in refusals.get(code, ()):
            number = sum(left.values()) if call.number is None else call.number
            _add(unopened, call.reason, _take(left, number, _CALLS))
        for way, number in left.items():
            _add(unopened, _reason(way, closed=closed, is_full=is_full), number)
    return FrameAccount(
        entered=sum(each.number for each in entered), opened=opened, unopened=dict(sorted(unopened.items()))
    )


def _ways(entered: Sequence[EnteredFrames]) -> dict[Code, dict[Reason, int]]:
    """The numbers of entries by code and way."""
    ways: dict[Code, dict[Reason, int]] = {}
    for each in entered:
        by_way = ways.setdefault(_key(each.code), {})
        way = reason_of(each.way)
        by_way[way] = by_way.get(way, 0) + each.number
    return ways


def _key(code: Code) -> Code:
    filename, line, name = code
    return filename, line, _number_at_end.sub("", name)  # a function of a followed call may have got a number


def _take(left: dict[Reason, int], number: int, order: Sequence[Reason]) -> int:
    """Take up to ``number`` frames away, by ways in this order; return how many there were."""
    taken = 0
    for way in order:
        part = min(left.get(way, 0), number - taken)
        if part > 0:
            left[way] -= part
            taken += part
    return taken


def _add(counts: dict[str, int], word: str, number: int) -> None:
    if number > 0:
        counts[word] = counts.get(word, 0) + number


def _reason(way: Reason, *, closed: bool, is_full: bool) -> str:
    """The word for a frame that was entered this way and not opened, where the driver named no reason for its call."""
    if closed:
        return Reason.CLOSED.value
    return Reason.BUDGET.value if is_full and way is Reason.WITHIN_COMMAND else way.value
