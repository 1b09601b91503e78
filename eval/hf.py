"""Any local causal language model with its tokenizer, scored on the same sessions by the likelihood of the reveals.

The model reads a session's text with its own tokenizer. At a reveal, each label is written after the text before it,
and text and label are tokenised together. The likelihoods are summed from the first token on at which the labels
differ. So a tokenizer that merges a value with the characters before it is scored by the tokens that it really makes.

Where all labels of all reveals differ at one token each (most tokenizers: a token a digit), that token decides, and one
pass over a session gives the laws of all its reveals. Otherwise each label of each reveal takes a pass of its own.

Raw laws may sum to less than 1: the rest went to texts that are no label. Sessions longer than the model's context are
refused, not cut, because a model that misses the beginning answers another question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats, Plays
from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.eval.measure import accuracy, beliefs
from trace_mine.eval.results import Result, Where
from trace_mine.tracer.bounded import DamagedFile, check_regular, read_json
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.sessions import sessions_of
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.recipes import recipe
from trace_mine.train.settings import override

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Rows of one forward pass. Its logits are [rows, tokens, vocabulary] in float64: with GPT-2's 50,257 tokens, 8 rows of
# 1,024 tokens take 3.3 GB.
ROWS_AT_ONCE = 8
SIZE = (16, 4)
"""(commands, spacing) of sessions that no run and no option gives: some 100 to 300 tokens of a large vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HFPredictor:
    """A predictor made of ``model`` and ``tokenizer``, as AutoModelForCausalLM and AutoTokenizer give them.

    ``normalised`` divides each law by its sum over the labels, as ranking by likelihood does. A normalised law says
    which label the model prefers; the raw one also says how much it gives to texts that are no label.
    """

    name: str
    model: PreTrainedModel | SequenceModel
    tokenizer: PreTrainedTokenizerBase
    normalised: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("expected a name, got ''; results are told apart by it")

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``.

        Raises:
            ValueError: a session is longer than the model's context, or the tokenizer doesn't know its text.
        """
        law = np.zeros((*batch.reveals.shape[:2], len(stream.labels)))
        for row in range(len(batch.tokens)):
            words = [stream.vocabulary[token] for token in batch.tokens[row, : batch.lengths[row]]]
            prefixes = ["".join(words[:place]) for place in batch.reveals[row, :, 0].tolist()]
            # the line end is part of a value: without it the label 1 would also get the likelihood of 10 to 19
            law[row] = self._session_laws(prefixes, [f"{label}\n" for label in stream.labels])
        return law / law.sum(-1, keepdims=True) if self.normalised else law

    def outcome_logs(self, prefix: str, outcomes: Sequence[str]) -> Floats:
        """Return the log-probability of each text [outcomes] after ``prefix``, each scored by the tokens of its own.

        Raises:
            ValueError: text and outcome are longer than the model's context, or the tokenizer doesn't know them.
        """
        rows = [self._ids(prefix + outcome) for outcome in outcomes]
        self._check_length(max(map(len, rows)))
        return self._label_logs(rows, common(rows))

    def fits(self, text: str) -> bool:
        """Tell if a text is within the model's context."""
        most = self._most_tokens()
        return most is None or len(self._ids(text)) <= most

    def _session_laws(self, prefixes: list[str], labels: list[str]) -> Floats:
        """[reveals, labels] of one session, whose text before each reveal is in ``prefixes``.

        One pass over the longest text suffices where, at every reveal, the labels differ at a single token, and the
        tokens before it are those of that longest text. Both fail for tokenizers that split some labels only, or that
        merge a label with the text after it; then every label is scored by itself.
        """
        ids_by_reveal = [[self._ids(prefix + label) for label in labels] for prefix in prefixes]
        shared = [common(rows) for rows in ids_by_reveal]
        # before the first pass: an error of the model's own would speak of an index out of range
        self._check_length(max(len(row) for rows in ids_by_reveal for row in rows))
        session = ids_by_reveal[-1][0]
        one_pass = all(
            len({row[count] for row in rows if len(row) > count}) == len(rows) and rows[0][:count] == session[:count]
            for rows, count in zip(ids_by_reveal, shared, strict=True)
        )
        if one_pass:
            logs = self._log_probabilities([session])[0]
            pairs = zip(ids_by_reveal, shared, strict=True)
            return np.exp(np.array([[logs[count - 1, row[count]] for row in rows] for rows, count in pairs]))
        return np.array([np.exp(self._label_logs(*pair)) for pair in zip(ids_by_reveal, shared, strict=True)])

    def _label_logs(self, rows: list[list[int]], count: int) -> Floats:
        """[labels]: the log-probability of each label's tokens from token ``count`` on, given all before them."""
        logs = self._log_probabilities(rows)
        return np.array([sum(logs[n][at - 1, row[at]] for at in range(count, len(row))) for n, row in enumerate(rows)])

    @torch.no_grad()
    def _log_probabilities(self, rows: list[list[int]]) -> list[Floats]:
        """For each row an array [tokens, vocabulary]: entry t is the log law of token t + 1 given tokens 0 to t."""
        device = next(self.model.parameters()).device
        log_laws = []
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            length = max(map(len, part))
            # filled up on the right, where a causal model reads it after everything that is scored: no mask is needed
            ids = torch.tensor([row + [row[-1]] * (length - len(row)) for row in part], device=device)
            # float64 before the softmax: models in half precision give logits whose softmax is off in the third digit
            logs = self.model(input_ids=ids).logits.double().log_softmax(-1).cpu().numpy()
            log_laws += [logs[n, : len(row)] for n, row in enumerate(part)]
        return log_laws

    def _ids(self, text: str) -> list[int]:
        """The tokens of a text, begun with BOS where that is the tokenizer's habit or the text has no token.

        Raises:
            ValueError: the tokenizer has no token for a piece of the text.
        """
        ids: list[int] = self.tokenizer(text)["input_ids"]
        # with defaults, for not every tokenizer has these attributes
        start = getattr(self.tokenizer, "bos_token_id", None)
        if not ids or (start is not None and ids[0] != start and self._needs_start()):
            ids = [start, *ids] if start is not None else ids
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        if not ids or (unknown is not None and unknown in ids):
            raise ValueError(f"expected a tokenizer that knows the session's text, got unknown tokens in {text[:40]!r}")
        return ids

    def _needs_start(self) -> bool:
        """True where the tokenizer's own habit is to begin with BOS: its model never trained on texts without it."""
        return bool(getattr(self.tokenizer, "add_bos_token", False))

    def _check_length(self, length: int) -> None:
        """Raise ValueError where the model's context is shorter than ``length`` tokens."""
        most = self._most_tokens()
        if most is not None and length > most:
            raise ValueError(
                f"expected sessions of at most {most} tokens, the model's context, got {length}; give --commands fewer"
            )

    def _most_tokens(self) -> int | None:
        """The model's context in tokens; None where it has no bound."""
        config = self.model.config
        if isinstance(config, SequenceConfig):
            # ours are recurrent or have rotary positions: max_position_embeddings is there for fla's sake, no bound
            return None
        # GPT-2 and its like call it n_positions; recurrent models (Mamba, RWKV) have neither, and no bound
        return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


def common(rows: list[list[int]]) -> int:
    """Count the tokens with which all rows begin.

    >>> common([[5, 7, 1], [5, 7, 2, 3]])
    2
    """
    count = 0
    while all(len(row) > count for row in rows) and len({row[count] for row in rows}) == 1:
        count += 1
    return count


def hf_predictor(folder: Path, *, normalised: bool = False) -> HFPredictor:
    """Open a local folder with a model and its tokenizer as a predictor named after the folder.

    One of our own runs is such a folder too; its tokenizer lies under ``tokenizer/``. Nothing is downloaded.

    Raises:
        ValueError: no such folder, or no model or tokenizer in it.
        DamagedFile: they can't be read, or the weights are not safetensors.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from trace_mine.train.models.registry import load_model, register_auto_classes

    if not (folder / "config.json").exists():
        raise ValueError(f"expected a local folder with config.json, got {folder}; save_pretrained the model there")
    config = read_json(folder / "config.json")
    check_regular(folder)
    register_auto_classes()  # so that a config of a family of ours is known to transformers at all
    # ours alone write this key; by its type alone our mamba2 would be opened as transformers' own, whose keys differ
    is_ours = "state_norms" in config
    has_subfolder = (folder / "tokenizer").is_dir()
    # Without code of the folder's own, which transformers would offer to run; and without weights that are pickles.
    safely: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer_folder = folder / "tokenizer" if has_subfolder else folder
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, **safely)
        auto = AutoModelForCausalLM.from_pretrained
        model = load_model(folder) if is_ours else auto(folder, use_safetensors=True, **safely)
    except DamagedFile:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors each raise kinds of their own
        why = " ".join(str(error).split())
        raise DamagedFile(
            f"expected a model (safetensors) and a tokenizer in {folder}, got: {why:.300}; save_pretrained them there"
        ) from None
    return HFPredictor(name=folder.resolve().name, model=model.eval(), tokenizer=tokenizer, normalised=normalised)


def evaluate_hf(
    folder: Path, batches: TaskBatches, *, trained: tuple[int, int], rows: int, commands: int = 0, spacing: int = 0
) -> list[Result]:
    """Score the model of ``folder`` on ``rows`` test sessions of a task, beside the baselines.

    Args:
        folder: a local model with its tokenizer.
        batches: those of the task, of a run or of ``task_named``.
        trained: (commands, spacing) of the sessions, unless ``commands`` or ``spacing`` give another.
        rows: sessions.
        commands: commands of a session; 0: those of ``trained``.
        spacing: commands between two reveals; 0: those of ``trained``.

    Returns:
        Beliefs where the task hides outcomes, and accuracy where it doesn't, once with raw laws and once with
        ``variant`` "normalised". ``times`` is the length over that of ``trained``.

    Raises:
        ValueError: the sizes don't fit each other; also as ``hf_predictor`` and ``HFPredictor.laws`` do.
    """
    own = hf_predictor(folder)
    commands, spacing = commands or trained[0], spacing or trained[1]
    # checked here, for the mix of the sizes of both is seen by nobody else
    if not 0 < spacing <= commands:
        raise ValueError(f"expected 0 < spacing <= commands, got {spacing} and {commands}")
    sessions = sessions_of(batches, commands=commands, spacing=spacing, rows=rows)
    # of certain outcomes a KL is the loss of what was shown, which says less to a reader than accuracy
    measure = beliefs if batches.task.game.is_hidden else accuracy
    results: list[Result] = []
    for predictor in (own, replace(own, normalised=True), *baselines()):
        run: dict[str, Where] = {"run": str(own.name)} if predictor.name == own.name else {}
        variant = "normalised" if getattr(predictor, "normalised", False) else ""
        times = commands / trained[0]
        results += measure(sessions, predictor, model=predictor.name, variant=variant, times=times, **run)
    return results


def task_named(name: str, parameters: Sequence[str]) -> TaskBatches:
    """Make the batches of a task that no run was trained on, by its name and ``KEY=VALUE`` parameters.

    Raises:
        ValueError: no such task or parameter, or one whose sessions are no games.
    """
    assignments = [f"task={name}", *(f"task.{parameter}" for parameter in parameters)]
    return TaskBatches(override(recipe("quick"), assignments))
