"""Extrapolation: accuracy over a grid of commands by reveal spacing, inside and beyond the sizes of training."""

from __future__ import annotations

from collections.abc import Sequence

from trace_mine.eval.measure import accuracy
from trace_mine.eval.results import Result
from trace_mine.eval.subjects import Subject
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.sessions import sessions_of


def extrapolation(subject: Subject, commands: Sequence[int], spacings: Sequence[int], *, rows: int) -> list[Result]:
    """Accuracy of the run and of the baselines for every pair of a number of commands and a spacing.

    Each pair gives the accuracy over all reveals and of the last one, on ``rows`` test sessions; ``times`` is the
    number of commands over the trained length. Pairs with fewer commands than the spacing have no reveal, hence no row.
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
            # a row a reveal would make the grid's table as long as all others together; ``on_task`` has them already
            results += [result for result in of_size if result.metric != "accuracy by reveal"]
    return results
