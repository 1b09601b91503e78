"""The reader ``literal``: ``doctest`` itself, unchanged, on examples whose promised outputs are secrets.

Each example fails, so that doctest's own report says what was printed; the supervisor, which knows the secrets, reads
the reports. A program that looks for what it should print finds the secrets, and shows that it looked.
"""

from __future__ import annotations

import doctest
import io
import json
import os
import sys
from collections.abc import Sequence


def run(commands: int, mark: int, namespace: dict[str, object], features: Sequence[str]) -> None:
    """Read all examples (JSON pairs of source and secret), run them, and write doctest's reports on ``mark``.

    ``features`` are not used: doctest looks for them in ``namespace`` itself.
    """
    data = b""
    while chunk := os.read(commands, 1 << 16):
        data += chunk
    os.close(commands)
    # ``exc_msg`` too, so that an example that raises is reported like one that prints
    examples = [doctest.Example(source, secret + "\n", exc_msg=secret + "\n") for source, secret in json.loads(data)]
    del data, chunk
    writer = io.BufferedWriter(io.FileIO(mark, "w", closefd=False))
    out = io.TextIOWrapper(writer, encoding="utf-8", errors="backslashreplace", write_through=True)
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]  # doctest reports where the output was before it
    test = doctest.DocTest(examples, namespace, "session", None, None, None)
    test.globs = namespace  # not the copy that it makes: a script's own module has what its commands bind
    # not cleared: the end of the program's objects would run its ``__del__`` after the last command
    doctest.DocTestRunner(verbose=False).run(test, clear_globs=False)
    out.flush()
