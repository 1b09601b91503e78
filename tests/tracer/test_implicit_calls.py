"""Calls that the program does not spell are opened where it is certain which function Python calls, and stay where it
is not: the session is true in either case.
"""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Trace

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch"}

NUM = """\
class Num:
    def __init__(self, n):
        self.n = n
    def __add__(self, other):
        print('add', self.n)
        if not isinstance(other, Num):
            return NotImplemented
        return Num(self.n + other.n)
    def __radd__(self, other):
        print('radd', self.n)
        return Num(self.n + other)
    def __iadd__(self, other):
        self.n += other
        return self
    def __neg__(self):
        return Num(-self.n)
    def __eq__(self, other):
        print('eq', self.n)
        return NotImplemented if type(other) is not Num else self.n == other.n
    def __lt__(self, other):
        return self.n < other.n
    def __bool__(self):
        print('bool', self.n)
        return self.n > 0
    def __len__(self):
        return self.n
    def __getitem__(self, index):
        return self.n * index
    def __contains__(self, value):
        return value % self.n
    def __repr__(self):
        return f'Num({self.n})'
    def __getattr__(self, name):
        return len(name)
    @property
    def double(self):
        twice = self.n * 2
        return twice
class Sub(Num):
    def __radd__(self, other):
        print('sub first')
        return 5
a, b, s = Num(1), Num(2), Sub(3)
"""
OPENED = {
    "binary": ("c = a + b\nprint(c.n)", ["add 1", "3"]),
    "nested": ("print((a + b + Num(4)).n)", ["add 1", "add 3", "7"]),
    "reflected": ("print((5 + a).n)", ["radd 1", "6"]),
    "reflected_after_declining": (
        "class Other:\n    def __radd__(self, other):\n        return 'other'\nprint(a + Other())",
        ["add 1", "other"],
    ),
    "negative": ("print((-a).n)", ["-1"]),
    "equal": ("print(a == b, a != b)", ["eq 1", "eq 1", "False True"]),
    "less": ("print(a < b, a > b)", ["True False"]),
    "length": ("print(len(b))", ["2"]),
    "index": ("print(b[4])", ["8"]),
    "truth": ("if a:\n    print('yes')", ["bool 1", "yes"]),
    "not": ("if not a:\n    print(1)\nelse:\n    print(2)", ["bool 1", "2"]),
    "loop": ("while b:\n    b = Num(b.n - 1)", ["bool 2", "bool 1", "bool 0"]),
    "missing": ("print(a.nothing)", ["7"]),
    "convert": ("print(repr(a), str(b))", ["Num(1) Num(2)"]),
    "in_place": ("a += 4\nprint(a.n)", ["5"]),
    "set_item": (
        "class Bag:\n    def __setitem__(self, index, value):\n        print('set', index, value)\n"
        "bag = Bag()\nbag[1] = a.n + 3\nbag[2] = 0",
        ["set 1 4", "set 2 0"],
    ),
    "setter": (
        "class A:\n    @property\n    def p(self):\n        return self._p\n    @p.setter\n    def p(self, value):\n"
        "        self._p = value * 2\nx = A()\nx.p = len('abc')\nprint(x.p)",
        ["6"],
    ),
    "set_attribute": (
        "class A:\n    def __setattr__(self, name, value):\n        print(name, value)\nx = A()\nx.y = 4",
        ["y 4"],
    ),
    "iterator": (
        "class Down:\n    def __init__(self, n):\n        self.n = n\n    def __iter__(self):\n        print('iter')\n"
        "        return self\n    def __next__(self):\n        if self.n == 0:\n            raise StopIteration\n"
        "        self.n -= 1\n        return self.n\nfor k in Down(2):\n    print(k)\nelse:\n    print('end')",
        ["iter", "1", "0", "end"],
    ),
    "iterator_of_a_list": (
        "class Bag:\n    def __iter__(self):\n        return iter([1, 2])\nfor k in Bag():\n    print(k)",
        ["1", "2"],
    ),
    "operand_with_effects": (
        "def f(x):\n    print('f', x)\n    return Num(x)\nprint((f(1) + f(2)).n)",
        ["f 1", "f 2", "add 1", "3"],
    ),
    "operand_of_unknown_type": ("xs = [Num(7)]\nprint((a + xs[0]).n)", ["add 1", "8"]),
    "context": (
        "class Room:\n    def __enter__(self):\n        print('in')\n        return 3\n"
        "    def __exit__(self, kind, error, trace):\n        print('out', kind)\n        return kind is KeyError\n"
        "with Room() as room:\n    print(room)\nwith Room():\n    raise KeyError(1)",
        ["in", "3", "out None", "in", "out <class 'KeyError'>"],
    ),
    "numbered": (
        "def g():\n    yield 'x'\n    yield 3, 4\nfor k, value in enumerate(g()):\n    print(k, value)\n"
        "for pair in enumerate(g()):\n    print(pair)\n    break",
        ["0 x", "1 (3, 4)", "(0, 'x')"],
    ),
    "print": ("print(a, b, 3, c := 4, sep='-')", ["Num(1)-Num(2)-3-4"]),
    "text": ("x = f'{a} and {b!r}'\nprint(x)", ["Num(1) and Num(2)"]),
    "managed": (
        "import contextlib\n@contextlib.contextmanager\ndef tagged(name):\n    print('<', name)\n    try:\n"
        "        yield name * 2\n    except KeyError:\n        print('swallowed')\n    finally:\n        print('>')\n"
        "def f():\n    with tagged('f') as x:\n        return x\nprint(f())\nwith tagged('a'), tagged('b') as b:\n"
        "    print(b)\nwith tagged('c'):\n    raise KeyError(1)\n"
        "try:\n    with tagged('d'):\n        raise ValueError(1)\nexcept ValueError as error:\n    print(error)\n"
        "for k in range(3):\n    with tagged(str(k)):\n        if k:\n            break",
        [
            *("< f", ">", "ff", "< a", "< b", "bb", ">", ">", "< c", "swallowed", ">", "< d", ">", "1"),
            *("< 0", ">", "< 1", ">"),
        ],
    ),
    "decorated": (
        "def loud(f):\n    print('deco')\n    def inner(*args):\n        print('in')\n        return f(*args)\n"
        "    return inner\ndef named(name):\n    print('name', name)\n    return loud\n"
        "@named('x')\n@loud\ndef g(n):\n    return n\nprint(g(3))",
        ["name x", "deco", "deco", "in", "in", "3"],
    ),
    "raises": (
        "class Picky:\n    def __add__(self, other):\n        raise ValueError(other)\n"
        "try:\n    Picky() + 1\nexcept ValueError as error:\n    print(error)",
        ["1"],
    ),
}
"""Programs after ``NUM``, with what they print: no special method of theirs stays unopened."""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source + "\n"))
    assert isinstance(trace, Trace) and not trace.failed_checks, f"{trace}\n{source}"
    assert not FLAT & trace.kept_whole.keys(), trace.kept_whole
    return trace


def printed(trace: Trace) -> list[str]:
    """The lines that the program itself printed."""
    return [
        line
        for step in trace.steps
        if step.kind != "reveal" and "print(" in step.source and not step.source.startswith("class ")
        for line in step.output.splitlines()
    ]


@pytest.mark.parametrize("name", OPENED)
def test_a_call_that_is_not_spelt_is_opened(tracer, kit, name: str) -> None:
    source, lines = OPENED[name]
    trace = traced(tracer, kit, NUM + source)
    assert printed(trace) == lines, trace.text
    assert not {"operator", "property", "context_manager"} & trace.unopened_frames.keys(), trace.text


STAYS = {
    "subclass_first": "print(a + s)",
    "nothing_helps": "try:\n    print(a + 'x')\nexcept TypeError as error:\n    print(type(error))",
    "remainder": "print(5 in b)",
    "length_that_is_no_length": "class A:\n    def __len__(self):\n        return True\nprint(len(A()))",
    "negative_length": "class A:\n    def __len__(self):\n        return -1\ntry:\n    len(A())\n"
    "except ValueError as e:\n    print(e)",
    "own_attribute_is_no_method": "a.__add__ = lambda other: 1\nprint((a + b).n)",
    "attribute_error_of_a_getter": "class A:\n    @property\n    def p(self):\n        raise AttributeError('p')\n"
    "    def __getattr__(self, name):\n        return name\nprint(A().p)",
    "own_access": "class A:\n    def __getattribute__(self, name):\n        return 4\n    @property\n    def p(self):\n"
    "        return 5\nprint(A().p)",
    "class_that_lies": "class A:\n    __class__ = property(lambda self: int)\n    def __add__(self, other):\n"
    "        return 1\nprint(A() + 2)",
    "len_of_its_own": "def len(x):\n    return 9\nprint(len(a))",
    "text_first": "class A:\n    def __radd__(self, other):\n        return 'r'\n"
    "print('x' + A(), [1] + A(), 1.5 + A())",
    "format": "class A:\n    def __rmod__(self, other):\n        return 'r'\nprint('%s' % 1, 'x%s' % A() == 1)",
    "eq_that_is_no_bool": "class A:\n    def __eq__(self, other):\n        return []\nprint(A() == 1, A() != 1)",
    "not_equal_declines": "print(a != 5, a == 5)",
    "rebound_while_it_runs": "def f():\n    global a\n    a = Num(50)\n    return b\nprint((a + f()).n)",
    "chain": "print(a < b < s)",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\n    def __add__(self, o):\n"
    "        return P(self.x + o.x)\nprint((P(1) + P(2)).x, P(1) == P(1))",
    "recursion": "class N:\n    def __init__(self, k):\n        self.k = k\n    def __len__(self):\n"
    "        return 0 if self.k == 0 else 1 + len(N(self.k - 1))\n"
    "print(len(N(6)))",
    "generator_of_an_instance": "class A:\n    def __init__(self, n):\n        self.n = n\n    def __iter__(self):\n"
    "        yield self.n\n        yield 2\nfor x in A(1):\n    print(x)\n"
    "for x in A(5):\n    if x == 5:\n        break",
    "loop_over_itself": "class D:\n    n = 4\n    def __iter__(self):\n        return self\n    def __next__(self):\n"
    "        self.n -= 1\n        if self.n < 0:\n            raise StopIteration\n        return self.n\n"
    "    def first(self):\n        for x in self:\n            break\n        for y in self:\n            self = None\n"
    "        return x, y\nprint(D().first())",
    "text_that_prints": "class T:\n    def __str__(self):\n        print('making')\n        return 't'\n"
    "print('first', T())\nprint(T(), 'last')\nprint(a, T(), b)\nprint([a], T())",
    "text_that_raises": "class T:\n    def __str__(self):\n        return self.nothing\n"
    "try:\n    print('first', T())\nexcept AttributeError as error:\n    print(error)",
    "text_that_is_none": "class T:\n    def __str__(self):\n        return 5\ntry:\n    print(T())\n"
    "except TypeError as error:\n    print(error)",
    "text_after_arguments": "class T:\n    n = 1\n    def __str__(self):\n        return str(self.n)\n"
    "    def __repr__(self):\n"
    "        global a\n        a = 9\n        return 'r'\nt = T()\ndef f():\n    t.n += 5\n    return 0\n"
    "print(t, f(), (lambda: f())())\nclass U(T):\n    __str__ = T.__repr__\nprint(U(), a)\nprint(a)",
    "own_format": "class T:\n    def __format__(self, spec):\n        return 'f' + spec\n    def __str__(self):\n"
    "        return 's'\nprint(f'{T()} {T():>3} {T()!s}')",
    "own_print": "def print_all(*xs):\n    for x in xs:\n        print(x)\nprint_all(a, b)\nprint(a, file=None)",
    "exceptions": "class Bad(ValueError):\n    def __init__(self, n, *, k=1):\n        self.n = n\nclass Worse(Bad):\n"
    "    def __init__(self, n):\n        super().__init__(n, k=2)\n        self.text = 't'\n"
    "class File(OSError):\n    def __init__(self, n):\n        self.n = n\n"
    "for kind in (Bad, Worse, File):\n    try:\n        raise kind(3)\n    except Exception as error:\n"
    "        print(repr(error), error.args, error.n)\ntry:\n    raise Bad(len('abc') + 1, k=4)\n"
    "except Bad as error:\n    print(error.args, error)",
    "managed_without_yield": "import contextlib\n@contextlib.contextmanager\ndef m():\n    if a is None:\n"
    "        yield\ntry:\n    with m():\n        pass\nexcept RuntimeError as error:\n    print(error)",
    "managed_with_two": "import contextlib\n@contextlib.contextmanager\ndef m():\n    yield 1\n    yield 2\n"
    "try:\n    with m():\n        print('in')\nexcept RuntimeError as error:\n    print(error)",
    "managed_output": "import contextlib, io, sys\n@contextlib.contextmanager\ndef quiet():\n    old = sys.stdout\n"
    "    sys.stdout = io.StringIO()\n    yield\n    sys.stdout = old\nwith quiet():\n    print('no')\nprint('yes')",
    "decorator_that_raises": "def bad(f):\n    raise ValueError(f.__name__)\ntry:\n"
    "    @bad\n    def g():\n        pass\n"
    "except ValueError as error:\n    print(error)",
    "decorator_of_a_method": "def loud(f):\n    def inner(self):\n        return f(self) + 1\n    return inner\n"
    "class A:\n    @loud\n    def m(self):\n        return 1\nprint(A().m())",
    "no_iterator": "class A:\n    def __iter__(self):\n        return 5\ntry:\n    for x in A():\n        pass\n"
    "except TypeError as error:\n    print(error)",
    "left_early": "class A:\n    def __iter__(self):\n        yield 1\n        print('no')\n        yield 2\n"
    "for x in A():\n    break\nprint(x)",
    "error_of_next": "class A:\n    def __iter__(self):\n        return self\n    def __next__(self):\n"
    "        raise KeyError(1)\ntry:\n    for x in A():\n        pass\nexcept KeyError as error:\n    print(error)",
    "old_protocol": "class A:\n    def __getitem__(self, i):\n        if i > 2:\n"
    "            raise IndexError\n        return i\n"
    "for x in A():\n    print(x)",
    "else_of_a_loop": "class A:\n    def __iter__(self):\n        yield 1\nfor x in A():\n"
    "    print(x)\nelse:\n    print('e')",
    "in_place_of_nothing": "class A:\n    __iadd__ = None\n    def __add__(self, other):\n        return 1\nx = A()\n"
    "try:\n    x += 1\nexcept TypeError:\n    print('no')",
    "item_in_place": "class Bag:\n    def __getitem__(self, i):\n        return i\n    def __setitem__(self, i, v):\n"
    "        print(i, v)\nbag = Bag()\nbag[3] += 4\nbag[2] = bag[3] = 0\nbag[1:2] = 5\nbag[1, 2] = 6",
    "read_only": "class A:\n    @property\n    def p(self):\n        return 1\ntry:\n    A().p = 2\n"
    "except AttributeError:\n    print('no')",
    "generator_of_class": "class A:\n    def __getitem__(self, i):\n        yield i\nprint(list(A()[3]))",
    "metaclass": "class M(type):\n    def __add__(cls, other):\n        return other\nclass A(metaclass=M):\n    pass\n"
    "print(A + 3)",
}
"""Programs whose session would be false if the obvious method were opened, or opened alone."""


@pytest.mark.parametrize("name", STAYS)
def test_a_call_that_python_makes_otherwise_is_told_truly(tracer, kit, name: str) -> None:
    trace = traced(tracer, kit, NUM + STAYS[name])
    assert trace.own_frames == trace.opened_frames + sum(trace.unopened_frames.values())


def test_a_handler_asks_the_bases_alone(tracer, kit) -> None:
    source = (
        "class M(type):\n    def __instancecheck__(cls, value):\n        return True\n"
        "class Greedy(Exception, metaclass=M):\n    pass\n"
        "try:\n    raise KeyError(1)\nexcept Greedy:\n    print('wrong')\nexcept LookupError:\n    print('right')"
    )
    trace = traced(tracer, kit, source)
    assert printed(trace) == ["right"] and not trace.kept_whole


def test_a_handler_of_no_exception_raises_as_python_does(tracer, kit) -> None:
    source = (
        "try:\n    try:\n        1 / 0\n    except 5:\n        print(1)\nexcept TypeError as error:\n    print(error)"
    )
    trace = traced(tracer, kit, source)
    assert "catching classes that do not inherit from BaseException" in trace.text
