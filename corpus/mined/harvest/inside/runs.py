"""Runs a repository's tests, examples and scripts under the observer."""

from __future__ import annotations

import contextlib
import importlib
import io
import linecache
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

from trace_mine_harvest.observer import Observer
from trace_mine_harvest.targets import WatchedFunctions
from trace_mine_harvest.ways import EXAMPLE

WAITING = 6
"""Times as long as its CPU time that a test may take by the clock."""
_PLAIN_ERRORS = (NameError, ImportError, ModuleNotFoundError, AttributeError, TypeError, ValueError, KeyError)
"""Errors whose text runs no code of the repository's."""


class GivenSnippet(TypedDict):
    """A snippet as the supervisor sends it; paths are absolute ones of the jail.

    Attributes:
        number: it is told apart by.
        name: its own, by which a way that begins in it is recorded.
        module: whose names it has, if any.
        code: what runs before its pieces.
        pieces: its sources, each run as one unit.
        is_script: it runs as a file in its folder.
        folder, file: where it stands.
        sys_path: folders that it imports from.
    """

    number: int
    name: str
    module: str | None
    code: str
    pieces: list[str]
    is_script: bool
    folder: str
    file: str
    sys_path: list[str]


class OwnTimeIsOver(BaseException):
    """A test or an example took its time. No ``Exception``, which tests catch."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """End what runs in the context after so many seconds of CPU, again and again where it goes on.

    What waits is ended by the clock, after WAITING times as long: on a loaded machine the clock alone would end what
    has had no processor.

    Raises:
        OwnTimeIsOver: it took longer.
    """

    def late(number: int, frame: object) -> None:
        raise OwnTimeIsOver(f"{seconds} s")

    before = [signal.signal(each, late) for each in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
    signal.setitimer(signal.ITIMER_REAL, WAITING * seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])


def run_snippets(
    targets: WatchedFunctions,
    write: Callable[[dict[str, object]], None],
    snippets: Sequence[GivenSnippet],
    seconds: float,
) -> None:
    """Run examples, tests and scripts, each in a namespace of its own.

    Args:
        targets: tells which functions are watched.
        write: writes a record; after each snippet one that says that it is done.
        snippets: in the order in which they are run.
        seconds: of CPU for one of them.
    """
    observer = Observer(targets, write)
    for snippet in snippets:
        failed: list[int] = []
        errors: list[str] = []
        sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), io.StringIO()
        try:
            with within(seconds):
                _run(observer, snippet, failed, errors)
        except BaseException as error:  # whatever a repository's code raises, the next one is run
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            observer.stop()
        write({"snippet_done": {"number": snippet["number"], "failed": failed, "error": "".join(errors[:1])[:300]}})
    observer.write_counts()


def _run(observer: Observer, snippet: GivenSnippet, failed: list[int], errors: list[str]) -> None:
    """Run one snippet; note the numbers of the pieces that fail, and the errors."""
    sys.path[:0] = [path for path in snippet["sys_path"] if path not in sys.path]
    module, is_script = snippet["module"], snippet["is_script"]
    if is_script:
        with contextlib.suppress(OSError):  # a folder that is gone: the script says what it misses
            os.chdir(snippet["folder"])
    main = types.ModuleType("__main__")
    if module:
        main.__dict__.update({**vars(importlib.import_module(module)), "__name__": "__main__"})
    sys.modules["__main__"] = main
    namespace = main.__dict__
    exec(compile(snippet["code"], "<set-up>", "exec"), namespace)
    observer.start(snippet["name"])
    for number, piece in enumerate(snippet["pieces"]):
        file = snippet["file"]
        if not is_script:
            # where the text of its lambdas is looked up
            file = f"{EXAMPLE}{snippet['number']}.{number}>"
            linecache.cache[file] = (len(piece), None, piece.splitlines(keepends=True), file)
        try:
            exec(compile(piece, file, "exec" if is_script else "single"), namespace)
        except BaseException as error:
            errors.append(f"{type(error).__name__}: {error}" if type(error) in _PLAIN_ERRORS else type(error).__name__)
            if is_script or not isinstance(error, Exception):
                failed += range(number, len(snippet["pieces"]))
                raise
            # doctest goes on after an example that raises, and some are meant to
            failed.append(number)
