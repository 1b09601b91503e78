"""How a worker traces a unit of mined snippets: one row or drop for each.

A worker process keeps one Tracer alive, for as long as units of the same repository (and ``sys.path``) come: starting
one costs as much as a hundred snippets.
"""

from __future__ import annotations

import importlib
import multiprocessing.util
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.mined.asked import with_prior
from trace_mine.corpus.mined.payload import MinedPayload
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.rows import Row, RowOrigin, make_row, printable
from trace_mine.corpus.work import Dropped, Item
from trace_mine.tracer.schema import Drop, Snippet, Trace

ORIGIN = "mined"
MAX_EVIDENCE = 2000


class TracerLike(Protocol):
    """The part of ``trace_mine.tracer.session.Tracer`` that is used here."""

    def trace(self, snippet: Snippet) -> Trace | Drop: ...

    def close(self) -> None: ...


def trace_unit(payload: Mapping[str, object]) -> Iterator[Item]:
    """A Row or a Dropped for each session of the unit's snippets, in order; ``payload`` is a MinedPayload."""
    unit = cast(MinedPayload, payload)
    draws = True  # of the snippet whose sessions come: its first session shows whether there is a point in more
    for entry in unit["snippets"]:
        candidate = Candidate.from_json(entry["candidate"])
        result: Row | Drop
        if candidate.reason is not None:
            result = Drop(reason=candidate.reason, evidence=candidate.evidence)
        elif candidate.snippet.session and not draws:
            result = Drop(reason="no_choices", evidence="the snippet's first session made no draw")
        else:
            result = _trace(unit, candidate)
            if not candidate.snippet.session:
                draws = result.reason != "no_choices" if isinstance(result, Drop) else bool(result.columns["choices"])
        if isinstance(result, Drop):
            evidence = printable(_scrub(result.evidence, unit["hidden"]))[:MAX_EVIDENCE]
            if candidate.num_skipped:
                evidence = f"{evidence} ({candidate.num_skipped} examples left out for +SKIP)".strip()
            yield Dropped.at(entry, reason=result.reason, evidence=evidence)
        else:
            yield result


def _trace(unit: MinedPayload, candidate: Candidate) -> Row | Drop:
    snippet = candidate.snippet
    tracer = _tracer_for(unit)
    try:
        trace = tracer.trace(snippet)
    except CorpusError:
        raise
    except Exception as error:
        # A bug of ours over one snippet: counted with its evidence, and the tracer, which may be confused, replaced.
        close_tracer()
        return Drop(reason="internal_error", evidence="".join(traceback.format_exception(error)))
    if isinstance(trace, Trace) and candidate.prior is not None:
        trace = with_prior(trace, snippet, candidate.prior)
    if isinstance(trace, Drop):
        return trace
    if any(f"{folder}/" in trace.text for folder in unit["hidden"] if len(folder) > 1):
        # Such a session would neither replay elsewhere nor come out the same from there. (Possible at level 2 only.)
        return Drop(reason="shows_path", evidence="the session shows a folder of this machine")
    steps = tuple(replace(step, path=_relative(step.path, unit["tracer"]["library"])) for step in trace.steps)
    return make_row(replace(trace, steps=steps), _row_origin(unit, candidate))


def _row_origin(unit: MinedPayload, candidate: Candidate) -> RowOrigin:
    snippet, repository = candidate.snippet, unit["repository"]
    return RowOrigin(
        origin=ORIGIN,
        repository=repository["name"],
        version=repository["version"],
        commit=repository["commit"],
        licence=candidate.licence or repository["licence"],
        requires=tuple(repository["requires"]),
        path=snippet.path,
        name=snippet.name,
        line=snippet.line,
        end_line=snippet.end_line,
        entry=snippet.kind,
        source_hash=candidate.source_hash,
        num_skipped=candidate.num_skipped,
        seed=unit["tracer"]["seed"],
    )


def _relative(path: str, library: Sequence[str]) -> str:
    """A step's path without this machine's folders: standard-library modules are run where the interpreter has them."""
    for source in library:
        path = path.removeprefix(f"{Path(source).parent}/")
    return "" if path.startswith("/") else path


def _scrub(text: str, hidden: Sequence[str]) -> str:
    for folder in hidden:
        if len(folder) > 1:
            text = text.replace(folder, "~")
    return text


class _Live:
    """This process's Tracer, and the key of the arguments that it was started with."""

    key: str | None = None
    tracer: TracerLike | None = None


def _tracer_for(unit: MinedPayload) -> TracerLike:
    """This process's Tracer, replaced when the unit needs another."""
    key = content_key(unit["tracer_factory"], unit["tracer"])
    if _Live.tracer is None or _Live.key != key:
        close_tracer()
        module, _, name = unit["tracer_factory"].partition(":")
        tracer: TracerLike = getattr(importlib.import_module(module), name)(unit["tracer"])
        _Live.key, _Live.tracer = key, tracer
        # Worker processes end without atexit; multiprocessing's finalizers do run.
        multiprocessing.util.Finalize(None, close_tracer, exitpriority=100)
    return _Live.tracer


def close_tracer() -> None:
    """Closes this process's Tracer, if it has one."""
    tracer, _Live.tracer, _Live.key = _Live.tracer, None, None
    if tracer is not None:
        tracer.close()
