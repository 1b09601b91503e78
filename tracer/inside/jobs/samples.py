"""Two jobs that beliefs are compared with: native runs of a session's commands, and one path of them at a time."""

from __future__ import annotations

from trace_mine.tracer.inside.draws.deciders import Guided, using
from trace_mine.tracer.inside.jobs.context import JobContext, watched
from trace_mine.tracer.inside.jobs.worlds import make_world, watch_files
from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.choice_answers import PathChoice, PathReport, SampledTexts
from trace_mine.tracer.inside.protocol.jobs import PathJob, SamplesJob
from trace_mine.tracer.inside.states.beliefs import sample_path


def run(job: SamplesJob, context: JobContext) -> End:
    """Run the commands natively, once for each seed. Sends SampledTexts for each."""
    watch_files()
    commands = [(source, "") for source in job.commands]
    for seed in range(job.first_seed, job.first_seed + job.num_samples):
        # a world for each: state of the last sample would be a cause that the next one's belief knows nothing of
        with watched(context):
            world = make_world(job.program, job.laws, context, max_seconds=job.max_seconds)
            texts = tuple(sample_path(commands, world, seed))
        context.send(SampledTexts(texts=texts))
    return End(end="ok")


def run_path(job: PathJob, context: JobContext) -> End:
    """Run one path. Sends a PathReport.

    Nothing is saved, restored or merged here, so that this is the slow reference of what ``states`` does.
    """
    watch_files()
    with watched(context):
        world = make_world(job.program, job.laws, context, max_seconds=job.max_seconds)
        decider = Guided(job.prefix, laws=world.limits.laws)
        with world.aside() as capture, using(decider):
            texts = [world.execute(source, "single", capture)[0] for source in job.commands]
    choices = tuple(
        PathChoice(kind=choice.kind, probabilities=tuple(choice.probabilities), taken=choice.taken)
        for choice in decider.log
    )
    context.send(PathReport(texts=tuple(texts), choices=choices, is_sampled=bool(decider.sampled)))
    return End(end="ok")
