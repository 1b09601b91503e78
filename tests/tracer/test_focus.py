"""A session with a focus opens the calls on the way to one function, however deep it lies, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Drop, Piece, Snippet, Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer

LIBRARY = """\
def leaf(n):
    twice = n * 2
    return twice


def aside(n):
    return n - 1


def d(n):
    n = aside(n)
    return leaf(n)


def c(n):
    return d(n) + aside(n)


def b(n):
    def inner(m):
        return c(m)
    return inner(n)


def a(n):
    for _ in range(2):
        n = aside(n)
    return b(n)


class Holder:
    def __init__(self):
        self.parts = {"x": self}

    def __getitem__(self, name):
        return self.parts[name]

    def told(self, n):
        return leaf(n)


def by_item(n):
    return Holder()["x"].told(n)


def by_choice(n, holder=None):
    return (Holder() if holder is None else holder).told(n)


def again(n):
    if n > 0:
        return again(n - 1)
    return leaf(n)
"""
LINES = {
    "leaf": 1,
    "aside": 6,
    "d": 10,
    "c": 15,
    "b": 19,
    "b.<locals>.inner": 20,
    "a": 25,
    "told": 38,
    "by_item": 42,
    "by_choice": 46,
    "again": 50,
}


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracer]:
    root = tmp_path_factory.mktemp("repository")
    root.chmod(0o755)
    (root / "lib.py").write_text(LIBRARY)
    try:
        with Tracer(TracerConfig(repository=root, sys_path=(".",))) as made:
            yield made
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")


def traced(tracer: Tracer, *focus: str) -> Trace:
    made = outcome_of(tracer, *focus)
    assert isinstance(made, Trace), made
    return made


def outcome_of(tracer: Tracer, *focus: str, call: str = "a(5)") -> Trace | Drop:
    sources = (f"from lib import {call.partition('(')[0]}\n", f"{call}\n")
    return tracer.trace(
        Snippet(
            kind="call",
            name="lib.leaf[1]",
            path="lib.py",
            line=1,
            end_line=3,
            pieces=tuple(Piece(source=source, line=1) for source in sources),
            opens=(call.partition("(")[0],),
            focus=tuple(("lib.py", LINES[name]) for name in focus),
        )
    )


def test_the_way_to_a_deep_function_is_opened_alone(tracer: Tracer) -> None:
    made = traced(tracer, "a", "b", "b.<locals>.inner", "c", "d", "leaf")
    assert [call.name for call in made.calls] == ["a", "b", "inner", "c", "d", "leaf"]
    assert any(step.source.startswith("twice = ") and step.output == "" for step in made.steps)
    assert made.unopened_frames == {"aside": 4, "class_body": 1, "module_body": 1}
    assert made.own_frames == made.opened_frames + 6


def test_without_a_focus_calls_are_opened_as_deep_as_calls_are_followed(tracer: Tracer) -> None:
    made = traced(tracer)
    assert "leaf" not in [call.name for call in made.calls] and "aside" in [call.name for call in made.calls]


def test_a_session_that_does_not_open_what_it_is_for_is_a_drop(tracer: Tracer) -> None:
    made = outcome_of(tracer, "leaf")
    assert isinstance(made, Drop) and made.reason == "focus_missed"
    assert f"lib.py:{LINES['leaf']} (leaf): " in made.evidence, "only calls of opened bodies are looked at"
    # the way is given as far as it is opened, so that the function that ends it is named
    made = outcome_of(tracer, "a", "c", "d", "leaf")
    assert isinstance(made, Drop) and f"the way ends at lib.py:{LINES['c']} (c): " in made.evidence


@pytest.mark.parametrize("in_folder", [True, False])
def test_a_scripts_focus_holds_for_what_is_recorded_too(tracer: Tracer, in_folder: bool) -> None:
    # A script with a file is compiled under that file's name, by which the recorder knows its functions, while a focus
    # and a session name the piece: recorded by another name, no frame of the way could be checked.
    snippet = script_snippet(f"{LIBRARY}\n\na(5)\n", "main.py", [], in_folder=in_folder)
    way = ("a", "b", "b.<locals>.inner", "c", "d", "leaf")
    made = tracer.trace(replace(snippet, focus=tuple(("main.py", LINES[name]) for name in way)))
    assert isinstance(made, Trace), made
    assert [call.name for call in made.calls] == ["a", "b", "inner", "c", "d", "leaf"]


@pytest.mark.parametrize("name", ["by_item", "by_choice"])
def test_an_object_that_is_not_known_is_looked_at_for_a_method_on_the_way(tracer: Tracer, name: str) -> None:
    made = outcome_of(tracer, name, "told", "leaf", call=f"{name}(5)")
    assert isinstance(made, Trace), made
    assert [call.name.rpartition(".")[2] for call in made.calls] == [name, "told", "leaf"]


def test_a_function_that_calls_itself_is_opened_as_often_as_it_stands_on_the_way(tracer: Tracer) -> None:
    made = outcome_of(tracer, *["again"] * 9, "leaf", call="again(8)")
    assert isinstance(made, Trace), made
    assert [call.name for call in made.calls] == ["again"] * 9 + ["leaf"]
    # by its name alone, the way would be as deep as others
    assert isinstance(outcome_of(tracer, "again", "leaf", call="again(8)"), Drop)


def test_a_module_may_have_names_of_built_ins_that_a_set_up_needs(tmp_path: Path) -> None:
    # parse has a function ``compile``: the replayer's set-up ran in the module's names, and called that one
    names = ("compile", "exec", "getattr", "open", "dict", "vars", "BaseException")
    (tmp_path / "lib.py").write_text("".join(f"{name} = None\n" for name in names) + "def f(n):\n    return n + 1\n")
    tmp_path.chmod(0o755)
    snippet = Snippet(
        kind="call",
        name="lib.f[1]",
        path="lib.py",
        line=len(names) + 1,
        end_line=len(names) + 2,
        module="lib",
        code="start = 4\n",
        pieces=(Piece(source="f(start)\n", line=1),),
        opens=("f",),
    )
    with Tracer(TracerConfig(repository=tmp_path, sys_path=(".",))) as tracer:
        made = tracer.trace(snippet)
    assert isinstance(made, Trace), made
    assert "5" in made.text and made.kept_whole == {}
