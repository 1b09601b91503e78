"""A command of a session, with all that it did."""

from __future__ import annotations

from trace_mine.tracer.inside.protocol.answers import CommandKind

Position = tuple[str, int, int, int]
"""The position in the program that a command comes from: file, line, depth of followed calls, number of the call.

A plain tuple: one is made for each statement that runs.
"""


class Command:
    """One emitted command.

    Attributes:
        source: its text, without prompts.
        kind: ``statement``; ``condition``, a test; ``iterate``, the next value of a loop; ``bind``, a parameter or
            another variable that the driver needs; ``returned``, what a followed call gives; ``reveal``;
            ``source``, the text of a function that is opened, and what gives its name back.
        output: what it printed and echoed, as it was printed; without the traceback.
        error: the traceback as doctest writes it, None where the session shows none.
        exception: the exception that it raised, also where a rewritten command catches it; None from the end of its
            handler on.
        raised: True if it raised one.
        is_asked: the exception was asked what it says, which may run code of the program.
        message: the answer, as ``SessionWriter.message_of`` gives it.
        echoed: True if the prompt echoed a value.
        wrote: variables that it changed or bound.
        changes: their values as text, None for a variable that is gone.
        path, line, depth, call: where it comes from, see ``Position``.
        begun: numbers of the calls that begin with it: its text has them as comments.
        piece: index of the program's piece.
        is_one: nothing that is hidden decides what it shows.
        num_emitted: how many commands the opening had taken note of before it; None where it has not of this one.
        num_uncertain: the commands before it that could have shown something else.
        place: number of the construct that it comes from, see ``Places``.
        num_texts: how many texts the piece had printed after it (``SessionWriter.printed``).
        printed: the characters of these texts; counted when the piece is done.
    """

    # one for each command and reveal: slots, and no dataclass, whose checks would run as often
    __slots__ = (
        "begun",
        "call",
        "changes",
        "depth",
        "echoed",
        "error",
        "exception",
        "is_asked",
        "is_one",
        "kind",
        "line",
        "message",
        "num_emitted",
        "num_texts",
        "num_uncertain",
        "output",
        "path",
        "piece",
        "place",
        "printed",
        "raised",
        "source",
        "wrote",
    )

    def __init__(self, source: str, kind: CommandKind, position: Position, piece: int) -> None:
        self.source = source
        self.kind: CommandKind = kind
        self.output = ""
        self.error: str | None = None
        self.exception: BaseException | None = None
        self.num_emitted: int | None = None
        self.raised = False
        self.is_asked = False
        self.message: str | None = None
        self.is_one = True
        self.echoed = False
        self.wrote: list[str] = []
        self.changes: dict[str, str | None] = {}
        self.path, self.line, self.depth, self.call = position
        self.begun: list[int] = []
        self.piece = piece
        self.place = 0
        self.num_texts = 0
        self.num_uncertain = 0
        self.printed = 0
