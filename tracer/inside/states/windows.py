"""Laws of outputs for a reader who remembers the last commands alone: the exact filter begun a few commands ago.

How far such a law is from the belief says how much memory a question needs: where the filter of the last 4 commands is
as good as that of the whole session, a model that answers well has kept no more than 4 commands.

The reader knows the program and all commands of the session, since commands tell no hidden outcome, and has seen the
outputs of the last W commands before the one that is asked about. So the states before these commands are all that the
program can be in, each with its probability, whatever was shown.

An output has such laws where a reader who has seen nothing can't know it, whether or not the belief is certain: what
the session showed long ago may leave one outcome, and then nothing but memory tells which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from trace_mine.tracer.inside.protocol.choice_answers import CommandBelief, CommandWindow
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.records import Spent, State
from trace_mine.tracer.inside.states.support import Impossible, Support
from trace_mine.tracer.inside.states.world import World

MOST_MISSING = 1e-9
"""Mass that was not followed, from which on a law is left out: it would be no exact one."""
MOST_OUTCOMES = 64
"""Outcomes of a law beside those of the belief, the likeliest: of eight shuffled items there are 40,320."""


@dataclass(frozen=True, slots=True)
class _Point:
    """The states before a command, no output being seen, and whether they are numbers (``World.packs``)."""

    states: dict[State, float]
    lost: float
    packs: bool


def window_laws(
    commands: Sequence[tuple[str, str]], beliefs: Sequence[CommandBelief], world: World, windows: Sequence[int]
) -> tuple[CommandWindow, ...]:
    """Find the laws of each output whose belief is exact, and which a reader who has seen no output can't know.

    Args:
        commands: source and output of each command of the session.
        beliefs: of these outputs, given all that stands before them.
        world: at the session's start, with nothing sampled in it; what it has learnt of the commands is used.
        windows: numbers of commands.

    Returns:
        In the order of the beliefs and windows. Left out are laws for which time or states did not suffice, and those
        that rest on a sampled draw, which the whole session rules out.
    """
    exact = [belief for belief in beliefs if belief.method == "exact"]
    if not exact or not windows:
        return ()
    asked = {belief.command for belief in exact}
    unknown, _ = _unseen(commands, world, asked, set())
    # of what could not be followed from the start to the output, open ones alone are known to be unknown
    exact = [belief for belief in exact if belief.command in unknown or len(belief.outcomes) > 1]
    # Once more, for the states: they are kept only where a window begins. What the commands do is known by now.
    starts = {belief.command - window for belief in exact for window in windows}
    _, points = _unseen(commands, world, set(), {start for start in starts if start > 0})
    made: list[CommandWindow] = []
    for belief in exact:
        for window in windows:
            start = belief.command - window
            # a window from the first command on is the session, and its law the belief
            law: Mapping[str, float] | None = dict(zip(belief.outcomes, belief.probabilities, strict=True))
            if start > 0:
                law = None if start not in points else _law(commands, belief, world, start, points[start])
            if law is not None:
                outcomes, probabilities = _likeliest(law, belief.outcomes)
                made.append(
                    CommandWindow(command=belief.command, window=window, outcomes=outcomes, probabilities=probabilities)
                )
    return tuple(made)


def _unseen(
    commands: Sequence[tuple[str, str]], world: World, asked: Set[int], starts: Set[int]
) -> tuple[set[int], dict[int, _Point]]:
    """Follow the commands with no output being seen, as far as all mass can be followed.

    Args:
        asked: commands whose outputs are looked at.
        starts: commands before which the states are kept.

    Returns:
        Those of ``asked`` that may show more than one text, and the states before each of ``starts``.
    """
    world.packs = False  # a support begins with the world's own first state, which is no number
    support = Support(world)
    unknown: set[int] = set()
    points: dict[int, _Point] = {}
    last = max(asked | starts, default=-1)
    try:
        for index, (source, _) in enumerate(commands[: last + 1]):
            if index in starts:
                points[index] = _Point(support.states, support.lost, world.packs)
            if len(support.push(source, None)) > 1 and index in asked:
                unknown.add(index)
            if support.lost > MOST_MISSING or world.sampled:
                break
    except (Spent, RunsDisagree):
        pass  # what was found up to here stands
    return unknown, points


def _law(
    commands: Sequence[tuple[str, str]], belief: CommandBelief, world: World, start: int, point: _Point
) -> Mapping[str, float] | None:
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
    return {text: min(1.0, mass / total) for text, mass in law.items()}


def _likeliest(law: Mapping[str, float], believed: Sequence[str]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The outcomes of the belief and the likeliest others, as sorted texts, with their probabilities."""
    others = sorted((text for text in law if text not in set(believed)), key=lambda text: (-law[text], text))
    outcomes = sorted([*believed, *others[:MOST_OUTCOMES]])
    return tuple(outcomes), tuple(law.get(text, 0.0) for text in outcomes)
