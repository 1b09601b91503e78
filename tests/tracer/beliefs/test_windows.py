"""Laws after the last few commands alone, against brute force over all paths."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import beliefs
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.schema import Trace, WindowBelief
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.views import parse_view

P = 0.25
DRAWS = ("x += 1", "y += x", "x, y = y, x", "s.append(x)", "x = len(s)", "y = 0")
"""Statements that may happen, with probability P each."""
SURE = ("x += 1", "y = x", "s = [*s, y]")
ASKED = ("x", "y", "x > y", "s", "len(s) % 2")
WINDOWS = (0, 1, 2, 3, 5, 40)

command = st.one_of(
    st.sampled_from(DRAWS).map(lambda text: ("maybe", text)),
    st.sampled_from(SURE).map(lambda text: ("sure", text)),
    st.sampled_from(ASKED).map(lambda text: ("asked", text)),
)


def world(seed: int, seconds: float, lazy: bool) -> World:
    namespace = program.fresh_namespace(Program(code="from random import random\nx = y = 0\ns = []"))
    return World(namespace, 0, lambda path: False, output_limit=1 << 20, max_seconds=seconds, seed=seed, lazy=lazy)


def paths(commands: list[tuple[str, str]]) -> list[tuple[float, list[str]]]:
    """(weight, the text that each command shows) of each way to draw, by ``exec`` alone."""
    made = []
    for flips in itertools.product((True, False), repeat=sum(kind == "maybe" for kind, _ in commands)):
        namespace: dict[str, object] = {"x": 0, "y": 0, "s": []}
        weight, left, texts = 1.0, iter(flips), []
        for kind, text in commands:
            happens = kind != "asked" and (kind == "sure" or next(left))
            if kind == "maybe":
                weight *= P if happens else 1 - P
            if happens:
                exec(text, namespace)
            texts.append(str(eval(text, namespace)) if kind == "asked" else "")
        made.append((weight, texts))
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(command, min_size=2, max_size=11), st.data())
def test_laws_after_windows_are_those_of_all_paths(commands: list[tuple[str, str]], data: st.DataObject) -> None:
    install()
    every = paths(commands)
    # what is shown is a path's own, drawn here: any path of them may be the session
    shown = data.draw(st.sampled_from(every))[1]
    sources = {"maybe": f"if random() < {P}:\n    %s", "sure": "%s", "asked": "print(%s)"}
    session = [(sources[kind] % text, output) for (kind, text), output in zip(commands, shown, strict=True)]
    found = beliefs.beliefs_of(session, world, seeds=1, max_seconds=60.0, windows=WINDOWS)
    assert found.failure is None
    # certain beliefs too, where a reader who has seen nothing can't know the output
    asked = [n for n, (kind, _) in enumerate(commands) if kind == "asked" and len({texts[n] for _, texts in every}) > 1]
    assert [(each.command, each.window) for each in found.windows] == [*itertools.product(asked, WINDOWS)]
    believed = {each.command: set(each.outcomes) for each in found.beliefs}
    for each in found.windows:
        start = max(0, each.command - each.window)
        agreeing = [(w, texts) for w, texts in every if texts[start : each.command] == shown[start : each.command]]
        total = sum(weight for weight, _ in agreeing)
        assert believed[each.command] <= set(each.outcomes)
        assert set(each.outcomes) == {texts[each.command] for _, texts in agreeing}
        for outcome, probability in zip(each.outcomes, each.probabilities, strict=True):
            expected = sum(weight for weight, texts in agreeing if texts[each.command] == outcome) / total
            assert probability == pytest.approx(expected, abs=1e-12), each


def test_a_window_of_all_commands_is_the_belief_and_one_of_none_the_law_before_anything_was_shown() -> None:
    install()
    maybe = "if random() < 0.5:\n    x += 1"
    session = [(maybe, ""), ("print(x)", "1"), (maybe, ""), ("print(x)", "2")]
    found = beliefs.beliefs_of(session, world, seeds=1, max_seconds=60.0, windows=(0, 4))
    laws = {
        (each.command, each.window): dict(zip(each.outcomes, each.probabilities, strict=True)) for each in found.windows
    }
    before, after = {"0": 0.5, "1": 0.5}, {"1": 0.5, "2": 0.5}
    assert laws == {(1, 0): before, (1, 4): before, (3, 0): {"0": 0.25, "1": 0.5, "2": 0.25}, (3, 4): after}


def test_an_output_that_was_shown_long_ago_has_laws_and_one_that_nobody_has_to_see_has_none() -> None:
    install()
    session = [("if random() < 0.5:\n    x += 1", ""), ("print(x)", "1"), ("y = 2", ""), ("print(y)", "2")]
    session += [("print(x)", "1")]
    found = beliefs.beliefs_of(session, world, seeds=1, max_seconds=60.0, windows=(0, 2, 3))
    assert [len(each.outcomes) for each in found.beliefs] == [2, 1, 1]
    laws = {(each.command, each.window): each.probabilities for each in found.windows}
    # the last is known to who remembers three outputs; y is always 2
    assert {key: law for key, law in laws.items() if key[0] > 1} == {
        (4, 0): (0.5, 0.5),
        (4, 2): (0.5, 0.5),
        (4, 3): (1.0,),
    }


def test_of_very_many_outcomes_a_law_has_the_likeliest_and_those_of_the_belief() -> None:
    install()
    session = [("x = 10 * randrange(10) + randrange(10)", ""), ("print(x)", "99")]
    code = "from random import randrange"

    def here(seed: int, seconds: float, lazy: bool) -> World:
        namespace = program.fresh_namespace(Program(code=code))
        return World(namespace, 0, lambda path: False, output_limit=1 << 20, max_seconds=seconds, seed=seed, lazy=lazy)

    whole = beliefs.beliefs_of(session, here, seeds=1, max_seconds=60.0, windows=(1,))
    assert len(whole.beliefs[0].outcomes) == len(whole.windows[0].outcomes) == 100
    again = beliefs.beliefs_of([*session, ("print(x)", "99")], here, seeds=1, max_seconds=60.0, windows=(0,))
    seen = again.windows[1]
    assert again.beliefs[1].outcomes == ("99",) and "99" in seen.outcomes and len(seen.outcomes) == 65
    assert sum(seen.probabilities) == pytest.approx(0.65) and [*seen.outcomes] == sorted(seen.outcomes)


def test_sampled_beliefs_have_no_windows() -> None:
    install()
    session = [("x = random()", ""), ("print(str(x)[:3])", "0.5"), ("print(str(x)[:3] > '0.2')", "True")]
    found = beliefs.beliefs_of(session, world, seeds=4, max_seconds=60.0, windows=(1,))
    assert {each.method for each in found.beliefs} == {"sampled"} and found.windows == ()


def test_a_trace_has_them_where_they_were_asked_for() -> None:
    coin = "if random() < 0.5:\n    x += 1\nprint(x)\n"
    snippet = script_snippet(f"from random import random\nx = 0\n{coin * 2}", "a.py", [])
    with Tracer(TracerConfig(view=parse_view("branch+every:0"), windows=(1, 9))) as tracer:
        trace = tracer.trace(snippet)
    assert isinstance(trace, Trace), trace
    assert [each.commands for each in trace.windows] == [1, 9, 1, 9]
    assert {each.segment for each in trace.windows} == {b.segment for b in trace.beliefs if len(b.outcomes) > 1}
    assert trace.windows[-1].outcomes == trace.beliefs[-1].outcomes


@pytest.mark.parametrize(("commands", "probability"), [(-1, 0.5), (1, 1.5), (1, float("nan"))])
def test_a_window_that_is_none_is_refused(commands: int, probability: float) -> None:
    with pytest.raises(ValueError, match="expected a number of commands"):
        WindowBelief(segment=0, commands=commands, outcomes=("0",), probabilities=(probability,))


def test_a_law_without_its_outcomes_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a probability for each outcome, got 1 for 2"):
        WindowBelief(segment=0, commands=1, outcomes=("0", "1"), probabilities=(0.5,))


@pytest.mark.parametrize("windows", [(1, 1), (-1,)])
def test_a_configuration_refuses_windows_that_are_none(windows: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="different numbers of commands"):
        TracerConfig(windows=windows)
