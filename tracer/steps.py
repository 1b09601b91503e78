"""From the commands that the driver sent to the steps of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.answers import SessionCommand
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.schema import Snippet, Step

DIFFERS = "<differs from run to run>"


def masked(steps: list[Step], commands: Sequence[SessionCommand], unlike: Sequence[set[str]]) -> list[Step]:
    """The steps with states that hold in every run: a value that was another one in replay is masked.

    Clocks, addresses, paths and hash order get into states even where no reveal shows them.
    """
    if not any(unlike):
        return steps
    changes = [
        {name: DIFFERS if name in names else value for name, value in command.changes.items()}
        for command, names in zip(commands, unlike, strict=True)
    ]
    return [replace(step, state=state) for step, state in zip(steps, repl.full_states(changes), strict=True)]


def steps_of(commands: Sequence[SessionCommand], snippet: Snippet, root: str) -> list[Step]:
    """Steps with their states in full; paths below ``root``, where the repository lies inside, are made relative to
    it. The pieces that ask for hidden inputs are reveals.
    """
    first_asked = len(snippet.pieces) - len(snippet.asks)
    states = repl.full_states([command.changes for command in commands])
    steps = []
    for command, state in zip(commands, states, strict=True):
        path, line = command.path, command.line
        if path.startswith("<piece "):
            line += snippet.pieces[command.piece].line - 1
            path = snippet.path
        else:
            path = path.removeprefix(root + "/")
        steps.append(
            Step(
                source=command.source,
                output=command.error if command.error is not None else doctext.shown(command.output),
                kind="reveal" if command.piece >= first_asked else command.kind,
                raised=command.raised,
                wrote=command.wrote,
                state=state,
                depth=command.depth,
                path=path,
                line=line,
            )
        )
    return steps
