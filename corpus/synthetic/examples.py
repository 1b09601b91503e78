"""The paper's automaton of Fig. 9, on which the joint form loses its mass: a task, and a figure."""

from __future__ import annotations

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton


def figure_9() -> Automaton:
    """State 1 absorbs half of 2 and 3 at each ``mix``, and ``not 1`` says that it is none of it: the mass of the joint
    form halves at every cycle (1/2, 1/4, 1/8, ...), while the belief stays what it was.
    """
    mix = np.array([[1.0, 0.5, 0.5], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]])
    return Automaton(
        name="fig9",
        states=("1", "2", "3"),
        symbols=("mix", "not 1"),
        transitions=np.stack([mix, np.eye(3)]),
        reveals=np.array([[True, True, True], [False, True, True]]),
        start=np.array([0.0, 0.5, 0.5]),
        emissions=np.array([[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]]),
    )
