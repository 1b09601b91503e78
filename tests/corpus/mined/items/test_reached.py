"""Which functions an inherited test reaches, in each of its classes."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import pytest

from trace_mine.corpus.mined.items.inside.reached import reached

PROGRAM = """
import os

class Base:
    def __init__(self): self.data = {}
    def __getitem__(self, key): return self.read(key)
    def __len__(self): return 1
    def read(self, key): return self.data[key]
    def unused(self): pass
    @property
    def size(self): return helper()
    @staticmethod
    def static(): pass
    def __iadd__(self, other): return self

class Special(Base):
    def read(self, key): return deep()

def helper(): return os.getcwd()
def deep(): return deeper()
def deeper(): pass  # further than is followed

class Tests:
    Kind = Base
    def make(self): return self.Kind()
    def test_item(self): assert self.make()[0]
    def test_length(self): assert len(self.Kind())
    def test_property(self): return self.Kind().size
    def test_static(self): self.Kind.static()
    def test_added(self):
        x = self.Kind()
        x += 1

class TestsOfSpecial(Tests):
    Kind = Special
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("program_that_is_tested", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec.loader.exec_module(module)
    module.__dict__["__root__"] = str(tmp_path)
    return module


def names(program: types.ModuleType, cls: str, test: str) -> set[str]:
    """The lines that are reached, as the names that are defined there."""
    places = reached(getattr(program.Tests, test), getattr(program, cls), vars(program)["__root__"])
    lines = PROGRAM.splitlines()
    assert all(place.startswith("program.py:") for place in places) and places == sorted(places)
    found = [lines[int(place.rpartition(":")[2]) - 1].split("(")[0].split()[-1] for place in places]
    return {*found} - {test}


@pytest.mark.parametrize(
    ("test", "of_base", "of_special"),
    [
        ("test_item", {"make", "__init__", "__getitem__", "read"}, {"make", "__init__", "__getitem__", "read", "deep"}),
        ("test_length", {"__init__", "__len__"}, {"__init__", "__len__"}),
        ("test_property", {"__init__", "@property", "helper"}, {"__init__", "@property", "helper"}),
        ("test_static", {"__init__", "@staticmethod"}, {"__init__", "@staticmethod"}),
        ("test_added", {"__init__", "__iadd__"}, {"__init__", "__iadd__"}),
    ],
)  # fmt: skip
def test_what_a_test_reaches_in_its_class(
    program: types.ModuleType, test: str, of_base: set[str], of_special: set[str]
) -> None:
    assert names(program, "Tests", test) == of_base
    assert names(program, "TestsOfSpecial", test) == of_special


def test_an_overridden_method_is_another_function(program: types.ModuleType) -> None:
    root = vars(program)["__root__"]
    one, other = (reached(program.Tests.test_item, cls, root) for cls in (program.Tests, program.TestsOfSpecial))
    assert {*one} - {*other} and {*other} - {*one}


def test_nothing_outside_of_the_repository_is_told(program: types.ModuleType) -> None:
    assert reached(program.Tests.test_property, program.Tests, "/elsewhere") == []
