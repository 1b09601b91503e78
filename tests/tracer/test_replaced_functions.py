"""Functions that stand in the place of CPython's behave as those do where a program keeps, copies or asks for them."""

from __future__ import annotations

import copy
import pickle
import time
import types
from collections.abc import Iterator
from types import ModuleType

import pytest

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.draws.replacing import replace
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.views import parse_view

KEPT = """
import copy, os, pickle, random, shutil, time
class Kept:
    clock = time.time
    clock_ns = time.time_ns
    perf = time.perf_counter
    monotonic = time.monotonic
    local = time.localtime
    text = time.strftime
    sleep = time.sleep
    octets = os.urandom
    stat = os.stat
    number = random.random
    typed = input
kept = Kept()
kept.clock(), kept.clock_ns(), kept.perf(), kept.monotonic(), kept.local(), kept.text("%Y"), kept.sleep(0)
print(len(kept.octets(3)), kept.stat(".").st_size >= 0, 0 <= kept.number() < 1)
try:
    kept.typed("?")
except EOFError:
    print("nobody")
other = Kept()
other.own = [time.time, os.stat]
twin, again = copy.deepcopy(other), pickle.loads(pickle.dumps(other))
print([each() > 0 for each in (twin.own[0], again.own[0])], again.own[1] == os.stat)
print(os.stat in os.supports_follow_symlinks, shutil.rmtree.avoids_symlink_attacks, time.time.__name__)
"""


@pytest.mark.parametrize("view", ["full", "branch"])
def test_a_program_may_keep_them_in_a_class_and_copy_them(view: str) -> None:
    try:
        tracer = Tracer(TracerConfig(view=parse_view(view)))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox here: {error}")
    with tracer:
        trace = tracer.trace(script_snippet(KEPT, "kept.py", []))
    assert isinstance(trace, Trace), trace
    assert "3 True True" in trace.text and "nobody" in trace.text
    assert "own=[<function time>, <function stat>]" in trace.states[-1]["other"]
    assert "[True, True] True" in trace.text and "True True time" in trace.text


@pytest.fixture
def module() -> Iterator[ModuleType]:
    made = types.ModuleType("time_of_tests")
    made.of_c, made.of_python = time.gmtime, lambda: 1  # type: ignore[attr-defined]
    yield made


def test_one_of_c_is_no_method_and_one_of_python_is(module: ModuleType) -> None:
    replace(module, "of_c", lambda *given: given)
    replace(module, "of_python", lambda *given: given)
    replace(module, "of_nothing", lambda *given: given)
    kept = type("Kept", (), {"c": module.of_c, "python": module.of_python})()
    assert kept.c(2) == (2,) and kept.python(2) == (kept, 2)
    assert module.of_c.__name__ == module.of_c.__qualname__ == "of_c" and module.of_c.__module__ == module.__name__
    assert not hasattr(module, "of_nothing")
    replace(module, "of_c", lambda: "anew")
    assert type("Kept", (), {"c": module.of_c})().c() == "anew"


def test_a_copy_is_the_same(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    replace(module, "of_c", lambda *given: given)
    assert copy.deepcopy(module.of_c) == copy.copy(module.of_c) == module.of_c
    assert pickle.loads(pickle.dumps(module.of_c)) == module.of_c
