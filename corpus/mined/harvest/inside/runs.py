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

from trace_mine_harvest.observer import Observer
from trace_mine_harvest.targets import WatchedFunctions

WAITING = 6
"""Times as long as its CPU time that a test may take by the clock."""
_PLAIN_ERRORS = (NameError, ImportError, ModuleNotFoundError, AttributeError, TypeError, ValueError, KeyError)
"""Errors whose text runs no code of the repository's."""


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
    snippets: Sequence[dict[str, object]],
    seconds: float,
) -> None:
    """Run examples, tests and scripts, each in a namespace of its own.

    Args:
        targets: tells which functions are watched.
        write: writes a record; after each snippet one that says that it is done.
        snippets: for each its ``number``, ``name``, ``module``, ``code``, ``pieces``, whether it is a script
            (``is_script``) and its ``folder``.
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


def _run(observer: Observer, snippet: dict[str, object], failed: list[int], errors: list[str]) -> None:
    """Run one snippet; note the numbers of the pieces that fail, and the errors."""
    sys.path[:0] = [path for path in snippet["sys_path"] if path not in sys.path]  # type: ignore[attr-defined]
    module, is_script = snippet["module"], bool(snippet["is_script"])
    if is_script:
        with contextlib.suppress(OSError):  # a folder that is gone: the script says what it misses
            os.chdir(str(snippet["folder"]))
    main = types.ModuleType("__main__")
    if module:
        main.__dict__.update({**vars(importlib.import_module(str(module))), "__name__": "__main__"})
    sys.modules["__main__"] = main
    namespace = main.__dict__
    exec(compile(str(snippet["code"]), "<set-up>", "exec"), namespace)
    observer.start(str(snippet["name"]))
    pieces: list[str] = snippet["pieces"]  # type: ignore[assignment]
    for number, piece in enumerate(pieces):
        file = str(snippet["file"])
        if not is_script:
            # where the text of its lambdas is looked up
            file = f"<example {snippet['number']}.{number}>"
            linecache.cache[file] = (len(piece), None, piece.splitlines(keepends=True), file)
        try:
            exec(compile(piece, file, "exec" if is_script else "single"), namespace)
        except BaseException as error:
            errors.append(f"{type(error).__name__}: {error}" if type(error) in _PLAIN_ERRORS else type(error).__name__)
            if is_script or not isinstance(error, Exception):
                failed += range(number, len(snippet["pieces"]))  # type: ignore[arg-type]
                raise
            # doctest goes on after an example that raises, and some are meant to
            failed.append(number)
