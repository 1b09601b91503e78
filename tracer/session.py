"""One snippet in, one Trace or Drop out: native run, session, the three checks, and what to do when one fails.

Two warm sandboxed workers: the first records and drives; the second replays in a different world (another root and
scratch folder, host name, hash seed, clock, address layout), so that what depends on any of them can't pass for fact.

A failed check is not the end. The construct or call that failed is kept whole and the session is written again; in the
end each statement is one command. Only what fails even then is dropped, with the evidence.

Over 400 lines because the rounds and the jobs that they send are one state machine, which two files would hide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

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
"""How often a session is written again with more kept whole; nested functions that fail one by one need a few."""

MISSING = frozenset({"NameError", "ImportError", "ModuleNotFoundError"})
"""Exceptions that an example or test raises, unpromised, where what it needs is not there: a plugin of its test runner,
an import that a page of prose takes for granted. Such sessions teach nothing but that."""

_denied = re.compile(r"\[Errno (1|13|30)\][^\n]*")
"""Not permitted, permission denied, read-only: said by the sandbox, not by the program, and nowhere else the same."""

RESEEDS = (2, 3, 5, 7)
"""Seeds of ``random`` in further replays of a session in which something differed: one world may agree by luck."""

RECORD_ROOT, REPLAY_ROOT = "/repo", "/check/repo"
PACKAGES = "/packages"


class Tracer:
    """Holds the two workers of one repository. A context manager; ``close`` ends the workers.

    Raises:
        SandboxUnavailable: this machine offers less than ``minimum_level``.

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
        """Ends both workers; twice is fine."""
        self._recorder.close()
        if self._replayer is not None:
            self._replayer.close()

    @property
    def sandbox(self) -> dict[str, Any]:
        """``{"level", "layers"}`` of the recording worker."""
        return {"level": self._recorder.level, "layers": self._recorder.layers}

    @property
    def python_version(self) -> str:
        """The version of the interpreter that runs the snippets."""
        return self._recorder.python_version

    @property
    def warm_failures(self) -> dict[str, str]:
        """Modules that could not be imported at the start, with the reason."""
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
            hash_seed=4_242 if replaying else 0,
            aslr=replaying,
            pinned_clock=not replaying,
            seed=config.seed + (1 if replaying else 0),
            choices=config.view.hides,
        )

    @property
    def replayer(self) -> Worker:
        """The worker that replays; started when it is first needed."""
        if self._replayer is None:
            self._replayer = Worker(
                self._jail(REPLAY_ROOT, replaying=True),
                replace(self.config.limits, forks=0),
                minimum_level=self.config.minimum_level,
                allow_unsafe=self.config.allow_unsafe,
            )
        return self._replayer

    def automaton(self, commands: Sequence[str], code: str, variables: Sequence[str] = ()) -> SessionAutomaton | str:
        """The automaton that a session's commands are (see ``inside.states.automaton``), or, as text, why they are
        none.
        """
        roots = [self._root()] if self.config.repository is not None else []
        return automaton_of(self.config, self._recorder, roots, commands, code, variables)

    # one snippet

    def trace(self, snippet: Snippet, *, lenient: bool = False) -> Trace | Drop:
        """Records, writes, checks and replays one snippet.

        ``lenient``: a session that fails a check is given all the same, as it ran, with the evidence in its
        ``failed_checks``: for looking at one program, never for a dataset.
        """
        try:
            return self._trace(snippet, lenient)
        except Failed as failed:
            return failed.drop

    def _trace(self, snippet: Snippet, lenient: bool) -> Trace:
        program = self._program(snippet)
        plan = Plan(follow=0 if self.config.view.skips else self.config.follow)
        opening = True
        try:
            native = self._run_native(snippet, program)
        except Failed as failed:
            if failed.drop.reason not in ("trace_limit", "wall", "cpu"):
                raise
            # too long a run to record its functions: record the snippet's own frame, and show each statement whole
            native = self._run_native(snippet, program, depth=0)
            opening = False
            plan = self._flat(plan, failed.drop.reason)
        for _ in range(MAX_ROUNDS):
            try:
                trace = self._attempt(snippet, program, native, plan, lenient)
                if lenient or not trace.failed_checks:
                    return trace
                reason, evidence = next(iter(trace.failed_checks.items()))
                raise Failed(reason, evidence)
            except Again as again:
                plan = again.plan
                if plan.reasons[-1:] == ("replay_differs",):
                    if native.unstable is None:
                        native = self._run_twice(snippet, native)
                    plan = told_apart(plan, native, again.pieces, again.commands)
            except Failed as failed:
                if failed.drop.reason in ("result_differs", "path_differs") and native.unstable is None:
                    native = self._run_twice(snippet, native)
                elif opening:
                    opening = False
                    plan = self._flat(plan, failed.drop.reason)
                else:
                    raise
        raise Failed("unfaithful", f"still failing after {MAX_ROUNDS} rounds: {', '.join(plan.reasons)}")

    def _flat(self, plan: Plan, reason: str) -> Plan:
        """The last resort: every statement of the snippet is one command and no call is followed."""
        return replace(plan, follow=-1, open_statements=False, whole=(), reasons=(*plan.reasons, reason))

    def _root(self, worker: Worker | None = None) -> str:
        """Where the repository lies inside; at level 2 that is where it lies outside."""
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
        """Runs the program natively once more, in the replayer's world: what differs then differs by itself."""
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
        """What happens natively.

        Raises:
            Failed: the run did not end well, or nothing can be made of it.
        """
        if depth is None:
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
            raise Failed("no_choices", "the run made no draw that a view could hide")
        _check_worth(snippet, native)
        return Native(result=native, frames=frames_of(outcome))

    def _attempt(self, snippet: Snippet, program: Program, recorded: Native, plan: Plan, lenient: bool) -> Trace:
        """Writes the session by the plan and checks it; a check that fails is in the trace's ``failed_checks``.

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
            raise Failed("empty", "no statement of the snippet is a command")
        rendered = repl.render(steps)
        denied = _denied.search(rendered.text)
        if denied is not None and not lenient:
            raise Failed("sandbox_denied", denied.group())
        if lenient or not failed:
            mismatch, unlike = self._replay(snippet, program, rendered.text, plan, commands, lenient, driven.outcomes)
            failed.update(mismatch)
            steps = masked(steps, commands, unlike)
        made = self._made(snippet, recorded, plan, run, driven, steps, rendered, failed)
        if not driven.outcomes or (failed and not lenient):
            return made
        choices, beliefs, failure = believe(self.config, self._recorder, program, steps, rendered, driven.outcomes)
        kept = dict(made.kept_whole) if failure is None else {**made.kept_whole, "beliefs_end_early": 1}
        return replace(made, choices=choices, beliefs=beliefs, kept_whole=kept)

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
        """V2 and V3; the first that fails, with its evidence."""
        unstable = recorded.unstable or NOTHING
        difference = check_result(recorded.result, driven, single=snippet.kind != "script", unstable=unstable)
        if difference is not None:
            return {"result_differs": difference}
        try:
            check_paths(recorded.frames, driven.frames, unstable)
        except PathMismatch as mismatch:
            if recorded.unstable is not None and plan.open_statements and not mismatch.code[0].startswith("<piece"):
                place = Place(path=mismatch.code[0], line=mismatch.code[1])
                raise Again(with_whole(plan, place, "path_differs", str(mismatch))) from None
            return {"path_differs": str(mismatch)}
        return {}

    def _made(
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
        """V1, by both readers: the failed check, if any, and the variables whose value was another one after each step.

        Raises:
            Again: a command's output differs; the session has to be written again without showing it.
        """
        told = [{name: value for name, value in c.changes.items() if value is not None} for c in commands]
        unlike: list[set[str]] = [set() for _ in commands]
        turns: list[tuple[Literal["console", "doctest"], int]] = [("console", 0), ("doctest", 0)]
        while turns:
            reader, reseed = turns.pop(0)
            job = ReplayJob(
                reader=reader,
                program=program,
                text=text,
                watch=tuple(tuple(names) for names in told),
                reseed=reseed,
                draws=draws_of(self.config, snippet, outcomes),
                laws=laws_of(self.config),
            )
            report = result_of(self.replayer.run(job), reader, ReplayReport)
            for index, held in enumerate(report.values):
                unlike[index] |= {name for name, value in told[index].items() if held.get(name, value) != value}
            if report.differences:
                evidence = self._replay_differs(reader, report.differences, plan, commands, lenient, told, unlike)
                return {"replay_mismatch": evidence}, unlike
            if reader == "doctest" and (plan.hide or any(unlike)) and not self.config.view.hides:
                turns = [("console", seed) for seed in RESEEDS]
        return {}, unlike

    def _replay_differs(
        self,
        reader: str,
        differences: Sequence[Difference],
        plan: Plan,
        commands: Sequence[SessionCommand],
        lenient: bool,
        told: Sequence[dict[str, str]],
        unlike: Sequence[set[str]],
    ) -> str:
        """The evidence, where hiding the commands that printed something else would not help.

        Raises:
            Again: it may help.
        """
        sources = {difference.source for difference in differences}
        first = differences[0]
        evidence = f"{reader}: {first.source!r} printed {first.got[:200]!r}, not {first.wanted[:200]!r}"
        if lenient or sources <= plan.hide or first.source.startswith(("_ = ", "ignored = ")):
            return evidence
        alike = {name for names in told for name in names}.difference(*unlike)
        pieces = {c.source: c.piece for c in reversed(commands)} | dict.fromkeys(alike)
        raise Again(
            replace(plan, hide=plan.hide | sources, reasons=(*plan.reasons, "replay_differs")),
            pieces={source: pieces.get(source, -1) for source in sources - plan.hide},
            commands=commands,
        )


def _check_worth(snippet: Snippet, native: NativeSummary) -> None:
    """Raises Failed where the native run shows that no session of the snippet would be worth anything."""
    if not all(piece.is_complete for piece in native.pieces):
        raise Failed("tracing_ended", "a caught RecursionError or the snippet itself ended sys.settrace")
    last = native.pieces[-1].exception if native.pieces else None
    if snippet.kind == "test" and last is not None and last.type_name in ("SkipTest", "Skipped"):
        raise Failed("test_skipped", last.message)
    for piece in native.pieces:
        error = piece.exception
        if snippet.kind != "script" and piece.is_unpromised and error is not None and error.type_name in MISSING:
            raise Failed("missing_context", str(error))
    if all(piece.is_syntax_error for piece in native.pieces):
        raise Failed("syntax_error", str(native.pieces[0].exception) if native.pieces else "no pieces")


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
        raise Failed("not_a_doctest", why.evidence)
    (summary,) = all_of(run, DriveSummary)
    return summary
