"""The exceptions that an exception names, read by C's getters, and if code of the program runs when it is asked."""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.tracer.inside.observe.describe import HEAP_TYPE, class_dict, class_flags, class_mro
from trace_mine.tracer.inside.observe.identity import identity

cause_of: Callable[[BaseException], BaseException | None] = vars(BaseException)["__cause__"].__get__
context_of: Callable[[BaseException], BaseException | None] = vars(BaseException)["__context__"].__get__
members_of: Callable[[BaseException], tuple[BaseException, ...]] = vars(BaseExceptionGroup)["exceptions"].__get__


def runs_code(kind: type, name: str) -> bool:
    """Return True if a member that an object's class has under a name is of a class that a ``class`` statement made."""
    for base in class_mro(kind):
        if name in class_dict(base):
            return bool(class_flags(base) & HEAP_TYPE)
    return True


def asking_runs_code(error: BaseException) -> bool:
    """Return True if code of the program's may run when an exception is asked what it says.

    Whoever asks by ``traceback`` asks those too that Python prints above it.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or identity(each) in seen:
            continue
        if runs_code(type(each), "__str__"):
            return True
        seen.add(identity(each))
        waiting += [cause_of(each), context_of(each)]
        if issubclass(type(each), BaseExceptionGroup):
            waiting += members_of(each)
    return False
