"""The checks can fail: each way of falsifying a session, or a program that tells two stories, is noticed."""

from __future__ import annotations

import copy

import pytest

from trace_mine.tracer.checks import PathMismatch, check_paths, check_result, unstable_parts

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
    native = worker.run(kit.recording(program)).records
    driven = worker.run(kit.driving(program)).records
    frames = [record["frame"] for record in native if "frame" in record]
    wrote = [record["frame"] for record in driven if "frame" in record]
    return copy.deepcopy((native[0], frames, driven[-1], wrote))


def statements(frame):
    return [entry for entry in frame["log"] if entry[0] == "s"]


def test_faithful_session_passes(told):
    native, frames, driven, wrote = told
    assert check_result(native, driven, single=False) is None
    check_paths(frames, wrote)
    assert len(wrote) == 3 and all(statements(frame) for frame in wrote)


@pytest.mark.parametrize(
    "field, value", [("stdout", "other\n"), ("exception", ["ZeroDivisionError", "other"]), ("exception", None)]
)
def test_v2_notices_another_piece(told, field, value):
    native, _, driven, _ = told
    driven["pieces"][0][field] = value
    assert check_result(native, driven, single=False)


def test_v2_notices_variables(told):
    native, _, driven, _ = told
    for name, value in (("total", "3"), ("total", None), ("extra", "1")):
        changed = copy.deepcopy(driven)
        if value is None:
            del changed["names"][name]
        else:
            changed["names"][name] = value
        assert name in check_result(native, changed, single=False)


def test_v2_notices_echoes_pieces_and_syntax(kit, worker):
    program = kit.program(["1 + 1\n", "'a'\n"], single=True)
    native = worker.run(kit.recording(program)).records[0]
    driven = worker.run(kit.driving(program)).records[-1]
    assert native["pieces"][0]["echoes"] == ["2"] and check_result(native, driven, single=True) is None
    echo, fewer, broken = copy.deepcopy(driven), copy.deepcopy(driven), copy.deepcopy(driven)
    echo["pieces"][1]["echoes"] = ["'b'"]
    assert "echoed" in check_result(native, echo, single=True)
    assert check_result(native, echo, single=False) is None  # a script's values are not echoed
    fewer["pieces"].pop()
    assert "pieces" in check_result(native, fewer, single=True)
    broken["pieces"][0] = {"syntax": True, "exception": ["SyntaxError", "x"], "stdout": "", "echoes": []}
    assert check_result(native, broken, single=True)


def wrong_local(frame):
    statements(frame)[-1][2]["n"] = "77"


def missing_local(frame):
    statements(frame)[-1][2].pop("n")


def extra_local(frame):
    statements(frame)[-1][2]["m"] = "1"


def missing_statement(frame):
    frame["log"].remove(statements(frame)[0])


def extra_statement(frame):
    frame["log"].append(["s", 2, {"n": "9"}])


def another_line(frame):
    statements(frame)[0][1] = 3


def another_function(frame):
    frame["code"][1] += 1


@pytest.mark.parametrize(
    "falsify",
    [wrong_local, missing_local, extra_local, missing_statement, extra_statement, another_line, another_function],
)
def test_v3_notices(told, falsify):
    _, frames, _, wrote = told
    falsify(next(frame for frame in wrote if frame["code"][2] == "double"))
    with pytest.raises(PathMismatch):
        check_paths(frames, wrote)


def test_v3_notices_a_frame_that_never_ran(told):
    _, frames, _, wrote = told
    with pytest.raises(PathMismatch, match="no frame"):
        check_paths([frame for frame in frames if frame["code"][2] != "double"], wrote)


def test_number_at_a_renamed_function_is_no_difference():
    one = {"pieces": [], "names": {"f": "<function step>", "c": "Point(x=1)"}}
    two = {"pieces": [], "names": {"f": "<function step_2>", "c": "Point_1(x=1)"}}
    assert check_result(one, two, single=False) is None
    two["names"]["f"] = "<function stop_2>"
    assert check_result(one, two, single=False)


def test_what_differs_between_two_native_runs_proves_nothing(told):
    native, frames, driven, _ = told
    other = copy.deepcopy(native)
    other["names"]["total"] = "5"
    unstable = unstable_parts(native, other, frames, frames)
    assert unstable.names == {"total"} and not unstable.pieces
    driven["names"]["total"] = "6"
    assert check_result(native, driven, single=False, unstable=unstable) is None
    driven["pieces"][0]["exception"] = ["TypeError", "x"]
    assert check_result(native, driven, single=False, unstable=unstable)


def test_v3_notices_a_call_that_ran_once_and_is_shown_twice(told):
    _, frames, _, wrote = told
    function = next(frame for frame in wrote if frame["code"][2] == "double")
    with pytest.raises(PathMismatch):
        check_paths(frames, [*wrote, copy.deepcopy(function)])
