"""The error that a command shows to the person at the terminal, without a traceback."""

from __future__ import annotations


class CorpusError(Exception):
    """A message for the person at the terminal; ``exit_code`` is the command's: 1 failed, 2 wrong usage."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
