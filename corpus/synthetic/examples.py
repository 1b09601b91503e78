"""The paper's automaton of Fig. 9, on which the joint form loses its mass: a task of its own, and a figure of ours."""

from __future__ import annotations

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton


def figure_9() -> Automaton:
    """Return the automaton of Fig. 9 (arXiv 2602.14814).

    At each ``mix`` state 1 absorbs half of the mass of states 2 and 3; ``not 1`` then reveals that the state isn't 1.
    So the mass of the joint form halves at every cycle (1/2, 1/4, 1/8, ...), while the belief stays as it was.
    """
    # Columns are the state before: states 2 and 3 keep half of their mass and lose half to state 1.
    mix = np.array([[1.0, 0.5, 0.5], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]])
    return Automaton(
        name="fig9",
        states=("1", "2", "3"),
        symbols=("mix", "not 1"),
        transitions=np.stack([mix, np.eye(3)]),
        reveals=np.array([[True, True, True], [False, True, True]]),
        start=np.array([0.0, 0.5, 0.5]),
        # State 1 emits `mix` alone. So a run of the automaton is in state 1 for good, once it gets there, and says
        # nothing more; the figure's sequence, `mix` and `not 1` in turn, is one in which it never gets there.
        emissions=np.array([[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]]),
    )
