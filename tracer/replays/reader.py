"""The contract of readers: a session goes in, what it printed comes out; the registry has all of them.

A reader runs a session's commands in a replaying jail and compares nothing: ``session.differences`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from trace_mine.tracer.inside.reasons import Reason, ended_with
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replays.session import Session, SessionReading
from trace_mine.tracer.rounds import Failed
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.conversation import Conversation, RunLost, ended_as
from trace_mine.tracer.sandbox.prompt import RunRequest, SetUpResult
from trace_mine.tracer.sandbox.verdict import Report

R = TypeVar("R")

Jails = Literal[
    "replayer",
    "fresh replayer",
    "other world",
    "third world",
    "fourth world",
    "order 1",
    "order 2",
    "order 3",
    "order 4",
]
"""Where a reader reads: in forks of a zygote that has imported the repository; of one that has imported nothing; in the
recorder's kind of jail, which has our interceptors of draws, and two more of these, each with another hash seed; in
jails as the first, each with another hash seed."""
WORLDS: tuple[Jails, ...] = ("other world", "third world", "fourth world")
"""Jails of the recorder's kind, in which draws can be decided."""
ORDERS: tuple[Jails, ...] = ("order 1", "order 2", "order 3", "order 4")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReader:
    """A way to run a session again.

    Attributes:
        name: the word for it, which rows have in ``printed``.
        promise: what its agreement says, for people.
        jail: where it reads.
        read: runs the session once; the number seeds ``random`` anew, 0 leaves it. Raises Failed where the run came to
            a limit, crashed, or could not be set up.
        asks: it asks the session's questions.
        vouches: the answers to them come from outside of the interceptors of draws, so that they verify a value.
        survives_exit: it goes on after a command that raises SystemExit.

    Raises:
        ValueError: the name is no word, or it vouches for answers that it does not ask for.
    """

    name: str
    promise: str
    jail: Jails
    read: Callable[[Worker, Session, int], SessionReading]
    asks: bool = False
    vouches: bool = False
    survives_exit: bool = True

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(
                f"expected SessionReader.name to be one word, got {self.name!r}; use letters, digits and _"
            )
        if self.vouches and not self.asks:
            raise ValueError(f"expected the reader {self.name} to ask what it vouches for; set asks")


def speak(
    name: str, worker: Worker, request: RunRequest, talk: Callable[[Conversation], tuple[SetUpResult, R, str]]
) -> tuple[R, str, Report]:
    """Speak with one run, and check that it was set up and came to no limit.

    Args:
        name: the reader's, for the evidence.
        worker: where it runs.
        request: the run before its first command.
        talk: gives what the run says of its set-up, what was read, and why no more was; empty where all was.

    Returns:
        What was read, why no more was, and init's report.

    Raises:
        Failed: the run could not be set up, came to a limit, or was lost.
    """
    try:
        (set_up, read, why), report = worker.converse(request, talk)
    except RunLost as lost:
        raise Failed(ended_with("no-end"), f"the {name} run was lost: {lost}") from lost
    check_set_up(set_up)
    check_report(name, report, worker.limits, why)
    return read, why, report


def check_set_up(set_up: SetUpResult) -> None:
    """Check that a run has a namespace for its first command.

    Raises:
        Failed: the module can't be imported, or the silent code raised.
    """
    if set_up.failed:
        raise Failed(Reason.IMPORT_ERROR if set_up.is_import else Reason.SETUP_ERROR, set_up.failed)


def check_report(name: str, report: Report, limits: Limits, why: str) -> None:
    """Check that a replay came to no limit and did not crash.

    Args:
        name: the reader's, for the evidence.
        report: init's.
        limits: the run's.
        why: why the conversation ended early; empty where it did not.

    Raises:
        Failed: it did.
    """
    status = why if why == "output-limit" else ended_as(report, limits)
    if status != "ok":
        raise Failed(ended_with(status), f"the {name} run ended with {status}")
