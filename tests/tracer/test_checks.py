"""The checks can fail: each way of falsifying a session, or a program that tells two stories, is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trace_mine.tracer.checks import check_result, same_text, unstable_parts
from trace_mine.tracer.inside.protocol.answers import (
    DriveSummary,
    Error,
    NativeSummary,
    PieceResult,
    columns_of,
)
from trace_mine.tracer.path_check import PathMismatch, check_paths
from trace_mine.tracer.rounds import all_of, frames_of

SOURCE = """def double(n):
    n = n * 2
    return n
total = 0
for i in range(2):
    total += double(i)
items = [total]
print(items)
items.append(1 / 0)
"""


@pytest.fixture
def told(kit, worker):
    """(native summary, recorded frames, session summary, driven frames)"""
    program = kit.program(SOURCE)
    native = worker.run(kit.recording(program))
    driven = worker.run(kit.driving(program))
    (summary,), (session,) = all_of(native, NativeSummary), all_of(driven, DriveSummary)
    return summary, frames_of(native), session, session.frames


def with_piece(summary, index, **fields):
    """The summary with another piece."""
    pieces = list(summary.pieces)
    pieces[index] = replace(pieces[index], **fields)
    return replace(summary, pieces=tuple(pieces))


def test_faithful_session_passes(told):
    native, frames, driven, wrote = told
    assert check_result(native, driven, single=False) is None
    check_paths(frames, wrote)
    assert len(wrote) == 3 and all(frame.lines for frame in wrote)


@pytest.mark.parametrize(
    "field, value",
    [
        ("stdout", "other\n"),
        ("exception", Error(type_name="ZeroDivisionError", message="other")),
        ("exception", None),
    ],
)
def test_v2_notices_another_piece(told, field, value):
    native, _, driven, _ = told
    assert check_result(native, with_piece(driven, 0, **{field: value}), single=False)


def test_v2_notices_variables(told):
    native, _, driven, _ = told
    for name, value in (("total", "3"), ("total", None), ("extra", "1")):
        variables = {**driven.variables, name: value}
        if value is None:
            del variables[name]
        assert name in check_result(native, replace(driven, variables=variables), single=False)


def test_v2_notices_echoes_pieces_and_syntax(kit, worker):
    program = kit.program(["1 + 1\n", "'a'\n"], single=True)
    (native,) = all_of(worker.run(kit.recording(program)), NativeSummary)
    (driven,) = all_of(worker.run(kit.driving(program)), DriveSummary)
    assert native.pieces[0].echoes == ("2",) and check_result(native, driven, single=True) is None
    echo = with_piece(driven, 1, echoes=("'b'",))
    assert "echoed" in check_result(native, echo, single=True)
    assert check_result(native, echo, single=False) is None  # a script's values are not echoed
    assert "pieces" in check_result(native, replace(driven, pieces=driven.pieces[:1]), single=True)
    broken = PieceResult(is_syntax_error=True, exception=Error(type_name="SyntaxError", message="x"))
    assert check_result(native, replace(driven, pieces=(broken, driven.pieces[1])), single=True)


def with_path(frame, path):
    """The frame with these (line, locals)."""
    return replace(frame, lines=tuple(line for line, _ in path), columns=columns_of([local for _, local in path]))


def wrong_local(frame):
    *path, (line, local) = frame.path
    return with_path(frame, [*path, (line, {**local, "n": "77"})])


def missing_local(frame):
    *path, (line, local) = frame.path
    return with_path(frame, [*path, (line, {name: local[name] for name in local if name != "n"})])


def extra_local(frame):
    *path, (line, local) = frame.path
    return with_path(frame, [*path, (line, {**local, "m": "1"})])


def missing_statement(frame):
    return with_path(frame, [*frame.path][1:])


def extra_statement(frame):
    return with_path(frame, [*frame.path, (2, {"n": "9"})])


def another_line(frame):
    (_, local), *path = frame.path
    return with_path(frame, [(3, local), *path])


def another_function(frame):
    path, line, name = frame.code
    return replace(frame, code=(path, line + 1, name))


@pytest.mark.parametrize(
    "falsify",
    [wrong_local, missing_local, extra_local, missing_statement, extra_statement, another_line, another_function],
)
def test_v3_notices(told, falsify):
    _, frames, _, wrote = told
    index = next(index for index, frame in enumerate(wrote) if frame.code[2] == "double")
    with pytest.raises(PathMismatch):
        check_paths(frames, [*wrote[:index], falsify(wrote[index]), *wrote[index + 1 :]])


def test_v3_notices_a_frame_that_never_ran(told):
    _, frames, _, wrote = told
    with pytest.raises(PathMismatch, match="no frame"):
        check_paths([frame for frame in frames if frame.code[2] != "double"], wrote)


def test_number_at_a_renamed_function_is_no_difference(told):
    native, _, driven, _ = told
    one = replace(native, variables={"f": "<function step>", "c": "Point(x=1)"})
    two = replace(driven, variables={"f": "<function step_2>", "c": "Point_1(x=1)"})
    assert check_result(one, two, single=False) is None
    assert check_result(one, replace(two, variables={**two.variables, "f": "<function stop_2>"}), single=False)


def test_what_differs_between_two_native_runs_proves_nothing(told):
    native, frames, driven, _ = told
    other = replace(native, variables={**native.variables, "total": "5"})
    unstable = unstable_parts(native, other, frames, frames)
    assert unstable.names == {"total"} and not unstable.pieces
    driven = replace(driven, variables={**driven.variables, "total": "6"})
    assert check_result(native, driven, single=False, unstable=unstable) is None
    driven = with_piece(driven, 0, exception=Error(type_name="TypeError", message="x"))
    assert check_result(native, driven, single=False, unstable=unstable)


def test_v3_notices_a_call_that_ran_once_and_is_shown_twice(told):
    _, frames, _, wrote = told
    function = next(frame for frame in wrote if frame.code[2] == "double")
    with pytest.raises(PathMismatch):
        check_paths(frames, [*wrote, function])


@pytest.mark.parametrize(
    ("ran", "wrote", "same"),
    [
        ("W(filename='/home/user/a/s.py', lineno=12, text='x')", "W(filename='<command 3>', lineno=1, text='x')", True),
        ("F(filename='s.py', _lineno=1, end_lineno=None)", "F(filename='<command 3>', _lineno=2, end_lineno=2)", True),
        ("W(filename='/home/a/s.py', lineno=12, text='x')", "W(filename='<command 3>', lineno=1, text='y')", False),
        ("Job(filename='a.csv')", "Job(filename='b.csv')", False),
        ("Job(line=3)", "Job(line=4)", False),
        ("step_2(1)", "step(1)", True),
        ("{140737339500992: W(x=1)}", "{139876543210000: W(x=1)}", True),
        ("{140737339500992: W(x=1)}", "{139876543210000: W(x=2)}", False),
        ("{1700000000000: 1}", "{1700000000001: 1}", False),
    ],
)
def test_places_that_an_object_keeps_are_no_difference(ran, wrote, same):
    assert same_text(ran, wrote) is same
