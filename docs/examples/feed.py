"""Replays one row of a view with choices through doctest, with the row's text, set-up and recorded draws alone.

    python docs/examples/feed.py < row.json          {"text": ..., "setup": {"code": ..., "choices": [...]}}

``setup["choices"]`` has, in order, what each primitive gave: ``random`` a float, ``_randbelow`` and ``getrandbits`` an
int, ``gauss`` a standard normal, ``expovariate`` a standard exponential, ``os.urandom`` ``{"bytes": hex}``. The row's code
runs here, WITHOUT A SANDBOX: replay only what you would run anyway.
"""

import doctest
import json
import os
import random
import sys

row = json.load(sys.stdin)
draws = iter(row["setup"]["choices"])


def take(*_):
    return next(draws)


for cls in (random.Random, random.SystemRandom):
    cls.random = cls._randbelow = cls.getrandbits = take
    cls.gauss = cls.normalvariate = lambda self, mu=0.0, sigma=1.0: take() * sigma + mu
    cls.expovariate = lambda self, lambd=1.0: take() / lambd
for name in random.__all__:
    if getattr(getattr(random, name), "__self__", None) is random._inst:
        setattr(random, name, getattr(random._inst, name))
os.urandom = random._urandom = lambda size: bytes.fromhex(take()["bytes"])

namespace = {}
exec(row["setup"]["code"], namespace)
test = doctest.DocTestParser().get_doctest(row["text"], namespace, "row", None, 0)
failed = doctest.DocTestRunner(verbose=False).run(test).failed
left = len(list(draws))
print(f"{len(test.examples)} commands, {failed} differ, {left} draws left over")
sys.exit(bool(failed or left))
