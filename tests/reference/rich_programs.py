"""Random programs whose frames are entered in every way: operators, properties, generators, callbacks, contexts,
closures, decorators, exceptions, recursion, nested classes, dataclasses, coroutines and input.

A program is a prelude of definitions, of which each is there by chance, and statements that use them. Every loop and
recursion is bounded, and every number stays small.
"""

from __future__ import annotations

import random

IMPORTS = "import functools\nfrom contextlib import contextmanager\n"
NUMBER = """\
class Num:
    count = 0
    def __init__(self, n):
        self.n = n % 97
    def __add__(self, other):
        if not isinstance(other, Num):
            return NotImplemented
        return Num(self.n + other.n)
    def __radd__(self, other):
        return Num(self.n + other)
    def __mul__(self, k):
        return Num(self.n * k)
    def __neg__(self):
        return Num(-self.n)
    def __eq__(self, other):
        return isinstance(other, Num) and self.n == other.n
    def __lt__(self, other):
        return self.n < other.n
    def __hash__(self):
        return hash(self.n)
    def __bool__(self):
        return self.n % 2 == 1
    def __repr__(self):
        return f"Num({self.n})"
    def __call__(self, k):
        return self.n + k
    @property
    def double(self):
        d = self.n * 2
        return d
    @double.setter
    def double(self, value):
        self.n = value // 2
    @classmethod
    def make(cls, n):
        cls.count += 1
        return cls(n)
    @staticmethod
    def clip(n):
        return max(0, min(n, 50))
"""
BAG = """\
class Bag:
    def __init__(self, *items):
        self.items = list(items)
    def __len__(self):
        return len(self.items)
    def __getitem__(self, index):
        return self.items[index]
    def __setitem__(self, index, value):
        self.items[index] = value
    def __contains__(self, value):
        return value in self.items
    def __iter__(self):
        return iter(self.items)
    def __getattr__(self, name):
        if name == "first":
            return self.items[0]
        raise AttributeError(name)
"""
GENERATORS = """\
def count(n):
    k = 0
    while k < n:
        yield k
        k += 1
def chain(n):
    yield from count(n)
    yield n * 10
def echo(n):
    total = 0
    for k in range(n):
        got = yield total
        total += got or k
"""
CONTEXTS = """\
class Room:
    def __init__(self, swallow):
        self.swallow = swallow
    def __enter__(self):
        log.append("in")
        return self
    def __exit__(self, kind, error, trace):
        log.append("out")
        return self.swallow and kind is ValueError
@contextmanager
def tagged(name):
    log.append(name)
    try:
        yield name * 2
    finally:
        log.append("/" + name)
"""
CALLS = """\
def loud(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        log.append(f.__name__)
        return f(*args, **kwargs)
    return wrapper
def times(k):
    def decorate(f):
        def inner(x):
            r = 0
            for _ in range(k):
                r += f(x)
            return r
        return inner
    return decorate
@loud
def square(x):
    return x * x
@times(2)
def half(x):
    return x // 2
def fact(n):
    if n < 2:
        return 1
    return n * fact(n - 1) % 1009
def even(n):
    return True if n == 0 else odd(n - 1)
def odd(n):
    return False if n == 0 else even(n - 1)
def key(x):
    return (x * 7) % 5
def plus(a, b=1, *rest, c=0):
    return a + b + sum(rest) + c
def counter():
    n = 0
    def inc(by=1):
        nonlocal n
        n += by
        return n
    return inc
def adder(k):
    def add(x):
        return x + k
    return add
@functools.lru_cache(None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
"""
ERRORS = """\
class Bad(ValueError):
    def __init__(self, n):
        super().__init__(f"bad {n}")
        self.n = n
def check(n):
    if n % 3 == 0:
        raise Bad(n)
    return n
def safe(n):
    try:
        return check(n)
    except Bad as error:
        return -error.n
    finally:
        log.append("checked")
"""
NESTED = """\
import asyncio, collections, dataclasses, io, sys
sys.stdin = io.StringIO("5\\n7\\n")
class Tree:
    class Leaf:
        def __init__(self, v):
            self.v = v
        def total(self):
            return self.v
    def __init__(self, *kids):
        self.kids = kids
    def total(self):
        return sum(kid.total() for kid in self.kids)
    def leaves(self):
        for kid in self.kids:
            if isinstance(kid, Tree):
                yield from kid.leaves()
            else:
                yield kid
@dataclasses.dataclass(order=True)
class Pair:
    a: int
    b: int = 2
    def swapped(self):
        return Pair(self.b, self.a)
class Point(collections.namedtuple("Point", "x y")):
    def moved(self, by):
        return Point(self.x + by, self.y)
async def later(n):
    await asyncio.sleep(0)
    return n * 2
async def both(n):
    return [await later(n), *await asyncio.gather(later(1), later(2))]
def asked(default):
    try:
        return int(input())
    except EOFError:
        return default
def visit(f, xs):
    return [f(x) for x in xs]
"""
PRELUDES = (NUMBER, BAG, GENERATORS, CONTEXTS, CALLS, ERRORS, NESTED)

STATEMENTS = {
    NUMBER: (
        "p = Num({0}) + Num({1})",
        "p = {0} + Num({1})",
        "q = sum([Num({0}), Num({1})], Num(0))",
        "p = p * {0}",
        "print(p == q, p < q, -p)",
        "print(sorted([p, q, Num({0})]))",
        "x = p.double",
        "p.double = {0}",
        "p += q",
        "x = p({0})",
        "p = Num.make({0})",
        "x = Num.clip({0} * 9)",
        "print(p, q)",
        "x = 1 if p else 2",
        "if p:\n    x += 1\nelse:\n    x -= 1",
        "x = (p and q).n",
        "print(len({{p, q, Num({0})}}))",
        "print(max(p, q, key=lambda t: t.n))",
        "while p < Num(5):\n    p = p + Num(2)",
        "print(f'{{p}} {{q!r}}')",
    ),
    BAG: (
        "bag = Bag({0}, {1}, 2)",
        "x = len(bag)",
        "x = bag[{0} % 2]",
        "bag[0] = {0}",
        "print({0} in bag)",
        "for item in bag:\n    x += item",
        "print(list(bag), bag.first)",
        "a, b, *rest = bag",
        "x = sum(bag)",
        "print([item for item in bag if item])",
        "bag[1] += {0}",
        "try:\n    bag.nothing\nexcept AttributeError:\n    x = 0",
    ),
    GENERATORS: (
        "for k in count({0} % 5):\n    x += k",
        "print(list(chain(3)))",
        "x = sum(count(4))",
        "g = count(3)\nprint(next(g))\nprint(next(g, None))",
        "for k in chain({0} % 4):\n    if k == 1:\n        break",
        "e = echo(4)\nnext(e)\nprint(e.send({0}))",
        "print(sum(k * 2 for k in count(3)))",
        "print({{k: v for k, v in zip(count(2), chain(2))}})",
        "print(max(count(3)), any(k > 1 for k in range(4)))",
        "for i, k in enumerate(count(2)):\n    print(i, k)",
    ),
    CONTEXTS: (
        "with Room(True) as room:\n    x += 1",
        "with Room(True):\n    raise ValueError({0})",
        "with tagged('t') as tag:\n    print(tag)",
        "with Room(False) as one, tagged('u'):\n    x = {0}",
        "try:\n    with Room(False):\n        raise KeyError({0})\nexcept KeyError as e:\n    print(e)",
    ),
    CALLS: (
        "x = square({0})",
        "x = half({0}) + half({1})",
        "x = fact({0} % 6)",
        "print(even({0} % 7))",
        "print(sorted([3, 1, 2, {0}], key=key))",
        "print(list(map(key, [1, {0}])))",
        "x = plus({0}, c={1})",
        "x = plus(*[1, {0}], {1})",
        "inc = counter()\nx = inc() + inc({0})",
        "add = adder({0})\nx = add({1})",
        "x = fib({0} % 8)",
        "print(functools.reduce(lambda a, b: a * 2 + b, [1, {0}, 3]))",
        "f = lambda t: key(t) + 1\nx = f({0})",
        "print([square(k) for k in range(2)])",
        "x = {0} > 3 and key({1}) or plus({0})",
        "x = key({0}) if {0} > {1} else square({1})",
        "for k in range(2):\n    x += key(k) * fact(k)",
        "print(plus(key({0}), key({1}), key(2)))",
        "x = functools.partial(plus, {0})({1})",
        "print(list(filter(lambda t: t > 1, [1, 2, {0}])))",
        "while x > 20:\n    x = x // 2 - key(x)",
        "def local(t):\n    return plus(t, t)\nx = local({0})",
        "d = {{'a': key({0})}}\nd['a'] += key({1})",
        "assert key({0}) < 5, key(1)",
    ),
    ERRORS: (
        "x = safe({0})",
        "try:\n    x = check({0})\nexcept Bad as error:\n    print(error, error.n)",
        "try:\n    check(3)\nexcept (KeyError, ValueError):\n    x = safe(4)\nfinally:\n    print(len(log))",
        "print([safe(k) for k in (1, 3)])",
    ),
    NESTED: (
        "tree = Tree(Tree.Leaf({0}), Tree(Tree.Leaf({1}), Tree.Leaf(1)))\nprint(tree.total())",
        "print([leaf.v for leaf in Tree(Tree.Leaf({0}), Tree(Tree.Leaf(2))).leaves()])",
        "leaves = Tree(Tree.Leaf(1), Tree.Leaf({0})).leaves()\nx = next(leaves).total() + next(leaves).v",
        "pair = Pair({0}, {1}).swapped()\nprint(pair, pair < Pair(3))",
        "print(sorted([Pair({0}), Pair(1, {1})], key=lambda pair: pair.b))",
        "print(Point({0}, 1).moved(2))",
        "print(asyncio.run(both({0})))",
        "x = asked({0}) + x % 7",
        "print(visit(lambda t: t + {0}, [1, {1}]))",
        "print(sum(map(lambda t, u: t * u, [1, {0}], [{1}, 2])))",
    ),
}
"""What programs do with each prelude; ``{0}`` and ``{1}`` become numbers, so other braces are doubled."""
START = "x, a, b = 1, 2, 3\n"
STARTS = {NUMBER: "p, q = Num(3), Num(4)\n", BAG: "bag = Bag(1, 2)\n"}


def rich_program(draw: random.Random) -> str:
    """One program; equal draws give equal programs."""
    preludes = [each for each in PRELUDES if draw.random() < 0.6] or [CALLS]
    lines = [IMPORTS, "log = []\n", *preludes, START, *(STARTS.get(each, "") for each in preludes)]
    for _ in range(draw.randrange(3, 9)):
        statement = draw.choice(STATEMENTS[draw.choice(preludes)])
        text = statement.format(draw.randrange(0, 9), draw.randrange(0, 9))
        if draw.random() < 0.25:
            indented = "\n    ".join(text.split("\n"))
            text = draw.choice([f"if x < 50:\n    {indented}", f"for turn in range(2):\n    {indented}"])
        lines.append(text + "\n")
    return "".join([*lines, "print(x, log)\n"])
