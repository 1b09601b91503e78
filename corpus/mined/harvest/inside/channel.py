"""The line in which a record is written: a secret word, and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable


def writer(word: str, descriptor: int) -> Callable[[dict[str, object]], None]:
    """Return a function that writes a record as a line to a descriptor.

    What it needs is bound here, before the repository's code runs and may put something else in its place.
    """

    def write(
        record: dict[str, object],
        dumps: Callable[..., str] = json.dumps,
        write_some: Callable[[int, bytes], int] = os.write,
    ) -> None:
        try:
            line = f"{word} {dumps(record)}\n".encode("ascii")
        except (TypeError, ValueError, RecursionError):
            return
        while line:
            line = line[write_some(descriptor, line) :]

    return write
