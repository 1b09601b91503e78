"""The states of a session are those of its text: plain Python runs the commands one by one, and holds the same names.

The oracle knows nothing of the driver: a process of its own executes each command as a prompt does, and tells after
each what is bound.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from rich_programs import rich_program
from trace_mine.tracer.schema import Drop

SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("*.py"))

ORACLE = """
import builtins, io, json, sys, types
from contextlib import redirect_stderr, redirect_stdout

NOT_STATE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, types.MethodType)
PLAIN = (int, float, str, bool, type(None), bytes)

def is_plain(value, depth=3):
    if type(value) in PLAIN:
        return True
    if depth == 0 or type(value) not in (list, tuple, dict):
        return False
    parts = [*value, *value.values()] if type(value) is dict else value
    return all(is_plain(part, depth - 1) for part in parts)

asked = json.load(sys.stdin)
sys.stdin = io.StringIO("")
module = types.ModuleType("__main__")
world = vars(module)
sys.modules["__main__"] = module
exec(asked["setup"], world)
world["__builtins__"] = builtins
before = set(world)
told = []
for command in asked["commands"]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            exec(compile(command + "\\n", "<text>", "single", asked["flags"], True), world)
        except BaseException:
            pass
    held = {name: value for name, value in world.items() if name not in before}
    told.append({
        name: repr(value) if is_plain(value) and len(repr(value)) < 250 else None
        for name, value in held.items()
        if not issubclass(type(value), NOT_STATE)
    })
sys.__stdout__.write("\\n" + json.dumps(told))
sys.__stdout__.flush()
import os
os._exit(0)
"""


def told_by_plain_python(trace, folder: Path) -> list[dict[str, str | None]]:
    """For each command: the variables that the text's namespace holds after it, with the texts of plain values."""
    asked = {"setup": trace.setup["code"], "commands": [step.source for step in trace.steps], "flags": 0}
    done = subprocess.run(
        [sys.executable, "-c", ORACLE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
        timeout=60,
        env={"PYTHONHASHSEED": "7"},
    )
    told: list[dict[str, str | None]] = json.loads(done.stdout.splitlines()[-1])  # a finalizer may print before
    return told


def differences(trace, folder: Path) -> list[str]:
    found = []
    for number, (step, told) in enumerate(zip(trace.steps, told_by_plain_python(trace, folder), strict=True)):
        if step.state.keys() != told.keys():
            found.append(
                f"{number} {step.source!r}: states lack {sorted(told.keys() - step.state.keys())} "
                f"and have {sorted(step.state.keys() - told.keys())}"
            )
        for name, value in told.items():
            if value is not None and step.state.get(name, value) not in (value, "<differs from run to run>"):
                found.append(f"{number} {step.source!r}: {name} is {value}, states say {step.state[name]}")
    return found


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def check(kit, tracer, source: str, folder: Path) -> None:
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), trace
    assert differences(trace, folder) == [], trace.text


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_states_of_samples(kit, tracer, path, tmp_path):
    check(kit, tracer, path.read_text(encoding="utf-8"), tmp_path)


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(n, marks=pytest.mark.slow) for n in range(8, 20))])
def test_states_of_random_programs(kit, tracer, seed, tmp_path):
    check(kit, tracer, rich_program(random.Random(9_000 + seed)), tmp_path)


def test_the_note_of_a_shown_warning_is_no_variable(tracer, kit) -> None:
    """The interpreter binds ``__warningregistry__`` when it shows a warning, here of a file that nobody closed."""
    source = "import warnings\nwarnings.simplefilter('always')\ntext = open('/dev/null').read()\nprint(len(text))\n"
    trace = tracer.trace(kit.script(source))
    assert not trace.failed_checks
    assert "__warningregistry__" not in trace.text
    assert not any("__warningregistry__" in step.state for step in trace.steps)
