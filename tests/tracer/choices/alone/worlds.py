"""Fork points as supports use them: worlds with and without agree to the byte."""

from __future__ import annotations

from typing import Any

import pytest

from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states.fork_points import ForkPool
from trace_mine.tracer.inside.states.records import Refused, Spent, State
from trace_mine.tracer.inside.states.world import World

CODE = """
from random import random, randrange, choice, gauss
import json
def slow(): return sum(range(1000))
class Box:
    def __init__(self, held): self.held = held
"""


def world(forks: int, code: str = CODE, output_limit: int = 1 << 20, seconds: float = 60.0) -> World:
    namespace = program.fresh_namespace(Program(code=code))
    return World(
        namespace,
        0,
        lambda path: False,
        output_limit=output_limit,
        max_seconds=seconds,
        forks=ForkPool(forks) if forks else None,
    )


SESSIONS = {
    "plain": ["x = [slow(), randrange(3), randrange(2)]", "y = x[1] + choice([1, 2, 3])", "print(x, y)"],
    "text": ["print(randrange(2), randrange(2))", "print('a' if random() < 0.3 else 'b')"],
    "raises": ["x = 1 / randrange(2)", "print(randrange(3), [1, 2][randrange(3)])"],
    "a function": ["def f(k=randrange(3)): return k + randrange(2)", "f.calls = randrange(2)", "print(f(), f.calls)"],
    "a function made on one way": ["g = (lambda: 1) if randrange(2) and randrange(2) else None", "print(g is None)"],
    "objects": ["b = Box(randrange(3)); b.more = [randrange(2)]", "print(b.held, b.more)"],
    "a generator": ["g = (randrange(2) for _ in range(3))", "a = next(g), next(g)", "print(a, next(g))"],
    "sampled": ["s = random() * random()", "print(randrange(2), s > 0.5)"],
    "a builtin": ["h = choice([json.dumps, json.loads, print]); k = randrange(2)", "print(h.__name__, k)"],
}


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", SESSIONS)
def test_worlds_agree(name: str) -> None:
    def laws(one: World) -> list[Any]:
        states: list[tuple[State, float]] = [(one.start, 1.0)]
        told = []
        for turn, source in enumerate(SESSIONS[name]):
            found: dict[tuple[Any, ...], float] = {}
            after: dict[State, float] = {}
            for state, weight in states:
                reach = one.run(source, "single", state, turn)
                assert sum(r.probability for r in reach.results) + reach.unexplored == pytest.approx(1.0)
                for result in reach.results:
                    key = (result.text, result.value, result.raised)
                    found[key] = found.get(key, 0.0) + weight * result.probability
                    after[result.state] = after.get(result.state, 0.0) + weight * result.probability
            told.append((found, sorted(after.values())))
            states = list(after.items())
        return told

    plain, forking = world(0), world(5)
    if name == "sampled":  # its draws depend on the state's bytes, which hold addresses
        assert len(laws(plain)) == len(laws(forking))
    else:
        assert laws(plain) == laws(forking)
    assert plain.num_forked == 0 and (forking.num_forked > 0 or name == "a generator")


@pytest.mark.usefixtures("everywhere")
def test_states_are_the_same_bytes() -> None:
    """In one world, so that addresses are the same: once with forks, once without."""
    one = world(5)
    pool = one._forks
    for source in ("x = [slow(), randrange(3), {randrange(2)}]", "z = Box(randrange(4)), slow, randrange(2)"):
        one._reaches.clear()
        one._forks = None
        plain = one.run(source, "single", one.start)
        one._reaches.clear()
        one._forks = pool
        before = one.num_forked
        found = one.run(source, "single", one.start)
        assert one.num_forked > before
        assert [(r.probability, r.state, r.text, r.value, r.raised) for r in found.results] == [
            (r.probability, r.state, r.text, r.value, r.raised) for r in plain.results
        ]


@pytest.mark.usefixtures("everywhere")
def test_output_of_forks_counts() -> None:
    source = "print('x' * 100, randrange(8))"
    for forks in (0, 4):
        with pytest.raises(Spent):
            one = world(forks, output_limit=500)
            one.run(source, "single", one.start)
        one = world(forks, output_limit=1000)
        assert len(one.run(source, "single", one.start).results) == 8


@pytest.mark.usefixtures("everywhere")
def test_a_real_that_is_refused_in_a_fork() -> None:
    for forks in (0, 4):
        one = world(forks)
        with pytest.raises(Refused):
            one.run("x = json.dumps([random()]) if randrange(3) == 1 and randrange(2) else 0", "single", one.start)
