"""The lines that our code wrote in a jail among those of the repository's own code, told apart by a secret word."""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE_BYTES = 4 << 20
"""Of a longer line only the beginning is given, which is no JSON: code in that process may have learnt the word, and
what 128 MB of ``[{},{},...`` become as objects takes gigabytes. A test with 500 statements is told in 100 KB."""


def marked_lines(output: bytes, word: str) -> Iterator[bytes]:
    r"""Yield, without the word, the lines that begin with it and have an end: a run that was ended leaves half a one.

    >>> [*marked_lines(b"key 1\nnoise\nkey 2\nkey 3", "key")]
    [b'1', b'2']
    """
    prefix = f"{word} ".encode("ascii")
    # searched for, and not split at each newline: the output may be millions of empty lines
    place = len(prefix) if output.startswith(prefix) else _behind(output, b"\n" + prefix, 0)
    while place is not None and (end := output.find(b"\n", place)) >= 0:
        yield output[place : min(end, place + MAX_LINE_BYTES)]
        place = _behind(output, b"\n" + prefix, end)


def _behind(output: bytes, text: bytes, start: int) -> int | None:
    """The place behind the next such text; None where there is none."""
    place = output.find(text, start)
    return None if place < 0 else place + len(text)
