"""Rows for another tokenizer's model: of datasets, and of tasks as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trace_mine.corpus.synthetic.task import GameTask, Stage, Task
from trace_mine.tokenizer.encoded import Encoded
from trace_mine.train.batches import (
    LAST_REVEAL,
    OTHER,
    PADDING,
    REVEAL,
    DatasetBatches,
    check_sizes,
    hash_of,
    padded,
    task_of,
)
from trace_mine.train.curriculum import Curriculum
from trace_mine.train.foreign.alignment import encode_aligned
from trace_mine.train.held_out import Row
from trace_mine.train.settings import Settings


class ForeignDatasetBatches(DatasetBatches):
    """Rows of datasets, encoded by a tokenizer that is there already."""

    def __init__(self, settings: Settings, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(settings, tokenizer)

    def encode(self, rows: Sequence[Row]) -> list[Encoded]:
        """See ``DatasetBatches.encode``."""
        return encode_aligned(self.tokenizer, rows)


class ForeignTaskBatches:
    """Sessions of a task as text, encoded by a tokenizer that is there already; sizes by the run's curriculum.

    Reveals are the tokens of the values alone: what a print shows before them is as certain as a prompt.

    Raises:
        ValueError: the settings name no known task, or their stages give no sizes.
    """

    def __init__(self, settings: Settings, tokenizer: PreTrainedTokenizerBase) -> None:
        check_sizes(settings)
        self.settings, self.tokenizer = settings, tokenizer
        self.task: Task = task_of(settings)
        self.curriculum = Curriculum(settings)
        self.data_hash = hash_of([settings.task, dict(self.task.parameters), settings.data_seed, "text"])

    @property
    def shows_all(self) -> bool:
        """True if a reveal shows all variables."""
        return isinstance(self.task, GameTask) and self.task.game.shows_all

    def batch(self, step: int, indices: Sequence[int]) -> dict[str, Tensor]:
        """See ``Batches.batch``; also ``roles``."""
        stage, commands, spacing = self.curriculum.draw(step)
        count = max(1, round(self.curriculum.stages[stage].rows * len(indices)))
        return self.sessions(indices[:count], commands, spacing, "train")

    def sessions(self, indices: Sequence[int], commands: int, spacing: int, split: str) -> dict[str, Tensor]:
        """Make these sessions of a split, of one size.

        Raises:
            ValueError: a session has more tokens than ``max_length``: cut, it would lack its last reveals.
        """
        stage = Stage(commands=(commands, commands), spacing=(min(spacing, commands), min(spacing, commands)))
        rows = []
        for index in indices:
            trace = self.task.trace(index, seed=self.settings.data_seed, split=split, stage=stage)
            segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in trace.segments]
            rows.append({"text": trace.text, "segments": segments})
        encoded = encode_aligned(self.tokenizer, rows, end=False)
        longest = max(len(each.ids) for each in encoded)
        if longest > self.settings.max_length:
            raise ValueError(
                f"expected sessions of at most {self.settings.max_length} tokens, got {longest} for {commands} "
                "commands; give --set max_length=N, or stages of fewer commands"
            )
        made = padded(encoded, self.settings.max_length)
        made["kinds"] = torch.stack([self._kinds(row, each) for row, each in zip(rows, made["kinds"], strict=True)])
        return made

    def _kinds(self, row: Row, by_role: Tensor) -> Tensor:
        """Kinds of a row's tokens [T], from those by role, where all tokens of an output are reveals."""
        spans = self.tokenizer(row["text"], return_offsets_mapping=True)["offset_mapping"]
        outputs = [segment for segment in row["segments"] if segment["role"] == "value"]
        values = [span for segment in outputs for span in self._values(row, segment)]
        places = np.zeros(len(row["text"]) + 1, dtype=np.int64)  # of each character the number of its value, from 1
        for number, (start, end) in enumerate(values):
            places[start:end] = number + 1
        kinds = torch.where(by_role == PADDING, PADDING, OTHER).to(torch.int8)
        num_earlier = len(values) - (len(self._values(row, outputs[-1])) if outputs else 0)
        for token, (start, end) in enumerate(spans):
            value = int(places[start:end].max(initial=0))
            if value:
                kinds[token] = LAST_REVEAL if value > num_earlier else REVEAL
        return kinds

    def _values(self, row: Row, segment: Row) -> list[tuple[int, int]]:
        """The spans of characters of the values that an output shows: its last word, or all that aren't names."""
        text = row["text"][segment["start"] : segment["end"]]
        words = [(m.start() + segment["start"], m.end() + segment["start"]) for m in re.finditer(r"[^\s(),]+", text)]
        if not self.shows_all:
            return words[-1:]
        assert isinstance(self.task, GameTask)
        return [(a, b) for a, b in words if row["text"][a:b] not in self.task.game.variables]
