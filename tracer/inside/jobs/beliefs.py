"""The beliefs job: the law of each output of a session, and the choices that its recorded draws made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trace_mine.tracer.inside.draws.deciders import DrawMismatch
from trace_mine.tracer.inside.jobs.context import JobContext
from trace_mine.tracer.inside.jobs.worlds import THREADED, import_first, make_world, pool_of, watch_files
from trace_mine.tracer.inside.program import Sources
from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.choice_answers import BeliefsReport, CommandChoice
from trace_mine.tracer.inside.protocol.jobs import BeliefsJob
from trace_mine.tracer.inside.states.beliefs import SessionBeliefs, beliefs_of, choices_of
from trace_mine.tracer.inside.states.fork_watch import watch
from trace_mine.tracer.inside.states.process_facts import hangs_on
from trace_mine.tracer.inside.states.records import CannotSnapshot, HangsOn
from trace_mine.tracer.inside.states.world import World


def run(job: BeliefsJob, context: JobContext) -> End:
    """Follow all choices of the session. Sends a BeliefsReport.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
    """
    sources = Sources(job.program.own)  # one for all worlds: each would read and parse the files again
    forks = pool_of(context)

    def world(seed: int, seconds: float, lazy: bool) -> World:
        return make_world(
            job.program,
            job.laws,
            context,
            max_seconds=seconds,
            sources=sources,
            seed=seed,
            lazy=lazy,
            forks=forks,
            commands=[source for source, _ in job.commands],
        )

    watch_files()
    import_first(job.program)
    # The set-up runs under the guard too: each of many worlds has one, and code of the snippet runs between them.
    context.guard.arm()
    try:
        followed = beliefs_of(
            job.commands, world, seeds=job.num_seeds, max_seconds=job.max_seconds, windows=job.windows
        )
        choices, mismatch = _choices(job, context, sources)
    finally:
        context.guard.disarm()
    # A fork has the thread that made it and no other: results of a program with threads would be wrong.
    if forks is not None and watch.threaded:
        followed = replace(followed, failure=THREADED)
    # past the guard, which would take looks at functions for the program's
    report = report_of(followed, choices, mismatch, [source for source, _ in job.commands], sources)
    context.send(report if forks is None else replace(report, num_forked=forks.num_forked))
    return End(end="ok")


def report_of(
    followed: SessionBeliefs,
    choices: tuple[CommandChoice, ...],
    mismatch: str | None,
    commands: Sequence[str],
    sources: Sources,
) -> BeliefsReport:
    """The answer that has these beliefs and choices. Not to be called under the guard, as it looks at functions.

    Args:
        mismatch: how the session's draws differ from those that were recorded; None where they don't.
        commands: the session's.
        sources: tell which files are the repository's.
    """
    return BeliefsReport(
        beliefs=followed.beliefs,
        states=followed.states,
        failure=followed.failure,
        choices=choices,
        mismatch=mismatch,
        num_forked=0,
        windows=followed.windows,
        hangs_on="" if followed.world is None else _hangs_on(commands, followed.world, sources),
        silent=followed.silent,
    )


def _hangs_on(commands: Sequence[str], world: World, sources: Sources) -> HangsOn:
    """On what of the process the outcomes of commands may hang, whose functions are those that a world has now."""
    codes = []
    for source in commands:
        try:
            codes.append(world.code(source, "single"))
        except SyntaxError:  # the session shows it, and it runs nothing
            continue
    return hangs_on(codes, world.namespace, sources.is_own)


def _choices(job: BeliefsJob, context: JobContext, sources: Sources) -> tuple[tuple[CommandChoice, ...], str | None]:
    """The choices that the recorded outcomes imply, and None; or no choices and the reason, where the session draws
    something else than was recorded.
    """
    if job.outcomes is None:
        return (), None
    try:
        world = make_world(job.program, job.laws, context, max_seconds=job.max_seconds, sources=sources)
        # a world of its own, without forks: there is one path to follow, with all its outcomes given
        return choices_of(job.commands, world, job.outcomes), None
    except (DrawMismatch, CannotSnapshot) as error:
        return (), str(error)[:500]
