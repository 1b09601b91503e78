"""Automata fitted from sessions of real functions: their filter gives the beliefs that the session has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trace_mine.corpus.fitting import NoAutomaton, automaton_of, commands_of
from trace_mine.corpus.synthetic.automaton_yaml import parse_automaton, write_automaton
from trace_mine.corpus.synthetic.exact_filter import beliefs_along
from trace_mine.tracer.inside.protocol.choice_answers import SessionAutomaton
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

HERE = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
SCRIPTS = {
    "cups": (
        "from random import random\ncups = [1, 0, 0]\n"
        "if random() < 0.25:\n    cups[0], cups[1] = cups[1], cups[0]\nprint(cups[0])\n"
        "if random() < 0.25:\n    cups[1], cups[2] = cups[2], cups[1]\nprint(cups[2])\nprint(cups[1])\n"
    ),
    "random.shuffle": (
        "import random\nxs = [1, 2, 3]\nrandom.shuffle(xs)\nprint(xs[0])\nrandom.shuffle(xs)\nprint(xs)\n"
    ),
    "secrets.choice": "import secrets\nc = 'a'\nc = secrets.choice('abc' + c)\nprint(c > 'a')\nprint(c)\n",
    "bounded walk": (
        "import random\ndef step(x):\n    return max(0, min(3, x + random.choice([-1, 1])))\n"
        "x = 1\nx = step(x)\nprint(x > 1)\nx = step(x)\nprint(x)\n"
    ),
}


@pytest.fixture(scope="module")
def tracer():
    with Tracer(TracerConfig(view=parse_view("branch+every:0"), follow=0)) as opened:
        yield opened


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_fitted_automaton_has_the_session_s_beliefs(tracer: Tracer, name: str) -> None:
    made = tracer.trace(script_snippet(SCRIPTS[name], "script.py", ()))
    assert isinstance(made, Trace)
    fitted = tracer.automaton([step.source for step in made.steps], str(made.setup["code"]))
    assert not isinstance(fitted, str), fitted
    automaton, _ = automaton_of(fitted, name)
    automaton = parse_automaton(write_automaton(automaton))
    beliefs = {made.segments[belief.segment].step: belief for belief in made.beliefs}
    symbols: list[int] = []
    checked = 0
    for number, step in enumerate(made.steps):
        source = " ".join(step.source.split())
        candidates = [s for s in automaton.symbols if s == source or s.startswith(f"{source} -> ")]
        if not candidates or step.source not in fitted.commands:
            continue
        now = beliefs_along(automaton, symbols)[-1]
        if number in beliefs:
            told = dict(zip(beliefs[number].outcomes, beliefs[number].probabilities, strict=True))
            for symbol in candidates:
                text = symbol.removeprefix(f"{source} -> ")
                mass = float(now[automaton.reveals[automaton.index(symbol)]].sum())
                assert abs(told.get(text, 0.0) - mass) < 1e-12
                checked += 1
        symbols.append(automaton.index(f"{source} -> {step.output}" if step.output else source))
    assert checked


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\nprint(x)\n", "no command draws"),
        ("import random\nx = 0\nx += random.randint(0, 1)\n", "counts without end"),
        ("import random\nx = random.random() * random.random()\n", "can't be enumerated"),
    ],
)
def test_what_does_not_fit_is_said(tracer: Tracer, source: str, says: str) -> None:
    assert says in str(tracer.automaton(source.splitlines(), ""))


def test_a_package_that_is_not_there_is_said(tracer: Tracer) -> None:
    told = tracer.automaton(["from elsewhere import draw", "x = draw(3)"], "", [])
    assert isinstance(told, str) and "can't be run here: ModuleNotFoundError" in told


@pytest.mark.slow
def test_the_command_takes_the_folder_of_packages_that_mining_takes(tmp_path: Path) -> None:
    package = tmp_path / "installed" / "dicey" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("import random\n\ndef turn(n):\n    return (n + random.choice([-1, 1])) % 3\n")
    script = tmp_path / "scripts" / "walk.py"
    script.parent.mkdir()
    lines = ["from dicey import turn", "n = 0", "n = turn(n)", "print(n == 0)", "n = turn(n)", "print(n)"]
    script.write_text('if __name__ == "__main__":\n' + "".join(f"    {line}\n" for line in lines))
    mine = [sys.executable, "-m", "trace_mine.corpus"]
    for arguments in (
        [str(script.parent), "--view", "branch+every:0", "--follow", "0", "--out", "rows"],
        ["automaton", "rows", "--out", "automata"],
    ):
        command = [*mine, *arguments, "--packages", str(tmp_path / "installed")]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, **HERE})
        assert told.returncode == 0, told.stderr + told.stdout
    (file,) = (tmp_path / "automata").glob("*.yaml")
    assert len(parse_automaton(file.read_text(), "walk").states) == 3


def test_what_a_row_shows_of_opened_calls_is_no_command(tracer: Tracer) -> None:
    turn = "def turn():\n    if random.random() < 0.25:\n        cups[0], cups[1] = cups[1], cups[0]"
    twice = "def twice():\n    turn()\n    turn()"
    sources = ["import random", "cups = [1, 0]", turn, twice, "turn()", twice, "# twice()\nturn()", "turn()", "cups[0]"]
    kinds = ["statement"] * 5 + ["source"] + ["statement"] * 3
    row = {"steps": [{"source": source, "kind": kind} for source, kind in zip(sources, kinds, strict=True)]}
    fitted = tracer.automaton(commands_of(row), "")
    assert not isinstance(fitted, str), fitted
    assert fitted.states == ("cups=[0, 1]", "cups=[1, 0]") and [*fitted.commands] == ["turn()", "cups[0]"]
    # each definition makes a function of its own, and so another state
    assert "states are reached" in str(tracer.automaton(sources, ""))


@pytest.mark.parametrize(
    "arguments", [["--packages", "nowhere"], ["--packages", __file__], ["--root", "nowhere"], ["--row", "nobody"]]
)
def test_wrong_usage_of_the_command_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "rows" / "data").mkdir(parents=True)
    columns = {name: pa.array([], pa.string()) for name in ("trace_id", "name", "setup", "choices", "steps")}
    pq.write_table(pa.table(columns), tmp_path / "rows" / "data" / "a.parquet")
    command = [sys.executable, "-m", "trace_mine.corpus", "automaton", "rows", *arguments]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, **HERE})
    assert told.returncode == 2 and len(told.stderr.splitlines()) == 1 and "expected" in told.stderr, told.stderr


def test_variables_that_leave_something_out_are_refused(tracer: Tracer) -> None:
    source = ["import random", "x = y = 0", "y = random.choice([0, 1])", "x = y"]
    assert "other variables matter" in str(tracer.automaton(source, "", ["x"]))
    assert not isinstance(tracer.automaton(source, ""), str)


def test_a_text_that_no_state_decides_is_refused() -> None:
    moves = {"f()": {"a": ((0.5, "a", "1"), (0.5, "a", "2"))}}
    fitted = SessionAutomaton(variables=(), states=("a",), start="a", commands=moves)
    with pytest.raises(NoAutomaton, match="neither the state before"):
        automaton_of(fitted, "coin")


@pytest.mark.parametrize(
    "commands",
    [
        {},
        {"f()": {"a": ((0.25, "a", "1"),)}},
        {"f()": {"a": ()}},
        {command: {"a": ((1.0, "a", ""),)} for command in ("f()", "f() ")},
    ],
)
def test_laws_that_are_none_are_refused(commands: dict) -> None:
    fitted = SessionAutomaton(variables=(), states=("a",), start="a", commands=commands)
    with pytest.raises(NoAutomaton):
        automaton_of(fitted, "coin")


def test_acting_and_then_showing_is_split() -> None:
    table = dict.fromkeys("ab", ((0.5, "a", "a"), (0.5, "b", "b")))
    fitted = SessionAutomaton(variables=(), states=("a", "b"), start="a", commands={"f()": table})
    automaton, notes = automaton_of(fitted, "coin")
    assert automaton.symbols == ("f()", "f() shows a", "f() shows b") and "split" in notes[0]
    assert beliefs_along(automaton, [0, 2])[1:].tolist() == [[0.5, 0.5], [0.0, 1.0]]
    assert np.array_equal(automaton.reveals[1], [True, False])
