"""Random scripts whose functions draw or have effects, and are cached: see ``drawing_scripts``."""

from __future__ import annotations

from drawing_scripts import DRAWING, HANDLERS, Vocabulary

BEGINNING = """\
import functools, random
log, known = [], {}
@functools.lru_cache(maxsize=2)
def roll(x):
    log.append(x)
    return x + (random.random() < 0.5)
@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.lru_cache(maxsize=None, typed=True)
def made(x, *, k=1):
    return [x, k]
class Shop:
    sold = 0
    def __init__(self, n):
        self.n = n
        self.cheap = functools.lru_cache(maxsize=1)(self.price)
    def price(self, x):
        Shop.sold += 1
        return x * self.n
    @functools.lru_cache
    def dear(self, x):
        log.append(self.n)
        return x + self.n
    @functools.cached_property
    def size(self):
        return self.n + (random.random() < 0.25)
    @staticmethod
    @functools.cache
    def of(n):
        return Shop(n)
def counted(function):
    kept = functools.lru_cache(maxsize=2)(function)
    @functools.wraps(function)
    def wrapper(x):
        wrapper.calls += 1
        return kept(x)
    wrapper.calls, wrapper.info = 0, kept.cache_info
    return wrapper
@counted
def slow(x):
    log.append(-x)
    return x % 3
def memo(x):
    if x not in known:
        known[x] = len(known)
    return known[x]
shop, a, b, v = Shop(2), 1, 2, [1, 2]
"""
PLAIN = "@functools.cache\ndef g(x):\n    log.append('g')\n    return x + len(log) % 2\n"
EXPRESSIONS = (
    *("a", "b", "a + 1", "len(v)", "v[-1]", "roll(a)", "roll(b % 3)", "fib(a % 6)", "made(a)[0]", "len(made(b, k=a))"),
    *(
        "shop.cheap(a)",
        "shop.dear(b)",
        "shop.size",
        "Shop.of(a % 2).n",
        "slow(a)",
        "memo(a)",
        "memo(b % 2)",
        "g(a % 3)",
    ),
    *(
        "roll.cache_info().hits",
        "fib.cache_info().currsize",
        "slow.calls",
        "slow.info().misses",
        "random.choice([a, 1])",
    ),
    *("(1 if made(a) is made(a) else 0)", "Shop.of(1).dear(a)"),
)
STATEMENTS = (
    *(
        "a = {}",
        "b = {}",
        "v.append({})",
        "print({})",
        "a += {}",
        "made(a).append({})",
        "shop.n = {}",
        "roll.cache_clear()",
    ),
    *("fib({} % 5)", "Shop.dear.cache_clear()", "shop = Shop({})", "v = v[-2:]", "a, b = b, a % 7", "made.tag = {}"),
    *("vars(shop).pop('size', None)", "roll({})", "slow({})", "known.clear()", "f = functools.cache(lambda x: [x])"),
)
END = """\
print(a, b, v, log, sorted(known.items()), shop.n, Shop.sold, made(1), vars(made).get("tag"))
print([(*f.cache_info(),) for f in (roll, fib, made, shop.cheap, Shop.dear, Shop.of)], slow.calls, (*slow.info(),))
"""
CACHED = Vocabulary(
    beginning=BEGINNING,
    drawing="@functools.lru_cache(maxsize=1)\n" + DRAWING,
    plain=PLAIN,
    end=END,
    expressions=EXPRESSIONS,
    statements=STATEMENTS,
    failing=("v[9]", "1 / (a - a)", "pass", "roll([])"),
    loops=("for i in range(2):", "for x in v[:2]:", "for i, x in enumerate([{}, 2]):"),
    handlers=(HANDLERS[0], "except Exception as e:"),
    managers=("with __import__('contextlib').suppress(TypeError, IndexError):",),
)
