"""The session format: ``render`` writes steps as REPL text, and ``parse`` reads such text back.

The text is a valid doctest and holds nothing but prompts, commands, continuation lines, output and tracebacks.
``segments`` cover it exactly: every character belongs to one segment, and a line's newline to the segment it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trace_mine.tracer.formats.rendered import Format, Pieces
from trace_mine.tracer.formats.rendered import Rendered as Rendered
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.schema import Step, Trace

PROMPT = ">>> "
CONTINUATION = "... "


def render(steps: Iterable[Step]) -> Rendered:
    """Write steps as one text: the command of each with its prompts, then its output.

    >>> render([Step(source="x = 2", output="", kind="statement"), Step(source="x", output="2", kind="reveal")]).text
    '>>> x = 2\\n>>> x\\n2\\n'
    """
    pieces = Pieces()
    for index, step in enumerate(steps):
        # A condition is a reveal too: its echo shows a value that a model can be asked for.
        role = "reveal" if step.kind in ("reveal", "condition") else "command"
        for number, line in enumerate(step.source.split("\n")):
            prompt = CONTINUATION if number else PROMPT
            # an empty line has a prompt without its space, as doctest's own examples have; editors strip it anyway
            pieces.add(prompt if line else prompt.rstrip(), "prompt", index)
            pieces.add(line + "\n", role, index)
        if step.output:
            # the one first line that a value never has: a session that prints it is no doctest, and is dropped
            pieces.add(step.output + "\n", "error" if step.output.startswith(doctext.HEADER + "\n") else "value", index)
    return pieces.rendered()


def parse(text: str) -> list[tuple[str, str]]:
    """The (command, output) pairs of a session's text, as ``render`` was given them.

    Raises:
        ValueError: the text does not begin with a prompt.
    """
    commands: list[tuple[list[str], list[str]]] = []
    in_command = False
    # not ``splitlines``, which also splits at form feeds and U+2028; the last item is what follows the last newline
    for line in text.split("\n")[:-1]:
        if line.startswith(PROMPT) or line == PROMPT.rstrip():
            commands.append(([line[len(PROMPT) :]], []))
            in_command = True
        elif not commands:
            raise ValueError(f"expected a session that begins with {PROMPT!r}, got {line[:80]!r}; pass a row's text")
        # only right after a command: further down, a line that begins with dots is output
        elif in_command and (line.startswith(CONTINUATION) or line == CONTINUATION.rstrip()):
            commands[-1][0].append(line[len(CONTINUATION) :])
        else:
            in_command = False
            commands[-1][1].append(line)
    return [("\n".join(command), "\n".join(output)) for command, output in commands]


def full_states(changes: Iterable[Mapping[str, str | None]]) -> list[dict[str, str]]:
    """The variables after each step, from the changes that each step made (None: the variable is gone)."""
    current: dict[str, str] = {}
    states = []
    for change in changes:
        for name, value in change.items():
            if value is None:
                current.pop(name, None)
            else:
                current[name] = value
        states.append(dict(current))  # a copy: the next change would show in all states before it
    return states


def render_trace(trace: Trace) -> Rendered:
    """The trace's session: the text and segments that are ``Trace.text`` and ``Trace.segments``."""
    return render(trace.steps)


REPL = Format(name="repl", description="a REPL session that replays as a doctest", render=render_trace)
