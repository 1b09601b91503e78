"""The classifier of hidden outcomes: it finds what is planted, and nothing where nothing is told."""

from __future__ import annotations

import numpy as np

from told_classifier import Place, gain, null_gains, places_of, with_leak


def places(number: int) -> list[Place]:
    source = np.random.default_rng(1)
    words = [f"command {n}" for n in range(12)]
    made = []
    for session in range(number):
        p = float(source.choice([0.5, 0.75, 0.9]))
        told = tuple(str(each) for each in source.choice(words, 4))
        made.append(Place(session, p, bool(source.random() < p), told))
    return made


def test_a_planted_leak_is_found_and_nothing_else() -> None:
    quiet = places(700)
    nulls = null_gains(quiet, 10)
    assert min(nulls) <= gain(quiet) <= max(nulls) + 0.002
    assert gain(with_leak(quiet, 0.3)) > max(nulls) + 0.02


def test_open_outputs_of_a_row_are_places() -> None:
    text = ">>> f()\n1\n>>> x\n2\n"
    row = {
        "path": "a.py",
        "name": "f~0",
        "text": text,
        "steps": [{"source": "f()", "kind": "statement"}, {"source": "x", "kind": "reveal"}],
        "segments": [{"step": 0, "start": 8, "end": 10}, {"step": 1, "start": 16, "end": 18}],
        "beliefs": [
            {"segment": 0, "outcomes": ["1"], "probabilities": [1.0], "method": "exact"},
            {"segment": 1, "outcomes": ["2", "3"], "probabilities": [0.25, 0.75], "method": "exact"},
        ],
    }
    (place,) = places_of([row])
    assert (place.p, place.came) == (0.75, False)
    assert "a.py f~0 f()" in place.words
