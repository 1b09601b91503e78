"""Runs on rows of datasets, mined ones above all: accuracy by role and step, and beliefs beside their exact laws.

The rows are what the run held out of training, or those of any dataset (``rows_of``): so a model that was trained on
synthetic sessions is asked about real code. A row's own number is the mean over its places; intervals are over rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trace_mine.eval.results import Result, measured
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import DatasetSource
from trace_mine.train.evaluation import copied
from trace_mine.train.mined_beliefs import ScoredBelief, scored_beliefs

SKEWED = 0.1
"""Nats by which "outcomes alike" is off at a skewed law."""
MOST = 256
"""Reveals that are asked for, of rows in the order of their hashes: those of one repository stand together on disk."""
STEP_EDGES = (1, 3, 5, 9, 17, 33, 1 << 30)


def rows_of(dataset: Path) -> list[dict[str, Any]]:
    """All rows of a dataset folder, of every split.

    Raises:
        ValueError: no dataset there.
    """
    import pyarrow.parquet as pq

    files = sorted((dataset / "data").rglob("*.parquet"))
    if not files:
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {dataset}; mine one there first")
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@torch.no_grad()
def by_role(subject: Subject, *, rows: int) -> list[Result]:
    """Accuracy and loss of each role's tokens, of values by the step that shows them, and copying the last value, on
    rows that were held out.

    Raises:
        ValueError: the run was trained on a task.
    """
    from trace_mine.tokenizer.encoded import ROLES

    source = subject.source
    if not isinstance(source, DatasetSource):
        raise ValueError(f"expected a run on a dataset, got {subject.run}, trained on the task {subject.settings.task}")
    held = source.held_out()[:rows]
    most, value = source.settings.max_length, ROLES.index("value")
    hits: dict[str, list[float]] = {role: [] for role in ROLES}
    losses: dict[str, list[float]] = {role: [] for role in ROLES}
    steps = np.full((len(held), len(STEP_EDGES) - 1), np.nan)
    copies = []
    for number, row in enumerate(held):
        ids = torch.from_numpy(row.ids[:most].astype(np.int64))[None]
        logits = subject.model(input_ids=ids[:, :-1]).logits.float()[0]
        target, roles, at = ids[0, 1:], np.asarray(row.roles[1:most]), np.asarray(row.steps[1:most])
        loss = torch.nn.functional.cross_entropy(logits, target, reduction="none").numpy()
        hit = (logits.argmax(-1) == target).numpy()
        for index, role in enumerate(ROLES):
            inside = roles == index
            hits[role].append(hit[inside].mean() if inside.any() else np.nan)
            losses[role].append(loss[inside].mean() if inside.any() else np.nan)
        for bucket in range(len(STEP_EDGES) - 1):
            inside = (roles == value) & (at + 1 >= STEP_EDGES[bucket]) & (at + 1 < STEP_EDGES[bucket + 1])
            if inside.any():
                steps[number, bucket] = hit[inside].mean()
        right, total = copied(row, value, most)
        copies.append(right / total if total else np.nan)
    where = {**subject.named, "task": "dataset", "split": source.evaluation_split}
    found = []
    for role in ROLES:
        if not np.isnan(hits[role]).all():
            found.append(measured("accuracy by role", np.array(hits[role]), unit="share", place=role, **where))
            found.append(measured("loss by role", np.array(losses[role]), unit="nats", place=role, **where))
    for bucket in range(len(STEP_EDGES) - 1):
        if not np.isnan(steps[:, bucket]).all():
            place = f"steps from {STEP_EDGES[bucket]}"
            at_step = float(STEP_EDGES[bucket])
            told = measured("accuracy by step", steps[:, bucket], unit="share", place=place, at=at_step, **where)
            found.append(told)
    if not np.isnan(copies).all():
        beside = {**where, "run": "", "model": "copy the last value", "seed": -1}
        found.append(measured("accuracy by role", np.array(copies), unit="share", place="value", **beside))
    return found


def on_beliefs(
    subject: Subject, rows: Sequence[Mapping[str, Any]], *, name: str, max_length: int = 1_024
) -> list[Result]:
    """Belief KL of the model at reveals whose exact law is known, with what it gave to the possible outcomes together;
    beside it, of a guess that knows the outcomes' texts and nothing else (alike for each). ``task`` is ``name``. Where
    rows hide inputs also apart (``place``): ``output``, what a call gives, and ``input``, what is asked for after it;
    and the reveals of which that guess is off by SKEWED at least, apart too: most laws of real code are nearly even.
    A KL of texts grows with their length; ``KL among outcomes`` and ``top-1 among outcomes`` don't ask for the texts.

    The text is encoded by the run's own tokenizer.

    Raises:
        ValueError: no row has such a belief of at most ``max_length`` tokens, or the run has a closed vocabulary.
    """
    if not isinstance(subject.source, DatasetSource):
        raise ValueError(
            f"expected a run with an open vocabulary, got {subject.run}, trained on {subject.settings.task} alone; "
            "train one on a dataset (trace-train mined --set dataset=...)"
        )
    order = sorted(rows, key=lambda row: hashlib.sha256(row.get("trace_id", "").encode()).digest())
    found, _ = scored_beliefs(subject.model, subject.source.tokenizer, order, max_length=max_length, most=MOST)
    if not found:
        raise ValueError(f"expected rows with exact beliefs of at most {max_length} tokens, got none in {name}")
    parts = {"": found}
    skewed = [each for each in found if np.log(each.outcomes) - each.entropy >= SKEWED]
    if skewed:
        parts["skewed"] = skewed
    for scored in found:
        if "prior" in json.loads(order[scored.row]["view"]):
            parts.setdefault("input" if asks(order[scored.row], scored) else "output", []).append(scored)
    return [result for place, some in parts.items() for result in _told_beliefs(subject, some, name, place)]


def asks(row: Mapping[str, Any], scored: ScoredBelief) -> bool:
    """Whether the reveal is one of those that ask for a hidden input: the last ones, one for each."""
    asked = sum(len(names.split(", ")) for names in json.loads(row["view"])["inputs"])
    return bool(row["segments"][scored.segment]["step"] >= len(row["steps"]) - asked)


def _told_beliefs(subject: Subject, found: Sequence[ScoredBelief], name: str, place: str) -> list[Result]:
    by_row = [[each for each in found if each.row == number] for number in dict.fromkeys(e.row for e in found)]

    def told(metric: str, of: Any, unit: str, **who: Any) -> Result:
        values = np.array([np.mean([of(each) for each in group]) for group in by_row])
        return measured(metric, values, unit=unit, task=name, place=place, **who)

    alike = {"model": "outcomes alike"}
    return [
        told("belief KL", lambda each: each.kl, "nats", **subject.named),
        told("mass on outcomes", lambda each: each.mass, "share", **subject.named),
        told("KL among outcomes", lambda each: each.kl + np.log(max(each.mass, 1e-30)), "nats", **subject.named),
        told("top-1 among outcomes", lambda each: float(each.top), "share", **subject.named),
        told("top-1 among outcomes", lambda each: each.tops / each.outcomes, "share", **alike),
        told("belief KL", lambda each: np.log(each.outcomes) - each.entropy, "nats", **alike),
        told("KL among outcomes", lambda each: np.log(each.outcomes) - each.entropy, "nats", **alike),
        told("entropy of the exact law", lambda each: each.entropy, "nats", model="exact filter"),
    ]
