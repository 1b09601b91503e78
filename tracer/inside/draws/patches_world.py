"""Interceptable inputs: ``input``, reads of the environment, ``time.time``, ``perf_counter`` and their ``_ns`` forms.

Only inputs and variables with a declared law are decided. A declared variable that the program sets or deletes keeps
that for the rest of the run; the process's own environment stays as it was. ``time.sleep`` waits, except where paths
are explored: there only the clocks notice.

Not covered: ``datetime.now`` (a C type; replacing it would change ``type(x) is datetime``), ``time.monotonic`` (locks
wait on it), ``time.localtime`` and the like without an argument, iterating over an environment with declared variables,
child processes' environment.
"""

from __future__ import annotations

import builtins
import os
import sys
import time
from typing import Any

from trace_mine.tracer.inside.draws import ambient
from trace_mine.tracer.inside.draws import deciders as draws


def install() -> None:
    """Once a process; see ``patches.install``."""
    plain_input = builtins.input

    def patched_input(prompt: object = "", /) -> str:
        decider = draws.current
        if decider is None or not decider.laws.inputs:
            return plain_input(prompt)
        sys.stdout.write(str(prompt))
        laws, number = decider.laws.inputs, ambient.inputs_read
        ambient.inputs_read += 1
        value = decider.declared(laws[min(number, len(laws) - 1)], "input")
        sys.stdout.write("\n")
        return str(value)

    patched_input.__name__ = patched_input.__qualname__ = "input"
    builtins.input = patched_input
    _install_environment()
    _install_clocks()


def _install_environment() -> None:
    cls: Any = os._Environ
    plain = {name: getattr(cls, name) for name in ("__getitem__", "__setitem__", "__delitem__", "__contains__")}

    def law(self: Any, key: Any) -> Any:
        decider = draws.current
        return None if decider is None or self is not os.environ else decider.laws.environ.get(key)

    def patched_item(self: Any, key: Any) -> Any:
        declared = law(self, key)
        if declared is None:
            return plain["__getitem__"](self, key)
        decided = ambient.environ
        if key not in decided:
            decided[key] = draws.current.declared(declared, f"environ {key}")  # type: ignore[union-attr]  # it has a law
        if decided[key] is None:
            raise KeyError(key)
        return decided[key]

    def patched_set(self: Any, key: Any, value: Any) -> None:
        if law(self, key) is None:
            plain["__setitem__"](self, key, value)
        else:  # the real variable stays: the next path begins with it
            self.encodevalue(value)
            ambient.environ[key] = value

    def patched_delete(self: Any, key: Any) -> None:
        if law(self, key) is None:
            plain["__delitem__"](self, key)
        else:
            patched_item(self, key)
            ambient.environ[key] = None

    def patched_contains(self: Any, key: object) -> bool:
        if law(self, key) is None:
            return bool(plain["__contains__"](self, key))
        try:
            patched_item(self, key)
        except KeyError:
            return False
        return True

    for name, method in zip(plain, (patched_item, patched_set, patched_delete, patched_contains), strict=True):
        method.__name__ = method.__qualname__ = name
        setattr(cls, name, method)


def _install_clocks() -> None:
    clocks: Any = time
    plain_sleep = time.sleep

    def sleep(seconds: Any, /) -> None:
        if draws.current is None:
            plain_sleep(seconds)
        else:
            draws.current.sleep(seconds, plain_sleep)

    clocks.sleep = sleep
    for name in ("time", "perf_counter"):
        setattr(clocks, name, _clock(getattr(time, name), name))
    clocks.time_ns = _clock_ns(clocks.time, "time_ns")
    clocks.perf_counter_ns = _clock_ns(clocks.perf_counter, "perf_counter_ns")


def _clock(plain: Any, name: str) -> Any:
    def read() -> float:
        return float(plain()) if draws.current is None else draws.current.clock(name, plain())

    read.__name__ = read.__qualname__ = name
    return read


def _clock_ns(seconds: Any, name: str) -> Any:
    def read() -> int:
        return int(seconds() * 1e9)

    read.__name__ = read.__qualname__ = name
    return read
