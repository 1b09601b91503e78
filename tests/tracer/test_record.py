"""The recorder against a slow, naive reference: ``repr`` of every local at every line event."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.observe.record import EventsFull, Recorder, ValuesFull
from trace_mine.tracer.inside.protocol.answers import NativeFrame

FILE = "<recorded>"


def recorded(
    source: str,
    *,
    depth: int = 50,
    events: int = 100_000,
    cuts: bool = False,
    told: bool = False,
    visits: int = 1_000_000,
):
    """``[(function, [(line, {local: text})])]`` of each frame, by the recorder; ``told``: if it is cut, in place of the
    lines.
    """
    namespace = {"__name__": "recorded"}
    code = compile(source, FILE, "exec")
    recorder = Recorder(
        lambda name: name == FILE,
        max_depth=depth,
        max_events=events,
        module_names=frozenset(),
        cuts=cuts,
        max_visits=visits,
    )
    before = sys.gettrace()
    recorder.start()
    try:
        exec(code, namespace)
        complete = recorder.complete()
    finally:
        recorder.stop()
        sys.settrace(before)
    frames = [frame for frame in recorder.frames if frame.code.co_name != "<module>"]
    return complete, [(frame.code.co_name, frame.is_cut if told else path_of(frame)) for frame in frames]


def path_of(frame):
    """Each line with the locals before it."""
    lines, columns = frame.as_columns(None)
    path = NativeFrame(code=("", 1, ""), lines=tuple(lines), columns={n: tuple(c) for n, c in columns.items()}).path
    return [*path]


def naive(source: str):
    """The same by the plainest tracer: everything is copied as text at every line."""
    namespace = {"__name__": "recorded"}
    code = compile(source, FILE, "exec")
    frames: dict[object, tuple[str, list]] = {}
    kept: list[object] = []

    def trace(frame, event, argument):
        if frame.f_code.co_filename != FILE or frame.f_code.co_name.startswith("<"):
            return None
        if frame not in frames:
            kept.append(frame)  # a frame that is kept is no other frame's equal
            frames[frame] = frame.f_code.co_name, []
        path = frames[frame][1]

        def local(frame, event, argument):
            if event == "line":
                path.append((frame.f_lineno, {name: repr(value) for name, value in frame.f_locals.items()}))
            return local

        return local

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(code, namespace)
    finally:
        sys.settrace(before)
    return [frames[frame] for frame in kept]


PROGRAMS = {
    "mutation": """
def f(xs):
    ys = xs
    for i in range(3):
        xs.append(i)
        ys[0] = xs[-1] * 2
    d = {"xs": xs}
    d["xs"].clear()
    del ys
    xs.extend([1, 2])
    xs.sort(reverse=True)
    s = set(xs)
    s.add(9)
    return s
f([5])
""",
    "recursion": """
def fact(n, seen):
    seen.append(n)
    if n < 2:
        return 1
    rest = fact(n - 1, seen)
    return n * rest
fact(4, [])
""",
    "interleaved generators": """
def count(n, log):
    for i in range(n):
        log += [i]
        yield i
def run():
    log = []
    total = 0
    for a, b in zip(count(3, log), count(2, log)):
        total += a * 10 + b
    return total
run()
""",
    "exceptions": """
def f(n):
    try:
        x = 1 // n
    except ZeroDivisionError:
        x = -1
    else:
        x += 1
    finally:
        y = [x]
    return y
f(0)
f(1)
""",
    "equal but other": """
def f():
    x = [1]
    x = [1]
    y = 1
    y = 1.0
    y = True
    x[0] = 1.0
    x[0] = True
    z = (x, y)
    x.append(z[1])
    return z
f()
""",
    "large tables": """
def f():
    table = {n: n for n in range(20)}
    numbers = set(range(10, 30))
    one = 1
    one = 2
    table[0] = False
    numbers.add(50)
    one = 3
    one = 4
    table[1] = True
    one = 5
    table[1] = 1
    del table[2]
    one = 6
    table[2] = 2
    numbers.discard(50)
    numbers.add(51)
    held = []
    table["held"] = held
    one = 7
    one = 8
    held.append(1)
    numbers.clear()
    table = 5
    return one
f()
""",
    "nested containers": """
def f():
    inner = [1]
    outer = {"a": inner, "b": (inner, [inner])}
    inner.append(2)
    outer["b"][1].append(3)
    grid = [[0] * 2 for _ in range(2)]
    grid[1][0] = 7
    return grid
f()
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_recorder_equals_the_naive_reference(name):
    complete, fast = recorded(PROGRAMS[name])
    slow = naive(PROGRAMS[name])
    assert complete
    if sys.version_info >= (3, 12):  # a comprehension's turns are line events of its function there
        slow = [(function, without_repeats(path)) for function, path in slow]
        fast = [(function, without_repeats(path)) for function, path in fast]
    assert [(function, list(path)) for function, path in slow] == fast


def without_repeats(path):
    return [entry for i, entry in enumerate(path) if i == 0 or entry[0] != path[i - 1][0]]


STATEMENTS = (
    "xs.append({n})", "xs[0] = {n}", "xs[:1] = [{n}, {n}]", "xs.pop() if len(xs) > 1 else None",
    "ys = xs", "ys = xs[:]",
    "xs.reverse()", "xs = ys", "d[{n}] = xs", "d = {{}}", "a = {n}", "a = float(a)", "xs.extend(ys[:2])", "ys += [a]",
    "xs[-1] = float(xs[-1])", "xs.insert(0, a)", "s.add(a)", "s = s | {{a}}", "del d", "d = dict(k=xs)",
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(STATEMENTS), st.integers(0, 3)), min_size=1, max_size=12))
def test_any_mutations_are_recorded(steps):
    body = "\n".join("    " + statement.format(n=n) for statement, n in steps if statement != "del d")
    source = (
        f"def f():\n    a = 1\n    xs = [1]\n    ys = [2]\n    d = {{}}\n    s = set()\n{body}\n    return a\nf()\n"
    )
    complete, fast = recorded(source)
    assert complete and fast == naive(source)


@pytest.mark.parametrize("around", ["", "x = 1\n    "])
def test_a_caught_recursion_error_does_not_end_the_record(around):
    sys.addaudithook(lambda event, arguments: None)  # a run in the jail has the guard's
    source = f"def f(n):\n    {around}return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError:\n    pass\n"
    source += "def g():\n    y = 2\ng()\n"
    for depth in (2, 10_000):
        complete, frames = recorded(source, depth=depth)
        assert complete and [name for name, _ in frames][-1] == "g" and frames[0][0] == "f"


def test_what_ends_the_record_of_a_frame_cuts_it():
    source = (
        "import bdb, sys\ndef inside():\n    x = 1\n    before = sys.gettrace()\n    debugger = bdb.Bdb()\n"
        "    debugger.reset()\n    debugger.set_continue()\n    sys.settrace(before)\n    x = 2\n    x = 3\n"
        "def after():\n    y = 1\ndef generate():\n    yield 1\n    yield 2\ninside()\nafter()\nlist(generate())\n"
    )
    _, frames = recorded(source, told=True)
    assert [(name, is_cut) for name, is_cut in frames] == [("inside", True), ("after", False), ("generate", False)]


def test_tampering_is_told():
    complete, _ = recorded("import sys\nsys.settrace(None)\n")
    assert complete is False


def test_limits():
    with pytest.raises(EventsFull):
        recorded("def f():\n    while True:\n        x = 1\nf()\n", events=100)
    loop = "def f(n):\n    for i in range(n):\n        x = i\ndef g():\n    yield 1\n    yield 2\n"
    loop += "h = g()\nnext(h)\nf(100)\nnext(h)\nf(1)\n"
    _, frames = recorded(loop, events=100, cuts=True, told=True)
    assert frames == [("g", True), ("f", True)]
    grows = "def f(n):\n    held = [object()]\n    for i in range(n):\n        held.append(i)\nf(30)\n"
    with pytest.raises(ValuesFull):
        recorded(grows, visits=300, cuts=True)
    assert recorded(grows, visits=3_000)[0]
    # as many for what is looked at by C code
    plain = "def f(n):\n    held = {}\n    for i in range(n):\n        held[i] = (i, i)\nf(90)\n"
    with pytest.raises(ValuesFull):
        recorded(plain, visits=300)
    _, frames = recorded(PROGRAMS["recursion"], depth=2)
    assert [function for function, _ in frames] == ["fact", "fact"]
