"""Exceptions in snapshots: what pickle leaves out of them, that is what raising made of them.

An exception names others, its cause and its context, and has a traceback. A program that prints them, or asks for
them, would find other ones in a restored state.
"""

from __future__ import annotations

import functools
import pickle
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from trace_mine.tracer.inside.observe.exception_fields import cause_of, context_of
from trace_mine.tracer.inside.states.attributes import HOOKS, set_attributes, state_of

# By C's getters and setters, since attributes of the program's classes are its code.
_fields = vars(BaseException)
_suppress: Callable[[BaseException], bool] = _fields["__suppress_context__"].__get__
_traceback: Callable[[BaseException], types.TracebackType | None] = _fields["__traceback__"].__get__


def recipe_of(error: BaseException) -> Any:  # pickle's own union of tuples of two to six items
    """The recipe for an exception: what its class says or, where that has no say, its attributes.

    Pickle leaves out what says where it was raised, and beside which other exceptions.
    """
    kind = type(error)
    # not by its class: what its own ``__init__`` takes need not be what it gave to ``args``
    if _is_plain_exception(kind):
        made: Any = BaseException.__new__, (kind, *error.args), state_of(error), None, None, set_attributes
    else:
        made = error.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    raised = _Raised(cause_of(error), context_of(error), _suppress(error), _traceback(error) is not None)
    if not any(raised):
        return made
    make, arguments = made[:2]
    state = made[2] if len(made) > 2 else None
    return make, arguments, (state, tuple(raised)), None, None, _set_exception


class _Raised(NamedTuple):
    """The traces that raising left in an exception: the other exceptions that it names, and if it has a traceback."""

    cause: BaseException | None
    context: BaseException | None
    has_no_context: bool
    has_traceback: bool


def _set_exception(error: BaseException, state: tuple[object, tuple[Any, ...]]) -> None:
    """Give an exception its attributes, and what raising made of it; a traceback is one that stands for all."""
    attributes, of_raising = state
    raised = _Raised(*of_raising)
    if isinstance(attributes, dict) and _is_plain_exception(type(error)):
        set_attributes(error, attributes)
    elif attributes is not None:
        error.__setstate__(attributes)  # type: ignore[arg-type]
    _set("__cause__", error, raised.cause)
    _set("__context__", error, raised.context)
    # after the cause: setting that one says that there is no context to show
    _set("__suppress_context__", error, raised.has_no_context)
    _set("__traceback__", error, some_traceback() if raised.has_traceback else None)


def _set(name: str, error: BaseException, value: object) -> None:
    _fields[name].__set__(error, value)


@functools.cache
def some_traceback() -> types.TracebackType:
    """A traceback that stands for all: its text would hang on places in commands, and its frames hold all locals.

    It is that of code in a namespace of its own, since a snippet may look into its frame.
    """
    try:
        exec("raise Exception", {"__builtins__": {"Exception": Exception}})
    except Exception as error:
        assert error.__traceback__ is not None and error.__traceback__.tb_next is not None
        return error.__traceback__.tb_next
    raise AssertionError("unreachable")


def _is_plain_exception(kind: type[BaseException]) -> bool:
    """Return True for exceptions that have nothing but ``args`` and attributes, and no word on how they are pickled.

    An OSError has fields in C, as other built-in ones do that are larger than their base.
    """
    is_built_in = kind.__module__ == "builtins"
    return (
        not is_built_in
        and next(base for base in kind.__mro__ if base.__module__ == "builtins").__basicsize__
        == BaseException.__basicsize__
        and not any(vars(base).keys() & {*HOOKS} for base in kind.__mro__ if base.__module__ != "builtins")
    )
