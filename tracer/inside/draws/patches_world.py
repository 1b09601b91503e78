"""Interceptable inputs: ``input``, reads of the environment, ``time.time``, ``perf_counter`` and their ``_ns`` forms,
``datetime.now`` and ``today``, which read ``time.time``.

Only inputs and variables with a declared law are decided. A declared variable that the program sets or deletes keeps
that for the rest of the run; the process's own environment stays as it was. ``time.sleep`` waits, except where paths
are explored: there only the clocks notice.

Not covered, that is, pinned in the recording world and no choices: ``time.monotonic`` (locks wait on it),
``time.localtime`` and the like without an argument. Not covered at all: iterating over an environment with declared
variables, child processes' environment.
"""

from __future__ import annotations

import builtins
import os
import sys
import time
from collections.abc import Callable

from trace_mine.tracer.inside.draws import ambient, calendar_clock
from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.readings import LazyReading
from trace_mine.tracer.inside.draws.replacing import replace
from trace_mine.tracer.inside.protocol.jobs import Law

Environ = os._Environ[str]


def install() -> None:
    """Patch this process; once, see ``patches.install``."""
    plain_input = builtins.input

    def patched_input(prompt: object = "", /) -> str:
        decider = draws.current
        if decider is None or not decider.laws.inputs:
            return plain_input(prompt)  # EOFError in the sandbox, where there is nobody to type
        sys.stdout.write(str(prompt))
        laws, number = decider.laws.inputs, ambient.inputs_read
        ambient.inputs_read += 1
        # the number is part of the state (``ambient``): a path that read more inputs has its own next one
        value = decider.declared(laws[min(number, len(laws) - 1)], "input")
        # At a terminal the user's return key ends the prompt's line; a session without it would show two on one.
        sys.stdout.write("\n")
        return str(value)

    # The names are CPython's own, since tracebacks and ``help`` of a session show them.
    replace(builtins, "input", patched_input)
    _install_environment()
    _install_clocks()


def _install_environment() -> None:
    """Replace the methods of the class of ``os.environ``, through which ``os.getenv`` and ``get`` go as well.

    The class and not the object: programs have ``os.environ`` bound by the time that a law is declared.
    """
    environ_type = os._Environ
    plain: dict[str, Callable[..., str]] = {
        name: getattr(environ_type, name) for name in ("__getitem__", "__setitem__", "__delitem__", "__contains__")
    }

    def law_of(self: Environ, key: object) -> Law | None:
        # ``os.environb`` and environments that the program builds are of the same class
        decider = draws.current
        if decider is None or self is not os.environ or not isinstance(key, str):
            return None
        return decider.laws.environ.get(key)

    def patched_item(self: Environ, key: str) -> str:
        law = law_of(self, key)
        if law is None or draws.current is None:
            return plain["__getitem__"](self, key)
        decided = ambient.environ
        # Drawn at the first read: a variable that no code of the path reads is no choice of the path.
        if key not in decided:
            decided[key] = draws.current.declared(law, f"environ {key}")
        value = decided[key]
        if value is None:
            raise KeyError(key)
        return value

    def patched_set(self: Environ, key: str, value: str) -> None:
        if law_of(self, key) is None:
            plain["__setitem__"](self, key, value)
        else:  # the real variable stays: the next path begins with it
            self.encodevalue(value)  # raises for what is no str, as CPython does
            ambient.environ[key] = value

    def patched_delete(self: Environ, key: str) -> None:
        if law_of(self, key) is None:
            plain["__delitem__"](self, key)
        else:
            patched_item(self, key)  # raises KeyError where it isn't set, which is a draw
            ambient.environ[key] = None

    def patched_contains(self: Environ, key: object) -> bool:
        if law_of(self, key) is None or not isinstance(key, str):
            return bool(plain["__contains__"](self, key))
        try:
            patched_item(self, key)
        except KeyError:
            return False
        return True

    for name, method in zip(plain, (patched_item, patched_set, patched_delete, patched_contains), strict=True):
        method.__name__ = method.__qualname__ = name
        setattr(environ_type, name, method)


def _install_clocks() -> None:
    plain_sleep = time.sleep

    def sleep(seconds: float, /) -> None:
        if draws.current is None:
            plain_sleep(seconds)
        else:
            draws.current.sleep(seconds, plain_sleep)

    replace(time, "sleep", sleep)
    for name in ("time", "perf_counter"):
        replace(time, name, _clock(getattr(time, name), name))
    # Of the patched clocks, so that a program which reads both forms has two readings of one clock.
    replace(time, "time_ns", _clock_ns(time.time))
    replace(time, "perf_counter_ns", _clock_ns(time.perf_counter))
    calendar_clock.install(lambda: float(time.time()))


# Not ``monotonic``: locks and queues wait on it, and would wait for ever on a clock that stands still.


def _clock(plain: Callable[[], float], name: str) -> Callable[[], float]:
    def read() -> float:
        decider = draws.current
        if isinstance(decider, draws.Guided):
            return decider.clock(name, 0.0)  # which moves no clock on: the session's own run reads it as well
        return float(plain()) if decider is None else decider.clock(name, plain())

    return read


def _clock_ns(seconds: Callable[[], float]) -> Callable[[], int]:
    def read() -> int:
        value = seconds() * 1e9
        return value.whole() if type(value) is LazyReading else int(value)

    return read
