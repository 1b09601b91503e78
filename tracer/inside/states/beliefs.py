"""Beliefs of a session, from its text alone: what each output could have been, given all that stands before it.

Whatever view made the text, the question is the same: run the commands in order from every state that agrees with
what was shown. ``exact`` where every draw's outcomes were followed, ``bounded`` where a known mass was not; where a
draw has no outcomes to follow (a continuous one that is printed, hashed, multiplied), the draw is sampled and the
result averaged over seeds, each weighted by how well it explains what was shown.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from trace_mine.tracer.inside.draws.deciders import Pinned, using
from trace_mine.tracer.inside.states.paths import Unstable
from trace_mine.tracer.inside.states.records import Refused, Spent
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot
from trace_mine.tracer.inside.states.support import Impossible, Support
from trace_mine.tracer.inside.states.world import World, clock

Commands = Sequence[tuple[str, str]]
"""(source, output as a doctest has it) of each command of a session."""

MakeWorld = Callable[[int, float, bool], World]

BOUNDED = 1e-9
"""Relative mass that was not followed from which on a belief is called bounded."""


def beliefs_of(commands: Commands, make_world: MakeWorld, *, seeds: int, max_seconds: float) -> dict[str, Any]:
    """``{"beliefs": [{command, outcomes, probabilities, method, stderr}], "failure": text or None}``.

    One belief for each command that showed something; the list ends early, with ``failure``, where what was shown has
    no mass or the time is over. ``make_world(seed, seconds, lazy)`` gives a world at the session's start.
    """
    until = clock() + max_seconds
    lazy = True
    try:
        first = _run(commands, make_world, 0, max_seconds, lazy)
    except Refused:
        lazy = False
        first = _run(commands, make_world, 0, max_seconds, lazy)
    if not first.sampled:
        return {"beliefs": _exact(first), "failure": first.failure}
    runs = [first]
    share = max(clock() - until + max_seconds, 0.01)
    while len(runs) < seeds and clock() + share < until:
        runs.append(_run(commands, make_world, len(runs), until - clock(), lazy))
    return {"beliefs": _sampled(runs), "failure": None if any(r.failure is None for r in runs) else first.failure}


class _Run:
    """One pass over the commands. ``laws`` has, for each command with output: its index, the law of its text, the log
    mass before it, and the largest error that unexplored mass can cause in a probability of that law.
    """

    def __init__(self) -> None:
        self.laws: list[tuple[int, dict[str, float], float, float]] = []
        self.failure: str | None = None
        self.sampled = False


def _run(commands: Commands, make_world: MakeWorld, seed: int, seconds: float, lazy: bool) -> _Run:
    run = _Run()
    try:
        world = make_world(seed, seconds, lazy)
        support = Support(world)
    except (CannotSnapshot, Spent) as error:
        run.failure = f"{type(error).__name__}: {error}"[:300]
        return run
    for index, (source, shown) in enumerate(commands):
        before, lost = support.log_mass, support.lost
        try:
            law = support.push(source, shown)
        except Impossible as error:
            run.failure = f"Impossible: {error}"[:300]
            law = error.law
        except (Spent, Unstable, SyntaxError) as error:
            run.failure = f"{type(error).__name__}: {error}"[:300]
            break
        finally:
            run.sampled = run.sampled or world.sampled
        if shown:
            run.laws.append((index, law, before, _largest_error(lost, max(0.0, 1.0 - sum(law.values())))))
        if run.failure is not None:
            break
    return run


def _largest_error(lost: float, missing: float) -> float:
    """Bound how far a probability of a law can be off.

    ``lost`` is the mass not followed before the command, relative to the states' weights, which sum to 1; ``missing``
    the mass not followed in the command itself, so that the law's own mass is ``1 - missing``. All of it may belong to
    one text or to none: with q of the followed mass on a text, its true probability lies between q / (1 + lost) and
    (q + lost + missing) / (1 + lost), and q / (1 - missing) is reported. Both ends are at most this far away.
    """
    return min(1.0, (lost + missing) / (1.0 + lost))


def _exact(run: _Run) -> list[dict[str, Any]]:
    beliefs = []
    for index, law, _, error in run.laws:
        total = sum(law.values())
        method, error = ("bounded", error) if error > BOUNDED else ("exact", 0.0)
        beliefs.append(_belief(index, {text: mass / total for text, mass in law.items()}, method, error))
    return beliefs


def _belief(index: int, law: dict[str, float], method: str, error: float | dict[str, float]) -> dict[str, Any]:
    outcomes = sorted(law)
    return {
        "command": index,
        "outcomes": outcomes,
        "probabilities": [law[text] for text in outcomes],
        "method": method,
        "stderr": [error if isinstance(error, float) else error[text] for text in outcomes],
    }


def _sampled(runs: list[_Run]) -> list[dict[str, Any]]:
    """Seeds weighted by the mass that each gives to what was shown; the standard error of that ratio."""
    tables = [{index: (law, mass) for index, law, mass, _ in run.laws} for run in runs]
    beliefs = []
    for index in sorted(set().union(*tables)):
        known = [table[index] for table in tables if index in table]
        top = max(mass for _, mass in known)
        weighted = [(math.exp(mass - top), each) for each, mass in known]
        total = sum(weight for weight, _ in weighted)
        texts = sorted(set().union(*(each for each, _ in known)))
        law = {text: sum(w * each.get(text, 0.0) for w, each in weighted) / total for text in texts}
        error = {
            text: math.sqrt(sum((w * (each.get(text, 0.0) - law[text])) ** 2 for w, each in weighted)) / total
            for text in texts
        }
        beliefs.append(_belief(index, law, "sampled", error))
    return beliefs


def choices_of(commands: Commands, world: World, values: Sequence[Any]) -> list[dict[str, Any]]:
    """The choices that the recorded draws made, command by command: kind, place, outcomes, probabilities, taken.

    Raises:
        DrawMismatch: the session draws something else than was recorded.
    """
    choices: list[dict[str, Any]] = []
    decider = Pinned(values, laws=world.laws)
    with world.aside() as capture, using(decider):
        world.restore(world.start)
        for index, (source, _) in enumerate(commands):
            before = len(decider.log)
            try:
                exec(world.code(source, "single"), world.namespace)
            except Exception as error:
                error.__traceback__ = None  # a command that raised is part of the session
            capture.take()
            for choice in decider.log[before:]:
                choices.append({"step": index, **choice.as_json()})
    return choices


def sample_path(commands: Commands, world: World, seed: int) -> list[str]:
    """The texts that the commands show in one native run, nothing intercepted: what beliefs are held against."""
    random.seed(seed)
    texts = []
    with world.aside() as capture:
        world.restore(world.start)
        for source, _ in commands:
            texts.append(world.execute(source, "single", capture)[0])
    return texts
