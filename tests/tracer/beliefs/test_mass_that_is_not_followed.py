"""What is not followed is counted, and never decides: the second number of every belief."""

from __future__ import annotations

import ast
import math

import pytest

from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import beliefs, interpreter, records, support
from trace_mine.tracer.inside.states.world import World

SETUP = "from random import random, choice"


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def make_world(max_paths: int = 2_000, seed: int = 0, lazy: bool = True) -> World:
    return World(
        program.fresh_namespace(Program(code=SETUP)),
        0,
        lambda path: False,
        output_limit=1 << 20,
        max_seconds=60.0,
        seed=seed,
        lazy=lazy,
        max_paths=max_paths,
    )


COIN = "x = [choice([0, 1]) for _ in range(4)]"
"""Sixteen paths, each as likely."""


def test_lost_mass_is_relative_to_what_is_left() -> None:
    believed = support.Support(make_world(max_paths=12))
    believed.push(COIN, "")
    assert believed.lost == pytest.approx(4 / 12)
    assert math.exp(believed.log_mass) == pytest.approx(12 / 16)
    believed.push("y = choice([0, 0, 0, 1])", "")
    assert believed.lost == pytest.approx(4 / 12), "what is followed in full loses nothing more"
    before = sum(weight for state, weight in believed.states.items())
    believed.push("print(y)", "1")
    assert before == pytest.approx(1.0) and sum(believed.states.values()) == pytest.approx(1.0)
    # of the mass that was not followed it isn't known whether it agrees: beside a quarter it weighs four times as much
    assert believed.lost == pytest.approx(4 * 4 / 12)
    assert math.exp(believed.log_mass) == pytest.approx(12 / 16 / 4)


def test_lost_mass_adds_up_over_commands() -> None:
    believed = support.Support(make_world(max_paths=12))
    believed.push(COIN, "")
    believed.push(COIN.replace("x", "z", 1), "")
    # from each of the states that were followed, a quarter again is not
    assert believed.lost == pytest.approx((4 / 12 + 4 / 16) / (12 / 16))


def test_of_too_many_states_the_heaviest_stay_and_the_rest_is_lost() -> None:
    believed = support.Support(make_world(), max_states=2)
    believed.push("x = choice([0, 1, 1, 1, 2, 2])", "")
    kept = sorted(believed.states.values())
    assert kept == pytest.approx([2 / 5, 3 / 5]) and believed.lost == pytest.approx((1 / 6) / (5 / 6))
    assert math.exp(believed.log_mass) == pytest.approx(5 / 6)


def test_of_equal_states_the_first_stay() -> None:
    believed = support.Support(make_world(), max_states=2)
    believed.push("x = choice([3, 1, 0, 2])", "")
    assert believed.push("print(x)", "3").keys() == {"3", "1"}


def test_a_branch_whose_test_is_not_followed_in_full_loses_that_mass() -> None:
    believed = support.Support(make_world(max_paths=12))
    believed.push("if sum(choice([0, 1]) for _ in range(4)) >= 0:\n    x = 1", "")
    assert believed.lost == pytest.approx(4 / 12) and len(believed.states) == 1


def test_a_state_that_comes_back_does_not_repeat_its_sampled_draws() -> None:
    """``random() * random()`` has no outcomes to follow: it is sampled, for each command anew."""
    believed = support.Support(make_world())
    believed.push("x = None", "")
    states = []
    for _ in range(40):
        believed.push("x = random() * random() < 0.187", "")  # as likely as not
        (state,) = believed.states
        states.append(state)
    distinct = [*dict.fromkeys(states)]
    assert len(distinct) == 2
    told = "".join(str(distinct.index(state)) for state in states)
    # runs of each length: a draw that hung on the state alone would give one run without end, or take turns
    assert {"00", "01", "10", "11"} == {told[n : n + 2] for n in range(len(told) - 1)}, told


@pytest.mark.parametrize(("max_paths", "answer"), [(16, True), (12, None)])
def test_what_is_not_followed_lets_nothing_be_called_everybodys(max_paths: int, answer: bool | None) -> None:
    world = make_world(max_paths=max_paths)
    source = "sum(choice([0, 1]) for _ in range(4)) >= 0"
    assert support.agreed(world, source, [world.start]) is answer


@pytest.mark.parametrize(
    ("source", "answer"),
    [("1 < 2", True), ("2 < 1", False), ("1 / 0 > 1", None), ("random() < 0.5", None), ("choice([0, 1]) < 2", True)],
)
def test_all_agree_or_nobody_is_asked(source: str, answer: bool | None) -> None:
    world = make_world()
    assert support.agreed(world, source, [world.start]) is answer
    assert support.agreed(world, source, []) is None


def test_a_raising_state_among_others_is_no_agreement() -> None:
    believed = support.Support(make_world())
    believed.push("x = choice([1, 2])", "")
    assert support.agreed(believed.world, "1 / x > 0", believed.states) is True
    believed.push("x = x - 1", "")
    assert support.agreed(believed.world, "1 / x > 0", believed.states) is None


def test_a_bounded_belief_bounds_its_error() -> None:
    """Of sixteen paths twelve are followed: the true law is within the bound, and the bound is not everything."""
    commands = [(COIN, ""), ("print(sum(x) > 3)", "False"), ("print(x[0])", "0")]
    told = beliefs.beliefs_of(
        commands, lambda seed, seconds, lazy: make_world(12, seed, lazy), seeds=1, max_seconds=60.0
    ).beliefs
    truth = [{"True": 1 / 16, "False": 15 / 16}, {"0": 8 / 15, "1": 7 / 15}]
    for belief, exact in zip(told, truth, strict=True):
        assert belief.method == "bounded"
        law = dict(zip(belief.outcomes, belief.probabilities, strict=True))
        assert sum(law.values()) == pytest.approx(1.0)
        error = max(abs(law.get(text, 0.0) - exact[text]) for text in exact)
        assert error <= max(belief.stderr) < 0.5
        # four of sixteen were not followed: a quarter of all mass at the first reveal
    assert max(told[0].stderr) == pytest.approx(4 / 16)


LOOPS = {
    "else of a while": ("i = 0", "while i < 2:\n    i += 1\n    if random() < 0.5:\n        break\nelse:\n    i = 9"),
    "else of a for": ("i = 0", "for i in range(2):\n    if random() < 0.5:\n        break\nelse:\n    i = 9"),
    "continue in a while": (
        "i = n = 0",
        "while n < 3:\n    n += 1\n    if random() < 0.5:\n        continue\n    i += 1",
    ),
    "continue in a for": (
        "i = 0",
        "for k in range(3):\n    if random() < 0.5:\n        continue\n    i += 1",
    ),
    "exception": (
        "i = 0",
        "for k in [2, 1, 0]:\n    if random() < 0.5:\n        i = 6 // k",
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_followed_state_by_state_is_all_its_paths(name: str) -> None:
    """A loop at the prompt is followed by the merging interpreter; in a function it is run along each path."""
    before, loop = LOOPS[name]
    indented = "\n".join(f"    {line}" for line in f"{before}\n{loop}".split("\n"))
    merged = _law_of_end(before, loop)
    paths = _law_of_end(f"def f():\n{indented}\n    return i", "i = f()")
    assert merged == pytest.approx(paths, abs=1e-12) and len(merged) > 1


def _law_of_end(first: str, last: str) -> dict[str, float]:
    """The law of ``i`` after two commands, the second of which may raise."""
    believed = support.Support(make_world())
    told: dict[str, float] = {}
    believed.push(first, "")
    world = believed.world
    for state, weight in believed.states.items():
        for result in world.run(last, "single", state).results:
            shown = world.run("print(i)", "single", result.state).results[0].text
            key = f"{bool(result.raised)} {'' if result.raised else shown}"
            told[key] = told.get(key, 0.0) + weight * result.probability
    return told


def test_a_loop_without_end_loses_only_what_is_faint() -> None:
    believed = support.Support(make_world())
    believed.push("n = 0", "")
    believed.push("while random() < 0.5:\n    n += 1", "")
    assert 0 < believed.lost < 1e-12
    assert len(believed.states) > 30 and max(believed.states.values()) == pytest.approx(0.5)


def test_a_reveal_that_is_not_followed_in_full_bounds_its_own_error() -> None:
    """Of sixteen ways four are not followed; all that were show one text, and the others might show another: what is
    shown may be as much as a quarter off.
    """
    coins = "[choice([0, 1]) for _ in range(4)]"
    world = make_world(max_paths=12)
    followed = {result.text for result in world.run(f"print({coins})", "single", world.start).results}
    assert len(followed) == 12
    shows = f"print(str({coins}) in {sorted(followed)!r})"
    (told,) = beliefs.beliefs_of(
        [(shows, "True")], lambda seed, seconds, lazy: make_world(12, seed, lazy), seeds=1, max_seconds=60.0
    ).beliefs
    law = dict(zip(told.outcomes, told.probabilities, strict=True))
    assert law == {"True": pytest.approx(1.0)} and told.method == "bounded"
    assert abs(law["True"] - 12 / 16) <= told.stderr[0] + 1e-12


def test_seeds_weigh_as_much_as_they_explain() -> None:
    """A sampled draw u and a choice c that is followed: what was shown makes large u nine times as likely."""
    commands = [
        ("u = random() * random()", ""),
        ("c = choice([0] * 9 + [1])", ""),
        ("print(c if u < 0.25 else 1 - c)", "1"),
        ("print(u < 0.25)", "False"),
    ]
    told = beliefs.beliefs_of(
        commands, lambda seed, seconds, lazy: make_world(seed=seed, lazy=lazy), seeds=400, max_seconds=60.0
    ).beliefs[-1]
    below = 0.25 * (1 - math.log(0.25))
    exact = below * 0.1 / (below * 0.1 + (1 - below) * 0.9)
    estimate = dict(zip(told.outcomes, told.probabilities, strict=True))["True"]
    assert told.method == "sampled" and abs(estimate - exact) < 4 * max(told.stderr) < 0.2


class Counting:
    """A world of one variable n, with one state for each of its values: ``n < end`` is a test, all else counts up."""

    def __init__(self, end: int) -> None:
        self.end = end

    def follow(self, source: str, mode: str, state: records.State) -> tuple[float, list[records.Result]]:
        assert isinstance(state, bytes)
        n = int(state)
        assert n < 50_000, "a loop without end is followed without end"
        value = n < self.end if mode == "eval" else None
        after = state if mode == "eval" else b"%d" % (n + 1)
        return 0.0, [(1.0, after, "", value, None)]


@pytest.mark.parametrize("weighs", [True, False])
def test_a_loop_of_many_turns_is_followed_up_to_a_limit(weighs: bool) -> None:
    """Twenty thousand turns, the last of which only finds that the loop has ended."""
    loop = ast.parse("while n < end:\n    n += 1").body
    start: interpreter.Mass = {(b"0", ""): 1.0}
    flow = interpreter.Interpreter(Counting(19_999).follow, weighs=weighs).block(loop, start)
    assert flow.after == {(b"19999", ""): 1.0} and not flow.hidden
    for end in (20_000, 10**9):
        with pytest.raises(interpreter.TooMuch):
            interpreter.Interpreter(Counting(end).follow, weighs=weighs).block(loop, start)


def test_turns_of_all_loops_in_a_statement_count() -> None:
    loops = ast.parse("if n < end:\n    while n < end:\n        n += 1\n    while n < end:\n        n += 1").body
    followed = interpreter.Interpreter(Counting(19_998).follow, weighs=True)
    assert followed.block(loops, {(b"0", ""): 1.0}).after == {(b"19998", ""): 1.0}
    with pytest.raises(interpreter.TooMuch):
        interpreter.Interpreter(Counting(19_999).follow, weighs=True).block(loops, {(b"0", ""): 1.0})


def test_a_loop_with_too_many_turns_is_run_path_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "MOST_TURNS", 5)
    believed = support.Support(make_world())
    believed.push("n = 0", "")
    believed.push("for _ in range(6):\n    n += choice([0, 1])", "")
    assert believed.world.num_runs > 2**6, "each path once"
    law = believed.push("print(n)", "3")
    assert law == pytest.approx({str(n): math.comb(6, n) / 2**6 for n in range(7)}) and believed.lost == 0


def test_a_law_without_mass_is_no_belief() -> None:
    """A path of 1,200 fair coins has the probability 2 ** -1200, which is no float: the law says nothing, and ends."""
    flips = "print(sum(choice([0, 1]) for _ in range(1_200)))"
    made = beliefs.beliefs_of(
        [("print(choice([1, 2]))", "1"), (flips, "600"), ("print(choice([1, 2]))", "1")],
        lambda seed, seconds, lazy: make_world(12, seed, lazy),
        seeds=1,
        max_seconds=60,
    )
    assert [each.command for each in made.beliefs] == [0]
    assert made.failure is not None and made.failure.startswith(("Impossible", "Spent"))
