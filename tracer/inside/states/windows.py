"""Laws of outputs for a reader who remembers the last commands alone: the exact filter begun a few commands ago.

How far such a law is from the belief says how much memory a question needs: where the filter of the last 4 commands is
as good as that of the whole session, a model that answers well has kept no more than 4 commands.

The reader knows the program and all commands of the session, since commands tell no hidden outcome, and has seen the
outputs of the last W commands before the one that is asked about. So the states before these commands are all that the
program can be in, each with its probability, whatever was shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.tracer.inside.protocol.choice_answers import CommandBelief, CommandWindow
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.records import Spent, State
from trace_mine.tracer.inside.states.support import Impossible, Support
from trace_mine.tracer.inside.states.world import World

MOST_MISSING = 1e-9
"""Mass that was not followed, from which on a law is left out: it would be no exact one."""


@dataclass(frozen=True, slots=True)
class _Point:
    """The states before a command, no output being seen, and whether they are numbers (``World.packs``)."""

    states: dict[State, float]
    lost: float
    packs: bool


def window_laws(
    commands: Sequence[tuple[str, str]], beliefs: Sequence[CommandBelief], world: World, windows: Sequence[int]
) -> tuple[CommandWindow, ...]:
    """Find the law of each open output whose belief is exact, for each window.

    Args:
        commands: source and output of each command of the session.
        beliefs: of these outputs, given all that stands before them.
        world: at the session's start, with nothing sampled in it; what it has learnt of the commands is used.
        windows: numbers of commands.

    Returns:
        In the order of the beliefs and windows, with the probabilities of the belief's outcomes. Left out are laws for
        which time or states did not suffice, and those that rest on a sampled draw, which the whole session rules out.
    """
    is_open = [belief for belief in beliefs if belief.method == "exact" and len(belief.outcomes) > 1]
    if not is_open or not windows:
        return ()
    starts = {belief.command - window for belief in is_open for window in windows}
    made: list[CommandWindow] = []
    try:
        points = _points(commands, world, {start for start in starts if start > 0})
    except (Spent, RunsDisagree):
        points = {}
    for belief in is_open:
        for window in windows:
            start = belief.command - window
            law: Sequence[float] | None = belief.probabilities
            if start > 0:  # else the window is the session, and its law the belief
                law = None if start not in points else _law(commands, belief, world, start, points[start])
            if law is not None:
                made.append(CommandWindow(command=belief.command, window=window, probabilities=tuple(law)))
    return tuple(made)


def _points(commands: Sequence[tuple[str, str]], world: World, starts: set[int]) -> dict[int, _Point]:
    """The states before each of the commands ``starts``, no output being seen; fewer where mass was not followed."""
    world.packs = False  # a support begins with the world's own first state, which is no number
    support = Support(world)
    points: dict[int, _Point] = {}
    for index, (source, _) in enumerate(commands[: max(starts, default=0)]):
        support.push(source, None)
        if support.lost > MOST_MISSING or world.sampled:
            break
        if index + 1 in starts:
            points[index + 1] = _Point(support.states, support.lost, world.packs)
    return points


def _law(
    commands: Sequence[tuple[str, str]], belief: CommandBelief, world: World, start: int, point: _Point
) -> Sequence[float] | None:
    """The law after the outputs from command ``start`` on; None where it can't be had in full."""
    world.packs = point.packs
    support = Support(world)
    support.states, support.lost = point.states, point.lost
    try:
        for source, output in commands[start : belief.command]:
            support.push(source, output)
        law = support.push(commands[belief.command][0], None)
    except (Spent, RunsDisagree, Impossible):
        return None
    total = sum(law.values())
    if support.lost > MOST_MISSING or world.sampled or not total:
        return None
    return [min(1.0, law.get(outcome, 0.0) / total) for outcome in belief.outcomes]
