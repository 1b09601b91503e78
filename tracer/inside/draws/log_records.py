"""Records of ``logging``, whose time is read when something looks at it.

Each record reads the clock when it is made, and calculates three numbers of it with ``int``. Most programs show none of
them. So while paths are explored ``created``, ``msecs`` and ``relativeCreated`` are readings that wait (``readings``);
a formatter with ``%(asctime)s`` looks at them, and so does a handler of the program's own that shows them. Actual runs
and replays make a record as CPython does, with one reading.

A handler's ``emit`` catches all exceptions, so that C code which refuses such a number would be heard of by nobody:
``handleError`` lets that one out.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.refusals import Refused, is_refusal

_patched: list[type] = []


def install() -> None:
    """Patch ``logging`` where it is loaded, once."""
    module = sys.modules.get("logging")
    members = {} if module is None else vars(module)
    if "Handler" not in members or members["LogRecord"] in _patched:
        return  # it is not there, or is being imported
    record, handler = members["LogRecord"], members["Handler"]
    _patched.append(record)
    plain, plain_error, begun = record.__init__, handler.handleError, members["_startTime"]
    start = begun / 1e9 if type(begun) is int else begun  # nanoseconds from Python 3.13 on

    @functools.wraps(plain)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        decider = draws.current
        if type(decider) is not draws.Guided:
            plain(self, *args, **kwargs)
            return
        created = decider.clock("time", 0.0)
        with decider.standing():
            plain(self, *args, **kwargs)
        self.created = created
        self.msecs = created % 1.0 * 1000.0 // 1.0
        self.relativeCreated = (created - start) * 1000.0

    @functools.wraps(plain_error)
    def handle_error(self: Any, record: Any) -> None:
        decider, error = draws.current, sys.exc_info()[1]
        if isinstance(decider, draws.Guided) and decider.lazy and error is not None and is_refusal(error):
            raise Refused
        plain_error(self, record)

    record.__init__, handler.handleError = init, handle_error
