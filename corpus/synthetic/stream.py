"""Sessions for training, made as they are asked for: map-style, the same for an index every time.

``Stream`` gives traces, for any task. ``TokenStream`` is the fast form for games: word-level token numbers over a
closed vocabulary, many sessions at once, with the exact law of every reveal on request. Its session i is ``Stream``'s.
Words are names, numbers, operators, prompts, runs of spaces and line ends: joined they are the session's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays, labelled, reveal_laws
from trace_mine.corpus.synthetic.task import GameTask, Stage, Task
from trace_mine.tracer.schema import Trace

_word = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:e-?\d+)?|[^\w\s]| +")
PAD = ""
"""The word of token 0, which fills a row up after its end: joined, the words are still the text."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """``tokens`` [batch, time], filled up with 0 after each row's ``lengths`` [batch]; ``reveals`` [batch, reveals,
    values]: the positions of the revealed values' tokens (one value, or all variables' in a full reveal);
    ``outcomes`` [batch, reveals]: what was shown, an index into the last axis of ``laws`` [batch, reveals, outcomes],
    the exact law of what would be shown there given the text before it (None where it wasn't asked for).

    An outcome is an item (``TokenStream.labels`` has its text) or, in a full reveal, a state.
    """

    tokens: Ints
    lengths: Ints
    reveals: Ints
    outcomes: Ints
    laws: Floats | None


class Stream:
    """A task's sessions of one split and stage. ``len`` is the number that an epoch is said to have.

    >>> import trace_mine
    >>> stage = trace_mine.Stage(commands=(2, 2), spacing=(2, 2))
    >>> stream = trace_mine.Stream(trace_mine.tasks["permutations"](n=3), seed=0, split="train", stage=stage)
    >>> stream[0]
    Trace(6 steps, outcome='ok', view='written')
    """

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
    split_words: list[str] = _word.findall(text)
    return split_words


def parts(text: str) -> list[str]:
    """A command that shows a value, in as few tokens as may be: its lines up to the value's, what stands before the
    value, and the value with its line end; joined they are the text.
    """
    last_line = text.rfind("\n", 0, -1) + 1
    value = max(text.rfind(" ", last_line, -1) + 1, last_line)
    return [part for part in (text[:last_line], text[last_line:value], text[value:]) if part]


BLANK = "0"
"""Stands where a value varies, and is found again by it: neither names nor prompts have digits."""


def _texts_of(game: Game) -> tuple[list[str], list[str], list[str]]:
    """Texts of the first commands, of the reveal of each variable with its output, and of each action."""
    blank = [BLANK] * len(game.variables)
    opening = [f">>> {source.format(*blank)}\n" for source in game.opening]
    outputs = [game.reveal_texts(v, [BLANK] * len(game.items))[0] for v in range(len(game.variables))]
    reveals = [f">>> {game.reveal_source(v)}\n{output}\n" for v, output in enumerate(outputs)]
    commands = [">>> " + source.replace("\n", "\n... ") + "\n" for source in game.actions]
    return opening, reveals, commands


def _game_task(task: Task, stage: Stage, per: str) -> GameTask:
    """The task, if it can be streamed so."""
    if not isinstance(task, GameTask):
        raise ValueError(f"expected a task that is a game, got {type(task).__name__} {task.name}; use Stream")
    if stage.commands[0] != stage.commands[1] or stage.spacing[0] != stage.spacing[1]:
        raise ValueError(f"expected a stage of one size, got {stage}; make a TokenStream for each size")
    if per not in ("word", "command") or (per == "command" and task.game.shows_all):
        raise ValueError(f"expected per word, or per command where reveals show one variable, got {per!r}")
    return task


class _Numbers:
    """Gives each token of a text a number, a new one the next: words, or (``whole``) commands and values with their
    line ends.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._numbers: dict[str, int] = {PAD: 0}

    def of(self, text: str) -> list[int]:
        """The tokens of a text that shows values."""
        return self._numbered(parts(text) if self._whole else words(text))

    def of_command(self, text: str) -> list[int]:
        """The tokens of a command that shows nothing."""
        return self._numbered([text] if self._whole else words(text))

    def of_value(self, text: str) -> int:
        """The token of a value."""
        return self._numbered(parts(text + "\n") if self._whole else words(text))[0]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokens in the order of their numbers."""
        return tuple(self._numbers)

    def _numbered(self, tokens: Iterable[str]) -> list[int]:
        return [self._numbers.setdefault(token, len(self._numbers)) for token in tokens]


class TokenStream:
    """The batch form of a game's sessions of one size. ``vocabulary`` depends on the game alone, not on size, split or
    seed; ``labels`` are the texts that a variable may hold. ``per``: a token is a ``word``, or a whole ``command``, its
    prompt and line end too; then a value and its line end are one token, and what stands before it another.

    Raises:
        ValueError: the task is no game, the stage leaves the size open, or full reveals are asked for per command.
    """

    def __init__(self, task: Task, *, seed: int, split: str, stage: Stage, per: str = "word") -> None:
        self.task = _game_task(task, stage, per)
        self.seed = seed
        self.split = split
        self.stage = stage
        self.game = game = self.task.game
        self.labels = game.items if game.num_labels is None else tuple(str(k) for k in range(game.num_labels))
        numbers = _Numbers(whole=per == "command")
        # The order in which texts are numbered is the order of the vocabulary: models depend on it.
        opening, reveals, commands = _texts_of(game)
        numbered_commands = [numbers.of_command(text) for text in commands]
        self._opening = np.array([number for text in opening for number in numbers.of(text)], dtype=np.int64)
        self._reveals = np.array([numbers.of(text) for text in reveals], dtype=np.int64)
        zero = numbers.of_value(BLANK)
        self._opening_values = np.flatnonzero(self._opening == zero)
        self._reveal_values = np.flatnonzero(self._reveals[0] == zero)
        self._widths = np.array([len(command) for command in numbered_commands], dtype=np.int64)
        self._commands = np.zeros((len(commands), int(self._widths.max())), dtype=np.int64)
        for row, command in enumerate(numbered_commands):
            self._commands[row, : len(command)] = command
        self.label_tokens = np.array([numbers.of_value(label) for label in self.labels], dtype=np.int64)
        self.vocabulary = numbers.vocabulary

    @property
    def value_offset(self) -> int:
        """Tokens of a reveal that stand before its (first) value: the question."""
        return int(self._reveal_values[0])

    def batch(self, indices: Sequence[int], *, beliefs: bool = False) -> Batch:
        """The sessions of these indices, one a row.

        Raises:
            ValueError: the split has no sequence of this size, or beliefs are asked for where full reveals show
                repeated values: different states then have one text.
        """
        groups = list(self.task.plays(indices, seed=self.seed, split=self.split, stage=self.stage))
        return self.batch_of(joined(groups), beliefs=beliefs)

    def batch_of(self, plays: Plays, *, beliefs: bool = False) -> Batch:
        """These plays as tokens, whatever their size; for sessions that no draw would give.

        Raises:
            ValueError: beliefs are asked for where full reveals show repeated values.
        """
        if beliefs and self.game.shows_all and self.game.num_labels is not None:
            raise ValueError("expected distinct values where beliefs over full reveals are asked for; use Stream")
        width, num_reveals = self._reveals.shape[1], plays.shown.shape[1]
        length, spacing = plays.actions.shape[1], plays.spacing
        ends = np.cumsum(self._widths[plays.actions], axis=1) + len(self._opening)
        ends += (np.arange(length) // spacing) * width
        starts = ends - self._widths[plays.actions]
        lengths = ends[:, -1] + (width if length % spacing == 0 else 0)
        # rows of the padded table are wider than their command: what spills over is written over by what comes next
        tokens = np.zeros((len(plays.actions), int(lengths.max()) + self._commands.shape[1]), dtype=np.int64)
        rows = np.arange(len(plays.actions))[:, None]
        tokens[:, : len(self._opening)] = self._opening
        opened = np.take_along_axis(plays.labels, np.tile(self.game.holds[self.game.start], (len(rows), 1)), axis=1)
        tokens[:, self._opening_values] = self.label_tokens[opened]
        values = self._values(plays)
        places = np.empty((len(plays.actions), num_reveals, len(self._reveal_values)), dtype=np.int64)
        for step in range(length):
            tokens[rows, starts[:, step, None] + np.arange(self._commands.shape[1])] = self._commands[
                plays.actions[:, step]
            ]
            if (step + 1) % spacing == 0:
                reveal = (step + 1) // spacing - 1
                at = ends[:, step, None]
                tokens[rows, at + np.arange(width)] = self._reveals[plays.shown[:, reveal]]
                places[:, reveal] = at + self._reveal_values
                tokens[rows, places[:, reveal]] = self.label_tokens[values[:, reveal]]
        tokens = tokens[:, : int(lengths.max())]
        return Batch(
            tokens=tokens,
            lengths=lengths,
            reveals=places,
            outcomes=plays.states[:, spacing - 1 :: spacing] if self.game.shows_all else values[:, :, 0],
            laws=labelled(self.game, plays, reveal_laws(self.game, plays)) if beliefs else None,
        )

    def _values(self, plays: Plays) -> Ints:
        """[batch, reveals, values]: the labels that each reveal shows."""
        states = plays.states[:, plays.spacing - 1 :: plays.spacing]
        held = self.game.holds[states]  # [batch, reveals, variables]
        items = held if self.game.shows_all else np.take_along_axis(held, plays.shown[:, :, None], axis=2)
        return np.take_along_axis(plays.labels[:, None, :], items, axis=2)


def joined(groups: Sequence[tuple[list[int], Plays]]) -> Plays:
    """One batch of plays, in the order of the places, of groups of one size as a task's ``plays`` gives them."""
    order = np.argsort(np.concatenate([places for places, _ in groups]))
    parts = [plays for _, plays in groups]
    return Plays(
        actions=np.concatenate([plays.actions for plays in parts]),
        states=np.concatenate([plays.states for plays in parts]),
        draws=np.concatenate([plays.draws for plays in parts]),
        shown=np.concatenate([plays.shown for plays in parts]),
        labels=np.concatenate([plays.labels for plays in parts]),
        spacing=parts[0].spacing,
    ).at(order)
