"""The page ``docs/interpreters.md``, written from the list of differences between interpreters.

``python -m trace_mine.tracer.differences_page > docs/interpreters.md`` writes it; a test holds the page to the code.
"""

from __future__ import annotations

import sys

from trace_mine.tracer.inside.differences import DIFFERENCES, VersionDifference

HEAD = """\
# Interpreters

CPython 3.11 to 3.14 run trace-mine, and snippets: `--python X` takes source, values, standard library and packages from
X. What a session shows is what that interpreter does, so a program may have another session under another version where
one of these differences shows in it. Each was seen, not read about: `tests/tracer/test_differences.py` runs a program
for each under every interpreter that it finds.

This page is written from `trace_mine.tracer.inside.differences`:
`python -m trace_mine.tracer.differences_page > docs/interpreters.md`.

| versions | what is so there | what follows |
|---|---|---|"""


def page() -> str:
    """The page: a table, in the order of the versions."""
    ordered = sorted(DIFFERENCES.values(), key=lambda each: (each.since, each.what))
    rows = [f"| {_versions(each)} | {each.what}. | {each.so}. |".replace("A | None", "A \\| None") for each in ordered]
    return "\n".join([HEAD, *rows]) + "\n"


def _versions(difference: VersionDifference) -> str:
    first = ".".join(map(str, difference.since))
    if difference.before is None:
        return f"{first} on"
    last = f"{difference.before[0]}.{difference.before[1] - 1}"
    return first if first == last else f"{first} to {last}"


if __name__ == "__main__":
    sys.stdout.write(page())
