"""Shows an uncaught exception at the end of a session, with what Python prints above its traceback.

A traceback of a doctest has the exception's own lines and its notes. The exception that it was raised from, the one
that was being handled, and the members of a group are shown before it, by commands that read them:

    >>> error_1 = ValueError("no")
    >>> error_1.__cause__ = KeyError("k")
    >>> error_1.__cause__
    KeyError('k')
    >>> raise error_1
    Traceback (most recent call last):
        ...
    ValueError: no
"""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.tracer.inside.drive.frames import Raised, Signal
from trace_mine.tracer.inside.drive.writer import SessionWriter
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.exception_fields import cause_of, context_of, members_of, runs_code
from trace_mine.tracer.inside.syntax import doctext

# The getters of C, since attributes of a class of the snippet's are its code.
_fields = vars(BaseException)
_suppress: Callable[[BaseException], bool] = _fields["__suppress_context__"].__get__
_arguments: Callable[[BaseException], tuple[object, ...]] = _fields["args"].__get__
DEEPEST = 5
"""Groups within one another whose members are shown."""


def show_uncaught(writer: SessionWriter, raised: Raised, *, hides: bool) -> None:
    """Raise an uncaught exception by a command of its own, where its traceback lacks or something belongs above it.

    It lacks where the command that raised it printed something as well, since a doctest shows either. A
    KeyboardInterrupt is left as it is, which would end a doctest.

    Where outcomes are hidden (``hides``) nothing is shown above a traceback: the command would be rewritten to keep the
    exception, and its text would tell that it raises.
    """
    error = raised.error
    if issubclass(type(error), KeyboardInterrupt):
        return
    command = writer.commands[raised.index]
    above = [] if hides else _above(error)
    if command.error is not None and not above:
        return
    message = writer.ask(command, error)
    if message is None or not doctext.is_showable_message(message):
        return  # what can be told of it is told where it was raised
    inside = raised.inside
    if inside is not None and "__context__" in above:
        outer = writer.guard(inside.index, inside.name or writer.variables.fresh("error"))
        writer.put_inside(writer.commands[raised.first], outer)
    name = writer.guard(raised.index, writer.variables.fresh("error"))
    for attribute in above:
        writer.show_by_command(f"{name}.{attribute}")
    writer.execute(f"raise {name}", reveal=False, asked=command)


def _above(error: BaseException) -> list[str]:
    """The attributes that hold what Python prints above the exception's traceback, or beside it; those alone that are
    read, and shown, without running code of the snippet.
    """
    kind = type(error)
    above: list[str] = []
    if runs_code(kind, "__getattribute__"):
        return above
    cause, context = cause_of(error), None if _suppress(error) else context_of(error)
    for name, other in (("__cause__", cause), ("__context__", context if cause is None else None)):
        if other is not None and not runs_code(kind, name) and _is_plain(other, DEEPEST):
            above.append(name)
    if issubclass(kind, BaseExceptionGroup) and not runs_code(kind, "exceptions") and _is_plain(error, DEEPEST):
        above.append("exceptions")
    return above


def _is_plain(error: BaseException, depth: int) -> bool:
    """Return True if ``repr`` of the exception runs no code of the snippet, and is the same in every process."""
    kind = type(error)
    # a handler's statements run at a prompt where no exception is handled, but in the driver one of its own may be
    if depth == 0 or issubclass(kind, Signal) or type(kind) is not type or runs_code(kind, "__repr__"):
        return False
    if issubclass(kind, BaseExceptionGroup):
        return all(_is_plain(member, depth - 1) for member in members_of(error)) and values.stable(_arguments(error)[0])
    return all(map(values.stable, _arguments(error)))
