"""Snapshots against copies: a namespace that is brought back is what it was, whatever happened to it meanwhile."""

from __future__ import annotations

import contextvars
import functools
import inspect
import random
import sys
import types
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.draws.ambient import SEEDED
from trace_mine.tracer.inside.states.snapshots import Snapshots
from trace_mine.tracer.inside.states.world import World

MODULE = """
LIMIT, NAME, WORDS, TABLE, NOTHING = 3, "shop", ["a"], {"k": [1]}, None
def own(x, y=[]): return x
class Box:
    size = 1
class Missing:
    pass
MISSING = Missing()
"""


@pytest.fixture
def shop() -> Iterator[types.ModuleType]:
    module = types.ModuleType("shop_of_snapshots")
    module.__file__ = "/own/shop_of_snapshots.py"
    sys.modules[module.__name__] = module
    exec(compile(MODULE, module.__file__, "exec"), vars(module))
    yield module
    del sys.modules[module.__name__]


def namespace_of(module: types.ModuleType) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "__main__", **{k: v for k, v in vars(module).items() if k[0] != "_"}}
    namespace.update(shop=module, random=random, print=print, n=1000, text="a text", items=[1, [2]], nothing=None)
    exec("def session(x=[1]): return x", namespace)
    return namespace


def shown(namespace: dict[str, object], module: types.ModuleType) -> object:
    """All that can be told of a namespace, by value."""
    session, box = namespace.get("session"), vars(module)["Box"]
    return (
        [(name, repr(value)) for name, value in sorted(namespace.items()) if name != "__builtins__"],
        [(name, repr(value)) for name, value in sorted(vars(module).items()) if not name.startswith("__")],
        repr(getattr(session, "__defaults__", None)),
        [(k, v) for k, v in vars(box).items() if not k.startswith("__")],
    )


CHANGES = (
    "n += 1",
    "n = 500 + 500",
    "text = 'a ' + 'text'",
    "text = text.upper()",
    "del n",
    "del text",
    "n = None",
    "nothing = 0",
    "items.append(items[1])",
    "items[1].append(3)",
    "items = [1, [2]]",
    "own = session",
    "own = print",
    "del own",
    "new = LIMIT",
    "new = [LIMIT, NAME]",
    "del new",
    "session.__defaults__[0].append(2)",
    "session.n = 1",
    "shop.LIMIT += 1",
    "shop.LIMIT = 3",
    "shop.NAME = 'shop'.lower()",
    "del shop.NOTHING",
    "shop.NOTHING = None",
    "shop.WORDS.append('b')",
    "shop.TABLE['k'].append(2)",
    "shop.ADDED = 1",
    "del shop.ADDED",
    "Box.size += 1",
    "MISSING.tag = 1",
    "random = 0",
)


@given(st.lists(st.lists(st.sampled_from(CHANGES), max_size=6), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_namespace_is_brought_back(shop: types.ModuleType, runs: list[list[str]]) -> None:
    table = dict(vars(shop))
    for key in [key for key in vars(shop) if key not in table]:
        del vars(shop)[key]
    exec(compile(MODULE, "/own/shop_of_snapshots.py", "exec"), vars(shop))
    vars(shop).pop("ADDED", None)
    namespace = namespace_of(shop)
    snapshots = Snapshots(namespace, lambda path: path.startswith("/own/"))
    known: list[tuple[bytes, object]] = []
    saved = snapshots.save()
    known.append((saved, shown(namespace, shop)))
    for run in runs:
        snapshots.restore(known[len(run) % len(known)][0])
        for change in run:
            try:
                exec(change, namespace)
            except (NameError, AttributeError, TypeError, KeyError, IndexError):
                continue
        what = shown(namespace, shop)
        saved = snapshots.save()
        assert snapshots.save() == saved, "a state has one form"
        known.append((saved, what))
    for saved, what in [*reversed(known), *known]:
        snapshots.restore(saved)
        assert shown(namespace, shop) == what
        assert snapshots.save() == saved
    for one, what in known:
        for other, as_well in known:
            if one == other:
                assert what == as_well


def test_a_name_that_is_bound_to_an_equal_value_is_no_other_state(shop: types.ModuleType) -> None:
    namespace = namespace_of(shop)
    snapshots = Snapshots(namespace, lambda path: path.startswith("/own/"))
    first = snapshots.save()
    exec("n = 500 + 500\ntext = 'a ' + 'text'", namespace)
    assert snapshots.save() == first
    exec("n = 1000.0", namespace)
    assert snapshots.save() != first, "it equals the number, and is none"
    snapshots.restore(first)
    exec("n = True + 999", namespace)
    assert snapshots.save() == first


def test_a_text_that_a_module_may_tell_by_identity_stays_itself(shop: types.ModuleType) -> None:
    namespace = namespace_of(shop)
    snapshots = Snapshots(namespace, lambda path: path.startswith("/own/"))
    first = snapshots.save()
    assert namespace["NAME"] is vars(shop)["NAME"] and namespace["MISSING"] is vars(shop)["MISSING"]
    exec("NAME = 'sho' + str('p')", namespace)
    other = snapshots.save()
    assert other != first
    snapshots.restore(other)
    assert namespace["NAME"] == "shop" and namespace["NAME"] is not vars(shop)["NAME"]
    snapshots.restore(first)
    assert namespace["NAME"] is vars(shop)["NAME"] and namespace["MISSING"] is vars(shop)["MISSING"]


def test_what_does_not_change_takes_no_bytes(shop: types.ModuleType) -> None:
    namespace = namespace_of(shop)
    most = 500 + len(Snapshots(dict(namespace), lambda path: path.startswith("/own/")).save())
    namespace.update({f"f_{n}": functools.partial for n in range(500)}, **{f"t_{n}": f"text {n}" for n in range(500)})
    snapshots = Snapshots(namespace, lambda path: path.startswith("/own/"))
    assert len(snapshots.save()) < most
    exec("t_3 = t_4", namespace)
    assert len(snapshots.save()) < most


def test_a_signature_that_a_module_holds_is_one_object(shop: types.ModuleType) -> None:
    exec("class Curried:\n    def __reduce__(self): return str, ()\n", vars(shop))
    kind = vars(shop)["Curried"]
    curried = kind()
    curried.signature = inspect.signature(lambda a, b=1: a)
    vars(shop)["curried"] = curried
    namespace = namespace_of(shop)
    snapshots = Snapshots(namespace, lambda path: path.startswith("/own/"))
    saved = snapshots.save()
    snapshots.restore(saved)
    assert vars(namespace["curried"])["signature"] is curried.signature


def test_context_variables_are_part_of_a_state(shop: types.ModuleType) -> None:
    """Also those of a module that the namespace does not name; the session's own context keeps its values."""
    exec("import contextvars\nLEVEL = contextvars.ContextVar('LEVEL')\ndef level(): return LEVEL.get(0)\n", vars(shop))
    named = contextvars.ContextVar("named", default=5)
    namespace = {"__name__": "__main__", "shop": shop, "level": vars(shop)["level"], "named": named}
    world = World(namespace, 0, lambda path: path.startswith("/own"), output_limit=1_000, max_seconds=20)
    state, states = world.start, {world.start}
    for command, shown in (
        ("print(level(), named.get())", "0 5"),
        ("shop.LEVEL.set(3) and None", ""),
        ("token = named.set(7)", ""),  # a token has no snapshot: the way is run again
        ("print(level(), named.get())", "3 7"),
        ("named.reset(token)", ""),
        ("del token", ""),
        ("print(level(), named.get())", "3 5"),
    ):
        (result,) = world.run(command, "single", state).results
        assert result.text == shown
        state = result.state
        states.add(state)
    assert len(states) == 5
    (result,) = world.run("print(level(), named.get())", "single", world.start).results
    assert result.text == "0 5"
    assert (vars(shop)["LEVEL"].get(None), named.get()) == (None, 5)


def test_what_a_decorator_of_the_repository_made_for_the_session_is_part_of_a_state(shop: types.ModuleType) -> None:
    text = "def counted(function):\n    n = 0\n    def wrapper():\n        nonlocal n\n        n += 1\n"
    text += "        wrapper.calls += 1\n        return function(n)\n    wrapper.calls = 0\n    return wrapper\n"
    exec(text + "old = counted(print)\n", vars(shop))
    namespace = {"__name__": "__main__", "counted": vars(shop)["counted"], "old": vars(shop)["old"]}
    world = World(namespace, 0, lambda path: path.startswith("/own"), output_limit=1_000, max_seconds=20)
    (made,) = world.run("@counted\ndef f(n): return n", "single", world.start).results
    for _ in range(2):  # the second time from the same state
        (once,) = world.run("print(f(), f.calls)", "single", made.state).results
        (twice,) = world.run("print(f(), f.calls, 2)", "single", once.state).results
        assert (once.text, twice.text) == ("1 1", "2 2 2")
        world = World(namespace, 0, lambda path: path.startswith("/own"), output_limit=1_000, max_seconds=20)
        (made,) = world.run("@counted\ndef f(n): return n", "single", world.start).results
        (other,) = world.run("print(f(), f.calls, 1)", "single", made.state).results
        assert other.text == "1 1 1"


EXCEPTIONS = """
import json, traceback
class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first, self.itself = first, self
class Slotted(ValueError):
    __slots__ = ("more",)
def caught(raising):
    try:
        raising()
    except Exception as error:
        return error
def of_another():
    try:
        [][1]
    except IndexError as error:
        raise Odd(1, "two") from error
def beside_another():
    try:
        {}["k"]
    except KeyError:
        int("x")
def without_one():
    try:
        {}["k"]
    except KeyError:
        raise OSError(2, "gone", "f.txt") from None
def with_a_slot():
    error = Slotted("s")
    error.more = ["m"]
    error.add_note("a note")
    raise error
def together():
    raise ExceptionGroup("both", [caught(beside_another), Odd(3, 4)])
made = [caught(each) for each in (of_another, beside_another, without_one, with_a_slot, together)]
made += [caught(lambda: json.loads("{")), Odd(5, 6), KeyError("never raised")]
"""


def told_of(error: BaseException | None) -> object:
    """All that a program can ask of an exception, with those that it names, but of its traceback only if it has one."""
    if error is None:
        return None
    attributes = {name: error is value or repr(value) for name, value in sorted(vars(error).items())}
    inside = [told_of(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    outside = told_of(error.__cause__), told_of(error.__context__), error.__suppress_context__
    slot, traceback = getattr(error, "more", None), error.__traceback__ is not None
    return type(error), repr(error.args), str(error), attributes, slot, traceback, outside, inside


def test_an_exception_keeps_what_raising_made_of_it() -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(EXCEPTIONS, namespace)
    made = namespace["made"]
    assert isinstance(made, list)
    whole = [told_of(each) for each in made]
    snapshots = Snapshots(namespace, lambda path: path.startswith("/own/"))
    saved = snapshots.save()
    exec("made[0].__cause__ = None; made[1].__context__ = None; made[3].more = []; made.pop()", namespace)
    other = snapshots.save()
    snapshots.restore(saved)
    again = namespace["made"]
    assert isinstance(again, list) and again[0] is not made[0]
    assert [told_of(each) for each in again] == whole
    assert snapshots.save() == saved != other
    snapshots.restore(other)
    changed = namespace["made"]
    assert isinstance(changed, list) and changed[0].__cause__ is None and changed[0].__context__ is not None


HOLDING = """
import functools
def push(x, seen=[], *, table={}):
    seen.append(x)
    table[x] = 1
    return len(seen) + len(table)
def counted(f):
    @functools.wraps(f)
    def wrapper(*args):
        wrapper.calls += 1
        return f(*args)
    wrapper.calls = 0
    return wrapper
@counted
def double(x):
    return 2 * x
class Pot:
    def put(self, x, seen=[]):
        seen.append(x)
        return len(seen)
    @staticmethod
    def keep(x, kept=set()):
        kept.add(x)
        return len(kept)
def make():
    n, past = 0, []
    def up():
        nonlocal n
        n += 1
        past.append(n)
        return sum(past)
    return up
up = make()
WRITTEN = []
def write(x, to=WRITTEN):
    to.append(x)
    return len(WRITTEN)
"""
USED = ("push({})", "double({}) + double.calls", "pot.put({})", "Pot.keep({})", "up()", "write({})")


@pytest.mark.parametrize("home", ["module", "session"])
@given(ways=st.lists(st.lists(st.sampled_from(USED), max_size=4), min_size=2, max_size=5))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_what_functions_hold_is_part_of_a_state(home: str, ways: list[list[str]]) -> None:
    """Mutable defaults, attributes and variables of closures: each way from the start finds them as they were."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    module = types.ModuleType("holding_of_snapshots")
    module.__file__ = "/own/holding_of_snapshots.py"
    sys.modules[module.__name__] = module
    try:
        if home == "module":
            exec(compile(HOLDING, module.__file__, "exec"), vars(module))
            namespace |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
        else:
            exec(HOLDING, namespace)
        exec("pot = Pot()", namespace)
        world = World(namespace, 0, lambda path: path.startswith("/own"), output_limit=10_000, max_seconds=60)
        for way in [*ways, *ways]:
            plain: dict[str, object] = {"__name__": "plain"}
            exec(HOLDING + "pot = Pot()", plain)
            state = world.start
            for number, command in enumerate(way):
                expected = eval(command.format(number), plain)
                (result,) = world.run(f"print({command.format(number)})", "single", state).results
                assert result.text == f"{expected}\n".strip(), (way, command)
                state = result.state
    finally:
        del sys.modules[module.__name__]


STATE = """
import collections, dataclasses, itertools, random
@dataclasses.dataclass
class Config:
    n: int = 0
class Registry(dict):
    def __init__(self):
        self.hooks = []
class Stack:
    ids = itertools.count(1)
    def __init__(self):
        self.items = []
    def __eq__(self, other):
        return self.items == other.items
class Node:
    made, total = [], 0
    def __init__(self):
        Node.total += 1
        self.made.append(Node.total)
CONFIG, REGISTRY, STACK, IDS, rng = Config(), Registry(), Stack(), itertools.count(), random.Random(7)
COUNT, QUEUE, TABLE = collections.Counter(), collections.deque(maxlen=3), collections.defaultdict(list)
ORDER, BYTES, KINDS, HELD = collections.OrderedDict(a=1, b=2), bytearray(), set(), {"stack": STACK, "queue": [QUEUE]}
"""
USES = (
    ("CONFIG.n += {}", "CONFIG.n"),
    ("REGISTRY[{}] = REGISTRY.hooks.append({})", "(sorted(REGISTRY), REGISTRY.hooks)"),
    ("STACK.items.append(next(STACK.ids))", "STACK.items"),
    ("HELD['stack'].items.append({})", "HELD['stack'].items"),
    ("HELD['queue'][0].append({})", "list(QUEUE)"),
    ("Node()", "(Node.made, Node.total)"),
    ("next(IDS)", "repr(IDS)"),
    ("rng.random()", "rng.random()"),
    ("COUNT[{}] += 1", "sorted(COUNT.items())"),
    ("QUEUE.append({})", "list(QUEUE)"),
    ("TABLE[{}].append({})", "dict(TABLE)"),
    ("ORDER.move_to_end('a')", "list(ORDER)"),
    ("BYTES.append({})", "bytes(BYTES)"),
    ("KINDS.add({})", "sorted(KINDS)"),
)


@given(ways=st.lists(st.lists(st.integers(0, len(USES) - 1), max_size=5), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_modules_hold_is_part_of_a_state(ways: list[list[int]]) -> None:
    """Also what only another module knows, by functions of the one that the namespace has; the objects stay the same.

    After all, the modules are as they were: the session's own run, in the same process, sees nothing of the states'.
    """
    held, api = types.ModuleType("held_of_snapshots"), types.ModuleType("api_of_snapshots")
    uses = "".join(f"def use_{n}(x):\n    {use.format('x', 'x')}\n" for n, (use, _) in enumerate(USES))
    looks = "".join(f"def look_{n}():\n    return {look}\n" for n, (_, look) in enumerate(USES))
    sources = {held: STATE + uses + looks, api: "import held_of_snapshots as held\n"}
    sources[api] += "def use(n, x):\n    getattr(held, f'use_{n}')(x)\n"
    sources[api] += "def look(n):\n    return getattr(held, f'look_{n}')()\n"
    another = types.ModuleType("plain_of_snapshots")
    sys.modules[another.__name__] = another
    for module, source in sources.items():
        module.__file__ = f"/own/{module.__name__}.py"
        sys.modules[module.__name__] = module
        exec(compile(source, module.__file__, "exec"), vars(module))
    vars(vars(held)["rng"])[SEEDED] = True  # as the patched ``Random`` does
    try:
        namespace: dict[str, object] = {"__name__": "__main__", "use": vars(api)["use"], "look": vars(api)["look"]}
        world = World(namespace, 0, lambda path: path.startswith("/own"), output_limit=10_000, max_seconds=60)
        objects = {name: id(value) for name, value in vars(held).items() if name.isupper() and name != "IDS"}
        for way in [*ways, *ways]:
            plain = vars(another)
            exec(STATE + uses + looks, plain)
            state = world.start
            for x, number in enumerate(way):
                exec(f"use_{number}({x})", plain)
                (result,) = world.run(f"use({number}, {x})", "single", state).results
                state = result.state
            for number in range(len(USES)):
                (result,) = world.run(f"print(look({number}))", "single", state).results
                state = result.state  # to look may draw
                assert result.text == str(eval(f"look_{number}()", plain)), (way, USES[number])
            assert objects == {name: id(value) for name, value in vars(held).items() if name in objects}
            assert vars(held)["CONFIG"].n == 0 and not vars(held)["REGISTRY"].hooks and vars(held)["Node"].total == 0
            assert list(vars(held)["ORDER"]) == ["a", "b"] and repr(vars(held)["IDS"]) == "count(0)"
    finally:
        for module in (*sources, another):
            del sys.modules[module.__name__]
