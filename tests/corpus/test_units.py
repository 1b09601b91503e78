"""How often a unit of work is tried again after its worker died, and what becomes of those that ran beside it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from trace_mine.corpus.engines import KeyList, KeySource, UnitCall, WorkersLost
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.units import run_units
from trace_mine.corpus.work import Dropped, Marker, WorkUnit

SNIPPET = {"path": "m.py", "name": "f", "repository": "r", "entry": "doctest", "line": 1}


class FakeEngine:
    """No process dies here: of each batch that holds ``deadly`` the workers are lost, ``deaths`` times; with
    ``late`` only when all are done, before the answers are given.
    """

    def __init__(self, deadly: str, deaths: int, *, late: bool = False) -> None:
        self.deadly, self.deaths, self.late = deadly, deaths, late
        self.tried: list[list[str]] = []

    def run(self, task: UnitCall, keys: KeySource) -> Generator[tuple[str, Marker], None, None]:
        yield from self._run(task, [*iter(keys.take, None)])

    def close(self) -> None: ...

    def _run(self, task: UnitCall, keys: Sequence[str]) -> Generator[tuple[str, Marker], None, None]:
        if keys:
            self.tried.append([*keys])
        dies = self.deadly in keys and self.deaths > 0
        if dies and not self.late:
            self.deaths -= 1
            raise WorkersLost(keys)
        markers = [(key, task(key)) for key in keys]
        if dies:
            self.deaths -= 1
            raise WorkersLost(keys)
        yield from markers


def settled(tmp_path: Path, engine: FakeEngine, keys: Sequence[str]) -> tuple[Ledger, list[tuple[str, str]]]:
    """The ledger after a run of these units, and (unit, reason of its drop) as it was reported."""
    ledger = Ledger(tmp_path)
    for key in keys:
        ledger.add(WorkUnit(key=key, payload={"snippets": [SNIPPET]}))
    reported: list[tuple[str, str]] = []

    def on_done(key: str, marker: Marker) -> None:
        (drop,) = ledger.items(key)
        assert isinstance(drop, Dropped) and marker.drops == 1
        reported.append((key, drop.reason))

    run_units(
        ledger,
        KeyList(keys),
        lambda payload: iter([Dropped.at(SNIPPET, reason="empty", evidence="")]),
        engine,
        on_done=on_done,
    )
    return ledger, reported


@pytest.mark.parametrize(("deaths", "given_up"), [(2, False), (3, True), (9, True)])
def test_a_unit_is_given_up_after_its_third_death(tmp_path: Path, deaths: int, given_up: bool) -> None:
    engine = FakeEngine("unit", deaths)
    ledger, reported = settled(tmp_path, engine, ["unit"])
    assert engine.tried == [["unit"]] * 3
    assert reported == [("unit", "worker_died" if given_up else "empty")]
    (drop,) = ledger.items("unit")
    assert isinstance(drop, Dropped)
    assert drop.evidence == ("3 workers died over this unit of 1 snippets" if given_up else "")


def test_a_death_is_held_against_nobody_else(tmp_path: Path) -> None:
    engine = FakeEngine("b", 99)
    _, reported = settled(tmp_path, engine, ["a", "b", "c"])
    assert sorted(reported) == [("a", "empty"), ("b", "worker_died"), ("c", "empty")]
    assert engine.tried == [["a", "b", "c"], ["a"], ["b"], ["b"], ["c"]], "alone, each suspect by itself"


def test_a_unit_that_was_finished_before_its_worker_died_is_not_run_again(tmp_path: Path) -> None:
    engine = FakeEngine("b", 1, late=True)
    _, reported = settled(tmp_path, engine, ["a", "b"])
    assert sorted(reported) == [("a", "empty"), ("b", "empty")]
    assert engine.tried == [["a", "b"]]


def test_what_is_unpacked_is_no_leftover_whatever_it_is_called(tmp_path: Path) -> None:
    """Names below ``sources`` are those of strangers' archives: a restart neither deletes them nor stops at them."""
    ledger = Ledger(tmp_path)
    place = ledger.sources / "shop-1.0"
    hostile = [place / "data.tmp" / "inner.json.7.tmp", place / "config.json.7.tmp", place / "notes.tmp"]
    for file in hostile:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("theirs")
    ours = [ledger.root / "config.json.7.tmp"]
    ours += [ledger.root / name / "key.json.7.tmp" for name in ("units", "results", "done")]
    for file in ours:
        file.write_text("half")
    with ledger.locked():
        assert [file for file in (*ours, *hostile) if file.exists()] == hostile
