"""The contents of caches, in states: against functions that go through the same calls alone."""

from __future__ import annotations

import functools
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.states import call_caches
from trace_mine.tracer.inside.states.world import World


def kept(wrapper: object) -> tuple[list[object], list[object], int, int]:
    entries = call_caches.contents_of(wrapper)[0]
    assert isinstance(entries, tuple)
    return entries


def test_caches_can_be_read_in_each_interpreter() -> None:
    assert call_caches.can_be_read


CALLS = st.tuples(
    st.lists(st.sampled_from([1, 1.0, True, "a", None, (1, 2), (), 2**70, b"a", int]), max_size=3),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from([1, 1.0, "a", (1,), str]), max_size=2),
)


@given(
    limit=st.sampled_from([None, 0, 1, 2, 3, 128]),
    is_typed=st.booleans(),
    before=st.lists(CALLS, max_size=12),
    between=st.lists(CALLS, max_size=6),
    clears=st.booleans(),
    after=st.lists(CALLS, max_size=12),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_cache_that_is_set_again_goes_on_as_it_would_have(
    limit: int | None,
    is_typed: bool,
    before: list[tuple[list[object], dict[str, object]]],
    between: list[tuple[list[object], dict[str, object]]],
    clears: bool,
    after: list[tuple[list[object], dict[str, object]]],
) -> None:
    """One cache goes through all calls; the other one meets further calls in the middle, which are undone."""

    def answering(calls: list[object]) -> object:
        def answer(*arguments: object, **named: object) -> object:
            calls.append((arguments, named))
            return [len(calls)]

        return answer

    ours: list[object] = []
    expected: list[object] = []
    one = functools.lru_cache(limit, is_typed)(answering(ours))  # type: ignore[arg-type]
    other = functools.lru_cache(limit, is_typed)(answering(expected))  # type: ignore[arg-type]
    for arguments, named in before:
        assert one(*arguments, **named) == other(*arguments, **named)
    contents, num_calls = call_caches.contents_of(one), len(ours)
    for arguments, named in between:
        one(*arguments, **named)
    if clears:
        one.cache_clear()
    del ours[num_calls:]
    call_caches.set_contents(one, contents)
    for arguments, named in after:
        assert one.cache_info() == other.cache_info()
        assert one(*arguments, **named) == other(*arguments, **named)
    assert ours == expected


CACHED = """
import functools
CALLED = []
def noted(x):
    CALLED.append(x)
    return [x, len(CALLED)]
two = functools.lru_cache(maxsize=2)(noted)
@functools.cache
def every(x, *, k=1):
    return noted(x) + [k]
@functools.lru_cache(maxsize=2, typed=True)
def typed(x):
    return noted(x)
class Box:
    def __init__(self, n):
        self.n = n
        self.bound = functools.lru_cache(maxsize=2)(self.plain)
    def plain(self, x):
        return noted(x + self.n)
    @functools.lru_cache(maxsize=3)
    def method(self, x):
        return noted(x + self.n)
    @staticmethod
    @functools.cache
    def static(x):
        return noted(x)
    @classmethod
    @functools.cache
    def of(cls, x):
        return cls(x)
    @functools.cached_property
    def once(self):
        return noted(self.n)
def memoised(function):
    known = functools.lru_cache(maxsize=2)(function)
    @functools.wraps(function)
    def wrapper(*arguments):
        return known(*arguments)
    wrapper.info, wrapper.clear = known.cache_info, known.cache_clear
    return wrapper
@memoised
def hidden(x):
    return noted(x)
@functools.cache
def fib(n, seen=[]):
    seen.append(n)
    return n if n < 2 else fib(n - 1) + fib(n - 2) + len(seen)
@functools.singledispatch
def shown(x):
    return noted(str(x))
@shown.register
def _(x: int):
    return noted(x)
TABLE = {"largest": functools.lru_cache(maxsize=1)(max), "text": functools.cache(str)}
MEMO = {}
def memo(x):
    if x not in MEMO:
        MEMO[x] = noted(x)
    return MEMO[x]
def counts():
    caches = [two, every, typed, Box.method, Box.static, box.bound, fib, *TABLE.values()]
    return [*map(lambda cache: tuple(cache.cache_info()), caches), tuple(hidden.info())]
"""
USED = (
    *("two({})", "every({})", "every({}, k=2)", "typed({})", "typed({}.0)", "box.method({})", "Box.static({})"),
    *("box.bound({})", "Box.of({}).n", "box.once", "hidden({})", "fib({} + 3)", "shown({})", "shown('{}')"),
    *("TABLE['largest']({}, 2)", "TABLE['text']({})", "memo({})", "two({}).append(0)", "every({}).append(1)"),
    *("two.cache_clear()", "hidden.clear()", "Box.method.cache_clear()", "setattr(two, 'tag', {})"),
    *("Box.of({}).method(1)", "vars(box).pop('once', {})", "MEMO.clear()", "[two(x) for x in range({})]"),
)


@pytest.mark.parametrize("home", ["module", "session"])
@given(ways=st.lists(st.lists(st.sampled_from(USED), max_size=7), min_size=2, max_size=4))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_what_cached_functions_keep_is_part_of_a_state(home: str, ways: list[list[str]]) -> None:
    """Each way from the start finds them as they were; a module's are put back, too."""
    source = CACHED + "box = Box(1)\n"
    namespace: dict[str, object] = {"__name__": "__main__"}
    module = types.ModuleType("cached_of_snapshots")
    module.__file__ = "/own/cached_of_snapshots.py"
    sys.modules[module.__name__] = module
    try:
        if home == "module":
            exec(compile(source, module.__file__, "exec"), vars(module))
            namespace |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
        else:
            exec(source, namespace)
        world = World(namespace, 0, lambda path: path.startswith("/own"), output_limit=100_000, max_seconds=600)
        for way in [*ways, *ways]:
            plain: dict[str, object] = {"__name__": "plain"}
            exec(source, plain)
            state = world.start
            for number, command in enumerate(way):
                text = command.replace("{}", str(number % 3))
                expected = eval(text, plain)
                (result,) = world.run(f"print({text})", "single", state).results
                assert result.text == str(expected), (way, command)
                state = result.state
                assert isinstance(state, bytes)
            end = "(counts(), CALLED, box.once, MEMO)"
            (result,) = world.run(f"print({end})", "single", state).results
            assert result.text == str(eval(end, plain)), way
            assert home == "session" or (vars(module)["CALLED"] == [] and vars(module)["two"].cache_info().misses == 0)
    finally:
        del sys.modules[module.__name__]


PURE = """
import functools, random
@functools.lru_cache(maxsize=4)
def weight(k, by="two"):
    return k % 2 if by == "two" else str(k)
@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.cache
def joined(*parts):
    return "".join(map(str, parts))
total = 0
"""
PURE_USED = (
    *("weight({})", "weight(k={})", "weight({}, 'text')", "fib({})", "joined({}, 1)"),
    *("joined({}.0, 1)", "joined(True, {})", "joined('a', 'b', {})", "joined({})", "joined({}.0)", "fib({}.0)"),
)


@given(ways=st.lists(st.lists(st.sampled_from(PURE_USED), max_size=8), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_a_plain_functions_cache_has_for_plain_arguments_is_no_state(ways: list[list[str]]) -> None:
    """Equal arguments of other types meet the result that is kept, in each state: those are part of it."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(PURE, namespace)
    world = World(namespace, 0, lambda path: False, output_limit=100_000, max_seconds=600, texts=[PURE])
    for way in [*ways, *ways]:
        plain: dict[str, object] = {"__name__": "plain"}
        exec(PURE, plain)
        state = world.start
        for number, command in enumerate(way):
            text = command.replace("{}", str(number % 3))
            (result,) = world.run(f"print({text})", "single", state).results
            assert result.text == str(eval(text, plain)), (way, command)
            state = result.state
        if all(command in ("weight({})", "fib({})") for command in way):
            assert state == world.start


def test_calls_by_chance_of_a_plain_function_merge() -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(PURE, namespace)
    world = World(namespace, 0, lambda path: False, output_limit=100_000, max_seconds=60, texts=[PURE])
    states = {world.start}
    for k in range(12):
        command = f"if random.random() < 0.5: total += weight({k}) + len(joined({k}))"
        states = {result.state for state in states for result in world.run(command, "single", state).results}
    assert len(states) < 60  # and 4,096 where it is one what is kept
