"""A task with its parameters filled in: how a row is told from its number, and which split it belongs to.

Row i of a task depends on (parameters, seed, split, stage, i) and nothing else: its generator is keyed by their hash.
Splits are disjoint by construction: a session's sequence of commands (actions and revealed variables, not outcomes)
hashes to one split, and a row draws again until it has a sequence of its own split. Two kinds of task can't be parted
so: an automaton's session has no commands apart from its outcomes, and an adversary has a handful of sequences in all.
There splits are apart by their generators alone, and the merge drops a text that two of them share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.game import Game, Plays, play
from trace_mine.corpus.synthetic.play_traces import automaton_trace, game_traces
from trace_mine.tracer.schema import Trace

SPLITS = ("train", "validation", "test")
HELD_OUT = 0.05
"""Share of all command sequences that each of validation and test has."""
TRIES = 2_000
"""A held-out row needs 20 on average: this many fail only where the split has no sequence of that size at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Ranges (both ends in) of the number of commands and of the reveal spacing.

    >>> import trace_mine
    >>> trace_mine.Stage(commands=(8, 16), spacing=(1, 4)).commands
    (8, 16)
    """

    commands: tuple[int, int]
    spacing: tuple[int, int]


class Task(Protocol):
    """What the registry's makers return: all that rows and streams of traces need."""

    @property
    def name(self) -> str:
        """The task's name in the registry."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """JSON: what its rows depend on, besides seed, split, stage and number."""

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Row ``index`` of the split.

        Raises:
            ValueError: there is no such row; the dataset counts a drop.
        """


Player = Callable[[Game, int, int, Sequence[np.random.Generator]], Plays]
"""(game, commands, spacing, one generator a session) -> sessions; ``play`` is the fair one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GameTask:
    """A game, and who plays it. ``has_splits``: whether command sequences are parted by their hash."""

    name: str
    game: Game
    parameters: Mapping[str, object] = field(default_factory=dict)
    player: Player = play
    has_splits: bool = True

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Row ``index`` of the split.

        Raises:
            ValueError: the split has no sequence as short as this stage's.
        """
        ((_, plays),) = self.plays([index], seed=seed, split=split, stage=stage)
        return next(game_traces(self.game, plays))

    def plays(
        self, indices: Sequence[int], *, seed: int, split: str, stage: Stage
    ) -> Iterator[tuple[list[int], Plays]]:
        """The sessions of these indices, many at once: (places in ``indices``, their plays), grouped by what they have
        in common (number of commands, spacing, tries).

        Raises:
            ValueError: the split has no sequence as short as this stage's.
        """
        pending = list(range(len(indices)))
        for attempt in range(TRIES):
            sizes: dict[tuple[int, int], list[tuple[int, np.random.Generator]]] = {}
            for place in pending:
                parts = _key_parts(self, seed, split, stage, indices[place], attempt)
                length, spacing, generator = sized(stage, key_of(*parts))
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
        raise ValueError(
            f"expected sequences of the {split} split among sessions of {stage.commands} commands, got none in {TRIES} "
            "tries; take longer sessions"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomatonTask:
    """An automaton that emits symbols; the stage's spacing means nothing to it: every step shows its symbol."""

    name: str
    automaton: Automaton
    parameters: Mapping[str, object] = field(default_factory=dict)

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Row ``index`` of the split: one draw, whatever it is. Its symbols are its outcomes, and to choose among
        sessions by them would change their law.
        """
        length, _, generator = sized(stage, key_of(*_key_parts(self, seed, split, stage, index, 0)))
        return automaton_trace(self.automaton, length, generator)


def _key_parts(task: Task, seed: int, split: str, stage: Stage, index: int, attempt: int) -> tuple[object, ...]:
    return task.name, dict(task.parameters), seed, split, stage.commands, stage.spacing, int(index), attempt


def key_of(*parts: object) -> np.random.Generator:
    """A generator that depends on the parts (JSON) alone, the same on every machine."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def sized(stage: Stage, generator: np.random.Generator) -> tuple[int, int, np.random.Generator]:
    """(commands, spacing) of a session, drawn from the stage's ranges, and the generator for what comes next."""
    length = int(generator.integers(stage.commands[0], stage.commands[1] + 1))
    spacing = min(int(generator.integers(stage.spacing[0], stage.spacing[1] + 1)), length)
    return length, spacing, generator


def sequence_of(plays: Plays, row: int = 0) -> list[object]:
    """What a session of a batch commands and asks, apart from all outcomes."""
    return [plays.spacing, plays.actions[row].tolist(), plays.shown[row].tolist()]


def split_of(sequence: list[object]) -> str:
    """The split that a sequence of commands belongs to."""
    digest = hashlib.sha256(json.dumps(sequence).encode()).digest()
    share = int.from_bytes(digest[:6]) / (1 << 48)
    return "test" if share < HELD_OUT else "validation" if share < 2 * HELD_OUT else "train"
