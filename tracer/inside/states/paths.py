"""The paths of a run: every way in which its choices may go, the likeliest first.

``run`` is called once for each path, in this process, under a ``Guided`` decider: it is run again from its start with
the first outcomes forced. Small programs give 10,000 paths a second so, where a fork for each would give 500. Where
forks are allowed and the way to a choice is long, later paths go on from there (``fork_points``), with the same result.

The mass that remains when the budget is spent is known, and bounds the error of what the paths are used for. The
likeliest paths first leave the least of it: of 16,384 paths the first 1,000 had 97% of the mass, and 66% depth first.

Two runs that agree on their outcomes have to meet the same choices. Where they don't, something that an earlier run
left behind matters (a cache, a global), and the paths would be wrong in silence: their weights once summed to 1.5. So
it is checked that a run meets the forced choices again, and that all mass is 1.

Put back before each path: the global generator where the program seeds it, inputs read, declared variables. Everything
else that ``run`` changes outside itself is its caller's business; a cache that changes later values but no choice is
not noticed. ``run`` ends by itself or by a BaseException that the program can't swallow; such an exception ends the
exploration.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.deciders import DrawMismatch, DrawnChoice, Guided, Laws, using
from trace_mine.tracer.inside.draws.refusals import is_refusal
from trace_mine.tracer.inside.states.budget import spent_seconds
from trace_mine.tracer.inside.states.fork_pipes import Late
from trace_mine.tracer.inside.states.fork_points import Followed, ForkPoints

EPSILON = 1e-13
"""Siblings lighter than this are not followed; the running path always is. Cutting that one instead, a path of many
choices never came to an end: each of the 26! orders of ``shuffle`` is lighter."""
MASS_ERROR = 1e-9
"""Rounding in the sum of 2,000 products of probabilities stays far below; a path counted twice does not."""

Waiting = tuple[float, int, tuple[int, ...], list[DrawnChoice]]
"""A path that waits to be followed: its mass, negated (the heap gives the smallest first), a number that makes equal
ones wait in turn, its forced outcomes, and the choices of the path that it branches from."""

R = TypeVar("R")


class RunsDisagree(Exception):
    """Paths of one run disagree about its choices: state is left behind between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploredPath(Generic[R]):
    """One way through a run.

    Attributes:
        weight: its probability.
        outcomes: the index of the outcome taken at each choice.
        result: the value that ``run`` gave.
        sampled: True if some draw had no outcomes to follow.
    """

    weight: float
    outcomes: tuple[int, ...]
    result: R
    sampled: bool

    def __post_init__(self) -> None:
        # Not more than 1 is asked of all paths together, where too much means that runs disagree (``RunsDisagree``).
        if not 0.0 <= self.weight < math.inf:
            raise ValueError(f"expected a probability, got weight={self.weight}; multiply those of the choices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored(Generic[R]):
    """The paths of a run, in the order in which they were followed.

    Attributes:
        paths: those that were followed.
        unexplored: the mass of the others; it and the weights of ``paths`` sum to 1.
        num_runs: the number of paths that were run.
        is_lazy: False if C code refused a lazy real (or the caller said so): continuous draws were sampled floats.
        num_forked: how many of the paths went on from a fork point.
    """

    paths: list[ExploredPath[R]]
    unexplored: float
    num_runs: int
    is_lazy: bool = True
    num_forked: int = 0


def explore(
    run: Callable[[], R],
    *,
    seed: int = 0,
    max_paths: int = 1_000,
    max_seconds: float = 5.0,
    epsilon: float = EPSILON,
    laws: Laws | None = None,
    lazy: bool = True,
    forks: ForkPoints[R] | None = None,
) -> Explored[R]:
    """Follow the paths of ``run``, best first, within the budget; at least one is followed.

    Args:
        run: the program; it must begin in the same state each time.
        seed: of sampled draws.
        max_paths, max_seconds: the budget; seconds of processor time (``budget``).
        epsilon: siblings lighter than this are counted as unexplored.
        laws: the declared laws of inputs and of environment variables.
        lazy: False makes continuous draws sampled floats. So does a TypeError of C code that refuses a lazy one, where
            ``run`` lets it out: then all runs again.
        forks: saves time where the way to the choices is long; the results of ``run`` are plain data then.

    Raises:
        RunsDisagree: the runs disagree about their choices, or the mass of all paths is not 1.
    """
    until = spent_seconds() + max_seconds
    ambient = Ambient.now()
    try:
        exploration = _Exploration(run, seed, epsilon, laws, lazy, ambient, forks)
        return exploration.follow_all(max_paths, until)
    except TypeError as error:
        if not lazy or not is_refusal(error):
            raise
        if forks is not None:
            forks.close()  # fork points of the first attempt hold lazy reals
        exploration = _Exploration(run, seed, epsilon, laws, False, ambient, forks)
        return exploration.follow_all(max_paths, until)
    finally:
        if forks is not None:
            forks.close()
        ambient.put_back()


class _Exploration(Generic[R]):
    """One exploration: the heap of the paths that wait, and the mass that was cut. See ``explore``.

    ``ambient`` is the state outside namespaces that each path begins with.
    """

    def __init__(
        self,
        run: Callable[[], R],
        seed: int,
        epsilon: float,
        laws: Laws | None,
        lazy: bool,
        ambient: Ambient,
        forks: ForkPoints[R] | None,
    ) -> None:
        self._run = run
        self._seed = seed
        self._epsilon = epsilon
        self._laws = laws
        self._lazy = lazy
        self._ambient = ambient
        self._forks = forks
        # Paths of one mass wait in the order in which they were met. Without a number of their own the heap would
        # compare their outcomes, and a budget would end on other paths than it does: rows would have other beliefs.
        self._order = itertools.count()
        self._waiting: list[Waiting] = [(-1.0, next(self._order), (), [])]
        self._cut = 0.0

    def follow_all(self, max_paths: int, until: float) -> Explored[R]:
        """Follow paths until none waits, there are ``max_paths``, or the time is over.

        The heaviest waiting path is run with its outcomes forced, and goes on with the likeliest outcome at each
        further choice. Each outcome that it did not take there is a path that waits from now on.
        """
        paths: list[ExploredPath[R]] = []
        while self._waiting and len(paths) < max_paths and (not paths or spent_seconds() < until):
            item = heapq.heappop(self._waiting)
            prefix, before = item[2:]
            try:
                followed = self._follow(prefix, before, until)
            except Late:
                heapq.heappush(self._waiting, item)  # its mass is not followed, and has to be counted
                break
            log = followed.log
            outcomes = tuple(choice.taken for choice in log)
            weight = math.prod((choice.probabilities[choice.taken] for choice in log), start=1.0)
            path = ExploredPath(weight=weight, outcomes=outcomes, result=followed.result, sampled=followed.sampled)
            paths.append(path)
            for mass, sibling in _siblings(log, outcomes, len(prefix)):
                if mass < self._epsilon:
                    self._cut += mass
                else:
                    heapq.heappush(self._waiting, (-mass, next(self._order), sibling, log))
        unexplored = self._cut - sum(item[0] for item in self._waiting)
        total = unexplored + sum(path.weight for path in paths)
        if abs(total - 1.0) > MASS_ERROR:
            raise RunsDisagree(f"expected paths of mass 1, got {total}")
        num_forked = 0 if self._forks is None else self._forks.num_forked
        return Explored(
            paths=paths, unexplored=unexplored, num_runs=len(paths), is_lazy=self._lazy, num_forked=num_forked
        )

    def _follow(self, prefix: tuple[int, ...], before: list[DrawnChoice], until: float) -> Followed[R]:
        """Run one path: from a fork point where there is one on its way, otherwise here.

        Raises:
            Late: the fork that goes on with it did not come to its end in time.
            RunsDisagree: it does not meet the choices ``before`` along its prefix.
        """
        forks = self._forks
        forked = None if forks is None else forks.follow(prefix, before, self._waiting, until)
        if forked is not None:
            return forked
        decider = Guided(prefix, seed=self._seed, laws=self._laws, lazy=self._lazy)
        self._ambient.put_back()
        if forks is not None:
            forks.begin(decider, self._waiting)
        result = self._run_here(decider)
        _check_prefix(before, decider.log, len(prefix))
        return Followed(log=decider.log, sampled=bool(decider.sampled), result=result)

    def _run_here(self, decider: Guided) -> R:
        """Run the path in this process. A fork that goes on with another path leaves it here, and never comes back."""
        forks = self._forks
        try:
            with using(decider):
                result = self._run()
            if forks is not None:
                forks.ended(decider, result)
        except BaseException as error:
            if forks is not None:
                forks.abandoned()
            # A forced outcome that the choice does not have: the run meets other choices than the one before it.
            if isinstance(error, DrawMismatch):
                raise RunsDisagree(str(error)) from None
            raise
        return result


def _siblings(
    log: list[DrawnChoice], outcomes: tuple[int, ...], num_forced: int
) -> Iterator[tuple[float, tuple[int, ...]]]:
    """(mass, outcomes so far) of each way that branches off a path after its forced prefix, by an outcome that the
    path did not take and that has a probability.

    The ways that branch off within the prefix wait already: the path that the prefix was made of added them.
    """
    weight = 1.0
    for position, choice in enumerate(log):
        if position >= num_forced:
            for index, probability in enumerate(choice.probabilities):
                if index != choice.taken and weight * probability > 0:
                    yield weight * probability, (*outcomes[:position], index)
        weight *= choice.probabilities[choice.taken]


def _check_prefix(before: Sequence[DrawnChoice], log: Sequence[DrawnChoice], length: int) -> None:
    """Check that along a forced prefix a run met the choices of the run that it branched from.

    Raises:
        RunsDisagree: it met others, or fewer.
    """
    if len(log) < length:
        raise RunsDisagree(f"expected {length} choices along a forced prefix, got {len(log)}")
    for position in range(length):
        old, new = before[position], log[position]
        if old.kind != new.kind or old.probabilities != new.probabilities:
            raise RunsDisagree(f"expected choice {position} to be {old.kind} {old.probabilities}, got {new.kind}")
