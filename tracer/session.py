"""One snippet in, one Trace or Drop out: native run, session, the three checks, and the next round when one fails.

A ``Tracer`` has two warm sandboxed workers. The first records the native run and writes the session. The second
replays it in a different world (another root and scratch folder, host name, hash seed, clock, address layout), so that
output that depends on any of them is noticed.

When a check fails, the construct or call that failed is kept as one command and the session is written again; in the
last round each statement is one command. A snippet that fails even then is dropped, with the evidence.

Over 400 lines because the rounds and the jobs that they send are one state machine, which two files would hide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Literal

from trace_mine.tracer.checks import NOTHING, PathMismatch, check_paths, check_result, unstable_parts
from trace_mine.tracer.config import TracerConfig as TracerConfig
from trace_mine.tracer.formats import repl
from trace_mine.tracer.hiding import automaton_of, believe, draws_of, laws_of, view_of
from trace_mine.tracer.inside.protocol.answers import (
    Difference,
    DriveSummary,
    MustRestart,
    NativeSummary,
    NotShowable,
    ReplayReport,
    SessionAutomaton,
    SessionCommand,
)
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, DriveJob, NativeJob, Place, Program, ReplayJob
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.rounds import (
    Again,
    Failed,
    Native,
    Plan,
    all_of,
    check_ended,
    frames_of,
    result_of,
    told_apart,
    with_whole,
)
from trace_mine.tracer.sandbox import Jail, Mount, Worker
from trace_mine.tracer.schema import Drop, Outcome, Snippet, Step, Trace
from trace_mine.tracer.steps import masked, steps_of

MAX_ROUNDS = 10
"""How often a session is written again, each time with more kept as one command.

Nested functions that fail one by one need a round each."""

MISSING = frozenset({"NameError", "ImportError", "ModuleNotFoundError"})
"""Exceptions that an example or test raises without promising them where something that it needs is missing: a plugin
of its test runner, or an import that a page of prose takes for granted. Such a session would show only that."""

_denied = re.compile(r"\[Errno (1|13|30)\][^\n]*")
"""EPERM, EACCES and EROFS in a session's text: errors of the sandbox, which the program would not meet elsewhere."""

RESEEDS = (2, 3, 5, 7)
"""Seeds of ``random`` in further replays of a session in which something differed.

A value drawn from few (a coin) agrees in one replay by luck half of the time; in five, three times of a hundred."""

RECORD_ROOT, REPLAY_ROOT = "/repo", "/check/repo"
PACKAGES = "/packages"


class Tracer:
    """Traces snippets of one repository, in two sandboxed workers that are kept between snippets.

    Use a Tracer as a context manager, or call ``close``, so that the workers end. A Tracer runs one snippet at a time.

    Raises:
        SandboxUnavailable: this machine offers less than ``config.minimum_level``.

    Many programs share the workers, which take a second to start:

    >>> import trace_mine
    >>> with trace_mine.Tracer(trace_mine.TracerConfig()) as tracer:
    ...     for source in ("x = 1\\n", "y = 2\\n"):
    ...         print(repr(tracer.trace(trace_mine.script_snippet(source, "script.py", ()))))
    Trace(1 steps, outcome='ok', view='written')
    Trace(1 steps, outcome='ok', view='written')
    """

    def __init__(self, config: TracerConfig) -> None:
        self.config = config
        self._recorder = Worker(
            self._jail(RECORD_ROOT, replaying=False),
            config.limits,
            minimum_level=config.minimum_level,
            allow_unsafe=config.allow_unsafe,
        )
        self._replayer: Worker | None = None

    def __enter__(self) -> Tracer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both workers. A second call does nothing."""
        self._recorder.close()
        if self._replayer is not None:
            self._replayer.close()

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

    def _jail(self, root: str, *, replaying: bool) -> Jail:
        config = self.config
        packages = ("/check" if replaying else "") + PACKAGES
        mounts = [Mount(source=package, target=f"{packages}/{package.name}") for package in config.packages]
        if config.repository is not None:
            mounts.insert(0, Mount(source=config.repository, target=root))
        paths = [root if not folder or folder == "." else f"{root}/{folder}" for folder in config.sys_path]
        if config.packages:
            paths.append(packages)
        return Jail(
            python=config.python,
            mounts=tuple(mounts),
            sys_path=tuple(paths),
            warm=config.warm,
            root=root,
            scratch="/check/scratch" if replaying else "/scratch",
            hostname="replay" if replaying else "sandbox",
            process_id=2_024 if replaying else 101,
            hash_seed=4_242 if replaying else 0,  # sets of texts have another order in replay
            aslr=replaying,  # addresses differ in replay, so that an `id` that is shown is noticed
            pinned_clock=not replaying,  # a session that shows the time is noticed, too
            seed=config.seed + (1 if replaying else 0),
            choices=config.view.hides,
        )

    @property
    def replayer(self) -> Worker:
        """The worker that replays; it takes a second to start, so it is started when it is first needed."""
        if self._replayer is None:
            self._replayer = Worker(
                self._jail(REPLAY_ROOT, replaying=True),
                replace(self.config.limits, forks=0),  # a replay follows no choices, and the filter is stricter so
                minimum_level=self.config.minimum_level,
                allow_unsafe=self.config.allow_unsafe,
            )
        return self._replayer

    def automaton(self, commands: Sequence[str], code: str, variables: Sequence[str] = ()) -> SessionAutomaton | str:
        """Fit the automaton that a session's commands are (see ``inside.states.automaton``).

        Args:
            commands: the sources of the session's commands.
            code: source that runs silently before them.
            variables: the variables whose values make up a state; none: all that differ between states.

        Returns:
            The automaton or, as text, the reason why there is none.
        """
        roots = [self._root()] if self.config.repository is not None else []
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
        try:
            return self._trace(snippet, lenient)
        except Failed as failed:
            return failed.drop

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
        program = self._program(snippet)
        plan = Plan(follow=0 if self.config.view.skips else self.config.follow)
        opening = True
        try:
            native = self._run_native(snippet, program)
        except Failed as failed:
            if failed.drop.reason not in (Reason.TRACE_LIMIT, Reason.WALL, Reason.CPU):
                raise
            # The run is too long for all its functions to be recorded. The snippet's own frame may still fit, with each
            # statement as one command.
            native = self._run_native(snippet, program, depth=0)
            opening = False
            plan = self._closed(plan, failed.drop.reason)
        for _ in range(MAX_ROUNDS):
            try:
                trace = self._attempt(snippet, program, native, plan, lenient)
                if lenient or not trace.failed_checks:
                    return trace
                reason, evidence = next(iter(trace.failed_checks.items()))
                raise Failed(reason, evidence)
            except Again as again:
                plan = again.plan
                if plan.reasons[-1:] == (Reason.REPLAY_DIFFERS.value,):
                    if native.unstable is None:
                        native = self._run_twice(snippet, native)
                    plan = told_apart(plan, native, again.pieces, again.commands)
            except Failed as failed:
                if failed.drop.reason in (Reason.RESULT_DIFFERS, Reason.PATH_DIFFERS) and native.unstable is None:
                    native = self._run_twice(snippet, native)
                elif opening:
                    opening = False
                    plan = self._closed(plan, failed.drop.reason)
                else:
                    raise
        raise Failed(Reason.UNFAITHFUL, f"still failing after {MAX_ROUNDS} rounds: {', '.join(plan.reasons)}")

    def _closed(self, plan: Plan, reason: str) -> Plan:
        """The last plan: every statement of the snippet is one command, and no call is followed."""
        return replace(plan, follow=-1, open_statements=False, whole=(), reasons=(*plan.reasons, reason))

    def _root(self, worker: Worker | None = None) -> str:
        """The repository's folder as code in the sandbox sees it; at level 2 that is its path on the host."""
        repository = self.config.repository
        return RECORD_ROOT if repository is None else (worker or self._recorder).inside(repository)

    def _program(self, snippet: Snippet, worker: Worker | None = None) -> Program:
        own = list(self.config.library)
        if self.config.repository is not None:
            root = self._root(worker)
            own += [f"{root}/{prefix}" for prefix in self.config.own]
        return Program(
            pieces=snippet.pieces,
            module=snippet.module,
            code=snippet.code,
            single=snippet.kind != "script",
            continue_on_error=snippet.continue_on_error,
            own=tuple(own),
            opens=snippet.opens,
        )

    def _run_twice(self, snippet: Snippet, first: Native) -> Native:
        """Run the program natively once more, in the replayer's world: values that differ then differ by themselves."""
        second = self._run_native(snippet, self._program(snippet, self.replayer), self.replayer, reseed=RESEEDS[0])
        return replace(first, unstable=unstable_parts(first.result, second.result, first.frames, second.frames))

    def _run_native(
        self,
        snippet: Snippet,
        program: Program,
        worker: Worker | None = None,
        depth: int | None = None,
        reseed: int = 0,
    ) -> Native:
        """Run the program natively, under ``sys.settrace``.

        Args:
            worker: where it runs; None: the recorder.
            depth: how deep activations are recorded; None: as deep as the session may follow calls.
            reseed: a seed for ``random`` at the start; 0: none but the sandbox's own.

        Raises:
            Failed: the run did not end well, or no session of it would be of use.
        """
        if depth is None:
            # one more for the snippet's own frame, one for a test's function, which is opened at no depth
            depth = max(self.config.follow, 0) + 1 + (1 if snippet.opens else 0)
        job = NativeJob(
            program=program,
            max_depth=depth,
            reseed=reseed,
            draws=draws_of(self.config, snippet),
            laws=laws_of(self.config),
        )
        outcome = (worker or self._recorder).run(job)
        native = result_of(outcome, "native", NativeSummary)
        if self.config.only_choices and not native.outcomes:
            raise Failed(Reason.NO_CHOICES, "the run made no draw that a view could hide")
        _check_worth(snippet, native)
        return Native(result=native, frames=frames_of(outcome))

    def _attempt(self, snippet: Snippet, program: Program, recorded: Native, plan: Plan, lenient: bool) -> Trace:
        """Write the session by the plan and check it; a check that fails is in the trace's ``failed_checks``.

        The replay comes last because it takes a run of its own for each reader; beliefs only follow if all checks
        held, because they take longer than all other runs together.

        Raises:
            Again: the session has to be written again, by another plan.
            Failed: there is no session.
        """
        run = self._drive(snippet, program, plan, has_draws=bool(recorded.result.outcomes))
        driven = _summary_of(run, plan)
        failed = self._differences(snippet, recorded, plan, run, driven)
        commands = driven.commands
        steps = steps_of(commands, snippet, self._root())
        if not steps:
            raise Failed(Reason.EMPTY, "no statement of the snippet is a command")
        rendered = repl.render(steps)
        denied = _denied.search(rendered.text)
        if denied is not None and not lenient:
            raise Failed(Reason.SANDBOX_DENIED, denied.group())
        if lenient or not failed:
            mismatch, differing = self._replay(
                snippet, program, rendered.text, plan, commands, lenient, driven.outcomes
            )
            failed.update(mismatch)
            steps = masked(steps, commands, differing)
        trace = self._trace_of(snippet, recorded, plan, run, driven, steps, rendered, failed)
        if not driven.outcomes or (failed and not lenient):
            return trace
        choices, beliefs, failure = believe(self.config, self._recorder, program, steps, rendered, driven.outcomes)
        kept = dict(trace.kept_whole) if failure is None else {**trace.kept_whole, Reason.BELIEFS_END_EARLY.value: 1}
        return replace(trace, choices=choices, beliefs=beliefs, kept_whole=kept)

    def _drive(self, snippet: Snippet, program: Program, plan: Plan, *, has_draws: bool) -> Outcome:
        opens = plan.follow >= 0
        return self._recorder.run(
            DriveJob(
                program=program if opens else replace(program, opens=()),
                follow=max(plan.follow, 0),
                hide=tuple(sorted(plan.hide)),
                whole=plan.whole,
                open_statements=plan.open_statements,
                open_comprehensions=self.config.comprehensions,
                skip_loops=self.config.view.skips,
                view=view_of(self.config, snippet, has_draws=has_draws),
                draws=draws_of(self.config, snippet),
                laws=laws_of(self.config),
            )
        )

    def _differences(
        self, snippet: Snippet, recorded: Native, plan: Plan, run: Outcome, driven: DriveSummary
    ) -> dict[str, str]:
        """The first of the result check and the path check that fails, as a reason with its evidence; else empty.

        Raises:
            Again: the path of a followed call differs, and keeping that call as one command may help.
        """
        unstable = recorded.unstable or NOTHING
        difference = check_result(recorded.result, driven, single=snippet.kind != "script", unstable=unstable)
        if difference is not None:
            return {Reason.RESULT_DIFFERS.value: difference}
        try:
            check_paths(recorded.frames, driven.frames, unstable)
        except PathMismatch as mismatch:
            if recorded.unstable is not None and plan.open_statements and not mismatch.code[0].startswith("<piece"):
                place = Place(path=mismatch.code[0], line=mismatch.code[1])
                raise Again(with_whole(plan, place, Reason.PATH_DIFFERS.value, str(mismatch))) from None
            return {Reason.PATH_DIFFERS.value: str(mismatch)}
        return {}

    def _trace_of(
        self,
        snippet: Snippet,
        recorded: Native,
        plan: Plan,
        run: Outcome,
        driven: DriveSummary,
        steps: list[Step],
        rendered: repl.Rendered,
        failed: dict[str, str],
    ) -> Trace:
        """The trace of a session, without choices and beliefs, which are found only for one that passed."""
        native = recorded.result
        last = next((piece.exception for piece in reversed(native.pieces) if piece.exception is not None), None)
        ended = native.pieces[-1].exception
        kept = dict(driven.kept)
        for reason in plan.reasons:
            kept[reason] = kept.get(reason, 0) + 1
        return Trace(
            text=rendered.text,
            segments=rendered.segments,
            steps=tuple(steps),
            setup={
                "sys_path": list(self.config.sys_path),
                "module": snippet.module,
                "code": snippet.code,
                "hash_seed": 0,
                "choices": list(driven.outcomes),
            },
            view=self.config.view.as_json(),
            outcome="ok" if ended is None else "exit" if ended.type_name == "SystemExit" else "exception",
            exception=None if last is None else last.type_name,
            integrity=run.integrity,
            sandbox=self.sandbox,
            python=self._recorder.python_version,
            opened_calls=driven.opened_calls,
            kept_whole=kept,
            doctest_passed=native.passed if snippet.kind == "doctest" else None,
            failed_checks=failed,
            frames=recorded.frames,
        )

    def _replay(
        self,
        snippet: Snippet,
        program: Program,
        text: str,
        plan: Plan,
        commands: Sequence[SessionCommand],
        lenient: bool,
        outcomes: Sequence[DrawnOutcome],
    ) -> tuple[dict[str, str], list[set[str]]]:
        """Replay the session through ``code.InteractiveConsole`` and through ``doctest``.

        In a session that had something to hide, or whose variables differed, the console replays it again with other
        seeds of ``random``. A view that hides outcomes needs none of that: there the draws are replayed too.

        Returns:
            The failed check, a reason with its evidence, or an empty dict. And for each command the variables that it
            changed to another value in some replay than in the session.

        Raises:
            Again: a command's output differs; the session has to be written again without showing it.
        """
        changed = _changed_values(commands)
        differing: list[set[str]] = [set() for _ in commands]
        turns: list[tuple[Literal["console", "doctest"], int]] = [("console", 0), ("doctest", 0)]
        while turns:
            reader, reseed = turns.pop(0)
            job = ReplayJob(
                reader=reader,
                program=program,
                text=text,
                watch=tuple(tuple(names) for names in changed),
                reseed=reseed,
                draws=draws_of(self.config, snippet, outcomes),
                laws=laws_of(self.config),
            )
            report = result_of(self.replayer.run(job), reader, ReplayReport)
            for index, replayed in enumerate(report.values):
                differing[index] |= _differing(changed[index], replayed)
            if report.differences:
                evidence = self._replay_differs(reader, report.differences, plan, commands, lenient, changed, differing)
                return {Reason.REPLAY_MISMATCH.value: evidence}, differing
            if reader == "doctest" and (plan.hide or any(differing)) and not self.config.view.hides:
                turns = [("console", seed) for seed in RESEEDS]
        return {}, differing

    def _replay_differs(
        self,
        reader: str,
        differences: Sequence[Difference],
        plan: Plan,
        commands: Sequence[SessionCommand],
        lenient: bool,
        changed: Sequence[dict[str, str]],
        differing: Sequence[set[str]],
    ) -> str:
        """The evidence of a replay that differs, where not showing the commands that differ would not help.

        It would not help commands that act (their output is the program's own), or those that the plan hides already.

        Raises:
            Again: it may help.
        """
        sources = {difference.source for difference in differences}
        first = differences[0]
        evidence = f"{reader}: {first.source!r} printed {first.got[:200]!r}, not {first.wanted[:200]!r}"
        if lenient or sources <= plan.hide or first.source.startswith(("_ = ", "ignored = ")):
            return evidence
        # A reveal of a variable whose values are equal all the same prints the order of a set: it has no piece.
        alike = {name for names in changed for name in names}.difference(*differing)
        pieces = {c.source: c.piece for c in reversed(commands)} | dict.fromkeys(alike)
        raise Again(
            replace(plan, hide=plan.hide | sources, reasons=(*plan.reasons, Reason.REPLAY_DIFFERS.value)),
            pieces={source: pieces.get(source, -1) for source in sources - plan.hide},
            commands=commands,
        )


def _check_worth(snippet: Snippet, native: NativeSummary) -> None:
    """Check that a session of the snippet would be of use, by its native run.

    Raises:
        Failed: the recording was cut off, the test skipped itself, something that the snippet needs is missing, or
            none of its pieces compiles.
    """
    if not all(piece.is_complete for piece in native.pieces):
        raise Failed(Reason.TRACING_ENDED, "a caught RecursionError or the snippet itself ended sys.settrace")
    last = native.pieces[-1].exception if native.pieces else None
    if snippet.kind == "test" and last is not None and last.type_name in ("SkipTest", "Skipped"):
        raise Failed(Reason.TEST_SKIPPED, last.message)
    missing = None if snippet.kind == "script" else _missing(native)
    if missing is not None:
        raise Failed(Reason.MISSING_CONTEXT, missing)
    if all(piece.is_syntax_error for piece in native.pieces):
        raise Failed(Reason.SYNTAX_ERROR, str(native.pieces[0].exception) if native.pieces else "no pieces")


def _missing(native: NativeSummary) -> str | None:
    """The first unpromised exception by which something that the pieces need is missing, as text; None without any."""
    for piece in native.pieces:
        error = piece.exception
        if piece.is_unpromised and error is not None and error.type_name in MISSING:
            return str(error)
    return None


def _changed_values(commands: Sequence[SessionCommand]) -> list[dict[str, str]]:
    """For each command, the variables that it changed, with their new values."""
    return [{name: value for name, value in c.changes.items() if value is not None} for c in commands]


def _differing(changed: dict[str, str], replayed: Mapping[str, str]) -> set[str]:
    """The variables that have another value in the replay; one that is not bound there shows no other value."""
    return {name for name, value in changed.items() if replayed.get(name, value) != value}


def _summary_of(run: Outcome, plan: Plan) -> DriveSummary:
    """The summary of a session that was written.

    Raises:
        Again: the driver asks for a restart with something kept whole.
        Failed: the run did not end well, or the session can't be a doctest.
    """
    check_ended(run, "drive")
    for restart in all_of(run, MustRestart):
        raise Again(with_whole(plan, restart.place, restart.reason))
    for why in all_of(run, NotShowable):
        raise Failed(Reason.NOT_A_DOCTEST, why.evidence)
    (summary,) = all_of(run, DriveSummary)
    return summary
