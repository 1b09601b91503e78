"""What the collecting jail says is checked field by field; a line that is none of it is the repository's own."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from trace_mine.corpus.mined.items.item_protocol import ANSWERS, FixtureRecipe, ItemRecipe, answers_of
from trace_mine.tracer.inside.protocol.codec import ProtocolError

ITEM = ItemRecipe(
    nodeid="tests/test_a.py::test_b[1]",
    path="tests/test_a.py",
    module="tests.test_a",
    cls="",
    name="test_b",
    case="test_b[1]",
    line=3,
    end_line=9,
    skip="",
    is_unittest=False,
    is_async=False,
    is_static=False,
    arguments=(("n", "n/1"), ("client", "client/1")),
    order=("client/1", "n/1"),
    before=(),
    after=(),
    uses=(),
    gives=(),
    changes_folder=False,
    fixtures=(
        FixtureRecipe(key="base/1", name="base", kind="own", module="conftest", qualname="base"),
        FixtureRecipe(
            key="client/1",
            name="client",
            kind="own",
            module="conftest",
            qualname="client",
            arguments=(("b", "base/1"),),
        ),
        FixtureRecipe(key="n/1", name="n", kind="parameter", text="1"),
    ),
    modules=("decimal",),
    problem="",
)
SUMMARY = {
    "collection_summary": {
        "exit_code": 0,
        "is_whole": True,
        "items": 1,
        "errors": [],
        "pytest": "9.2.0",
        "sys_path": ["."],
        "left_out": 0,
    }
}
WORD = "f" * 32


def line(record: object, word: str = WORD) -> bytes:
    return f"{word} {json.dumps(record)}\n".encode()


def test_items_and_a_summary_among_other_lines() -> None:
    item = ANSWERS.to_json(ITEM)
    output = b"hello\n" + line(item) + line(item, "0" * 32) + b"{}\n" + line(SUMMARY) + line(item)
    items, summary = answers_of(output, WORD)
    assert items == [ITEM]
    assert summary is not None
    assert summary.pytest == "9.2.0"
    assert answers_of(line(item), WORD) == ([ITEM], None)


def changed(**fields: object) -> dict[str, Any]:
    record = copy.deepcopy(ANSWERS.to_json(ITEM))
    record["item_recipe"].update(fields)  # type: ignore[attr-defined]
    return record


def fixtures(**columns: object) -> dict[str, Any]:
    record = json.loads(json.dumps(ANSWERS.to_json(ITEM)))
    record["item_recipe"]["fixtures"].update(columns)
    return dict(record)


@pytest.mark.parametrize(
    "record",
    [
        changed(path="../outside.py"),
        changed(path="/etc/passwd"),
        changed(module="os; import sys"),
        changed(name="test b"),
        changed(cls="A.<locals>.B"),
        changed(modules=["a-b"]),
        changed(line="3"),
        changed(nodeid="x" * 5_000),
        changed(order=["nobody/1"]),
        changed(arguments=[["n", "nobody/1"]]),
        changed(extra=1),
        fixtures(name=["a b", "client", "n"]),
        fixtures(module=["", "conftest", ""]),
        fixtures(qualname=["f()", "client", ""]),
        fixtures(kind=["other", "own", "parameter"]),
        fixtures(arguments=[[["b", "client/1"]], [["b", "base/1"]], []]),
        fixtures(key=["base/1"]),
        {"item_recipe": {}},
        {"other": {}},
        [],
    ],
    ids=lambda record: json.dumps(record)[-60:],
)
def test_what_is_no_item(record: object) -> None:
    with pytest.raises(ProtocolError):
        answers_of(line(record), WORD)


def test_deep_json_and_no_json() -> None:
    for text in ("[" * 100_000, "{", "NaN", '"a"'):
        with pytest.raises(ProtocolError):
            answers_of(f"{WORD} {text}\n".encode(), WORD)
