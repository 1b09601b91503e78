"""Has ``datetime.now`` and ``utcnow`` read the clock that ``time.time`` reads, pinned or drawn.

``datetime.today`` and ``date.today`` call ``time.time`` by themselves; the other two are C functions that ask the
system. Only they are replaced, in the type itself: a subclass in its place would change ``type(x) is datetime``.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable

from trace_mine.tracer.inside.differences import UTCNOW_WARNS
from trace_mine.tracer.inside.draws.replacing import replace_in_type

_DateTime = datetime.datetime
_from_timestamp = vars(_DateTime)["fromtimestamp"]  # CPython's own, where a subclass has another one
_UTC = datetime.UTC
_DEPRECATED = (
    "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. Use timezone-aware "
    "objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC)."
)


def install(read: Callable[[], float]) -> None:
    """Patch this process. ``read`` gives seconds since 1970; a later call replaces it."""

    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        moment: datetime.datetime = _from_timestamp.__get__(None, cls)(read(), tz)
        return moment

    def utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
        if UTCNOW_WARNS.holds:
            warnings.warn(_DEPRECATED, DeprecationWarning, stacklevel=2)
        utc = _DateTime.fromtimestamp(read(), _UTC)
        return cls(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond)

    for function in (now, utcnow):
        function.__qualname__ = f"datetime.{function.__name__}"
        function.__module__ = "datetime"
        replace_in_type(_DateTime, function.__name__, classmethod(function))
