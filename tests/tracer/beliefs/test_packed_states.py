"""States as numbers and tables of commands, against brute force over all draws, and against snapshots."""

from __future__ import annotations

import collections
import json
import random as real_random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import NOT_STATE
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import beliefs, state_laws, support
from trace_mine.tracer.inside.states.world import World

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))
import edited_runs

SETUP = "from random import random, choice\ndef twice(x, seen=[]):\n    seen.append(x)\n    return 2 * x + len(seen)\n"
START = ["a = 1", "b = 2", "v = [3, 1, 2]", "w = v", "d = {}", "s = 'ab'", "t = (1, v)"]
ACTS = [
    *("a, b = b, a", "a += 1", "a = -a", "b = a * b", "b = a / 2", "a = True", "b = [a]", "a = 0.0 * -b"),
    *("v[0], v[1] = v[1], v[0]", "v.append(a)", "v = [*v]", "w = v", "w = list(w)", "w.pop()", "del v[0]", "v.sort()"),
    *(
        "v = v[1:]",
        "w = [v, v]",
        "w[0] = a",
        "t = (a, w)",
        "v.extend(x for x in w[:2])",
        "x = iter(v)",
        "x = iter(d.items())",
        "b = d.keys()",
        "x = iter(d)",
        "a = next(x)",
    ),
    *("d[a] = b", "d['k'] = v", "d.clear()", "d = {k: 1 for k in v}", "s += 'c'", "s = s[::-1]", "s = f'{a!r:>3}'"),
    *("a = max(v, default=0)", "b = sum(v)", "del d", "d = {}", "v[9] = 0", "assert a", "a = twice(b)", "a = b = []"),
    *(
        "e = {8, 0, 16}",
        "e = {0, a}",
        "a = {1: a}",
        "q = lambda: a",
        "a = q()",
        "a = choice([a, b])",
        "b = random() < 0.5",
    ),
]
LOOPS = [
    "for i in range(3):\n    if random() < 0.5:\n        {0}\n    {1}",
    "for i in v:\n    if len(v) < 5 and random() < 0.25:\n        {0}\n        continue\n    a = i",
    "for i in range(2):\n    while i < 2 and random() < 0.5:\n        i += 1\n        {0}",
    "for i, c in enumerate(s):\n    if random() < 0.5:\n        b = c\n        break\nelse:\n    {0}",
]
ASKS = ["print(a)", "print(a, b)", "v", "print(v, w, w is v)", "print(sorted(d, key=str), s)", "print(repr(a), len(w))"]

act = st.sampled_from(ACTS)
maybe = st.builds("if random() < {}:\n    {}".format, st.sampled_from((0.25, 0.5)), act)
other = st.builds("if random() < 0.5:\n    {}\nelse:\n    {}".format, act, act)
loop = st.builds(lambda form, one, two: form.format(one, two), st.sampled_from(LOOPS), act, act)
ask = st.sampled_from(ASKS)
sessions = st.lists(st.one_of(maybe, maybe, other, act, loop, ask), min_size=2, max_size=7)


def make_world(seed: int = 0, seconds: float = 60.0, lazy: bool = True) -> World:
    install()
    # a script of the repository, as most are: its functions' module is the namespace itself
    namespace = program.fresh_namespace(Program(code=f"__file__ = '/repo/script.py'\n{SETUP}"))
    return World(
        namespace,
        0,
        lambda path: path.startswith("/repo"),
        output_limit=1 << 20,
        max_seconds=seconds,
        seed=seed,
        lazy=lazy,
    )


class TooMany(Exception):
    pass


Table = dict[str, str]


def look(namespace: dict[str, object]) -> Table:
    """The variables as texts, in the form of the column ``states``."""
    return {
        name: values.text(values.snapshot(value))
        for name, value in namespace.items()
        if not name.startswith("__")
        and not isinstance(value, NOT_STATE)
        and not type(value).__name__.endswith("iterator")
    }


def runs(commands: list[str]) -> list[tuple[float, list[str], list[Table]]]:
    row = {
        "steps": [{"source": source} for source in commands],
        "setup": json.dumps({"sys_path": [], "module": None, "code": SETUP}),
    }
    found: list[tuple[float, list[str], list[Table]]] = []
    for weight, seen in edited_runs.runs_with(row, Path(), look):
        found.append((weight, [text for text, _ in seen], [table for _, table in seen]))
        if len(found) > 400:
            raise TooMany
    return found


Runs = list[tuple[float, list[str], list[Table]]]


def exact_laws(paths: Runs, shown: list[str]) -> Iterator[tuple[int, dict[str, float], dict[tuple[str, str], float]]]:
    """Of each output its law, and the joint law of it and of the variables, as JSON."""
    for step, text in enumerate(shown):
        agreeing = [(weight, texts, tables[step]) for weight, texts, tables in paths if texts[:step] == shown[:step]]
        total = sum(weight for weight, *_ in agreeing)
        law: dict[str, float] = collections.defaultdict(float)
        joint: dict[tuple[str, str], float] = collections.defaultdict(float)
        for weight, texts, table in agreeing:
            law[texts[step]] += weight / total
            joint[json.dumps(table, sort_keys=True), texts[step]] += weight / total
        if text:
            yield step, law, joint


def varying(joint: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The joint law with the variables alone that vary."""
    tables = {told: json.loads(told) for told, _ in joint}
    names = sorted({name for table in tables.values() for name in table})
    kept = [name for name in names if len({table.get(name) for table in tables.values()}) > 1]
    law: dict[tuple[str, str], float] = collections.defaultdict(float)
    for (told, text), mass in joint.items():
        law[json.dumps([tables[told].get(name) for name in kept]), text] += mass
    return {**law, (json.dumps(kept), "names"): 1.0}


def hold(commands: list[str], number: int) -> None:
    commands = [*START, *commands, "print(a, b, v, w, s)"]
    try:
        paths = runs(commands)
    except (TooMany, AssertionError):
        return
    if any("TypeError" in text and "float" in text for _, texts, _ in paths for text in texts):
        return  # taken for a refusal of a lazy real: draws are sampled
    shown = paths[number % len(paths)][1]
    found = beliefs.beliefs_of([*zip(commands, shown, strict=True)], make_world, seeds=1, max_seconds=60)
    assert found.failure is None, found.failure
    told = {each.command: each for each in found.beliefs}
    states = {each.command: each for each in found.states}
    for step, law, joint in exact_laws(paths, shown):
        ours = dict(zip(told[step].outcomes, told[step].probabilities, strict=True))
        assert told[step].method == "exact"
        assert ours.keys() == law.keys() and all(abs(ours[text] - law[text]) < 1e-12 for text in law), (ours, law)
        if states[step].absent:
            assert states[step].absent == "many_states" and len({table for table, _ in joint}) > state_laws.MOST_STATES
            continue
        exact = varying(joint)
        mine = {(json.dumps([*states[step].variables]), "names"): 1.0}
        for state, outcome, probability in zip(
            states[step].states, states[step].outcomes, states[step].probabilities, strict=True
        ):
            key = json.dumps([*state]), told[step].outcomes[outcome]
            assert key not in mine
            mine[key] = probability
        assert mine.keys() == exact.keys() and all(abs(mine[key] - exact[key]) < 1e-12 for key in exact), (mine, exact)


@pytest.mark.parametrize(("num_items", "num_runs"), [(6, 3_000), (8, 6_000)])
def test_what_a_command_does_is_learnt_once(num_items: int, num_runs: int) -> None:
    """Up to 40,320 states, each command run for the 30 or 56 pairs of values that its two variables have."""
    source = real_random.Random(1)
    names = "abcdefgh"[:num_items]
    world = make_world()
    believed = support.Support(world)
    law = {tuple(range(num_items)): 1.0}
    for index, name in enumerate(names):
        believed.push(f"{name} = {index}", "")
    for _ in range(24):
        i, j = source.sample(range(num_items), 2)
        believed.push(f"if random() < 0.3:\n    {names[i]}, {names[j]} = {names[j]}, {names[i]}", "")
        new: dict[tuple[int, ...], float] = collections.defaultdict(float)
        for state, weight in law.items():
            swapped = [*state]
            swapped[i], swapped[j] = state[j], state[i]
            new[tuple(swapped)] += 0.3 * weight
            new[state] += 0.7 * weight
        law = new
    assert len(believed.states) == len(law) and believed.lost == 0 and world.num_runs < num_runs
    exact: dict[str, float] = collections.defaultdict(float)
    for state, weight in law.items():
        exact[str(state[0])] += weight
    assert believed.push("print(a)", "0") == pytest.approx(dict(exact), abs=1e-12)


def test_numbers_tell_states_apart_as_snapshots_do() -> None:
    world = make_world()
    believed = support.Support(world)
    for source in (*START, "f = twice", "e = {8, 0}", "x = enumerate(v)", "z = 0.0"):
        believed.push(source, "")
    (start,) = believed.states
    for source in (
        "a = 1",
        "a = True",
        "a = 1.0",
        "w = [*v]",
        "t = (1, [*v])",
        "z = -z",
        "v[0] = 3",
        "_ = next(x)",
        "f = 1",
    ):
        (result,) = world.run(source, "exec", start).results
        packed, again = world.packed(result.state), world.packed(start)
        assert isinstance(packed, int) and isinstance(again, int)
        same = source in ("a = 1", "v[0] = 3")
        assert (packed == again) == same == (result.state == start), source
        world._packing._unpacked.clear()
        assert world.unpacked(packed) == result.state, "back from the number alone"


@pytest.mark.parametrize("many", [2, 10_000])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=sessions, number=st.integers(0, 10**6))
def test_beliefs_are_those_of_all_runs(
    monkeypatch: pytest.MonkeyPatch, many: int, commands: list[str], number: int
) -> None:
    monkeypatch.setattr(support, "MANY", many)
    hold(commands, number)
