"""Makes a row of a dataset a ``Trace`` again, as far as it is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trace_mine.tracer.schema import Belief, BeliefStates, OpenedCall, Segment, Step, Trace, Verification
from trace_mine.tracer.viewer import ShownEdit

# Any: the columns of a row whose file says what they are; what does not fit raises.
_LATER: Mapping[str, Any] = {
    "belief_states": (),
    "calls": (),
    "printed_by": (),
    "states_verified": 0,
    "states_total": 0,
    "own_frames": 0,
    "opened_frames": 0,
    "unopened_frames": "{}",
}
"""The columns that rows of older versions of the schema lack, with empty values."""


def trace_of(columns: Mapping[str, Any]) -> Trace:
    """Return the session of a row with its states, beliefs and calls; what only a replay or an export needs is left
    out.

    Args:
        columns: those of a row, of any version of the schema.

    Raises:
        ValueError, KeyError, TypeError: it is no row.
    """
    row = {**_LATER, **columns}
    return Trace(
        text=row["text"],
        segments=tuple(Segment(**segment) for segment in row["segments"]),
        steps=tuple(
            Step(**{**step, "wrote": tuple(step["wrote"])}, state=json.loads(state))
            for step, state in zip(row["steps"], row["states"], strict=True)
        ),
        setup=json.loads(row["setup"]),
        view=json.loads(row["view"]),
        outcome=row["outcome"],
        exception=row["exception"],
        integrity=row["integrity"],
        sandbox={"level": row["sandbox_level"], "layers": row["sandbox_layers"]},
        python=row["python"],
        opened_calls=row["opened_calls"],
        kept_whole=json.loads(row["kept_whole"]),
        own_frames=row["own_frames"],
        opened_frames=row["opened_frames"],
        unopened_frames=json.loads(row["unopened_frames"]),
        doctest_passed=row["doctest_passed"],
        beliefs=tuple(
            Belief(
                segment=belief["segment"],
                outcomes=tuple(belief["outcomes"]),
                probabilities=tuple(belief["probabilities"]),
                method=belief["method"],
                stderr=tuple(belief["stderr"]),
            )
            for belief in row["beliefs"]
        ),
        belief_states=tuple(
            BeliefStates(
                segment=law["segment"],
                variables=tuple(law["variables"]),
                states=tuple(
                    tuple(named.get(name) for name in law["variables"]) for named in map(json.loads, law["states"])
                ),
                outcomes=tuple(law["outcomes"]),
                probabilities=tuple(law["probabilities"]),
                absent=law["absent"],
            )
            for law in row["belief_states"] or ()
        ),
        calls=tuple(
            OpenedCall(
                caller=call["caller"],
                name=call["name"],
                text=call["text"],
                first=call["first"],
                last=call["last"],
                steps=tuple(call["steps"]),
            )
            for call in row["calls"]
        ),
        verification=Verification(
            printed=tuple(row["printed_by"]),
            states_verified=row["states_verified"],
            states_total=row["states_total"],
        ),
    )


def edits_of(columns: Mapping[str, Any]) -> tuple[ShownEdit, ...]:
    """Return what was changed in the program of a row, with the places of the author's file where they are known.

    Args:
        columns: those of a row, of any version of the schema.

    Raises:
        ValueError, KeyError, TypeError: it is no row.
    """
    edits = columns.get("edits") or ()
    lines = columns.get("edit_lines") or [0] * len(edits)  # a column of version 6
    return tuple(
        ShownEdit(
            kind=edit["kind"],
            place=_place_of(edit, columns["path"], int(line)),
            law=tuple(map(float, edit["law"])),
            before=edit["before"],
            after=edit["after"],
        )
        for edit, line in zip(edits, lines, strict=True)
    )


def _place_of(edit: Mapping[str, Any], path: str, line: int) -> str:
    is_added = edit["kind"] in ("reveal", "input") or not edit["before"]
    if line:
        return f"{'after' if is_added else 'at'} {path}:{line}"
    has_run = is_added or edit["kind"] == "assert"
    return f"at line {int(edit['line'])} of the text that {'ran' if has_run else 'was edited'}"
