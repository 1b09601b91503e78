"""Functions that no call with a text was seen of: other calls lead to them, or the tests that call them do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_mine.corpus.mined.harvest.harvest_protocol import SEEN, SeenCall, SeenWay, TriedCall
from trace_mine.corpus.mined.harvest.selection import chosen_routes, chosen_ways, is_near
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.stats import CallNote

LIBRARY = '''\
class Thing:
    def __init__(self):
        self.items = []


def deep(thing):
    return len(thing.items)


def middle(thing):
    return deep(thing) + 1


def stream(n):
    thing = Thing()
    for i in range(n):
        thing.items.append(i)
        yield middle(thing)


def made(n):
    return stream(n)


def outer(n):
    """
    >>> outer(2)
    (2, 3)
    """
    return tuple(made(n))


def local(n):
    def inner(m):
        return m + 1
    return inner(n)


def only_by_examples(thing):
    return thing.items


class Holder:
    """
    >>> local(1)
    2
    >>> holder = Holder.__new__(Holder)
    >>> holder.thing = Thing()
    >>> holder.thing.items.append(1)
    >>> for n in range(5):
    ...     for m in range(5):
    ...         _ = local(n), local(m)
    >>> holder.seen()
    [1]
    """
    def seen(self):
        return only_by_examples(self.thing)
'''


@pytest.fixture(scope="module")
def harvested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Candidate], CallNote]]:
    root = tmp_path_factory.mktemp("repositories") / "lib"
    root.mkdir()
    (root / "lib.py").write_text(LIBRARY)
    options = MineOptions(environment="none", entries=("call", "doctest"))
    origin = Mined([str(root)], options, tmp_path_factory.mktemp("staging"))
    candidates = [
        Candidate.from_json(entry["candidate"])  # type: ignore[arg-type]
        for unit in origin.units()
        for entry in unit.payload["snippets"]  # type: ignore[attr-defined]
    ]
    yield candidates, origin.notes()["calls"]["lib"]


def line_of(text: str) -> int:
    return LIBRARY.splitlines().index(text) + 1


def test_a_call_leads_to_what_has_no_call_of_its_own(harvested: tuple[list[Candidate], CallNote]) -> None:
    candidates, note = harvested
    deep = [each.snippet for each in candidates if each.snippet.name.startswith("lib.deep[")]
    assert deep and [piece.source for piece in deep[0].pieces] == ["outer(2)\n"]
    assert deep[0].code == "from lib import outer\n"
    # `made` is on no stack while `deep` runs: it gave the generator that is
    wanted = ("def outer(n):", "def made(n):", "def stream(n):", "def middle(thing):", "def deep(thing):")
    assert {line for _, line in deep[0].focus} == {*map(line_of, wanted)}
    assert deep[0].focus[-1] == ("lib.py", line_of("def deep(thing):"))
    assert note["led_to"] >= 1
    # its session opens these on the way
    assert not any(each.snippet.name.startswith(("lib.middle[",)) for each in candidates if len(deep) > 1)


def test_a_local_function_is_led_to(harvested: tuple[list[Candidate], CallNote]) -> None:
    candidates, _ = harvested
    inner = [each.snippet for each in candidates if each.snippet.name.startswith("lib.local.<locals>.inner[")]
    assert inner and inner[0].focus == (("lib.py", line_of("def local(n):")), ("lib.py", line_of("    def inner(m):")))


def test_an_example_leads_to_what_no_call_leads_to(harvested: tuple[list[Candidate], CallNote]) -> None:
    candidates, note = harvested
    (led,) = [each.snippet for each in candidates if each.snippet.name.endswith(">only_by_examples")]
    assert led.kind == "doctest" and note["led_to_by_tests"] == 1
    names = ("    def seen(self):", "def only_by_examples(thing):")
    assert led.focus == tuple(("lib.py", line_of(name)) for name in names)


def test_what_a_library_calls_back_is_not_led_to(tmp_path: Path) -> None:
    # a session opens no function of json's, so that it never comes to what stands behind one
    root = tmp_path / "repositories" / "shown"
    (root / "shown").mkdir(parents=True)
    (root / "shown" / "__init__.py").write_text("")
    (root / "shown" / "texts.py").write_text(
        "def busy(n):\n    return n\n\n\ndef called(value):\n    return value.n\n\n\n"
        "def called_back(value):\n    return value.n\n"
    )
    (root / "main.py").write_text(
        "import json\nfrom shown.texts import busy, called, called_back\n"
        "class Local:\n    def __init__(self, n):\n        self.n = n\n"
        "for n in range(99):\n    busy(n)\n"  # what comes sooner is shown by the script's own session
        "print(called(Local(1)))\n"
        "print(json.dumps({'a': [Local(n) for n in range(2)]}, default=called_back))\n"
    )
    origin = Mined([str(root)], MineOptions(environment="none", entries=("call", "script")), tmp_path)
    units = [*origin.units()]
    names = [
        Candidate.from_json(entry["candidate"]).snippet.name  # type: ignore[arg-type]
        for unit in units
        for entry in unit.payload["snippets"]  # type: ignore[attr-defined]
    ]
    assert [name for name in names if ">" in name] == ["main>Local.__init__", "main>called"]
    assert "main" in names


def way(number: int, *lines: int, num_before: int = 100) -> SeenWay:
    focus = [["m.py", line] for line in lines]
    fields = {"path": "m.py", "qualname": f"f{number}", "start": "test", "num_before": num_before, "focus": focus}
    made = SEEN.from_json({"seen_way": fields})
    assert isinstance(made, SeenWay)
    return made


def test_a_long_way_serves_all_functions_on_it() -> None:
    ways = {("m.py", f"f{n}"): [way(n, *range(1, n + 1))] for n in range(1, 6)}
    assert [each.qualname for each in chosen_ways(ways, served=())] == ["f5"]
    assert chosen_ways(ways, served=[("m.py", n) for n in range(1, 6)]) == []
    two = {("m.py", "f1"): [way(1, 7, 1)], ("m.py", "f2"): [way(2, 8, 2)]}
    assert [each.qualname for each in chosen_ways(two, served=())] == ["f1", "f2"]


def test_what_a_test_calls_soon_and_not_deeply_needs_no_way() -> None:
    near = way(1, 9, 1, num_before=3)
    assert is_near(near) and chosen_ways({("m.py", "f1"): [near]}, served=()) == []
    assert not is_near(way(1, 5, 4, 3, 2, 1, num_before=3))


CALL = {
    "module": "m", "qualname": "f", "path": "m.py", "line": 1, "end_line": 2, "kind": "function",
    "is_generator": False, "problem": "", "imports": [], "before": [], "call": "g(1)",
    "named_imports": [], "named_before": [], "named_call": "g(1)", "variables": [], "given": [], "shape": "int",
}  # fmt: skip


def test_the_shortest_ways_are_chosen() -> None:
    def route(line: int, num_before: int, *through: int) -> tuple[SeenCall, TriedCall]:
        call = SEEN.from_json({"seen_call": {**CALL, "focus": [["m.py", each] for each in (*through, line)]}})
        tried = {"number": 0, "problem": "", "raised": "", "lines": [1], "commands": ["g(1)"], "num_before": num_before}
        made = SEEN.from_json({"tried_call": tried})
        assert isinstance(call, SeenCall) and isinstance(made, TriedCall)
        return call, made

    routes = {("m.py", "f"): [route(1, 30, 5), route(1, 10, 5), route(1, 20, 5)], ("m.py", "g"): [route(5, 1)]}
    chosen = chosen_routes(routes)
    assert [tried.num_before for _, tried in chosen["m.py", "f"]] == [10, 20]
    assert ("m.py", "g") not in chosen, "two sessions open it on the way"
