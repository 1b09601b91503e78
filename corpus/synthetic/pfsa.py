"""The task ``pfsa``: hidden or probabilistic actions. Maybe-swaps, the paper's adversaries, and automata from files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from trace_mine.corpus.synthetic.adversary import adversary_plays
from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.automaton_yaml import read_automaton
from trace_mine.corpus.synthetic.examples import figure_9
from trace_mine.corpus.synthetic.permutations import MOST, check_choice, check_range, permutation_game
from trace_mine.corpus.synthetic.play_traces import automaton_setup
from trace_mine.corpus.synthetic.task import AutomatonTask, GameTask, Task

PARAMETERS_OF = {
    "maybe-swaps": ("n", "p", "visible"),
    "noisy-identity": ("n", "p", "visible"),
    "retention": ("n", "p"),
    "fig10": ("n",),
    "fig9": (),
}
"""For each kind, the parameters that it uses; another one is refused."""
DEFAULTS: dict[str, object] = {"kind": "maybe-swaps", "n": 3, "p": 0.1, "visible": 0.0}


def pfsa_task(*, kind: str = "maybe-swaps", file: str = "", n: int = 3, p: float = 0.1, visible: float = 0.0) -> Task:
    """``kind``: ``maybe-swaps`` of ``n`` variables with probability ``p`` (a share ``visible`` of the swaps always
    happens), ``noisy-identity`` (every action is a full permutation that happens with probability ``p``), ``retention``
    (one maybe-swap is repeated and each reveal shows that it has not happened; the last reveal asks for a variable that
    it never touched), ``fig10`` (the paper's adversary: the same with p = 1/2, without that last question), ``fig9``
    (the paper's automaton that halves the mass at every cycle); or ``file``: a YAML automaton, without other
    parameters.

    Raises:
        ValueError: a parameter is out of range, or the kind has no such parameter; the file is no automaton.
    """
    check_choice("kind", kind, tuple(PARAMETERS_OF))
    # A value that equals its default can't be told from one that was left out, and does no harm.
    given = {"n": n, "p": p, "visible": visible}
    if file:
        _refuse_others({**given, "kind": kind}, (), "an automaton's file")
        return _task_of_file(Path(file))
    used = PARAMETERS_OF[kind]
    _refuse_others(given, used, f"kind={kind}")
    # Only what the kind uses: rows, and their generators' keys, must not hang on parameters without effect.
    parameters = {"kind": kind, **{key: given[key] for key in used}}
    if kind == "fig9":
        return AutomatonTask(name="pfsa", automaton=_figure_9_from_2(), parameters=parameters)
    if kind in ("retention", "fig10"):
        return _adversary_task(kind, n, p, parameters)
    # With p small, a full permutation that rarely happens is the identity with noise.
    moves = "full" if kind == "noisy-identity" else "swaps"
    return GameTask(name="pfsa", game=permutation_game(n=n, p=p, moves=moves, visible=visible), parameters=parameters)


def _refuse_others(given: Mapping[str, object], used: Sequence[str], what: str) -> None:
    """Refuse parameters that would be ignored.

    Raises:
        ValueError: a parameter that ``what`` does not use differs from its default.
    """
    useless = [key for key, value in given.items() if key not in used and value != DEFAULTS[key]]
    if useless:
        raise ValueError(f"expected only {', '.join(used) or 'no parameters'} with {what}, got {', '.join(useless)}")


def _task_of_file(path: Path) -> Task:
    automaton = read_automaton(path)
    automaton_setup(automaton)  # raises ValueError if no session can begin, here and not in every row
    # The file is named by its content: the same automaton in another folder makes the same rows, an edited one others.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return AutomatonTask(name="pfsa", automaton=automaton, parameters={"file": path.name, "sha256": digest})


def _adversary_task(kind: str, n: int, p: float, parameters: Mapping[str, object]) -> Task:
    check_range("n", n, 2 if kind == "fig10" else 3, MOST)
    if p >= 1.0:
        raise ValueError(f"expected p below 1, got {p}; a swap that always happens can't be seen not to have")
    # has_splits=False: there are n (n - 1) sequences of commands for fig10, too few to part by their hash.
    game = permutation_game(n=n, p=p if kind == "retention" else 0.5)
    player = partial(adversary_plays, asks_untouched=True) if kind == "retention" else adversary_plays
    return GameTask(name="pfsa", game=game, parameters=parameters, player=player, has_splits=False)


def _figure_9_from_2() -> Automaton:
    """Return Fig. 9's automaton with state 2 as its first: a session begins in one state, which its set-up names."""
    figure = figure_9()
    return Automaton(
        name=figure.name,
        states=figure.states,
        symbols=figure.symbols,
        transitions=figure.transitions,
        reveals=figure.reveals,
        start=np.array([0.0, 1.0, 0.0]),
        emissions=figure.emissions,
    )
