"""What tasks promise beyond their rows: defaults, outcomes of adversaries, choices of automata, hidden laws."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from trace_mine.corpus.synthetic.adversary import adversary_plays
from trace_mine.corpus.synthetic.permutations import permutation_game
from trace_mine.corpus.synthetic.stream import Stream, TokenStream
from trace_mine.corpus.synthetic.task import Stage
from trace_mine.corpus.synthetic.tasks import TASKS, make_task, task_label

STAGE = Stage(commands=(9, 9), spacing=(3, 3))


@pytest.mark.parametrize("kind", [Stream, TokenStream])
def test_a_misspelt_split_is_refused(kind):
    with pytest.raises(ValueError, match="expected a split among train, validation, test, got 'val'"):
        kind(make_task("permutations", {}), seed=0, split="val", stage=STAGE)


@pytest.mark.parametrize("ends", [4, (4,), (0, 4), (4, 3)])
def test_a_stage_has_two_ends(ends):
    with pytest.raises(ValueError, match=r"expected commands .N, M. with 1 <= N <= M"):
        Stage(commands=ends, spacing=(1, 1))


@pytest.mark.parametrize(("name", "spelt"), [("permutations", {"n": "3"}), ("groups", {"group": "S3"}), ("pfsa", {})])
def test_a_default_that_is_spelt_out_changes_nothing(name, spelt):
    bare, full = make_task(name, {}), make_task(name, spelt)
    assert bare.parameters == full.parameters
    for index in range(3):
        told = [task.trace(index, seed=0, split="train", stage=STAGE).text for task in (bare, full)]
        assert told[0] == told[1]


def test_a_task_is_told_by_what_is_not_its_default():
    assert (
        task_label(make_task("permutations", {})) == task_label(make_task("permutations", {"n": "3"})) == "permutations"
    )
    five = task_label(make_task("permutations", {"n": "5", "moves": "full"}))
    assert five == "permutations moves=full, n=5"
    assert task_label(make_task("permutations", {"n": "5"})) not in (five, "permutations")


@pytest.mark.parametrize("p", [0.1, 0.5, 0.95])
def test_an_adversary_draws_from_the_law_given_that_nothing_moved(p):
    """Blocks of 3 draws: the patterns with an even number of swaps, by their weight; chi-square over 4,000 blocks."""
    game = permutation_game(n=3, p=p)
    plays = adversary_plays(game, 3, 3, [np.random.default_rng(seed) for seed in range(4_000)])
    counts = Counter(tuple(row) for row in (plays.draws < p).astype(int).tolist())
    weights = {
        pattern: np.prod([p if happened else 1 - p for happened in pattern])
        for pattern in product((0, 1), repeat=3)
        if sum(pattern) % 2 == 0
    }
    assert counts.keys() <= weights.keys()
    total = sum(weights.values())
    statistic = sum((counts[k] - 4_000 * w / total) ** 2 / (4_000 * w / total) for k, w in weights.items())
    assert statistic < 21.1  # p = 1e-4 at three degrees of freedom
    # within their side, draws are uniform: their mean tells a slip in the scaling
    below = plays.draws[plays.draws < p]
    above = plays.draws[plays.draws >= p]
    assert below.mean() == pytest.approx(p / 2, abs=5 * p / np.sqrt(12 * len(below)))
    assert above.mean() == pytest.approx((1 + p) / 2, abs=5 * (1 - p) / np.sqrt(12 * len(above)))


def test_retention_is_certain_at_the_end_and_nowhere_else():
    task = make_task("pfsa", {"kind": "retention", "n": "4", "p": "0.2"})
    for index in range(8):
        trace = task.trace(index, seed=0, split="test", stage=Stage(commands=(12, 12), spacing=(2, 2)))
        reveals = [step for step in trace.steps if step.kind == "reveal"]
        moved = set(trace.steps[4].source.split("\n")[1].strip().split(" = ")[0].split(", "))
        assert len({step.source for step in trace.steps if step.source.startswith("if")}) == 1
        start = {step.source.split(" = ")[0]: step.source.split(" = ")[1] for step in trace.steps[:4]}
        for step, belief in zip(reveals, trace.beliefs, strict=True):
            name, value = step.output.split()
            assert value == start[name]
            assert (name in moved) == (step is not reveals[-1]) == (len(belief.outcomes) > 1)
        assert trace.beliefs[-1].probabilities == (1.0,)


def test_figure_10_is_one_half_at_every_reveal():
    trace = make_task("pfsa", {"kind": "fig10"}).trace(
        0, seed=0, split="train", stage=Stage(commands=(10, 10), spacing=(1, 1))
    )
    assert [belief.probabilities for belief in trace.beliefs] == [(0.5, 0.5)] * 10
    assert all(choice.taken == 1 for choice in trace.choices)


def test_an_automaton_tells_its_choices():
    trace = make_task("pfsa", {"kind": "fig9"}).trace(1, seed=0, split="train", stage=STAGE)
    assert trace.choices
    for choice in trace.choices:
        assert sum(choice.probabilities) == pytest.approx(1.0) and len(choice.outcomes) > 1
    emitted = [c for c in trace.choices if set(c.outcomes) <= {"mix", "not 1"}]
    assert emitted and all(repr(c.outcomes[c.taken]) == trace.steps[c.step].output for c in emitted)


def test_swaps_happen_as_often_as_their_text_says():
    """1,600 draws with p = .3: the share that happened, within 5 standard errors; the draw decides, not the record."""
    task = make_task("pfsa", {"n": "3", "p": "0.3"})
    choices, draws = [], []
    for index in range(100):
        trace = task.trace(index, seed=6, split="train", stage=Stage(commands=(16, 16), spacing=(4, 4)))
        choices += trace.choices
        draws += trace.setup["choices"]
    assert [choice.taken for choice in choices] == [int(draw >= 0.3) for draw in draws]
    assert np.mean([draw < 0.3 for draw in draws]) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 1_600))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"kind": "retention", "n": "2"}, "3 <= n"),
        ({"kind": "retention", "p": "1"}, "p below 1"),
        ({"p": "nan"}, "<= p <="),
        ({"kind": "fig10", "p": "0.3"}, "expected only n with kind=fig10, got p"),
        ({"kind": "fig9", "n": "4"}, "expected only no parameters with kind=fig9, got n"),
        ({"file": "x.yaml", "kind": "fig9", "visible": "0.1"}, "an automaton's file, got visible, kind"),
    ],
)
def test_wrong_adversaries_are_told(parameters, says):
    with pytest.raises(ValueError, match=says):
        make_task("pfsa", parameters)


def test_every_task_makes_a_session_from_its_defaults():
    for name in TASKS:
        assert make_task(name, {}).trace(0, seed=0, split="train", stage=STAGE).text.startswith(">>> ")


def test_sticky_sessions_repeat_commands_and_questions_and_nothing_else_changes():
    stage = Stage(commands=(64, 64), spacing=(2, 2))
    fair, sticky = (make_task("permutations", {"p": "0.1", "sticky": s}) for s in ("0", "0.9"))
    (_, told), *_ = sticky.plays(range(64), seed=0, split="train", stage=stage)
    again = [(a[:, 1:] == a[:, :-1]).mean() for a in (told.actions, told.shown)]
    assert again == pytest.approx([0.9 + 0.1 / 3, 0.9 + 0.1 / 3], abs=0.02)  # one in three fresh draws is the same
    assert sorted(set(told.shown[:, 0].tolist())) == [0, 1, 2]
    # what happens is drawn as before: hidden, with its chance, whatever was repeated
    assert (told.draws < 0.1).mean() == pytest.approx(0.1, abs=0.015)
    # rows of a task that isn't sticky are what they were before there was a choice
    assert "sticky" not in fair.parameters
    assert sticky.parameters["sticky"] == 0.9


def test_held_values_by_hand():
    from trace_mine.corpus.synthetic.game import with_repeats

    values, repeats = np.array([5, 6, 7, 8, 9]), np.array([True, False, True, True, False])
    assert with_repeats(values, repeats).tolist() == [5, 6, 6, 6, 9]
    assert with_repeats(values[:0], repeats[:0]).tolist() == []
