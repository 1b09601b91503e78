"""One snippet in, one Trace or Drop out: native run, session, the three checks, and the next round when one fails.

A ``Tracer`` has two warm sandboxed workers. The first records the native run and writes the session. The second
replays it in a different world (``two_worlds``), so that output that depends on the machine is noticed; nothing of ours
is in its processes, and what they print is compared here (``replays``).

When a check fails, the statement or call that differs is kept as one command and the session is written again
(``search``); in the last round each statement is one command. A snippet that fails even then is dropped, with the
evidence. ``native_runs`` and ``attempt`` are the parts of each round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from trace_mine.tracer.attempt import Attempt
from trace_mine.tracer.checks import NOTHING
from trace_mine.tracer.config import TracerConfig as TracerConfig
from trace_mine.tracer.hiding import automaton_of, windows_of
from trace_mine.tracer.inside.protocol.choice_answers import SessionAutomaton
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.inside.reasons import Reason, reason_of
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.native_records import record_of
from trace_mine.tracer.native_runs import run_again, run_within_limits, without_end
from trace_mine.tracer.replays.jails import ReplayJails
from trace_mine.tracer.rounds import Again, Failed, MissesFocus, Native, Plan
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.schema import Drop, Outcome, Snippet, Trace
from trace_mine.tracer.script_folder import FolderCopy
from trace_mine.tracer.script_world import folder_of
from trace_mine.tracer.search import MAX_ROUNDS, ROUNDS_IN_FULL, PlanSearch, as_file, closed
from trace_mine.tracer.two_worlds import jail_of, root_of

RECORDABLE = frozenset(
    {
        Reason.RESULT_DIFFERS,
        Reason.PATH_DIFFERS,
        Reason.REPLAY_MISMATCH,
        Reason.DRAWS_DIFFER,
        Reason.UNFAITHFUL,
        Reason.WALL,
        Reason.CPU,
        Reason.MEMORY,
        Reason.OUTPUT_LIMIT,
        Reason.TRACE_LIMIT,
    }
)
"""Reasons for which a snippet whose native run ended well has no session: that run can be kept as a record. Not among
them: what the sandbox denied, what was forged, and what shows a path of this machine, of which nothing is kept."""
ENDS = frozenset({Reason.WALL, Reason.CPU, Reason.NO_END, Reason.OUTPUT_LIMIT, Reason.MEMORY, Reason.SIGNAL})
"""Reasons for which a run has no end, and may have a session up to there."""


class Tracer:
    """Traces snippets of one repository, in sandboxed workers that are kept between snippets.

    Use a Tracer as a context manager, or call ``close``, so that the workers end. A Tracer runs one snippet at a time.

    Raises:
        SandboxUnavailable: this machine offers less than ``config`` asks for.

    Many programs share the workers, which take a second to start:

    >>> import trace_mine
    >>> with trace_mine.Tracer(trace_mine.TracerConfig()) as tracer:
    ...     for source in ("x = 1\\n", "y = 2\\n"):
    ...         print(repr(tracer.trace(trace_mine.script_snippet(source, "script.py", ()))))
    Trace(1 steps, outcome='ok', view='written')
    Trace(1 steps, outcome='ok', view='written')
    """

    _native: Native | None = None
    """The native run of the snippet at hand, once it ended well."""
    _copied = FolderCopy(content=WorkingFolder())
    """The copy that the snippet's runs begin in, where the configuration has none for all."""

    def __init__(self, config: TracerConfig) -> None:
        self.config = config
        self._recorder = Worker(
            jail_of(config, replaying=False),
            config.limits,
            **config.worker_levels,
        )
        if config.folder is not None:
            self._recorder.hold_folder(config.folder)
        self._replays = ReplayJails(config)

    def __enter__(self) -> Tracer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. A second call does nothing."""
        self._recorder.close()
        self._replays.close()

    @property
    def sandbox(self) -> dict[str, object]:
        """The recording worker's ``level`` (3, 2, or 0 without a sandbox) and ``layers`` (their names, as one text)."""
        return {"level": self._recorder.level, "layers": self._recorder.layers}

    @property
    def python_version(self) -> str:
        """The version of the interpreter that runs the snippets."""
        return self._recorder.python_version

    @property
    def warm_failures(self) -> dict[str, str]:
        """Modules of ``config.warm`` that could not be imported at the start, each with the error as text."""
        return dict(self._recorder.warm_failures)

    @property
    def other_world(self) -> Worker:
        """The worker of the world that replays, for jobs; it takes a second to start, when it is first needed."""
        return self._replays.worker("other world")

    def begin_unit(self) -> None:
        """Begin a unit of work, whose rows depend on no snippet before: the first of each module is audited again."""
        self._replays.begin_unit()

    def automaton(self, commands: Sequence[str], code: str, variables: Sequence[str] = ()) -> SessionAutomaton | str:
        """Fit the automaton that a session's commands are (see ``inside.states.automaton``).

        Args:
            commands: the sources of the session's commands.
            code: source that runs silently before them.
            variables: the variables whose values make up a state; none: all that differ between states.

        Returns:
            The automaton or, as text, the reason why there is none.
        """
        # without a repository nothing is mounted there: at level 2 the host may have a folder of that name
        roots = [root_of(self.config, self._recorder)] if self.config.repository is not None else []
        return automaton_of(self.config, self._recorder, roots, commands, code, variables)

    def windows(
        self, commands: Sequence[tuple[str, str]], code: str, windows: Sequence[int]
    ) -> dict[tuple[int, int], dict[str, float]] | str:
        """Find the laws of a session's outputs after the last few commands alone.

        Args:
            commands: source and output of each command.
            code: source that runs silently before them.
            windows: numbers of commands.

        Returns:
            By (index of the command, window) the probability of each outcome (see ``WindowBelief``), for each output
            that a reader who has seen nothing can't know; or, as text, the reason why there are no beliefs.
        """
        report = windows_of(self.config, self._recorder, commands, code, windows)
        if isinstance(report, str):
            return report
        return {
            (each.command, each.window): dict(zip(each.outcomes, each.probabilities, strict=True))
            for each in report.windows
        }

    @property
    def root(self) -> str:
        """The repository's folder, as code in the sandbox sees it."""
        return root_of(self.config, self._recorder)

    def run_source(self, source: str, limits: Limits) -> Outcome:
        """Run a source as ``__main__`` in the sandbox of the snippets, within limits of its own; nothing is recorded.

        Raises:
            SandboxUnavailable: the sandbox died and could not be started again.
        """
        return self._recorder.run(PlainJob(source=source, counts_events=False), limits)

    # one snippet

    def trace(self, snippet: Snippet, *, lenient: bool = False) -> Trace | Drop:
        """Record a snippet's native run, write its session, and check and replay that.

        Args:
            snippet: what to run.
            lenient: where no session passes all checks, return one that fails as it ran, with the evidence in its
                ``failed_checks`` and the command that differs in ``differs_at``. That is for looking at one program,
                never for a dataset.

        Returns:
            The trace, or the reason why there is none.

        Raises:
            SandboxUnavailable: the sandbox died and could not be started again.
        """
        losses = self._losses()
        self._replays.begin_snippet()
        self._lay_folder(snippet)
        self._native = None
        result: Trace | Drop
        try:
            result = self._trace(snippet, lenient)
        except Failed as failed:
            result = failed.drop
            if self.config.keeps_records and self._native is not None and result.reason in RECORDABLE:
                trace = record_of(self.config, self._recorder, snippet, self._native, result.reason)
                result = replace(result, record=trace)
        # Whatever was made of it: a run of which nothing is known may have looked like one that failed, and the session
        # may have been written another way for that.
        for worker in (self._recorder, *self._replays.started):
            if worker.lost_runs > losses.get(worker, 0):
                return Drop(reason=Reason.JAIL_DIED, evidence=worker.last_loss)
        return result

    def _lay_folder(self, snippet: Snippet) -> None:
        """Have the snippet's runs begin in a copy of its own folder, where it is a script of the repository."""
        if self.config.folder is not None:
            return
        copied = folder_of(self.config.repository, snippet)
        if copied.content != self._copied.content:
            self._recorder.hold_folder(copied.content)
            self._replays.hold_folder(copied.content)
        self._copied = copied

    def _cpu_spent(self) -> float:
        """The seconds of CPU that all runs of this Tracer took."""
        return self._recorder.cpu_of_jobs + self._replays.cpu_spent

    def _losses(self) -> dict[Worker, int]:
        """How many runs each worker that there is has lost with its jail."""
        return {worker: worker.lost_runs for worker in (self._recorder, *self._replays.started)}

    def _trace(self, snippet: Snippet, lenient: bool) -> Trace:
        """Search for a plan by which the session passes all checks (``PlanSearch``).

        If ``lenient``, a session that none of them gives is shown as it ran by the first plan that failed, and of a
        program that comes to a limit what it did before.

        Raises:
            Failed: no plan gives a session that passes.
        """
        config = self.config
        before = self._cpu_spent()
        unended: Failed | None = None
        try:
            native = self._native = run_within_limits(config, snippet, self._recorder, is_watched=lenient)
        except Failed as failed:
            if not lenient or reason_of(failed.drop.reason) not in ENDS:
                raise
            unended, native = failed, without_end(config, failed.drop.reason)
        cut = (native.limit,) if native.limit and native.follow >= 0 else ()
        plan = Plan(follow=0 if config.view.skips else native.follow, reasons=cut)
        opening = native.follow >= 0
        if not opening:
            plan = closed(plan, native.limit)

        def attempt(native: Native, plan: Plan, lenient: bool = False) -> Trace:
            return Attempt(
                config=config,
                recorder=self._recorder,
                replays=self._replays,
                snippet=snippet,
                native=native,
                plan=plan,
                copied=self._copied,
                lenient=lenient,
                ends=unended is not None,
            ).trace()

        def again(native: Native) -> Native:
            if unended is not None:
                return replace(native, unstable=NOTHING)
            return run_again(config, snippet, native, self.other_world)

        search = PlanSearch(
            attempt=attempt,
            again=again,
            native=native,
            plan=plan,
            opening=opening,
            spent=lambda: self._cpu_spent() - before,
            most_seconds=ROUNDS_IN_FULL * config.limits.cpu_seconds,
            is_fixed=bool(native.result.outcomes),
        )
        try:
            return _in_focus(search.trace())
        except MissesFocus:
            raise
        except Failed as failed:
            # a script's file is true whatever a session command by command could not be
            if snippet.file and not config.view.hides and unended is None:
                with contextlib.suppress(Again, Failed):
                    return attempt(search.native, as_file(search.first or search.plan, failed.drop.reason))
            if not lenient:
                raise
            if unended is not None:
                raise unended from None  # nothing came before
            plan = search.first or search.plan
            for _ in range(MAX_ROUNDS):
                try:
                    return attempt(search.native, plan, lenient=True)
                except Again as restart:  # the driver's own: a construct that it can't open after all
                    plan = restart.plan
            raise


def _in_focus(trace: Trace) -> Trace:
    """The trace, where it opens the function that its snippet is for.

    Raises:
        MissesFocus: it doesn't.
    """
    if trace.missed_focus:
        kept = ", ".join(trace.kept_whole)
        raise MissesFocus(Reason.FOCUS_MISSED, trace.missed_focus + (f"; kept whole: {kept}" if kept else ""))
    return trace
