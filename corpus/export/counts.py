"""The counts of an export: what it wrote, and what it could not write, by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

WORDS = {
    "damaged": "The row, or its events, can't be read.",
    "no_events": "The row keeps no events: its run was not recorded, or the dataset is older than schema version 4.",
    "no_session": "A record has no session.",
    "no_source": "The source of a line is not kept: the function's file could not be read, or it is too long.",
    "ambiguous_value": "A variable changed to the text `..`, which says in this format that it did not change.",
    "raised": "The call ended with an exception.",
    "generator": "The generator was left before its end, returns something, or is sent something.",
    "method_or_local": "The function is a method, or stands in another function.",
    "result_no_literal": "The result is no literal, or too long to be kept.",
    "argument_no_literal": "An argument is no literal, or too long to be kept.",
    "argument_unknown": "The value of a parameter is not known.",
    "reads_global": "The function, or one that it calls, reads a name that is neither a builtin nor such a function.",
    "name_taken": "A function that is needed has the name `f`, or one that the listing of a generator uses.",
    "too_many_functions": "The call needs more than 20 functions.",
}
"""Reasons for which a row gives nothing in a format, by the word under which that is counted."""


class NotGiven(ValueError):
    """A row can't give something in a format; ``reason`` is the word under which that is counted, one of WORDS."""

    def __init__(self, reason: str) -> None:
        assert reason in WORDS, reason  # the card and the terminal explain it
        super().__init__(reason)
        self.reason = reason


@dataclass(kw_only=True)
class ExportCounts:
    """Counts of what was read and written: rows (or records) read, lines by split, what was not given by reason; and
    rows whose events end early, by ``EventLog.cut``.
    """

    read: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    not_given: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, object]:
        """Return the entry of ``export.json``, the most frequent reason first."""
        return {
            "read": self.read,
            "lines": self.lines.total(),
            "splits": dict(sorted(self.lines.items())),
            "not_given": dict(sorted(self.not_given.items(), key=lambda item: (-item[1], item[0]))),
            "events_cut": dict(sorted(self.cut.items())),
        }
