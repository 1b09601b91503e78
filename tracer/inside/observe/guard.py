"""Notices common tampering with the tracer, from inside the process that it traces.

Covered: trace and profile functions set or removed (but by the standard library's debuggers, whose runs the recorder
survives), audit hooks added, heap walks, other threads' frames, code
objects made by hand, foreign-function calls, ``sys.monitoring`` callbacks. An event marks the run ``suspect`` and
never raises: tests and libraries do some of these things for good reasons, and a row that is dropped costs less than
a run that is changed. Not covered: what raises no audit event (``frame.f_trace``, closures reached through
``__closure__``). Tracing inside the process of hostile code can be falsified for that snippet itself, and for no
other.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import NoReturn

from trace_mine.tracer.inside.observe.lists import ListWatch

MARKED = frozenset(
    [
        "sys.settrace",
        "sys.setprofile",
        "sys.addaudithook",
        "sys._current_frames",
        "sys._current_exceptions",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "cpython._PySys_ClearAuditHooks",
        "sys.monitoring.register_callback",
        "ctypes.dlopen",
        "ctypes.dlsym",
        "ctypes.dlsym/handle",
        "ctypes.call_function",
        "ctypes.cdata",
        "ctypes.cdata/buffer",
        "ctypes.addressof",
        "ctypes.string_at",
        "ctypes.wstring_at",
        "ctypes.create_string_buffer",
    ]
)
"""Names of the audit events that mark a run as suspect."""
FRAME_NAMES = frozenset(("tb_frame", "gi_frame", "cr_frame", "ag_frame"))
"""Attributes that lead to a frame; reading one of them is noticed as the event ``object.__getattr__``."""
NOTICED = frozenset(
    [
        "_thread.start_new_thread",
        "_thread.start_joinable_thread",
        "sys._getframe",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
    ]
)
"""Names of the audit events that decide how often, and by which readers, a session is replayed."""
MAX_TRIPPED = 20
"""Events that are kept: a few say what the snippet does, and the record has a limit."""
LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
SETTERS = ("bdb", "doctest", "threading", "trace")
"""Modules of the standard library that set trace functions when a program uses them as they are meant to be used."""


def _setters() -> frozenset[CodeType]:
    """The functions of SETTERS that call ``sys.settrace``, as code objects; compiled anew, since to import a module
    would hide one of the repository's that has its name.
    """
    setters: set[CodeType] = set()
    for name in SETTERS:
        path = f"{LIBRARY}{name}.py"
        try:
            module = importlib.machinery.SourceFileLoader(name, path).get_code(name)
        except (OSError, ImportError, SyntaxError):
            continue  # a library without its source: then its trace functions are noticed
        codes = [module]
        while codes:
            code = codes.pop()
            if code is not None:
                setters.update([code] if "settrace" in code.co_names else [])
                codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return frozenset(setters)


_library_setters = _setters()


class Guard:
    """Notices tampering while it is armed, which is around the snippet's own code; the end record has the result.

    Args:
        finish: sends the end record.
    """

    def __init__(self, finish: Callable[[object], None]) -> None:
        self._finish = finish
        self._tripped: list[str] = []
        self._noticed: set[str] = set()
        self._armed: list[bool] = []  # a list, which the hook can hold; armed where it has an item
        self._lent: set[str] = set()  # has an item once the standard library took the tracer off
        self._tampered = False
        self._tracer: object = None
        self._expects_tracer = False
        self._get_trace = sys.gettrace  # bound before the snippet can replace it
        self._install()

    def _install(self) -> None:
        """Add the audit hook. Its state is in default arguments: no name that it looks up can be replaced."""
        library = LIBRARY
        tripped = self._tripped

        def hook(
            event: str,
            arguments: tuple[object, ...],
            armed: list[bool] = self._armed,
            marked: frozenset[str] = MARKED,
            mark: Callable[[str], None] = tripped.append,
            size: Callable[[list[str]], int] = len,
            caller: Callable[[int], FrameType] = sys._getframe,
            own_view: CodeType = ListWatch._view.__code__,
            tripped: list[str] = tripped,
            noticed: frozenset[str] = NOTICED,
            notice: Callable[[str], None] = self._noticed.add,
            frame_names: frozenset[str] = FRAME_NAMES,
            setters: frozenset[CodeType] = _library_setters,
            lend: Callable[[str], None] = self._lent.add,
        ) -> None:
            # It never raises: libraries look at frames and heaps for good reasons, and a run must not change by that.
            if armed and (
                event in noticed
                or (
                    event == "object.__getattr__"
                    and arguments[1] in frame_names
                    # ``traceback`` and ``logging`` read them too
                    and not caller(1).f_code.co_filename.startswith(library)
                )
            ):
                notice(event)
            if armed and size(tripped) < MAX_TRIPPED:
                if event in marked:
                    if event == "sys.settrace":
                        # By all of the code, its constants and the names that it asks for: other code under the name of
                        # the library's file is not equal to it. Code that is equal does what the library's does.
                        if caller(1).f_code not in setters:
                            mark(event)
                        else:
                            lend(event)
                    # The recorder's own look at a list's memory is known by identity, as code can be made equal to it.
                    elif event != "ctypes.cdata" or caller(1).f_code is not own_view:
                        mark(event)
                elif event == "code.__new__":
                    # The standard library makes code objects too: types.coroutine, dataclasses' replace, asyncio.
                    name = caller(1).f_code.co_filename
                    if not name.startswith(library) and not name.startswith("<frozen "):
                        mark(event)

        sys.addaudithook(hook)

    def arm(self) -> None:
        """Begin to notice: the code that runs from here on is the snippet's."""
        self._armed.append(True)

    def disarm(self) -> None:
        """Stop noticing: the code that runs from here on is ours. A tracer that is not the expected one is noted."""
        self._armed.clear()
        if self._expects_tracer and not self._lent and self._get_trace() is not self._tracer:
            self._tampered = True

    def expect_tracer(self, tracer: object) -> None:
        """Expect ``sys.gettrace()`` to be ``tracer`` at each disarm (None: no tracer)."""
        self._tracer = tracer
        self._expects_tracer = True

    @property
    def noticed(self) -> tuple[str, ...]:
        """The events of NOTICED so far, sorted."""
        return tuple(sorted(self._noticed))

    @property
    def num_tripped(self) -> int:
        """The number of events marked so far, up to MAX_TRIPPED."""
        return len(self._tripped)

    def stop(self, end: Mapping[str, object]) -> NoReturn:
        """Send the end record now and end the process, without handlers; for a tracer that has seen enough."""
        self.finish(end)
        os._exit(0)  # an exception would run the snippet's own ``finally`` and ``except`` blocks

    def finish(self, end: Mapping[str, object]) -> None:
        """Send the end record, with the marked events added."""
        self._armed.clear()
        self._finish({**end, "tripped": self._tripped[:MAX_TRIPPED], "tampered": self._tampered})
