"""Recorded draws replay with ``docs/examples/feed.py``, which has nothing of ours: what they log is a contract."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trace_mine.tracer.inside.draws.deciders import Laws, SeededDecider, using
from trace_mine.tracer.inside.draws.patches import install

ROOT = Path(__file__).parents[3]
SESSION = """
import copy, os, random, secrets, time, uuid
random.random(), random.uniform(1, 2), random.triangular(0, 1)
random.randint(1, 6), random.randrange(0, 100, 7), random.choice('abc')
random.choices('abc', weights=[1, 2, 3], k=4), random.sample(range(100), 5)
xs = list(range(9))
random.shuffle(xs)
xs
random.getrandbits(3), random.getrandbits(100), random.randbytes(3)
random.gauss(1, 2), random.normalvariate(0, 3), random.gauss(), random.expovariate(2)
random.betavariate(1, 2), random.gammavariate(2, 1), random.vonmisesvariate(0, 1)
random.Random().random(), random.Random(5).random(), random.Random(5).gauss(0, 1)
g = random.Random(7)
g.randint(1, 9), random.randint(1, 9), g.randint(1, 9)
random.SystemRandom().random(), random.SystemRandom().choice('abc')
secrets.choice('abcd'), secrets.randbelow(10), secrets.token_hex(4), secrets.token_bytes(2)
uuid.uuid4(), os.urandom(3), os.urandom(0)
time.time(), time.perf_counter(), time.time_ns()
input('name? ')
h = random.Random()
twin = copy.deepcopy(h)
h.random() == twin.random()
state = random.getstate()
random.random()
random.setstate(state)
random.random()
random.seed(3)
random.random()
random.seed()
random.random()
""".strip().splitlines()


@pytest.mark.parametrize("seed", range(3))
def test_a_session_replays_from_its_draws(seed: int) -> None:
    install()
    text = ""
    namespace: dict[str, object] = {}
    stream = SeededDecider(seed, Laws.from_json({"inputs": [[["Ann", 0.5], ["Bo", 0.5]]]}))
    with using(stream):
        for source in SESSION:
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                exec(compile(source + "\n", "<session>", "single"), namespace)
            text += f">>> {source}\n{shown.getvalue()}"
    row = {"text": text, "setup": {"code": "", "choices": stream.values}}
    assert fed(row) == f"{len(SESSION)} commands, 0 differ, 0 draws left over\n"
    other = {"text": text, "setup": {"code": "", "choices": [0.25, *stream.values[1:]]}}
    assert fed(other).endswith(f"{len(SESSION)} commands, 1 differ, 0 draws left over\n")


def fed(row: dict[str, Any]) -> str:
    command = [sys.executable, str(ROOT / "docs/examples/feed.py")]
    done = subprocess.run(command, input=json.dumps(row), capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
