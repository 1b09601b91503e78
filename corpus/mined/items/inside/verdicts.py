"""Runs items under pytest itself, and writes how each ends. It is sent as text, so it imports nothing of ours."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

WAITS = 6
"""The clock's share of an item's time: other processes may have most of the processors."""


class _Verdicts:
    """Notes the first report of an item that says more than that a part of it passed."""

    def __init__(
        self, nodeids: list[str], seconds: float, marks: list[str], write: Callable[[dict[str, str]], object]
    ) -> None:
        self._wanted: dict[str, list[str]] = {}
        for nodeid in nodeids:
            self._wanted.setdefault(_without_addresses(nodeid), []).append(nodeid)
        self._asked: dict[str, str] = {}
        self.has_collected = False
        self._seconds = seconds
        self._marks = marks
        self._late: set[str] = set()
        self._write = write
        self._words: dict[str, str] = {}
        self._errors: dict[str, str] = {}

    def pytest_configure(self, config: Any) -> None:
        """Register the marks of the plugins that are left out: a suite that forbids unknown marks breaks off."""
        for name in self._marks:
            config.addinivalue_line("markers", f"{name}: of a plugin that is left out here")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the items that were asked for: those of one name are told apart by their order."""
        self.has_collected = True
        kept = []
        for item in items:
            names = self._wanted.get(_without_addresses(item.nodeid))
            if names:
                self._asked[item.nodeid] = names.pop(0)
                kept.append(item)
        items[:] = kept

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        """Give each item its time, so that one that waits for ever leaves the others theirs."""

        def late(number: int, frame: object) -> None:
            self._late.add(item.nodeid)
            raise TimeoutError(f"{item.nodeid} took more than {self._seconds} s")

        # of processor time, so that a busy machine judges alike; by the clock what waits
        timers = ((signal.SIGPROF, signal.ITIMER_PROF, 1), (signal.SIGALRM, signal.ITIMER_REAL, WAITS))
        before = [signal.signal(number, late) for number, _, _ in timers]
        for _, timer, factor in timers:
            signal.setitimer(timer, self._seconds * factor, self._seconds)
        yield
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Note the type of the exception that ended the item."""
        yield
        if call.excinfo is not None and call.when != "teardown":
            self._errors.setdefault(item.nodeid, call.excinfo.typename)

    def pytest_runtest_logreport(self, report: Any) -> None:
        word = str(report.outcome)
        if hasattr(report, "wasxfail"):
            word = "xfailed" if report.skipped else "xpassed"
        # a fixture that fails after the test is an error of the item, but none that a session shows
        is_told = report.when != "teardown" and (report.when == "call" or word != "passed")
        # a block of subTest that failed is told after its method, which goes on and passes
        if is_told and self._words.get(report.nodeid, "passed") == "passed":
            self._words[report.nodeid] = word

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        # of one that had no time nothing is known
        if nodeid not in self._late:
            error = self._errors.get(nodeid, "")
            word = self._words.get(nodeid, "passed")
            self._write({"nodeid": self._asked.get(nodeid, nodeid), "verdict": word, "error": error})


def judge(
    root: str,
    nodeids: list[str],
    seconds: float,
    write: Callable[[bytes], object],
    *,
    options: list[str],
    marks: list[str],
    word: str,
) -> None:
    """Run items of the repository in ``root``, and write a line for each that begins with a secret word.

    Args:
        root: the repository's folder.
        nodeids: pytest's names of the items.
        seconds: of processor time, of one item; WAITS times as many by the clock.
        write: writes a line.
        options: pytest's.
        marks: of plugins that are left out.
        word: what each line begins with.
    """
    os.chdir(root)
    plugin = _Verdicts(nodeids, seconds, marks, lambda record: write(f"{word} {json.dumps(record)}\n".encode("ascii")))
    # pytest-benchmark runs a function for seconds, which says nothing of how the test ends
    is_timed = importlib.util.find_spec("pytest_benchmark") is not None
    options = [*options, *(["--benchmark-disable"] if is_timed else [])]
    # A name that pytest doesn't find would end the run for all others. Names of parameters may differ in each process
    # (`<function f at 0x7f...>`), so all of a test's are collected, and chosen from; where a test is gone, all of its
    # file's.
    for named in (_named_tests, _named_files):
        pytest.main([*options, f"--rootdir={root}", *named(nodeids)], plugins=[plugin])
        if plugin.has_collected:
            break


def _named_tests(nodeids: list[str]) -> list[str]:
    parts = (nodeid.partition("::") for nodeid in nodeids)
    return list(dict.fromkeys(file + colons + name.partition("[")[0] for file, colons, name in parts))


def _named_files(nodeids: list[str]) -> list[str]:
    return list(dict.fromkeys(nodeid.partition("::")[0] for nodeid in nodeids))


def _without_addresses(nodeid: str) -> str:
    return re.sub("0x[0-9a-f]+", "0x", nodeid)
