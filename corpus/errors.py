"""The error that a command shows to the person at the terminal, without a traceback."""

from __future__ import annotations


class CorpusError(Exception):
    """A message for the person at the terminal. The command prints it on one line, and exits with ``exit_code``: 1 for
    a command that failed, 2 for wrong usage.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
