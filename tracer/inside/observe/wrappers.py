"""Wrappers of decorators, which count as no level of depth: a reader means the function that is wrapped.

The recorder sees code alone, and the driver functions. Both have to count alike, or the driver opens calls that the
recorder left out: so the form of the code decides, and ``__wrapped__``, which only a function has, is asked beside it.
"""

from __future__ import annotations

import types

from trace_mine.tracer.inside.program import CO_VARARGS, CO_VARKEYWORDS


def takes_any_arguments(code: types.CodeType) -> bool:
    """Return True for code that takes whatever positional or named arguments come."""
    return bool(code.co_flags & (CO_VARARGS | CO_VARKEYWORDS))


def may_be_wrapper(code: types.CodeType) -> bool:
    """Return True for code of the native run that takes any arguments and uses variables of a function around it.

    In a session the same function may be one of the namespace, without such variables: there ``__wrapped__`` says it.
    """
    return bool(code.co_freevars) and takes_any_arguments(code)
