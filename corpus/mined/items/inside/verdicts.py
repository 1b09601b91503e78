"""Runs items under pytest itself, and writes how each ends. It is sent as text, so it imports nothing of ours."""

from __future__ import annotations

import json
import os
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

    def __init__(self, write: Callable[[dict[str, str]], object]) -> None:
        self._write = write
        self._words: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        word = str(report.outcome)
        if hasattr(report, "wasxfail"):
            word = "xfailed" if report.skipped else "xpassed"
        # a fixture that fails after the test is an error of the item, but none that a session shows
        if report.when != "teardown" and (report.when == "call" or word != "passed"):
            self._words.setdefault(report.nodeid, word)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._write({"nodeid": nodeid, "verdict": self._words.get(nodeid, "passed")})


def judge(root: str, nodeids: list[str], word: str, write: Callable[[bytes], object]) -> None:
    """Run items of the repository in ``root``, and write a line for each that begins with a secret word."""
    os.chdir(root)
    plugin = _Verdicts(lambda record: write(f"{word} {json.dumps(record)}\n".encode("ascii")))
    pytest.main([*OPTIONS, f"--rootdir={root}", *nodeids], plugins=[plugin])
