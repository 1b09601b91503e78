"""All texts of a JSON value, however deep they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

MAX_JSON_CHARS = 10_000_000
"""A longer text is not looked into as JSON."""


def json_texts(value: object, *, looks_inside: bool = False) -> Iterator[str]:
    """Yield the texts of a value, in order; keys are no texts of it.

    Args:
        value: of JSON's types, tuples and mappings of any kind too.
        looks_inside: a text that is a JSON list or object itself is followed by its own texts: LiveCodeBench keeps its
            tests so.

    >>> list(json_texts({"a": ["x", 1, {"b": "y"}]}))
    ['x', 'y']
    >>> list(json_texts('[{"input": "1 2"}]', looks_inside=True))
    ['[{"input": "1 2"}]', '1 2']
    """
    if isinstance(value, str):
        yield value
        if looks_inside and value.lstrip()[:1] in ("[", "{") and len(value) <= MAX_JSON_CHARS:
            try:
                inside = json.loads(value)
            except (ValueError, RecursionError):  # a text that only begins like JSON
                return
            yield from json_texts(inside)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from json_texts(inner, looks_inside=looks_inside)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from json_texts(inner, looks_inside=looks_inside)
