"""Says which repositories are left out for their licence, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.corpus.mined.licences import NOASSERTION
from trace_mine.corpus.mined.reader_protocol import LicenceRule, RepositorySummary


def refused_licence(summary: RepositorySummary, rule: LicenceRule, tell: Callable[[str], None]) -> list[dict[str, str]]:
    """Say what a repository's licence means for it, where that is left out, or states none.

    Args:
        summary: of the repository.
        rule: which licences are mined.
        tell: called with a line for people.

    Returns:
        The repository with its licence, as ``stats.json`` lists it, where it is left out; else nothing.
    """
    licence = summary.licence
    if licence in summary.not_permissive:
        states = "states no licence" if licence == NOASSERTION else f"is under {licence}, which is not permissive"
        tell(f"{summary.name} {states}: its snippets are dropped; --licenses all mines them")
        return [{"repository": summary.name, "licence": licence}]
    if licence == NOASSERTION and rule == "permissive_or_none":
        tell(f"{summary.name} states no licence and is mined as yours; --licenses permissive leaves it out")
    return []
