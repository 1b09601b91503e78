"""The checks on what two runs sent, where little differs: on data made by hand, one difference at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from trace_mine.tracer.checks import PathMismatch, Unstable, check_paths, check_result, compare_frame, unstable_parts
from trace_mine.tracer.formats import repl
from trace_mine.tracer.rounds import Failed, Plan, result_of, with_whole
from trace_mine.tracer.schema import Outcome, Step


def piece(**changes: Any) -> dict[str, Any]:
    return {"stdout": "", "echoes": [], "shown": [], "exception": None, **changes}


def result(*pieces: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {"pieces": list(pieces), "names": names}


def frame(*lines: int, name: str = "f", **state: str) -> dict[str, Any]:
    """A recorded frame that went through these lines."""
    return {"code": ["a.py", 1, name], "path": [[line, dict(state)] for line in lines]}


def driven(*lines: int, name: str = "f", **state: str) -> dict[str, Any]:
    """A frame that the session ran: the same lines, each a statement of its own."""
    return {
        "code": ["a.py", 1, name],
        "log": [["s", line, dict(state)] for line in lines],
        "lines": sorted({(line, line) for line in lines}),
    }


def test_a_session_with_fewer_or_more_pieces_differs() -> None:
    one, two = result(piece()), result(piece(), piece())
    assert check_result(one, one, single=True) is None
    assert check_result(two, one, single=True) == "native ran 2 pieces, the session 1"
    assert check_result(one, two, single=True) == "native ran 1 pieces, the session 2"


def test_a_piece_that_proves_nothing_by_its_text_still_tells_what_it_raised() -> None:
    unstable = Unstable(pieces=frozenset({0}))
    ran = result(piece(exception=["ValueError", "at 12:01"]))
    same = result(piece(exception=["ValueError", "at 12:02"], stdout="x"))
    assert check_result(ran, same, single=True) is not None
    assert check_result(ran, same, single=True, unstable=unstable) is None
    for other in (piece(exception=["TypeError", "at 12:01"]), piece()):
        assert "native raised" in str(check_result(ran, result(other), single=True, unstable=unstable))


def test_echoes_count_at_a_prompt_only() -> None:
    ran, wrote = result(piece(echoes=["1"])), result(piece(echoes=["2"]))
    assert check_result(ran, wrote, single=False) is None and check_result(ran, wrote, single=True) is not None


def test_variables_count_but_for_those_that_differ_by_themselves() -> None:
    ran, wrote = result(piece(), x="1", now="12:01"), result(piece(), x="1", now="12:02")
    assert "variable now" in str(check_result(ran, wrote, single=True))
    assert check_result(ran, wrote, single=True, unstable=Unstable(names=frozenset({"now"}))) is None
    assert check_result(ran, result(piece(), x="1"), single=True) is not None
    assert check_result(result(piece()), {**result(piece(), _="1"), "spare": "_"}, single=True) is None


def test_equal_values_in_other_words_are_an_order_and_a_changed_text_is_not() -> None:
    one = result(piece(shown=[1]), piece(shown=[1], stdout="a"), piece(shown=[1]))
    two = result(piece(shown=[2]), piece(shown=[2], stdout="b"), piece(shown=[1]))
    found = unstable_parts(one, two, [], [])
    assert (found.orders, found.pieces) == (frozenset({0}), frozenset({1}))


def test_a_call_that_ran_once_explains_one_frame_of_the_session() -> None:
    check_paths([frame(2, 3)], [driven(2, 3)])
    check_paths([frame(2, 3), frame(2, 3)], [driven(2, 3)])  # the second call was kept whole
    with pytest.raises(PathMismatch):
        check_paths([frame(2, 3)], [driven(2, 3), driven(2, 3)])
    with pytest.raises(PathMismatch):
        check_paths([frame(2, 3, name="g")], [driven(2, 3)])


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        (frame(2, 3), driven(2)),
        (frame(2), driven(2, 3)),
        (frame(2, 3), driven(3, 2)),
        (frame(2, x="1"), driven(2, x="2")),
        (frame(2, x="1"), driven(2)),
        (frame(2), driven(2, x="1")),
    ],
)
def test_a_statement_or_variable_more_or_less_is_a_difference(
    recorded: Mapping[str, Any], told: Mapping[str, Any]
) -> None:
    # where the session has no line for a statement, settrace's event of it is passed over: both have the same lines
    told = {**told, "lines": [(2, 2), (3, 3)]}
    assert compare_frame(recorded, told) is not None


def test_a_construct_that_stayed_whole_once_is_not_kept_whole_again() -> None:
    plan = with_whole(Plan(follow=1), ["a.py", 3, 0], "yield")
    assert plan.whole == (("a.py", 3, 0),) and plan.reasons == ("yield",)
    with pytest.raises(Failed) as failed:
        with_whole(plan, ["a.py", 3, 0], "yield")
    assert failed.value.drop.reason == "yield" and "did not help" in failed.value.drop.evidence


def test_a_run_that_is_not_clean_gives_no_result() -> None:
    records = ({"command": {}}, {"summary": 1}, {"frame": {}})
    assert result_of(Outcome(status="ok", integrity="clean", records=records), "native") == {"summary": 1}
    for integrity in ("suspect", "truncated", "forged"):
        with pytest.raises(Failed) as failed:
            result_of(Outcome(status="ok", integrity=integrity, records=records, tripped=("sys.settrace",)), "native")
        assert (failed.value.drop.reason, failed.value.drop.evidence) == (f"integrity_{integrity}", "sys.settrace")


@pytest.mark.parametrize("output", ["... x", "...", "x\n... y", "... x\n>>", " ... x"])
def test_output_that_looks_like_a_continuation_follows_other_output(output: str) -> None:
    """What a doctest can't show is never rendered right after its command; further down it is output."""
    steps = [
        Step(source="f()", output=f"told\n{output}", kind="statement"),
        Step(source="x", output="1", kind="reveal"),
    ]
    assert repl.parse(repl.render(steps).text) == [(step.source, step.output) for step in steps]
