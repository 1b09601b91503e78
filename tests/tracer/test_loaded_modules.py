"""Modules that are loaded before a run's first command are told as a look at each of them tells them."""

import sys
from types import ModuleType

import pytest

from trace_mine.tracer.inside.observe import loaded


def module(name, file):
    made = ModuleType(name)
    if file is not None:
        made.__file__ = file
    return made


def looked_at(beginnings):
    """The slow twin: a look at each module."""
    return {
        name: each
        for name, each in sys.modules.items()
        if type(each) is ModuleType and str(vars(each).get("__file__")).startswith(beginnings)
    }


OWN = ("/repo/pkg/", "/repo/one.py")


@pytest.fixture
def modules(monkeypatch):
    """``sys.modules`` with modules of a repository before a note of them, and one thereafter."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(loaded, "_noted", loaded._Noted())
    sys.modules["one"] = module("one", "/repo/one.py")
    sys.modules["pkg.a"] = module("pkg.a", "/repo/pkg/a.py")
    sys.modules["other"] = module("other", "/repo/other.py")
    sys.modules["bare"] = module("bare", None)
    sys.modules["odd"] = object()
    return sys.modules


@pytest.mark.parametrize("is_noted", [True, False])
def test_modules_of_files_are_those_that_a_look_at_each_finds(modules, is_noted):
    if is_noted:
        loaded.note()
    modules["pkg.b"] = module("pkg.b", "/repo/pkg/b.py")
    modules["later"] = module("later", "/elsewhere/pkg/b.py")
    found = loaded.LoadedModules().of_files(OWN)
    assert found == looked_at(OWN) and set(found) == {"one", "pkg.a", "pkg.b"}
    assert loaded.LoadedModules().of_files(()) == {}


def test_a_module_that_is_gone_or_another_by_now_is_not_told(modules):
    loaded.note()
    del modules["one"]
    modules["pkg.a"] = module("pkg.a", "/repo/pkg/a.py")
    assert loaded.LoadedModules().of_files(OWN) == {}


def test_a_module_that_is_imported_anew_hides_none_of_those_imported_before_it(modules):
    loaded.note()
    modules["pkg.b"] = module("pkg.b", "/repo/pkg/b.py")
    del modules["pkg.a"]
    modules["pkg.a"] = module("pkg.a", "/repo/pkg/a.py")
    assert loaded.LoadedModules().of_files(OWN) == looked_at(OWN)


def test_what_is_imported_later_was_not_loaded(modules):
    loaded.note()
    before = loaded.LoadedModules()
    modules["late"] = module("late", "/repo/pkg/late.py")
    assert before.get("late") is None and before.get("odd") is None
    assert before.get("one") is modules["one"]
    assert loaded.LoadedModules().get("late") is modules["late"]
