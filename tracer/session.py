"""One snippet in, one Trace or Drop out: native run, session, the three checks, and the next round when one fails.

A ``Tracer`` has two warm sandboxed workers. The first records the native run and writes the session. The second
replays it in a different world (``two_worlds``), so that output that depends on the machine is noticed; nothing of ours
is in its processes, and what they print is compared here (``replays``).

When a check fails, the construct or call that failed is kept as one command and the session is written again; in the
last round each statement is one command. A snippet that fails even then is dropped, with the evidence. Here are the
rounds; ``native_runs`` and ``attempt`` are the parts of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from trace_mine.tracer.attempt import Attempt
from trace_mine.tracer.config import TracerConfig as TracerConfig
from trace_mine.tracer.hiding import automaton_of
from trace_mine.tracer.inside.protocol.answers import SessionAutomaton
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.native_runs import run_again, run_natively
from trace_mine.tracer.replays.jails import ReplayJails
from trace_mine.tracer.rounds import Again, Failed, Plan, told_apart
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.schema import Drop, Snippet, Trace
from trace_mine.tracer.script_world import folder_of
from trace_mine.tracer.two_worlds import jail_of, root_of

MAX_ROUNDS = 10
"""How often a session is written again, each time with more kept as one command.

Nested functions that fail one by one need a round each."""


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

    _folder = WorkingFolder()
    """What the snippet's runs find in their working folder, where the configuration has none for all."""

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

    # one snippet

    def trace(self, snippet: Snippet, *, lenient: bool = False) -> Trace | Drop:
        """Record a snippet's native run, write its session, and check and replay that.

        Args:
            snippet: what to run.
            lenient: return a session that fails a check as it ran, with the evidence in its ``failed_checks``. That is
                for looking at one program, never for a dataset.

        Returns:
            The trace, or the reason why there is none.

        Raises:
            SandboxUnavailable: the sandbox died and could not be started again.
        """
        losses = self._losses()
        self._replays.begin_snippet()
        self._lay_folder(snippet)
        result: Trace | Drop
        try:
            result = self._trace(snippet, lenient)
        except Failed as failed:
            result = failed.drop
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
        folder = folder_of(self.config.repository, snippet)
        if folder != self._folder:
            self._folder = folder
            self._recorder.hold_folder(folder)
            self._replays.hold_folder(folder)

    def _losses(self) -> dict[Worker, int]:
        """How many runs each worker that there is has lost with its jail."""
        return {worker: worker.lost_runs for worker in (self._recorder, *self._replays.started)}

    def _trace(self, snippet: Snippet, lenient: bool) -> Trace:
        """Write sessions by one plan after the other until one passes all checks.

        A round ends in one of four ways:

        * The session passes, or is ``lenient``: it is the trace.
        * ``Again``: the attempt knows what to keep as one command or not to show; the next round does so.
        * ``Failed`` by the result or path check, the first time: the program is run natively once more, in the other
          world. Values that differ between the two runs are left out of the checks from then on, under the same plan.
        * ``Failed`` otherwise: each statement becomes one command (``_closed``). If that fails, the snippet is dropped.

        Raises:
            Failed: no plan gives a session that passes.
        """
        config = self.config
        plan = Plan(follow=0 if config.view.skips else config.follow)
        opening = True  # until the last plan, after which no other is left to try
        try:
            native = run_natively(config, snippet, self._recorder)
        except Failed as failed:
            if failed.drop.reason not in (Reason.TRACE_LIMIT, Reason.WALL, Reason.CPU):
                raise
            # The run is too long for all its functions to be recorded. The snippet's own frame may still fit, with each
            # statement as one command.
            native = run_natively(config, snippet, self._recorder, depth=0)
            opening = False
            plan = self._closed(plan, failed.drop.reason)
        for _ in range(MAX_ROUNDS):
            try:
                trace = Attempt(
                    config=config,
                    recorder=self._recorder,
                    replays=self._replays,
                    snippet=snippet,
                    native=native,
                    plan=plan,
                    lenient=lenient,
                ).trace()
                if lenient or not trace.failed_checks:
                    return trace
                # An attempt stops at the first check that fails, so that there is just one. Raised here for the handler
                # below, which treats it like an attempt that gave no session at all.
                reason, evidence = next(iter(trace.failed_checks.items()))
                raise Failed(reason, evidence)
            except Again as again:
                plan = again.plan
                # Only a replay that differs leaves it open who is to blame; the other reasons name a construct.
                if plan.reasons[-1:] == (Reason.REPLAY_DIFFERS.value,):
                    if native.unstable is None:
                        native = run_again(config, snippet, native, self.other_world)
                    plan = told_apart(plan, native, again.pieces, again.commands)
            except Failed as failed:
                # The program comes before the tracer as a suspect, because asking costs one run, while giving up what
                # is open costs the row most of what it shows: one harmless line took 55 commands to 12.
                if failed.drop.reason in (Reason.RESULT_DIFFERS, Reason.PATH_DIFFERS) and native.unstable is None:
                    native = run_again(config, snippet, native, self.other_world)
                elif opening:
                    opening = False
                    plan = self._closed(plan, failed.drop.reason)
                elif snippet.file and not plan.as_file and not config.view.hides:
                    plan = replace(plan, as_file=True, reasons=(*plan.reasons, Reason.RUN_AS_FILE.value))
                else:
                    raise
        # ``UNFAITHFUL`` and not the last round's reason: no single one of them is why there is no session.
        raise Failed(Reason.UNFAITHFUL, f"still failing after {MAX_ROUNDS} rounds: {', '.join(plan.reasons)}")

    def _closed(self, plan: Plan, reason: str) -> Plan:
        """The last plan: every statement of the snippet is one command, and no call is followed."""
        # ``whole`` has no meaning any more, ``hide`` keeps its own: an output that differs does so in one command too
        return replace(plan, follow=-1, open_statements=False, whole=(), reasons=(*plan.reasons, reason))
