"""``sys.stdout`` and ``sys.stderr``, where a program puts streams of its own in their places."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

from trace_mine.tracer.inside.program import Capture


class _Nowhere(io.RawIOBase):
    """A stream whose texts are gone. It has the number of the descriptor of errors, for which a program may ask."""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        return len(memoryview(data).cast("B"))

    def fileno(self) -> int:
        return 2


NOWHERE = io.TextIOWrapper(
    io.BufferedWriter(_Nowhere()),  # type: ignore[type-var]  # typeshed has other types of ``write`` in mind
    "utf-8",
    "backslashreplace",
    write_through=True,
)
"""The stream of errors of paths. Sessions don't show it, and each of thousands of paths writes it again: a script that
runs ``unittest`` went past the limit of output. Not another descriptor: fork points are given up where one is opened.
"""


@dataclass(slots=True)
class Streams:
    """``sys.stdout`` and ``sys.stderr``, where the program has put others in their places.

    Attributes:
        ours: the streams of the run: those that stand there where the program has put none.
        first: those that stood there before the program ran.
    """

    module: str = "sys"
    ours: tuple[object, object] | None = None
    first: tuple[object, object] | None = None

    def begin(self) -> None:
        """Take the streams as they are for those of the start."""
        self.first = sys.stdout, sys.stderr

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``: the two streams; None for one of ours."""
        streams = tuple(None if self._is_ours(stream) else stream for stream in (sys.stdout, sys.stderr))
        return None if streams == (None, None) else streams

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        streams = value if isinstance(value, tuple) else (None, None)
        for number, (name, wanted) in enumerate(zip(("stdout", "stderr"), streams, strict=True)):
            if wanted is not None:
                setattr(sys, name, wanted)
            elif self.ours is not None and not self._is_ours(getattr(sys, name)):
                setattr(sys, name, self.ours[number])

    def _is_ours(self, stream: object) -> bool:
        if type(stream) is Capture or stream is NOWHERE or stream is sys.__stdout__ or stream is sys.__stderr__:
            return True
        return any(stream is each for streams in (self.ours, self.first) if streams is not None for each in streams)


STREAMS = Streams()
"""The setting of this process."""


class PrintingTo:
    """A context in which output and errors of the program go to these streams, where it has put no others there."""

    def __init__(self, output: object, errors: object) -> None:
        self._streams = output, errors
        self._before: tuple[object, object] | None = None

    def __enter__(self) -> None:
        self._before, STREAMS.ours = STREAMS.ours, self._streams

    def __exit__(self, *raised: object) -> None:
        STREAMS.ours = self._before
