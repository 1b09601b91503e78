"""A session agrees with pytest's verdict where it ends alike, by an exception of the same type where one ends it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from trace_mine.corpus.mined.items.verdicts import ItemVerdict, agrees, verdicts_of
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.schema import Outcome


@pytest.mark.parametrize(
    ("word", "error", "session", "exception", "expected"),
    [
        ("passed", "", "ok", None, True),
        ("passed", "", "exception", "ValueError", False),
        ("failed", "ValueError", "exception", "ValueError", True),
        ("failed", "ValueError", "exception", "TypeError", False),
        ("failed", "ValueError", "ok", None, False),
        ("failed", "ParseError", "exception", "shop.errors.ParseError", True),
        ("failed", "Failed", "exception", "AssertionError", True),
        ("xfailed", "AssertionError", "exception", "AssertionError", True),
        ("failed", "SystemExit", "exit", "SystemExit", False),
        ("skipped", "Skipped", "ok", None, False),
    ],
)
def test_agreement(word: str, error: str, session: str, exception: str | None, expected: bool) -> None:
    assert agrees(ItemVerdict(word=word, error=error), session, exception) is expected


def test_other_words_are_no_verdicts() -> None:
    with pytest.raises(ValueError, match="expected a verdict"):
        ItemVerdict(word="maybe")


class Runs:
    """Says what a jail would: of each run the items that come to an end, by the program's word."""

    root = "/repository"

    def __init__(self, *runs: Sequence[dict[str, object]]) -> None:
        self._runs = [*runs]
        self.asked: list[str] = []

    def run_source(self, source: str, limits: Limits) -> Outcome:
        last = source.strip().rpartition("\n")[2]
        self.asked.append(last)
        word = last.rsplit("'", 2)[1]
        lines = [f"{word} {json.dumps(record)}" for record in self._runs.pop(0)] if self._runs else []
        return Outcome(status="ok", integrity="clean", stdout="\n".join([*lines, "noise", f"{word} no JSON"]).encode())


def test_a_test_that_ends_the_process_costs_no_other_one_its_verdict() -> None:
    runs = Runs([{"nodeid": "a", "verdict": "passed"}], [{"nodeid": "c", "verdict": "failed", "error": "E"}])
    verdicts = verdicts_of(runs, ["a", "b", "c"], Limits())
    assert verdicts == {"a": ItemVerdict(word="passed"), "c": ItemVerdict(word="failed", error="E")}
    assert "'b'" not in runs.asked[1]


@pytest.mark.parametrize(
    "record",
    [
        {"nodeid": "z", "verdict": "passed"},
        {"nodeid": "a", "verdict": "maybe"},
        {"nodeid": "a", "verdict": ["passed"]},
        {"nodeid": 1},
        {},
    ],
)
def test_what_is_no_verdict_is_none(record: dict[str, object]) -> None:
    assert verdicts_of(Runs([record]), ["a"], Limits()) == {}
