"""Traces a unit of mined snippets in a worker: one row or drop for each.

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

from trace_mine.corpus.cleaning.remaining import remaining, with_clean_sources
from trace_mine.corpus.cleaning.repository_files import clean_path
from trace_mine.corpus.cleaning.scrub import scrub
from trace_mine.corpus.decontamination.benchmark_file import Place, problem_in
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.mined.hidden_inputs import add_prior
from trace_mine.corpus.mined.items.verdicts import ItemVerdict, RunsSource, agrees, verdicts_of
from trace_mine.corpus.mined.payload import MinedPayload, UnreadableEntry
from trace_mine.corpus.mined.script_runs import lacking
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.rows import Row, RowOrigin, make_row, printable
from trace_mine.corpus.work import Dropped, Item, SnippetEntry
from trace_mine.tracer.event_log import EventLog
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.schema import Drop, Snippet, Trace

ORIGIN = "mined"
MAX_EVIDENCE = 2000
"""Characters of a drop's evidence that are kept; a whole output would make ``errors.jsonl`` as large as the dataset."""

OF_A_FORM = frozenset(
    (
        Reason.SPELT_OTHERWISE,
        Reason.SETUP_ERROR,
        Reason.SYNTAX_ERROR,
        Reason.MISSING_CONTEXT,
        Reason.EMPTY,
        Reason.RESULT_DIFFERS,
        Reason.PATH_DIFFERS,
        Reason.REPLAY_MISMATCH,
        Reason.DRAWS_DIFFER,
        Reason.UNFAITHFUL,
        Reason.TRACER_ERROR,
        Reason.SHOWS_PATH,
        Reason.FOCUS_MISSED,
    )
)
"""Reasons that another form of the same snippet may not have; limits, say, it would reach again."""


class TracerLike(Protocol):
    """The part of ``trace_mine.tracer.session.Tracer`` that is used here, which a stand-in in tests has too."""

    def trace(self, snippet: Snippet) -> Trace | Drop:
        """Run the snippet: a trace, or the drop where there is none."""

    def begin_unit(self) -> None:
        """Begin a unit, whose rows depend on none before."""

    def close(self) -> None:
        """End the processes of the sandbox."""


def trace_unit(payload: Mapping[str, object]) -> Iterator[Item]:
    """Trace the sessions of a unit's snippets.

    The sessions of one snippet stand behind each other in a unit. When the first one draws nothing at random, the
    others would be the same, so they are dropped without a run.

    Args:
        payload: a ``MinedPayload``, or one whose snippet is an ``UnreadableEntry``.

    Yields:
        A Row or a Dropped for each session, in order.

    Raises:
        CorpusError: no tracer can be started on this machine.
    """
    unit = cast(MinedPayload, payload)
    _Live.unit = None  # the same payload again is another unit
    first_session_draws = True
    for entry in unit["snippets"]:
        if "drop" in entry:
            unread = cast(UnreadableEntry, entry)["drop"]
            yield _dropped(unit, entry, Drop(reason=unread["reason"], evidence=unread["evidence"]))
            continue
        candidate = Candidate.from_json(entry["candidate"])
        result: Row | Drop
        if candidate.drop is not None:
            result = candidate.drop
        elif candidate.snippet.session and not first_session_draws:
            result = Drop(reason=Reason.NO_CHOICES, evidence="the snippet's first session made no draw")
        else:
            result = _trace(unit, candidate)
            if not candidate.snippet.session:
                first_session_draws = _may_draw(result)
        if isinstance(result, Drop):
            left_out = f" ({candidate.num_skipped} examples or lines left out)" if candidate.num_skipped else ""
            yield _dropped(unit, entry, result, left_out)
        else:
            yield result


def _dropped(unit: MinedPayload, entry: SnippetEntry, drop: Drop, note: str = "") -> Dropped:
    """The drop of a snippet, whose evidence names no folder of this machine; the ``note`` stands behind it."""
    evidence = printable(_scrub(drop.evidence, unit["hidden"]))[:MAX_EVIDENCE]
    if unit.get("cleans"):
        # nothing replays evidence, so a fake in it harms nobody
        evidence = scrub(evidence).text
        entry = {**entry, "path": clean_path(entry["path"]), "name": scrub(entry["name"]).text}
    return Dropped.at(entry, reason=drop.reason, evidence=f"{evidence}{note}".strip())


def _may_draw(result: Row | Drop) -> bool:
    """Tell if another session of the snippet could differ; a drop for another reason leaves that open."""
    return result.reason != Reason.NO_CHOICES if isinstance(result, Drop) else bool(result.columns["choices"])


def _trace(unit: MinedPayload, candidate: Candidate) -> Row | Drop:
    """Trace a session of the first form of the snippet that gives a row."""
    result = _trace_form(unit, candidate)
    for snippet in candidate.fallbacks:
        if not isinstance(result, Drop) or result.reason not in OF_A_FORM:
            break
        result = _trace_form(unit, replace(candidate, snippet=snippet))
    return result


def _trace_form(unit: MinedPayload, candidate: Candidate) -> Row | Drop:
    """Trace one session, and make a row of it where nothing speaks against that."""
    snippet = candidate.snippet
    tracer = _tracer_for(unit)
    try:
        trace = tracer.trace(snippet)
        if isinstance(trace, Trace) and candidate.item:
            trace = _as_judged(trace, _verdicts(unit, cast("RunsSource", tracer)).get(candidate.item), candidate.item)
        if isinstance(trace, Trace):
            trace = lacking(snippet, trace) or trace
        if isinstance(trace, Trace) and candidate.prior is not None:
            trace = add_prior(trace, snippet, candidate.prior, candidate.input_values)
    except CorpusError:
        raise  # no sandbox, say: the same for all snippets
    except Exception as error:
        # A bug of ours over one snippet is counted with its evidence. The tracer, which may be in the middle of a
        # conversation with its sandbox, is replaced.
        close_tracer()
        return Drop(reason=Reason.INTERNAL_ERROR, evidence="".join(traceback.format_exception(error)))
    if isinstance(trace, Drop):
        return _record(unit, candidate, trace)
    if unit.get("cleans") and trace.events is not None:
        trace = replace(trace, events=with_clean_sources(trace.events))
    if refused := _refused(unit, candidate, trace):
        return refused
    if any(f"{folder}/" in trace.text for folder in unit["hidden"] if len(folder) > 1):
        # Such a session would neither replay on another machine nor come out the same there. It can happen at sandbox
        # level 2 only: without user namespaces a snippet is shown folders under their own names.
        return Drop(reason=Reason.SHOWS_PATH, evidence="the session shows a folder of this machine")
    # Rows of one module must be the same from every machine, wherever its interpreter stands.
    steps = tuple(replace(step, path=_relative(step.path, unit["tracer"]["library"])) for step in trace.steps)
    events = None if trace.events is None else _portable(trace.events, unit)
    return make_row(replace(trace, steps=steps, events=events), _row_origin(unit, candidate))


def _record(unit: MinedPayload, candidate: Candidate, drop: Drop) -> Row | Drop:
    """The record of a snippet without a session that replays, where it has one; else the drop."""
    if drop.record is None or drop.record.events is None:
        return drop
    record, events = drop.record, drop.record.events
    if unit.get("cleans"):
        events = with_clean_sources(events)
        record = replace(record, events=events)
    if refused := _refused(unit, candidate, record):
        return refused
    events = _portable(events, unit)
    # without events it would say nothing
    if not events.events:
        return drop
    row = make_row(replace(record, events=events), _row_origin(unit, candidate), no_session=drop.reason)
    return drop if isinstance(row, Drop) else row


def _refused(unit: MinedPayload, candidate: Candidate, trace: Trace) -> Drop | None:
    """The drop of a trace that shows secrets, personal data or a benchmark's problem, where these are not wanted."""
    if unit.get("cleans"):
        repository, snippet = unit["repository"], candidate.snippet
        names = {"path": snippet.path, "name": snippet.name, "repository": repository["name"]}
        if left := remaining(trace, {**names, "version": repository["version"]}):
            return left
    if path := unit.get("benchmarks"):
        places = [cast("Place", tuple(place)) for place in unit.get("problems", ())]
        return problem_in(trace, places, path)
    return None


def _portable(events: EventLog, unit: MinedPayload) -> EventLog:
    """The events as each machine has them: with paths as steps have them, and none that show a folder of this one."""
    if events.shows([f"{folder}/" for folder in unit["hidden"] if len(folder) > 1]):
        return events.without_events("path")
    return events.with_paths(lambda path: _relative(path, unit["tracer"]["library"]))


def _verdicts(unit: MinedPayload, tracer: RunsSource) -> Mapping[str, ItemVerdict]:
    """Pytest's verdicts on the items of the unit, asked for when the first one is needed."""
    if _Live.verdicts is None:
        candidates = [Candidate.from_json(entry["candidate"]) for entry in unit["snippets"]]
        items = [each.item for each in candidates if each.item and each.drop is None and not each.snippet.session]
        _Live.verdicts = verdicts_of(tracer, items, Limits(**unit["tracer"]["limits"]))  # type: ignore[arg-type]
    return _Live.verdicts


def _as_judged(trace: Trace, verdict: ItemVerdict | None, item: str) -> Trace | Drop:
    """The trace, where the test ends in it as it does under pytest."""
    if verdict is None:
        return Drop(reason=Reason.UNJUDGED, evidence=f"pytest's run of {item} came to no end")
    if agrees(verdict, trace.outcome, trace.exception):
        return trace
    if verdict.word == "skipped":
        return Drop(reason=Reason.TEST_SKIPPED, evidence=f"pytest skips {item}")
    word = f"{verdict.word} ({verdict.error})" if verdict.error else verdict.word
    evidence = f"pytest says {word} of {item}, the session ends with {trace.outcome}: {trace.text[-300:]}"
    return Drop(reason=Reason.SPELT_OTHERWISE, evidence=evidence)


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
        edits=candidate.edits,
        edit_lines=candidate.edit_lines,
        author_lines=candidate.author_lines,
    )


def _relative(path: str, library: Sequence[str]) -> str:
    """A step's path relative to the repository; empty for one that is not in it.

    ``library`` are the files or folders of standard-library modules, which are run where the interpreter has them;
    paths in them become relative to the folder around them.
    """
    for source in library:
        path = path.removeprefix(f"{Path(source).parent}/")
    return "" if path.startswith("/") else path


def _scrub(text: str, hidden: Sequence[str]) -> str:
    """The text without the folders of this machine, which evidence (a traceback, say) may name."""
    for folder in hidden:
        if len(folder) > 1:  # a repository at `/` would turn each slash into a tilde
            text = text.replace(folder, "~")
    return text


class _Live:
    """This process's Tracer, and the key of the arguments that it was started with."""

    # One for each process: joblib's workers handle one unit after the other, never two at once.
    key: str | None = None
    tracer: TracerLike | None = None
    unit: MinedPayload | None = None
    verdicts: Mapping[str, ItemVerdict] | None = None


def _tracer_for(unit: MinedPayload) -> TracerLike:
    """This process's Tracer, replaced when the unit needs another."""
    key = content_key(unit["tracer_factory"], unit["tracer"])
    if _Live.tracer is None or _Live.key != key:
        close_tracer()
        module, _, name = unit["tracer_factory"].partition(":")
        tracer: TracerLike = getattr(importlib.import_module(module), name)(unit["tracer"])
        _Live.key, _Live.tracer = key, tracer
        # Worker processes end without atexit, so that a tracer's processes would outlive them; the finalizers of
        # multiprocessing do run.
        multiprocessing.util.Finalize(None, close_tracer, exitpriority=100)
    if _Live.unit is not unit:
        _Live.unit, _Live.verdicts = unit, None
        _Live.tracer.begin_unit()
    return _Live.tracer


def close_tracer() -> None:
    """Close this process's Tracer, if it has one."""
    # Forgotten before it is closed: where closing fails, the next unit starts another one.
    tracer, _Live.tracer, _Live.key = _Live.tracer, None, None
    if tracer is not None:
        tracer.close()
