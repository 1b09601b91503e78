"""Questions whose answers are uncertain: their bits by asking every state, and sessions in which they are asked."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.tracer import attempt
from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import questions, support
from trace_mine.tracer.inside.states.questions import LEAST_BITS, Questions
from trace_mine.tracer.inside.states.support import Support
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import View, ViewError, parse_view

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))
import edited_runs

CODE = "from random import random, choice\nclass P:\n    def __init__(self, n):\n        self.n = n\n"
ACTS = [
    *("a = choice([1, 2, 3])", "a += random() < 0.5", "b = a", "v = [a, 2]", "v.append(a)", "v[0] = 0", "s = 'ab' * a"),
    *("d = {'k': a}", "d[a] = 1", "del b", "p = P(a)", "p.n = choice('xy')", "t = (a, v)", "e = {a}", "v = v[:1]"),
    *("if random() < 0.25:\n    a = -a", "if random() < 0.5:\n    b = 'text'", "if a > 1:\n    v = 'vw'", "f = P"),
]


def make_world() -> World:
    install()
    namespace = program.fresh_namespace(Program(code=CODE))
    return World(namespace, 0, lambda path: False, output_limit=1 << 20, max_seconds=60.0)


def asked_by_hand(states: Support, question: str, style: str) -> dict[str, float] | None:
    """The law of a question's answers, by a command from each state; None where one raises."""
    law: dict[str, float] = defaultdict(float)
    command = f"print({question!r}, {question})" if style == "print" else question
    for state, weight in states.states.items():
        (result,) = states.world.run(command, "single", states.world.unpacked(state)).results
        if result.raised:
            return None
        law[result.text] += weight
    return law


@pytest.mark.parametrize("many", [2, 10_000])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(ACTS), min_size=2, max_size=8), style=st.sampled_from(("echo", "print")))
def test_bits_are_those_of_asking_every_state(
    monkeypatch: pytest.MonkeyPatch, many: int, acts: list[str], style: str
) -> None:
    monkeypatch.setattr(support, "MANY", many)
    believed = Support(make_world())
    for source in ("a = b = 0", "v = []", "d = {}", "p = P(1)", *acts):
        try:
            believed.push(source, "")
        except support.Impossible:  # it raises in all states
            continue
    asking = Questions(believed.world, style)
    for _ in range(2):  # the second time, answers are known
        found = asking.bits(believed.states, ["a", "b", "v", "d", "p", "s", "t", "e", "f"])
        for question, bits in found.items():
            law = asked_by_hand(believed, question, style)
            assert law is not None, f"{question} raises in some state"
            assert bits == pytest.approx(-sum(mass * math.log2(mass) for mass in law.values()))
            assert bits >= LEAST_BITS
    for name in ("a", "p.n", "len(v)", "v[0]", "d['k']"):
        law = asked_by_hand(believed, name, style)
        if law is not None and len(law) > 1 and max(law.values()) < 0.99:
            assert name in found, name


def test_nothing_is_asked_that_runs_code_of_the_program() -> None:
    believed = Support(make_world())
    source = (
        "class Q(P):\n    @property\n    def n(self):\n        raise SystemExit\n    @n.setter\n    def n(self, n):\n"
    )
    believed.push(source + "        self.__dict__['n'] = self.m = n", "")
    raising = (
        "class R(P):\n    def __getattribute__(self, name):\n        if name == 'n':\n            raise SystemExit\n"
    )
    believed.push(raising + "        return object.__getattribute__(self, name)", "")
    believed.push("class S(list):\n    def __repr__(self):\n        raise SystemExit\n    __len__ = __repr__", "")
    for source in ("q = Q(choice([1, 2]))", "s = S([choice([1, 2])])", "u = [s]", "r = object.__new__(R)"):
        believed.push(source, "")
    believed.push("object.__setattr__(r, 'n', choice([1, 2]))", "")
    assert Questions(believed.world, "echo").bits(believed.states, ["q", "r", "s", "u"]) == {"q.m": 1.0}


def test_a_program_s_own_len_is_not_called() -> None:
    believed = Support(make_world())
    for source in ("v = [1] * choice([2, 3])", "len = sum"):
        believed.push(source, "")
    assert Questions(believed.world, "echo").bits(believed.states, ["v"]) == {"v": 1.0}


def test_few_variables_are_looked_at_where_there_are_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_STATES", 1)
    believed = Support(make_world())
    for name in "abcd":
        believed.push(f"{name} = random() < 0.5", "")
    assert Questions(believed.world, "echo").bits(believed.states, ["d", "c", "b", "a"]) == {"d": 1, "c": 1, "b": 1}


SORTING = """
from random import random
v = [5, 2, 4, 1, 3]
for i in range(4):
    for j in range(4 - i):
        if random() < 0.5:
            v[j], v[j + 1] = v[j + 1], v[j]
print(v)
"""


def sessions(source: str, view: str, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Trace]:
    """Sessions of a program with draws of their own, whose reveals are drawn alike."""
    monkeypatch.setattr(
        attempt, "view_of", lambda *args, view_of=attempt.view_of, **kwargs: one_seed(view_of(*args, **kwargs))
    )
    made = []
    with Tracer(TracerConfig(view=parse_view(view))) as tracer:
        for session in range(number):
            trace = tracer.trace(replace(script_snippet(source, "game.py", ()), session=session))
            assert isinstance(trace, Trace)
            made.append(trace)
    return made


def one_seed(request: Any) -> Any:
    return replace(request, seed=7)


def test_a_session_asks_ten_times_what_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for trace in sessions(SORTING, "branch+every:1+uncertain", 3, monkeypatch):
        reveals = {index for index, step in enumerate(trace.steps) if step.kind == "reveal"}
        beliefs = [each for each in trace.beliefs if trace.segments[each.segment].step in reveals]
        assert len(beliefs) >= 8 and all(len(each.outcomes) > 1 and each.method == "exact" for each in beliefs)
        row = as_row(trace)
        assert edited_runs.worst_difference(row, Path()) < 1e-12
        assert edited_runs.worst_difference_of_states(row, Path()) < 1e-12


def as_row(trace: Trace) -> dict[str, Any]:
    return {
        "steps": [{"source": step.source, "output": step.output} for step in trace.steps],
        "setup": json.dumps({"sys_path": [], "module": None, "code": trace.setup["code"]}),
        "segments": [{"step": each.step} for each in trace.segments],
        "beliefs": [
            {"segment": each.segment, "outcomes": each.outcomes, "probabilities": each.probabilities}
            for each in trace.beliefs
        ],
        "belief_states": [
            {
                "absent": law.absent,
                "variables": law.variables,
                "states": [
                    json.dumps({n: text for n, text in zip(law.variables, state, strict=True) if text is not None})
                    for state in law.states
                ],
                "outcomes": law.outcomes,
                "probabilities": law.probabilities,
            }
            for law in trace.belief_states
        ],
    }


WALK = """
from random import random, choice
class Account:
    def __init__(self):
        self.money = 3
a = Account()
total = 0
for step in range(3):
    if random() < 0.5:
        a.money += 1
    total += a.money * choice([1, 2])
    if total > 9:
        break
print(total)
"""


@pytest.mark.parametrize("source", [SORTING, WALK])
def test_no_place_and_no_question_tells_what_is_hidden(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    following: dict[str, set[str]] = defaultdict(set)
    seen: Counter[str] = Counter()
    for trace in sessions(source, "branch+every:1+uncertain+print", 12, monkeypatch):
        for index, step in enumerate(trace.steps):
            start = next(segment.start for segment in trace.segments if segment.step == index)
            following[trace.text[:start]].add(step.source)
            seen[trace.text[:start]] += 1
    assert all(len(commands) == 1 for commands in following.values())
    assert sum(number > 1 for number in seen.values()) > 5, "sessions that look alike so far"


def test_the_view_wants_something_hidden_and_one_variable_at_a_time() -> None:
    assert parse_view("branch+every:2+uncertain").as_json()["uncertain"] is True
    assert "uncertain" not in parse_view("branch").as_json()
    for text in ("uncertain", "skip+uncertain", "branch+full+uncertain", "branch+repeats+uncertain"):
        with pytest.raises(ViewError, match=r"write branch\+uncertain"):
            parse_view(text)
    with pytest.raises(ViewError):
        View(uncertain=True)
