"""Checks that a row is what its columns say, whoever wrote it: before it is on disk, and again when it is read back.

What passes here is taken by Arrow: of each value the type and the range, of each text that UTF-8 has it, of each record
its fields. Beyond that the words of closed lists are of them, JSON is an object, and an index points at something: a
reader who takes ``text[segment["start"]:segment["end"]]`` is not to find that out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite

from trace_mine.corpus.schema import ROW_COLUMNS, Column, RowColumns
from trace_mine.tracer.inside.protocol.forms import LARGEST_EXACT_INT, shown
from trace_mine.tracer.inside.reasons import reason_of
from trace_mine.tracer.schema import SCHEMA_VERSION

# Parquet's int64. Python's int has no bounds, and pyarrow's OverflowError would name neither row nor column.
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1


def check_row(
    row: Mapping[str, object], version: int = SCHEMA_VERSION, *, columns: tuple[Column, ...] = ROW_COLUMNS
) -> RowColumns:
    """Check a row: ``check``, and what holds between its columns. Return it as what it is.

    Args:
        row: the row.
        version: the schema version that it is of.
        columns: the columns that rows of the latest version have here; by default all but those that the merge adds.

    Raises:
        ValueError: it is no row; the message says where.
    """
    known = columns if version == SCHEMA_VERSION else tuple(each for each in columns if each.meaning.since <= version)
    check(row, known)
    made: RowColumns = row  # type: ignore[assignment]  # as ``check`` has just found
    if made["schema_version"] != version:
        raise ValueError(f"expected schema_version {version}, got {made['schema_version']}; make it again")
    _check_references(made)
    _check_counts(made["kept_whole"], "kept_whole")
    if version > 1:
        _check_verification(made)
    if version > 2:
        _check_frames(made)
    if version > 3:
        _check_record(made)
        _check_calls(made)
    if version > 5:
        _check_windows(made)
        _check_belief_states(made)
        _check_lengths("edits", len(made["edits"]), len(made["edit_lines"]))
        if min((*made["edit_lines"], *made["author_lines"]), default=0) < 0:
            raise ValueError(
                "expected edit_lines and author_lines from 0 on, got a negative one; count as the file does"
            )
    return made


def _check_verification(columns: RowColumns) -> None:
    if not 0 <= columns["states_verified"] <= columns["states_total"]:
        numbers = f"{columns['states_verified']} and {columns['states_total']}"
        raise ValueError(f"expected 0 <= states_verified <= states_total, got {numbers}; count each change once")
    if not all(map(_READER.fullmatch, columns["printed_by"])):
        raise ValueError(f"expected names of readers in printed_by, got {shown(columns['printed_by'])}; see there")


def _check_frames(columns: RowColumns) -> None:
    """Check that each own frame is counted once: as opened, or under a reason."""
    numbers = (
        columns["own_frames"],
        columns["opened_frames"],
        _check_counts(columns["unopened_frames"], "unopened_frames"),
    )
    own, opened, unopened = numbers
    if opened < 0 or own != opened + unopened:
        raise ValueError(
            f"expected own_frames = opened_frames + those of unopened_frames, got {numbers}; count each once"
        )


def _check_record(columns: RowColumns) -> None:
    """Check that a row has a session, or a reason why it has none."""
    reason = columns["no_session"]
    if reason:
        reason_of(reason)
    if bool(reason) == bool(columns["steps"]):
        raise ValueError(f"expected steps, or a reason why there are none, got {shown(reason)}; see corpus/schema.py")


def _check_windows(columns: RowColumns) -> None:
    """Check that each law after a window is one of an exact belief, once for each window."""
    beliefs = {belief["segment"]: belief for belief in columns["beliefs"]}
    seen: set[tuple[int, int]] = set()
    for window in columns["windows"]:
        key = (window["segment"], window["commands"])
        belief = beliefs.get(window["segment"])
        if belief is None or belief["method"] != "exact" or key in seen or window["commands"] < 0:
            raise ValueError(f"expected one law of an exact belief for each window, got {key}; see `windows`")
        seen.add(key)
        _check_lengths("windows", len(window["outcomes"]), len(window["probabilities"]))


def _check_calls(columns: RowColumns) -> None:
    """Check that calls are numbered in order, begin inside their callers, and share no step."""
    calls, num_steps = columns["calls"], len(columns["steps"])
    seen: set[int] = set()
    for number, call in enumerate(calls):
        caller, first, last, steps = call["caller"], call["first"], call["last"], call["steps"]
        if call["call"] != number or not -1 <= caller < number:
            raise ValueError(f"expected calls from 0 on, after their callers, got {call['call']} of {caller}")
        if (first < 0) != (last < 0) or not (first == -1 or first <= last < num_steps):
            raise ValueError(f"expected the range of a call in {num_steps} steps, got {first} to {last}")
        # not the end too: a generator goes on where the call that made it has returned
        if caller >= 0 and first >= 0 and not calls[caller]["first"] <= first <= calls[caller]["last"]:
            raise ValueError(f"expected call {number} to begin inside call {caller}, got step {first}; see `calls`")
        if any(not first <= step <= last for step in steps) or sorted(set(steps)) != steps or (steps and first < 0):
            raise ValueError(f"expected steps in order from {first} to {last}, got {shown(steps)}; see `calls`")
        if not seen.isdisjoint(steps):
            raise ValueError(f"expected each step in one call at most, got one of call {number} in another too")
        seen.update(steps)
    if any(function["line"] < 0 for function in columns["source"]):
        raise ValueError("expected lines of functions from 0 on, got a negative one; count as the file does")


def _check_belief_states(columns: RowColumns) -> None:
    """Check that laws of states are those of the beliefs, one each, with indices that point at outcomes."""
    laws, beliefs = columns["belief_states"], columns["beliefs"]
    if laws and [law["segment"] for law in laws] != [belief["segment"] for belief in beliefs]:
        raise ValueError(f"expected a law of states for each of {len(beliefs)} beliefs or none, got {len(laws)} laws")
    for law, belief in zip(laws, beliefs, strict=False):
        _check_lengths("belief_states", len(law["states"]), len(law["outcomes"]), len(law["probabilities"]))
        for index in law["outcomes"]:
            _check_index("belief_states.outcomes", index, len(belief["outcomes"]))
        if bool(law["absent"]) == bool(law["states"]):
            raise ValueError(f"expected states of a belief, or why there are none, got {shown(law['absent'])}")


_READER = re.compile("[a-z_]{1,40}")  # it becomes a key of the statistics, and stands in the card


def check(row: Mapping[str, object], columns: tuple[Column, ...] = ROW_COLUMNS) -> None:
    """Check each value of a row by its column.

    Args:
        row: the row.
        columns: the columns that it must have; by default all but those that the merge adds.

    Raises:
        ValueError: a column is missing or unknown, or a value is another than its column takes: Parquet would refuse it
            or convert it silently.
    """
    _check_records([row], columns)


def _check_records(records: Sequence[object], columns: tuple[Column, ...]) -> None:
    """Check records of one kind, column by column: a session has a thousand segments, and a call for each value of them
    takes twenty times as long.
    """
    names = {column.name for column in columns}
    for record in records:
        if not isinstance(record, dict) or record.keys() != names:
            wrong = names.symmetric_difference(record) if isinstance(record, dict) else ["no object"]
            named = ", ".join(sorted(map(str, wrong)))[:200]
            raise ValueError(f"expected the columns of corpus/schema.py, got other ones: {named}; see there")
    for column in columns:
        values = [record[column.name] for record in records]  # type: ignore[index]  # all of them are dicts
        if column.is_optional:
            values = [value for value in values if value is not None]
        if column.is_list:
            for value in values:
                if type(value) is not list:
                    raise ValueError(
                        f"expected {column.name} to be a list, got {shown(value)}; see corpus/schema.py",
                    )
            values = [*chain.from_iterable(values)]
        if column.fields:
            _refuse(column, (value for value in values if type(value) is not dict))
            _check_records(values, column.fields)
        else:
            _check_scalars(values, column)


def _check_scalars(values: Sequence[object], column: Column) -> None:
    kinds = {*map(type, values)}  # exact types: True is an int to isinstance, and would stand in the dataset as 1
    if column.scalar is float:
        # Parquet turns 1 into 1.0; NaN and infinities are no probabilities, and JSON of statistics has no word for them
        if not (kinds <= {float} and all(map(isfinite, values))):  # type: ignore[arg-type]
            _refuse(column, (value for value in values if not _is_number(value)))
        return
    if not kinds <= {column.scalar}:
        _refuse(column, (value for value in values if type(value) is not column.scalar))
    if column.scalar is int:
        _check_ints(values, column)  # type: ignore[arg-type]
    if column.scalar is str:
        _check_texts(values, column)  # type: ignore[arg-type]


def _check_ints(values: Sequence[int], column: Column) -> None:
    if values and not (min(values) >= _INT_MIN and max(values) <= _INT_MAX):
        _refuse(column, (value for value in values if not _INT_MIN <= value <= _INT_MAX))


def _is_number(value: object) -> bool:
    return (type(value) is float and isfinite(value)) or (type(value) is int and abs(value) <= LARGEST_EXACT_INT)


def _check_texts(texts: Sequence[str], column: Column) -> None:
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected {column.name} to be text that UTF-8 has, got half a surrogate pair "
            f"({error.object[error.start : error.end]!r}); escape it",
        ) from None
    if column.meaning.words and not {*texts} <= {*column.meaning.words}:
        _refuse(column, (text for text in texts if text not in column.meaning.words), "one of its words")
    if column.meaning.is_json:
        for text in texts:
            _object_in(text, column.name)


def _refuse(column: Column, wrong: Iterable[object], expected: str = "") -> None:
    """Raises ValueError for the first of the values that are wrong, if there is one."""
    for value in wrong:
        raise ValueError(
            f"expected {column.name} to be {expected or column.type_name}, got {shown(value)}; see corpus/schema.py",
        )


MAX_NESTING = 500
"""Objects and lists within one another. How deep a parser goes depends on the interpreter: 3.13 writes what 3.11 can't
read."""
_structure = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')


def nesting(text: str) -> int:
    """How deep objects and lists lie within one another in JSON.

    >>> nesting('{"a[": [[1], "]"]}')
    3
    """
    depth = deepest = 0
    for token in _structure.findall(text):
        if token in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in "]}":
            depth -= 1
    return deepest


def _object_in(text: str, name: str) -> dict[str, object]:
    """The object that is JSON in this text. Raises ValueError."""
    # counted first, in C: nearly every text has less brackets than may be nested
    if text.count("[") + text.count("{") > MAX_NESTING and (deepest := nesting(text)) > MAX_NESTING:
        raise ValueError(f"expected JSON nested at most {MAX_NESTING} deep as {name}, got {deepest}; leave it out")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested more deeply than the parser goes
        raise ValueError(f"expected JSON as {name}, got {type(error).__name__}: {str(error)[:80]}") from None
    if type(value) is not dict:
        raise ValueError(f"expected a JSON object as {name}, got {shown(value)}; see corpus/schema.py")
    return value


def _check_counts(text: str, name: str) -> int:
    """The sum of the counts by reason that are JSON in this text. Raises ValueError."""
    total = 0
    for reason, count in _object_in(text, name).items():
        reason_of(reason)
        if type(count) is not int or not 0 <= count <= LARGEST_EXACT_INT:
            raise ValueError(f"expected a count of {reason} in {name}, got {shown(count)}; see corpus/schema.py")
        total += count
    return total


def _check_references(row: RowColumns) -> None:
    """Check that indices point at what is there, and that lists that go together are of one length."""
    num_steps, num_segments = len(row["steps"]), len(row["segments"])
    if len(row["states"]) != num_steps:
        raise ValueError(f"expected a state for each of {num_steps} steps, got {len(row['states'])}")
    end = 0
    for segment in row["segments"]:
        if segment["start"] != end or segment["end"] < end:
            raise ValueError(f"expected segments that cover text in order, got one from {segment['start']} after {end}")
        end = segment["end"]
        _check_index("segments.step", segment["step"], num_steps)
    if end != len(row["text"]):
        raise ValueError(f"expected segments to the end of text at {len(row['text'])}, got {end}")
    for choice in row["choices"]:
        _check_index("choices.step", choice["step"], num_steps)
        _check_index("choices.taken", choice["taken"], len(choice["outcomes"]))
        _check_lengths("choices.outcomes", len(choice["outcomes"]), len(choice["probabilities"]))
    for belief in row["beliefs"]:
        _check_index("beliefs.segment", belief["segment"], num_segments)
        _check_lengths("beliefs.outcomes", len(belief["outcomes"]), len(belief["probabilities"]), len(belief["stderr"]))


def _check_index(name: str, index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ValueError(f"expected {name} from 0 to {size - 1}, got {index}")


def _check_lengths(name: str, *lengths: int) -> None:
    if len({*lengths}) > 1:
        raise ValueError(f"expected a number for each of {name}, got {lengths}")
