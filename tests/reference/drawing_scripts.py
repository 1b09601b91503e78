"""Random scripts that draw: functions, closures, generators, classes, loops with jumps, handlers, ``sys.exit``.

All draws are ``random.random() < p`` and ``random.choice``, so that ``edited_runs`` can run each way that they fall.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

BEGINNING = """\
import random, sys
total = 0
def f(x):
    return x + 1
def h(x, y=1):
    if x > y:
        return x - y
    return y
class C:
    def __init__(self):
        self.n = 0
        self.items = []
    def up(self, k):
        self.n += k
        return self.n
    def add(self, k):
        self.items.append(k)
def push(x, seen=[]):
    seen.append(x)
    return len(seen)
def bump():
    global total
    total += 1
def make(k=0):
    def counter():
        nonlocal k
        k += 1
        return k
    return counter
counter = make()
def gen(n):
    for i in range(n % 3):
        if random.random() < 0.5:
            yield i
    yield n
def rec(n):
    if n <= 0 or random.random() < 0.5:
        return 0
    return 1 + rec(n - 1 if n < 3 else 1)
class Cell:
    __slots__ = ("x",)
    def __init__(self):
        self.x = 0
    def get(self):
        return self.x
    def set(self, x):
        if random.random() < 0.25:
            raise ValueError(x)
        self.x = x
class Swallows:
    def __enter__(self):
        return self
    def __exit__(self, kind, error, trace):
        v.append(0 if kind is None else 1)
        return isinstance(error, (KeyError, IndexError))
cell = Cell()
it = iter([1, 2])
a, b, v, d, s, c = 1, 2, [1, 2], {}, "", C()
"""
DRAWING = "def g(x):\n    if random.random() < 0.5:\n        return x * 2\n    return x\n"
PLAIN = "def g(x):\n    y = x\n    for i in range(2):\n        y += i\n    return y\n"
END = "print(a, b, v, d, s, c.n, c.items, total)\n"
EXPRESSIONS = (
    *("a", "b", "len(v)", "a + 1", "b * 2", "a - b", "v[-1]", "d.get('k', 0)", "f(a)", "g(b)", "h(a, b)", "sum(v)"),
    *("max(a, b)", "(a if b > 1 else b)", "c.n", "c.up(a)", "random.choice([a, 1, 5])", "counter()", "next(it, 7)"),
    *("(a if random.random() < 0.5 else 0)", "rec(a)", "[random.choice([0, 1]) for _ in range(2)][1]", "cell.get()"),
    *("sorted(v)[0]", "len({*v})"),
)
STATEMENTS = (
    *("a = {}", "b = {}", "v.append({})", "d['k'] = {}", "s += str({})", "c.add({})", "a += {}", "print({})"),
    *("v.reverse()", "a, b = b, a", "c.n += 1", "v = [*v, b]", "v = [x + 1 for x in v]", "d = dict(d)", "push(a)"),
    *("bump()", "v = sorted(v)", "it = iter(v)", "d.pop('k', None)", "assert a < 7, a", "del v[-1:]", "t = [*gen(b)]"),
    *("v += gen(2)", "cell.set(b)"),
)
FAILING = ("v[9]", "1 / (a - a)", "pass", "d['zz']", "assert b < 9", "cell.set(a)")
LOOPS = ("for i in range(2):", "for i, x in enumerate([{}, 2]):", "for x in v[:2]:")
HANDLERS = ("except (IndexError, ZeroDivisionError, KeyError):", "except Exception as e:")
CHANCES = (0.5, 0.25, 0.75, 0.125)
MOST_DRAWS = 5
"""Places of draws in a script: each way that they fall is run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Lines that scripts are made of.

    Every script has ``beginning``, one of the two functions ``g``, and ``end``. The others are to choose from; ``{}``
    stands for an expression, and of a handler further lines may stand behind its first.
    """

    beginning: str
    drawing: str
    plain: str
    end: str
    expressions: tuple[str, ...]
    statements: tuple[str, ...]
    failing: tuple[str, ...]
    loops: tuple[str, ...]
    handlers: tuple[str, ...]
    managers: tuple[str, ...]


CORE = Vocabulary(
    beginning=BEGINNING,
    drawing=DRAWING,
    plain=PLAIN,
    end=END,
    expressions=EXPRESSIONS,
    statements=STATEMENTS,
    failing=FAILING,
    loops=LOOPS,
    handlers=HANDLERS,
    managers=("with Swallows():",),
)


def drawing_script(seed: int, vocabulary: Vocabulary = CORE) -> str:
    """Return the script of a number."""
    return _Maker(seed, vocabulary).script()


class _Maker:
    def __init__(self, seed: int, vocabulary: Vocabulary) -> None:
        self._words = vocabulary
        self._random = random.Random(seed)
        self._draws = 0

    def script(self) -> str:
        """The beginning, some statements, and a line that shows all variables."""
        draws = self._random.random() < 0.5
        self._draws += draws
        body = [line for _ in range(self._random.randint(3, 6)) for line in self._statement(2, False, "")]
        words = self._words
        function = words.drawing if draws else words.plain
        return words.beginning + function + "".join(f"{line}\n" for line in body) + words.end

    def _chance(self) -> str:
        self._draws += 1
        return f"if random.random() < {self._random.choice(CHANCES)}:"

    def _simple(self) -> str:
        return self._random.choice(self._words.statements).format(self._random.choice(self._words.expressions))

    def _handler(self, indent: str) -> list[str]:
        return [indent + line for line in self._random.choice(self._words.handlers).split("\n")]

    def _block(self, depth: int, in_loop: bool, indent: str) -> list[str]:
        number = self._random.randint(1, 3)
        return [line for _ in range(number) for line in self._statement(depth, in_loop, f"{indent}    ")]

    def _statement(self, depth: int, in_loop: bool, indent: str) -> list[str]:
        kinds = ["simple"] * 6
        if depth > 0:
            kinds += ["handler", "with", "test", "test", "while"]
            if self._draws < MOST_DRAWS:
                kinds += ["chance"] * 5 + ["exit"] + ["jump"] * (3 * in_loop)
            if self._draws < MOST_DRAWS - 1:
                kinds += ["loop"] * 3
        kind = self._random.choice(kinds)
        if kind == "simple":
            return [indent + self._simple()]
        if kind == "exit":
            return [indent + self._chance(), f"{indent}    sys.exit(a)"]
        if kind == "jump":
            return [indent + self._chance(), f"{indent}    {self._random.choice(('break', 'continue'))}"]
        if kind == "chance":
            within = [indent + self._chance(), *self._block(depth - 1, in_loop, indent)]
            if self._random.random() < 0.4:
                within += [f"{indent}else:", *self._block(depth - 1, in_loop, indent)]
        elif kind == "loop":
            before = self._draws
            head = self._random.choice(self._words.loops).format(self._random.randint(0, 3))
            within = [indent + head, *self._block(depth - 1, True, indent)]
            self._draws += self._draws - before  # its turns draw each for themselves
        elif kind == "handler":
            within = [f"{indent}try:", *self._block(depth - 1, in_loop, indent)]
            within += [f"{indent}    {self._random.choice(self._words.failing)}", *self._handler(indent)]
            within += self._block(depth - 1, in_loop, indent)
        elif kind == "with":
            within = [indent + self._random.choice(self._words.managers), *self._block(depth - 1, in_loop, indent)]
            within.append(f"{indent}    {self._random.choice(self._words.failing)}")
        elif kind == "test":
            test = f"if {self._random.choice(self._words.expressions)} > {self._random.randint(0, 3)}:"
            within = [indent + test, *self._block(depth - 1, in_loop, indent)]
        else:
            turn = f"w{depth}"  # another name at each depth, so that the loop ends
            most = self._random.randint(1, 3)
            within = [f"{indent}{turn} = 0", f"{indent}while {turn} < {most}:", f"{indent}    {turn} += 1"]
            within += self._block(depth - 1, True, indent)
        return within
