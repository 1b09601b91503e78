"""A command of a session, with all that it did."""

from __future__ import annotations

Place = tuple[str, int, int]
"""Where a command comes from: file, line, depth of followed calls. A plain tuple: one is made for each statement."""


class Command:
    """One emitted command.

    Attributes:
        source: its text, without prompts.
        kind: ``statement``, ``condition``, ``iterate``, ``bind``, ``returned`` or ``reveal``.
        output: what it printed and echoed, as it was printed; without the traceback.
        error: the traceback as doctest writes it, None where the session shows none.
        exception: the exception that it raised, also where a rewritten command catches it.
        echoed: the prompt echoed a value.
        wrote: variables that it changed or bound.
        changes: their values as text, None for a variable that is gone.
        path, line, depth: where it comes from, see ``Place``.
        piece: index of the program's piece.
    """

    __slots__ = (
        "changes",
        "depth",
        "echoed",
        "error",
        "exception",
        "kind",
        "line",
        "output",
        "path",
        "piece",
        "source",
        "wrote",
    )

    def __init__(self, source: str, kind: str, place: Place, piece: int) -> None:
        self.source = source
        self.kind = kind
        self.output = ""
        self.error: str | None = None
        self.exception: BaseException | None = None
        self.echoed = False
        self.wrote: list[str] = []
        self.changes: dict[str, str | None] = {}
        self.path, self.line, self.depth = place
        self.piece = piece


class Unshowable(Exception):
    """A command printed what no doctest can show, and it cannot be hidden; the message is the counted reason."""
