"""Event logs against the plainest settrace there is, and against records that no run would send."""

from __future__ import annotations

import dis
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.event_codec import pack, unpack
from trace_mine.tracer.event_log import EVENT_KINDS, Event, EventLog, EventSource, event_log
from trace_mine.tracer.inside.protocol.answers import CodeText, FrameMark, NativeFrame, NativePieceResult, NativeSummary
from trace_mine.tracer.inside.protocol.jobs import Piece
from trace_mine.tracer.schema import Snippet, Trace

PROGRAMS = {
    "calls, generators, exceptions": """
def count(n):
    for i in range(n):
        yield i * 2

def risky(n):
    try:
        if n > 1:
            raise ValueError("too many", n)
        return n
    finally:
        n = -1

def run(limit):
    total, seen = 0, []
    for value in count(limit):
        seen.append(value)
        total += value
    try:
        total += risky(limit)
    except ValueError as error:
        total -= 1
    return total, seen

run(2)
run(1)
""",
    "state that changes last": """
class Counter:
    def __init__(self, start):
        self.value = start

    def add(self, by):
        self.value += by

def push(items, item):
    items.append(item)

def both():
    items = [1]
    push(items, 2)
    return items
both()
""",
    "generators that are closed, and that something is thrown into": """
def steps():
    try:
        yield 1
        yield
    finally:
        done = True

def plain():
    yield 1
    yield 2

def inner():
    got = yield 5
    return got

def outer():
    result = yield from inner()
    yield result

def run():
    one = steps()
    next(one)
    one.close()
    two = plain()
    next(two)
    try:
        two.throw(KeyError("k"))
    except KeyError:
        pass
    three = outer()
    next(three)
    three.send(7)
    three.close()
    for _ in steps():
        pass
run()
""",
    "recursion and closures": """
def fact(n):
    if n < 2:
        return 1
    return n * fact(n - 1)

def adder(by):
    def add(x):
        return x + by
    return add

fact(4)
adder(2)(3)
""",
    "an exception through three functions": """
def a(n):
    return b(n) + 1

def b(n):
    return c(n)

def c(n):
    return 1 // n

try:
    a(0)
except ZeroDivisionError:
    pass
a(1)
""",
}


def naive(source):
    """(kind, function, line, value, locals) of each event of a function, by the plainest tracer: a copy at each."""
    code = compile(source, "<naive>", "exec")
    events = []

    def trace(frame, event, argument):
        if frame.f_code.co_filename != "<naive>" or frame.f_code.co_name.startswith("<"):
            return None
        own = {*frame.f_code.co_varnames, *frame.f_code.co_cellvars}
        local = {name: repr(value) for name, value in frame.f_locals.items() if name in own}
        value = ""
        instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if event == "exception" and argument[0] is StopIteration and instruction in ("FOR_ITER", "SEND", "END_SEND"):
            return trace  # the end of what a loop or a ``yield from`` goes over, which no handler sees
        if event == "exception":
            value = f"{argument[0].__name__}({', '.join(map(repr, argument[1].args))})"
        elif event == "return":
            value = repr(argument)
        events.append((event, frame.f_code.co_name, frame.f_lineno, value, local))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(code, {"__name__": "naive"})
    finally:
        sys.settrace(before)
    return events


NAMES = {"call": "call", "line": "line", "return": "return", "yield": "return", "raise": "exception", "leave": "return"}


def told(log):
    """The same of a log."""
    known = {}
    events = []
    for event in log.events:
        if event.activation < 0:
            continue
        local = known.setdefault(event.activation, {})
        for name, value in event.changes.items():
            local.pop(name, None)
            if value is not None:
                local[name] = value
        function = log.source_of(event).name.rpartition(".")[2]
        if function != "<module>" and log.source_of(event).name != "Counter":
            value = "None" if event.kind == "leave" else event.value
            events.append((NAMES[event.kind], function, event.line, value, dict(local)))
    return events


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_log_tells_what_settrace_tells(name, kit):
    with kit.PlainTracer(kit.TracerConfig(follow=50)) as tracer:
        trace = tracer.trace(kit.script(PROGRAMS[name]))
    assert isinstance(trace, Trace), trace
    assert trace.events is not None and trace.events.cut == ""
    expected = [event for event in naive(PROGRAMS[name]) if event[1] != "Counter"]
    # the ``repr`` of an instance or a function has its address; what the log has in its place is asked below
    assert [each[:3] for each in told(trace.events)] == [each[:3] for each in expected]
    assert all(
        ours[3] == theirs[3]
        for ours, theirs in zip(told(trace.events), expected, strict=True)
        if " at 0x" not in theirs[3]
    )
    pairs = zip(told(trace.events), expected, strict=True)
    for ours, theirs in pairs:
        plain = {key: value for key, value in theirs[4].items() if " at 0x" not in value}
        # while an exception is handled, CPython's name for it holds it: the log has its arguments as a tuple
        plain.pop("error", None)
        assert {key: ours[4].get(key) for key in plain} == plain
    lines = PROGRAMS[name].split("\n")
    for event in trace.events.events:
        if event.activation >= 0:
            assert trace.events.source_of(event).line_at(event.line) == lines[event.line - 1]
    assert unpack(pack(trace.events)) == trace.events


def test_what_the_last_line_of_a_function_changes_is_told(kit):
    source = "class A:\n    def __init__(self, x):\n        self.x = x\na = A(3)\n"
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        log = tracer.trace(kit.script(source)).events
    (left,) = [event for event in log.events if event.kind == "return" and log.source_of(event).name == "A.__init__"]
    assert dict(left.changes) == {"self": "A(x=3)"}


def test_no_code_of_the_program_runs_for_its_events(kit):
    source = """
class Loud:
    def __repr__(self):
        print("repr")
        return "loud"
    __str__ = __repr__
    def __eq__(self, other):
        print("eq")
        return True
    __hash__ = None
class Wrong(Exception):
    def __repr__(self):
        print("repr")
        return "wrong"
    __str__ = __repr__
def give(x):
    return x
def fail(x):
    raise Wrong(x)
y = give(Loud())
try:
    fail(y)
except Wrong:
    z = 1
"""
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace), trace
    values = [event.value for event in trace.events.events if event.kind in ("return", "raise", "output")]
    assert "<Loud>" in values and "Wrong(<Loud>)" in values and "repr" not in trace.text.split()
    assert not [event for event in trace.events.events if event.kind == "output"]


def test_addresses_are_in_no_event(kit):
    """They hang on all that ran before; two jobs that mined one snippet would write different rows."""
    source = """\
import reprlib, threading
class Node:
    @reprlib.recursive_repr()
    def __repr__(self):
        return "node"
def key(x):
    numbers = (id(x), threading.get_ident(), 20261129120000, 12345678901234567890, 0.14073733948923)
    return numbers
name, kept = repr(Node()), key([1])[2:]
"""
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        log = tracer.trace(kit.script(source)).events
    texts = [text for event in log.events for text in (event.value, *event.changes.values()) if text]
    shown = "(<address>, <address>, 20261129120000, 12345678901234567890, 0.14073733948923)"
    assert shown in texts
    assert not [text for text in texts if re.search(r"\b(93|94|139|140)[0-9]{12}\b", text)]


def test_output_and_echoes_stand_behind_their_piece(kit):
    pieces = (Piece(source="print('a')\n", line=2), Piece(source="1 + 1\n", line=4))
    snippet = Snippet(kind="doctest", name="m.f", path="m.py", line=1, end_line=5, pieces=pieces)
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        log = tracer.trace(snippet).events
    assert [(event.kind, event.value) for event in log.events if event.activation < 0] == [
        ("output", "a\n"),
        ("echo", "2"),
    ]


# records that no run would send

CODES = [("<piece 0>", 1, "<module>"), ("/r/m.py", 3, "f"), ("<piece 7>", 1, "<module>"), ("<piece 0>", 2, "g")]
KINDS = ("call", "return", "yield", "raise", "leave")
texts = st.text(max_size=5)
marks = st.builds(
    FrameMark,
    at=st.integers(0, 20),
    kind=st.sampled_from(KINDS),
    value=st.none() | texts,
    after=st.dictionaries(texts, st.none() | texts, max_size=2),
)


@st.composite
def frames(draw):
    number = draw(st.integers(0, 4))
    names = draw(st.lists(texts, max_size=2, unique=True))
    columns = {name: tuple(draw(st.none() | texts) for _ in range(number)) for name in names}
    return NativeFrame(
        code=draw(st.sampled_from(CODES)),
        lines=tuple(draw(st.integers(0, 9)) for _ in range(number)),
        columns=columns,
        is_cut=draw(st.booleans()),
        marks=tuple(draw(st.lists(marks, max_size=4))),
    )


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(frames(), max_size=5))
def test_any_record_makes_a_log_that_is_well_formed(recorded):
    summary = NativeSummary(
        pieces=(NativePieceResult(stdout="x"),),
        passed=True,
        variables={},
        outcomes=(),
        texts=(CodeText(code=CODES[1], qualname="f", text="def f():\n    pass"),),
    )
    log = event_log(summary, recorded, [Piece(source="x = 1\n", line=5)], "m.py", lambda path: path)
    assert unpack(pack(log)) == log
    running = []
    for event in log.events:
        if event.kind == "call":
            running.append(event.activation)
        elif event.activation >= 0:
            assert event.activation in running
    assert sum(event.kind == "line" for event in log.events) <= sum(len(frame.lines) for frame in recorded)
    assert [event.value for event in log.events if event.kind == "output"] == ["x"]


def test_a_log_ends_at_its_limits(monkeypatch):
    lines = tuple(range(1, 101))
    ends = (
        FrameMark(at=0, kind="call", value=None, after={}),
        FrameMark(at=101, kind="return", value="None", after={}),
    )
    frame = NativeFrame(code=CODES[0], lines=lines, columns={"x": ("v" * 200,) * 50 + ("w" * 200,) * 50}, marks=ends)
    summary = NativeSummary(pieces=(NativePieceResult(),), passed=True, variables={}, outcomes=())

    def made():
        return event_log(summary, [frame], [Piece(source="x\n", line=1)], "m.py", lambda path: path)

    assert made().cut == "" and len(made().events) == 102
    monkeypatch.setattr("trace_mine.tracer.event_log.MAX_EVENTS", 10)
    assert made().cut == "events" and len(made().events) == 10
    monkeypatch.setattr("trace_mine.tracer.event_log.MAX_EVENTS", 1000)
    monkeypatch.setattr("trace_mine.tracer.event_log.MAX_CHARACTERS", 300)
    assert made().cut == "characters" and len(made().events) == 51


def test_a_mark_far_ahead_takes_no_time():
    mark = FrameMark(at=1 << 53, kind="return", value="1", after={})
    begin = FrameMark(at=0, kind="call", value=None, after={})
    frame = NativeFrame(code=CODES[0], lines=(1,), columns={}, marks=(begin, mark))
    summary = NativeSummary(pieces=(NativePieceResult(),), passed=True, variables={}, outcomes=())
    log = event_log(summary, [frame], [Piece(source="x\n", line=1)], "m.py", lambda path: path)
    assert [event.kind for event in log.events] == ["call", "line", "return"]


# packed

sources = st.builds(
    EventSource, path=texts, line=st.integers(0, 9), name=texts, text=texts, piece=st.none() | st.integers(0, 3)
)


@st.composite
def logs(draw):
    known = tuple(draw(st.lists(sources, min_size=1, max_size=3)))
    activations = tuple(draw(st.lists(st.integers(0, len(known) - 1), min_size=1, max_size=4)))
    events = draw(
        st.lists(
            st.builds(
                Event,
                kind=st.sampled_from(EVENT_KINDS),
                activation=st.integers(-1, len(activations) - 1),
                line=st.integers(0, 99),
                changes=st.dictionaries(texts, st.none() | texts, max_size=3),
                value=texts,
            ),
            max_size=8,
        )
    )
    return EventLog(sources=known, activations=activations, events=tuple(events))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(logs())
def test_packing_has_an_inverse(log):
    assert unpack(pack(log)) == log and pack(log).isascii()


@pytest.mark.parametrize("damage", ["", "AAAA", "é", "e30=", "eJyrVspLzE1VsgIADfIDDQ=="])
def test_what_is_no_log_is_refused(damage):
    with pytest.raises(ValueError, match="expected a packed event log"):
        unpack(damage)


@pytest.mark.parametrize("part", ["[],", "{},"])
def test_a_log_of_millions_of_objects_is_refused_before_they_are_made(part, monkeypatch):
    import base64
    import json
    import zlib

    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("expected no JSON to be read"))
    bomb = base64.b64encode(zlib.compress(f"[{part * 2_000_000}0]".encode())).decode("ascii")
    with pytest.raises(ValueError, match="more lists and objects"):
        unpack(bomb)


def test_a_log_that_unpacks_to_gigabytes_is_refused():
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(b" " * (64 << 20), 9)).decode("ascii")
    with pytest.raises(ValueError, match="longer than a log may be"):
        unpack(bomb)
