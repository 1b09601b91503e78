"""The contract of all pickling rules: an object of each kind is saved and brought back, and one that differs has other
bytes. And each rule is needed: without it the contract does not hold.
"""

from __future__ import annotations

import contextlib
import contextvars
import copyreg
import functools
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from trace_mine.tracer.inside.draws.deciders import DrawMismatch
from trace_mine.tracer.inside.draws.streams import NOWHERE
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.states import context_variables, state_pickler
from trace_mine.tracer.inside.states.records import CannotSnapshot
from trace_mine.tracer.inside.states.snapshots import Snapshots
from trace_mine.tracer.inside.states.state_pickler import RULES

BROKEN = (CannotSnapshot, AssertionError, AttributeError, DrawMismatch)
"""How the contract is broken; an AttributeError is of an object that has lost what the example changes, and a
DrawMismatch of a reading that was looked at.
"""


@dataclass(frozen=True, kw_only=True)
class Example:
    """An object of a kind, as a program has it.

    Attributes:
        setup: makes ``value``, which only a list holds: a name that is bound as at the start has no bytes.
        change: makes the state another one.
        look: an expression that tells the states apart; ``out`` is the output.
        is_kept: the object is one and the same in all states.
        refused: a set-up of which no state can be saved.
    """

    setup: str
    change: str
    look: str
    is_kept: bool = False
    refused: str = ""


EXAMPLES = {
    "data": Example(
        setup="value = {'a': [1, 2.5, True, None, b'b', 1j, bytearray(b'c'), {3}, (4,), frozenset([5])]}",
        change="box[0]['a'].append('text')",
        look="box",
    ),
    "functions": Example(
        setup="def value(x=[]): return x",
        change="box[0]().append(1); box[0].tag = 2",
        look="box[0](), vars(box[0])",
        is_kept=True,
    ),
    "cached functions": Example(
        setup="import functools\n@functools.cache\ndef value(x): return [x]",
        change="box[0](1).append(2)",
        look="box[0].cache_info()",
        is_kept=True,
    ),
    "modules and code": Example(
        setup="import math as value", change="import random; box[0] = random", look="box[0].__name__", is_kept=True
    ),
    "classes": Example(
        setup="class value: items = [1]",
        change="box[0].items.append(2); box[0].n = 3",
        look="box[0].items, hasattr(box[0], 'n')",
        is_kept=True,
    ),
    "methods": Example(
        setup="import random\ngenerator = random.Random()\nvalue = generator.choices",
        change="box[0] = generator.sample",
        look="box[0].__name__",
        is_kept=True,
    ),
    "built-ins": Example(
        setup="value = [].append",
        change="box[0](1)",
        look="box[0].__self__",
        refused="class Items(list):\n    def append(self, item): 1 / 0\n    def plain(self): return super().append\n"
        "value = Items().plain()",
    ),
    "sentinels": Example(
        setup="value = __import__('constants_of_rules').MISSING",
        change="box[0].tag = 1",
        look="vars(box[0])",
        is_kept=True,
    ),
    "objects with pickling hooks": Example(
        setup="class Hidden:\n    def __init__(self): self.items = []\n    def __getstate__(self): return None\n"
        "value = Hidden()",
        change="box[0].items.append(1)",
        look="box[0].items",
        refused="class Table(dict):\n    def __reduce__(self): return dict, ()\nvalue = Table()",
    ),
    "the output of commands": Example(
        setup="import sys\nvalue = sys.stdout", change="box[0] = None", look="box[0] is out", is_kept=True
    ),
    "objects of the process": Example(
        setup="import sys\nvalue = sys.__stdin__",
        change="box[0] = sys.__stderr__",
        look="box[0] is sys.__stdin__",
        is_kept=True,
    ),
    "facts of the interpreter": Example(
        setup="import sys\nvalue = sys.flags",
        change="box[0] = sys.hash_info",
        look="type(box[0]).__name__",
        is_kept=True,
    ),
    "codecs": Example(
        setup="import codecs\nvalue = codecs.lookup('utf-8')",
        change="box[0] = codecs.lookup('latin-1')",
        look="box[0].name",
        is_kept=True,
    ),
    "context variables": Example(
        setup="import contextvars\nvalue = contextvars.ContextVar('value')\nvalue.set(1) and None",
        change="box[0].set(2) and None",
        look="box[0].get()",
        is_kept=True,
    ),
    "counters": Example(setup="import itertools\nvalue = itertools.count(3, 2)", change="next(box[0])", look="box"),
    "generators of random numbers": Example(
        setup="import random\nvalue, other = random.Random(), random.Random()",
        change="box[0] = other",
        look="box[0] is other",
        is_kept=True,
    ),
    "readings of clocks": Example(
        setup="from trace_mine.tracer.inside.draws.readings import read\nvalue = read(1.0, 0)",
        change="box[0] += 1",
        look="box[0]._name, box[0]._value",
    ),
    "tracebacks": Example(
        setup="try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    value = error.__traceback__",
        change="box[0] = None",
        look="type(box[0]).__name__",
    ),
    "exceptions": Example(
        setup="try:\n    try: 1 / 0\n    finally: {}['k']\nexcept KeyError as error: value = error",
        change="box[0].__context__ = None",
        look="box[0].args, repr(box[0].__context__), box[0].__traceback__ is None",
    ),
    "views of dictionaries": Example(
        setup="import types\nvalue = types.MappingProxyType({'a': []})",
        change="box[0]['a'].append(1)",
        look="box",
        refused="class Plain: pass\nvalue = vars(Plain)",
    ),
    "finalizers": Example(
        setup="import weakref\nclass Plain: pass\nvalue, other = (weakref.finalize(Plain, len, 'x') for _ in range(2))",
        change="box[0] = other",
        look="box[0] is other",
        is_kept=True,
        refused="import weakref\nclass Plain: pass\nvalue = weakref.finalize(Plain, [].append, 1)",
    ),
    "what a finalizer has in its registry": Example(
        setup="import weakref\nclass Plain: pass\nfinalizer = weakref.finalize(Plain, len, 'x')\n"
        "value = finalizer._registry[finalizer]",
        change="box[0] = None",
        look="box[0] is None",
        is_kept=True,
    ),
    "differences of loggers": Example(
        setup="from trace_mine.tracer.inside.draws.logging_settings import LoggersDiffer\n"
        "value, other = (LoggersDiffer((None, [], level, None), True) for level in (1, 2))",
        change="box[0] = other",
        look="box[0].parts",
        is_kept=True,
    ),
    "loggers": Example(
        setup="import logging\nvalue, other = logging.Logger('alone'), logging.Logger('other')",
        change="box[0] = other",
        look="box[0].name",
        is_kept=True,
    ),
    "handlers of logging": Example(
        setup="import io, logging\nvalue = logging.StreamHandler(io.StringIO())",
        change="box[0].stream.write('x'); box[0].setLevel(3)",
        look="box[0].stream.getvalue(), box[0].level, box[0].lock.acquire()",
    ),
}
"""By the kind of their rule."""
STANDARD = ("copyreg", "re")
"""Modules of the standard library that tell pickle how to make objects of some types."""
NOT_NEEDED = {"data": "pickle does the same", "counters": "pickle refuses them from Python 3.14 on"}


@pytest.fixture(autouse=True)
def constants() -> Iterator[None]:
    """A module of the repository that the session's namespace does not name."""
    module = types.ModuleType("constants_of_rules")
    module.__file__ = "/own/constants_of_rules.py"
    exec("class Missing: pass\nMISSING = Missing()", vars(module))
    sys.modules[module.__name__] = module
    yield
    del sys.modules[module.__name__]


def saved_of(setup: str) -> tuple[dict[str, object], Snapshots]:
    """A namespace in which a list holds the value, and its snapshots."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(f"{setup}\nbox = [value]\ndel value", namespace)
    return namespace, Snapshots(namespace, lambda path: path.startswith("/own/"))


def contract(example: Example) -> None:
    """Save, change, save, and bring each of the two states back, twice.

    Raises:
        AssertionError, CannotSnapshot: the contract does not hold.
    """
    out = Capture(1_000)
    with contextlib.redirect_stdout(out):  # type: ignore[type-var]
        namespace, snapshots = saved_of(example.setup)
    with snapshots.printing_to(out, NOWHERE):
        box = namespace["box"]
        assert isinstance(box, list)
        (value,) = box
        states: list[tuple[bytes, str]] = []
        for change in ("", example.change):
            exec(change, namespace)
            shown = repr(eval(example.look, {**namespace, "out": out}))
            states.append((snapshots.save(), shown))
        (first, shown), (other, shown_other) = states
        assert shown != shown_other, "the example is none"
        assert first != other
        for saved, shown in states * 2:
            try:
                snapshots.restore(saved)
            except Exception as error:
                raise AssertionError(f"it can't be restored: {error}") from error
            assert repr(eval(example.look, {**namespace, "out": out})) == shown
            assert snapshots.save() == saved
        snapshots.restore(first)
        (restored,) = namespace["box"]  # type: ignore[misc]
        assert (restored is value) == example.is_kept
    if example.refused:
        _, snapshots = saved_of(example.refused)
        try:
            snapshots.save()
        except CannotSnapshot as error:
            assert "it can't be restored" not in str(error) and "PicklingError" not in str(error)
        else:
            raise AssertionError("a state is saved that loses something")


def run(example: Example) -> None:
    context_variables.apart(contextvars.copy_context(), functools.partial(contract, example))


def test_each_rule_has_an_example_and_a_reason() -> None:
    assert [rule.kind for rule in RULES] == [*dict.fromkeys(rule.kind for rule in RULES)], "kinds are names"
    assert {rule.kind for rule in RULES} == EXAMPLES.keys()
    for rule in RULES:
        assert len(rule.reason.split()) > 5 and rule.reason.endswith("."), rule.kind
        assert bool(rule.types) != bool(rule.is_for), f"{rule.kind}: exact types, or a test of types"
        assert rule.number or rule.recipe or rule.kind == "data"


def test_a_type_is_named_by_one_rule() -> None:
    types_named = [kind for rule in RULES for kind in rule.types]
    assert len(types_named) == len({*types_named})


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_object_of_each_kind_is_saved_and_brought_back(kind: str) -> None:
    run(EXAMPLES[kind])


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind not in NOT_NEEDED])
def test_without_its_rule_an_object_is_not_brought_back(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_pickler, "RULES", tuple(rule for rule in RULES if rule.kind != kind))
    monkeypatch.setattr(state_pickler, "_of_types", {})
    for each, reducer in [*copyreg.dispatch_table.items()]:
        if reducer.__module__ not in STANDARD:  # libraries that other tests import teach pickle more
            monkeypatch.delitem(copyreg.dispatch_table, each)
    with pytest.raises(BROKEN):
        run(EXAMPLES[kind])
