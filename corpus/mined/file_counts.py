"""The number of files that were searched for snippets, and of those that could not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from trace_mine.corpus.mined.snippets.file_roles import FileRole
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import FileStats
from trace_mine.tracer.schema import Drop

MOST_EXAMPLES = 20
"""Files whose paths ``stats.json`` lists; all of them are counted."""


@dataclass(slots=True)
class FileCounts:
    """The number of files that were read, and of those that could not be, by reason.

    Files are counted apart from snippets, since nobody can say how many snippets an unreadable file has.

    Attributes:
        num_read: files that were searched for snippets.
        unreadable: files by the word of their ``Reason``.
        examples: path and drop of the first MOST_EXAMPLES of the unreadable files.
        roles: Python files by the word of their ``FileRole``, where scripts are asked for.
        not_scripts: path and role of the first MOST_EXAMPLES of those that are no scripts.
    """

    num_read: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, Drop]] = field(default_factory=list)
    roles: Counter[FileRole] = field(default_factory=Counter)
    not_scripts: list[tuple[str, FileRole]] = field(default_factory=list)

    def add(self, path: str, drop: Drop) -> None:
        """Count a file that can't be searched."""
        self.unreadable[str(drop.reason)] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append((path, drop))

    def add_role(self, path: str, role: FileRole) -> None:
        """Count a Python file under the part that it has."""
        self.roles[role] += 1
        if role not in (FileRole.SCRIPT, FileRole.NOTEBOOK) and len(self.not_scripts) < MOST_EXAMPLES:
            self.not_scripts.append((path, role))


class AllFileCounts:
    """The counts of all repositories together."""

    def __init__(self) -> None:
        self._num_read = 0
        self._unreadable: Counter[str] = Counter()
        self._examples: list[dict[str, str]] = []
        self._roles: Counter[str] = Counter()
        self._not_scripts: list[dict[str, str]] = []

    def add(self, num_read: int, unreadable: Mapping[str, int], roles: Mapping[str, int]) -> None:
        """Add the numbers of a repository."""
        self._num_read += num_read
        self._unreadable.update(unreadable)
        self._roles.update(roles)

    def add_not_script(self, repository: str, path: str, role: str) -> None:
        """Add a file that is no script to those that are listed, unless there are enough."""
        if len(self._not_scripts) < MOST_EXAMPLES:
            example = {"repository": repository, "path": path, "role": role}
            self._not_scripts.append({name: printable(text) for name, text in example.items()})

    def add_example(self, repository: str, path: str, reason: str, evidence: str) -> None:
        """Add an unreadable file to those that are listed, unless there are enough."""
        if len(self._examples) < MOST_EXAMPLES:
            example = {"repository": repository, "path": path, "reason": reason, "evidence": evidence}
            self._examples.append({name: printable(text) for name, text in example.items()})

    def as_json(self) -> FileStats:
        """The counts as ``stats.json`` shows them, under ``files``."""
        return {
            "read": self._num_read,
            "unreadable": dict(sorted(self._unreadable.items())),
            "examples": self._examples,
            "roles": {str(role): self._roles[role] for role in FileRole if self._roles[role]},
            "not_scripts": self._not_scripts,
        }
