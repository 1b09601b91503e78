"""The columns of a dataset, one schema version: from a Trace to a row, and the Parquet schema of rows.

``text`` is never repaired: a session whose text can't be written as UTF-8 (lone surrogates) would no longer replay,
so it is a drop. Everything else that may hold such characters is JSON with escapes, or is escaped by ``printable``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trace_mine.corpus.source import Row, content_key
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop, Trace

MAX_ROW_BYTES = 8 << 20
"""Longer rows are loops that got out of hand: the longest of 2,000 sessions of seven packages has 0.3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
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


def make_row(trace: Trace, source: RowSource) -> Row | Drop:
    """The row of a trace, without its split; a Drop where it must not enter a dataset."""
    if trace.integrity != "clean":
        return Drop(reason=f"integrity_{trace.integrity}", evidence=f"outcome {trace.outcome}")
    try:
        trace.text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Drop(reason="lone_surrogate", evidence=f"at character {error.start} of the session")
    setup = json.dumps(dict(trace.setup), sort_keys=True)
    row: Row = {
        "trace_id": content_key(
            trace.text, setup, source.repository, source.version, source.path, source.name, source.line
        ),
        "origin": source.origin,
        "text": trace.text,
        "segments": [asdict(segment) for segment in trace.segments],
        "view": json.dumps(dict(trace.view), sort_keys=True),
        "steps": [
            {
                "source": printable(step.source),
                "output": printable(step.output),
                "kind": step.kind,
                "raised": step.raised,
                "wrote": [printable(name) for name in step.wrote],
                "depth": step.depth,
                "path": printable(step.path),
                "line": step.line,
            }
            for step in trace.steps
        ],
        "choices": [
            {
                "step": choice.step,
                "kind": choice.kind,
                "place": printable(choice.place),
                "outcomes": [printable(outcome) for outcome in choice.outcomes],
                "probabilities": list(choice.probabilities),
                "taken": choice.taken,
            }
            for choice in trace.choices
        ],
        "beliefs": [
            {
                "segment": belief.segment,
                "outcomes": [printable(outcome) for outcome in belief.outcomes],
                "probabilities": list(belief.probabilities),
                "method": belief.method,
                "stderr": list(belief.stderr),
            }
            for belief in trace.beliefs
        ],
        "states": [json.dumps(dict(step.state)) for step in trace.steps],
        "setup": setup,
        "repository": source.repository,
        "version": source.version,
        "commit": source.commit,
        "path": printable(source.path),
        "name": printable(source.name),
        "line": source.line,
        "end_line": source.end_line,
        "entry": source.entry,
        "licence": source.licence,
        "source_hash": source.source_hash,
        "requires": list(source.requires),
        "num_skipped": source.num_skipped,
        "outcome": trace.outcome,
        "exception": None if trace.exception is None else printable(trace.exception),
        "doctest_passed": trace.doctest_passed,
        "opened_calls": trace.opened_calls,
        "kept_whole": json.dumps(dict(trace.kept_whole), sort_keys=True),
        "sandbox_level": int(trace.sandbox["level"]),
        "sandbox_layers": str(trace.sandbox["layers"]),
        "integrity": trace.integrity,
        "python": trace.python,
        "seed": source.seed,
        "schema_version": SCHEMA_VERSION,
    }
    size = len(json.dumps(row))
    if size > MAX_ROW_BYTES:
        return Drop(reason="row_too_large", evidence=f"{size} bytes, limit {MAX_ROW_BYTES}")
    return row


def text_key(text: str) -> str:
    """Hash of the normalised text: two rows with the same key are exact duplicates. Spaces at line ends and blank
    lines at the ends don't count.
    """
    normal = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return hashlib.sha256(normal.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def features() -> Any:
    """``datasets.Features`` of a row with its split."""
    from datasets import Features, Value

    string, integer = Value("string"), Value("int64")
    return Features(
        {
            "trace_id": string,
            "origin": string,
            "text": string,
            "segments": [{"start": integer, "end": integer, "role": string, "step": integer}],
            "view": string,
            "steps": [
                {
                    "source": string,
                    "output": string,
                    "kind": string,
                    "raised": Value("bool"),
                    "wrote": [string],
                    "depth": integer,
                    "path": string,
                    "line": integer,
                }
            ],
            "choices": [
                {
                    "step": integer,
                    "kind": string,
                    "place": string,
                    "outcomes": [string],
                    "probabilities": [Value("float64")],
                    "taken": integer,
                }
            ],
            "beliefs": [
                {
                    "segment": integer,
                    "outcomes": [string],
                    "probabilities": [Value("float64")],
                    "method": string,
                    "stderr": [Value("float64")],
                }
            ],
            "states": [string],
            "setup": string,
            "repository": string,
            "version": string,
            "commit": string,
            "path": string,
            "name": string,
            "line": integer,
            "end_line": integer,
            "entry": string,
            "licence": string,
            "source_hash": string,
            "requires": [string],
            "num_skipped": integer,
            "outcome": string,
            "exception": string,
            "doctest_passed": Value("bool"),
            "opened_calls": integer,
            "kept_whole": string,
            "sandbox_level": integer,
            "sandbox_layers": string,
            "integrity": string,
            "python": string,
            "seed": integer,
            "schema_version": integer,
            "split": string,
        }
    )


def printable(text: str) -> str:
    """Lone surrogates as ``\\udXXX`` escapes, so that the text can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_row(item: Mapping[str, Any]) -> bool:
    """True for the JSON form of a row, False for that of a Dropped."""
    return "trace_id" in item
