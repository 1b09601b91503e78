"""Random programs: through the real tracer, with beliefs that are exact, and rows that are told by their index."""

from __future__ import annotations

import numpy as np
import pytest

from trace_mine.corpus.synthetic.programs import program
from trace_mine.corpus.synthetic.task import Stage
from trace_mine.corpus.synthetic.tasks import make_task

STAGE = Stage(commands=(3, 6), spacing=(2, 2))


def test_programs_are_traced_and_believed() -> None:
    task = make_task("programs", {})
    uncertain = 0
    for index in range(12):
        made = task.trace(index, seed=0, split="train", stage=STAGE)
        assert made.integrity == "clean" and made.sandbox["level"] >= 2 and not made.failed_checks
        assert {belief.method for belief in made.beliefs} <= {"exact"}
        uncertain += any(len(belief.outcomes) > 1 for belief in made.beliefs)
        if any(belief.probabilities and len(belief.outcomes) > 1 for belief in made.beliefs):
            assert made.choices
    assert uncertain >= 6
    again = task.trace(3, seed=0, split="train", stage=STAGE)
    assert again == task.trace(3, seed=0, split="train", stage=STAGE)
    assert again.text != task.trace(3, seed=1, split="train", stage=STAGE).text


def test_a_program_has_as_many_statements_as_it_is_asked_for() -> None:
    import ast

    for seed in range(50):
        source = program(np.random.default_rng(seed), 7, variables=3, modulus=5, p=0.5)
        assert len(ast.parse(source).body) == 3 + 7


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match="2 <= variables"):
        make_task("programs", {"variables": "1"})
