"""Where batches come from: synthetic tasks, made as they are asked for, and mined datasets, encoded.

``Batches`` make the rows of any indices at any step: what a row holds is a function of (settings, step, index), so the
curriculum is a function of the index and a resumed run needs no replay of a stream.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.corpus.synthetic.task import GameTask, Stage
from trace_mine.corpus.synthetic.tasks import make_task
from trace_mine.tokenizer.encoded import ROLES, Encoded, encode_rows
from trace_mine.tokenizer.lexemes import fit_python
from trace_mine.tokenizer.symbols import symbols_tokenizer
from trace_mine.train.held_out import EVALUATED, Row, joined_splits, splits_of
from trace_mine.train.settings import Settings, StageSettings

PADDING, OTHER, REVEAL, LAST_REVEAL = range(4)
"""Kinds of token. The loss and the metrics of a row are those of its tokens' kinds; ``LAST_REVEAL`` is a reveal too."""


class Batches(Protocol):
    """Where training reads its batches: ``tokenizer`` wrote their ids, ``data_hash`` parts data that differ."""

    tokenizer: PreTrainedTokenizerBase
    data_hash: str

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """``input_ids`` [B, T] int64 and ``kinds`` [B, T] int8, filled up on the right."""


def stage_of(settings: Settings, step: int) -> StageSettings:
    """The stage that step belongs to; after the last one's steps the last one goes on."""
    left = step
    for stage in settings.stages:
        if left < stage.steps:
            return stage
        left -= stage.steps
    return settings.stages[-1]


def check_sizes(settings: Settings) -> None:
    """Raises ValueError where stages don't say how long a task's sessions are."""
    if not all(stage.commands and stage.spacings for stage in settings.stages):
        raise ValueError(
            f"expected stages that say commands and spacings, for the task {settings.task}, got steps alone; give "
            "--set 'stages=[{steps: 600, commands: [8, 16], spacings: [1, 2, 4]}]'"
        )


class TaskBatches:
    """Sessions of a task. All rows of a step have one size, drawn from its stage by (data_seed, step) alone."""

    def __init__(self, settings: Settings) -> None:
        if not settings.task:
            raise ValueError("expected a task, got none; give --set task=NAME")
        check_sizes(settings)
        given = {key: str(value) for key, value in settings.task_parameters.items()}
        self.settings = settings
        task = make_task(settings.task, given)
        if not isinstance(task, GameTask):
            raise ValueError(
                f"expected a task whose sessions are tables of tokens, got {settings.task!r}; write them with "
                "trace-synth and train mined --set dataset=FOLDER, or mix them in with --set mixture=0.5"
            )
        self.task = task
        if settings.requires == "branch" and not self.task.game.is_hidden:
            raise ValueError(
                "expected a task that hides outcomes, for beliefs, got one with p=1; give --set task.p=0.1"
            )
        self._streams: dict[tuple[int, int, str], TokenStream] = {}
        self.vocabulary = self.stream(8, 1, "train").vocabulary
        self.tokenizer = symbols_tokenizer(self.vocabulary)
        self.data_hash = hash_of([settings.task, dict(self.task.parameters), settings.data_seed, settings.per])

    def stream(self, commands: int, spacing: int, split: str) -> TokenStream:
        """The stream of sessions of one size."""
        key = commands, min(spacing, commands), split
        if key not in self._streams:
            stage = Stage(commands=(commands, commands), spacing=(key[1], key[1]))
            seed, per = self.settings.data_seed, self.settings.per
            self._streams[key] = TokenStream(self.task, seed=seed, split=split, stage=stage, per=per)
        return self._streams[key]

    def size(self, step: int) -> tuple[int, int]:
        """(commands, spacing) of a step."""
        stage = stage_of(self.settings, step)
        generator = np.random.Generator(np.random.Philox(key=[self.settings.data_seed, step]))
        commands = int(generator.choice(stage.commands))
        spacings = [spacing for spacing in stage.spacings if spacing <= commands] or [commands]
        return commands, int(generator.choice(spacings))

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``Batches.batch``."""
        return tensors(self.stream(*self.size(step), "train").batch(indices))


def tensors(batch: Batch) -> dict[str, Tensor]:
    """A stream's batch as the model and the loss take it."""
    time = np.arange(batch.tokens.shape[1])
    kinds = np.where(time < batch.lengths[:, None], OTHER, PADDING).astype(np.int8)
    rows = np.arange(len(kinds))[:, None]
    if batch.reveals.shape[1]:
        kinds[rows, batch.reveals.reshape(len(kinds), -1)] = REVEAL
        kinds[rows, batch.reveals[:, -1]] = LAST_REVEAL
    return {"input_ids": torch.from_numpy(batch.tokens), "kinds": torch.from_numpy(kinds)}


class DatasetBatches:
    """Rows of a dataset on disk, or of several (``dataset`` names them by comma) as if they were one, encoded by a
    ``python`` tokenizer fitted on the training split.

    Row ``index`` is number ``index`` of an endless sequence of shuffled epochs, by data_seed. Rows longer than
    ``max_length`` tokens are cut there, and counted in ``num_cut``. What evaluations take is never trained on: the
    test split, else validation, else (a dataset of few repositories has only train) ``HELD_OUT`` of train's rows, by
    the hash of their trace_id; those may resemble rows that are trained on, of the same repository.

    Raises:
        ValueError: no dataset there, or its rows lack the view that the recipe needs.
    """

    def __init__(self, settings: Settings) -> None:
        datasets = [splits_of(Path(name.strip())) for name in settings.dataset.split(",")]
        splits = datasets[0] if len(datasets) == 1 else joined_splits(datasets)
        if settings.requires == "branch" and not any(row["beliefs"] for row in splits["train"]):
            raise ValueError(
                f"expected rows with beliefs, got none in {settings.dataset}; mine with --view branch --only-choices"
            )
        texts = (row["text"] for row in splits["train"])
        self.tokenizer = fit_python(texts, vocab_size=settings.vocab_size)
        self.trained_on = frozenset(row["text"] for row in splits["train"])
        self.settings = settings
        self.num_cut = 0
        self.rows = {name: self._encoded(rows) for name, rows in splits.items()}
        self.with_beliefs = {name: [row for row in rows if row["beliefs"]] for name, rows in splits.items()}
        identities = sorted(row["trace_id"] for rows in splits.values() for row in rows)
        self.data_hash = hashlib.sha256("\n".join(identities).encode()).hexdigest()

    def _encoded(self, rows: list[Row]) -> list[Encoded]:
        encoded = encode_rows(self.tokenizer, rows, bos=True, eos=True)
        self.num_cut += sum(len(each.ids) > self.settings.max_length for each in encoded)
        return [each for each in encoded if len(each.ids) > 1]

    @property
    def evaluation_split(self) -> str:
        """The split that evaluations take."""
        return next(name for name in EVALUATED if self.rows.get(name))

    def held_out(self) -> list[Encoded]:
        """The encoded rows of that split."""
        return self.rows[self.evaluation_split]

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``Batches.batch``; also ``roles`` [B, T] int8, an index into ``tokenizer.encoded.ROLES`` or -1."""
        rows = self.rows["train"]
        chosen = []
        for index in indices:
            epoch, place = divmod(index, len(rows))
            order = np.random.Generator(np.random.Philox(key=[self.settings.data_seed, epoch])).permutation(len(rows))
            chosen.append(rows[order[place]])
        return padded(chosen, self.settings.max_length)


def padded(rows: Sequence[Encoded], max_length: int) -> dict[str, Tensor]:
    """Encoded rows side by side, cut at ``max_length`` tokens and filled up to the longest: ``input_ids`` [B, T] int64,
    ``kinds`` [B, T] int8 and ``roles`` [B, T] int8 (-1 where there is no text). The tokens of values are reveals.
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
            last = row.steps[values[-1]]
            kinds[number, values[row.steps[values] == last]] = LAST_REVEAL
    return {"input_ids": torch.from_numpy(ids), "kinds": torch.from_numpy(kinds), "roles": torch.from_numpy(roles)}


def hash_of(parts: list[Any]) -> str:
    """The SHA-256 of JSON values, in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Indices(torch.utils.data.Dataset[int]):
    """Item i is i: the collator makes the rows of a batch at once. ``size``: how many there are."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class Collator:
    """Indices to a batch; the step is the index over the rows of a step, on all processes together."""

    def __init__(self, batches: Batches, rows_per_step: int) -> None:
        self.batches, self.rows_per_step = batches, rows_per_step

    def __call__(self, indices: list[int]) -> dict[str, Tensor]:
        return self.batches.batch(indices[0] // self.rows_per_step, indices)


class MixedBatches(DatasetBatches):
    """Steps of a dataset and steps of a task, in the dataset's vocabulary: a step is the dataset's with probability
    ``mixture``, by (data_seed, step) alone. The task may be any, also one that is no game. The dataset is
    what is evaluated.

    Raises:
        ValueError: the stages don't say how long the task's sessions are.
    """

    def __init__(self, settings: Settings) -> None:
        check_sizes(settings)
        super().__init__(settings)
        given = {key: str(value) for key, value in settings.task_parameters.items()}
        self.task = make_task(settings.task, given)
        self.data_hash = hash_of([self.data_hash, settings.task, dict(self.task.parameters), settings.mixture])

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``DatasetBatches.batch``."""
        generator = np.random.Generator(np.random.Philox(key=[self.settings.data_seed, step]))
        if generator.random() < self.settings.mixture:
            return super().batch(step, indices)
        sizes = stage_of(self.settings, step)
        commands = int(generator.choice(sizes.commands))
        spacing = min(commands, int(generator.choice(sizes.spacings)))
        stage = Stage(commands=(commands, commands), spacing=(spacing, spacing))
        rows = []
        for index in indices:
            trace = self.task.trace(index, seed=self.settings.data_seed, split="train", stage=stage)
            segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in trace.segments]
            rows.append({"text": trace.text, "segments": segments})
        return padded(encode_rows(self.tokenizer, rows, bos=True, eos=True), self.settings.max_length)


def batches_of(settings: Settings) -> TaskBatches | DatasetBatches:
    """The batches that the settings name: a task, a dataset, or a mixture of both."""
    if settings.dataset and settings.task:
        return MixedBatches(settings)
    return DatasetBatches(settings) if settings.dataset else TaskBatches(settings)
