"""The registry of tasks: what ``trace-synth`` can make, and how a row is told from its number.

Row i of a task depends on (parameters, seed, split, stage, i) and nothing else: its generator is keyed by their hash.
Splits are disjoint by construction: a session's sequence of commands (actions and revealed variables, not outcomes)
hashes to one split, and a row draws again until it has a sequence of its own split. Two kinds of task can't be parted
so: an automaton's session has no commands apart from its outcomes, and an adversary has a handful of sequences in all.
There splits are apart by their generators alone, and the merge drops a text that two of them share.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus.synthetic.adversary import adversary_plays
from corpus.synthetic.automaton import Automaton
from corpus.synthetic.automaton_yaml import read_automaton
from corpus.synthetic.examples import figure_9
from corpus.synthetic.game import Game, Plays, play
from corpus.synthetic.groups import group_game
from corpus.synthetic.permutations import MOST, between, permutation_game
from corpus.synthetic.sessions import automaton_session, automaton_setup, game_sessions
from tracer.schema import Trace

SPLITS = ("train", "validation", "test")
HELD_OUT = 0.05
"""Share of all command sequences that each of validation and test has."""
TRIES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Ranges (both ends in) of the number of commands and of the reveal spacing."""

    commands: tuple[int, int]
    spacing: tuple[int, int]


CURRICULA: dict[str, tuple[Stage, ...]] = {
    "paper": tuple(Stage(commands=(n, n), spacing=(s, s)) for n, s in ((8, 1), (16, 2), (32, 4), (64, 8))),
    "cpu": (
        Stage(commands=(2, 8), spacing=(1, 2)),
        Stage(commands=(8, 16), spacing=(1, 4)),
        Stage(commands=(16, 32), spacing=(2, 8)),
    ),
}


def key_of(*parts: Any) -> np.random.Generator:
    """A generator that depends on the parts alone, the same on every machine."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


Player = Callable[[Game, int, int, Sequence[np.random.Generator]], Plays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task with its parameters filled in. ``game`` or ``automaton`` is what is played; ``player`` plays the game.

    ``has_splits``: whether command sequences are parted by their hash.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    game: Game | None = None
    automaton: Automaton | None = None
    player: Player = play
    has_splits: bool = True

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Row ``index`` of the split.

        Raises:
            ValueError: the split has no sequence as short as this stage's.
        """
        if self.automaton is not None:
            # its symbols are its outcomes: choosing among sessions by them would change their law
            length, _, generator = self._drawn(index, 0, seed, split, stage)
            return automaton_session(self.automaton, length, generator)
        assert self.game is not None
        ((_, plays),) = self.plays([index], seed=seed, split=split, stage=stage)
        return next(game_sessions(self.game, plays))

    def plays(
        self, indices: Sequence[int], *, seed: int, split: str, stage: Stage
    ) -> Iterator[tuple[list[int], Plays]]:
        """The game's sessions of these indices, many at once: (places in ``indices``, their plays), grouped by what
        they have in common (number of commands, spacing, tries).

        Raises:
            ValueError: the split has no sequence as short as this stage's.
        """
        assert self.game is not None, "an automaton has no plays"
        pending = list(range(len(indices)))
        for attempt in range(TRIES):
            sizes: dict[tuple[int, int], list[tuple[int, np.random.Generator]]] = {}
            for place in pending:
                length, spacing, generator = self._drawn(indices[place], attempt, seed, split, stage)
                sizes.setdefault((length, spacing), []).append((place, generator))
            pending = []
            for (length, spacing), drawn in sizes.items():
                plays = self.player(self.game, length, spacing, [generator for _, generator in drawn])
                right = [not self.has_splits or split_of(sequence_of(plays, row)) == split for row in range(len(drawn))]
                pending += [place for (place, _), is_right in zip(drawn, right, strict=True) if not is_right]
                places = [place for (place, _), is_right in zip(drawn, right, strict=True) if is_right]
                if places:
                    yield places, plays if all(right) else plays.rows(right)
            if not pending:
                return
            pending.sort()
        raise ValueError(
            f"expected sequences of the {split} split among sessions of {stage.commands} commands, got none in {TRIES} "
            "tries; take longer sessions"
        )

    def _drawn(
        self, index: int, attempt: int, seed: int, split: str, stage: Stage
    ) -> tuple[int, int, np.random.Generator]:
        told = (self.name, dict(self.parameters), seed, split, stage.commands, stage.spacing, int(index), attempt)
        generator = key_of(*told)
        length = int(generator.integers(stage.commands[0], stage.commands[1] + 1))
        spacing = min(int(generator.integers(stage.spacing[0], stage.spacing[1] + 1)), length)
        return length, spacing, generator


def sequence_of(plays: Plays, row: int = 0) -> list[Any]:
    """What a session of a batch commands and asks, apart from all outcomes."""
    return [plays.spacing, plays.actions[row].tolist(), plays.shown[row].tolist()]


def split_of(sequence: list[Any]) -> str:
    """The split that a sequence of commands belongs to."""
    digest = hashlib.sha256(json.dumps(sequence).encode()).digest()
    share = int.from_bytes(digest[:6]) / (1 << 48)
    return "test" if share < HELD_OUT else "validation" if share < 2 * HELD_OUT else "train"


Maker = Callable[..., Task]


def _permutations(**parameters: Any) -> Task:
    return Task(name="permutations", parameters=parameters, game=permutation_game(**parameters))


def _groups(**parameters: Any) -> Task:
    return Task(name="groups", parameters=parameters, game=group_game(**parameters))


def _pfsa(*, kind: str = "maybe-swaps", file: str = "", n: int = 3, p: float = 0.1, visible: float = 0.0) -> Task:
    """``kind``: ``maybe-swaps`` of ``n`` variables with probability ``p`` (a share ``visible`` of the swaps just
    happens), ``noisy-identity`` (every action is a full permutation that rarely happens), ``retention`` (one maybe-swap
    again and again, seen not to have happened; last a variable it never touched is asked for), ``fig10`` (the paper's
    adversary: the same with p = 1/2, without that last question), ``fig9`` (the paper's automaton that halves the mass
    at every cycle), or ``file`` with a YAML automaton.
    """
    parameters = {"kind": kind, "file": file, "n": n, "p": p, "visible": visible}
    if file:
        automaton = read_automaton(Path(file))
        automaton_setup(automaton)
        told = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
        return Task(name="pfsa", parameters={"file": Path(file).name, "sha256": told}, automaton=automaton)
    if kind == "maybe-swaps":
        return Task(name="pfsa", parameters=parameters, game=permutation_game(n=n, p=p, visible=visible))
    if kind == "noisy-identity":
        return Task(name="pfsa", parameters=parameters, game=permutation_game(n=n, p=p, moves="full", visible=visible))
    if kind == "retention":
        player = partial(adversary_plays, asks_untouched=True)
        between("n", n, 3, MOST)
        return Task(name="pfsa", parameters=parameters, game=_hidden_swaps(n, p), player=player, has_splits=False)
    if kind == "fig10":
        parameters["p"] = 0.5
        return Task(
            name="pfsa", parameters=parameters, game=_hidden_swaps(n, 0.5), player=adversary_plays, has_splits=False
        )
    if kind == "fig9":
        fig9 = figure_9()
        known = Automaton(
            name=fig9.name,
            states=fig9.states,
            symbols=fig9.symbols,
            transitions=fig9.transitions,
            reveals=fig9.reveals,
            start=np.array([0.0, 1.0, 0.0]),
            emissions=fig9.emissions,
        )
        return Task(name="pfsa", parameters=parameters, automaton=known)
    raise ValueError(
        f"expected kind to be maybe-swaps, noisy-identity, retention, fig10 or fig9, or a file, got {kind!r}"
    )


def _hidden_swaps(n: int, p: float) -> Game:
    if p >= 1.0:
        raise ValueError(f"expected p below 1, got {p}; a swap that always happens can't be seen not to have")
    return permutation_game(n=n, p=p)


TASKS: dict[str, tuple[Maker, Callable[..., Any]]] = {
    "permutations": (_permutations, permutation_game),
    "groups": (_groups, group_game),
    "pfsa": (_pfsa, _pfsa),
}
"""Task name to (maker, the function whose keyword arguments are its parameters)."""


def describe(name: str) -> str:
    """A task's parameters with their defaults, and what they mean."""
    function = TASKS[name][1]
    defaults = ", ".join(f"{key}={p.default!r}" for key, p in inspect.signature(function).parameters.items())
    told = inspect.getdoc(function) or ""
    return f"{name}: {defaults}\n  {' '.join(told.partition('Raises:')[0].split())}"


def make_task(name: str, parameters: Mapping[str, str]) -> Task:
    """The task with parameters given as text.

    Raises:
        ValueError: the task or a parameter is unknown, or a value does not fit.
    """
    if name not in TASKS:
        raise ValueError(f"expected a task among {', '.join(TASKS)}, got {name!r}")
    maker, function = TASKS[name]
    known = inspect.signature(function).parameters
    # defaults are filled in: a row must not depend on whether a default was spelt out
    given: dict[str, Any] = {key: parameter.default for key, parameter in known.items()}
    for key, text in parameters.items():
        if key not in known:
            raise ValueError(f"expected a parameter of {name} ({', '.join(known)}), got {key!r}")
        kind = type(known[key].default)
        try:
            given[key] = kind(text)
        except ValueError:
            raise ValueError(f"expected {key} of {name} to be a {kind.__name__}, got {text!r}") from None
    return maker(**given)
