"""One example of a hypothesis test as texts: the first that its author wrote, else a telling one of those drawn."""

from __future__ import annotations

from typing import Any

from trace_mine_items.values import Speller

# ``Any``: hypothesis' objects, which the repository may not have.

MAX_EXAMPLES = 30
MAX_TEXT = 80
"""Characters of a drawn example; the longest one below that is taken, since the first ones are 0 and ''."""


def is_drawn(function: Any) -> bool:
    """Return True for a test whose arguments hypothesis draws."""
    return hasattr(function, "hypothesis") or bool(getattr(function, "is_hypothesis_test", False))


def example_of(function: Any, fixtures: list[str], speller: Speller, *, is_method: bool) -> dict[str, str] | None:
    """Return the arguments of one example, by name; None where none has texts.

    Args:
        function: the test as hypothesis wraps it.
        fixtures: names of the arguments that pytest gives.
        speller: makes texts of values.
        is_method: it takes an instance first.
    """
    drawn = _drawn(function, fixtures, is_method=is_method)
    num_written = len(getattr(function, "hypothesis_explicit_examples", ()))
    texts = []
    for index, example in enumerate(drawn):
        spelt = {name: speller.spell(value) for name, value in example.items()}
        if all(text is not None for text in spelt.values()):
            chosen = {name: str(text) for name, text in spelt.items()}
            if index < num_written:
                return chosen
            texts.append(chosen)
    sized = [(sum(map(len, each.values())), each) for each in texts]
    return max([pair for pair in sized if pair[0] <= MAX_TEXT], key=lambda pair: pair[0], default=(0, None))[1]


def _drawn(function: Any, fixtures: list[str], *, is_method: bool) -> list[dict[str, object]]:
    """The examples that hypothesis gives the test, whose body is left out; the same ones each time."""
    from hypothesis import HealthCheck, Phase, settings

    drawn: list[dict[str, object]] = []
    # the body, which is left out, is all that would ask it for anything
    instance = object()

    def note(*arguments: object, **named: object) -> None:
        given = {name: value for name, value in named.items() if name not in fixtures}
        drawn.append({name: value for name, value in given.items() if value is not instance})

    once = settings(
        max_examples=MAX_EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    before = function.hypothesis.inner_test, getattr(function, "_hypothesis_internal_use_settings", None)
    function.hypothesis.inner_test, function._hypothesis_internal_use_settings = note, once
    try:
        function(*([instance] if is_method else []), **dict.fromkeys(fixtures))
    finally:
        function.hypothesis.inner_test, function._hypothesis_internal_use_settings = before
    return drawn
