"""Instances of classes with a metaclass, private names of methods that are called by another name, items by tuples."""

from __future__ import annotations

import pytest

from trace_mine.tracer.inside.syntax.names import class_of_code
from trace_mine.tracer.schema import Trace

PLAIN = {
    "abstract": "from abc import ABC\nclass A(ABC):\n    def __init__(self, n):\n        self.n = n\n",
    "collection": (
        "from collections.abc import Sized\nclass A(Sized):\n    def __init__(self, n):\n        self.n = n\n"
        "    def __len__(self):\n        return self.n\n"
    ),
    "generic": (
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]):\n"
        "    def __init__(self, n: T):\n        self.n = n\n"
    ),
    "metaclass that makes classes only": (
        "class M(type):\n    pass\nclass A(metaclass=M):\n    def __init__(self, n):\n        self.n = n\n"
    ),
}
"""Classes ``A`` whose instances are made by ``object.__new__`` and ``__init__`` alone."""

OWN = {
    "calls": (
        "class M(type):\n    def __call__(cls, n):\n        return super().__call__(n + 1)\n"
        "class A(metaclass=M):\n    def __init__(self, n):\n        self.n = n\n"
    ),
    "registers": (
        "class A:\n    made = []\n    def __new__(cls, n):\n        cls.made.append(n)\n"
        "        return super().__new__(cls)\n    def __init__(self, n):\n        self.n = n + 1\n"
    ),
}
"""Classes ``A`` of which a call does something more: ``A(3).n`` is 4."""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace) and not trace.failed_checks, trace
    return trace


@pytest.mark.parametrize("name", PLAIN)
def test_an_instance_is_made_by_commands(tracer, kit, name: str) -> None:
    trace = traced(tracer, kit, PLAIN[name] + "a = A(3)\nprint(a.n)\n")
    assert "self = A.__new__(A)" in trace.text and ">>> self.n = n\n" in trace.text
    assert [step.output for step in trace.steps if step.source == "print(a.n)"] == ["3"]


def test_a_method_above_is_opened_for_a_class(tracer, kit) -> None:
    source = (
        "from abc import ABC\nclass A(ABC):\n    @classmethod\n    def of(cls, n):\n        return n + 1\n"
        "class B(A):\n    @classmethod\n    def of(cls, n):\n        return super().of(n) * 2\nprint(B.of(3))\n"
    )
    trace = traced(tracer, kit, source)
    assert trace.opened_calls == 2 and "\n8\n" in trace.text


@pytest.mark.parametrize("name", OWN)
def test_a_class_that_does_more_is_called(tracer, kit, name: str) -> None:
    trace = traced(tracer, kit, OWN[name] + "a = A(3)\nprint(a.n)\n")
    assert [step.output for step in trace.steps if step.source == "print(a.n)"] == ["4"]
    assert "self = A.__new__(A)" not in trace.text


PRIVATE = """\
class A:
    def __init__(self):
        self.__n = 1
    def get(self):
        def inner():
            return self.__n + 1
        return inner()
class B(A):
    def __init__(self):
        A.__init__(self)
        self.__n = 5
    def set(self, n, call=A.get):
        self.__n = n + call(self)
    peek = A.get
def make():
    class E:
        def __init__(self):
            self.__k = 3
        def k(self):
            return self.__k
    return E()
b = B()
b.set(7)
print(b.peek(), make().k(), sorted(vars(b)))
"""


def test_private_names_are_those_of_the_class_that_a_method_is_written_in(tracer, kit) -> None:
    trace = traced(tracer, kit, PRIVATE)
    assert "2 3 ['_A__n', '_B__n']\n" in trace.text and not trace.kept_whole
    assert trace.unopened_frames.keys() <= {"class_body"}, trace.unopened_frames


@pytest.mark.parametrize(
    ("qualified", "owner"),
    [
        ("f", None),
        ("C.m", "C"),
        ("C.m.<locals>.f", "C"),
        ("f.<locals>.C.m", "C"),
        ("C.D.m", "D"),
        ("f.<locals>.g", None),
    ],
)
def test_the_class_of_a_function_is_told_by_its_code(qualified: str, owner: str | None) -> None:
    assert class_of_code(qualified) == owner


def test_items_by_tuples_are_opened(tracer, kit) -> None:
    source = (
        "class Grid:\n    def __init__(self):\n        self.cells = {}\n"
        "    def __setitem__(self, place, value):\n        self.cells[place] = value\n"
        "    def __getitem__(self, place):\n        return self.cells[place]\n"
        "grid = Grid()\ngrid[1, 2] = 3\ngrid[(1,)] = 4\ngrid[()] = 5\nx = 1\nprint(grid[x, 2], grid[(1,)], grid[()])\n"
    )
    trace = traced(tracer, kit, source)
    assert "\n3 4 5\n" in trace.text and trace.unopened_frames == {"class_body": 1}


def test_slices_stay(tracer, kit) -> None:
    source = (
        "class Grid:\n    def __getitem__(self, place):\n        return str(place)\n"
        "grid = Grid()\nprint(grid[1:2], grid[1:2, 3])\n"
    )
    trace = traced(tracer, kit, source)
    assert "slice(1, 2, None) (slice(1, 2, None), 3)\n" in trace.text


BELOW = {
    "dict": "class A(dict):\n    def __init__(self, n):\n        self.n = n\n        self['n'] = n\n",
    "list": "class A(list):\n    def __init__(self, n):\n        super().__init__([n])\n        self.n = n\n",
    "set": "class A(set):\n    def __init__(self, n):\n        self.n = n\n        self.add(n)\n",
}
"""Classes below containers, whose instances are empty until ``__init__`` fills them."""


@pytest.mark.parametrize("name", BELOW)
def test_an_instance_below_a_container_is_made_by_commands(tracer, kit, name: str) -> None:
    trace = traced(
        tracer, kit, BELOW[name] + "    def more(self):\n        return self.n + 1\na = A(3)\nprint(a.more())\n"
    )
    assert "self = A.__new__(A)" in trace.text and ">>> self.n = n\n" in trace.text
    assert [call.text for call in trace.calls] == ["A(3)", "a.more()"]


@pytest.mark.parametrize(
    "base", ["str", "int", "tuple", "ValueError", "namedtuple('P', 'x y')", "frozenset", "deque", "bytes"]
)
def test_methods_and_properties_of_classes_below_built_in_ones_are_opened(tracer, kit, base: str) -> None:
    source = (
        f"from collections import deque, namedtuple\nclass A({base}):\n    def size(self, n):\n        return n + 1\n"
        "    @property\n    def other(self):\n        return self.size(2)\n"
    )
    arguments = "1, 2" if "named" in base else "" if base == "int" else "b'ab'" if base == "bytes" else "'ab'"
    trace = traced(tracer, kit, source + f"a = A({arguments})\nprint(a.size(1), a.other)\n")
    assert [call.text for call in trace.calls] == ["a.size(1)", "a.other", "self.size(2)"]


def test_an_attribute_that_a_class_looks_up_by_itself_stays_closed(tracer, kit) -> None:
    source = (
        "class A(dict):\n    def __getattribute__(self, name):\n        return super().__getattribute__(name)\n"
        "    def size(self):\n        return 1\na = A()\nprint(a.size())\n"
    )
    assert "a.size()" not in [call.text for call in traced(tracer, kit, source).calls]


GENERIC = "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]):\n"
LIBRARY = "import types\nclass A:\n    __class_getitem__ = classmethod(types.GenericAlias)\n"
INIT = "    def __init__(self, n=2):\n        self.n = n\n"


@pytest.mark.parametrize("head", [GENERIC, LIBRARY, "class A(list):\n"], ids=["typing", "types", "list"])
def test_a_class_with_its_parameters_is_opened_like_the_class(tracer, kit, head: str) -> None:
    trace = traced(
        tracer, kit, f"{head}{INIT}a = A[int](len('ab') + 1)\nprint(vars(a))\nb = A['int']()\nprint(vars(b))\n"
    )
    assert [call.text for call in trace.calls] == ["A[int](len('ab') + 1)", "A['int']()"]
    steps = [step.source for step in trace.steps]
    assert "self.__orig_class__ = A[int]" in steps, "the instance remembers the alias, once it is made"
    assert steps.index("self.n = n") < steps.index("self.__orig_class__ = A[int]")
    assert [step.output for step in trace.steps if step.source == "print(vars(a))"] == [
        "{'n': 3, '__orig_class__': __main__.A[int]}"
    ]


def test_an_alias_in_a_variable_is_opened_like_the_class(tracer, kit) -> None:
    trace = traced(tracer, kit, f"{GENERIC}{INIT}Ints = A[int]\na = Ints(n=3)\nprint(a.__orig_class__ is Ints)\n")
    assert [call.text for call in trace.calls] == ["Ints(n=3)"] and "\nTrue\n" in trace.text


def test_instances_that_cannot_remember_an_alias_are_told_nothing(tracer, kit) -> None:
    head = LIBRARY + "    __slots__ = ('n',)\n"
    trace = traced(tracer, kit, f"{head}{INIT}a = A[int](3)\nprint(a.n, hasattr(a, '__orig_class__'))\n")
    assert [call.text for call in trace.calls] == ["A[int](3)"] and "\n3 False\n" in trace.text
    assert "self.__orig_class__" not in trace.text


OTHER_ALIASES = {
    "its own": "class A:\n    def __class_getitem__(cls, item):\n        return cls\n",
    "sets": LIBRARY + "    def __setattr__(self, name, value):\n        object.__setattr__(self, name + '_', value)\n",
    "shared": LIBRARY + "    __orig_class__ = property(lambda self: 1)\n",
    "compares": GENERIC + "    pass\nclass M(type):\n    def __hash__(cls):\n        print('asked')\n        return 1\n"
    "class int(metaclass=M):\n    pass\nclass A(Generic[T]):\n",
}
"""Classes ``A`` of which ``A[int](3)`` may run code of the program's own besides ``__init__``."""


@pytest.mark.parametrize("name", OTHER_ALIASES)
def test_an_alias_that_may_run_more_is_called(tracer, kit, name: str) -> None:
    trace = traced(
        tracer, kit, f"{OTHER_ALIASES[name]}{INIT}a = A[int](3)\nprint(sorted(vars(a).values(), key=str)[0])\n"
    )
    assert [step.output for step in trace.steps if step.source.startswith("print(sorted")] == ["3"]
    assert "self = A.__new__(A)" not in trace.text


def test_a_method_of_what_a_class_makes_is_opened_after_the_instance_was_made(tracer, kit) -> None:
    source = (
        "order = []\ndef noted(n):\n    order.append(n)\n    return n\n"
        "class A:\n    n = 1\n    def told(self, m):\n        return self.n + m\n"
        "x = A().told(noted(2)) + A().told(m=3)\nprint(x, order)\n"
    )
    trace = traced(tracer, kit, source)
    assert [call.text for call in trace.calls] == ["noted(2)", "A().told(noted(2))", "A().told(m=3)"]
    steps = [step.source for step in trace.steps]
    assert steps.index("value_1 = A()") < steps.index("order.append(n)"), "Python makes the object first"
    assert "\n7 [2]\n" in trace.text


def test_super_is_opened_where_the_session_has_no_name_for_the_class(tracer, kit) -> None:
    source = (
        "def made():\n    global a\n    class A:\n        def told(self):\n            return 1\n"
        "    class B(A):\n        def told(self):\n            return super().told() + 1\n"
        "    a = B()\nmade()\nprint(a.told())\n"
    )
    # no name leads there: the call stays
    trace = traced(tracer, kit, source)
    assert trace.kept_whole.get("super") and "\n2\n" in trace.text


def test_super_is_opened_by_the_name_that_the_module_has_for_the_class(tmp_path, kit) -> None:
    (tmp_path / "lib.py").write_text(
        "class _Above:\n    def told(self):\n        return 1\n"
        "class _Base(_Above):\n    def told(self):\n        return super().told() + 1\n"
        "class Child(_Base):\n    pass\n"
    )
    with kit.PlainTracer(kit.TracerConfig(follow=3, repository=tmp_path, sys_path=(".",))) as tracer:
        trace = traced(tracer, kit, "from lib import Child\nc = Child()\nprint(c.told())\n")
    assert [call.name for call in trace.calls] == ["_Base.told", "_Above.told"] and "\n2\n" in trace.text
    assert not trace.kept_whole


TABLE = """\
class Token:
    def __init__(self, kind):
        self.kind = kind

class Ruler:
    def __init__(self):
        self.rules = {"a": self.first}
        self.parts = {"x": self}

    def first(self, n):
        return n + 1

    def __getitem__(self, name):
        return self.parts[name]

    @property
    def same(self):
        return self

    def run(self, token):
        return self.rules[token.kind](3)

    def below(self, name):
        return self[name].same.first(5)

ruler = Ruler()
token = Token("a")
"""


def test_functions_of_tables_and_behind_opened_look_ups_are_opened(tracer, kit) -> None:
    trace = traced(tracer, kit, TABLE + "print(ruler.run(token))\nprint(ruler.below('x'))\n")
    names = [call.name.rpartition(".")[2] for call in trace.calls]
    assert names == ["__init__", "__init__", "run", "first", "below", "__getitem__", "same", "first"]
    assert trace.unopened_frames == {"class_body": 2} and "\n4\n" in trace.text and "\n6\n" in trace.text


NEW = {
    "a named tuple": (
        "from collections import namedtuple\nclass A(namedtuple('P', 'x y')):\n    def __new__(cls, x, y=0):\n"
        "        y = y or x\n        return super().__new__(cls, x, y)\n",
        "a = A(noted(2))\nprint(tuple(a), order)\n",
        ["noted", "__new__"],
        "(2, 2) [2]",
    ),
    "a text with an __init__": (
        "class A(str):\n    def __new__(cls, text, *, loud=False):\n        return str.__new__(cls, text.upper())\n"
        "    def __init__(self, text, *, loud=False):\n        self.loud = loud\n",
        "a = A('ab', loud=noted(True))\nprint(a, a.loud, order)\n",
        ["noted", "__new__", "__init__"],
        "AB True [True]",
    ),
    "one instance": (
        "class A:\n    made = None\n    def __new__(cls):\n        cls.made = cls.made or object.__new__(cls)\n"
        "        return cls.made\n",
        "print(A() is A())\n",
        ["__new__", "__new__"],
        "True",
    ),
    "no instance": (
        "class A:\n    def __new__(cls, n):\n        return n * 2\n"
        "    def __init__(self, n):\n        print('never')\n",
        "print(A(4))\n",
        ["__new__"],
        "8",
    ),
    "an instance of a class below": (
        "class A:\n    def __new__(cls, n):\n        return object.__new__(B)\n"
        "class B(A):\n    def __init__(self, n):\n        self.n = n\n",
        "print(A(4).n)\n",
        ["__new__", "__init__"],
        "4",
    ),
    "the __init__ of a container": (
        "class A(list):\n    def __new__(cls, items):\n        return super().__new__(cls)\n",
        "print(A([1, 2]))\n",
        ["__new__"],
        "[1, 2]",
    ),
    "an exception": (
        "class A:\n    def __new__(cls, n):\n        raise ValueError(n)\n",
        "try:\n    A(1)\nexcept ValueError as error:\n    print(error)\n",
        ["__new__"],
        "1",
    ),
    "an __init__ that returns something": (
        "class A:\n    def __new__(cls):\n        return object.__new__(cls)\n"
        "    def __init__(self):\n        return 3\n",
        "try:\n    A()\nexcept TypeError as error:\n    print(error)\n",
        None,
        "__init__() should return None, not 'int'",
    ),
    "arguments that are spread": (
        "class A:\n    def __new__(cls, *args, **kw):\n        return object.__new__(cls)\n"
        "    def __init__(self, *args, **kw):\n        self.given = args, kw\n",
        "xs = [1, 2]\nprint(A(*xs, b=noted(3)).given, A(*xs).given, A(**{'c': 4}).given)\n",
        None,
        "((1, 2), {'b': 3}) ((1, 2), {}) ((), {'c': 4})",
    ),
}
NOTED = "order = []\ndef noted(n):\n    order.append(n)\n    return n\n"


@pytest.mark.parametrize("name", NEW)
def test_new_is_opened_then_init_of_what_it_gave(tracer, kit, name: str) -> None:
    definition, use, names, output = NEW[name]
    trace = traced(tracer, kit, NOTED + definition + use)
    assert f"\n{output}\n" in trace.text and "never" not in [step.output for step in trace.steps]
    if names is not None:
        assert [call.name.rpartition(".")[2] for call in trace.calls] == names
