"""The job that tells beliefs at each output of a session, and the choices that its recorded draws made."""

from __future__ import annotations

from trace_mine.tracer.inside.draws.deciders import DrawMismatch
from trace_mine.tracer.inside.jobs.context import Context
from trace_mine.tracer.inside.jobs.worlds import THREADED, make_world, pool_of
from trace_mine.tracer.inside.program import Sources
from trace_mine.tracer.inside.protocol.answers import BeliefsReport, CommandChoice, End
from trace_mine.tracer.inside.protocol.jobs import BeliefsJob
from trace_mine.tracer.inside.states.beliefs import beliefs_of, choices_of
from trace_mine.tracer.inside.states.fork_watch import watch
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot
from trace_mine.tracer.inside.states.world import World


def run(job: BeliefsJob, context: Context) -> End:
    """Sends a BeliefsReport."""
    sources = Sources(job.program.own)
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
        )

    context.guard.arm()
    try:
        found = beliefs_of(job.commands, world, seeds=job.num_seeds, max_seconds=job.max_seconds)
        choices, mismatch = _choices(job, context, sources)
    finally:
        context.guard.disarm()
    threaded = forks is not None and watch.threaded
    context.send(
        BeliefsReport(
            beliefs=found.beliefs,
            failure=THREADED if threaded else found.failure,
            choices=choices,
            mismatch=mismatch,
            num_forked=0 if forks is None else forks.num_forked,
        )
    )
    return End(end="ok")


def _choices(job: BeliefsJob, context: Context, sources: Sources) -> tuple[tuple[CommandChoice, ...], str | None]:
    """The choices that the recorded outcomes imply; none, with the reason, where the session draws something else."""
    if job.outcomes is None:
        return (), None
    try:
        world = make_world(job.program, job.laws, context, max_seconds=job.max_seconds, sources=sources)
        return choices_of(job.commands, world, job.outcomes), None
    except (DrawMismatch, CannotSnapshot) as error:
        return (), str(error)[:500]
