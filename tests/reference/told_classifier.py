"""A classifier of hidden outcomes: it sees a session's commands, and must do no better than the session's own beliefs.

A belief is the law of an output given all text before it. If a command, or the place of a reveal, told anything of a
hidden outcome, then who looks at them would know more than the belief: the classifier gets the belief's odds, and
learns from the commands since the last output that wasn't certain, this one's among them, how to correct them. What it
gains on sessions that it has not learnt from is compared with what it gains where the outputs are drawn from the
beliefs themselves: there is nothing to learn then.

Nothing of trace-mine is used.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float64]
SIZE = 400
"""Words that are learnt from: the most frequent ones."""
STEPS = 40
FOLDS = 3
DIVISIONS = 4
"""Ways in which sessions are parted into folds; of one alone the gain hangs on the parting."""
RIDGE = 1.0
CLEAREST = 1e-3
"""Beliefs that are this sure are no questions."""


@dataclass(frozen=True)
class Place:
    """An output with an open belief.

    Attributes:
        session: told apart by this number; a fold has all places of a session.
        p: the belief's probability of its likeliest outcome.
        came: that outcome came.
        words: what the commands look like.
    """

    session: int
    p: float
    came: bool
    words: tuple[str, ...]


def places_of(rows: Sequence[Mapping[str, Any]]) -> list[Place]:
    """The open outputs of rows, with what stands before them and after the last one of these."""
    places: list[Place] = []
    for session, row in enumerate(rows):
        program = f"{row['path']} {row['name']}"
        since = 0
        for belief in sorted(row["beliefs"], key=lambda each: each["segment"]):
            segment = row["segments"][belief["segment"]]
            step = segment["step"]
            law = dict(zip(belief["outcomes"], belief["probabilities"], strict=True))
            likeliest = max(law, key=lambda text: (law[text], text))
            if belief["method"] != "exact" or law[likeliest] > 1 - CLEAREST:
                continue
            shown = row["text"][segment["start"] : segment["end"]].removesuffix("\n")
            steps = row["steps"][since : step + 1]
            commands = [each["source"] for each in steps]
            words = [f"{program} {step}", f"{program} {len(steps)}", f"number {len(steps)}", "all"]
            words += [f"{program} {command}" for command in commands]
            words += [f"kind {each['kind']}" for each in steps]
            words += [f"length {len(commands[-1]) // 8}", f"{program} {law[likeliest]:.3f}"]
            places.append(Place(session, law[likeliest], shown == likeliest, tuple(words)))
            since = step + 1
    return places


def gain(places: Sequence[Place], came: Sequence[bool] | None = None) -> float:
    """The mean gain in nats over the beliefs, of places of sessions that were not learnt from; below 0: a loss.

    Args:
        places: the questions.
        came: other outcomes than those of the places.
    """
    features = _features(places)
    p = np.clip(np.array([place.p for place in places]), 1e-6, 1 - 1e-6)
    offset = np.log(p) - np.log1p(-p)
    target = np.array([place.came for place in places] if came is None else came, dtype=np.float64)
    total = 0.0
    for division in range(DIVISIONS):
        fold = np.array([zlib.crc32(f"{division} {place.session}".encode()) % FOLDS for place in places])
        for number in range(FOLDS):
            learnt, asked = fold != number, fold == number
            weights = _fitted(features[learnt], offset[learnt], target[learnt])
            odds = offset[asked] + features[asked] @ weights
            total += float(np.sum(_log_likelihood(odds, target[asked]) - _log_likelihood(offset[asked], target[asked])))
    return total / (DIVISIONS * len(places))


def null_gains(places: Sequence[Place], number: int, seed: int = 0) -> list[float]:
    """The gains where outcomes are drawn from the beliefs: nothing tells them."""
    source = np.random.default_rng(seed)
    p = np.array([place.p for place in places])
    return [gain(places, [*(source.random(len(p)) < p)]) for _ in range(number)]


def with_leak(places: Sequence[Place], share: float, seed: int = 0) -> list[Place]:
    """Places at a share of which a command tells the outcome: what the classifier must find."""
    source = np.random.default_rng(seed)
    return [
        Place(place.session, place.p, place.came, (*place.words, f"told {place.came}"))
        if source.random() < share
        else place
        for place in places
    ]


def _features(places: Sequence[Place]) -> Vectors:
    """How often each of the SIZE most frequent words stands at each place; a place has length one."""
    counts = Counter(word for place in places for word in {*place.words})
    columns = {word: number for number, (word, _) in enumerate(sorted(counts.items(), key=_by_count)[:SIZE])}
    features = np.zeros((len(places), max(1, len(columns))))
    for number, place in enumerate(places):
        for word in place.words:
            if word in columns:
                features[number, columns[word]] += 1.0
    return features / np.maximum(1.0, np.linalg.norm(features, axis=1, keepdims=True))


def _by_count(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _log_likelihood(odds: Vectors, target: Vectors) -> Vectors:
    return target * odds - np.logaddexp(0.0, odds)


def _fitted(features: Vectors, offset: Vectors, target: Vectors) -> Vectors:
    """Ridge logistic regression beside an offset: steps along the slope, each weight's by its own curvature."""
    weights = np.zeros(features.shape[1])
    curve = 0.25 * np.sum(features**2, axis=0) + RIDGE
    step = 1.0 / np.sqrt(max(1.0, float(np.mean(np.sum(features > 0, axis=1)))))
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(offset + features @ weights)))
        weights += step * (features.T @ (target - p) - RIDGE * weights) / curve
    return weights
