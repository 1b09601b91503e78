"""From a Trace to a row, with the columns of ``schema``.

``text`` is never repaired: a session whose text can't be written as UTF-8 (lone surrogates) would no longer replay,
so it is a drop. Everything else that may hold such characters is JSON with escapes, or is escaped by ``printable``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.schema import BeliefColumns, ChoiceColumns, RowColumns, SegmentColumns, StepColumns, check
from trace_mine.tracer.schema import SCHEMA_VERSION, Belief, Choice, Drop, Segment, Step, Trace

MAX_ROW_BYTES = 8 << 20
"""Longer rows are loops that got out of hand: the longest of 2,000 sessions of seven packages has 0.3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row without its split: its ``columns``, and the ``line`` of JSON that they are in the ledger. Both are kept
    because encoding a row costs more than all else that is done with it: it is done once.
    """

    columns: RowColumns
    line: bytes

    @staticmethod
    def of(columns: RowColumns) -> Row:
        """The row with these columns."""
        return Row(columns=columns, line=json.dumps(columns, sort_keys=True).encode("ascii"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrigin:
    """Where a row's snippet stands and what ran it. ``requires`` is what a clean interpreter must have installed;
    ``num_skipped`` counts the doctest examples that ``+SKIP`` left out; ``version`` and ``commit`` are None when
    unknown.
    """

    origin: str
    repository: str
    version: str | None
    commit: str | None
    licence: str
    requires: tuple[str, ...]
    path: str
    name: str
    line: int
    end_line: int
    entry: str
    source_hash: str
    num_skipped: int
    seed: int


def make_row(trace: Trace, origin: RowOrigin) -> Row | Drop:
    """The row of a trace, without its split; a Drop where it must not enter a dataset.

    Raises:
        ValueError: a value has another type than its column: a mistake of ours, told before it is on disk.
    """
    if trace.integrity != "clean":
        return Drop(reason=f"integrity_{trace.integrity}", evidence=f"outcome {trace.outcome}")
    try:
        trace.text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Drop(reason="lone_surrogate", evidence=f"at character {error.start} of the session")
    columns = _columns(trace, origin)
    check(columns)
    row = Row.of(columns)
    if len(row.line) > MAX_ROW_BYTES:
        return Drop(reason="row_too_large", evidence=f"{len(row.line)} bytes, limit {MAX_ROW_BYTES}")
    return row


def _columns(trace: Trace, origin: RowOrigin) -> RowColumns:
    setup = json.dumps(dict(trace.setup), sort_keys=True)
    return {
        "trace_id": content_key(
            trace.text, setup, origin.repository, origin.version, origin.path, origin.name, origin.line
        ),
        "origin": origin.origin,
        "text": trace.text,
        "segments": [_segment(segment) for segment in trace.segments],
        "view": json.dumps(dict(trace.view), sort_keys=True),
        "steps": [_step(step) for step in trace.steps],
        "choices": [_choice(choice) for choice in trace.choices],
        "beliefs": [_belief(belief) for belief in trace.beliefs],
        "states": [json.dumps(dict(step.state)) for step in trace.steps],
        "setup": setup,
        "repository": origin.repository,
        "version": origin.version,
        "commit": origin.commit,
        "path": printable(origin.path),
        "name": printable(origin.name),
        "line": origin.line,
        "end_line": origin.end_line,
        "entry": origin.entry,
        "licence": origin.licence,
        "source_hash": origin.source_hash,
        "requires": list(origin.requires),
        "num_skipped": origin.num_skipped,
        "outcome": trace.outcome,
        "exception": None if trace.exception is None else printable(trace.exception),
        "doctest_passed": trace.doctest_passed,
        "opened_calls": trace.opened_calls,
        "kept_whole": json.dumps(dict(trace.kept_whole), sort_keys=True),
        "sandbox_level": int(trace.sandbox["level"]),
        "sandbox_layers": str(trace.sandbox["layers"]),
        "integrity": trace.integrity,
        "python": trace.python,
        "seed": origin.seed,
        "schema_version": SCHEMA_VERSION,
    }


def _segment(segment: Segment) -> SegmentColumns:
    return {"start": segment.start, "end": segment.end, "role": segment.role, "step": segment.step}


def _step(step: Step) -> StepColumns:
    return {
        "source": printable(step.source),
        "output": printable(step.output),
        "kind": step.kind,
        "raised": step.raised,
        "wrote": [printable(name) for name in step.wrote],
        "depth": step.depth,
        "path": printable(step.path),
        "line": step.line,
    }


def _choice(choice: Choice) -> ChoiceColumns:
    return {
        "step": choice.step,
        "kind": choice.kind,
        "place": printable(choice.place),
        "outcomes": [printable(outcome) for outcome in choice.outcomes],
        "probabilities": list(choice.probabilities),
        "taken": choice.taken,
    }


def _belief(belief: Belief) -> BeliefColumns:
    return {
        "segment": belief.segment,
        "outcomes": [printable(outcome) for outcome in belief.outcomes],
        "probabilities": list(belief.probabilities),
        "method": belief.method,
        "stderr": list(belief.stderr),
    }


def text_key(text: str) -> str:
    """Hash of the normalised text: two rows with the same key are exact duplicates. Spaces at line ends and blank
    lines at the ends don't count.
    """
    normal = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return hashlib.sha256(normal.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def printable(text: str) -> str:
    """Lone surrogates as ``\\udXXX`` escapes, so that the text can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
