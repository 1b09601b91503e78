"""The context that every job gets beside its request, and the steps that several of them begin or end with."""

from __future__ import annotations

import atexit
import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trace_mine.tracer.inside.draws.deciders import Replay, SeededDecider, using
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.describe import note_output
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.inside.program import Capture, Sources, fresh_namespace, future_flags, words
from trace_mine.tracer.inside.protocol.answers import Answer, Error
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, Draws, JobLimits, Laws, Program, Recorded
from trace_mine.tracer.inside.syntax import doctext

Send = Callable[[Answer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """The limits that a job keeps itself, the way for its answers, and the guard that watches the snippet's code."""

    limits: JobLimits
    send: Send
    guard: Guard


@contextlib.contextmanager
def watched(context: JobContext) -> Iterator[None]:
    """A context in which the guard is armed: code of the program runs in it."""
    context.guard.arm()
    try:
        yield
    finally:
        context.guard.disarm()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A program before its first piece: its sources, captured output, namespace and compiler flags."""

    sources: Sources
    capture: Capture
    namespace: dict[str, object]
    flags: int
    num_exit_functions: int

    @property
    def has_exit_functions(self) -> bool:
        """True if the program has registered functions with ``atexit``, or imported something that has."""
        return atexit._ncallbacks() > self.num_exit_functions


def prepare(program: Program, context: JobContext) -> Prepared:
    """Prepare a program for a native run or a session; ``sys.stdout`` is captured from here on.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
    """
    capture = Capture(context.limits.max_output)
    note_output(capture)
    sys.stdout = capture  # before the import, which may print, or keep ``sys.stdout`` for later
    namespace = fresh_namespace(program)
    capture.take()  # output of imports is no part of a session
    return Prepared(
        sources=Sources(program.own),
        capture=capture,
        namespace=namespace,
        flags=future_flags(namespace),
        num_exit_functions=atexit._ncallbacks(),
    )


@contextlib.contextmanager
def drawing(draws: Draws | None, laws: Laws | None) -> Iterator[SeededDecider | Replay | None]:
    """A context in which draws are decided as the job wants: given again, or made from a seed and recorded.

    Gives the decider, or None where draws are CPython's own.
    """
    if draws is None:
        yield None
    else:
        decider = Replay(draws.outcomes, laws) if isinstance(draws, Recorded) else SeededDecider(draws.seed, laws)
        with using(decider):
            yield decider


def outcomes_of(decider: SeededDecider | Replay | None) -> tuple[DrawnOutcome, ...]:
    """The outcomes that a run's draws had, in order; none where nobody recorded them."""
    return () if decider is None else tuple(decider.values)


def reseed(seed: int, draws: Draws | None) -> None:
    """Seed ``random`` anew where draws are CPython's own.

    Where a decider records or replays them, a seeded generator would no longer ask it: seeding makes draws certain.
    """
    # replays of sessions with recorded draws were seeded once, drew otherwise, and were dropped
    if seed and draws is None:
        random.seed(seed)


def error_of(error: BaseException) -> Error:
    """An exception as its type's name and its text, with addresses masked, as the result check compares them."""
    return Error(type_name=values.type_name(type(error)), message=doctext.without_addresses(words(error)))


def variables_of(namespace: dict[str, object], names: frozenset[str]) -> dict[str, str]:
    """The values, as text, of those names that are bound; made without running the snippet's code."""
    # sorted, so that equal runs send equal bytes whatever the hash seed
    return {name: values.text(values.snapshot(namespace[name])) for name in sorted(names) if name in namespace}
