"""Random scripts that draw by more functions of ``random``, and use more of the language and of the standard library.

The vocabulary of another maker of scripts: see ``drawing_scripts``, whose statements nest these.
"""

from __future__ import annotations

from drawing_scripts import Vocabulary

BEGINNING = """\
import collections, contextlib, dataclasses, enum, functools, heapq, itertools, os, random, sys
from decimal import Decimal
from fractions import Fraction
total = 0
Pair = collections.namedtuple("Pair", "left right")
class Mood(enum.Enum):
    CALM = 1
    WILD = 2
@dataclasses.dataclass
class Account:
    name: str
    money: int = 3
    past: list = dataclasses.field(default_factory=list)
    def pay(self, much):
        if much > self.money:
            raise ValueError(f"{self.name} has {self.money}")
        self.money -= much
        self.past.append(much)
        return self.money
@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int = 0
    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)
class Printer:
    def __init__(self, file=sys.stdout):
        self.file, self.lines = file, 0
    def say(self, x):
        self.lines += 1
        print(self.lines, x, file=self.file)
class Base:
    made = 0
    def __init__(self, n):
        self._n = n
        type(self).made += 1
    @property
    def n(self):
        return self._n
    @n.setter
    def n(self, value):
        self._n = value % 10
    @classmethod
    def of(cls, text):
        return cls(len(text))
    @staticmethod
    def twice(x):
        return 2 * x
    def step(self):
        return self._n + 1
class Child(Base):
    def step(self):
        if random.random() < 0.5:
            return super().step()
        return -super().step()
    def __getitem__(self, k):
        return self._n * k
    def __len__(self):
        return self._n % 3
    def __iter__(self):
        for i in range(self._n % 3):
            yield i
    def __eq__(self, other):
        return isinstance(other, Child) and self._n == other._n
    def __hash__(self):
        return hash(self._n)
@contextlib.contextmanager
def changed(k):
    global total
    total += k
    try:
        yield k + 1
    except ZeroDivisionError:
        log.append("zero")
    finally:
        total -= 1
@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def memo(n, known={}):
    if n not in known:
        known[n] = n * n + len(known)
    return known[n]
def logged(f):
    @functools.wraps(f)
    def wrapper(*args, **keys):
        log.append(f.__name__)
        return f(*args, **keys)
    return wrapper
@logged
def area(w, h=2, *, scale=1):
    return w * h * scale
def running():
    seen = 0
    while True:
        got = yield seen
        seen += got if got else 1
        if seen > 9:
            return
def many(*args, start=0, **keys):
    return sum(args, start) + len(keys)
def kind_of(x):
    match x:
        case 0:
            return "zero"
        case int() if x < 0:
            return "less"
        case [first, *rest]:
            return f"{first} and {len(rest)}"
        case Point(x=px, y=py):
            return px - py
        case {"k": value}:
            return value
        case str() | None:
            return "text"
        case _:
            return "other"
def chained(x):
    try:
        return 6 // x
    except ZeroDivisionError as e:
        raise RuntimeError("no", x) from e
def at_last(x):
    try:
        if x > 3:
            raise KeyError(x)
        return x
    except KeyError:
        return -1
    else:
        return 7
    finally:
        log.append(x)
def note(x):
    with open("notes.txt", "a") as file:
        file.write(f"{x}\\n")
def notes():
    if not os.path.exists("notes.txt"):
        return 0
    with open("notes.txt") as file:
        return len(file.readlines())
log, errors = [], []
run, printer, out = running(), Printer(), sys.stdout
next(run)
account, child, point = Account("ann"), Child(4), Point(1, 2)
queue, count, table = collections.deque([1, 2, 3], maxlen=4), collections.Counter("aab"), collections.defaultdict(list)
heap, grid, word = [3, 5], [[0, 1], [2, 3]], "abc"
a, b, v, d, s = 1, 2, [3, 1, 2], {}, {1, 2}
"""

END = """\
print(a, b, v, d, sorted(s), log, total, queue, sorted(count.items()), dict(table), heap, grid, word)
print(account, child.n, Base.made, Child.made, point, [repr(e) for e in errors], [repr(e.__context__) for e in errors])
"""

DRAWING = "def g(x):\n    return random.choice([x, x + 1]) if x < 4 else random.randint(0, 1)\n"
PLAIN = "def g(x):\n    return [y for y in range(x % 4) if y != 1]\n"

EXPRESSIONS = (
    *("a", "b", "len(v)", "a + b", "v[0]", "child.step()", "child.n", "child[2]", "len(child)"),
    *("account.money", "area(a)", "area(a, scale=b)", "many(a, b, start=1)", "many(*v, k=2)", "memo(a % 5)"),
    *("fib(a % 7)", "at_last(a)", "Base.twice(a)", "Child.of(word).n", "point.x", "(point + Point(b)).x"),
    *("sum(x * x for x in v)", "max(v, key=abs)", "functools.reduce(lambda x, y: x * 2 + y, v, 0)"),
    *("sum(itertools.islice(itertools.count(a), 2))", "len(queue)", "next((x for x in v if x > 1), 9)"),
    *("(lambda x, y=a: x + y)(b)", "int(Fraction(a, 2) * 4)", "int(Decimal(b) + 1)", "count['a']"),
    *("sorted(v, reverse=True)[0]", "(a if s else b)", "len(word)", "word.count('a')", "Mood.WILD.value"),
    *("sum(sum(row) for row in grid)", "(c := a + 1)", "min(heap, default=4)", "[*map(int, '31')][0]"),
    *("v.index(max(v))", "random.randint(0, 2)", "random.choice(v)", "random.randrange(1, 6, 2)"),
    *("random.sample([4, 5, 6], 2)[0]", "random.choices([1, 2], weights=[3, 1])[0]"),
    *("random.choice(list(Mood)).value", "len(set(map(str, v)))", "notes()"),
)
STATEMENTS = (
    *("a = {}", "b = {}", "v.append({})", "d[a] = {}", "print({})", "a += {}", "s.add({})"),
    *("table[a].append({})", "queue.append({})", "heapq.heappush(heap, {})", "count[str({})] += 1"),
    *("grid[a % 2][b % 2] = {}", "child.n = {}", "account.pay({})", "log.append(kind_of({}))"),
    *("word += str({})", "point = Point({}, a)", "v = [x for x in v if x != {}]"),
    *("log.append(kind_of([a, {}]))", "log.append(kind_of(dict(k={})))", "log.append(kind_of(point))"),
    *("a, *rest = [b, {}]", "v.sort(key=lambda x: -x)", "random.shuffle(v)", "v = [*reversed(v)]"),
    *("a, b = b, a", "queue.rotate(1)", "d = {{k: w for w, k in enumerate(v)}}", "heapq.heappop(heap)"),
    *("del v[0]", "run.send(a)", "errors.append(chained(a - 1))"),
    *("v = random.sample(v, len(v)) if len(v) < 4 else v", "grid = [list(row) for row in zip(*grid)]"),
    *("v[::2] = [0] * len(v[::2])", "print(f'{{a:>3}} {{b!r}} {{v}}')", "print(*v, sep=', ')"),
    *("log = log[-2:]", "word = word[::-1].upper()", "a = abs(a) % 10", "s = {{x % 3 for x in v}}"),
    *("printer.say({})", "_ = out.write(f'{{a}}\\n')", "printer.lines += {}", "note({})"),
    *("print(sorted(s) == [1], s <= {{1, 2, 3}})", "print('%d and %s' % (a, word))", "v.extend(child)"),
    *("print(child == Child(a), child != 3)", "account = dataclasses.replace(account, money=a)"),
    *("print(account, point < Point(2))",),
)
FAILING = ("v[9]", "1 / (a - a)", "pass", "d['zz']", "chained(a - b)", "account.pay(a)", "next(iter([]))", "int(word)")
LOOPS = (
    *("for i in range(2):", "for i, x in enumerate([{}, 2]):", "for x in v[:2]:"),
    *("for k, w in zip('ab', v):", "for row in grid:", "for x in sorted(count):", "for x in child:"),
    *("for x, y in itertools.product([0], [1, a]):",),
)
HANDLERS = (
    *("except (IndexError, ZeroDivisionError, KeyError):", "except Exception as e:\n    errors.append(e)"),
    *("except (RuntimeError, ValueError) as e:\n    print(repr(e.__cause__), e.args)",),
    *("except LookupError as e:\n    a = len(e.args)",),
)
WITH = ("with changed(a) as z:", "with contextlib.suppress(IndexError, KeyError):", "with changed(1), changed(b):")

LIBRARY = Vocabulary(
    beginning=BEGINNING,
    drawing=DRAWING,
    plain=PLAIN,
    end=END,
    expressions=EXPRESSIONS,
    statements=STATEMENTS,
    failing=FAILING,
    loops=LOOPS,
    handlers=HANDLERS,
    managers=WITH,
)
