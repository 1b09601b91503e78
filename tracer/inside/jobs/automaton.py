"""The automaton job: fits the automaton that a session's commands are, or says why they are none."""

from __future__ import annotations

from trace_mine.tracer.inside.jobs.context import JobContext, watched
from trace_mine.tracer.inside.jobs.worlds import THREADED, make_world, pool_of, watch_files
from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.choice_answers import AutomatonReport
from trace_mine.tracer.inside.protocol.jobs import AutomatonJob
from trace_mine.tracer.inside.states.automaton import NoFit, automaton_of
from trace_mine.tracer.inside.states.fork_watch import watch
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.records import Refused, Spent


def run(job: AutomatonJob, context: JobContext) -> End:
    """Fit the automaton. Sends an AutomatonReport.

    Raises:
        SetupError: the silent code raises.
    """
    watch_files()
    forks = pool_of(context)
    try:
        with watched(context):  # over the set-up too: the program's code runs in it
            world = make_world(job.program, job.laws, context, max_seconds=job.max_seconds, forks=forks)
            automaton = automaton_of(job.commands, world, job.variables)
        report = AutomatonReport(automaton=automaton, why_not=None)
    # the type's name comes first: the supervisor tells a job that ran out of time (``Spent``) by it
    except (NoFit, Refused, Spent, RunsDisagree) as error:
        report = AutomatonReport(automaton=None, why_not=f"{type(error).__name__}: {error}"[:500])
    if forks is not None and watch.threaded:  # a fork has the thread that made it and no other
        report = AutomatonReport(automaton=None, why_not=THREADED)
    context.send(report)
    return End(end="ok")
