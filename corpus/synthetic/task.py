"""A task with its parameters: how row i of a split is made, and how splits are kept disjoint.

Row i of a task depends on (parameters, seed, split, stage, i) and nothing else: its generator is keyed by their hash.

Splits are disjoint by construction. A session's sequence of commands (actions and revealed variables, not outcomes) has
a split by its hash, and a row is drawn again until its sequence belongs to its split. Commands are drawn independently
of outcomes, so this changes no law. Two kinds of task can't be divided so: the symbols of an automaton are its
outcomes, and an adversary has a handful of sequences in all. Their splits differ in their generators alone, and the
merge drops a text that two of them share.
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

# Written here again and not imported from corpus.splits: there a repository's name decides, here a sequence's hash.
SPLITS = ("train", "validation", "test")
HELD_OUT = 0.05
"""Share of all command sequences that each of validation and test has."""
TRIES = 2_000
"""The most draws for one row. A held-out row needs 20 on average, and .95 ** 2,000 is 1e-45: so many fail only if the
split has no sequence of that size at all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Ranges, both ends included, of a session's number of commands and of the commands between two reveals.

    Raises:
        ValueError: a range is no pair of numbers, does not begin at 1 or more, or ends before it begins.

    >>> import trace_mine
    >>> trace_mine.Stage(commands=(8, 16), spacing=(1, 4)).commands
    (8, 16)
    """

    commands: tuple[int, int]
    spacing: tuple[int, int]

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, object], ...] = (("commands", self.commands), ("spacing", self.spacing))
        for name, ends in ranges:
            if not (isinstance(ends, tuple) and len(ends) == 2 and 1 <= ends[0] <= ends[1]):
                raise ValueError(f"expected {name} (N, M) with 1 <= N <= M, got {ends!r}; give the two ends")


class Task(Protocol):
    """The protocol of the registry's tasks: all that rows and streams of traces need."""

    @property
    def name(self) -> str:
        """The task's name in the registry."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """All that the task's rows depend on beside seed, split, stage and number: a JSON object."""

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Make row ``index`` of the split.

        Raises:
            ValueError: there is no such row; a dataset counts it as a drop.
        """


Player = Callable[[Game, int, int, Sequence[np.random.Generator]], Plays]
"""(game, number of commands, spacing, one generator for each session) -> sessions. ``play`` follows the game's law,
``adversary_plays`` a conditioned one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GameTask:
    """A game, and the function that plays it.

    Attributes:
        name: the task's name in the registry.
        game: the game.
        parameters: JSON, all that the rows depend on beside seed, split, stage and number.
        player: plays sessions of the game.
        has_splits: the hash of a session's sequence of commands decides its split.
    """

    name: str
    game: Game = field(repr=False)  # its tables are pages long
    parameters: Mapping[str, object] = field(default_factory=dict)
    player: Player = field(default=play, repr=False)
    has_splits: bool = True

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Make row ``index`` of the split.

        Raises:
            ValueError: the split has no sequence as short as this stage's.
        """
        # The batch of one: whatever the batch, a row is the same.
        ((_, plays),) = self.plays([index], seed=seed, split=split, stage=stage)
        return next(game_traces(self.game, plays))

    def plays(
        self, indices: Sequence[int], *, seed: int, split: str, stage: Stage
    ) -> Iterator[tuple[list[int], Plays]]:
        """Play the sessions of these indices, many at once.

        Rejection sampling in rounds: in each round every session that is still missing draws its size and is played
        with the others of that size; those whose sequence belongs to the split are yielded, the rest draw again with
        another key. A session's draws depend on its index and the round alone, so a batch of any composition has the
        same ones.

        Yields:
            (places in ``indices``, their plays): one group for each size and round.

        Raises:
            ValueError: the split has no sequence as short as this stage's.
        """
        pending = list(range(len(indices)))
        for attempt in range(TRIES):
            # Grouped by size: a batch of plays has one length and one spacing.
            sizes: dict[tuple[int, int], list[tuple[int, np.random.Generator]]] = {}
            for place in pending:
                generator = generator_for(self, seed, split, stage, indices[place], attempt)
                length, spacing, generator = draw_size(stage, generator)
                sizes.setdefault((length, spacing), []).append((place, generator))
            pending = []
            for (length, spacing), drawn in sizes.items():
                plays = self.player(self.game, length, spacing, [generator for _, generator in drawn])
                accepted = [
                    not self.has_splits or split_of(sequence_of(plays, row)) == split for row in range(len(drawn))
                ]
                pending += [place for (place, _), is_in in zip(drawn, accepted, strict=True) if not is_in]
                places = [place for (place, _), is_in in zip(drawn, accepted, strict=True) if is_in]
                if places:
                    # A group of one, as `trace` asks for, is accepted in full or not at all: no copy then.
                    yield places, plays if all(accepted) else plays.rows(accepted)
            if not pending:
                return
        raise ValueError(
            f"expected sequences of the {split} split among sessions of {stage.commands} commands, got none in {TRIES} "
            "tries; take longer sessions"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomatonTask:
    """An automaton that emits symbols. Every command shows its symbol, so the stage's spacing has no effect."""

    name: str
    automaton: Automaton = field(repr=False)
    parameters: Mapping[str, object] = field(default_factory=dict)

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Make row ``index`` of the split.

        Nothing is drawn again: the symbols are outcomes, and to choose among sessions by them would change their law.
        """
        length, _, generator = draw_size(stage, generator_for(self, seed, split, stage, index, 0))
        return automaton_trace(self.automaton, length, generator)


def check_split(split: str) -> None:
    """Raise ValueError if ``split`` is none of SPLITS: rows of a misspelt split would be of another one, unnoticed."""
    if split not in SPLITS:
        raise ValueError(f"expected a split among {', '.join(SPLITS)}, got {split!r}; name one of them")


def generator_for(task: Task, seed: int, split: str, stage: Stage, index: int, attempt: int) -> np.random.Generator:
    """Return the generator of one attempt at a row. It depends on the arguments alone, and is the same on every
    machine.

    Philox takes a key of 128 bits, so the hash of the arguments is its key, and rows need no common stream.
    """
    # int: an index may be one of numpy's, which are no JSON.
    parts = (task.name, dict(task.parameters), seed, split, stage.commands, stage.spacing, int(index), attempt)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def draw_size(stage: Stage, generator: np.random.Generator) -> tuple[int, int, np.random.Generator]:
    """Draw a session's number of commands and spacing from the stage's ranges; return both, and the generator for all
    later draws. The spacing is at most the number of commands, so that each session has a reveal.
    """
    length = int(generator.integers(stage.commands[0], stage.commands[1] + 1))
    spacing = min(int(generator.integers(stage.spacing[0], stage.spacing[1] + 1)), length)
    return length, spacing, generator


def sequence_of(plays: Plays, row: int = 0) -> list[object]:
    """Return the sequence of commands of a session in a batch, without any outcome, as JSON."""
    return [plays.spacing, plays.actions[row].tolist(), plays.shown[row].tolist()]


def split_of(sequence: list[object]) -> str:
    """Return the split to which a sequence of commands belongs, by its hash."""
    digest = hashlib.sha256(json.dumps(sequence).encode()).digest()
    # The first 48 bits as a number in [0, 1): exact in a float64. The edges are part of the format of datasets.
    share = int.from_bytes(digest[:6]) / (1 << 48)
    return "test" if share < HELD_OUT else "validation" if share < 2 * HELD_OUT else "train"
