"""What a session with a hidden input must have to be worth asking: a belief where it asks, and an output that tells."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from trace_mine.corpus.mined.snippets.candidate import HiddenInputs
from trace_mine.tracer.schema import Drop, Snippet, Trace


def with_prior(trace: Trace, snippet: Snippet, prior: HiddenInputs) -> Trace | Drop:
    """The trace with its prior in the view, or why it asks nothing.

    ``no_belief``: the session's beliefs end before its questions do, so that the answer has no known law.
    ``nothing_told``: what is shown leaves each input as likely as it was: a value that can't be shown, the same error
    for all, an output that hangs on other draws alone.
    """
    first = len(trace.steps) - len(snippet.asks)
    beliefs = {trace.segments[belief.segment].step: belief for belief in trace.beliefs}
    missing = [name for step, name in enumerate(snippet.asks, first) if step not in beliefs]
    if missing:
        return Drop(reason="no_belief", evidence=f"nothing is known of what {', '.join(missing)} could be")
    left = [sorted(beliefs[step].probabilities) for step in range(first, len(trace.steps))]
    before = [sorted(law) for law in _laws_before(trace, prior)]
    if all(len(a) == len(b) and all(map(_near, a, b)) for a, b in zip(left, before, strict=True)):
        return Drop(reason="nothing_told", evidence="after the outputs each input is as likely as before")
    return replace(trace, view={**trace.view, **prior})


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 1e-9


def _laws_before(trace: Trace, prior: HiddenInputs) -> Iterator[list[float]]:
    """The probabilities of each asked input's values where nothing but the inputs asked for before is known."""
    for targets, outcomes in prior["inputs"].items():
        step = next(n for n, each in enumerate(trace.steps) if each.source.startswith(f"{targets} = choice(["))
        drawn = next(choice for choice in trace.choices if choice.step == step).taken
        rows = [_parts(outcome, is_tuple=", " in targets) for outcome in outcomes]
        for number, _ in enumerate(targets.split(", ")):
            alike = [row for row in rows if row[:number] == rows[drawn][:number]]
            yield [count / len(alike) for count in Counter(row[number] for row in alike).values()]


def _parts(outcome: str, *, is_tuple: bool) -> list[str]:
    """The sources of the values that one outcome gives."""
    tree = ast.parse(outcome, mode="eval").body
    return [ast.unparse(each) for each in tree.elts] if is_tuple and isinstance(tree, ast.Tuple) else [outcome]
