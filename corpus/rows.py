"""From a Trace to a row, with the columns of ``schema``.

A session whose text can't be written as UTF-8 (lone surrogates) is a drop: repaired, it would no longer replay. All
other columns that may hold such characters are JSON, which escapes them, or go through ``printable``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.row_check import check_row
from trace_mine.corpus.schema import (
    ORIGINS,
    BeliefColumns,
    BeliefStateColumns,
    CallColumns,
    ChoiceColumns,
    EditColumns,
    RowColumns,
    SegmentColumns,
    SourceColumns,
    StepColumns,
)
from trace_mine.corpus.worth import uncopied_values, writing_commands
from trace_mine.tracer.event_codec import pack
from trace_mine.tracer.inside.reasons import Reason, integrity_of
from trace_mine.tracer.schema import (
    SCHEMA_VERSION,
    Belief,
    BeliefStates,
    Choice,
    Drop,
    OpenedCall,
    OpenedFunction,
    Segment,
    Step,
    Trace,
)

MAX_ROW_BYTES = 8 << 20
"""The most bytes of a row's JSON. Longer rows are loops that got out of hand: the longest of 2,000 sessions of seven
packages has 0.3 MB.
"""
MAX_EVIDENCE = 2000
"""Characters of a drop's evidence that are kept; a whole output would make ``errors.jsonl`` as large as the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row without its split: its ``columns``, and the same as ``line``, the JSON that stands in the ledger.

    Both are kept because encoding a row to JSON costs more than all else that is done with it, and its length is needed
    three times (the limit of a row, the ledger, the shards).
    """

    columns: RowColumns
    line: bytes

    @property
    def is_record(self) -> bool:
        """True if the row is a record, of a snippet without a session that replays."""
        return bool(self.columns["no_session"])

    @staticmethod
    def of(columns: RowColumns) -> Row:
        """Make the row with these columns; its line is ASCII, with sorted keys."""
        return Row(columns=columns, line=json.dumps(columns, sort_keys=True).encode("ascii"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrigin:
    """The place of a row's snippet, and the conditions under which it ran.

    Attributes:
        origin: ``mined`` or ``synthetic``.
        repository: normalised name of the project; ``version`` and ``commit`` are None where they are unknown.
        licence: an SPDX expression, or ``NOASSERTION``.
        requires: packages that a replay must have installed, as ``NAME==VERSION``.
        path: the snippet's file, relative to the repository; ``line`` and ``end_line`` are 1-based and inclusive.
        name: qualified name of the snippet.
        entry: how the snippet is entered (``doctest``, ``script``, ...), or the synthetic task.
        source_hash: hash of the snippet's file, or of the task.
        num_skipped: number of the snippet's doctest examples that ``+SKIP`` left out.
        seed: seed of the run's randomness.
        edits: the draws that were put into the program, each an ``EditColumns``.
        edit_lines: the author's line of each of them; 0: not known.
        author_lines: with edits, the author's line of each line of the program that ran; 0: of none.

    Raises:
        ValueError: ``origin`` or a number is out of range.
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
    edits: tuple[EditColumns, ...] = ()
    edit_lines: tuple[int, ...] = ()
    author_lines: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.origin not in ORIGINS:
            raise ValueError(f"expected RowOrigin.origin among {', '.join(ORIGINS)}, got {self.origin!r}; name one")
        # 0 is the first row of a synthetic task; lines of files begin at 1.
        if not 0 <= self.line <= self.end_line or self.num_skipped < 0:
            raise ValueError(
                f"expected 0 <= line <= end_line and num_skipped >= 0, got {self.line}, {self.end_line}, "
                f"{self.num_skipped}; take the lines of the snippet in its file"
            )


def make_row(trace: Trace, origin: RowOrigin, *, no_session: str = "") -> Row | Drop:
    """Return the row of a trace, or a Drop where the trace must not enter a dataset.

    ``no_session``: of a record, the reason why it has no session.

    A trace is dropped if the snippet tampered with its record, if its text can't be written as UTF-8, if a value is not
    what its column takes, or if its row is longer than MAX_ROW_BYTES.
    """
    if trace.integrity != "clean":
        return Drop(reason=integrity_of(trace.integrity).value, evidence=f"outcome {trace.outcome}")
    try:
        trace.text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Drop(reason=Reason.LONE_SURROGATE.value, evidence=f"at character {error.start} of the session")
    # A mistake of trace-mine, or a value from the jail that no type there refused: one snippet's loss, and not that of
    # all that are still to come. (RecursionError: of a value in a mapping, which JSON nests too deeply.)
    try:
        row = Row.of({**_columns(trace, origin), "no_session": no_session})
        # After encoding: the length of the text says little, since states repeat each variable at each step.
        if len(row.line) > MAX_ROW_BYTES:
            return Drop(reason=Reason.ROW_TOO_LARGE.value, evidence=f"{len(row.line)} bytes, limit {MAX_ROW_BYTES}")
        check_row(row.columns)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return Drop(reason=Reason.BAD_ROW.value, evidence=f"{type(error).__name__}: {error}"[:MAX_EVIDENCE])
    return row


def _columns(trace: Trace, origin: RowOrigin) -> RowColumns:
    # Sorted keys: the set-up is a part of the trace's hash, which must not hang on the order of a dictionary.
    setup = json.dumps(dict(trace.setup), sort_keys=True)
    # As the columns have them: whoever reads the row can make its name again.
    repository, version = printable(origin.repository), None if origin.version is None else printable(origin.version)
    segments, steps = [_segment(segment) for segment in trace.segments], [_step(step) for step in trace.steps]
    return {
        # Not the view, the seed or the version of trace-mine: the same session of the same snippet keeps its name.
        "trace_id": content_key(
            trace.text, setup, repository, version, printable(origin.path), printable(origin.name), origin.line
        ),
        "origin": origin.origin,
        "text": trace.text,  # not through `printable`: see `make_row`
        "segments": segments,
        "view": json.dumps(dict(trace.view), sort_keys=True),
        "steps": steps,
        "choices": [_choice(choice) for choice in trace.choices],
        "beliefs": [_belief(belief) for belief in trace.beliefs],
        "belief_states": [_belief_states(law) for law in trace.belief_states],
        "source": [_source(function) for function in trace.source],
        "calls": [_call(number, call) for number, call in enumerate(trace.calls)],
        # JSON, not a record: names of variables differ from row to row, and Parquet has one schema for all.
        "states": [json.dumps(dict(step.state)) for step in trace.steps],
        "setup": setup,
        "repository": repository,
        "version": version,
        "commit": None if origin.commit is None else printable(origin.commit),
        "path": printable(origin.path),
        "name": printable(origin.name),
        "line": origin.line,
        "end_line": origin.end_line,
        "entry": printable(origin.entry),
        "licence": printable(origin.licence),
        "source_hash": origin.source_hash,
        "requires": [printable(name) for name in origin.requires],
        "num_skipped": origin.num_skipped,
        "outcome": trace.outcome,
        "exception": None if trace.exception is None else printable(trace.exception),
        "doctest_passed": trace.doctest_passed,
        "opened_calls": trace.opened_calls,
        # JSON, as for `states`: the reasons are many, and most rows have none of them.
        "kept_whole": json.dumps(dict(trace.kept_whole), sort_keys=True),
        "own_frames": trace.own_frames,
        "opened_frames": trace.opened_frames,
        "unopened_frames": json.dumps(dict(trace.unopened_frames), sort_keys=True),
        "sandbox_level": int(trace.sandbox["level"]),
        "sandbox_layers": str(trace.sandbox["layers"]),
        "integrity": trace.integrity,
        "printed_by": list(trace.verification.printed),
        "states_verified": trace.verification.states_verified,
        "states_total": trace.verification.states_total,
        "python": trace.python,
        "seed": origin.seed,
        "uncopied_values": uncopied_values(trace.text, segments),
        "writing_commands": writing_commands(steps),
        "schema_version": SCHEMA_VERSION,
        "events": "" if trace.events is None else pack(trace.events),
        "edits": [_edit(edit) for edit in origin.edits],
        "windows": [
            {
                "segment": each.segment,
                "commands": each.commands,
                "outcomes": list(each.outcomes),
                "probabilities": list(each.probabilities),
            }
            for each in trace.windows
        ],
        "edit_lines": list(origin.edit_lines),
        "author_lines": list(origin.author_lines),
        "no_session": "",
    }


def _edit(edit: EditColumns) -> EditColumns:
    return {**edit, "before": printable(edit["before"]), "after": printable(edit["after"])}


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
        "kind": printable(choice.kind),
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


def _belief_states(law: BeliefStates) -> BeliefStateColumns:
    named = [dict(zip(law.variables, state, strict=True)) for state in law.states]
    return {
        "segment": law.segment,
        "variables": [printable(name) for name in law.variables],
        # a variable without a value is in none of `states` either
        "states": [json.dumps({name: text for name, text in each.items() if text is not None}) for each in named],
        "outcomes": list(law.outcomes),
        "probabilities": list(law.probabilities),
        "absent": law.absent,
    }


def _source(function: OpenedFunction) -> SourceColumns:
    return {
        "name": printable(function.name),
        "path": printable(function.path),
        "line": function.line,
        "text": printable(function.text),
    }


def _call(number: int, call: OpenedCall) -> CallColumns:
    return {
        "call": number,
        "caller": call.caller,
        "name": printable(call.name),
        "text": printable(call.text),
        "first": call.first,
        "last": call.last,
        "steps": list(call.steps),
    }


def text_key(text: str) -> str:
    """Return the hash of a session's normalised text, 32 hexadecimal digits: rows with the same key are exact
    duplicates.

    Spaces at the ends of lines and blank lines at the ends of the text don't count.

    >>> text_key(">>> 1 \\n1\\n") == text_key("\\n>>> 1\\n1")
    True
    """
    # Half a hash's digits: 128 bits, so that a collision among a billion rows has a chance of 1e-21.
    normal = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return hashlib.sha256(normal.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def printable(text: str) -> str:
    """Return the text with lone surrogates as ``\\udXXX`` escapes, so that it can be written as UTF-8.

    >>> printable("a\\ud800")
    'a\\\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
