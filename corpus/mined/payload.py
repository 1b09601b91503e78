"""The JSON that a worker is given for a unit of mined snippets: the tracer to start, and the snippets to trace.

The types say what ``miner`` writes and ``tracing`` reads. They are ``TypedDict`` and not records because the payload is
JSON on its whole way: into the ledger, and from there, in another process, to the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from trace_mine.corpus.work import SnippetEntry


class PortableArguments(TypedDict):
    """The part of ``TracerConfig`` that does not depend on the machine; the unit's key is a hash over it.

    ``sys_path`` are folders relative to the repository's root; ``warm`` are modules that are imported once for all of
    the unit's snippets; ``view`` is the text of ``--view``; ``python_version`` is the interpreter's.
    """

    # The names are those of TracerConfig's fields; `start_tracer` hands them on one by one.
    sys_path: list[str]
    own: list[str]
    warm: list[str]
    limits: Mapping[str, float]
    follow: int
    minimum_level: int
    sandbox_level: int | None
    allow_unsafe: bool
    seed: int
    view: str
    only_choices: bool
    windows: list[int]
    keeps_records: bool
    python_version: str


class TracerArguments(PortableArguments):
    """The whole of ``TracerConfig`` as JSON, with the folders and the interpreter of this machine.

    ``repository`` is None for modules of the standard library; ``library`` then has the folder or file of the module.
    ``packages`` are folders and files that are bound into the sandbox, ``site_folders`` such that hold packages.
    """

    repository: str | None
    library: list[str]
    packages: list[str]
    site_folders: list[str]
    python: str


class RepositoryEntry(TypedDict):
    """The repository of a unit as its rows name it, with the packages that its snippets need (``name==version``)."""

    name: str
    version: str | None
    commit: str | None
    licence: str
    requires: list[str]


class MinedEntry(SnippetEntry):
    """A snippet of a unit; ``candidate`` is the result of ``Candidate.to_json``."""

    candidate: Mapping[str, object]


class DropEntry(TypedDict):
    """A drop: its reason's word, and the evidence."""

    reason: str
    evidence: str


class UnreadableEntry(SnippetEntry):
    """The one snippet of a unit of a repository that could not be read; it is dropped."""

    drop: DropEntry


class MinedPayload(TypedDict):
    """The payload of a unit.

    ``tracer_factory`` is ``module:function``, a function of TracerArguments that starts a tracer; ``hidden`` are
    folders of this machine that no row may show. ``cleans``: a row that shows secrets or personal data is dropped;
    ``benchmarks`` is the file of the index of problems that rows must not hold, ``problems`` the places of the
    repository that are some: path, first and last line, name.
    """

    tracer_factory: str
    tracer: TracerArguments
    hidden: list[str]
    cleans: NotRequired[bool]
    benchmarks: NotRequired[str | None]
    problems: NotRequired[list[list[str | int]]]
    repository: RepositoryEntry
    snippets: list[MinedEntry]
