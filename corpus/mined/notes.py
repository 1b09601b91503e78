"""Notes on the inputs of a mined dataset, for ``stats.json``: put together from those of each input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from trace_mine.corpus.mined.cleaned_repositories import joined_cleaning
from trace_mine.corpus.mined.environments.for_repository import RepositoryPackages
from trace_mine.corpus.mined.file_counts import MOST_EXAMPLES
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.corpus.mined.snippets.file_roles import FileRole
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import EnvironmentNote, FileStats, Notes

Value = TypeVar("Value")
MOST_NAMED = 50
"""Snippets of one repository that got no draws for one reason, and are named; all are counted."""


def joined_notes(parts: Sequence[Notes], overall: Notes) -> Notes:
    """Return the notes of a dataset.

    Args:
        parts: the notes of each input, in the order of the inputs. Of two inputs with one name (two versions of a
            project) what the last one's environment, tests and calls are stands in the notes.
        overall: notes of the command as a whole: inputs that are no repositories, and whether they are cleaned.
    """
    missing: dict[str, set[str]] = {}
    for part in parts:
        for name, packages in part.get("missing_packages", {}).items():
            missing.setdefault(name, set()).update(packages)
    cleaned = [note["cleaning"] for note in (overall, *parts) if "cleaning" in note]
    cleaning: Notes = {"cleaning": joined_cleaning(cleaned)} if cleaned else {}
    return {
        **cleaning,
        "left_out_by_licence": [each for part in parts for each in part.get("left_out_by_licence", [])],
        "files": _files(part["files"] for part in parts if "files" in part),
        "ignored_inputs": overall.get("ignored_inputs", []),
        "tests": _by_name(part.get("tests", {}) for part in parts),
        "calls": _by_name(part.get("calls", {}) for part in parts),
        "environments": _by_name(part.get("environments", {}) for part in parts),
        **_sampled_out(parts),
        **_not_edited(parts),
        "missing_packages": {name: sorted(packages) for name, packages in sorted(missing.items())},
    }


def _sampled_out(parts: Sequence[Notes]) -> Notes:
    """The note on what a sample left out; none where nothing was asked to be left out."""
    if not any("sampled_out" in part for part in parts):
        return {}
    return {"sampled_out": _by_name(part.get("sampled_out", {}) for part in parts)}


def _not_edited(parts: Sequence[Notes]) -> Notes:
    """The note on snippets that got no draws; none where none were to be put into them."""
    if not any("not_edited" in part for part in parts):
        return {}
    return {
        "not_edited": _by_name(part.get("not_edited", {}) for part in parts),
        "not_edited_snippets": _by_name(part.get("not_edited_snippets", {}) for part in parts),
    }


def named_snippets(snippets: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Snippets by reason, as many of each as notes name."""
    return {why: [printable(name) for name in each[:MOST_NAMED]] for why, each in snippets.items()}


def _by_name(parts: Iterable[dict[str, Value]]) -> dict[str, Value]:
    joined: dict[str, Value] = {}
    for part in parts:
        joined.update(part)
    return dict(sorted(joined.items()))


def _files(parts: Iterable[FileStats]) -> FileStats:
    each = [*parts]
    roles = _sum(part.get("roles", {}) for part in each)
    return {
        "read": sum(part["read"] for part in each),
        "unreadable": dict(sorted(_sum(part["unreadable"] for part in each).items())),
        "examples": _first(each, "examples"),
        "roles": {str(role): roles[role] for role in FileRole if roles[role]},
        "not_scripts": _first(each, "not_scripts"),
    }


def _sum(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _first(parts: Sequence[FileStats], name: Literal["examples", "not_scripts"]) -> list[dict[str, str]]:
    return [example for part in parts for example in part.get(name, [])][:MOST_EXAMPLES]


def environment_note(summary: RepositorySummary, packages: RepositoryPackages) -> EnvironmentNote:
    """The note on the environment that was made for a repository."""
    assert packages.environment is not None
    left_out = {printable(text): printable(why) for text, why in packages.environment.left_out.items()}
    unusable = {printable(text): "it names no version of an index" for text in summary.unusable}
    return {
        "python": packages.version,
        "packages": len(packages.environment.pins),
        "left_out": {**left_out, **unusable},
        "relaxed": [printable(text) for text in packages.environment.relaxed],
    }
