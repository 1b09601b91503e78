"""A repository's snippets with its tests as pytest collected them, in the place of those that were found by syntax."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_mine.corpus.mined.items.candidates import item_candidates
from trace_mine.corpus.mined.items.collection import CollectedTests
from trace_mine.corpus.mined.items.siblings import SIBLINGS
from trace_mine.corpus.mined.reader import RepositoryReading
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import ItemNote


def with_items(
    reading: RepositoryReading, tests: CollectedTests, root: Path, siblings: int = SIBLINGS
) -> tuple[Sequence[Candidate], ItemNote]:
    """Return a repository's candidates by file, and what ``stats.json`` says of its tests.

    Args:
        reading: the repository as it was read; its own tests stay where pytest could not collect them.
        tests: what pytest collected.
        root: the repository's folder.
        siblings: items that are alike, of which sessions are made.
    """
    if tests.failure:
        return reading.candidates, {"failure": printable(tests.failure)}
    licences = {candidate.snippet.path: candidate.licence for candidate in reading.candidates}
    items, counts = item_candidates(tests, root, reading.summary.main_roots, licences, siblings)
    # tests of a file that pytest could not collect are found by syntax still: what they lack is counted for each
    others = [
        candidate
        for candidate in reading.candidates
        if candidate.snippet.kind != "test"
        or any(error.startswith(f"{candidate.snippet.path}: ") for error in counts.errors)
    ]
    note: ItemNote = {
        "collected": counts.collected,
        "siblings_left_out": counts.left_out,
        "not_spelt": {printable(word): number for word, number in counts.not_spelt.items()},
        "errors": [printable(error) for error in counts.errors],
    }
    return sorted([*others, *items], key=lambda candidate: candidate.snippet.path), note
