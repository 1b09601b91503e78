"""Native runs of a snippet, under ``sys.settrace``: the ground truth that each session is checked by.

``run_within_limits`` makes one and checks that a session of it would be of use. ``run_again`` makes a second one in the
other world, to find what differs by itself.
"""

from __future__ import annotations

import math
from dataclasses import replace

from trace_mine.tracer.checks import unstable_parts
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.hiding import draws_of, laws_of
from trace_mine.tracer.inside.protocol.answers import VALUES, NativeSummary
from trace_mine.tracer.inside.protocol.jobs import NativeJob
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replay_check import RESEEDS
from trace_mine.tracer.rounds import Failed, Native, frames_of, result_of
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Snippet
from trace_mine.tracer.scripts import SEEDING
from trace_mine.tracer.two_worlds import program_of

MISSING = frozenset({"NameError", "ImportError", "ModuleNotFoundError"})
"""Exceptions that an example or test raises without promising them where something that it needs is missing: a plugin
of its test runner, or an import that a page of prose takes for granted. Such a session would show only that."""


WATCHED = 0.5
"""The part of its time that a recorded run gets where somebody waits: recording makes a loop some 60 times as slow, and
whether the program ends at all is for a run that is not recorded to say, which gets all of it."""


def run_within_limits(config: TracerConfig, snippet: Snippet, worker: Worker, *, is_watched: bool = False) -> Native:
    """Run the snippet natively, recording as much as its limits allow: all that is to be followed, else the
    beginning, one call deep, else nothing.

    ``is_watched``: somebody waits for it, who is not to wait for more than about twice the time that it may take.

    Raises:
        Failed: the run did not end well at any of these depths, or no session of it would be of use.
    """
    limits = config.limits
    # a session that opens the calls on the way to one function alone goes as deep as that way
    follow = max(config.follow, len(snippet.focus)) if config.follow else 0
    recorded = replace(
        limits,
        wall_seconds=limits.wall_seconds * WATCHED,
        cpu_seconds=max(math.ceil(limits.cpu_seconds * WATCHED), 1),
    )
    try:
        return run_natively(config, snippet, worker, follow, limits=recorded if is_watched else None)
    except Failed as failed:
        limit = failed.drop.reason
        if limit not in (Reason.TRACE_LIMIT, Reason.WALL, Reason.CPU):
            raise
    if limit == Reason.TRACE_LIMIT:
        # one call deep, so that the lines of the record reach further; what runs after them has its result compared
        try:
            cut = run_natively(
                config, snippet, worker, min(config.follow, 1), cuts=True, limits=recorded if is_watched else None
            )
            is_cut = any(frame.is_cut for frame in cut.frames)
            return replace(cut, limit=limit) if is_cut else cut  # less deep, all of it may have been recorded
        except Failed as failed:
            if failed.drop.reason not in (Reason.TRACE_LIMIT, Reason.WALL, Reason.CPU):
                raise
    return replace(run_natively(config, snippet, worker, -1, traces=False), limit=limit)


def run_natively(
    config: TracerConfig,
    snippet: Snippet,
    worker: Worker,
    follow: int | None = None,
    *,
    reseed: int = 0,
    cuts: bool = False,
    traces: bool = True,
    limits: Limits | None = None,
) -> Native:
    """Run the snippet natively, under ``sys.settrace``.

    Args:
        config: the tracer's configuration.
        snippet: what is run.
        worker: where it is run.
        follow: the depth of calls whose activations are recorded; -1: none, and not those of ``Snippet.opens`` either;
            None: the configuration's.
        reseed: a seed for ``random`` at the start; 0: none but the sandbox's own.
        cuts: at the limit of lines the record ends, and the run goes on.
        traces: False records nothing.
        limits: of the run; None: the configuration's.

    Raises:
        Failed: the run did not end well, or no session of it would be of use.
    """
    follow = config.follow if follow is None else follow
    # one more for the snippet's own frame, one for a test's function, which is opened at no depth
    depth = 0 if follow < 0 else follow + 1 + (1 if snippet.opens else 0)
    job = NativeJob(
        program=program_of(config, snippet, worker),
        max_depth=depth,
        reseed=reseed,
        draws=draws_of(config, snippet),
        laws=laws_of(config),
        cuts=cuts,
        traces=traces,
    )
    outcome = worker.run(job, limits)
    if outcome.status == "trace-limit" and outcome.exception == VALUES:
        # less deep it would look at the same values: those of the loop that lets them grow
        raise Failed(Reason.CPU, "the native run would have taken its time for looking at values")
    native = result_of(outcome, "native", NativeSummary)
    # Asked here, not of the session: a drop now saves the drive and the replays.
    if config.only_choices and not native.outcomes:
        raise Failed(Reason.NO_CHOICES, "the run made no draw that a view could hide")
    _check_worth(snippet, native)
    return Native(result=native, frames=frames_of(outcome), follow=follow)


def run_again(config: TracerConfig, snippet: Snippet, first: Native, worker: Worker) -> Native:
    """Run the snippet natively once more, in the replayer's world: values that differ then differ by themselves.

    Args:
        config: the tracer's configuration.
        snippet: what is run.
        first: its first native run, in the recorder's world.
        worker: the replayer.

    Returns:
        The first run, with the parts that differed as ``unstable``.

    Raises:
        Failed: the second run did not end well.
    """
    second = run_natively(
        config,
        snippet,
        worker,
        first.follow,
        # generators that the set-up seeds draw the same in each run
        reseed=0 if SEEDING in snippet.code else RESEEDS[0],
        cuts=bool(first.limit) and first.follow >= 0,
        traces=first.follow >= 0,
    )
    return replace(first, unstable=unstable_parts(first.result, second.result, first.frames, second.frames))


def without_end(config: TracerConfig, limit: str) -> Native:
    """The native run of a program that has no end within its limits: nothing that a session could be compared with."""
    nothing = NativeSummary(pieces=(), passed=False, variables={}, outcomes=())
    return Native(result=nothing, frames=(), follow=config.follow, limit=limit)


def _check_worth(snippet: Snippet, native: NativeSummary) -> None:
    """Check that a session of the snippet would be of use, by its native run.

    Raises:
        Failed: the test skipped itself, something that the snippet needs is missing, or none of its pieces compiles.
    """
    # by the type's name: unittest's and pytest's exceptions are classes inside the sandbox, and no object leaves that
    last = native.pieces[-1].exception if native.pieces else None
    if snippet.kind == "test" and last is not None and last.type_name in ("SkipTest", "Skipped"):
        raise Failed(Reason.TEST_SKIPPED, last.message)
    # a script's NameError is the program's own behaviour: a script brings all that it needs
    missing = None if snippet.kind == "script" else _missing(native)
    if missing is not None:
        raise Failed(Reason.MISSING_CONTEXT, missing)
    # ``all``, not ``any``: one broken example among good ones is left out and counted (``syntax_error_example``)
    if all(piece.is_syntax_error for piece in native.pieces):
        raise Failed(Reason.SYNTAX_ERROR, str(native.pieces[0].exception) if native.pieces else "no pieces")


def _missing(native: NativeSummary) -> str | None:
    """The first unpromised exception by which something that the pieces need is missing, as text; None without any."""
    for piece in native.pieces:
        error = piece.exception
        if piece.is_unpromised and error is not None and error.type_name in MISSING:
            return str(error)
    return None
