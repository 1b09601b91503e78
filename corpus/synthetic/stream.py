"""Sessions for training, made as they are asked for: map-style, the same for an index every time.

``batch`` is the fast form for games: word-level token numbers over a closed vocabulary, many sessions at once, with the
exact law of every reveal on request. Words are names, operators, values, prompts and line ends; joined they are the
session's text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.synthetic.game import Floats, Game, Ints, Plays, play, reveal_laws
from corpus.synthetic.tasks import TRIES, Stage, Task, key_of, sequence_of, split_of
from tracer.schema import Trace

_word = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*|\d+(?:\.\d+)?|[^\w\s]| +")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """``tokens`` [batch, time]; ``reveals`` [reveals]: the position of each revealed value's token; ``laws`` [batch,
    reveals, items], or None: the exact law of the item shown there; ``items`` [batch, reveals]: the item that was.
    """

    tokens: Ints
    reveals: Ints
    items: Ints
    laws: Floats | None


class Stream:
    """A task's sessions of one split and stage. ``len`` is the number that an epoch is said to have."""

    def __init__(self, task: Task, *, seed: int, split: str, stage: Stage, size: int = 1 << 20) -> None:
        self.task = task
        self.seed = seed
        self.split = split
        self.stage = stage
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Trace:
        if not 0 <= index < self.size:
            raise IndexError(f"expected 0 <= index < {self.size}, got {index}")
        return self.task.trace(index, seed=self.seed, split=self.split, stage=self.stage)


def words(text: str) -> list[str]:
    """A session's text as words; joined they are the text."""
    found: list[str] = _word.findall(text)
    return found


class TokenStream:
    """The batch form of a game with partial reveals in print style: all sessions have the stage's largest sizes.

    Raises:
        ValueError: the game's reveals are not single values, or its commands differ in length.
    """

    def __init__(self, game: Game, *, seed: int, split: str, length: int, spacing: int) -> None:
        if game.shows_all or game.num_labels is not None:
            raise ValueError("expected partial reveals of distinct values, got others; use Stream for those")
        self.game = game
        self.seed = seed
        self.split = split
        self.length = length
        self.spacing = spacing
        opening = "".join(f">>> {source}\n" for source in game.opening).format(
            *(game.items[item] for item in game.holds[game.start])
        )
        commands = [">>> " + source.replace("\n", "\n... ") + "\n" for source in game.actions]
        reveals = [
            [f">>> {game.reveal_source(v)}\n{text}\n" for text in game.reveal_texts_of_items(v)]
            for v in range(len(game.variables))
        ]
        vocabulary: dict[str, int] = {}

        def encode(text: str) -> list[int]:
            return [vocabulary.setdefault(word, len(vocabulary)) for word in words(text)]

        self._opening = np.array(encode(opening), dtype=np.int64)
        self._commands = _table([encode(text) for text in commands])
        self._reveals = np.stack([_table([encode(text) for text in texts]) for texts in reveals])
        self.vocabulary = tuple(vocabulary)
        self._value = self._reveals.shape[2] - 2  # the value stands before the last line end

    def _plays(self, indices: Sequence[int]) -> Plays:
        """Sessions whose command sequences belong to the split; each index draws until it has one."""
        generators = [self._accepted(int(index)) for index in indices]
        return play(self.game, self.length, self.spacing, generators)

    def _accepted(self, index: int) -> np.random.Generator:
        for attempt in range(TRIES):
            told = ("tokens", self.seed, self.split, self.length, self.spacing, index, attempt)
            tried = play(self.game, self.length, self.spacing, [key_of(*told)])
            if split_of(sequence_of(tried)) == self.split:
                return key_of(*told)
        raise ValueError(f"expected sequences of the {self.split} split among {self.length} commands, got none")

    def batch(self, indices: Sequence[int], *, beliefs: bool = False) -> Batch:
        """The sessions of these indices."""
        game = self.game
        plays = self._plays(indices)
        num_reveals = plays.shown.shape[1]
        width, shown = self._commands.shape[1], self._reveals.shape[2]
        total = len(self._opening) + self.length * width + num_reveals * shown
        tokens = np.empty((len(indices), total), dtype=np.int64)
        tokens[:, : len(self._opening)] = self._opening
        items = np.empty((len(indices), num_reveals), dtype=np.int64)
        places = np.empty(num_reveals, dtype=np.int64)
        at = len(self._opening)
        for step in range(self.length):
            tokens[:, at : at + width] = self._commands[plays.actions[:, step]]
            at += width
            if (step + 1) % self.spacing == 0:
                reveal = (step + 1) // self.spacing - 1
                variable = plays.shown[:, reveal]
                items[:, reveal] = game.holds[plays.states[:, step], variable]
                tokens[:, at : at + shown] = self._reveals[variable, items[:, reveal]]
                places[reveal] = at + self._value
                at += shown
        laws = reveal_laws(game, plays) if beliefs else None
        return Batch(tokens=tokens, reveals=places, items=items, laws=laws)


def _table(rows: list[list[int]]) -> Ints:
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise ValueError(f"expected commands of one length in words, got {sorted(lengths)}; use Stream for this game")
    return np.array(rows, dtype=np.int64)
