"""Options that every folder of tests may use; pytest reads them from this file only. And skips that are failures."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

import no_skips

OF_THE_SANDBOX = ("tests/tracer/sandbox/", "tests/tracer/attacks/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code writes now")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a skip whose reason the machine refutes."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        strict = os.environ.get("TRACE_MINE_NO_SKIPS") == "1" and item.nodeid.startswith(OF_THE_SANDBOX)
        if no_skips.refuted(reason, strict=strict):
            report.outcome = "failed"
            report.longrepr = (
                f"expected this test to run on this machine, got a skip ({reason}); make it run, or list in "
                "tests/reference/no_skips.py what the machine lacks, with a way to ask for it"
            )
    return report
