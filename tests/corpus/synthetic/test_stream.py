"""The token stream is the trace stream, token for token and law for law; its splits share no sequence of commands."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from trace_mine.corpus.synthetic.stream import Stream, TokenStream, words
from trace_mine.corpus.synthetic.task import SPLITS, Stage
from trace_mine.corpus.synthetic.tasks import make_task

SIZE = Stage(commands=(13, 13), spacing=(3, 3))
GAMES = [
    ("permutations", {"n": "4"}),
    ("permutations", {"n": "4", "p": "0.2"}),
    ("permutations", {"n": "3", "p": "0.2", "visible": "0.4", "style": "echo"}),
    ("permutations", {"n": "5", "moves": "full", "p": "0.3", "reveals": "full"}),
    ("permutations", {"n": "4", "p": "0.3", "values": "repeated"}),
    ("permutations", {"n": "3", "values": "repeated", "reveals": "full", "style": "echo"}),
    ("groups", {"group": "A4xZ5"}),
    ("groups", {"group": "Z7", "reveals": "full", "style": "echo"}),
    ("groups", {"group": "S3", "reveals": "full"}),
    ("pfsa", {"kind": "retention", "n": "4"}),
    ("pfsa", {"kind": "fig10"}),
]


@pytest.mark.parametrize(("name", "parameters"), GAMES, ids=str)
@pytest.mark.parametrize("split", ["train", "test"])
def test_tokens_are_the_sessions_of_the_slow_form(name, parameters, split):
    task = make_task(name, parameters)
    slow = Stream(task, seed=3, split=split, stage=SIZE)
    fast = TokenStream(task, seed=3, split=split, stage=SIZE)
    indices = [5, 0, 11, 2]
    batch = fast.batch(indices)
    assert len(set(fast.label_tokens.tolist())) == len(fast.labels), "no outcome is counted twice"
    for row, index in enumerate(indices):
        trace = slow[index]
        told = [fast.vocabulary[token] for token in batch.tokens[row]]
        assert told[: batch.lengths[row]] == words(trace.text)
        assert "".join(told) == trace.text
        outputs = [step.output for step in trace.steps if step.kind == "reveal"]
        for places, output in zip(batch.reveals[row], outputs, strict=True):
            values = [told[place] for place in places]
            assert values == [word for word in words(output) if word.isdigit()]


def texts_of_laws(task, fast, batch, row, trace):
    """Text -> probability at each reveal, from the batch's laws."""
    game = task.game
    shown = [step.source for step in trace.steps if step.kind == "reveal"]
    for reveal, source in enumerate(shown):
        found = {}
        for outcome, probability in enumerate(batch.laws[row, reveal]):
            if probability == 0:
                continue
            if game.shows_all:
                text = game.reveal_texts(0, fast.labels)[outcome]
            else:
                variable = next(v for v in range(len(game.variables)) if game.reveal_source(v) == source)
                text = ("" if game.style == "echo" else f"{game.variables[variable]} ") + fast.labels[outcome]
            found[text] = found.get(text, 0.0) + probability
        yield found, outcome_text(game, fast, batch, row, reveal)


def outcome_text(game, fast, batch, row, reveal):
    if game.shows_all:
        return game.reveal_texts(0, fast.labels)[batch.outcomes[row, reveal]].split()[-1]
    return fast.labels[batch.outcomes[row, reveal]]


@pytest.mark.parametrize(
    ("name", "parameters"), [each for each in GAMES if make_task(*each).game.is_hidden], ids=lambda each: str(each)
)
def test_laws_are_the_beliefs_of_the_slow_form(name, parameters):
    task = make_task(name, parameters)
    slow = Stream(task, seed=4, split="train", stage=SIZE)
    fast = TokenStream(task, seed=4, split="train", stage=SIZE)
    batch = fast.batch(range(5), beliefs=True)
    for row in range(5):
        trace = slow[row]
        told = list(texts_of_laws(task, fast, batch, row, trace))
        outputs = [step.output for step in trace.steps if step.kind == "reveal"]
        for (law, last), belief, output in zip(told, trace.beliefs, outputs, strict=True):
            assert output.endswith(last)
            assert law.keys() == set(belief.outcomes)
            for text, probability in zip(belief.outcomes, belief.probabilities, strict=True):
                assert law[text] == pytest.approx(probability, abs=1e-12)


def test_a_session_depends_on_its_index_alone():
    task = make_task("permutations", {"n": "5", "p": "0.1", "visible": "0.5"})
    stream = TokenStream(task, seed=0, split="test", stage=SIZE)
    together, alone = stream.batch(range(40), beliefs=True), stream.batch([17], beliefs=True)
    length = int(alone.lengths[0])
    assert length == together.lengths[17]
    assert np.array_equal(together.tokens[17, :length], alone.tokens[0])
    assert np.array_equal(together.laws[17], alone.laws[0])
    assert not together.tokens[17, length:].any()
    other = TokenStream(task, seed=1, split="test", stage=SIZE).batch([17])
    assert not np.array_equal(other.tokens[0, :length], alone.tokens[0])


def test_the_vocabulary_is_the_same_for_every_size_and_split():
    task = make_task("permutations", {"n": "4", "p": "0.25"})
    told = {
        TokenStream(task, seed=seed, split=split, stage=Stage(commands=(n, n), spacing=(s, s))).vocabulary
        for seed, split, n, s in ((0, "train", 4, 1), (9, "test", 64, 8))
    }
    assert len(told) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("spacing", "reveals"), [(1, "partial"), (3, "full")])
def test_tens_of_thousands_of_rows_share_no_sequence_of_commands_across_splits(spacing, reveals):
    """n=3, few commands: sessions repeat by the thousand within a split, never across splits."""
    task = make_task("permutations", {"n": "3", "values": "repeated", "reveals": reveals})
    stage = Stage(commands=(6, 6), spacing=(spacing, spacing))
    seen = {}
    for split in SPLITS:
        stream = TokenStream(task, seed=0, split=split, stage=stage)
        # a held-out row is drawn twenty times on average before it belongs there, hence fewer of them
        tokens = stream.batch(range(20_000 if split == "train" else 3_000)).tokens
        tokens[np.isin(tokens, digits(stream))] = 0  # values are blanked: what is left are the commands
        seen[split] = {row.tobytes() for row in tokens}
    assert sum(len(each) for each in seen.values()) > 500
    for left, right in combinations(SPLITS, 2):
        assert not seen[left] & seen[right]


def digits(stream):
    return [number for number, word in enumerate(stream.vocabulary) if word.isdigit()]


def test_what_has_no_tokens_is_said():
    automaton = make_task("pfsa", {"kind": "fig9"})
    with pytest.raises(ValueError, match="expected a task that is a game"):
        TokenStream(automaton, seed=0, split="train", stage=SIZE)
    task = make_task("permutations", {"values": "repeated", "reveals": "full"})
    with pytest.raises(ValueError, match="expected a stage of one size"):
        TokenStream(task, seed=0, split="train", stage=Stage(commands=(2, 3), spacing=(1, 1)))
    with pytest.raises(ValueError, match="expected distinct values"):
        TokenStream(task, seed=0, split="train", stage=SIZE).batch([0], beliefs=True)
    short = TokenStream(
        make_task("permutations", {"n": "2"}), seed=0, split="test", stage=Stage(commands=(1, 1), spacing=(1, 1))
    )
    with pytest.raises(ValueError, match="take longer sessions"):
        short.batch([0])
