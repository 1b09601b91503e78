"""Sessions for training, made on request: an index gives the same session every time, in any order.

``Stream`` gives traces, for any task. ``TokenStream`` is the fast form for games: word-level token numbers over a
closed vocabulary, many sessions at once, with the exact law of every reveal on request. Session i of both is the same.
Words are names, numbers, operators, prompts, runs of spaces and line ends: joined they are the session's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays, labelled, reveal_laws
from trace_mine.corpus.synthetic.task import GameTask, Stage, Task, check_split
from trace_mine.tracer.schema import Trace

# Prompts first, before `>` and `.` match as single characters; every character is a part of some word, so that nothing
# is lost.
_word = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:e-?\d+)?|[^\w\s]| +")
PAD = ""
"""The word of token 0, which fills a row after its session's end. It is empty, so that the joined words of a whole row
are the text too.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Sessions as tokens.

    Attributes:
        tokens: [batch, time], with 0 after a session's end.
        lengths: [batch], the number of tokens of each session.
        reveals: [batch, reveals, values], the positions of the tokens of the revealed values: one value, or in a full
            reveal one for each variable.
        outcomes: [batch, reveals], the number of the outcome that was shown: an index into ``TokenStream.labels``, and
            in a full reveal the number of a state.
        laws: [batch, reveals, outcomes], float64, the exact law of each outcome given the text before the reveal; None
            if beliefs were not asked for.
    """

    tokens: Ints
    lengths: Ints
    reveals: Ints
    outcomes: Ints
    laws: Floats | None


class Stream:
    """The sessions of a task, for one split and stage, as a sequence of traces.

    Args:
        task: what a function of ``tasks`` made.
        seed: another seed gives other sessions.
        split: ``train``, ``validation`` or ``test``.
        stage: the lengths of sessions.
        size: the length of the sequence, so of an epoch: a task itself has no last session.

    Raises:
        ValueError: there is no such split.

    >>> import trace_mine
    >>> stage = trace_mine.Stage(commands=(2, 2), spacing=(2, 2))
    >>> stream = trace_mine.Stream(trace_mine.tasks["permutations"](n=3), seed=0, split="train", stage=stage)
    >>> stream[0]
    Trace(6 steps, outcome='ok', view='written')
    """

    def __init__(self, task: Task, *, seed: int, split: str, stage: Stage, size: int = 1 << 20) -> None:
        check_split(split)
        self.task = task
        self.seed = seed
        self.split = split
        self.stage = stage
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Trace:
        # IndexError is what ends a `for` loop over a sequence; negative numbers are no sessions.
        if not 0 <= index < self.size:
            raise IndexError(f"expected 0 <= index < {self.size}, got {index}")
        return self.task.trace(index, seed=self.seed, split=self.split, stage=self.stage)


# Before words: the separators of a tuple and of an assignment, which tell a model nothing that the names don't.
_name = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*(?:, )?|\d+(?:\.\d+)?(?:e-?\d+)?| = |, |[^\w\s]| +")
PER = ("word", "name", "command")
"""The piece of text that a token can be: see ``TokenStream``."""


def words(text: str) -> list[str]:
    """Split a session's text into words; joined they are the text."""
    split_words: list[str] = _word.findall(text)
    return split_words


def names(text: str) -> list[str]:
    """Split a session's text into words, where a name has the comma and space after it, and ``=`` the spaces around it.

    A tuple of n names is n tokens instead of 3n - 2. Joined they are the text.

    >>> names(">>> a, b = b, a\\n")
    ['>>> ', 'a, ', 'b', ' = ', 'b, ', 'a', '\\n']
    """
    split_names: list[str] = _name.findall(text)
    return split_names


def command_parts(text: str) -> list[str]:
    """Split a command that shows a value into as few tokens as possible: the lines before the output, the text before
    the value, the value with its line end. Joined they are the text.

    >>> command_parts(">>> print('a', a)\\na 1\\n")
    [">>> print('a', a)\\n", 'a ', '1\\n']
    """
    last_line = text.rfind("\n", 0, -1) + 1
    value = max(text.rfind(" ", last_line, -1) + 1, last_line)
    return [part for part in (text[:last_line], text[last_line:value], text[value:]) if part]


BLANK = "0"
"""The text that stands for a varying value in a template, where its token is found again: neither names nor prompts
have digits.
"""


def _texts_of(game: Game) -> tuple[list[str], list[str], list[str]]:
    """Return the texts of the opening commands, of each variable's reveal with its output, and of each action."""
    blank = [BLANK] * len(game.variables)
    opening = [f">>> {source.format(*blank)}\n" for source in game.opening]
    outputs = [game.reveal_texts(v, [BLANK] * len(game.items))[0] for v in range(len(game.variables))]
    reveals = [f">>> {game.reveal_source(v)}\n{output}\n" for v, output in enumerate(outputs)]
    commands = [">>> " + source.replace("\n", "\n... ") + "\n" for source in game.actions]
    return opening, reveals, commands


def _game_task(task: Task, stage: Stage, per: str) -> GameTask:
    """Return the task as a GameTask.

    Raises:
        ValueError: it can't be streamed as tokens; see ``TokenStream``.
    """
    if not isinstance(task, GameTask):
        raise ValueError(f"expected a task that is a game, got {type(task).__name__} {task.name}; use Stream")
    if stage.commands[0] != stage.commands[1] or stage.spacing[0] != stage.spacing[1]:
        raise ValueError(f"expected a stage of one size, got {stage}; make a TokenStream for each size")
    if per not in PER or (per == "command" and task.game.shows_all):
        raise ValueError(f"expected per word or name, or per command where reveals show one variable, got {per!r}")
    return task


class _Numbers:
    """Numbers tokens in the order in which they are first met: words, names with their separators, or whole commands
    and values with their line end.
    """

    def __init__(self, per: str) -> None:
        self._per_command = per == "command"
        self._split = names if per == "name" else words
        self._numbers: dict[str, int] = {PAD: 0}

    def of(self, text: str) -> list[int]:
        """Return the token numbers of a text that shows values."""
        return self._numbered(command_parts(text) if self._per_command else self._split(text))

    def of_command(self, text: str) -> list[int]:
        """Return the token numbers of a command that shows nothing."""
        return self._numbered([text] if self._per_command else self._split(text))

    def of_value(self, text: str) -> int:
        """Return the token number of a value."""
        return self._numbered(command_parts(text + "\n") if self._per_command else self._split(text))[0]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokens in the order of their numbers."""
        return tuple(self._numbers)

    def _numbered(self, tokens: Iterable[str]) -> list[int]:
        return [self._numbers.setdefault(token, len(self._numbers)) for token in tokens]


class TokenStream:
    """The sessions of a game, all of one size, in batches of tokens.

    Args:
        task: a GameTask.
        seed, split, stage: as a ``Stream`` has them; the stage has one number of commands and one spacing.
        per: a token is a ``word``, a ``name`` with the separator after it (``names``), or a whole ``command`` with its
            prompt and line end. In the last form a value with its line end is one token, and the text before it in its
            line is another.

    Attributes:
        vocabulary: the text of each token number. It depends on the game and ``per`` alone, not on size, split or seed,
            so a model reads sessions of any size.
        labels: the text of each outcome of a partial reveal.
        label_tokens: [labels], the token number of each.

    Raises:
        ValueError: the task is no game, the stage leaves the size open, full reveals are asked for per command, or
            there is no such split.
    """

    def __init__(self, task: Task, *, seed: int, split: str, stage: Stage, per: str = "word") -> None:
        check_split(split)
        self.task = _game_task(task, stage, per)
        self.seed = seed
        self.split = split
        self.stage = stage
        self.game = game = self.task.game
        self.labels = game.items if game.num_labels is None else tuple(str(k) for k in range(game.num_labels))
        numbers = _Numbers(per)
        # The order in which texts are numbered is the order of the vocabulary: trained models depend on it.
        opening, reveals, commands = _texts_of(game)
        numbered_commands = [numbers.of_command(text) for text in commands]
        self._opening = np.array([number for text in opening for number in numbers.of(text)], dtype=np.int64)
        # One array: the reveals of all variables have one length, since names have one token each.
        self._reveals = np.array([numbers.of(text) for text in reveals], dtype=np.int64)
        blank_token = numbers.of_value(BLANK)
        self._opening_values = np.flatnonzero(self._opening == blank_token)
        self._reveal_values = np.flatnonzero(self._reveals[0] == blank_token)
        # Commands differ in length: `if random() < p:` has a line more.
        self._widths = np.array([len(command) for command in numbered_commands], dtype=np.int64)
        self._commands = np.zeros((len(commands), int(self._widths.max())), dtype=np.int64)
        for row, command in enumerate(numbered_commands):
            self._commands[row, : len(command)] = command
        self.label_tokens = np.array([numbers.of_value(label) for label in self.labels], dtype=np.int64)
        self.vocabulary = numbers.vocabulary

    @property
    def value_offset(self) -> int:
        """The number of a reveal's tokens before its first value: the length of the question."""
        return int(self._reveal_values[0])

    def batch(self, indices: Sequence[int], *, beliefs: bool = False) -> Batch:
        """Return the sessions of these indices, one a row.

        Raises:
            ValueError: the split has no sequence of this size, or beliefs are asked for where full reveals show
                repeated values: different states then have one text.
        """
        groups = list(self.task.plays(indices, seed=self.seed, split=self.split, stage=self.stage))
        return self.batch_of(joined(groups), beliefs=beliefs)

    def batch_of(self, plays: Plays, *, beliefs: bool = False) -> Batch:
        """Return plays of any one size as tokens, such as those of an adversary, which the task would hardly draw.

        Places are computed for all sessions at once: a command's first token follows from the lengths of the commands
        before it and from the number of reveals before it, which have one length. Then commands are written step by
        step, each for the whole batch.

        Raises:
            ValueError: beliefs are asked for where full reveals show repeated values.
        """
        if beliefs and self.game.shows_all and self.game.num_labels is not None:
            raise ValueError("expected distinct values where beliefs over full reveals are asked for; use Stream")
        width, num_reveals = self._reveals.shape[1], plays.shown.shape[1]
        length, spacing = plays.actions.shape[1], plays.spacing
        # Position after command n: the opening, the commands up to n, and the reveals before it.
        ends = np.cumsum(self._widths[plays.actions], axis=1) + len(self._opening)
        ends += (np.arange(length) // spacing) * width
        starts = ends - self._widths[plays.actions]
        lengths = ends[:, -1] + (width if length % spacing == 0 else 0)
        # Rows of `_commands` are padded to the longest command. The padding that spills over a shorter command is
        # written over by what comes next, and after the last command it is 0, as the padding of a batch is.
        tokens = np.zeros((len(plays.actions), int(lengths.max()) + self._commands.shape[1]), dtype=np.int64)
        rows = np.arange(len(plays.actions))[:, None]
        tokens[:, : len(self._opening)] = self._opening
        first_labels = np.take_along_axis(
            plays.labels, np.tile(self.game.holds[self.game.start], (len(rows), 1)), axis=1
        )
        tokens[:, self._opening_values] = self.label_tokens[first_labels]
        values = self._values(plays)  # as labels, so two items with one text have one token
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
        """Return the labels [batch, reveals, values] that each reveal shows."""
        states = plays.states[:, plays.spacing - 1 :: plays.spacing]
        all_items = self.game.holds[states]  # [batch, reveals, variables]
        items = all_items if self.game.shows_all else np.take_along_axis(all_items, plays.shown[:, :, None], axis=2)
        return np.take_along_axis(plays.labels[:, None, :], items, axis=2)


def joined(groups: Sequence[tuple[list[int], Plays]]) -> Plays:
    """Join the groups that ``GameTask.plays`` yields for a stage of one size into one batch, in the order of their
    places.
    """
    # Groups come round by round, so their places are not in order.
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
