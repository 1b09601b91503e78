"""The checks on what two runs sent, where little differs: on data made by hand, one difference at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer import path_check
from trace_mine.tracer.checks import Unstable, check_result, unstable_parts
from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.answers import (
    DrivenFrame,
    DriveSummary,
    Error,
    NativeFrame,
    NativePieceResult,
    NativeSummary,
    PieceResult,
)
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.path_check import PathMismatch, check_paths, compare_frame
from trace_mine.tracer.rounds import Failed, Plan, result_of, with_whole
from trace_mine.tracer.schema import Outcome, Step


def error(type_name: str, message: str = "") -> Error:
    return Error(type_name=type_name, message=message)


def native(*pieces: Mapping[str, Any], **variables: str) -> NativeSummary:
    made = tuple(NativePieceResult(**piece) for piece in pieces)
    return NativeSummary(pieces=made, passed=True, variables=variables, outcomes=())


def session(*pieces: Mapping[str, Any], spare: str = "_", **variables: str) -> DriveSummary:
    made = tuple(PieceResult(**piece) for piece in pieces)
    rest = {"commands": (), "frames": (), "kept": {}, "opened_calls": 0, "outcomes": ()}
    return DriveSummary(pieces=made, variables=variables, spare=spare, **rest)


def frame(*lines: int, **state: str) -> NativeFrame:
    """A recorded frame that went through these lines."""
    return NativeFrame(
        code=("a.py", 1, "f"), lines=lines, columns={name: (value,) * len(lines) for name, value in state.items()}
    )


def driven(*lines: int, **state: str) -> DrivenFrame:
    """A frame that the session ran: the same lines, each a statement of its own."""
    return DrivenFrame(
        code=("a.py", 1, "f"),
        lines=lines,
        columns={name: (value,) * len(lines) for name, value in state.items()},
        gaps=(),
        # where the session has no line for a statement, settrace's event of it is passed over: both have these
        comparable=((2, 2), (3, 3)),
    )


def test_a_session_with_fewer_or_more_pieces_differs() -> None:
    assert check_result(native({}), session({}), single=True) is None
    assert check_result(native({}, {}), session({}), single=True) == "native ran 2 pieces, the session 1"
    assert check_result(native({}), session({}, {}), single=True) == "native ran 1 pieces, the session 2"


def test_a_piece_that_proves_nothing_by_its_text_still_tells_what_it_raised() -> None:
    unstable = Unstable(pieces=frozenset({0}))
    ran = native({"exception": error("ValueError", "at 12:01")})
    same = session({"exception": error("ValueError", "at 12:02"), "stdout": "x"})
    assert check_result(ran, same, single=True) is not None
    assert check_result(ran, same, single=True, unstable=unstable) is None
    for other in ({"exception": error("TypeError", "at 12:01")}, {}):
        assert "native raised" in str(check_result(ran, session(other), single=True, unstable=unstable))


def test_echoes_count_at_a_prompt_only() -> None:
    ran, wrote = native({"echoes": ("1",)}), session({"echoes": ("2",)})
    assert check_result(ran, wrote, single=False) is None and check_result(ran, wrote, single=True) is not None


def test_variables_count_but_for_those_that_differ_by_themselves() -> None:
    ran, wrote = native({}, x="1", now="12:01"), session({}, x="1", now="12:02")
    assert "variable now" in str(check_result(ran, wrote, single=True))
    assert check_result(ran, wrote, single=True, unstable=Unstable(names=frozenset({"now"}))) is None
    assert check_result(ran, session({}, x="1"), single=True) is not None
    assert check_result(native({}), session({}, _="1"), single=True) is None


def test_equal_values_in_other_words_are_an_order_and_a_changed_text_is_not() -> None:
    same = {"repr_checksums": (1,)}
    one = native({"repr_checksums": (1,)}, {"repr_checksums": (1,), "stdout": "a"}, same)
    two = native({"repr_checksums": (2,)}, {"repr_checksums": (2,), "stdout": "b"}, same)
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
def test_a_statement_or_variable_more_or_less_is_a_difference(recorded: NativeFrame, told: DrivenFrame) -> None:
    assert compare_frame(recorded, told) is not None


def test_a_statement_that_is_said_to_have_two_billion_lines_costs_none_of_them() -> None:
    """Such a frame is forged: a table of the lines would take the supervisor's memory."""
    told = DrivenFrame(code=("a.py", 1, "f"), lines=(1,), columns={}, gaps=(), comparable=((1, 1 << 31),))
    assert compare_frame(frame(1, 7, 1 << 20), told) is None


def test_of_statements_that_share_a_line_the_later_one_has_it() -> None:
    comparable = ((1, 3), (3, 3))
    told = DrivenFrame(code=("a.py", 1, "f"), lines=(1, 3), columns={}, gaps=(), comparable=comparable)
    assert compare_frame(frame(1, 2, 3), told) is None
    assert "at line 1, session at line 3" not in str(compare_frame(frame(1, 2, 1, 3), told))


LINES = st.integers(1, 6)
SPANS = st.lists(st.tuples(LINES, LINES), max_size=5).map(tuple)


def slowly(recorded: NativeFrame, told: DrivenFrame) -> bool:
    """The slow twin of ``compare_frame``, line by line through all gaps and statements: are they equal?"""
    kept = {line for line, _ in told.comparable if not any(first <= line <= last for first, last in told.gaps)}
    last_line = dict(told.comparable)
    ran: list[Any] = []
    before = None
    for index, line in enumerate(recorded.lines):
        start = next((first for first, last in reversed(told.comparable) if first <= line <= last), None)
        if start in kept and (start != before or last_line[start] == start):
            ran.append((start, recorded.locals_at(index)))
        before = start
    wrote = [(line, told.locals_at(index)) for index, line in enumerate(told.lines) if line in kept]
    first, other = ([e for n, e in enumerate(path) if not n or e != path[n - 1]] for path in (ran, wrote))
    return first == other


@settings(max_examples=500, deadline=None)
@given(
    st.lists(LINES, max_size=8), st.lists(LINES, max_size=8), SPANS, SPANS, st.lists(st.sampled_from("ab"), min_size=16)
)
def test_frames_are_compared_as_line_by_line(
    ran: list[int], wrote: list[int], gaps: Any, comparable: Any, values: list[str]
) -> None:
    code = ("a.py", 1, "f")
    recorded = NativeFrame(code=code, lines=tuple(ran), columns={"x": tuple(values[: len(ran)])})
    for lines, value in ((wrote, values[8:]), (ran, values)):
        columns = {"x": tuple(value[: len(lines)])}
        told = DrivenFrame(code=code, lines=tuple(lines), columns=columns, gaps=gaps, comparable=comparable)
        assert (compare_frame(recorded, told) is None) == slowly(recorded, told)


class Counted:
    """Counts the calls of one of the check's own functions."""

    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.function(*arguments)


def test_gaps_and_statements_over_all_lines_are_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged frame: 5,000 gaps and 5,000 statements, each over all lines, would be 25 million pairs."""
    counted = Counted(path_check._next_free)
    monkeypatch.setattr(path_check, "_next_free", counted)
    size = 5_000
    for spans in (
        tuple((number, 10**6) for number in range(size)),
        tuple((number, 10**6 + number) for number in range(size)),
        tuple((1, number) for number in range(size)),
    ):
        told = DrivenFrame(
            code=("a.py", 1, "f"), lines=tuple(range(size)), columns={}, gaps=spans, comparable=spans[::-1]
        )
        compare_frame(frame(*range(size)), told)
    assert counted.calls < 3 * 10 * size


def test_frames_that_each_equal_the_last_of_many_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged session: each frame would be compared with all that are left, and differ in its last line."""
    monkeypatch.setattr(path_check, "MORE_VALUES", 5_000)
    counted = Counted(path_check._Budget.take)
    monkeypatch.setattr(path_check._Budget, "take", lambda budget, values: counted(budget, values))
    lines, code = (2, 3) * 10, ("a.py", 1, "f")
    columns = [{"x": ("0",) * 19 + (str(number),)} for number in range(200)]
    ran = [NativeFrame(code=code, lines=lines, columns=each) for each in columns]
    told = [DrivenFrame(code=code, lines=lines, columns=each, gaps=(), comparable=((2, 2), (3, 3))) for each in columns]
    check_paths(ran, told)
    assert counted.calls == 200 * 20, "in their order, each is found at once"
    with pytest.raises(PathMismatch, match="too much to look at in the frames of this function"):
        check_paths(ran, told[::-1])
    assert counted.calls < 200 * 20 + 5_000 + 2 * 2 * 200 * 21 + 2


def test_a_construct_that_stayed_whole_once_is_not_kept_whole_again() -> None:
    place = Place(path="a.py", line=3, column=0)
    plan = with_whole(Plan(follow=1), place, "unbound_local")
    assert plan.whole == (place,) and plan.reasons == ("unbound_local",)
    with pytest.raises(Failed) as failed:
        with_whole(plan, place, "unbound_local")
    assert failed.value.drop.reason == "unbound_local" and "did not help" in failed.value.drop.evidence


def test_a_run_that_is_not_clean_gives_no_result() -> None:
    records = (frame(2), native({}, x="1"))
    assert result_of(Outcome(status="ok", integrity="clean", records=records), "native", NativeSummary) is records[1]
    for integrity in ("suspect", "truncated", "forged"):
        outcome = Outcome(status="ok", integrity=integrity, records=records, tripped=("sys.settrace",))
        with pytest.raises(Failed) as failed:
            result_of(outcome, "native", NativeSummary)
        assert (failed.value.drop.reason, failed.value.drop.evidence) == (f"integrity_{integrity}", "sys.settrace")


@pytest.mark.parametrize("output", ["... x", "...", "x\n... y", "... x\n>>", " ... x"])
def test_output_that_looks_like_a_continuation_follows_other_output(output: str) -> None:
    """What a doctest can't show is never rendered right after its command; further down it is output."""
    steps = [
        Step(source="f()", output=f"told\n{output}", kind="statement"),
        Step(source="x", output="1", kind="reveal"),
    ]
    assert repl.parse(repl.render(steps).text) == [(step.source, step.output) for step in steps]
