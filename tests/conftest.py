"""Options that every folder of tests may use; pytest reads them from this file only. Skips that are failures, and tests
that are skipped where an extra is not installed.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Generator

import pytest

import no_skips

EXTRAS = {"tests/tokenizer": "train", "tests/train": "train", "tests/eval": "eval"}
"""The extra that a room's tests may need. The other rooms' must do without: there a missing package is a failure."""
PACKAGES_OF_EXTRAS = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "accelerate",
    "fla",
    "scipy",
    "sklearn",
    "matplotlib",
)
OF_THE_SANDBOX = ("tests/tracer/sandbox/", "tests/tracer/attacks/")


@pytest.fixture(autouse=True, scope="session")
def environments_of_the_tests() -> Generator[None, None, None]:
    """Environments are made without the network and without what uv has kept, and end with the tests.

    So a test sees the same packages on every machine: those that are installed beside trace-mine.
    """
    folder = tempfile.mkdtemp(prefix="trace-mine-tests-")
    os.chmod(folder, 0o755)  # whatever a jail's user is to read lies below it
    # a patch of its own: the tests' is undone after what they themselves set up, and would no longer be
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACE_MINE_CACHE", f"{folder}/kept")
        patch.setenv("UV_CACHE_DIR", f"{folder}/uv")
        patch.setenv("UV_OFFLINE", "1")
        # each of hundreds of processes would compile all of our modules anew, 0.8 s of CPU
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def without_loggers() -> Generator[None, None, None]:
    """The loggers of this process are none of a program's that is followed in it, where they would be part of each
    state: hundreds, with their handlers, once other tests have imported torch and its like.
    """
    loggers = logging.root.manager.loggerDict
    before = {**loggers}
    loggers.clear()
    yield
    loggers.clear()
    loggers.update(before)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code writes now")


def pytest_configure(config: pytest.Config) -> None:
    # With --dist loadfile, xdist gives out the files with the most tests first. Files with few tests that take long
    # (clusters, wheels, figures) then come last, and one process waits for the other. Absent without xdist.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    gc.disable()  # until all tests are there, which are no garbage: a third of the time that it takes to find them


def pytest_collection_finish() -> None:
    gc.freeze()  # what all tests share is not looked at again, here or in a fork
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip what can't be imported for lack of an extra's package, with the reason: a file, or a folder's conftest."""
    report = yield
    place = collector.path.relative_to(collector.config.rootpath).as_posix()
    extra = next((extra for folder, extra in EXTRAS.items() if f"{place}/".startswith(f"{folder}/")), None)
    if report.failed and extra is not None:
        missing = re.findall(r"ModuleNotFoundError: No module named '(\w+)", str(report.longrepr))
        if missing and missing[-1] in PACKAGES_OF_EXTRAS:
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 0, f"Skipped: needs the extra [{extra}]: no {missing[-1]} here")
    return report


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
