"""What ``reach.py`` runs in a jail: a suite, or one row, under a profile that notes whose code is entered.

This file is sent into the jail as text, and imports nothing of ours: what it counts is counted apart from our records.
It ends in a call of ``suite`` or ``row``, which ``reach.py`` appends.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import json
import os
import signal
import sys
import threading
import types

Key = tuple[str, int, str]
OUT = os.dup(1)
FUNCTION = 2  # the flag CO_NEWLOCALS: neither a module's nor a class's body


class Entered:
    """The code that was entered, by file, first line and qualified name."""

    def __init__(self, root: str) -> None:
        self._root = f"{root}/"
        self._known: dict[int, types.CodeType] = {}  # by identity, and kept so that no other code gets its number
        self.keys: set[Key] = set()

    def _hook(self, frame: types.FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and id(code) not in self._known:
            self._known[id(code)] = code
            file = code.co_filename
            if file.startswith(self._root) and code.co_flags & FUNCTION:
                self.keys.add((file[len(self._root) :], code.co_firstlineno, code.co_qualname))

    def watch(self) -> None:
        """Watch this thread, and those that it starts."""
        sys.setprofile(self._hook)
        threading.setprofile(self._hook)

    def take(self) -> list[Key]:
        """What was entered since the last time."""
        taken, self.keys = sorted(self.keys), set()
        self._known.clear()
        return taken


def tell(word: str, record: object) -> None:
    line = f"{word} {json.dumps(record)}\n".encode("ascii")
    while line:
        line = line[os.write(OUT, line) :]


class Late(BaseException):
    """A test took its time."""


def suite(word: str, root: str, seconds: float) -> None:
    """Run the repository's tests by plain pytest; say after each test what was entered, and how it ended."""
    import pytest

    os.chdir(root)
    entered = Entered(root)

    def late(number: int, frame: object) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)

    class Plugin:
        def pytest_collection_finish(self, session: object) -> None:
            tell(word, {"import": entered.take(), "items": len(session.items)})  # type: ignore[attr-defined]

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(self, item: object):  # type: ignore[no-untyped-def]
            entered.watch()  # a test may have put another profile in its place
            signal.setitimer(signal.ITIMER_REAL, seconds)
            with contextlib.suppress(Late):
                yield
            signal.setitimer(signal.ITIMER_REAL, 0)
            if keys := entered.take():
                tell(word, {"test": keys})

        def pytest_runtest_logreport(self, report: object) -> None:
            if report.when == "call" or report.outcome != "passed":  # type: ignore[attr-defined]
                tell(word, {"outcome": report.outcome})  # type: ignore[attr-defined]

    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler", "-o", "addopts="]
    entered.watch()
    pytest.main([*options, "--continue-on-collection-errors", f"--rootdir={root}"], plugins=[Plugin()])
    tell(word, {"test": entered.take(), "ended": True})


def row(word: str, root: str, text: str, setup: dict[str, object]) -> None:
    """Run a row's text after its set-up; say for each command what was entered, and whether it printed its output."""
    module, code = setup.get("module"), setup.get("code") or ""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    namespace = main.__dict__
    namespace["__builtins__"] = sys.modules["builtins"]
    if module:
        namespace = dict(vars(importlib.import_module(str(module))))
    exec(compile(str(code), "<set-up>", "exec", dont_inherit=True), namespace)
    entered = Entered(root)
    by_command: list[list[Key]] = []
    is_same: list[bool] = []
    checker = doctest.OutputChecker()
    printed = sys.stdout = io.StringIO()
    for example in doctest.DocTestParser().get_examples(text):
        printed.seek(0)
        printed.truncate(0)
        try:
            compiled = compile(example.source, f"<doctest session[{len(is_same)}]>", "single", dont_inherit=True)
            entered.watch()
            exec(compiled, namespace)
        except BaseException as error:
            sys.setprofile(None)
            last = example.exc_msg or ""
            is_same.append(bool(last) and last.partition(":")[0].strip().endswith(type(error).__name__))
        else:
            sys.setprofile(None)
            got = printed.getvalue()
            is_same.append(example.exc_msg is None and checker.check_output(example.want, got, 0))
        by_command.append(entered.take())
    tell(word, {"commands": by_command, "same": is_same})
