"""The filters of warnings that pytest sets around a test, as commands: one that says ``error`` decides how it ends."""

from __future__ import annotations

from typing import Any

from trace_mine_items.values import Speller

# ``Any``: pytest's items, whose classes differ from version to version.


def filters_of(item: Any, speller: Speller) -> list[str]:
    """Return commands that set the filters of the configuration and of the marks, in pytest's order.

    None where the test has no marks of that kind and the configuration makes an error of no warning: its filters then
    only keep a report short.
    """
    from _pytest.config import parse_warning_filter

    marked = [text for mark in item.iter_markers("filterwarnings") for text in mark.args]
    filters = []
    for text in (*item.config.getini("filterwarnings"), *marked):
        try:
            filters.append(parse_warning_filter(text, escape=False))
        except Exception:  # of a class that is not installed, say: pytest itself ends there or passes over it
            continue
    if not marked and all(action != "error" for action, *_ in filters):
        return []
    if not filters or speller.module("warnings") is None:
        return []
    commands = []
    for action, message, category, module, line in filters:
        kind = speller.spell(category)
        if kind is None:
            continue
        given = [repr(action), repr(message), kind, repr(module), str(line)]
        # what a filter does not say it leaves out
        while given[-1] in ("''", "0", "Warning"):
            given.pop()
        commands.append(f"warnings.filterwarnings({', '.join(given)})")
    return commands
