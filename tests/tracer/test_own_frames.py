"""Every own frame that a program enters is opened or counted under a reason: the sum is what ``sys.settrace`` counts in
another process, to the unit.
"""

from __future__ import annotations

import inspect
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trace_mine
from rich_programs import rich_program
from trace_mine.corpus.mined.options import MineOptions
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.differences import COMPREHENSIONS_ARE_INLINED
from trace_mine.tracer.inside.protocol.answers import DrivenFrame, EnteredFrames, RefusedCalls
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.own_frames import FrameAccount, account_of
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.views import DEFAULT_FOLLOW

ORACLE = """
import collections, io, sys
source = sys.stdin.read()
entered = collections.Counter()
def on_call(frame, event, argument):
    if event == "call" and frame.f_code.co_filename == "<program>" and frame.f_code.co_name != "<module>":
        entered[frame.f_code.co_name] += 1
code, printed = compile(source, "<program>", "exec"), sys.stdout
namespace = {"__name__": "__main__"}  # kept: a generator that dies with it would be entered once more
sys.stdout = io.StringIO()
sys.settrace(on_call)
try:
    exec(code, namespace)
except BaseException:
    pass  # how the program ends is its own affair: its frames are counted
finally:
    sys.settrace(None)
print(entered.total(), file=printed)
"""
"""Counts the frames of a program without a line of the tracer's."""


def frames_entered(source: str) -> int:
    """What the oracle counts, in an interpreter of its own."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", ORACLE], input=source, capture_output=True, text=True, timeout=60, check=True
    )
    return int(ran.stdout)


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace), f"{trace}\n{source}"
    return trace


WAYS: dict[Reason, tuple[str, int]] = {
    Reason.DEEPER: ("def f(n):\n    if n == 0:\n        return 0\n    return f(n - 1)\nf(4)", 2),
    Reason.WITHIN_COMMAND: ("def f(n):\n    return n\ntry:\n    f(1)\n    f(2)\nexcept* KeyError:\n    pass", 2),
    Reason.OPERATOR: (
        "class A:\n    def __len__(self):\n        return 2\n    def __lt__(self, o):\n        return True\n"
        "a = A()\nsorted([a, a])\nmin([a, a, a])",
        3,
    ),
    Reason.PROPERTY: (
        "class A:\n    def area(self):\n        return 2\n    area = property(area)\na = A()\ngetattr(a, 'area')",
        1,
    ),
    Reason.GENERATOR: ("import collections\ndef g():\n    yield 1\n    yield 2\nx = collections.deque(g())", 3),
    Reason.LAMBDA: ("import re\nre.subn('a', lambda m: 'b', 'aaa')", 3),
    Reason.CALLBACK: ("import re\ndef key(m):\n    return 'b'\nre.subn('a', key, 'aaa')", 3),
    Reason.CONTEXT_MANAGER: (
        "import contextlib\nclass A:\n    def __enter__(self):\n        return 1\n    def __exit__(self, *a):\n"
        "        return None\nwith contextlib.ExitStack() as s:\n    s.enter_context(A())",
        2,
    ),
    Reason.CLASS_BODY: ("class A:\n    pass\nclass B(A):\n    x = 1", 2),
    Reason.ASYNC: ("import asyncio\nasync def f():\n    return 1\nasyncio.run(f())", 1),
    Reason.CLOSURE: (
        "def f():\n    n = 0\n    def g():\n        nonlocal n\n        return (n := n + 1)\n    return g\n"
        "g = (lambda: f())()\ng()\ng()",
        2,
    ),
    Reason.BAD_ARGUMENTS: (
        "class A:\n    def __init__(self):\n        pass\ntry:\n    A(1)\nexcept TypeError:\n    pass",
        0,
    ),
}
"""Programs with frames that are entered in one way or stay unopened for one reason, and the number of these."""


@pytest.mark.parametrize("reason", WAYS, ids=lambda reason: reason.name)
def test_a_way_of_entry_is_counted_by_its_word(tracer, kit, reason: Reason) -> None:
    source, number = WAYS[reason]
    trace = traced(tracer, kit, source + "\n")
    assert trace.unopened_frames.get(reason.value, 0) == number, trace.unopened_frames
    assert trace.own_frames == trace.opened_frames + sum(trace.unopened_frames.values()) == frames_entered(source)


@pytest.mark.skipif(COMPREHENSIONS_ARE_INLINED.holds, reason="comprehensions have no frame from 3.12 on")
def test_a_comprehension_is_counted_or_opened(kit) -> None:
    source = "x = [i for i in range(3)]\ny = {i for i in x}\n"  # which call nothing of the program's
    for opens, numbers in ((False, (0, 2)), (True, (2, 0))):
        with kit.PlainTracer(kit.TracerConfig(comprehensions=opens)) as tracer:
            trace = traced(tracer, kit, source)
        assert (trace.opened_frames, trace.unopened_frames.get("comprehension", 0)) == numbers


def test_what_the_budget_closed_is_said(kit) -> None:
    source = "def f(n):\n    a = n\n    b = a\n    return b\nfor k in range(40):\n    f(k)\n"
    with kit.PlainTracer(kit.TracerConfig(limits=kit.Limits(commands=50))) as tracer:
        trace = traced(tracer, kit, source)
    assert trace.own_frames == 40 and trace.opened_frames > 5
    assert trace.unopened_frames == {"budget": 40 - trace.opened_frames}


def test_a_session_that_follows_nothing_says_so(kit) -> None:
    source = "def f(x):\n    return x\ndef g():\n    yield 1\nprint(f(1))\nfor x in g():\n    print(x)\n"
    with kit.PlainTracer(kit.TracerConfig(follow=0)) as tracer:
        trace = traced(tracer, kit, source)
    assert (trace.own_frames, trace.opened_frames, trace.unopened_frames) == (3, 0, {"deeper": 3})


def test_a_session_of_closed_statements_says_so() -> None:
    code = ("f.py", 1, "f")
    entered = [EnteredFrames(code=code, way=way, number=2) for way in ("within_command", "operator")]
    refused = [RefusedCalls(code=code, reason="closure", number=None)]
    account = account_of(entered, [], refused, closed=True, is_full=False)
    assert account.unopened == {"closed": 4}


@pytest.mark.parametrize("source", [
    "def g():\n    yield 1\n    yield 2\n    yield 3\nfor x in g():\n    if x == 2:\n        break\n",
    "def g():\n    yield 1\n    yield 2\nprint(list(g()), sum(g()))\n",
    "def h():\n    yield 1\n    yield 2\ndef g():\n    yield from h()\n    yield 5\nfor x in g():\n    print(x)\n",
    "def g():\n    yield 1\n    raise KeyError(2)\ntry:\n    for x in g():\n        pass\nexcept KeyError:\n    pass\n",
])  # fmt: skip
def test_an_opened_generator_is_opened_at_each_resumption(tracer, kit, source: str) -> None:
    trace = traced(tracer, kit, source)
    # closing one that is left early enters it once more, in the versions that throw into it for that
    assert trace.own_frames == trace.opened_frames == frames_entered(source)


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_frames_of_a_random_program_are_opened_or_counted(tracer, kit, first: int) -> None:
    for number in range(first, first + 10):
        source = rich_program(random.Random(number))
        trace = traced(tracer, kit, source)
        assert trace.own_frames == trace.opened_frames + sum(trace.unopened_frames.values())
        assert trace.own_frames == frames_entered(source), source


# the account alone

WORDS = st.sampled_from([each.value for each in WAYS])
CODES = st.tuples(st.just("f.py"), st.integers(1, 2), st.sampled_from(["f", "f_1", "<lambda>"]))
COUNTS = st.integers(0, 5)


@given(
    st.lists(st.builds(EnteredFrames, code=CODES, way=WORDS, number=COUNTS), max_size=6),
    st.lists(CODES.flatmap(lambda code: COUNTS.map(lambda number: (code, number))), max_size=4),
    st.lists(st.builds(RefusedCalls, code=CODES, reason=WORDS, number=st.none() | COUNTS), max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_the_account_adds_up_whatever_is_sent(entered, opened, refused, closed: bool, is_full: bool) -> None:
    driven = [
        DrivenFrame(code=code, lines=(), columns={}, gaps=(), comparable=(), entries=number) for code, number in opened
    ]
    account = account_of(entered, driven, refused, closed=closed, is_full=is_full)
    assert account.entered == sum(each.number for each in entered)
    assert 0 <= account.opened <= min(account.entered, sum(number for _, number in opened))
    assert all(number > 0 for number in account.unopened.values())


def test_an_account_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="count each frame once"):
        FrameAccount(entered=3, opened=1, unopened={"operator": 1})


# how deep calls are followed

LONG = """\
def leaf(k):
    total = 0
    for i in range(k):
        total += i
    return total
def middle(k):
    return leaf(k)
def top(k):
    a = k
    return middle(a)
x = top({turns})
"""


def test_a_record_that_is_too_long_is_made_less_deep(kit) -> None:
    with kit.PlainTracer(kit.TracerConfig(limits=kit.Limits(events=500))) as tracer:
        whole, shorter = (traced(tracer, kit, LONG.format(turns=turns)) for turns in (3, 1_000))
    assert (whole.opened_frames, shorter.opened_frames, shorter.unopened_frames) == (3, 1, {"deeper": 2})
    assert not shorter.kept_whole and ">>> a = k" in shorter.text


def test_every_default_follows_calls_as_deep() -> None:
    defaults = {
        inspect.signature(each).parameters["follow"].default
        for each in (trace_mine.run, trace_mine.trace, trace_mine.mine, TracerConfig, MineOptions)
    }
    assert defaults == {DEFAULT_FOLLOW} == {3}


def test_the_account_of_forged_records_takes_linear_time() -> None:
    """50,000 codes and as many refusals; each with each would take an hour."""
    codes = [("<program>", 1, f"f{number}x") for number in range(50_000)]
    entered = [EnteredFrames(code=code, way="within_command", number=1) for code in codes]
    refused = [RefusedCalls(code=code, reason="no_source", number=1) for code in codes]
    account = account_of(entered, [], refused, closed=False, is_full=False)
    assert account.entered == sum(account.unopened.values()) == 50_000
