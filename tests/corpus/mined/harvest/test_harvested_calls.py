"""Calls that are seen while a repository's own code runs become snippets: what is seen, spelt, tried and chosen."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from own_process import in_own_process
from trace_mine.corpus.mined.harvest.harvest_protocol import SEEN, SeenCall, TriedCall, records_of
from trace_mine.corpus.mined.harvest.selection import FEWEST, MOST, chosen
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.stats import CallNote

LIBRARY = '''\
import enum


class Colour(enum.Enum):
    RED = 1


class Stack:
    """
    >>> stack = Stack([1])
    >>> stack.push(2)
    >>> stack.top()
    2
    """

    def __init__(self, items=()):
        self.items = list(items)

    def push(self, item):
        self.items.append(item)

    def top(self):
        return self.items[-1]

    def _Stack__hidden(self):
        return None


def painted(colour, times=1, *, loud=False):
    return colour.name * times + ("!" if loud else "")


def grow(items, function):
    items.append(function(len(items)))


def counted(n):
    while True:
        yield n
        n += 1


def apply(function):
    def inner():
        return function()
    return inner()


def fails(x):
    return 1 / x


def shown(thing):
    """
    >>> from lib import *
    >>> painted(Colour.RED, 2), painted(Colour.RED, loud=True)
    ('REDRED', 'RED!')
    >>> items = [1]
    >>> grow(items, lambda n: n * 3)
    >>> items
    [1, 3]
    >>> next(counted(5))
    5
    >>> apply(lambda: 4)
    4
    >>> fails(0)
    Traceback (most recent call last):
    ZeroDivisionError: division by zero
    >>> shown(object())
    """
'''


def mined(root: Path, staging: Path, **options: object) -> tuple[list[Candidate], CallNote]:
    with in_own_process():
        origin = Mined([str(root)], MineOptions(environment="none", **options), staging)  # type: ignore[arg-type]
        candidates = [
            Candidate.from_json(entry["candidate"])  # type: ignore[arg-type]
            for unit in origin.units()
            for entry in unit.payload["snippets"]  # type: ignore[attr-defined]
        ]
    return candidates, origin.notes()["calls"].get("lib", {})


@pytest.fixture(scope="module")
def harvested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, list[list[str]]], CallNote]]:
    root = tmp_path_factory.mktemp("repositories") / "lib"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    (root / "lib.py").write_text(LIBRARY)
    candidates, note = mined(root, tmp_path_factory.mktemp("staging"), entries=("call",))
    commands: dict[str, list[list[str]]] = {}
    for candidate in candidates:
        assert candidate.snippet.kind == "call" and candidate.snippet.path == "lib.py" and candidate.drop is None
        name = candidate.snippet.name.removeprefix("lib.").partition("[")[0]
        snippet = candidate.snippet
        texts = [*snippet.code.splitlines(), *(piece.source.rstrip("\n") for piece in snippet.pieces)]
        assert not snippet.pieces[0].source.startswith(("from ", "import ")), "imports belong to the set-up"
        commands.setdefault(name, []).append(texts)
    yield commands, note


def test_arguments_are_spelt(harvested: tuple[dict[str, list[list[str]]], CallNote]) -> None:
    commands, _ = harvested
    assert ["from lib import Colour", "from lib import painted", "painted(Colour.RED, 2)"] in commands["painted"]
    assert ["from lib import Colour", "from lib import painted", "painted(Colour.RED, loud=True)"] in commands[
        "painted"
    ]


def test_an_object_is_made_by_the_calls_that_made_it(
    harvested: tuple[dict[str, list[list[str]]], CallNote],
) -> None:
    commands, _ = harvested
    assert ["from lib import Stack", "stack = Stack([1])", "stack.push(2)", "stack.top()"] in commands["Stack.top"]
    assert ["from lib import Stack", "stack = Stack([1])", "stack.push(2)", "vars(stack)"] in commands["Stack.push"]
    assert ["from lib import Stack", "result = Stack([1])", "vars(result)"] in commands["Stack.__init__"]


def test_a_changed_argument_is_shown(harvested: tuple[dict[str, list[list[str]]], CallNote]) -> None:
    commands, _ = harvested
    assert [
        "from lib import grow", "items = [1]", "grow(items, (lambda n: n * 3))", "items",
    ] in commands["grow"]  # fmt: skip


def test_a_generator_without_end_is_begun(harvested: tuple[dict[str, list[list[str]]], CallNote]) -> None:
    commands, _ = harvested
    assert commands["counted"] == [
        ["from lib import counted", "iterator = counted(5)", "next(iterator)", "next(iterator)", "next(iterator)"]
    ]


def test_what_has_no_text_is_counted(harvested: tuple[dict[str, list[list[str]]], CallNote]) -> None:
    commands, note = harvested
    assert note["functions_without_a_name"] == {"local_function": 1}
    assert note["functions_reached"] == 9
    assert note["taken"] == sum(map(len, commands.values())) and note["failures"] == []
    assert note["distinct"] == note["taken"] + note["alike"] + sum(note["not_shown"].values())


def test_the_harvest_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "lib"
    root.mkdir()
    (root / "lib.py").write_text(LIBRARY)
    first = mined(root, tmp_path / "staging")
    (kept,) = (tmp_path / "staging").glob("calls-*.jsonl")
    written = kept.stat().st_mtime_ns
    assert mined(root, tmp_path / "staging") == first
    assert kept.stat().st_mtime_ns == written
    kept.unlink()
    assert mined(root, tmp_path / "staging") == first


def test_what_ends_the_process_costs_only_what_would_come_after(tmp_path: Path) -> None:
    root = tmp_path / "lib"
    root.mkdir()
    (root / "a.py").write_text('def f(x):\n    """\n    >>> f(1)\n    1\n    """\n    return x\n')
    (root / "b.py").write_text('def g(x):\n    """\n    >>> import os\n    >>> os._exit(3)\n    """\n')
    (root / "c.py").write_text('def h(x):\n    """\n    >>> h(2)\n    2\n    """\n    return x\n')
    candidates, note = mined(root, tmp_path / "staging", entries=("call",))
    assert [candidate.snippet.name for candidate in candidates] == ["a.f[1]", "c.h[1]"]
    assert len(note["failures"]) == 1


CALL = {
    "module": "m", "qualname": "f", "path": "m.py", "line": 1, "end_line": 2, "kind": "function",
    "is_generator": False, "problem": "", "imports": ["from m import f"], "before": [], "call": "f(1)",
    "named_imports": [], "named_before": [], "named_call": "f(1)", "variables": [], "given": [], "shape": "int",
    "focus": [],
}  # fmt: skip


def test_lines_that_are_no_records_are_passed_over() -> None:
    good = json.dumps({"seen_call": CALL})
    bad = [
        {**CALL, "path": "../m.py"}, {**CALL, "line": 0}, {**CALL, "qualname": "f.<locals>.g"},
        {**CALL, "given": ["a b"]}, {**CALL, "call": "x" * 5_000}, {**CALL, "kind": "other"},
    ]  # fmt: skip
    lines = [f"word {good}", f"other {good}", *(f"word {json.dumps({'seen_call': each})}" for each in bad)]
    output = "\n".join([*lines, "word " + "[" * 100_000, "word {", f"word {good}"]).encode()
    assert len([*records_of(output, "word")]) == 1, "the last line has no end"
    assert len([*records_of(output + b"\n", "word")]) == 2


def pair(
    lines: tuple[int, ...], *, shape: str = "int", raised: str = "", text: str = "f(1)"
) -> tuple[SeenCall, TriedCall]:
    call = SEEN.from_json({"seen_call": {**CALL, "shape": shape}})
    assert isinstance(call, SeenCall)
    return call, TriedCall(number=0, problem="", raised=raised, lines=lines, commands=(text,), num_before=0)


def test_calls_are_chosen_for_their_lines() -> None:
    alike = [pair((1, 2), text=f"f({n})") for n in range(20)]
    assert len(chosen(alike)) == FEWEST
    other = pair((1, 3), text="f(1000000000)")
    assert other in chosen([*alike, other])
    assert len(chosen([pair((n,)) for n in range(20)])) == MOST
    assert len(chosen([pair((1,), shape=str(n)) for n in range(20)])) == MOST


def test_a_snippet_that_is_one_call_stays_and_the_call_is_not_taken(tmp_path: Path) -> None:
    root = tmp_path / "lib"
    root.mkdir()
    (root / "tools.py").write_text("def double(n):\n    return 2 * n\n")
    (root / "use.py").write_text("# twice\nfrom tools import double\n\ndouble(21)\n")
    (root / "uses.py").write_text("from tools import double\nprint(double(1) + double(2))\n")
    candidates, note = mined(root, tmp_path / "staging")
    texts = {each.snippet.name: "".join(piece.source for piece in each.snippet.pieces) for each in candidates}
    assert {*texts} == {"use", "uses", "tools.double[1]", "tools.double[2]"}
    assert "double(21)" in texts["use"]
    assert {text.splitlines()[-1] for name, text in texts.items() if "[" in name} == {"double(1)", "double(2)"}
    assert (note["distinct"], note["alike"], note["taken"], note["functions_taken"]) == (3, 1, 2, 1)
