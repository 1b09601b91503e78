"""An outcome says ``ok`` only where init, the exit status and a genuine end record agree."""

from __future__ import annotations

import json
import signal

import pytest

from trace_mine.tracer.inside.channel import END, HEADER, RECORD, frame_mac
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.verdict import Report, outcome_of
from trace_mine.tracer.schema import Outcome

KEY = bytes(range(16))
LIMITS = Limits(cpu_seconds=10)
FINE = {"end": "ok", "exception": None, "tripped": [], "tampered": False, "escaped": False}


def frame(value: object, number: int, kind: int = RECORD) -> bytes:
    payload = json.dumps(value).encode()
    body = HEADER.pack(len(payload), number, kind) + payload
    return body + frame_mac(KEY, body)


def judge(end: object = None, *, status: int = 0, why: str = "", cpu: float = 0.0, more: bytes = b"") -> Outcome:
    """The outcome of a run that sent one record and, unless None, this end record."""
    data = bytearray(frame("record", 0) + (frame(end, 1, END) if end is not None else b"") + more)
    report = Report(status=status, why=why, wall_seconds=1.5, cpu_seconds=cpu, peak_memory_bytes=7)
    return outcome_of(report, data, bytearray(b"out"), bytearray(b"err"), KEY, LIMITS)


def exited(code: int) -> int:
    return code << 8


def test_a_run_that_ends_in_good_order():
    assert judge(FINE, cpu=0.25) == Outcome(
        status="ok",
        integrity="clean",
        records=("record",),
        stdout=b"out",
        stderr=b"err",
        wall_seconds=1.5,
        cpu_seconds=0.25,
        peak_memory_bytes=7,
    )


@pytest.mark.parametrize("status", ["ok", "exception", "exit", "syntax", "trace-limit", "output-limit"])
def test_what_a_runner_may_say(status):
    outcome = judge(FINE | {"end": status, "exception": "E"})
    assert (outcome.status, outcome.exception, outcome.integrity) == (status, "E", "clean")


@pytest.mark.parametrize("code", [1, 70, 255])
def test_another_exit_status_is_never_ok(code):
    outcome = judge(FINE, status=exited(code))
    assert (outcome.status, outcome.integrity, outcome.exception) == ("no-end", "truncated", None)


def test_no_end_record_is_never_ok():
    assert (judge().status, judge().integrity) == ("no-end", "truncated")


@pytest.mark.parametrize("why", ["wall", "disk-limit", "output-limit", "trace-limit"])
def test_what_init_says_comes_first(why):
    for status in (0, signal.SIGKILL, exited(1)):
        outcome = judge(FINE, status=status, why=why, cpu=10.0)
        assert (outcome.status, outcome.integrity, outcome.exception) == (why, "truncated", None)


@pytest.mark.parametrize(
    ("number", "cpu", "status"),
    [
        (signal.SIGKILL, 10.0, "cpu"),
        (signal.SIGXCPU, 10.0, "cpu"),
        (signal.SIGKILL, 9.99, "signal:9"),
        (signal.SIGXCPU, 0.1, "signal:24"),
        (signal.SIGSEGV, 10.0, "signal:11"),
        (signal.SIGSYS, 0.0, f"signal:{signal.SIGSYS.value}"),
    ],
)
def test_signals(number, cpu, status):
    outcome = judge(FINE, status=number, cpu=cpu)
    assert (outcome.status, outcome.integrity) == (status, "truncated")


@pytest.mark.parametrize(
    "end",
    [
        FINE | {"end": "excellent"},
        FINE | {"end": None},
        FINE | {"end": "wall"},
        {key: value for key, value in FINE.items() if key != "end"},
        FINE | {"exception": 5},
        FINE | {"exception": ["E"]},
        FINE | {"tripped": ["x" * 100]},
        FINE | {"tripped": ["settrace", 3]},
        FINE | {"tampered": 1},
    ],
)
def test_an_end_that_our_code_never_writes(end):
    outcome = judge(end)
    assert (outcome.status, outcome.integrity, outcome.exception) == ("no-end", "forged", None)


def test_memory():
    assert judge(FINE | {"end": "exception", "exception": "MemoryError"}).status == "memory"


@pytest.mark.parametrize(
    ("more", "tripped"),
    [
        ({"tripped": ["settrace", "x" * 80]}, ("settrace", "x" * 80)),
        ({"tampered": True}, ("tracer replaced",)),
        ({"escaped": True}, ("error of our own code",)),
        ({"tripped": ["a"], "tampered": True, "escaped": True}, ("a", "tracer replaced", "error of our own code")),
    ],
)
def test_tampering_is_suspect(more, tripped):
    outcome = judge(FINE | more)
    assert (outcome.status, outcome.integrity, outcome.tripped) == ("ok", "suspect", tripped)


@pytest.mark.parametrize("tripped", [None, "text", 5, {"a": 1}])
def test_tripped_that_is_no_list_is_forged(tripped):
    outcome = judge(FINE | {"tripped": tripped})
    assert outcome.integrity == "forged" and outcome.tripped[0].startswith("a bad end record: expected End.tripped")


def test_forged_is_worse_than_suspect():
    outcome = judge(FINE | {"tampered": True}, more=b"more")
    assert (outcome.integrity, outcome.tripped) == ("forged", ("tracer replaced",))


@pytest.mark.parametrize("name", ["wall_seconds", "cpu_seconds", "peak_memory_bytes"])
def test_reports_have_no_negative_times(name):
    fields = {"status": 0, "why": "", "wall_seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_bytes": 0}
    Report(**fields)
    with pytest.raises(ValueError, match=name):
        Report(**fields | {name: -1})
