"""Snapshots against copies: a namespace that is brought back is what it was, whatever happened to it meanwhile."""

from __future__ import annotations

import functools
import inspect
import random
import sys
import types
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.states.snapshots import Snapshots

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
