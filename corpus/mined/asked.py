"""What a session with a hidden input must have to be worth asking: a belief where it asks, and an output that tells."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tracer.schema import Drop, Snippet, Trace


def with_prior(trace: Trace, snippet: Snippet, prior: Mapping[str, Any]) -> Trace | Drop:
    """The trace with its prior in the view, or why it asks nothing.

    ``no_belief``: the session's beliefs end before its questions do, so that the answer has no known law.
    ``nothing_shown``: no output and no silence tells anything of the input.
    """
    first = len(trace.steps) - len(snippet.asks)
    beliefs = {trace.segments[belief.segment].step: belief for belief in trace.beliefs}
    missing = [name for step, name in enumerate(snippet.asks, first) if step not in beliefs]
    if missing:
        return Drop(reason="no_belief", evidence=f"nothing is known of what {', '.join(missing)} could be")
    told = any(step.output for step in trace.steps[:first])
    if not told and len(beliefs[first].outcomes) == _num_first(prior):
        return Drop(reason="nothing_shown", evidence="no output tells anything of the input")
    return replace(trace, view={**trace.view, **prior})


def _num_first(prior: Mapping[str, Any]) -> int:
    """How many values the first input may have before anything is shown."""
    targets, outcomes = next(iter(prior["inputs"].items()))
    if ", " not in targets:
        return len(set(outcomes))
    trees = (ast.parse(outcome, mode="eval").body for outcome in outcomes)
    return len({ast.unparse(tree.elts[0]) for tree in trees if isinstance(tree, ast.Tuple)})
