"""What a worker is given for a unit of mined snippets, as JSON: the tracer to start, and the snippets to trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from trace_mine.corpus.work import SnippetEntry


class PortableArguments(TypedDict):
    """The part of ``TracerConfig`` that every machine shares; it belongs to the unit's key."""

    sys_path: list[str]
    own: list[str]
    warm: list[str]
    limits: Mapping[str, float]
    follow: int
    minimum_level: int
    allow_unsafe: bool
    seed: int
    view: str
    only_choices: bool


class TracerArguments(PortableArguments):
    """``TracerConfig`` as JSON, with what is this machine's alone: its folders, its interpreter."""

    repository: str | None
    library: list[str]
    packages: list[str]
    python: str


class RepositoryEntry(TypedDict):
    """The repository of a unit, as its rows name it; ``requires`` are the packages that its snippets need."""

    name: str
    version: str | None
    commit: str | None
    licence: str
    requires: list[str]


class MinedEntry(SnippetEntry):
    """A snippet of a unit; ``candidate`` is what ``Candidate.to_json`` gives."""

    candidate: Mapping[str, object]


class MinedPayload(TypedDict):
    """The payload of a unit. ``tracer_factory`` is ``module:function``, a function of TracerArguments; ``hidden`` are
    folders of this machine that no row may show.
    """

    tracer_factory: str
    tracer: TracerArguments
    hidden: list[str]
    repository: RepositoryEntry
    snippets: list[MinedEntry]
