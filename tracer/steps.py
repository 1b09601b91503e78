"""Makes the steps of a trace out of the commands that the driver sent: states in full, places in the repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.answers import SessionCommand
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.schema import Snippet, Step

DIFFERS = "<differs from run to run>"
"""The value, in a step's state, of a variable that had another value in replay."""


def masked(
    steps: list[Step],
    commands: Sequence[SessionCommand],
    differing: Sequence[set[str]],
    unbound: Sequence[set[str]],
) -> list[Step]:
    """The steps with states that hold in every run: a value that was another one in replay is DIFFERS, and a variable
    that was not bound there is in no state.

    Clocks, addresses, paths and hash order get into states even where no reveal shows them.

    Args:
        steps: the session's steps.
        commands: the commands that they were made of, aligned with ``steps``.
        differing: for each command, the variables that it changed and whose value was another one in replay.
        unbound: for each command, the variables that it is said to change and that were not bound in replay.
    """
    # most sessions: what follows makes each state anew, and a long session has thousands of variables in them
    if not any(differing) and not any(unbound):
        return steps
    changes = [
        {name: None if name in gone else DIFFERS if name in names else value for name, value in command.changes.items()}
        for command, names, gone in zip(commands, differing, unbound, strict=True)
    ]
    # from the changes, not state by state: a masked value stays masked until a command changes the variable again
    return [replace(step, state=state) for step, state in zip(steps, repl.full_states(changes), strict=True)]


def steps_of(commands: Sequence[SessionCommand], snippet: Snippet, root: str, scratch: str = "") -> list[Step]:
    """The steps of a session, with their states in full.

    ``root`` is the repository's folder as code in the sandbox sees it, ``scratch`` the working folder where the script
    has its own folder's files there; paths below them become relative. Commands of the pieces that ask for hidden
    inputs are reveals.
    """
    first_asked = len(snippet.pieces) - len(snippet.asks)
    states = repl.full_states([command.changes for command in commands])
    steps = []
    for command, state in zip(commands, states, strict=True):
        path, line = command.path, command.line
        if path.startswith("<piece "):
            line += snippet.pieces[command.piece].line - 1  # lines of a piece count from 1
            path = snippet.path
        else:
            # a path elsewhere stays in full: of a standard-library module that counts as own (``config.library``)
            path = path.removeprefix(root + "/").removeprefix(f"{scratch}/" if scratch else "")
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
