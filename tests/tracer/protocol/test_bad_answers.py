"""Bad records on a run's pipe: at the Tracer each is one Drop, never an exception, whoever sent it.

``Told`` stands in for a worker: it tells again what real runs sent, with one thing changed. The attacks at the end are
snippets in a real jail that reach the tracer's own ``send`` through its frames.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.protocol.dialogue import read_answers
from trace_mine.tracer.inside.protocol.jobs import JOBS, AutomatonJob, PlainJob, Program, SamplesJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.answers import read_end, with_answers
from trace_mine.tracer.sandbox.frames import Received
from trace_mine.tracer.schema import Drop, Outcome, Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

PLAIN = (
    "def double(n):\n    n = n * 2\n    return n\ntotal = 0\nfor i in range(2):\n    total += double(i)\nprint(total)\n"
)
HIDDEN = "from random import random\nx = 0\nif random() < 0.5:\n    x = 1\nprint(x)\n"
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
STRANGE = [
    *(None, True, -1, 0, 2**31 + 1, 10**30, 0.5, float("nan"), float("inf"), "", "strange", "x" * 10_000),
    *([], {}, [[]], {"a": 1}, [1, 2, 3], DEEP),
]


class Told:
    """A worker that gives the recorded answers to each job, changed by ``change`` where the job is the chosen one."""

    level, layers, python_version = 0, "none", "3"

    def __init__(self, worker: Any, known: dict[str, list[Any]]) -> None:
        self.worker = worker
        self.known = known
        self.kinds: list[str] = []
        self.change: Callable[[list[Any]], list[Any]] | None = None
        self.kind = ""
        self.forged = 0

    library, host_paths, lost_runs, last_loss = ("", ""), (), 0, ""
    cpu_of_jobs = 0.0

    def run(self, job: Any, limits: Limits | None = None) -> Outcome:
        kind, text = getattr(job, "reader", type(job).__name__), json.dumps(JOBS.to_json(job))
        if text not in self.known and self.change is None:
            self.known[text] = self.known[kind] = json.loads(json.dumps(self.worker.raw(job)))
            self.kinds = list(dict.fromkeys([*self.kinds, kind]))
        # bad answers lead to jobs that good ones did not: they get the answers to another of their kind
        answers = self.known.get(text, self.known.get(kind))
        if answers is None:  # nor to any of their kind: the run was killed
            return Outcome(status="no-end", integrity="truncated", exception=None)
        values = copy.deepcopy(answers)
        if self.change is not None and kind == self.kind:
            values = self.change(values)
            try:
                read_answers(job, values, is_complete=True)
            except ProtocolError:
                self.forged += 1
        return with_answers(Outcome(status="ok", integrity="clean", records=tuple(values)), job)

    def inside(self, path: Any) -> str:
        return str(path)


@pytest.fixture(scope="module", params=["written", "branch+every:1"])
def told(request, kit, worker, other_worker, plain_replayer):
    """A Tracer over told answers, its worker and its snippet; everything was recorded once."""
    tracer = kit.PlainTracer.__new__(kit.PlainTracer)
    tracer.config = TracerConfig(view=parse_view(request.param))
    known: dict[str, list[Any]] = {}
    tracer._recorder = Told(worker, known)
    # a replayer sends no answers: what it prints is compared, and ``tests/tracer/replays`` lies to its readers
    tracer._replays = kit.PlainReplays(tracer.config, ())
    tracer._replays._workers = {"other world": Told(other_worker, known), "replayer": plain_replayer}
    snippet = script_snippet(PLAIN if request.param == "written" else HIDDEN, "a.py", ())
    assert isinstance(tracer.trace(snippet), Trace)
    return tracer, snippet


def kinds_of(tracer: Tracer) -> list[tuple[Told, str]]:
    return [(each, kind) for each in (tracer._recorder, tracer.other_world) for kind in each.kinds]


def traced(tracer: Tracer, snippet: Any, told: Told, kind: str, change: Callable[[list[Any]], list[Any]]) -> tuple:
    """The Tracer's result under one changed kind of answers, and whether any of them was no answer."""
    told.kind, told.change, told.forged = kind, change, 0
    try:
        others = [each for each in (tracer._recorder, tracer.other_world) if each is not told]
        for each in others:
            each.change, each.kind = (lambda values: values), ""
        return tracer.trace(snippet), told.forged > 0
    finally:
        for each in (tracer._recorder, tracer.other_world):
            each.change = None


def everything_in(value: Any, path: tuple = ()) -> list[tuple]:
    """The place of each value in a JSON value."""
    found = []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += [(*path, key), *everything_in(value[key], (*path, key))]
    return found


@st.composite
def changes(draw: st.DrawFn) -> Callable[[list[Any]], list[Any]]:
    where, value = draw(st.integers(0, 10**6)), draw(st.sampled_from(STRANGE))
    how = draw(st.sampled_from(("strange", "strange", "less", "more")))

    def change(values: list[Any]) -> list[Any]:
        values = copy.deepcopy(values)
        places = everything_in(values)
        *path, key = places[where % len(places)]
        held: Any = values
        for each in path:
            held = held[each]
        if how == "strange":
            held[key] = value
        elif how == "less":
            del held[key]
        elif isinstance(held, dict):
            held["another"] = held[key]
        else:
            held.append(held[key])
        return values

    return change


def test_a_changed_answer_is_a_drop_or_another_trace(told):
    tracer, snippet = told

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def check(data):
        worker, kind = data.draw(st.sampled_from(kinds_of(tracer)))
        result, is_bad = traced(tracer, snippet, worker, kind, data.draw(changes()))
        if is_bad:
            assert isinstance(result, Drop) and result.reason == "integrity_forged", result
            assert "a bad record: expected" in result.evidence and len(result.evidence) < 1_000
        else:
            assert isinstance(result, Drop | Trace)

    check()


BAD = {
    "native_summary": [("pieces", [{}]), ("passed", 1), ("variables", {"x": 1}), ("outcomes", [{"bytes": "xyz"}])],
    "native_frames": [
        ("frames", []),
        ("frames", {}),
        ("frames.code", [["a", -1, "f"]]),
        ("frames.lines", [[[1]]]),
        ("frames.columns", [{"x": [1]}]),
        ("frames.lines", DEEP),
        ("frames.lines", []),
        ("frames.columns", [{"x": []}]),
    ],
    "drive_summary": [
        ("commands.kind", ["other"]),
        ("commands.piece", [1]),
        ("commands.line", [-3]),
        ("commands.changes", [{"x": 1}]),
        ("commands.depth", [10**30]),
        ("frames.gaps", [[[1]]]),
        ("frames.comparable", [[1, 2]]),
        ("frames.columns", {}),
        ("frames.code", ["a.py"]),
        ("spare", "x" * 10_000),
        ("kept", {"a": -1}),
        ("opened_calls", float("nan")),
        ("pieces", None),
    ],
    "replay_report": [("commands", [{}]), ("values", [{}] * 100), ("values", [{"x": 1}]), ("commands", 3)],
    "beliefs_report": [
        ("beliefs", [{"command": 0, "outcomes": [], "probabilities": [], "method": "exact", "stderr": []}] * 2),
        ("beliefs", [{"command": 99, "outcomes": [], "probabilities": [], "method": "exact", "stderr": []}]),
        ("choices", [{"command": 0, "kind": "", "outcomes": ["a"], "probabilities": [1.0], "taken": 1}]),
        ("choices", [{"command": 0, "kind": "", "outcomes": ["a"], "probabilities": [float("inf")], "taken": 0}]),
        ("failure", "x" * 10_000),
    ],
}


def with_field(record: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """The record with another value in a field; ``commands.line``: in the first row or rows of a column."""
    name, _, column = field.partition(".")
    if not column:
        return {**record, name: value}
    if isinstance(value, list):
        value = [*value, *record[name][column][len(value) :]] if value else value
    return {**record, name: {**record[name], column: value}}


@pytest.mark.parametrize("tag", BAD)
def test_each_kind_of_record_is_checked(told, tag):
    tracer, snippet = told
    tried = 0
    for worker, kind in kinds_of(tracer):
        for field, value in BAD[tag]:

            def change(values: list[Any], field: str = field, value: Any = value) -> list[Any]:
                return [{tag: with_field(v[tag], field, value)} if tag in v else v for v in values]

            result, is_bad = traced(tracer, snippet, worker, kind, change)
            if is_bad:
                tried += 1
                assert isinstance(result, Drop) and result.reason == "integrity_forged", (field, value, result)
    if tag in ("beliefs_report", "replay_report") and not tracer.config.view.hides:
        assert tried == 0
    else:
        assert tried >= len(BAD[tag])


def test_answers_to_another_job_and_missing_or_doubled_ones():
    job = SamplesJob(program=Program(), commands=("a",), first_seed=0, num_samples=1, max_seconds=1.0)
    texts = {"sampled_texts": {"texts": ["a"]}}
    failed = {"setup_failed": {"reason": "setup_error", "evidence": ""}}
    assert len(read_answers(job, [texts, texts], is_complete=True)) == 2
    for values in ([{"sampled_texts": {"texts": ["a", "b"]}}], [failed, failed], [{"replay_report": {}}], [1], [None]):
        with pytest.raises(ProtocolError):
            read_answers(job, values, is_complete=True)
    with pytest.raises(ProtocolError, match="answers to a PlainJob"):
        read_answers(PlainJob(source=""), [texts], is_complete=True)


def automaton(states: list[str], *commands: str) -> dict[str, Any]:
    """The answer of an automaton that stays in each of its states."""
    table = {state: [[1.0, state, ""]] for state in states}
    fields = {"variables": [], "states": states, "start": states[0], "commands": dict.fromkeys(commands, table)}
    return {"automaton_report": {"automaton": fields, "why_not": None}}


def test_an_automaton_is_one_of_the_jobs_commands_with_few_states():
    """Its readers make a matrix of its states for each command."""
    job = AutomatonJob(program=Program(), commands=("a", "b"), variables=(), max_seconds=1.0)
    states = [str(number) for number in range(2_000)]
    assert read_answers(job, [automaton(states, "a")], is_complete=True)
    for bad in (automaton([*states, "x"], "a"), automaton(["s"], "a", "c"), automaton(["s", "s"], "a")):
        with pytest.raises(ProtocolError):
            read_answers(job, [bad], is_complete=True)


@pytest.mark.parametrize("key", ["end", "exception", "tripped", "tampered", "escaped"])
@pytest.mark.parametrize("value", [None, 1, "x" * 1_000, ["a" * 100], ["a"] * 50, {}, "lost"])
def test_a_bad_end_record_is_forged(key, value):
    good = {"end": "ok", "exception": None, "tripped": [], "tampered": False, "escaped": False}
    assert read_end(Received(records=(), end=good, integrity="clean"))[1] == "clean"
    if key == "exception" and value in (None, "lost"):
        return
    end, integrity, why = read_end(Received(records=(), end={**good, key: value}, integrity="clean"))
    assert (end, integrity) == (None, "forged") and why[0].startswith("a bad end record: expected")


# in a jail ------------------------------------------------------------------------------------------------------------

REACH = """
import sys
frame = sys._getframe()
while "context" not in frame.f_locals:
    frame = frame.f_back
send = frame.f_locals["context"].send
raw = next(cell.cell_contents for cell in send.__closure__ if callable(cell.cell_contents))
"""
SENT = [
    "raw({'native_frames': {'frames': {'code': [['a.py', -1, 'f']], 'lines': [[]], 'columns': [{}]}}})",
    "raw({'native_summary': {}})",
    "raw({'unknown': {}})",
    "raw([1, 2])",
    "raw(float('nan'))",
    "raw({'setup_failed': {'reason': 'x' * 1000, 'evidence': ''}})",
    "raw({'replay_report': {'commands': [], 'values': []}})",
    "deep = []\nfor _ in range(400): deep = [deep]\nraw(deep)",
    "raw({'native_frames': {'frames': {'code': [['a.py', 1, 'f']], 'lines': [[1] * 9], 'columns': [{'x': ['y']}]}}})",
]


@pytest.fixture(scope="module")
def sandboxed():
    try:
        made = Tracer(TracerConfig())
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    yield made
    made.close()


@pytest.mark.parametrize("attack", SENT)
def test_a_snippet_that_sends_bad_records_is_dropped(sandboxed, attack):
    result = sandboxed.trace(script_snippet(REACH + attack + "\nprint('sent')\n", "a.py", ()))
    assert isinstance(result, Drop) and result.reason == "integrity_forged", result
    assert "a bad record: expected" in result.evidence


def test_the_next_snippet_is_none_the_worse(sandboxed):
    assert isinstance(sandboxed.trace(script_snippet("x = 1\n", "a.py", ())), Trace)


@pytest.mark.parametrize("payload", [b"{}", b"[]", b'{"native_job": {}}', b'{"plain_job": {"source": 1}}', b"null"])
def test_a_bad_job_is_answered_from_the_jail(sandboxed, payload):
    worker: Worker = sandboxed._recorder
    outcome = worker._run(payload, worker.limits)
    assert (outcome.status, outcome.integrity) == ("exception", "suspect"), outcome
    assert outcome.exception is not None and outcome.exception.startswith("ProtocolError: expected")
    assert outcome.tripped == ("error of our own code",)
