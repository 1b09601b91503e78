"""Synthetic rows: they replay, their beliefs are those of the real engine, and their text tells nothing hidden."""

from __future__ import annotations

import contextlib
import doctest
import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from trace_mine.corpus.synthetic.__main__ import _stages
from trace_mine.corpus.synthetic.exact_filter import beliefs_along
from trace_mine.corpus.synthetic.groups import make_group
from trace_mine.corpus.synthetic.stream import Stream
from trace_mine.corpus.synthetic.task import SPLITS, Stage, sequence_of
from trace_mine.corpus.synthetic.tasks import CURRICULA, TASKS, describe, make_task
from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import beliefs
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.schema import Trace
from worked_automata import maybe_swaps

ROOT = Path(__file__).resolve().parents[3]
SMALL = Stage(commands=(5, 12), spacing=(1, 3))
VARIANTS = [
    ("permutations", {}),
    ("permutations", {"n": "5", "moves": "full", "reveals": "full"}),
    ("permutations", {"n": "4", "p": "0.3", "style": "echo"}),
    ("permutations", {"n": "4", "p": "0.3", "visible": "0.5", "values": "repeated"}),
    ("permutations", {"n": "3", "p": "0.5", "reveals": "full"}),
    ("groups", {"group": "parity"}),
    ("groups", {"group": "Z60", "style": "echo"}),
    ("groups", {"group": "A4xZ5"}),
    ("groups", {"group": "S5", "reveals": "full"}),
    ("pfsa", {"kind": "maybe-swaps"}),
    ("pfsa", {"kind": "noisy-identity", "p": "0.05"}),
    ("pfsa", {"kind": "fig9"}),
    ("pfsa", {"kind": "fig10"}),
    ("pfsa", {"kind": "retention", "n": "4", "p": "0.3"}),
    ("pfsa", {"file": str(ROOT / "docs" / "examples" / "leaky_switch.yaml")}),
    # digits that %g would cut: the text must name the number that the draws were compared with
    ("pfsa", {"p": "0.12345678901234"}),
]


def failures(trace: Trace) -> int:
    """Replays a session with its text and set-up alone: ``random`` gives the recorded draws."""
    import random

    draws = iter(trace.setup["choices"])
    globs: dict[str, object] = {}
    held = random.random
    random.random = lambda: next(draws)  # type: ignore[assignment]
    try:
        exec(trace.setup["code"], globs)
        test = doctest.DocTestParser().get_doctest(trace.text, globs, "row", None, 0)
        runner = doctest.DocTestRunner(verbose=False)
        runner.run(test, out=lambda told: None)
    finally:
        random.random = held  # type: ignore[assignment]
    assert next(draws, None) is None, "draws are left over"
    return runner.failures


@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=str)
def test_rows_replay(name: str, parameters: dict[str, str]) -> None:
    task = make_task(name, parameters)
    for index in range(6):
        assert failures(task.trace(index, seed=1, split="train", stage=SMALL)) == 0


@pytest.fixture(autouse=True)
def loggers_of_another_program(without_loggers: None) -> None:
    """The second oracle runs in this process."""


def engine_beliefs(trace: Trace, seconds: float = 60.0) -> list[dict[str, float]]:
    """The second oracle: the session's commands run by the merging interpreter, nothing of the filter."""
    install()

    def make_world(seed: int, seconds: float, lazy: bool) -> World:
        own = Program(code=trace.setup["code"])
        return World(
            program.fresh_namespace(own), 0, lambda path: False, output_limit=1 << 20, max_seconds=seconds, lazy=lazy
        )

    commands = [(step.source, step.output) for step in trace.steps]
    found = beliefs.beliefs_of(commands, make_world, seeds=1, max_seconds=seconds)
    assert found.failure is None
    assert {each.method for each in found.beliefs} <= {"exact"}
    return [dict(zip(each.outcomes, each.probabilities, strict=True)) for each in found.beliefs]


def assert_oracles_agree(trace: Trace) -> None:
    ours = [dict(zip(b.outcomes, b.probabilities, strict=True)) for b in trace.beliefs]
    theirs = engine_beliefs(trace)
    assert len(ours) == len(theirs)
    for left, right in zip(ours, theirs, strict=True):
        assert all(abs(left.get(text, 0.0) - right.get(text, 0.0)) < 1e-12 for text in left.keys() | right.keys())


HIDDEN = [each for each in VARIANTS if "p" in each[1] or each[0] == "pfsa"]


@pytest.mark.parametrize(("name", "parameters"), HIDDEN, ids=str)
def test_two_oracles_agree(name: str, parameters: dict[str, str]) -> None:
    task = make_task(name, parameters)
    for index in range(3):
        assert_oracles_agree(task.trace(index, seed=2, split="train", stage=SMALL))


@pytest.mark.parametrize(
    ("n", "p"),
    [
        pytest.param(n, p, marks=[pytest.mark.slow] * (n == 4 and p != "0.3"))
        for n in (2, 3, 4)
        for p in ("0.1", "0.3", "0.5", "0.9")
    ],
)
def test_two_oracles_agree_on_a_thousand_sequences(n: int, p: str) -> None:
    task = make_task("pfsa", {"n": str(n), "p": p})
    stage = Stage(commands=(6, 20), spacing=(1, 4))
    for index in range(84):
        assert_oracles_agree(task.trace(index, seed=3, split="train", stage=stage))


def test_the_game_filter_is_the_automaton_filter() -> None:
    automaton = maybe_swaps(3, 0.1)
    trace = make_task("pfsa", {"n": "3"}).trace(
        4, seed=0, split="train", stage=Stage(commands=(20, 20), spacing=(2, 2))
    )
    symbols, told = [], iter(trace.beliefs)
    for step in trace.steps:
        if step.source.startswith("if"):
            i, k = sorted("abc".index(name) for name in step.source.split("\n")[1].split("=")[0].strip().split(", "))
            symbols.append(automaton.index(f"swap {i} {k}"))
        elif step.source.startswith("print"):
            name, value = step.output.split()
            belief = beliefs_along(automaton, symbols)[-1]
            law: dict[str, float] = {}
            for state, weight in zip(automaton.states, belief, strict=True):
                text = f"{name} {int(state['abc'.index(name)]) + 1}"
                law[text] = law.get(text, 0.0) + weight
            ours = next(told)
            for text, probability in zip(ours.outcomes, ours.probabilities, strict=True):
                assert abs(law[text] - probability) < 1e-12
            symbols.append(automaton.index(f"{'abc'.index(name)}={int(value) - 1}"))


def test_commands_tell_nothing_of_hidden_outcomes() -> None:
    """Chi-square: which variable is revealed, and which action comes next, against whether the last swap happened."""
    task = make_task("pfsa", {"n": "3", "p": "0.5"})
    table: Counter[tuple[str, int]] = Counter()
    for index in range(600):
        trace = task.trace(index, seed=5, split="train", stage=Stage(commands=(4, 4), spacing=(2, 2)))
        for choice in trace.choices:
            following = next((s for s in trace.steps[choice.step + 1 :]), None)
            if following is not None:
                table[(following.source, choice.taken)] += 1
    sources = sorted({source for source, _ in table})
    counts = np.array([[table[(source, taken)] for taken in (0, 1)] for source in sources], dtype=float)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    statistic, freedom = float(((counts - expected) ** 2 / expected).sum()), len(sources) - 1
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


def test_blanking_outcomes_leaves_the_commands() -> None:
    """The same index with another chance of a swap has the same commands: they don't know what happened."""
    few, many = (make_task("pfsa", {"n": "3", "p": p}).game for p in ("0.2", "0.8"))
    assert few is not None and many is not None
    from trace_mine.corpus.synthetic.game import play

    plays = [play(game, 16, 2, [np.random.default_rng(0)]) for game in (few, many)]
    assert sequence_of(plays[0]) == sequence_of(plays[1])
    assert plays[0].states.tolist() != plays[1].states.tolist()


def test_splits_share_no_sequence_of_commands() -> None:
    task = make_task("permutations", {"n": "2"})
    stage = Stage(commands=(6, 8), spacing=(1, 2))
    seen: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for index in range(300):
            trace = task.trace(index, seed=0, split=split, stage=stage)
            seen[split].add("\n".join(step.source for step in trace.steps))
    for left, right in combinations(SPLITS, 2):
        assert not seen[left] & seen[right]


def test_a_row_depends_on_its_index_and_seed_alone() -> None:
    stream = Stream(make_task("permutations", {"n": "4"}), seed=9, split="train", stage=SMALL)
    again = Stream(make_task("permutations", {"n": "4"}), seed=9, split="train", stage=SMALL)
    assert stream[7].text == again[7].text
    assert stream[7].text != stream[8].text
    assert stream[7].text != Stream(stream.task, seed=10, split="train", stage=SMALL)[7].text
    with pytest.raises(IndexError, match="expected 0 <= index"):
        stream[stream.size]


@pytest.mark.parametrize(
    ("name", "order"), [("parity", 2), ("Z60", 60), ("S3", 6), ("S4", 24), ("A4xZ5", 60), ("A5", 60), ("S5", 120)]
)
def test_groups_are_groups(name: str, order: int) -> None:
    table = make_group(name).table()
    assert len(table) == order
    everything = np.arange(order)
    assert np.array_equal(table[0], everything) and np.array_equal(table[:, 0], everything)
    assert all(sorted(row) == list(everything) for row in table.tolist())
    sample = np.random.default_rng(0).integers(order, size=(200, 3))
    for g, h, k in sample:
        assert table[table[g, h], k] == table[g, table[h, k]]


def test_solvable_and_not() -> None:
    """A4xZ5 and A5 have the same order; only A5 is its own commutator subgroup."""

    def commutators(name: str) -> set[int]:
        table = make_group(name).table()
        inverse = np.argmin(table, axis=1)
        closed = {int(table[table[g, h], table[inverse[g], inverse[h]]]) for g in range(60) for h in range(60)}
        while True:
            more = closed | {int(table[g, h]) for g in closed for h in closed}
            if more == closed:
                return closed
            closed = more

    assert len(commutators("A5")) == 60 and len(commutators("A4xZ5")) == 4


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("nothing", {}, "a task among"),
        ("permutations", {"m": "3"}, "a parameter of permutations"),
        ("permutations", {"n": "9"}, "2 <= n <= 6"),
        ("permutations", {"n": "x"}, "n of permutations to be of type int"),
        ("permutations", {"p": "0"}, "<= p <="),
        ("groups", {"group": "Q8"}, "expected parity"),
        ("pfsa", {"kind": "other"}, "expected kind"),
        ("pfsa", {"file": "/nowhere.yaml"}, "expected a YAML file"),
    ],
)
def test_wrong_parameters_are_told(name: str, parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_task(name, parameters)


def test_every_task_is_described() -> None:
    for name in TASKS:
        assert describe(name).startswith(f"{name}: ")


def test_stages() -> None:
    assert _stages("4-8", "2", "") == (Stage(commands=(4, 8), spacing=(2, 2)),)
    assert _stages("1", "1", "paper") == CURRICULA["paper"]
    for commands, spacing, curriculum in (("8-4", "1", ""), ("x", "1", ""), ("1", "0", ""), ("1", "1", "none")):
        with pytest.raises(ValueError, match="expected"):
            _stages(commands, spacing, curriculum)


def test_the_command_makes_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By workers and, where there is one job, in this process: the same."""
    from datasets import load_dataset

    from own_process import in_own_process
    from trace_mine.corpus.synthetic.__main__ import main

    for jobs, place in (("1", in_own_process()), ("2", contextlib.nullcontext())):
        arguments = ["pfsa", "--rows", "300", "--held-out", "20", "--jobs", jobs, "--out", str(tmp_path / jobs)]
        with place:
            assert main(arguments) == 0
        assert "The first of" in capsys.readouterr().out
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.parquet"))
    assert len(files) == 3
    for file in [*files, "stats.json", "README.md", "errors.jsonl"]:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()
    stats = json.loads((tmp_path / "1" / "stats.json").read_text())
    assert stats["found"] == 340 == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())
    assert stats["beliefs"]["exact"] == stats["beliefs"]["reveals"] > 0
    assert 0 < stats["beliefs"]["mean_entropy_bits"] < math.log2(3)
    row = load_dataset(str(tmp_path / "1"), split="test", cache_dir=str(tmp_path / "cache"))[0]
    belief, segment = row["beliefs"][0], row["segments"][row["beliefs"][0]["segment"]]
    assert row["text"][segment["start"] : segment["end"]].rstrip("\n") in belief["outcomes"]
    assert segment["role"] == "value" and row["origin"] == "synthetic"
