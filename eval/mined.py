"""Runs on rows of datasets, mined ones above all: accuracy by role and step, and beliefs beside their exact laws.

The rows are those that the run held out of training, or those of any other dataset (``rows_of``), so that a model
trained on synthetic sessions can be asked about real code. A row counts as one number, the mean over its tokens or its
reveals, and intervals are over rows: a long row weighs no more than a short one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.results import Result, Where, measured
from trace_mine.eval.subjects import Subject
from trace_mine.tokenizer.encoded import ROLES
from trace_mine.train.batches import DatasetBatches
from trace_mine.train.held_out import Row
from trace_mine.train.measure.laws import SMALLEST
from trace_mine.train.measure.text_beliefs import ScoredBelief, scored_beliefs
from trace_mine.train.measure.tokens import copied_values, evaluating, token_hits, token_losses
from trace_mine.train.models.language_model import SequenceModel

VALUE = ROLES.index("value")
# Most laws of real code are nearly even: of 256 reveals of 57 scripts 64 are skewed (docs/evaluation.md). On the others
# a model that knows nothing of the draws scores as well as the truth.
SKEWED = 0.1
"""Nats by which the guess "outcomes alike" must be off for a reveal to count as skewed."""
# Every outcome of every reveal is a text that takes a forward pass: more would take longer than all else of a run.
MOST_REVEALS = 256
STEP_EDGES = (1, 3, 5, 9, 17, 33, 1 << 30)
"""Bins of a value's step, counted from 1; the last edge is above every step."""


def rows_of(dataset: Path) -> list[Row]:
    """Read all rows of a dataset folder, of every split.

    Raises:
        ValueError: the folder holds no dataset.
    """
    # pyarrow, not ``datasets``: that one caches by the folder's last name, and read two datasets named ``rows`` as one
    import pyarrow.parquet as pq

    files = sorted((dataset / "data").rglob("*.parquet"))
    if not files:
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {dataset}; mine one there first")
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowTokens:
    """A model's predictions on one held-out row, an entry for each token but the first, [tokens - 1] each.

    ``hit`` is True where the model's likeliest token was right, ``loss`` is in nats, ``role`` an index into ``ROLES``,
    ``step`` counts from 0. ``copied`` is a baseline: the share of the values' tokens that copying the last value gets
    right, nan where the row has no value.
    """

    hit: NDArray[np.bool_]
    loss: Floats
    role: NDArray[np.int8]
    step: NDArray[np.int32]
    copied: float

    def __post_init__(self) -> None:
        shapes = {self.hit.shape, self.loss.shape, self.role.shape, self.step.shape}
        if len(shapes) != 1:
            raise ValueError(f"expected one entry a token in every array, got the shapes {sorted(shapes)}")


def by_role(subject: Subject, *, rows: int) -> list[Result]:
    """Measure accuracy and loss of each role's tokens on the first held-out rows of a run on a dataset.

    Values also by the step that shows them (``at``: the first step of the bin), because late steps need more state.
    Beside them stands the baseline that copies the last value of the same text.

    Raises:
        ValueError: the run was trained on a task.
    """
    batches = subject.batches
    if not isinstance(batches, DatasetBatches):
        raise ValueError(f"expected a run on a dataset, got {subject.run}, trained on the task {subject.settings.task}")
    predicted = row_tokens(subject.model, batches, rows)
    where: dict[str, Where] = {**subject.named, "task": "dataset", "split": batches.evaluation_split}
    # the loss beside the accuracy: of prompts, which are certain, a model loses nothing, of names of functions a lot
    results: list[Result] = []
    for index, role in enumerate(ROLES):
        insides = [row.role == index for row in predicted]
        hits, losses = [row.hit for row in predicted], [row.loss for row in predicted]
        results += _means("accuracy by role", hits, insides, unit="share", place=role, **where)
        results += _means("loss by role", losses, insides, unit="nats", place=role, **where)
    for first, end in pairwise(STEP_EDGES):
        # steps count from 0, their numbers in results from 1
        insides = [(row.role == VALUE) & (row.step + 1 >= first) & (row.step + 1 < end) for row in predicted]
        place: dict[str, Where] = {"unit": "share", "place": f"steps from {first}", "at": float(first)}
        results += _means("accuracy by step", [row.hit for row in predicted], insides, **place, **where)
    copies = np.array([row.copied for row in predicted])
    if not np.isnan(copies).all():
        baseline: dict[str, Where] = {**where, "run": "", "model": "copy the last value", "seed": -1}
        results.append(measured("accuracy by role", copies, unit="share", place="value", **baseline))
    return results


def row_tokens(model: SequenceModel, batches: DatasetBatches, rows: int) -> list[RowTokens]:
    """Predict every token of the first held-out rows, each cut to the ``max_length`` that training had too."""
    most, predicted = batches.settings.max_length, []
    with evaluating(model) as device:
        for row in batches.held_out()[:rows]:
            # one row at a time: padding would be cheaper, but change the last bits of a row's numbers with its company
            ids = torch.from_numpy(row.ids[:most].astype(np.int64))[None].to(device)
            logits = model(input_ids=ids[:, :-1]).logits.float()
            right, total = copied_values(row, VALUE, most)
            predicted.append(
                RowTokens(
                    hit=token_hits(logits, ids[:, 1:])[0].cpu().numpy(),
                    loss=token_losses(logits, ids[:, 1:])[0].cpu().numpy(),
                    role=row.roles[1:most],
                    step=row.steps[1:most],
                    copied=right / total if total else np.nan,
                )
            )
    return predicted


def _means(
    metric: str, values: Sequence[NDArray[np.bool_] | Floats], insides: Sequence[NDArray[np.bool_]], **where: Where
) -> list[Result]:
    """The mean over rows of each row's mean at its places ``inside`` [tokens], as a list of one result or of none.

    Rows without such a place are left out.
    """
    pairs = zip(values, insides, strict=True)
    means = np.array([row[inside].mean() if inside.any() else np.nan for row, inside in pairs])
    return [] if np.isnan(means).all() else [measured(metric, means, **where)]


def on_beliefs(subject: Subject, rows: Sequence[Row], *, name: str, max_length: int = 1_024) -> list[Result]:
    """Measure a model's beliefs at reveals whose exact law is known, beside a guess that finds all outcomes alike.

    That guess, "outcomes alike", knows the possible outcomes' texts and nothing else. ``mass on outcomes`` is what the
    model gives to these texts together. ``belief KL`` is over texts and grows with their length, so that one long
    outcome can decide a mean (198 nats with an interval from 36 to 518, docs/log.md); ``KL among outcomes`` and
    ``top-1 among outcomes`` compare the outcomes with each other instead. Texts are encoded by the run's own tokenizer.

    Args:
        subject: a run on a dataset.
        rows: the rows to ask about, in any order.
        name: the field ``task`` of the results.
        max_length: the longest text in tokens, outcome included; longer ones are left out.

    Returns:
        Results over all reveals (``place`` is ""), over the ``skewed`` ones, and, for rows with hidden inputs, over
        those that show a call's ``output`` and those that ask for an ``input`` after it.

    Raises:
        ValueError: no row has such a belief of at most ``max_length`` tokens, or the run has a closed vocabulary.
    """
    if not isinstance(subject.batches, DatasetBatches):
        raise ValueError(
            f"expected a run with an open vocabulary, got {subject.run}, trained on {subject.settings.task} alone; "
            "train one on a dataset (trace-train mined --set dataset=...)"
        )
    # by hash, since the first MOST_REVEALS of the order on disk would be those of one or two repositories
    order = sorted(rows, key=lambda row: hashlib.sha256(row.get("trace_id", "").encode()).digest())
    tokenizer = subject.batches.tokenizer
    scored, _ = scored_beliefs(subject.model, tokenizer, order, max_length=max_length, most=MOST_REVEALS)
    if not scored:
        raise ValueError(f"expected rows with exact beliefs of at most {max_length} tokens, got none in {name}")
    parts = {"": scored}
    # log(outcomes) - entropy is KL(exact || even law), that is by how much "outcomes alike" is off
    skewed = [each for each in scored if np.log(each.outcomes) - each.entropy >= SKEWED]
    if skewed:
        parts["skewed"] = skewed
    # rows of calls with hidden inputs say their prior; how well a model infers the input is another question than how
    # well it foresees the output
    for each in scored:
        if "prior" in json.loads(order[each.row]["view"]):
            parts.setdefault("input" if asks_for_input(order[each.row], each) else "output", []).append(each)
    return [result for place, part in parts.items() for result in _belief_results(subject, part, name, place)]


def asks_for_input(row: Row, scored: ScoredBelief) -> bool:
    """Tell if a reveal asks for a hidden input: a row's last steps do, one for each name of an input."""
    asked = sum(len(names.split(", ")) for names in json.loads(row["view"])["inputs"])
    return bool(row["segments"][scored.segment]["step"] >= len(row["steps"]) - asked)


def _belief_results(subject: Subject, scored: Sequence[ScoredBelief], name: str, place: str) -> list[Result]:
    """The results over these reveals: the model's, those of the guess "outcomes alike", and the exact law's entropy."""
    by_row = [[each for each in scored if each.row == number] for number in dict.fromkeys(e.row for e in scored)]

    def mean(metric: str, of: Callable[[ScoredBelief], float], unit: str, **who: Where) -> Result:
        """The mean over rows of each row's mean over its reveals."""
        values = np.array([np.mean([of(each) for each in group]) for group in by_row])
        return measured(metric, values, unit=unit, task=name, place=place, **who)

    alike: dict[str, Where] = {"model": "outcomes alike"}
    return [
        mean("belief KL", lambda each: each.kl, "nats", **subject.named),
        mean("mass on outcomes", lambda each: each.mass, "share", **subject.named),
        # dividing a law by its mass m takes log m off every log q, so that KL + log m is the normalised law's KL
        mean("KL among outcomes", lambda each: each.kl + np.log(max(each.mass, SMALLEST)), "nats", **subject.named),
        mean("top-1 among outcomes", lambda each: each.top, "share", **subject.named),
        mean("top-1 among outcomes", lambda each: each.tops / each.outcomes, "share", **alike),
        mean("belief KL", lambda each: np.log(each.outcomes) - each.entropy, "nats", **alike),
        mean("KL among outcomes", lambda each: np.log(each.outcomes) - each.entropy, "nats", **alike),
        mean("entropy of the exact law", lambda each: each.entropy, "nats", model="exact filter"),
    ]
