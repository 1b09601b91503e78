"""Context variables in states: the variable stays the object that it is, its value is part of the state.

A variable can be bound again, but nobody can unbind it (that takes the token of the binding, which the program has). So
commands run from a state in a copy of the context of the session's start, where it is unbound still, and the session's
own context is never changed: ``apart``.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TypeVar

Value = tuple[bool, object]
"""If a variable is bound, and to what."""
_Result = TypeVar("_Result")
_is_apart: contextvars.ContextVar[bool] = contextvars.ContextVar("is_apart", default=False)


def apart(start: contextvars.Context, function: Callable[[], _Result]) -> _Result:
    """Call a function in a copy of a context, or in this one where it is such a copy; there ``put_back`` binds."""
    if _is_apart.get():
        return function()

    def called() -> _Result:
        _is_apart.set(True)
        return function()

    return start.copy().run(called)


def value_of(variable: contextvars.ContextVar[object]) -> Value:
    """The value of a variable in this context."""
    context = contextvars.copy_context()
    return (True, context[variable]) if variable in context else (False, None)


def put_back(variable: contextvars.ContextVar[object], value: Value) -> None:
    """Bind a variable as ``value_of`` said, where commands run ``apart``: elsewhere states are only looked at.

    Raises:
        LookupError: it was unbound in that state, and was bound already at the session's start.
    """
    if not _is_apart.get():
        return
    is_bound, bound_to = value
    is_bound_now, bound_to_now = value_of(variable)
    if is_bound and not (is_bound_now and bound_to_now is bound_to):
        variable.set(bound_to)
    elif is_bound_now and not is_bound:
        raise LookupError(f"expected {variable.name} unbound, got a value that can't be taken from it")
