"""Adds the prior of hidden inputs to a trace, or drops a session in which asking for them tests nothing.

A question is worth a row where its answer has a known law, and where the outputs before it have changed that law. On
four sdists and ten modules of the standard library 34 of 344 sessions with a mined prior were ``nothing_told``, one was
``no_belief``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from trace_mine.corpus.mined.snippets.candidate import HiddenInputs
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Snippet, Trace

InputValues = Mapping[str, Sequence[Sequence[str]]]
"""The values of each outcome of each draw, as ``Candidate.input_values`` has them."""


def add_prior(trace: Trace, snippet: Snippet, prior: HiddenInputs, values: InputValues) -> Trace | Drop:
    """The trace with its prior in the view, or the drop of a session that is no row.

    The steps that ask for the inputs are the trace's last ones, one for each of ``snippet.asks``.

    Returns:
        A drop ``no_belief`` where the session's beliefs end before its questions do, so that an answer has no known
        law. A drop ``nothing_told`` where each input is as likely after the outputs as before them: the output can't be
        shown, is the same error for all inputs, or hangs on other draws alone.
    """
    num_steps = len(trace.steps)
    first_question = num_steps - len(snippet.asks)
    beliefs = {trace.segments[belief.segment].step: belief for belief in trace.beliefs}
    unknown = [name for step, name in enumerate(snippet.asks, first_question) if step not in beliefs]
    if unknown:
        return Drop(reason=Reason.NO_BELIEF, evidence=f"nothing is known of what {', '.join(unknown)} could be")
    # Sorted, since a belief and a prior list their values in orders of their own.
    laws_after = [sorted(beliefs[step].probabilities) for step in range(first_question, num_steps)]
    laws_before = [sorted(law) for law in _laws_before(trace, values)]
    if all(_are_near(after, before) for after, before in zip(laws_after, laws_before, strict=True)):
        return Drop(reason=Reason.NOTHING_TOLD, evidence="after the outputs each input is as likely as before")
    return replace(trace, view={**trace.view, **prior})


def _are_near(law: list[float], other: list[float]) -> bool:
    """Tell if two laws are equal but for rounding: a belief is a sum over paths, in another order than the counts."""
    pairs = zip(law, other, strict=False)  # of other lengths they are apart already
    return len(law) == len(other) and all(math.isclose(p, q, rel_tol=0, abs_tol=1e-9) for p, q in pairs)


def _laws_before(trace: Trace, values: InputValues) -> Iterator[list[float]]:
    """The law of each asked input where only the answers before it are known, and no output.

    Inputs that are drawn together tell of each other: after ``a`` of ``a, b = choice([(1, 2), (1, 3), (4, 5)])`` was
    shown to be 1, ``b`` is 2 or 3. So the law of each input is counted over the outcomes that agree with the ones that
    were drawn in the inputs before it.
    """
    for targets, rows in values.items():
        # `snippets.calls` spells a draw so, and each of its commands is one step of the session.
        step = next(n for n, command in enumerate(trace.steps) if command.source.startswith(f"{targets} = choice(["))
        taken = next(choice for choice in trace.choices if choice.step == step).taken
        for column in range(targets.count(", ") + 1):
            alike = [row for row in rows if row[:column] == rows[taken][:column]]
            yield [count / len(alike) for count in Counter(row[column] for row in alike).values()]
