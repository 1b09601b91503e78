"""Settings that the standard library keeps for the whole process: state that a program may change, as its variables.

``sys.setrecursionlimit(...)``, ``getcontext().prec = 5``, ``warnings.simplefilter(...)``, ``sys.stdout = buffer``: each
path that draws may take changes them for all other paths, and for the session's own run. A ``ProcessSetting`` reads one
of them and sets it. ``now`` is what differs from the start, as values that are pickled with the program's variables,
since they may be objects of the program.

All is read and set by functions that were bound before the program ran; it may replace them. Not covered: what has no
way to be read or set (timers, interpreters' own caches).
"""

from __future__ import annotations

import gc
import sys
from typing import Any, Protocol

from trace_mine.tracer.inside.draws import resting, task_names
from trace_mine.tracer.inside.draws.exit_functions import ExitFunctions
from trace_mine.tracer.inside.draws.finalizers import Finalizers
from trace_mine.tracer.inside.draws.logging_settings import LoggingSettings
from trace_mine.tracer.inside.draws.module_names import ModuleSetting
from trace_mine.tracer.inside.draws.plain_settings import (
    DECIMAL,
    CsvDialects,
    FunctionSetting,
    PlainSetting,
    SignalHandlers,
    WarningFilters,
    count_of,
    set_umask,
    umask_now,
)
from trace_mine.tracer.inside.draws.streams import STREAMS

Settings = dict[str, object]
"""Values that differ from those of the start, by the name of the setting."""

_OF_SYS = frozenset(
    ("stdout", "stderr", "displayhook", "last_type", "last_value", "last_traceback", "last_exc", "ps1", "ps2")
)
"""Names of ``sys`` that are not looked at: streams have a setting of their own, the others are a prompt's."""
_LISTS = ("path", "argv", "meta_path", "path_hooks")
"""Lists of ``sys`` whose items are looked at, too."""


_enable, _disable = gc.enable, gc.disable


FELT = frozenset(("builtins", "streams"))
"""Settings on which commands depend that work on plain data alone."""


class ProcessSetting(Protocol):
    """A setting of the process; it has a value where its module is loaded.

    Attributes:
        module: the module's name.
    """

    module: str

    def changed(self) -> object | None:
        """The value, or None where it is the one of the start."""

    def put(self, value: object | None) -> None:
        """Set a value of ``changed``; None is the one of the start."""


def _collect(is_on: bool) -> None:
    (_enable if is_on else _disable)()


def _all() -> dict[str, ProcessSetting]:
    """The settings of a new program, by name."""

    def thread_pools() -> Any:
        return sys.modules["concurrent.futures.thread"].ThreadPoolExecutor

    return {
        "recursion": PlainSetting("sys", "getrecursionlimit", "setrecursionlimit"),
        "collector": FunctionSetting("gc", gc.isenabled, _collect),
        "umask": FunctionSetting("os", umask_now, set_umask),
        "sockets": PlainSetting("_socket", "getdefaulttimeout", "setdefaulttimeout"),
        "threads": FunctionSetting("threading", *count_of(lambda: sys.modules["threading"], "_counter")),
        # of a module that is loaded from the start: tasks may be made before the next question
        "tasks": FunctionSetting("sys", *count_of(lambda: task_names.Tasks, "count")),
        "thread pools": FunctionSetting("concurrent.futures.thread", *count_of(thread_pools, "_counter")),
        "decimal": DECIMAL,
        "warnings": WarningFilters(),
        "signals": SignalHandlers(),
        "csv": CsvDialects(),
        "logging": LoggingSettings(),
        "exit functions": ExitFunctions(),
        "finalizers": Finalizers(),
        "sys": ModuleSetting("sys", _OF_SYS, _LISTS),
        "builtins": ModuleSetting("builtins", frozenset("_")),
        "streams": STREAMS,
    }


_settings: dict[str, ProcessSetting] = {}
_known: tuple[int, Settings] = 0, {}
"""The settings, and the token of the time in which they are known to be these."""


def begin() -> None:
    """Take the settings as they are for those of the start."""
    global _settings, _known
    _settings, _known = _all(), (0, {})
    STREAMS.begin()
    DECIMAL.forget()
    now()


def forget() -> None:
    """Look at no settings any more, until ``begin``."""
    _settings.clear()


def now() -> Settings:
    """The settings that differ from those of the start, where their modules are loaded."""
    global _known
    token = resting.token()
    if token and token == _known[0]:
        return _known[1]
    loaded = sys.modules
    values = {
        name: value
        for name, setting in _settings.items()
        if setting.module in loaded and (value := setting.changed()) is not None
    }
    _known = token, values
    return values


def put_back(values: Settings) -> None:
    """Make the settings those of ``now``."""
    global _known
    token = resting.token()
    if token and token == _known[0] and _are_equal(values, _known[1]):
        return
    loaded = sys.modules
    for name, setting in _settings.items():
        if setting.module in loaded:
            setting.put(values.get(name))
    _known = token, values


def _are_equal(values: Settings, others: Settings) -> bool:
    """Return True for values that have the same objects; False where objects of the program can't be compared."""
    try:
        return values is others or values == others
    except Exception:
        return False
