"""Beliefs of programs that read clocks, against all ways in which their draws may fall, run by CPython alone."""

from __future__ import annotations

import collections
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import edited_runs
from clock_scripts import SHOWN, UNSHOWN
from trace_mine.tracer.schema import Piece, Snippet, Trace
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

OF_NEW_PROCESS = """
import logging
logging.root.handlers[:], logging.root.level = [], 30
logging.root.manager.loggerDict.clear()
logging.root.manager._clear_cache()
del logging
"""
OUTPUTS = ("value", "error", "hidden")


@pytest.fixture(autouse=True)
def loggers_of_tests() -> Iterator[None]:
    """Those of the test's own process, which runs all ways."""
    manager, names = logging.root.manager, {**logging.root.manager.loggerDict}
    handlers, level = [*logging.root.handlers], logging.root.level
    yield
    manager.loggerDict.clear()
    manager.loggerDict.update(names)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def traced(source: str, folder: Path) -> Trace:
    folder.chmod(0o755)
    (folder / "script.py").write_text(source)
    (folder / "script.py").chmod(0o644)
    snippet = Snippet(
        kind="script",
        name="script",
        path="script.py",
        line=1,
        end_line=source.count("\n"),
        pieces=(Piece(source=source, line=1),),
        code="__name__ = '__main__'\n__file__ = 'script.py'",
    )
    config = TracerConfig(view=parse_view("branch+every:2"), seed=3, repository=folder, own=("",), sys_path=("",))
    with Tracer(config) as tracer:
        made = tracer.trace(snippet)
    assert isinstance(made, Trace), made
    return made


def error_of(trace: Trace) -> float:
    """The largest difference of a probability from the law by brute force, less the error that the belief has."""
    shown = [""] * len(trace.steps)
    for segment in trace.segments:
        if segment.role in OUTPUTS:
            shown[segment.step] += trace.text[segment.start : segment.end]
    shown = [text.strip("\n") for text in shown]
    setup = {"sys_path": [], "module": None, "code": OF_NEW_PROCESS + trace.setup["code"]}
    row = {"steps": [{"source": step.source} for step in trace.steps], "setup": json.dumps(setup)}
    ways = [(p, [text.strip("\n") for text in texts]) for p, texts in edited_runs.runs_of(row, Path("/"))]
    assert sum(p for p, _ in ways) == pytest.approx(1.0)
    assert any(texts == shown for _, texts in ways), "the session is one of its ways"
    errors = [0.0]
    for belief in trace.beliefs:
        step = trace.segments[belief.segment].step
        law: dict[str, float] = collections.defaultdict(float)
        for weight, texts in ways:
            if texts[:step] == shown[:step]:
                law[texts[step]] += weight
        total = sum(law.values())
        ours = dict(zip((each.strip("\n") for each in belief.outcomes), belief.probabilities, strict=True))
        slack = 6 * max(belief.stderr)
        errors += [abs(ours.get(text, 0.0) - law[text] / total) - slack for text in {*ours, *law}]
    return max(errors)


@pytest.mark.parametrize("name", UNSHOWN)
def test_times_that_nobody_looks_at_leave_beliefs_exact(name: str, tmp_path: Path) -> None:
    trace = traced(UNSHOWN[name], tmp_path)
    assert trace.beliefs and {belief.method for belief in trace.beliefs} == {"exact"}
    assert any(len(belief.outcomes) > 1 for belief in trace.beliefs)
    assert not {"support_lost", "beliefs_end_early"} & trace.kept_whole.keys()
    assert error_of(trace) < 1e-9


@pytest.mark.parametrize("name", SHOWN)
def test_a_time_that_is_looked_at_is_sampled(name: str, tmp_path: Path) -> None:
    trace = traced(SHOWN[name], tmp_path)
    assert trace.beliefs and {belief.method for belief in trace.beliefs} == {"sampled"}
    assert error_of(trace) < 1e-9
