"""Laws of the variables: small ones by hand, why there is none, and the way into a row and out again.

That they are those of all runs is held in ``test_packed_states``, on random sessions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.choice_answers import CommandStates
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import beliefs, state_laws
from trace_mine.tracer.inside.states.world import World

CODE = "from random import random, choice, randint"


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def make_world(seed: int = 0, seconds: float = 20.0, lazy: bool = True) -> World:
    namespace = program.fresh_namespace(Program(code=CODE))
    return World(namespace, 0, lambda path: False, output_limit=1 << 20, max_seconds=seconds, seed=seed, lazy=lazy)


def states_of(commands: Sequence[tuple[str, str]]) -> tuple[CommandStates, ...]:
    found = beliefs.beliefs_of(commands, make_world, seeds=4, max_seconds=30)
    assert found.failure is None
    assert [law.command for law in found.states] == [belief.command for belief in found.beliefs]
    return found.states


def joint(law: CommandStates) -> dict[tuple[tuple[str | None, ...], int], float]:
    assert not law.absent
    return dict(zip(zip(law.states, law.outcomes, strict=True), law.probabilities, strict=True))


def test_a_law_stands_before_the_output_is_read() -> None:
    asked = [("a, b = 1, 2", ""), ("if random() < 0.25:\n    a, b = b, a", ""), ("print(a)", "1"), ("print(b)", "2")]
    first, second = states_of(asked)
    assert first.variables == ("a", "b")
    assert joint(first) == {(("1", "2"), 0): 0.75, (("2", "1"), 1): 0.25}
    assert second.variables == () and joint(second) == {((), 0): 1.0}, "one state is left once it is read"


def test_states_are_those_after_a_command_that_changes_them() -> None:
    (law,) = states_of([("n = 0", ""), ("for _ in range(2):\n    n += random() < 0.5\nprint(n > 0)", "True")])
    assert law.variables == ("n",)
    assert joint(law) == {(("0",), 0): 0.25, (("1",), 1): 0.5, (("2",), 1): 0.25}


def test_a_variable_may_be_bound_in_some_states_alone() -> None:
    commands = [
        ("if random() < 0.5:\n    x = 1\nelse:\n    y = [x for x in 'ab']", ""),
        ("print('x' in globals())", "True"),
    ]
    (law,) = states_of(commands)
    assert law.variables == ("x", "y")
    assert joint(law) == {((None, "['a', 'b']"), 0): 0.5, (("1", None), 1): 0.5}


def test_states_that_no_variable_tells_apart_are_one() -> None:
    commands = [
        ("def f(seen=[]):\n    if random() < 0.5:\n        seen.append(1)\n    return len(seen)", ""),
        ("n = f() * 0", ""),
        ("print(n)", "0"),
        ("print(f())", "1"),
    ]
    first, second = states_of(commands)
    assert joint(first) == {((), 0): 1.0}
    assert joint(second) == {((), 0): 0.25, ((), 1): 0.5, ((), 2): 0.25}


def test_what_a_draw_shows_and_does_not_keep_has_no_state() -> None:
    (law,) = states_of([("print(randint(1, 3))", "2")])
    assert joint(law) == pytest.approx({((), 0): 1 / 3, ((), 1): 1 / 3, ((), 2): 1 / 3})


@pytest.mark.parametrize(
    ("commands", "absent"),
    [
        ([("n = [random() < 0.5 for _ in range(6)]", ""), ("print(n[0])", "True")], ""),
        ([("n = [random() < 0.5 for _ in range(7)]", ""), ("print(n[0])", "True")], "many_states"),
        ([("n = [random() < 0.5 for _ in range(11)]", ""), ("print(n[0])", "True")], "many_states"),
        ([("x = random()", ""), ("print(x < 0.5)", "True")], "undrawn"),
        ([("x = [[random()]]", ""), ("print(x[0][0] < 0.5)", "True")], "undrawn"),
        ([("x = str(random())[:1]", ""), ("print(x)", "0")], "sampled"),
    ],
)
def test_why_there_is_none(commands: list[tuple[str, str]], absent: str) -> None:
    (law,) = states_of(commands)
    assert law.absent == absent
    assert len(law.states) == (0 if absent else 64)


def test_laws_have_a_length_each_and_all_of_a_session_together(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [("s = choice(['abc', 'defghi'])", ""), *[("print(len(s) > 9)", "False")] * 3]
    monkeypatch.setattr(state_laws, "MOST_CHARACTERS", 14)
    assert {law.absent for law in states_of(commands)} == {"long"}
    monkeypatch.setattr(state_laws, "MOST_CHARACTERS", 15)  # two names, 'abc' and 'defghi' with their quotes
    monkeypatch.setattr(state_laws, "MOST_OF_SESSION", 30)
    assert [law.absent for law in states_of(commands)] == ["", "", "long"]


def test_no_code_of_the_program_runs_for_a_law() -> None:
    commands = [
        ("class P:\n    def __init__(self, n):\n        self.n = n\n    def __repr__(self):\n        print('ran')\n"
         "        return 'P'\n    def __getattribute__(self, name):\n        print('ran')\n"
         "        return object.__getattribute__(self, name)", ""),
        ("p = P(choice([1, 2]))", ""),
        ("print(3)", "3"),
    ]  # fmt: skip
    (law,) = states_of(commands)
    assert law.variables == ("p",)
    assert joint(law) == {(("P(n=1)",), 0): 0.5, (("P(n=2)",), 0): 0.5}
    assert json.dumps(law.states)
