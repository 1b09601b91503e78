"""A check that fails costs a session the construct that differs, and no more."""

from __future__ import annotations

import pytest

from trace_mine.tracer.blame import blame, command_of
from trace_mine.tracer.checks import ResultDifference
from trace_mine.tracer.inside.protocol.answers import (
    DriveSummary,
    NativePieceResult,
    NativeSummary,
    PieceResult,
    RunningPlace,
    SessionCommand,
)
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.path_check import PathMismatch
from trace_mine.tracer.schema import Drop, Trace

LONG = """\
def grade(n):
    if n > 1:
        return n * 2
    return n
class Account:
    def __init__(self, owner):
        self.owner = owner
        self.rows = []
    def put(self, n):
        self.rows.append(n)
        return sum(self.rows)
total = 0
for i in range(5):
    total += grade(i)
account = Account("x")
for k in (3, 4):
    print(account.put(k))
print(total)
"""

UNSTABLE = (
    "import time\nprint(time.time())",
    "print(object())",
    "print(id(account))",
    "print({'a', 'b', 'c'})",
    "import os\nprint(os.getpid())",
    "def line():\n    import sys\n    return sys._getframe().f_lineno\nprint(line())",
)
"""Ends of a program that no session can be true to."""

EXOTIC = (
    "def local():\n    def inner():\n        pass\n    return inner\nprint(local().__qualname__)",
    "import sys\ndef handled():\n    return sys.exc_info()[0]\n"
    "try:\n    1 / 0\nexcept ZeroDivisionError:\n    print(handled())",
    "def rethrow():\n    raise\n"
    "def caught():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        rethrow()\n"
    "try:\n    caught()\nexcept Exception as error:\n    print(repr(error), repr(error.__context__))",
    "class Told:\n    def told(self):\n        class Inner:\n            pass\n        return Inner\n"
    "print(Told().told())",
)
"""Ends of which one construct has no faithful open form that the driver knows of."""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig()) as made:
        yield made


@pytest.fixture(scope="module")
def whole(tracer, kit):
    """The number of commands of the program without an end."""
    trace = tracer.trace(kit.script(LONG))
    assert isinstance(trace, Trace) and len(trace.steps) > 55
    return len(trace.steps)


@pytest.mark.parametrize("end", EXOTIC)
def test_one_construct_is_kept_for_one_failed_check(tracer, kit, whole, end):
    trace = tracer.trace(kit.script(f"{LONG}{end}\n"))
    assert not isinstance(trace, Drop), trace
    assert trace.failed_checks == {} and "closed" not in trace.kept_whole
    assert len(trace.steps) > whole, trace.text


@pytest.mark.parametrize("end", UNSTABLE)
def test_what_cannot_be_true_is_shown_and_marked(tracer, kit, whole, end):
    source = f"{LONG}{end}\n"
    assert isinstance(tracer.trace(kit.script(source)), Drop)
    shown = tracer.trace(kit.script(source), lenient=True)
    assert isinstance(shown, Trace) and shown.failed_checks
    assert len(shown.steps) > whole
    assert shown.steps[shown.differs_at].source == end.splitlines()[-1]


def test_a_true_session_is_the_same_when_lenient(tracer, kit):
    strict, lenient = tracer.trace(kit.script(LONG)), tracer.trace(kit.script(LONG), lenient=True)
    assert strict == lenient and strict.differs_at is None


def test_one_statement_is_found_where_only_all_together_were_known_to_hold(tracer, kit):
    # a name that a closure still needs is left behind: no construct around ``dir`` is to blame
    source = "x = 1\nif x:\n    y = 2\nfor i in range(3):\n    y += i\ndef f(n):\n    return lambda: n\n"
    trace = tracer.trace(kit.script(f"{source}if y:\n    z = f(y)()\nprint(dir())\n"))
    assert isinstance(trace, Trace) and "closed" not in trace.kept_whole, trace
    assert ">>> y += i" in trace.text and ">>> if y:" in trace.text


# on data made by hand


def place(line: int, column: int | None = 0) -> Place:
    return Place(path="<piece 0>", line=line, column=column)


def session(
    *commands: tuple[str, int, int], stdout: str = "", changes: dict[int, dict[str, str]] | None = None
) -> DriveSummary:
    """Commands of (source, place, characters printed so far) in the places of a call in a loop: statement 1 runs
    function 2, of which 3 is a statement; 4 is a statement that is one command.
    """
    places = ((0, place(5)), (1, place(1, None)), (2, place(2, 4)), (0, place(9)))
    return DriveSummary(
        commands=tuple(
            SessionCommand(
                source=source,
                output="",
                error=None,
                kind="statement",
                raised=False,
                wrote=tuple((changes or {}).get(index, ())),
                changes=(changes or {}).get(index, {}),
                depth=0,
                path="<piece 0>",
                line=1,
                piece=0,
            )
            for index, (source, _, _) in enumerate(commands)
        ),
        stands_in=tuple(number for _, number, _ in commands),
        printed=tuple(printed for _, _, printed in commands),
        frames=(),
        pieces=(PieceResult(stdout=stdout),),
        kept={},
        opened_calls=0,
        outcomes=(),
        variables={},
        spare="_",
        places=tuple(RunningPlace(outer=outer, place=each) for outer, each in places),
    )


def natively(stdout: str) -> NativeSummary:
    return NativeSummary(pieces=(NativePieceResult(stdout=stdout),), passed=True, variables={}, outcomes=())


def test_the_constructs_around_a_command_come_from_the_inside_out():
    driven = session(("n = 1", 2, 0), ("x = n", 3, 0), ("y = 2", 4, 0))
    # the statement in the function is one command: to keep it whole would change nothing
    assert blame(driven, 1).places == (place(1, None), place(5))
    assert blame(driven, 2).places == ()
    assert blame(driven, 2).outermost == (place(5),)


def test_what_a_command_reads_is_asked_next():
    driven = session(("x = 1", 3, 0), ("y = 2", 4, 0), ("print(x)", 4, 0), changes={0: {"x": "1"}, 1: {"y": "2"}})
    assert blame(driven, 2).places == (place(1, None), place(5))


def test_the_lines_of_a_failed_path_check_come_first():
    driven = session(("n = 1", 2, 0), ("x = n", 3, 0), ("y = 2", 4, 0))
    mismatch = PathMismatch(("<piece 0>", 1, "<module>"), "", [5, 9])
    assert blame(driven, 2, mismatch).places == (place(5),)
    in_function = PathMismatch(("<piece 0>", 1, "f"), "", [2])
    assert blame(driven, None, in_function).places == (place(1, None), place(5))


@pytest.mark.parametrize(
    ("ran", "wrote", "command"),
    [
        ("a\nb\nc\n", "a\nx\nc\n", 1),
        ("a\nb\nc\n", "a\nb\nd\n", 2),
        ("<A object at 0x1f2e>\nb\n", "<A object at 0x2e1f>\nx\n", 1),
        # too little: all that is known is that nothing up to the end printed it
        ("a\nb\nc\n", "a\nb\n", 2),
        ("a\nb\n", "a\nb\nc\n", 2),
    ],
)
def test_the_first_command_whose_output_differs(ran, wrote, command):
    ends = [sum(map(len, wrote.splitlines(keepends=True)[: index + 1])) for index in range(3)]
    driven = session(*((f"print({index})", 4, end) for index, end in enumerate(ends)), stdout=wrote)
    difference = ResultDifference(evidence="", piece=0)
    assert command_of(natively(ran), driven, difference) == command


def test_the_last_command_that_wrote_a_variable():
    driven = session(("x = 1", 4, 0), ("x = 2", 4, 0), ("y = 1", 4, 0), changes={0: {"x": "1"}, 1: {"x": "2"}})
    assert command_of(natively(""), driven, ResultDifference(evidence="", variable="x")) == 1
    assert command_of(natively(""), driven, ResultDifference(evidence="", variable="z")) is None


def test_forged_places_are_refused():
    driven = session(("x = 1", 4, 0))
    inner = RunningPlace(outer=7, place=place(1))
    with pytest.raises(ProtocolError):
        DriveSummary(**{**{name: getattr(driven, name) for name in driven.__slots__}, "places": (inner,)})
    with pytest.raises(ProtocolError):
        DriveSummary(**{**{name: getattr(driven, name) for name in driven.__slots__}, "places": ()})
