"""Runs on rows of datasets, mined ones above all: accuracy by role and step, and beliefs beside their exact laws.

The rows are what the run held out of training, or those of any dataset (``rows_of``): so a model that was trained on
synthetic sessions is asked about real code. A row's own number is the mean over its places; intervals are over rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

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
SKEWED = 0.1
"""Nats by which "outcomes alike" is off at a skewed law."""
MOST = 256
"""Reveals that are asked for, of rows in the order of their hashes: those of one repository stand together on disk."""
STEP_EDGES = (1, 3, 5, 9, 17, 33, 1 << 30)


def rows_of(dataset: Path) -> list[Row]:
    """All rows of a dataset folder, of every split.

    Raises:
        ValueError: no dataset there.
    """
    import pyarrow.parquet as pq

    files = sorted((dataset / "data").rglob("*.parquet"))
    if not files:
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {dataset}; mine one there first")
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowTokens:
    """One held-out row as a model met it, [tokens] each: ``hit`` and ``loss`` in nats of each token but the first, its
    ``role`` (an index into ``ROLES``) and ``step``; ``copied``: the share of the values' tokens that copying the last
    value gets right, nan without values.
    """

    hit: NDArray[np.bool_]
    loss: Floats
    role: NDArray[np.int8]
    step: NDArray[np.int32]
    copied: float


def by_role(subject: Subject, *, rows: int) -> list[Result]:
    """Accuracy and loss of each role's tokens, of values by the step that shows them, and copying the last value, on
    rows that were held out.

    Raises:
        ValueError: the run was trained on a task.
    """
    batches = subject.batches
    if not isinstance(batches, DatasetBatches):
        raise ValueError(f"expected a run on a dataset, got {subject.run}, trained on the task {subject.settings.task}")
    met = row_tokens(subject.model, batches, rows)
    where: dict[str, Where] = {**subject.named, "task": "dataset", "split": batches.evaluation_split}
    results: list[Result] = []
    for index, role in enumerate(ROLES):
        insides = [row.role == index for row in met]
        results += _means("accuracy by role", [row.hit for row in met], insides, unit="share", place=role, **where)
        results += _means("loss by role", [row.loss for row in met], insides, unit="nats", place=role, **where)
    for first, end in pairwise(STEP_EDGES):
        # steps count from 0, their numbers in results from 1
        insides = [(row.role == VALUE) & (row.step + 1 >= first) & (row.step + 1 < end) for row in met]
        place: dict[str, Where] = {"unit": "share", "place": f"steps from {first}", "at": float(first)}
        results += _means("accuracy by step", [row.hit for row in met], insides, **place, **where)
    copies = np.array([row.copied for row in met])
    if not np.isnan(copies).all():
        beside: dict[str, Where] = {**where, "run": "", "model": "copy the last value", "seed": -1}
        results.append(measured("accuracy by role", copies, unit="share", place="value", **beside))
    return results


def row_tokens(model: SequenceModel, batches: DatasetBatches, rows: int) -> list[RowTokens]:
    """The first held-out rows, one at a time: padding would be cheaper, and change the last bits of a row's numbers."""
    most, met = batches.settings.max_length, []
    with evaluating(model) as device:
        for row in batches.held_out()[:rows]:
            ids = torch.from_numpy(row.ids[:most].astype(np.int64))[None].to(device)
            logits = model(input_ids=ids[:, :-1]).logits.float()
            right, total = copied_values(row, VALUE, most)
            met.append(
                RowTokens(
                    hit=token_hits(logits, ids[:, 1:])[0].cpu().numpy(),
                    loss=token_losses(logits, ids[:, 1:])[0].cpu().numpy(),
                    role=row.roles[1:most],
                    step=row.steps[1:most],
                    copied=right / total if total else np.nan,
                )
            )
    return met


def _means(
    metric: str, values: Sequence[NDArray[Any]], insides: Sequence[NDArray[np.bool_]], **where: Where
) -> list[Result]:
    """The mean over rows of each row's mean where it is ``inside``; no result where no row has such a place."""
    pairs = zip(values, insides, strict=True)
    means = np.array([row[inside].mean() if inside.any() else np.nan for row, inside in pairs])
    return [] if np.isnan(means).all() else [measured(metric, means, **where)]


def on_beliefs(subject: Subject, rows: Sequence[Row], *, name: str, max_length: int = 1_024) -> list[Result]:
    """Belief KL of the model at reveals whose exact law is known, with what it gave to the possible outcomes together;
    beside it, of a guess that knows the outcomes' texts and nothing else (alike for each). ``task`` is ``name``. Where
    rows hide inputs also apart (``place``): ``output``, what a call gives, and ``input``, what is asked for after it;
    and the reveals of which that guess is off by SKEWED at least, apart too: most laws of real code are nearly even.
    A KL of texts grows with their length; ``KL among outcomes`` and ``top-1 among outcomes`` don't ask for the texts.

    The text is encoded by the run's own tokenizer.

    Raises:
        ValueError: no row has such a belief of at most ``max_length`` tokens, or the run has a closed vocabulary.
    """
    if not isinstance(subject.batches, DatasetBatches):
        raise ValueError(
            f"expected a run with an open vocabulary, got {subject.run}, trained on {subject.settings.task} alone; "
            "train one on a dataset (trace-train mined --set dataset=...)"
        )
    order = sorted(rows, key=lambda row: hashlib.sha256(row.get("trace_id", "").encode()).digest())
    tokenizer = subject.batches.tokenizer
    scored, _ = scored_beliefs(subject.model, tokenizer, order, max_length=max_length, most=MOST)
    if not scored:
        raise ValueError(f"expected rows with exact beliefs of at most {max_length} tokens, got none in {name}")
    parts = {"": scored}
    skewed = [each for each in scored if np.log(each.outcomes) - each.entropy >= SKEWED]
    if skewed:
        parts["skewed"] = skewed
    for each in scored:
        if "prior" in json.loads(order[each.row]["view"]):
            parts.setdefault("input" if asks(order[each.row], each) else "output", []).append(each)
    return [result for place, some in parts.items() for result in _belief_results(subject, some, name, place)]


def asks(row: Row, scored: ScoredBelief) -> bool:
    """Whether the reveal is one of those that ask for a hidden input: the last ones, one for each."""
    asked = sum(len(names.split(", ")) for names in json.loads(row["view"])["inputs"])
    return bool(row["segments"][scored.segment]["step"] >= len(row["steps"]) - asked)


def _belief_results(subject: Subject, scored: Sequence[ScoredBelief], name: str, place: str) -> list[Result]:
    by_row = [[each for each in scored if each.row == number] for number in dict.fromkeys(e.row for e in scored)]

    def mean(metric: str, of: Callable[[ScoredBelief], float], unit: str, **who: Where) -> Result:
        values = np.array([np.mean([of(each) for each in group]) for group in by_row])
        return measured(metric, values, unit=unit, task=name, place=place, **who)

    alike: dict[str, Where] = {"model": "outcomes alike"}
    return [
        mean("belief KL", lambda each: each.kl, "nats", **subject.named),
        mean("mass on outcomes", lambda each: each.mass, "share", **subject.named),
        mean("KL among outcomes", lambda each: each.kl + np.log(max(each.mass, SMALLEST)), "nats", **subject.named),
        mean("top-1 among outcomes", lambda each: each.top, "share", **subject.named),
        mean("top-1 among outcomes", lambda each: each.tops / each.outcomes, "share", **alike),
        mean("belief KL", lambda each: np.log(each.outcomes) - each.entropy, "nats", **alike),
        mean("KL among outcomes", lambda each: np.log(each.outcomes) - each.entropy, "nats", **alike),
        mean("entropy of the exact law", lambda each: each.entropy, "nats", model="exact filter"),
    ]
