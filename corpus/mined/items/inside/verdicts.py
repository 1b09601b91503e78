"""Runs items under pytest itself, and writes how each ends. It is sent as text, so it imports nothing of ours."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

OPTIONS = [
    "--assert=plain",
    "-o",
    "addopts=",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminal",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
    "-p",
    "no:cov",
    "-p",
    "no:faulthandler",
]


class _Verdicts:
    """Notes the first report of an item that says more than that a part of it passed."""

    def __init__(self, seconds: float, write: Callable[[dict[str, str]], object]) -> None:
        self._seconds = seconds
        self._late: set[str] = set()
        self._write = write
        self._words: dict[str, str] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        """Give each item its time, so that one that waits for ever leaves the others theirs."""

        def late(number: int, frame: object) -> None:
            self._late.add(item.nodeid)
            raise TimeoutError(f"{item.nodeid} took more than {self._seconds} s")

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, self._seconds)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    def pytest_runtest_logreport(self, report: Any) -> None:
        word = str(report.outcome)
        if hasattr(report, "wasxfail"):
            word = "xfailed" if report.skipped else "xpassed"
        # a fixture that fails after the test is an error of the item, but none that a session shows
        if report.when != "teardown" and (report.when == "call" or word != "passed"):
            self._words.setdefault(report.nodeid, word)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        # of one that had no time nothing is known
        if nodeid not in self._late:
            self._write({"nodeid": nodeid, "verdict": self._words.get(nodeid, "passed")})


def judge(root: str, nodeids: list[str], seconds: float, word: str, write: Callable[[bytes], object]) -> None:
    """Run items of the repository in ``root``, and write a line for each that begins with a secret word.

    Args:
        root: the repository's folder.
        nodeids: pytest's names of the items.
        seconds: of one item, by the clock.
        word: what each line begins with.
        write: writes a line.
    """
    os.chdir(root)
    plugin = _Verdicts(seconds, lambda record: write(f"{word} {json.dumps(record)}\n".encode("ascii")))
    pytest.main([*OPTIONS, f"--rootdir={root}", *nodeids], plugins=[plugin])
