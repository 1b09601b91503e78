"""The filter of a session's text equals the one of plays, and knows nothing of what is no session of the game."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from trace_mine.corpus.synthetic.play_traces import game_traces
from trace_mine.corpus.synthetic.stream import TokenStream, joined
from trace_mine.corpus.synthetic.task import Stage
from trace_mine.corpus.synthetic.tasks import make_task
from trace_mine.tracer.formats import repl
from trace_mine.train.measure.game_laws import TextFilter
from trace_mine.train.measure.laws import exact_laws


def laws_of(game, text):
    text_filter, found = TextFilter(game), []
    for source, output in repl.parse(text):
        law = text_filter.law(source)
        if law is not None:
            found.append((law, output))
        text_filter.take(source, output)
    return found, text_filter


@pytest.mark.parametrize("style", ["print", "echo"])
@pytest.mark.parametrize("values", ["distinct", "repeated"])
def test_laws_of_text_are_those_of_the_plays(style, values):
    task = make_task("permutations", {"n": "3", "p": "0.3", "visible": "0.2", "style": style, "values": values})
    stage = Stage(commands=(12, 12), spacing=(2, 2))
    plays = joined(list(task.plays(range(8), seed=3, split="test", stage=stage)))
    stream = TokenStream(task, seed=3, split="test", stage=stage)
    exact = exact_laws(task.game, plays)
    for row, trace in enumerate(game_traces(task.game, plays)):
        found, _ = laws_of(task.game, trace.text)
        assert len(found) == 6
        for reveal, (law, output) in enumerate(found):
            assert law[output] > 0
            by_label = dict.fromkeys(stream.labels, 0.0)
            for text, mass in law.items():
                by_label[text.rpartition(" ")[2]] += mass
            assert np.allclose([by_label[label] for label in stream.labels], exact[row, reveal], atol=1e-12)


def test_full_reveals_have_laws_too():
    game = make_task("permutations", {"n": "3", "reveals": "full"}).game
    start = ">>> a = 1\n>>> b = 2\n>>> c = 3\n>>> a, c = c, a\n>>> print('a', a, 'b', b, 'c', c)\n"
    (law,), _ = laws_of(game, start + "a 3 b 2 c 1\n")
    assert law == ({"a 3 b 2 c 1": 1.0}, "a 3 b 2 c 1")


def test_what_is_not_of_the_game_ends_what_is_known():
    game = make_task("permutations", {"n": "3"}).game
    start = ">>> a = 1\n>>> b = 2\n>>> c = 3\n>>> print('a', a)\na 1\n"
    found, known = laws_of(game, start + ">>> a += 1\n>>> print('a', a)\na 2\n")
    assert len(found) == 1 and known.is_lost
    assert laws_of(game, start.replace("c = 3", "c = 4"))[0] == []
    assert laws_of(game, start.replace("a = 1", "d = 1"))[0] == []


def test_an_output_that_cannot_come_is_passed_over():
    game = make_task("permutations", {"n": "3"}).game
    start = ">>> a = 1\n>>> b = 2\n>>> c = 3\n>>> print('a', a)\na 2\n"
    found, known = laws_of(game, start + ">>> a, b = b, a\n>>> print('a', a)\na 2\n")
    assert found == [({"a 1": 1.0}, "a 2"), ({"a 2": 1.0}, "a 2")] and not known.is_lost
