"""The batches that a run trains on: sessions of synthetic tasks, made on demand, and encoded rows of datasets.

A row is a function of (settings, step, index), and where stages end by accuracy of their ends so far (``curriculum``).
So a resumed run needs no replay of a stream, and processes need no agreement on who has read what. ``held_out`` divides
a dataset's rows; ``trainer`` hands ``Indices`` and a ``Collator`` to transformers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.corpus.synthetic.task import GameTask, Stage, Task
from trace_mine.corpus.synthetic.tasks import make_task
from trace_mine.tokenizer.encoded import ROLES, Encoded, encode_rows
from trace_mine.tokenizer.lexemes import fit_python
from trace_mine.tokenizer.symbols import symbols_tokenizer
from trace_mine.train.curriculum import Curriculum, step_generator
from trace_mine.train.held_out import EVALUATED, WITHOUT_TEST, Row, first_of, joined_splits, splits_of
from trace_mine.train.settings import Settings

PADDING, OTHER, REVEAL, LAST_REVEAL = range(4)
"""Kinds of token, by which losses and metrics tell tokens apart.

``REVEAL``: a token of a value that a reveal shows. ``LAST_REVEAL``: one of the row's last value. Their order matters:
the trainer takes ``kinds >= REVEAL`` for all reveal tokens and ``kinds > PADDING`` for all tokens of text.
"""


class Batches(Protocol):
    """Anything that training can read batches from."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer that made the ids; it is saved with the run."""

    @property
    def data_hash(self) -> str:
        """SHA-256 in hexadecimal, equal only for batches of the same data; resuming checks it."""

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """Make the rows ``indices`` of optimiser step ``step``, padded on the right.

        Indices count rows over the whole run: step s has the rows from s * rows_per_step on.

        Returns:
            ``input_ids`` [B, T] int64 and ``kinds`` [B, T] int8 (see ``PADDING``), with B = len(indices).
        """


def check_sizes(settings: Settings) -> None:
    """Check that every stage says how long a task's sessions are; stages for datasets may leave it out.

    Raises:
        ValueError: a stage has no ``commands`` or no ``spacings``.
    """
    if not all(stage.commands and stage.spacings for stage in settings.stages):
        raise ValueError(
            f"expected stages that say commands and spacings, for the task {settings.task}, got steps alone; give "
            "--set 'stages=[{steps: 600, commands: [8, 16], spacings: [1, 2, 4]}]'"
        )


class TaskBatches:
    """Sessions of a game: a synthetic task that is played in tables of tokens, many sessions at once.

    All rows of a step have one size (number of commands, spacing of reveals), drawn from the step's stage by
    (data_seed, step) alone: rows of one length need hardly any padding, and every process draws the same size.

    Raises:
        ValueError: the settings name no task, no known one, one that is no game, or one whose outcomes are all shown
            where the recipe requires hidden ones; or its stages give no sizes.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.task:
            raise ValueError("expected a task, got none; give --set task=NAME")
        check_sizes(settings)
        self.settings = settings
        task = task_of(settings)
        if not isinstance(task, GameTask):
            raise ValueError(
                f"expected a task whose sessions are tables of tokens, got {settings.task!r}; write them with "
                "trace-synth and train mined --set dataset=FOLDER, or mix them in with --set mixture=0.5"
            )
        self.task = task
        # With p = 1 nothing is hidden, and evaluations of `belief` would have no KL to report.
        if settings.requires == "branch" and not self.task.game.is_hidden:
            raise ValueError(
                "expected a task that hides outcomes, for beliefs, got one with p=1; give --set task.p=0.1"
            )
        self.curriculum = Curriculum(settings)
        self._streams: dict[tuple[int, int, str], TokenStream] = {}
        # All sizes share one vocabulary, so that any stream tells it.
        self.vocabulary = self.stream(8, 1, "train").vocabulary
        self.tokenizer = symbols_tokenizer(self.vocabulary)
        self.data_hash = hash_of([settings.task, dict(self.task.parameters), settings.data_seed, settings.per])

    def stream(self, commands: int, spacing: int, split: str) -> TokenStream:
        """Return the stream of a split's sessions with ``commands`` commands and a reveal every ``spacing`` of them.

        A spacing over the number of commands counts as that number: a session has at least one reveal.
        """
        key = commands, min(spacing, commands), split
        # A stream tokenizes the game's texts when it is made; a run asks for a few sizes again and again.
        if key not in self._streams:
            stage = Stage(commands=(commands, commands), spacing=(key[1], key[1]))
            seed, per = self.settings.data_seed, self.settings.per
            self._streams[key] = TokenStream(self.task, seed=seed, split=split, stage=stage, per=per)
        return self._streams[key]

    def size(self, step: int) -> tuple[int, int]:
        """Draw a step's size from its stage, as (commands, spacing). A step has the same size whenever it is asked."""
        _, commands, spacing = self.curriculum.draw(step)
        return commands, spacing

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``Batches.batch``. Of the rows, the first share that the step's stage asks for, one at least."""
        stage, commands, spacing = self.curriculum.draw(step)
        count = max(1, round(self.curriculum.stages[stage].rows * len(indices)))
        return tensors(self.stream(commands, spacing, "train").batch(indices[:count]))


def tensors(batch: Batch) -> dict[str, Tensor]:
    """Turn a stream's batch into ``input_ids`` [B, T] int64 and ``kinds`` [B, T] int8 (see ``Batches.batch``)."""
    time = np.arange(batch.tokens.shape[1])
    kinds = np.where(time < batch.lengths[:, None], OTHER, PADDING).astype(np.int8)
    rows = np.arange(len(kinds))[:, None]
    if batch.reveals.shape[1]:
        # reveals [B, reveals, values] are positions; a full reveal has a value for each variable
        kinds[rows, batch.reveals.reshape(len(kinds), -1)] = REVEAL
        kinds[rows, batch.reveals[:, -1]] = LAST_REVEAL
    return {"input_ids": torch.from_numpy(batch.tokens), "kinds": torch.from_numpy(kinds)}


class DatasetBatches:
    """Encoded rows of a dataset on disk, or of several (``dataset`` names them, by commas) that count as one.

    The tokenizer is of kind ``python``, fitted on the training split. Row ``index`` is number ``index`` of an endless
    sequence of epochs, each shuffled by (data_seed, epoch). Rows longer than ``max_length`` tokens are cut there.

    Evaluations take rows that are never trained on: the test split, else validation, else (a dataset of few
    repositories has only train) a share of train's rows. The latter may resemble rows that are trained on, since they
    come from the same repositories.

    Attributes:
        rows: split -> its encoded rows.
        with_beliefs: split -> its rows that carry beliefs, not encoded.
        trained_on: the texts of the training rows, by which ``eval`` refuses to score them.
        evaluated: names of splits that evaluations may take, best first.
        num_cut: how many rows, over all splits, are longer than ``max_length``.

    Raises:
        ValueError: a folder holds no dataset, or no rows for evaluations, or rows without the beliefs that the recipe
            requires.
    """

    def __init__(self, settings: Settings, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        """Read the datasets; with a ``tokenizer`` none is fitted."""
        datasets = [splits_of(Path(name.strip())) for name in settings.dataset.split(",")]
        evaluated = EVALUATED if settings.final_split == "test" else WITHOUT_TEST
        splits = datasets[0] if len(datasets) == 1 else joined_splits(datasets, evaluated)
        if not splits.get("train"):
            others = ", ".join(name for name in splits if splits[name]) or "no split"
            raise ValueError(
                f"expected rows to train on, got none in {settings.dataset}, whose rows stand in {others}; mine more "
                "repositories, or this one with --split-by function"
            )
        if settings.requires == "branch" and not any(row["beliefs"] for row in splits["train"]):
            raise ValueError(
                f"expected rows with beliefs, got none in {settings.dataset}; mine with --view branch --only-choices"
            )
        # Fitted on the training rows alone: held-out rows must not decide what has a token of its own.
        texts = (row["text"] for row in splits["train"])
        self.tokenizer = fit_python(texts, vocab_size=settings.vocab_size) if tokenizer is None else tokenizer
        self.trained_on = frozenset(row["text"] for row in splits["train"])
        self.settings, self.evaluated = settings, evaluated
        first_of(splits, evaluated)  # without rows to evaluate on a run would end at its first evaluation
        self.num_cut = 0
        self.rows = {name: self._encoded(rows) for name, rows in splits.items()}
        self.with_beliefs = {name: [row for row in rows if row["beliefs"]] for name, rows in splits.items()}
        # a trace_id hashes a row's text and origin; sorted, since the order on disk isn't part of the data's identity
        identities = sorted(row["trace_id"] for rows in splits.values() for row in rows)
        self.data_hash = hashlib.sha256("\n".join(identities).encode()).hexdigest()

    def _encoded(self, rows: list[Row]) -> list[Encoded]:
        """Encode rows and count those that will be cut; rows of one token, with nothing to predict, are left out."""
        encoded = self.encode(rows)
        self.num_cut += sum(len(each.ids) > self.settings.max_length for each in encoded)
        return [each for each in encoded if len(each.ids) > 1]

    def encode(self, rows: Sequence[Row]) -> list[Encoded]:
        """Encode rows with what stands before and after a session."""
        # <bos> gives the first token of a row something to be predicted from, <eos> tells the end of a session.
        return encode_rows(self.tokenizer, rows, bos=True, eos=True)

    @property
    def evaluation_split(self) -> str:
        """The name of the split that evaluations take: the first of ``evaluated`` with rows."""
        return first_of(self.rows, self.evaluated)

    def held_out(self) -> list[Encoded]:
        """Return the encoded rows of the split that evaluations take."""
        return self.rows[self.evaluation_split]

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``Batches.batch``; also ``roles`` [B, T] int8, an index into ``tokenizer.encoded.ROLES`` or -1.

        ``step`` doesn't matter here: a dataset has no curriculum.
        """
        rows = self.rows["train"]
        selected = []
        for index in indices:
            epoch, place = divmod(index, len(rows))
            # The whole order is drawn anew for each row: a row must not depend on which rows were read before it, and
            # a permutation of some thousand numbers costs little beside a training step.
            order = step_generator(self.settings.data_seed, epoch).permutation(len(rows))
            selected.append(rows[order[place]])
        return padded(selected, self.settings.max_length)


def padded(rows: Sequence[Encoded], max_length: int) -> dict[str, Tensor]:
    """Stack encoded rows into tensors, cut at ``max_length`` tokens and padded on the right to the longest of them.

    Tokens of role ``value`` are the reveals; those of the last step that has any are the last reveal.

    Returns:
        ``input_ids`` [B, T] int64, ``kinds`` [B, T] int8, and ``roles`` [B, T] int8: an index into
        ``tokenizer.encoded.ROLES``, -1 for padding.
    """
    length = min(max_length, max(len(row.ids) for row in rows))
    ids = np.zeros((len(rows), length), dtype=np.int64)
    roles = np.full((len(rows), length), -1, dtype=np.int8)
    kinds = np.full((len(rows), length), PADDING, dtype=np.int8)
    value = ROLES.index("value")
    for number, row in enumerate(rows):
        end = min(length, len(row.ids))
        ids[number, :end], roles[number, :end] = row.ids[:end], row.roles[:end]
        kinds[number, :end] = np.where(row.roles[:end] == value, REVEAL, OTHER)
        values = np.flatnonzero(row.roles[:end] == value)
        if len(values):
            # a value may be several tokens, which share their step
            last_step = row.steps[values[-1]]
            kinds[number, values[row.steps[values] == last_step]] = LAST_REVEAL
    return {"input_ids": torch.from_numpy(ids), "kinds": torch.from_numpy(kinds), "roles": torch.from_numpy(roles)}


def hash_of(parts: list[object]) -> str:
    """Return the SHA-256, in hexadecimal, of values that JSON can hold. The order of keys has no influence."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def task_of(settings: Settings) -> Task:
    """Make the task that the settings name. Tasks parse their parameters from text, as a command line gives them."""
    return make_task(settings.task, {key: str(value) for key, value in settings.task_parameters.items()})


class Indices(torch.utils.data.Dataset[int]):
    """The dataset that transformers' Trainer reads: item i is the number i, for i below ``size``.

    Rows are made a batch at a time by ``Collator``, since a stream plays many sessions at once far faster than one by
    one.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class Collator:
    """Makes a batch of the indices that a process's data loader gives it.

    ``rows_per_step`` counts the rows of one optimiser step over all processes and micro-batches, so that the step of an
    index is index // rows_per_step.
    """

    def __init__(self, batches: Batches, rows_per_step: int) -> None:
        self.batches, self.rows_per_step = batches, rows_per_step

    def __call__(self, indices: list[int]) -> dict[str, Tensor]:
        # A micro-batch never spans two steps, since rows_per_step is a multiple of its size: the first index is enough.
        return self.batches.batch(indices[0] // self.rows_per_step, indices)


class MixedBatches(DatasetBatches):
    """Steps of a dataset and steps of a task, both encoded in the dataset's vocabulary.

    A step takes the dataset with probability ``mixture``, drawn by (data_seed, step) alone, else the task. The task may
    be any one, also one that is no game, since its sessions are encoded as text. Evaluations take the dataset.

    Raises:
        ValueError: as ``DatasetBatches``; or the stages don't say how long the task's sessions are.
    """

    def __init__(self, settings: Settings) -> None:
        check_sizes(settings)
        super().__init__(settings)
        self.task = task_of(settings)
        self.curriculum = Curriculum(settings)
        self.data_hash = hash_of([self.data_hash, settings.task, dict(self.task.parameters), settings.mixture])

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``DatasetBatches.batch``."""
        # Whole steps, not rows: sessions of a task have one length, and rows of a dataset many.
        generator = step_generator(self.settings.data_seed, step)
        if generator.random() < self.settings.mixture:
            return super().batch(step, indices)
        stage_settings = self.curriculum.stages[self.curriculum.stage_at(step)]
        commands = int(generator.choice(stage_settings.commands))
        spacing = min(commands, int(generator.choice(stage_settings.spacings)))
        stage = Stage(commands=(commands, commands), spacing=(spacing, spacing))
        rows = []
        for index in indices:
            trace = self.task.trace(index, seed=self.settings.data_seed, split="train", stage=stage)
            segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in trace.segments]
            rows.append({"text": trace.text, "segments": segments})
        return padded(encode_rows(self.tokenizer, rows, bos=True, eos=True), self.settings.max_length)


def batches_of(settings: Settings) -> TaskBatches | DatasetBatches:
    """Make the batches that the settings name: of a task, of a dataset, or, where both are named, of both mixed.

    Raises:
        ValueError: as ``TaskBatches``, ``DatasetBatches`` or ``MixedBatches``.
    """
    if settings.dataset and settings.task:
        return MixedBatches(settings)
    return DatasetBatches(settings) if settings.dataset else TaskBatches(settings)
