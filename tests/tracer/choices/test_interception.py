"""The patched primitives: as CPython without a decider, the right law with one, nothing left behind."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import random
import secrets
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.deciders import DrawMismatch, Guided, Laws, Pinned, Replay, SeededDecider, using
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.states.paths import explore

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


SEQUENCE = """
import json, random
def sequence(generator):
    order = list(range(9))
    generator.shuffle(order)
    return [generator.random(), generator.randint(1, 6), generator.getrandbits(70), generator.gauss(1, 2),
        generator.gauss(1, 2), generator.normalvariate(), generator.expovariate(3.0), generator.choices("abc", k=5),
        generator.sample(range(99), 4), generator.triangular(), generator.randbytes(5).hex(), order,
        generator.betavariate(1, 2), generator.choice("xyz"), generator.uniform(2, 3), generator.vonmisesvariate(0, 1)]
class Own(random.Random):
    def random(self):
        return super().random() / 2
class Bits(random.Random):
    def getrandbits(self, k):
        return super().getrandbits(k) * 3 % (1 << k)
def all_sequences():
    random.seed(11)
    state = random.getstate()
    first = sequence(random)
    random.setstate(state)
    return [first == sequence(random), first, sequence(random.Random(5)), sequence(Own(3)), sequence(Bits(3))]
"""


def test_without_a_decider_everything_is_cpythons() -> None:
    """The same numbers as in a process that is not patched, subclasses with methods of their own included."""
    told = subprocess.run(
        [sys.executable, "-c", SEQUENCE + "print(json.dumps(all_sequences()))"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    namespace: dict[str, Any] = {}
    exec(SEQUENCE, namespace)
    assert json.loads(json.dumps(namespace["all_sequences"]())) == json.loads(told.stdout)
    assert json.loads(told.stdout)[0]


def test_names_and_signatures_stay() -> None:
    assert random.random.__name__ == "random" and random.random.__self__ is random._inst  # type: ignore[attr-defined]
    assert os.urandom.__name__ == "urandom" and random.Random.getrandbits.__module__ == "random"


def test_a_class_with_a_generator_of_its_own_keeps_it() -> None:
    class Own(random.Random):
        def random(self) -> float:
            return 0.125

    with using(Guided()) as decider:
        told = [Own().random(), Own().gauss(0, 1), Own().randrange(8), Own().expovariate(1)]
    with using(None):
        assert told[0] == 0.125 and told[2:] == [Own().randrange(8), Own().expovariate(1)]
    assert not decider.log and not decider.sampled and all(type(each) in (int, float) for each in told)


def chi_square(counts: Counter[Any], law: dict[Any, float]) -> float:
    """The statistic in standard deviations of its law: normal enough at these counts."""
    n = counts.total()
    statistic = sum((counts[each] - n * p) ** 2 / (n * p) for each, p in law.items())
    freedom = len(law) - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize(
    "sampled",
    [
        lambda: random.getrandbits(128) % 16,  # low bits
        lambda: random.getrandbits(128) >> 124,
        lambda: random.randrange(160) % 16,
        lambda: uuid.uuid4().int % 16,
        lambda: os.urandom(4)[3] % 16,
        lambda: secrets.token_bytes(2)[1] % 16,
        lambda: int(secrets.token_hex(8), 16) % 16,
        lambda: math.floor(math.sin(random.random() * 1e6) * 1e6) % 16,
        lambda: math.floor(1e4 * math.exp(random.gauss(0, 1))) % 16,
        lambda: math.floor(1e4 * math.sqrt(random.expovariate(1.0))) % 16,
    ],
)
def test_sampled_values_follow_their_law(sampled: Callable[[], int]) -> None:
    """Over seeds, and over sibling paths of one seed."""

    def after_choices() -> int:
        random.randrange(60)
        return sampled()

    found = Counter(explore(sampled, seed=seed).paths[0].result for seed in range(1_500))
    found += Counter(path.result for seed in range(25) for path in explore(after_choices, seed=seed).paths)
    assert found.total() == 3_000
    assert chi_square(found, dict.fromkeys(range(16), 1 / 16)) < 6


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_has_the_laws_of_native_draws(seed: int) -> None:
    def run() -> tuple[bool, int, bool, bool]:
        return random.random() < 0.3, random.randint(1, 4), random.gauss(0, 1) < 0.5, random.expovariate(1.0) < 0.5

    law = {}
    for path in explore(run).paths:
        law[path.result] = path.weight
    with using(SeededDecider(seed)):
        found = Counter(run() for _ in range(3_000))
    assert len(law) == 32 and chi_square(found, law) < 6


def test_system_random_keeps_its_own_originals() -> None:
    """Given the Mersenne methods, ``secrets`` would repeat itself after a seed."""
    random.seed(3)
    first = [secrets.randbelow(1 << 60), secrets.randbits(60), random.SystemRandom().random()]
    random.seed(3)
    assert first != [secrets.randbelow(1 << 60), secrets.randbits(60), random.SystemRandom().random()]
    generator = random.SystemRandom(5)  # which no seed changes
    found = {path.result: path.weight for path in explore(lambda: generator.randint(1, 3)).paths}
    assert found == pytest.approx({1: 1 / 3, 2: 1 / 3, 3: 1 / 3})


def everything() -> list[Any]:
    generator = random.Random()
    state = random.getstate()
    again = [random.random() for _ in range(2)]
    random.setstate(state)
    repeated = [random.random() for _ in range(2)] == again
    random.seed()
    twin = copy.deepcopy(generator)
    return [
        repeated,
        twin.random() == generator.random(),
        random.triangular(1, 2),
        random.betavariate(2, 3),
        random.vonmisesvariate(0, 1),
        str(uuid.uuid4()),
        os.urandom(3),
        secrets.token_hex(4),
        random.randbytes(3),
        random.getrandbits(200),
        random.sample(range(1_000), 3),
        time.time(),
        time.perf_counter_ns(),
        input("name? "),
        os.environ.get("MODE"),
    ]


LAWS = Laws.from_json({"inputs": [[["Ann", 0.5], ["Bo", 0.5]]], "environ": {"MODE": [["a", 0.5], [None, 0.5]]}})


@pytest.mark.parametrize("seed", range(10))
def test_every_primitive_replays_and_is_pinned(seed: int, capsys: Any) -> None:
    told = []
    stream = SeededDecider(seed, LAWS)
    with using(stream):
        told.append(everything())
    assert told[0][:2] == [True, True]  # a state that was asked for is one that comes back
    logged = json.loads(json.dumps(stream.values))
    replay, pinned = Replay(logged, LAWS), Pinned(logged, laws=LAWS)
    for decider in (replay, pinned):
        install()
        with using(decider):
            told.append(everything())
        install()
    assert told[1] == told[0]
    assert [repr(each) for each in told[2]] == [repr(each) for each in told[0]]
    with pytest.raises(DrawMismatch, match="one more"), using(replay):
        random.random()


def test_a_mismatch_is_not_swallowed_by_a_program() -> None:
    def program() -> str:
        try:
            random.random()
        except Exception:
            return "swallowed"
        return "drawn"

    with pytest.raises(DrawMismatch), using(Replay([])):
        program()
    assert draws.current is None


def test_deciders_nest_and_are_restored() -> None:
    with using(SeededDecider(1)) as outer:
        random.random()
        with pytest.raises(KeyboardInterrupt), using(SeededDecider(2)):
            raise KeyboardInterrupt
        assert draws.current is outer
        with using(None):
            random.random()
        random.random()
    assert draws.current is None and len(outer.values) == 2


def test_what_the_program_sets_stays_set() -> None:
    before = os.environ.get("MODE")

    def run() -> tuple[str | None, ...]:
        first = os.environ.get("MODE")
        os.environ["MODE"] = "mine"
        second = os.environ["MODE"]
        del os.environ["MODE"]
        with pytest.raises(KeyError):
            os.environ["MODE"]
        return first, second, os.getenv("MODE")

    found = {path.result: path.weight for path in explore(run, laws=LAWS).paths}
    assert found == {("a", "mine", None): 0.5, (None, "mine", None): 0.5}
    assert os.environ.get("MODE") == before


def test_inputs_without_a_law_are_read_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
    with using(SeededDecider(1)) as stream:
        assert input() == "typed"
    assert stream.values == []


def test_explored_clocks_never_go_back_and_nobody_waits() -> None:
    def run() -> tuple[bool, bool, bool]:
        start, ticks = time.time(), time.perf_counter()
        time.sleep(3_600)
        later = [time.time() for _ in range(50)]
        return later == sorted(later), later[0] - start >= 3_600, time.perf_counter() - ticks >= 3_600

    explored = explore(run, max_seconds=5)
    assert [path.result for path in explored.paths] == [(True, True, True)] and explored.paths[0].sampled
    with pytest.raises(ValueError, match="non-negative"), using(Guided()):
        time.sleep(-1)


def test_a_module_draws_nothing_while_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drawing_module.py").write_text("import random\nVALUE = random.random()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with using(SeededDecider(1)) as stream:
        import drawing_module  # type: ignore[import-not-found]
    assert 0 <= drawing_module.VALUE < 1 and stream.values == []


def test_pickled_generators_agree() -> None:
    def run() -> bool:
        generator = random.Random()
        twin = pickle.loads(pickle.dumps(generator))
        return [generator.randrange(1000) for _ in range(5)] == [twin.randrange(1000) for _ in range(5)]

    explored = explore(run)
    assert [path.result for path in explored.paths] == [True] and explored.paths[0].sampled
