"""A session agrees with pytest's verdict where it ends alike, by an exception of the same type where one ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from trace_mine.corpus.mined.items import verdicts
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
    found = verdicts_of(runs, ["a", "b", "c"], Limits())
    assert found == {"a": ItemVerdict(word="passed"), "c": ItemVerdict(word="failed", error="E")}
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


SUITE = """
import pytest

class Box:
    pass

PLACE = id(Box())  # one place: of two, pytest would number the names of which both are the same

@pytest.mark.parametrize("made", [Box(), Box(), 3], ids=[hex(PLACE), hex(PLACE + 64), "three"])
def test_names_with_addresses(made):
    assert made == 3

def test_alone():
    pass
"""


def judged(root: Path, *nodeids: str) -> dict[str, str]:
    """The verdicts of a process of its own, as the jail has one."""
    program = (Path(verdicts.__file__).parent / "inside" / "verdicts.py").read_text()
    program += (
        f"judge({str(root)!r}, {[*nodeids]!r}, 20.0, lambda line: os.write(1, line), options=['-pno:cacheprovider', "
        "'-pno:terminal'], marks=[], word='WORD')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    lines = [json.loads(line.removeprefix("WORD ")) for line in done.stdout.splitlines() if line.startswith("WORD ")]
    return {line["nodeid"]: line["verdict"] for line in lines}


def test_names_that_differ_in_each_process_cost_no_item_its_verdict(tmp_path: Path) -> None:
    """Names of parameters may hold addresses; pytest refuses a run in which it doesn't find one of the names."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    names = [f"test_suite.py::test_names_with_addresses[{name}]" for name in ("0x7f00", "0x7f01", "three")]
    assert judged(tmp_path, *names, "test_suite.py::test_alone") == {
        names[0]: "failed",
        names[1]: "failed",
        names[2]: "passed",
        "test_suite.py::test_alone": "passed",
    }


def test_a_test_that_is_gone_costs_no_other_one_its_verdict(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    names = ["test_suite.py::test_gone", "test_suite.py::test_names_with_addresses[three]"]
    assert judged(tmp_path, *names) == {names[1]: "passed"}
