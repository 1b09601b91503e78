"""What every job gets beside its request, and what several of them begin with."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trace_mine.tracer.inside.draws.deciders import Replay, Stream, using
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.inside.program import Capture, Sources, fresh_namespace, future_flags, words
from trace_mine.tracer.inside.protocol.answers import Answer, Error
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, Draws, JobLimits, Laws, Program, Recorded
from trace_mine.tracer.inside.syntax import doctext

Send = Callable[[Answer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a job may use, where its answers go, and who watches the snippet's code."""

    limits: JobLimits
    send: Send
    guard: Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A program before its first piece: its sources, captured output, namespace and compiler flags."""

    sources: Sources
    capture: Capture
    namespace: dict[str, object]
    flags: int


def prepare(program: Program, context: Context) -> Prepared:
    """What native runs and driven ones begin with; ``sys.stdout`` is captured from here on.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
    """
    capture = Capture(context.limits.max_output)
    sys.stdout = capture
    namespace = fresh_namespace(program)
    capture.take()
    return Prepared(sources=Sources(program.own), capture=capture, namespace=namespace, flags=future_flags(namespace))


@contextlib.contextmanager
def drawing(draws: Draws | None, laws: Laws | None) -> Iterator[Stream | Replay | None]:
    """Draws as the job wants them, for a while; None: they are CPython's own."""
    if draws is None:
        yield None
    else:
        decider = Replay(draws.outcomes, laws) if isinstance(draws, Recorded) else Stream(draws.seed, laws)
        with using(decider):
            yield decider


def outcomes_of(decider: Stream | Replay | None) -> tuple[DrawnOutcome, ...]:
    """The outcomes that a run's draws had, as far as they were recorded."""
    return () if decider is None else tuple(decider.values)


def reseed(seed: int, draws: Draws | None) -> None:
    """Seeds ``random`` anew where nobody decides what is drawn: a generator that is seeded is no choice any more."""
    if seed and draws is None:
        random.seed(seed)


def error_of(error: BaseException) -> Error:
    """An exception's type and text with addresses masked: what V2 compares."""
    return Error(type_name=values.type_name(type(error)), message=doctext.without_addresses(words(error)))


def variables_of(namespace: dict[str, object], names: frozenset[str]) -> dict[str, str]:
    """Those of the names that are bound, with their values as text."""
    return {name: values.text(values.snapshot(namespace[name])) for name in sorted(names) if name in namespace}
