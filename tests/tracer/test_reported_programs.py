"""Small programs after public reports: a session of each holds, prints what Python prints, and counts its frames."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig

PLACE = Path(__file__).parents[1] / "data" / "reported_programs.txt"
DRAWS = {"random_unseeded"}
"""Programs whose output is another one in each run outside: the sandbox seeds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A program of the file: its name, its input, None for none, and how many own frames its session opens at least."""

    name: str
    stdin: str | None
    opens: int
    source: str


def reported() -> list[Reported]:
    """Read the file."""
    programs = []
    for part in PLACE.read_bytes().decode().split("\x0c")[1:]:
        head, _, source = part.partition("\n")
        name, *options = head.split(" ")
        given = dict(option.split("=", 1) for option in options)
        typed = None if "input" not in given else json.loads(f'"{given["input"]}"')
        programs.append(Reported(name=name, stdin=typed, opens=int(given.get("opens", 0)), source=source))
    return programs


@pytest.fixture(scope="module")
def tracer() -> Iterator[Tracer]:
    try:
        made = Tracer(TracerConfig())
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    yield made
    made.close()


def natively(program: Reported) -> str:
    """What the program prints outside."""
    return subprocess.run(
        [sys.executable, "-c", program.source],
        input=program.stdin or "",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    ).stdout


def escaped(word: str) -> str:
    """A word as ``repr`` writes it, with the backslashes of a text that shows another one."""
    return repr(word)[1:-1].replace("\\\\", "\\")


@pytest.mark.parametrize("program", reported(), ids=lambda program: program.name)
def test_a_reported_program_has_a_session_that_holds(tracer: Tracer, program: Reported) -> None:
    typed = None if program.stdin is None else program.stdin.encode()
    trace = tracer.trace(script_snippet(program.source, "script.py", (), stdin=typed, seed=0))
    assert isinstance(trace, Trace) and not trace.failed_checks and "doc" in trace.verification.printed, trace
    assert "run_as_file" not in trace.kept_whole and "closed" not in trace.kept_whole, trace.kept_whole
    assert trace.own_frames == trace.opened_frames + sum(trace.unopened_frames.values())
    assert trace.opened_frames >= program.opens, trace.unopened_frames
    if program.name not in DRAWS:
        # a session ends a line where a pipe goes on, and shows what no doctest holds as ``repr`` writes it
        shown = "".join(trace.text.split()).replace("<BLANKLINE>", "")
        printed = natively(program)
        missing = [word for word in printed.split() if word not in shown and escaped(word) not in shown]
        assert not missing, (missing, trace.text)
