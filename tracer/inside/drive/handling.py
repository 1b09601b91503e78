"""Commands that run while an exception is being handled: in a handler, in ``finally``, in a manager's ``__exit__``.

A session writes a handler's statements after the command that raised, where a prompt handles no exception. The driver
runs them with the exception current all the same, so that what they raise has its ``__context__``. A command whose text
has to say so stands inside an ``except``::

    >>> try:
    ...     raise error_1
    ... except BaseException:
    ...     seen = note()

That is one which raises the exception again; in a program that asks for ``__context__``, each one that raises; and in a
program that asks for the current exception, each one that calls something, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Handled, Signal

_fields = vars(BaseException)
# the getters and setters of C, since attributes of a class of the snippet's are its code
_traceback: Any = _fields["__traceback__"]
_context: Any = _fields["__context__"]


def run_handling(context: DriveContext, handled: Handled, frame: Frame, run: Callable[[], None]) -> Signal | None:
    """Run something with an exception current, as Python does in a handler.

    Not to be called where the driver itself handles an exception, which would be the context of this one.

    Returns:
        The signal by which control left; None where it did not. It is returned, and not raised, so that the driver
        holds the exception no longer when the caller goes on.
    """
    if context.asked_for(frame) != "nothing":
        context.name_of(handled)  # now, so that the variable lives as long as the whole statement
    error = handled.error
    traceback, outer = _traceback.__get__(error), _context.__get__(error)
    left_by: Signal | None = None
    try:
        raise error
    except BaseException:
        _traceback.__set__(error, traceback)
        _context.__set__(error, outer)
        context.handling.append(handled)
        try:
            run()
        except Signal as signal:
            left_by = signal
        finally:
            context.handling.pop()
    if left_by is not None:
        left_by.__traceback__ = left_by.__context__ = None  # their frames hold the exception
    return left_by
