"""Replays one row of a view with choices through doctest, with the row's text, set-up and recorded draws alone.

    python docs/examples/feed.py [FOLDER] < row.json    {"text": ..., "setup": {"code": ..., "choices": [...], ...}}

FOLDER is where the row's repository lies, for rows that import from it (``setup["sys_path"]``, ``setup["module"]``).

``setup["choices"]`` has, in order, what each primitive gave: ``random`` a float, ``_randbelow`` and ``getrandbits`` an
int, ``gauss`` a standard normal, ``expovariate`` a standard exponential, ``os.urandom`` ``{"bytes": hex}``, ``input`` a
text, ``time.time`` and ``perf_counter`` a float, ``getstate`` of an unseeded generator the seed that it gets. A generator
that the program seeds draws by itself. Declared environment variables and numpy: see docs/choices.md. The row's code runs
here, WITHOUT A SANDBOX: replay only what you would run anyway.
"""

import builtins, doctest, importlib, json, os, random, sys, time

row = json.load(sys.stdin)
if len(sys.argv) > 1:
    sys.path[:0] = [os.path.join(os.path.abspath(sys.argv[1]), folder) for folder in row["setup"].get("sys_path", [])]
draws = iter(row["setup"]["choices"])
take = lambda *_: next(draws)
Random = random.Random
seed, setstate, getstate = Random.seed, Random.setstate, Random.getstate


def seeded(self, a=None, version=2):
    self.is_fixed = a is not None
    seed(self, a, version)


def feed(name, draw):
    plain = getattr(Random, name)
    setattr(Random, name, lambda self, *a, **k: (plain if vars(self).get("is_fixed") else draw)(self, *a, **k))


for name in ("random", "_randbelow", "getrandbits"):
    feed(name, take)
    setattr(random.SystemRandom, name, take)
for name in ("gauss", "normalvariate"):
    feed(name, lambda self, mu=0.0, sigma=1.0: mu + take() * sigma)
feed("expovariate", lambda self, lambd=1.0: take() / lambd)
feed("getstate", lambda self: (self.seed(take()), getstate(self))[1])
Random.seed, Random.setstate = seeded, lambda self, state: (setstate(self, state), vars(self).update(is_fixed=True))[0]
for name in random.__all__:
    if getattr(getattr(random, name), "__self__", None) is random._inst:
        setattr(random, name, getattr(random._inst, name))
os.urandom = random._urandom = lambda size: bytes.fromhex(take()["bytes"]) if size else b""
random.SystemRandom.randbytes = lambda self, n: os.urandom(n)
builtins.input = lambda prompt="": print(prompt) or take()
time.time = time.perf_counter = take
time.time_ns = time.perf_counter_ns = lambda: int(take() * 1e9)

module = row["setup"].get("module")
namespace = {} if module is None else dict(vars(importlib.import_module(module)))
exec(row["setup"]["code"], namespace)
test = doctest.DocTestParser().get_doctest(row["text"], namespace, "row", None, 0)
failed = doctest.DocTestRunner(verbose=False).run(test).failed
left = len(list(draws))
print(f"{len(test.examples)} commands, {failed} differ, {left} draws left over")
sys.exit(bool(failed or left))
