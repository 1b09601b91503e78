"""The verdicts of pytest on items: a spelling that ends otherwise than the item does under pytest is no session of the
test.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from trace_mine.corpus.mined.marked_lines import marked_lines
from trace_mine.corpus.mined.pytest_options import MARKS, OPTIONS
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.schema import Outcome

MAX_RUNS = 4
"""Runs of pytest for a unit; a test that ends the process takes the verdicts of those after it along."""
WORDS = frozenset(("passed", "failed", "skipped", "xfailed", "xpassed"))
"""What pytest may say of an item."""
_PROGRAM = """
import os as _os
_out = _os.dup(1)
def _write(line, write=_os.write):
    while line:
        line = line[write(_out, line):]
judge({root!r}, {nodeids!r}, {seconds!r}, _write, options={options!r}, marks={marks!r}, word={word!r})
"""


class RunsSource(Protocol):
    """What runs a source in the sandbox of a repository (``tracer.session.Tracer``)."""

    def run_source(self, source: str, limits: Limits) -> Outcome:
        """Run it as ``__main__``."""

    @property
    def root(self) -> str:
        """The repository's folder there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemVerdict:
    """How an item ends under pytest: one of WORDS, and the name of the exception's type where one ended it."""

    word: str
    error: str = ""

    def __post_init__(self) -> None:
        if self.word not in WORDS:
            raise ValueError(f"expected a verdict of pytest, got {self.word!r}; use one of {', '.join(sorted(WORDS))}")


def verdicts_of(tracer: RunsSource, nodeids: Sequence[str], limits: Limits) -> Mapping[str, ItemVerdict]:
    """Run items under pytest, each run by the limits of one session.

    Args:
        tracer: runs the program.
        nodeids: pytest's names of the items.
        limits: of one session.

    Returns:
        By item; an item is missing where nothing is known of it.
    """
    verdicts: dict[str, ItemVerdict] = {}
    missing = [*nodeids]
    for _ in range(MAX_RUNS):
        if not missing:
            break
        verdicts.update(_run(tracer, missing, limits))
        missing = [nodeid for nodeid in missing if nodeid not in verdicts]
        # the run ended at this one, or it had no time: those after it may end
        missing = missing[1:]
    return verdicts


def _run(tracer: RunsSource, nodeids: Sequence[str], limits: Limits) -> Mapping[str, ItemVerdict]:
    """The verdicts of one run, which ends where an item ends the process."""
    word = secrets.token_hex(16)
    program = _source() + _PROGRAM.format(
        root=tracer.root,
        nodeids=[*nodeids],
        seconds=limits.wall_seconds,
        word=word,
        options=[*OPTIONS],
        marks=[*MARKS],
    )
    outcome = tracer.run_source(program, _for_all(limits, len(nodeids)))
    verdicts: dict[str, ItemVerdict] = {}
    for line in marked_lines(outcome.stdout, word):
        nodeid, verdict, error = _checked(line)
        if nodeid in nodeids and verdict in WORDS:
            verdicts[nodeid] = ItemVerdict(word=verdict, error=error)
    return verdicts


def agrees(verdict: ItemVerdict, session: str, exception: str | None) -> bool:
    """Return True if a session ends as the verdict says.

    Args:
        verdict: pytest's.
        session: the trace's outcome.
        exception: the name of the type of the trace's exception. One of another type is another end: a command that is
            spelt wrong may raise as well.

    >>> agrees(ItemVerdict(word="failed", error="ValueError"), "exception", "TypeError")
    False
    """
    if verdict.word in ("passed", "xpassed"):
        return session == "ok"
    if verdict.word not in ("failed", "xfailed") or session in ("ok", "exit"):
        return False
    # pytest's own exceptions: for what must raise or warn and doesn't, and around any that ``expectedFailure`` expects
    expected = {"Failed": "AssertionError", "XFailed": ""}.get(verdict.error, verdict.error)
    shown = (exception or "").rpartition(".")[2]
    return not expected or shown == expected or (expected == "AssertionError" and shown == "Failed")


def _for_all(limits: Limits, number: int) -> Limits:
    return Limits(
        wall_seconds=min(3600.0, limits.wall_seconds * (number + 1)),
        cpu_seconds=min(3600, limits.cpu_seconds * (number + 1)),
        memory_bytes=limits.memory_bytes,
    )


@cache
def _source() -> str:
    return (Path(__file__).parent / "inside" / "verdicts.py").read_text(encoding="utf-8")


def _checked(record: bytes) -> tuple[str, str, str]:
    """The item, the verdict and the exception's type of a line; empty texts where it has another form."""
    try:
        answer = json.loads(record)
    except (ValueError, RecursionError):
        return "", "", ""
    texts = [answer.get(key) for key in ("nodeid", "verdict", "error")] if isinstance(answer, dict) else []
    nodeid, verdict, error = [text if isinstance(text, str) else "" for text in texts] or ("", "", "")
    return nodeid, verdict, error
