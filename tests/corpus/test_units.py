"""How often a unit of work is tried again after its worker died."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from trace_mine.corpus import units
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.work import WorkUnit

SNIPPET = {"path": "m.py", "name": "f", "repository": "r", "entry": "doctest", "line": 1}


@pytest.mark.parametrize(("deaths", "given_up"), [(2, False), (3, True), (9, True)])
def test_a_unit_is_given_up_after_its_third_death(tmp_path: Path, monkeypatch, deaths: int, given_up: bool) -> None:
    """No process dies here: the pool is a fake that loses its unit ``deaths`` times, then finishes it."""
    ledger = Ledger(tmp_path)
    ledger.add(WorkUnit(key="unit", payload={"snippets": [SNIPPET]}))
    tried: list[list[str]] = []
    reported: dict[str, int] = {}

    def pool(ledger, keys: Sequence[str], traces, jobs, on_done) -> list[str]:
        if not keys:
            return []
        tried.append(list(keys))
        if len(tried) <= deaths:
            return list(keys)
        for key in keys:
            on_done(key, ledger.finish(key, [], 0))
        return []

    monkeypatch.setattr(units, "_run_pool", pool)
    units.run_units(ledger, ["unit"], iter, jobs=1, on_done=lambda key, marker: reported.update({key: marker["drops"]}))
    assert tried == [["unit"]] * 3
    assert reported == {"unit": 1 if given_up else 0}
    (drop,) = ledger.items("unit") if given_up else (None,)
    assert drop is None or (drop.reason, drop.evidence) == (
        "worker_died",
        "3 workers died over this unit of 1 snippets",
    )
