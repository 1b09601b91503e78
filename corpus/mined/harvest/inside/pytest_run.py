"""Runs a repository's tests under pytest, watched from their fixtures on."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest
from trace_mine_harvest.observer import Observer
from trace_mine_harvest.runs import OwnTimeIsOver, within
from trace_mine_harvest.targets import WatchedFunctions


class _Plugin:
    """Watches each item, and gives it its time."""

    def __init__(self, observer: Observer, seconds: float, marks: Sequence[str]) -> None:
        self._observer = observer
        self._seconds = seconds
        self._marks = marks

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marks of plugins that are left out: a suite that forbids unknown marks breaks off."""
        for name in self._marks:
            config.addinivalue_line("markers", f"{name}: of a plugin that is left out here")

    def pytest_collection_modifyitems(self) -> None:
        _calm_hypothesis()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._observer.start(item.nodeid, is_item=True)
        try:
            with within(self._seconds):
                yield
        except OwnTimeIsOver:
            return  # between two phases of the item; within one, pytest has caught it
        finally:
            self._observer.stop()


def _calm_hypothesis() -> None:
    """Have generated inputs be the same in each run, and few."""
    hypothesis = sys.modules.get("hypothesis")
    settings = getattr(hypothesis, "settings", None)
    if settings is not None:
        # another hypothesis may lack one of these; its tests are then run as they are
        with contextlib.suppress(Exception):
            settings.register_profile("harvest", derandomize=True, max_examples=10, database=None, deadline=None)
            settings.load_profile("harvest")


def run_tests(
    targets: WatchedFunctions,
    write: Callable[[dict[str, object]], None],
    root: str,
    seconds: float,
    *,
    options: Sequence[str],
    marks: Sequence[str],
) -> None:
    """Run all tests that pytest finds below a folder.

    Args:
        targets: tells which functions are watched.
        write: writes a record.
        root: the folder.
        seconds: of CPU for one test.
        options: pytest's.
        marks: of plugins that are left out.
    """
    os.chdir(root)
    observer = Observer(targets, write)
    pytest.main([*options, f"--rootdir={root}", root], plugins=[_Plugin(observer, seconds, marks)])
    observer.write_counts()
