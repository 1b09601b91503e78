"""The records of work say what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trace_mine.corpus.work import Dropped, Marker, WorkUnit, entries_of

ENTRY: Any = {"path": "a\udc80.py", "name": "a.f", "repository": "r", "entry": "doctest", "line": 3}
MARKER: dict[str, Any] = {
    "found": 3,
    "rows": 2,
    "drops": 1,
    "texts": ("aa", "bb"),
    "repositories": {"r": 2},
    "bytes": 9,
    "sha256": "00",
}


def test_a_marker_goes_through_json() -> None:
    marker = Marker(**MARKER)
    assert Marker.from_json(json.loads(json.dumps(marker.to_json()))) == marker


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"found": 4}, "found = rows \\+ drops"),
        ({"texts": ("aa",)}, "a text key and a repository for each of 2 rows, got 1 and 2"),
        ({"repositories": {"r": 1}}, "got 2 and 1"),
    ],
)
def test_a_marker_that_contradicts_itself_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Marker(**{**MARKER, **changes})


@pytest.mark.parametrize("key", ["", "a/b"])
def test_a_unit_s_key_is_a_file_s_name(key: str) -> None:
    with pytest.raises(ValueError, match=r"expected WorkUnit\.key"):
        WorkUnit(key=key, payload={"snippets": [ENTRY]})


@pytest.mark.parametrize(
    "payload", [{}, {"snippets": "none"}, {"snippets": [{k: v for k, v in ENTRY.items() if k != "line"}]}]
)
def test_a_payload_says_where_its_snippets_stand(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="path, name, repository, entry, line"):
        WorkUnit(key="key", payload=payload)


def test_further_keys_are_the_origin_s_own() -> None:
    payload = {"task": "t", "snippets": [{**ENTRY, "candidate": {}}]}
    assert WorkUnit(key="key", payload=payload).num_snippets == len(entries_of(payload)) == 1


def test_a_drop_can_be_written() -> None:
    dropped = Dropped.at(ENTRY, reason="worker_died", evidence="\udc80")
    assert (dropped.path, dropped.evidence, dropped.line) == ("a\\udc80.py", "\\udc80", 3)
    with pytest.raises(ValueError, match="a word that can be counted"):
        Dropped.at(ENTRY, reason="", evidence="")
