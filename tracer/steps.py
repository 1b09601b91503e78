"""Makes the steps of a trace out of the commands that the driver sent: states in full, places in the repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.answers import DriveSummary, SessionCommand
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.schema import OpenedCall, OpenedFunction, Snippet, Step

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


def _place_of(path: str, line: int, snippet: Snippet, root: str, scratch: str) -> tuple[str, int]:
    """A file and line of the recording world as a row has them."""
    if path.startswith("<piece "):
        # its own piece, not the one that runs: a function that an earlier piece defines stands there
        number = path.removeprefix("<piece ").removesuffix(">")
        piece = int(number) if number.isdecimal() and int(number) < len(snippet.pieces) else 0
        return snippet.path, line + snippet.pieces[piece].line - 1  # lines of a piece count from 1
    # a path elsewhere stays in full: of a standard-library module that counts as own (``config.library``)
    return path.removeprefix(root + "/").removeprefix(f"{scratch}/" if scratch else ""), line


def functions_of(driven: DriveSummary, snippet: Snippet, root: str, scratch: str = "") -> tuple[OpenedFunction, ...]:
    """The functions that a session opens; ``root`` and ``scratch`` as in ``steps_of``."""
    made = []
    for function in driven.functions:
        path, line = _place_of(function.path, function.line, snippet, root, scratch)
        made.append(OpenedFunction(name=function.name, path=path, line=line, text=function.text))
    return tuple(made)


def calls_of(driven: DriveSummary) -> tuple[OpenedCall, ...]:
    """The calls that a session opens, with the steps that belong to each."""
    own: list[list[int]] = [[] for _ in driven.calls]
    for index, number in enumerate(driven.in_call):
        if number:
            own[number - 1].append(index)
    ranges = [(steps[0], steps[-1]) if steps else (-1, -1) for steps in own]
    # from the last on: each call stands after the one that made it, whose range takes in its own
    for index in range(len(ranges) - 1, -1, -1):
        (first, last), caller = ranges[index], driven.calls[index].caller - 1
        if caller >= 0 and first >= 0:
            start, end = ranges[caller]
            ranges[caller] = (first if start < 0 else min(start, first), max(end, last))
    return tuple(
        OpenedCall(caller=call.caller - 1, name=call.name, text=call.text, first=first, last=last, steps=tuple(steps))
        for call, (first, last), steps in zip(driven.calls, ranges, own, strict=True)
    )


def _texts_of(driven: DriveSummary) -> list[str]:
    """The commands' texts: those with which calls begin have these as comments before them."""
    texts = [command.source for command in driven.commands]
    for call in reversed(driven.calls):
        if call.at is not None:
            texts[call.at] = f"# {call.text}\n{texts[call.at]}"
    return texts


def steps_of(driven: DriveSummary, snippet: Snippet, root: str, scratch: str = "") -> list[Step]:
    """The steps of a session, with their states in full.

    ``root`` is the repository's folder as code in the sandbox sees it, ``scratch`` the working folder where the script
    has its own folder's files there; paths below them become relative. Commands of the pieces that ask for hidden
    inputs are reveals.
    """
    first_asked = len(snippet.pieces) - len(snippet.asks)
    states = repl.full_states([command.changes for command in driven.commands])
    steps = []
    for command, text, state in zip(driven.commands, _texts_of(driven), states, strict=True):
        path, line = _place_of(command.path, command.line, snippet, root, scratch)
        steps.append(
            Step(
                source=text,
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
