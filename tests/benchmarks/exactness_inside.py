"""The code that ``exactness.py`` runs in a jail, behind the text of ``tests/reference/edited_runs.py``: one session, by
brute force or many times as CPython runs it. A call of ``by_all_draws`` or ``by_chance`` is appended to it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

OUT = os.dup(1)


def tell(word: str, record: object) -> None:
    line = f"{word} {json.dumps(record)}\n".encode("ascii")
    while line:
        line = line[os.write(OUT, line) :]


def by_all_draws(word: str, root: str, text: str, most: int) -> None:
    """The largest difference from Bayes over all draws; None where there are more than ``most`` ways to draw."""
    globals()["MOST_RUNS"] = most
    try:
        worst = worst_difference(json.loads(text), root_of(root))  # type: ignore[name-defined]  # noqa: F821  # of the text before
    except AssertionError as error:
        if "too many ways" not in str(error):
            raise
        worst = None
    tell(word, worst)


def by_chance(word: str, root: str, text: str, runs: int, seconds: float) -> None:
    """For each open belief how often each text came, in runs that had shown the same before; and the number of runs."""
    row: dict[str, Any] = json.loads(text)
    shown = [step["output"] for step in row["steps"]]
    steps = [row["segments"][belief["segment"]]["step"] for belief in row["beliefs"]]
    counts: list[Counter[str]] = [Counter() for _ in steps]
    # CPython's own generator, and nothing put in its place
    draws = SimpleNamespace(random=random.random, choice=random.choice)
    until, number = time.monotonic() + seconds, 0
    while number < runs and time.monotonic() < until:
        random.seed(number)
        shown_and_seen = _texts(row, root_of(root), draws, lambda namespace: None)  # type: ignore[name-defined]  # noqa: F821
        texts = [text for text, _ in shown_and_seen]
        number += 1
        for count, step in zip(counts, steps, strict=True):
            if texts[:step] == shown[:step]:
                count[texts[step]] += 1
    tell(word, {"runs": number, "counts": counts})


def root_of(root: str) -> Any:
    from pathlib import Path

    sys.setrecursionlimit(5_000)
    return Path(root)
