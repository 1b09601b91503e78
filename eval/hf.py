"""Any local causal language model with its tokenizer, scored on the same sessions by the likelihood of the reveals.

The model reads a session's text with its own tokenizer. At a reveal every label that could stand there is written after
the text before it, the whole is tokenised, and from the first token on that is not the same for all labels the
likelihoods are summed: so a tokenizer that merges a value with what stands before it is scored by the tokens that it
really has. Where all labels part at one token (most tokenizers: a digit each), that token decides, and one pass over a
session gives all of its reveals. ``raw`` laws may sum to less than 1: the rest went to texts that are no label.

Sessions longer than the model's context are refused, not cut.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats, Plays
from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.eval.measure import accuracy, beliefs
from trace_mine.eval.results import Result, Where
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.sessions import sessions_of
from trace_mine.train.models.config import SequenceConfig

ROWS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HFPredictor:
    """``tokenizer`` and ``model`` as AutoTokenizer and AutoModelForCausalLM give them; ``normalised``: laws over the
    labels alone, as likelihood-ranking does it.
    """

    name: str
    model: Any
    tokenizer: Any
    normalised: bool = False

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``.

        Raises:
            ValueError: a session is longer than the model's context, or the tokenizer doesn't know its text.
        """
        found = np.zeros((*batch.reveals.shape[:2], len(stream.labels)))
        for row in range(len(batch.tokens)):
            words = [stream.vocabulary[token] for token in batch.tokens[row, : batch.lengths[row]]]
            prefixes = ["".join(words[:place]) for place in batch.reveals[row, :, 0].tolist()]
            # a value ends its line, and without that end 1 would also have what 10 to 19 have
            found[row] = self._row(prefixes, [[f"{label}\n" for label in stream.labels]] * len(prefixes))
        return found / found.sum(-1, keepdims=True) if self.normalised else found

    def _row(self, prefixes: list[str], choices: list[list[str]]) -> Floats:
        """[reveals, labels] of one session: in one pass where that is possible, else one for each label."""
        told = [[self._ids(prefix + choice) for choice in row] for prefix, row in zip(prefixes, choices, strict=True)]
        parts = [common(row) for row in told]
        longest = max((row for at in told for row in at), key=len)
        self._check_length(len(longest))
        whole = told[-1][0]
        one_pass = all(
            len({row[part] for row in at if len(row) > part}) == len(at) and at[0][:part] == whole[:part]
            for at, part in zip(told, parts, strict=True)
        )
        if one_pass:
            logs = self._log_probabilities([whole])[0]
            places = zip(told, parts, strict=True)
            return np.exp(np.array([[logs[part - 1, row[part]] for row in at] for at, part in places]))
        return np.array([self._slowly(at, part) for at, part in zip(told, parts, strict=True)])

    def _slowly(self, rows: list[list[int]], part: int) -> Floats:
        """[labels]: each label's tokens from ``part`` on, given all before them."""
        logs = self._log_probabilities(rows)
        return np.exp([sum(logs[n][at - 1, row[at]] for at in range(part, len(row))) for n, row in enumerate(rows)])

    @torch.no_grad()
    def _log_probabilities(self, rows: list[list[int]]) -> list[Floats]:
        """For each row [tokens, vocabulary]: entry t is the law of token t + 1 given tokens up to t."""
        device = next(self.model.parameters()).device
        found = []
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            length = max(map(len, part))
            # filled up on the right: what stands there comes after all that is read
            ids = torch.tensor([row + [row[-1]] * (length - len(row)) for row in part], device=device)
            logs = self.model(input_ids=ids).logits.double().log_softmax(-1).cpu().numpy()
            found += [logs[n, : len(row)] for n, row in enumerate(part)]
        return found

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text)["input_ids"]
        start = getattr(self.tokenizer, "bos_token_id", None)
        if not ids or (start is not None and ids[0] != start and self._needs_start()):
            ids = [start, *ids] if start is not None else ids
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        if not ids or (unknown is not None and unknown in ids):
            raise ValueError(f"expected a tokenizer that knows the session's text, got unknown tokens in {text[:40]!r}")
        return ids

    def _needs_start(self) -> bool:
        """Whether the tokenizer's own habit is to begin with BOS: then a text without it is not what it trained on."""
        return bool(getattr(self.tokenizer, "add_bos_token", False))

    def _check_length(self, length: int) -> None:
        config = self.model.config
        if isinstance(config, SequenceConfig):
            return  # ours are recurrent or have rotary positions: the key is there for fla's sake, and bounds nothing
        most = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        if most is not None and length > most:
            raise ValueError(
                f"expected sessions of at most {most} tokens, the model's context, got {length}; give --commands fewer"
            )


def common(rows: list[list[int]]) -> int:
    """How many tokens all rows begin with."""
    count = 0
    while all(len(row) > count for row in rows) and len({row[count] for row in rows}) == 1:
        count += 1
    return count


def hf_predictor(folder: Path, *, normalised: bool = False) -> HFPredictor:
    """Opens a local folder with a model and its tokenizer (also one of our runs, its tokenizer under ``tokenizer/``).

    Raises:
        ValueError: no such folder, or no model or tokenizer in it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from trace_mine.train.models.registry import load_model, register_auto_classes

    if not (folder / "config.json").is_file():
        raise ValueError(f"expected a local folder with config.json, got {folder}; save_pretrained the model there")
    register_auto_classes()
    # ours alone write this key; by its type alone our mamba2 would be opened as transformers' own, whose keys differ
    is_ours = "state_norms" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    has_own = (folder / "tokenizer").is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer" if has_own else folder, local_files_only=True)
        auto = AutoModelForCausalLM.from_pretrained
        model: Any = load_model(folder) if is_ours else auto(folder, local_files_only=True)
    except (OSError, KeyError) as error:
        raise ValueError(f"expected a model and a tokenizer in {folder}, got {error}") from None
    return HFPredictor(name=folder.resolve().name, model=model.eval(), tokenizer=tokenizer, normalised=normalised)


def evaluate_hf(folder: Path, like: Subject, *, rows: int, commands: int = 0, spacing: int = 0) -> list[Result]:
    """Accuracy, and beliefs where outcomes are hidden, on the sessions that the run ``like`` was trained for (or of
    another number of ``commands`` and another ``spacing``), with raw and with normalised laws (``variant``), beside the
    baselines.

    Raises:
        ValueError: the sizes don't fit, the run was trained on a dataset, or as ``hf_predictor`` and
            ``HFPredictor.laws`` do.
    """
    if not isinstance(like.batches, TaskBatches):
        raise ValueError(f"expected --like a run on a task alone, got {like.run}, trained on a dataset")
    opened = hf_predictor(folder)
    trained = like.trained
    commands, spacing = commands or trained[0], spacing or trained[1]
    if not 0 < spacing <= commands:
        raise ValueError(f"expected 0 < spacing <= commands, got {spacing} and {commands}")
    sessions = sessions_of(like.batches, commands=commands, spacing=spacing, rows=rows)
    measure = beliefs if like.batches.task.game.is_hidden else accuracy
    results: list[Result] = []
    for predictor in (opened, replace(opened, normalised=True), *baselines()):
        run: dict[str, Where] = {"run": str(opened.name)} if predictor.name == opened.name else {}
        variant = "normalised" if getattr(predictor, "normalised", False) else ""
        times = commands / trained[0]
        results += measure(sessions, predictor, model=predictor.name, variant=variant, times=times, **run)
    return results
