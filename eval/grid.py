"""Extrapolation: accuracy over a grid of commands by reveal spacing, inside and beyond what was trained."""

from __future__ import annotations

from collections.abc import Sequence

from trace_mine.eval.measure import accuracy
from trace_mine.eval.results import Result
from trace_mine.eval.subjects import Subject
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.sessions import sessions_of


def extrapolation(subject: Subject, commands: Sequence[int], spacings: Sequence[int], *, rows: int) -> list[Result]:
    """Accuracy over all reveals and of the last one for every pair, ``times`` being commands over the trained length,
    of the run and of the baselines.

    Pairs with fewer commands than the spacing have no reveal, and no row.
    """
    trained = subject.trained[0]
    results = []
    for length in commands:
        for spacing in spacings:
            if spacing > length:
                continue
            sessions = sessions_of(subject.task_batches, commands=length, spacing=spacing, rows=rows)
            of_size = accuracy(sessions, subject.predictor, **subject.named, times=length / trained)
            for baseline in baselines():
                of_size += accuracy(sessions, baseline, model=baseline.name, times=length / trained)
            results += [result for result in of_size if result.metric != "accuracy by reveal"]
    return results
