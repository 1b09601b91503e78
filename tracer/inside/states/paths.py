"""The paths of a run: every way in which its choices may go, the likeliest first.

``run`` is called once for each path, in this process, under a ``Guided`` decider; where forks are allowed and the way
to a choice is long, later paths go on from there (``fork_points``), with the same result. What remains when the budget
is spent is known as a mass. Two runs that agree on their outcomes have to meet the same choices: where they don't,
something that an earlier run left behind matters, and the paths would be wrong in silence.

Put back before each path: the global generator where the program seeds it, inputs read, declared variables. Everything
else that ``run`` changes outside itself is its caller's business; a cache that changes later values but no choice goes
unnoticed. ``run`` ends by itself or by a BaseException that the program can't swallow; what it raises ends it all.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.deciders import Choice, DrawMismatch, Guided, Laws, Stream, using
from trace_mine.tracer.inside.draws.reals import is_refusal
from trace_mine.tracer.inside.states.fork_pipes import Late
from trace_mine.tracer.inside.states.fork_points import ForkPoints

EPSILON = 1e-13
"""Siblings lighter than this are not followed; the running path always is."""
MASS_ERROR = 1e-9

Waiting = tuple[float, int, tuple[int, ...], list[Choice]]
"""A path that waits to be followed: its mass, negated (the heap gives the smallest first), a number that makes equal
ones wait in turn, its forced outcomes, and the choices of the path that it branches from."""

clock = time.perf_counter  # bound before it is patched


class Unstable(Exception):
    """Paths of one run disagree about its choices: state is left behind between them."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way: its probability, the outcome taken at each choice, what ``run`` gave, whether a draw was sampled."""

    weight: float
    outcomes: tuple[int, ...]
    result: Any
    sampled: bool


@dataclass(frozen=True, slots=True)
class Explored:
    """``paths`` and the mass of those that were not followed; they sum to 1. ``num_runs`` counts the paths that were
    run, ``num_forked`` those of them that went on from a fork point.

    ``is_lazy`` False: C code refused a lazy real (or the caller said so), continuous draws were plain, sampled floats.
    """

    paths: list[Path]
    unexplored: float
    num_runs: int
    is_lazy: bool = True
    num_forked: int = 0

    @property
    def is_complete(self) -> bool:
        """True if all but a negligible mass was followed."""
        return self.unexplored < MASS_ERROR


def explore(
    run: Callable[[], Any],
    *,
    seed: int = 0,
    max_paths: int = 1_000,
    max_seconds: float = 5.0,
    epsilon: float = EPSILON,
    laws: Laws | None = None,
    lazy: bool = True,
    forks: ForkPoints | None = None,
) -> Explored:
    """Follows the paths of ``run``, best first, within the budget; at least one is followed.

    Siblings lighter than ``epsilon`` are counted as unexplored. ``lazy`` False makes continuous draws plain, sampled
    floats; so does a TypeError of C code that refuses a lazy one, where ``run`` lets it out: then all runs again.
    ``forks`` saves time where what stands before the choices takes long; the results of ``run`` are plain data then.

    Raises:
        Unstable: see there.
    """
    until = clock() + max_seconds
    ambient = Ambient.now()
    try:
        return _explore(run, seed, max_paths, until, epsilon, laws, lazy, ambient, forks)
    except TypeError as error:
        if not lazy or not is_refusal(error):
            raise
        if forks is not None:
            forks.close()
        return _explore(run, seed, max_paths, until, epsilon, laws, False, ambient, forks)
    finally:
        if forks is not None:
            forks.close()
        ambient.put_back()


def _explore(
    run: Callable[[], Any],
    seed: int,
    max_paths: int,
    until: float,
    epsilon: float,
    laws: Laws | None,
    lazy: bool,
    ambient: Ambient,
    forks: ForkPoints | None,
) -> Explored:
    """See ``explore``; ``ambient`` is the state outside namespaces that each path begins with.

    One function, as its three ways to end (all followed, a budget spent, a fork too late) share the heap of what waits.
    """
    order = itertools.count()
    waiting: list[Waiting] = [(-1.0, next(order), (), [])]
    paths: list[Path] = []
    cut = 0.0
    while waiting and len(paths) < max_paths and (not paths or clock() < until):
        item = heapq.heappop(waiting)
        prefix, before = item[2:]
        try:
            forked = None if forks is None else forks.follow(prefix, before, waiting, until)
        except Late:
            heapq.heappush(waiting, item)
            break
        if forked is None:
            decider = Guided(prefix, seed=seed, laws=laws, lazy=lazy)
            ambient.put_back()
            if forks is not None:
                forks.begin(decider, waiting)
            result = _run_here(run, decider, forks)
            log, sampled, outcomes = decider.log, bool(decider.sampled), decider.outcomes
            _check_prefix(before, log, len(prefix))
        else:
            log, sampled, result = forked.log, forked.sampled, forked.result
            outcomes = tuple(choice.taken for choice in log)
        weight = math.prod((choice.probabilities[choice.taken] for choice in log), start=1.0)
        paths.append(Path(weight, outcomes, result, sampled))
        for mass, siblings_prefix in _siblings(log, outcomes, len(prefix)):
            if mass < epsilon:
                cut += mass
            else:
                heapq.heappush(waiting, (-mass, next(order), siblings_prefix, log))
    unexplored = cut - sum(item[0] for item in waiting)
    total = unexplored + sum(path.weight for path in paths)
    if abs(total - 1.0) > MASS_ERROR:
        raise Unstable(f"expected paths of mass 1, got {total}")
    return Explored(paths, unexplored, len(paths), lazy, 0 if forks is None else forks.num_forked)


def _siblings(log: list[Choice], outcomes: tuple[int, ...], num_forced: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """(mass, outcomes so far) of each way that branches off a path after its forced prefix, by an outcome that the
    path did not take and that has a probability.
    """
    weight = 1.0
    for position, choice in enumerate(log):
        if position >= num_forced:
            for index, probability in enumerate(choice.probabilities):
                if index != choice.taken and weight * probability > 0:
                    yield weight * probability, (*outcomes[:position], index)
        weight *= choice.probabilities[choice.taken]


def _run_here(run: Callable[[], Any], decider: Guided, forks: ForkPoints | None) -> Any:
    """The path in this process. A fork that goes on with another path leaves it here, and never comes back."""
    try:
        with using(decider):
            result = run()
        if forks is not None:
            forks.ended(decider, result)
    except BaseException as error:
        if forks is not None:
            forks.abandoned()
        if isinstance(error, DrawMismatch):
            raise Unstable(str(error)) from None
        raise
    return result


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of an estimate: what it gave, and its share of the estimate (the shares sum to 1)."""

    seed: int
    result: Any
    weight: float


def estimate(run: Callable[[], Any], *, seeds: Sequence[int], laws: Laws | None = None) -> list[Sample]:
    """One run for each seed, with every draw drawn: for programs whose paths are past any budget.

    The runs are independent and weigh the same. With f of the results, ``mean_and_error`` gives its mean and standard
    error.
    """
    ambient = Ambient.now()
    samples = []
    try:
        for seed in seeds:
            ambient.put_back()
            with using(Stream(seed, laws)):
                samples.append(Sample(seed, run(), 1.0 / len(seeds)))
    finally:
        ambient.put_back()
    return samples


def mean_and_error(samples: Sequence[Sample], value: Callable[[Any], float]) -> tuple[float, float]:
    """The weighted mean of ``value(result)`` and its standard error (that of a weighted mean; 0 for one sample)."""
    mean = math.fsum(sample.weight * value(sample.result) for sample in samples)
    spread = math.fsum((sample.weight * (value(sample.result) - mean)) ** 2 for sample in samples)
    count = len(samples)
    return mean, math.sqrt(spread * count / (count - 1)) if count > 1 else 0.0


def _check_prefix(before: list[Choice], log: list[Choice], length: int) -> None:
    """Along a forced prefix a run must meet the choices of the run that it branched from."""
    if len(log) < length:
        raise Unstable(f"expected {length} choices along a forced prefix, got {len(log)}")
    for position in range(length):
        old, new = before[position], log[position]
        if old.kind != new.kind or old.probabilities != new.probabilities:
            raise Unstable(f"expected choice {position} to be {old.kind} {old.probabilities}, got {new.kind}")
