"""Says which repositories are left out for their licence, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.corpus.mined.licences import NOASSERTION
from trace_mine.corpus.mined.reader_protocol import LicenceRule, RepositorySummary


class RefusedLicences:
    """The repositories whose own licence is refused.

    Args:
        tell: called with lines for people.

    Attributes:
        repositories: their names and licences, as ``stats.json`` lists them.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.repositories: list[dict[str, str]] = []

    def add(self, summary: RepositorySummary, rule: LicenceRule) -> None:
        """Say what a repository's licence means for it, where that is left out, or states none."""
        licence = summary.licence
        if licence in summary.not_permissive:
            states = "states no licence" if licence == NOASSERTION else f"is under {licence}, which is not permissive"
            self.repositories.append({"repository": summary.name, "licence": licence})
            self._tell(f"{summary.name} {states}: its snippets are dropped; --licenses all mines them")
        elif licence == NOASSERTION and rule == "permissive_or_none":
            self._tell(f"{summary.name} states no licence and is mined as yours; --licenses permissive leaves it out")
