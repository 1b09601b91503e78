"""One attempt at a session: write it by a plan, hold it to the three checks, and make the Trace of it.

``session`` makes attempts, one for each round, until one passes. Over 400 lines because all that decides if an attempt
holds, and what is made of it, stands in one place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from trace_mine.tracer.blame import blame, command_of
from trace_mine.tracer.checks import NOTHING, result_difference
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.denials import Denial, denial_in, denial_of_script
from trace_mine.tracer.event_log import EventLog
from trace_mine.tracer.focus_check import missed_focus
from trace_mine.tracer.formats import repl
from trace_mine.tracer.hiding import (
    Believed,
    believe,
    draws_of,
    laws_of,
    not_contradicted,
    view_of,
    wants_beliefs,
)
from trace_mine.tracer.inside.protocol.answers import CommandBegun, DriveSummary, MustRestart
from trace_mine.tracer.inside.protocol.choice_answers import BeliefsReport
from trace_mine.tracer.inside.protocol.jobs import DriveJob, Program
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.native_records import events_of, outcome_word
from trace_mine.tracer.own_frames import account_of
from trace_mine.tracer.path_check import PathMismatch, check_paths
from trace_mine.tracer.replay_check import WrittenSession, replay_session
from trace_mine.tracer.replays.jails import ReplayJails
from trace_mine.tracer.replays.reader import WORLDS
from trace_mine.tracer.rounds import (
    Again,
    Blame,
    Differs,
    Failed,
    MissesFocus,
    Native,
    Plan,
    all_of,
    check_ended,
    with_whole,
)
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Outcome, Snippet, Step, Trace, Verification
from trace_mine.tracer.script_folder import FolderCopy
from trace_mine.tracer.scripts import reads_source
from trace_mine.tracer.steps import DIFFERS, calls_of, functions_of, masked, steps_of
from trace_mine.tracer.two_worlds import library_on_host, program_of, root_of

_word = re.compile(r"\w+")

MOST_UNSHOWN = 12
"""Outputs of a session that are left out because other processes could show others, each found in a session more."""
BEFORE_LIMIT, KILLED_AT = 0.2, 0.3
"""The parts of its limits after which a run ends by itself, where its session so far is wanted, and after which it is
killed where it did not (a call of C code that never returns). Its replays take as much again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a session of a snippet.

    Attributes:
        config: the tracer's configuration.
        recorder: the worker that writes the session.
        replays: the jails that replay it.
        snippet: what the session is of.
        native: the snippet's native run.
        plan: what is opened, kept as one command, and not shown.
        copied: the copy of the script's folder in which its runs begin, an empty one where it is the configuration's.
        lenient: a check that fails does not end the attempt.
        ends: the run ends early, so that its session is what the program did so far.
    """

    config: TracerConfig
    recorder: Worker
    replays: ReplayJails
    snippet: Snippet
    native: Native
    plan: Plan
    copied: FolderCopy
    lenient: bool
    ends: bool = False

    def trace(self) -> Trace:
        """Write the session by the plan and check it.

        A check that fails ends the attempt, unless it is ``lenient``: then it is in the trace's ``failed_checks``.

        The replay comes last because it takes a run of its own for each reader; beliefs only follow if all checks
        held, because they take longer than all other runs together.

        Raises:
            Again: the session has to be written again, by another plan.
            Differs: a check failed.
            Failed: there is no session.
            MissesFocus: it doesn't open the function that the snippet is for, and no other plan will.
        """
        program = program_of(self.config, self.snippet, self.recorder)
        run = self._drive(program)
        driven = _summary_of(run, self.plan, lenient=self.lenient)
        # Said by the process that runs the program: believed where it is asked for alone, as nothing is compared then.
        if bool(driven.ended) != self.ends:
            raise Failed(self.native.limit or Reason.INTEGRITY_FORGED, "the run came to another end than it was to")
        missed = ""
        if not (self.lenient or self.ends):
            missed = missed_focus(program.focus, self.native.result.entered, driven, self._roots[0])
        if missed and self.plan.opens_all:
            raise MissesFocus(Reason.FOCUS_MISSED, missed)
        program = replace(program, code=self._set_up(driven))
        failed, at = ({}, Blame()) if self.ends else self._differences(driven)
        verification = Verification()
        steps = [
            replace(step, path=library_on_host(step.path, self.recorder))
            for step in steps_of(driven, self.snippet, *self._roots)
        ]
        if not steps:
            raise Failed(Reason.EMPTY, "no statement of the snippet is a command")
        rendered = repl.render(steps)
        # The text is searched, not the exceptions: a program that catches the error and prints it is spoilt as well.
        denied = None if self.lenient else self._denial(rendered.text, steps)
        if denied is not None:
            raise Failed(Reason.SANDBOX_DENIED, f"{denied.evidence}: {denied.cure}")
        self._refuse_host_paths(rendered.text)
        if failed and not self.lenient:
            raise _differs(failed, at)
        session = WrittenSession(
            snippet=self.snippet,
            program=program,
            text=rendered.text,
            plan=self.plan,
            commands=driven.commands,
            steps=steps,
            outcomes=driven.outcomes,
            noticed=self.native.result.noticed,
            files=self._files_that_ran(),
        )
        # before the replays: of an output that other processes may show otherwise it is not asked how this one came out
        believed = None if self.lenient else self._believed(run, program, driven, steps, rendered)
        replayed = replay_session(self.config, self.replays, session, lenient=self.lenient)
        failed.update(replayed.failed)
        if replayed.failed and at.command is None:
            at = blame(driven, replayed.command)
        steps = masked(steps, driven.commands, replayed.differing, replayed.unbound)
        verification = replayed.verification
        if failed and not self.lenient:
            raise _differs(failed, at)
        trace = self._trace_of(run, driven, steps, rendered, failed)
        trace = replace(
            trace,
            verification=verification,
            differs_at=at.command if failed else None,
            missed_focus=missed,
            events=self._events(replayed.differing),
        )
        if self.lenient:
            believed = self._believed(run, program, driven, steps, rendered)
        if believed is None:
            return trace
        # Beliefs that end early are no failed check: those that were found hold, and the row says that some lack.
        kept = dict(trace.kept_whole)
        if believed.failure is not None:
            kept[Reason.BELIEFS_END_EARLY.value] = 1
        if believed.differing:
            kept[Reason.OUTCOMES_DIFFER.value] = len(believed.differing)
        return replace(
            trace,
            choices=believed.choices,
            beliefs=believed.beliefs,
            belief_states=believed.states,
            windows=believed.windows,
            kept_whole=kept,
        )

    def _believed(
        self, run: Outcome, program: Program, driven: DriveSummary, steps: list[Step], rendered: repl.Rendered
    ) -> Believed | None:
        """The choices and beliefs of the session; None where it drew nothing.

        Raises:
            Again: what a command could have shown hangs on the process. It is not to be shown, whatever it did show.
            Failed: it would be shown all the same.
        """
        if not driven.outcomes:
            return None
        believed = believe(
            self.config,
            self.recorder,
            program,
            steps,
            rendered,
            driven.outcomes,
            partial(self._other_world, program),
            # of commands that stand in the row's set-up it knows nothing
            next(iter(all_of(run, BeliefsReport)), None) if program.code == self.snippet.code else None,
            first_only=not self.lenient,
        )
        if believed.differing and not self.lenient:
            # The first alone: what of the others differs once it is not shown is another question, and to answer it by
            # what was shown would tell that.
            first = min(believed.differing)
            source, plan = driven.commands[first].source, self.plan
            if (source, first) in plan.unshown or len(plan.unshown) == MOST_UNSHOWN:
                raise Failed(Reason.OUTCOMES_DIFFER, f"{source!r} shows what hangs on the process")
            reasons = (*plan.reasons, Reason.OUTCOMES_DIFFER.value)
            raise Again(replace(plan, unshown=(*plan.unshown, (source, first)), reasons=reasons))
        return not_contradicted(believed, driven.kept)

    def _other_world(self, program: Program, number: int) -> tuple[Worker, Program]:
        """A world beside the recording one, and the program as it is run there."""
        worker = self.replays.worker(WORLDS[number])
        return worker, replace(program_of(self.config, self.snippet, worker), code=program.code)

    def _set_up(self, driven: DriveSummary) -> str:
        """The source that runs before the first command: the snippet's, and the names that opened bodies need.

        Raises:
            Failed: a name stands in the snippet's own text, which would mean another thing by it.
        """
        code = self.snippet.code
        words = set(_word.findall("\n".join([code, *(piece.source for piece in self.snippet.pieces)])))
        taken = [each.name for each in driven.set_up if each.name in words]
        if taken:
            raise Failed(Reason.INTEGRITY_FORGED, f"the set-up binds {taken[0]!r}, a name of the program's own")
        if not driven.set_up:
            return code
        return "\n".join([*([code.rstrip("\n")] if code else []), *(each.source for each in driven.set_up)]) + "\n"

    @property
    def _roots(self) -> tuple[str, str]:
        """The repository's folder in the recording world, and the working folder where the script has its files."""
        return root_of(self.config, self.recorder), "" if self.config.folder is None else self.recorder.scratch

    def _denial(self, text: str, steps: Sequence[Step]) -> Denial | None:
        """The failure in the text that the program would not meet outside of the sandbox; None where there is none."""
        if self.snippet.kind == "script":
            return denial_of_script(text, steps, is_ok=not self._raised(), copied=self.copied)
        # an example, or a test, may promise that a module or a file is not there
        return denial_in(text, kinds=("call", "network"))

    def _raised(self) -> bool:
        """Tell if an exception ended one of the program's pieces natively."""
        return any(piece.exception is not None for piece in self.native.result.pieces)

    def _setup_of_folder(self) -> dict[str, str]:
        """The folder of the repository whose content a script finds in its working folder, for readers of its row."""
        if self.config.repository is None or self.config.folder is not None or not self.snippet.begins_in_folder:
            return {}
        return {"folder": self.snippet.path.rpartition("/")[0] or "."}

    def _files_that_ran(self) -> tuple[str, ...]:
        """The repository's files, on this machine, with functions of the native run, and the snippet's own."""
        repository = self.config.repository
        files = {library_on_host(frame.code[0], self.recorder) for frame in self.native.frames}
        if repository is not None:
            root = root_of(self.config, self.recorder)
            files = {path.replace(root, str(repository), 1) if path.startswith(f"{root}/") else path for path in files}
            if self.snippet.path:
                files.add(str(repository / self.snippet.path))
        return tuple(sorted(path for path in files if path.startswith("/")))

    def _refuse_host_paths(self, text: str) -> None:
        """Raise Failed where the text shows a path of this machine: it is the same in both worlds, so that no replay
        tells it from a fact of the program.
        """
        # the text and not the evidence: that goes into statistics, where no folder of this machine is to stand either
        if not self.lenient and any(path in text for path in self.recorder.host_paths):
            raise Failed(Reason.SHOWS_PATH, "the session shows a path of this machine")

    def _drive(self, program: Program) -> Outcome:
        """Run the driver, which writes the session."""
        plan, config = self.plan, self.config
        # a plan that follows nothing means it: a test's function counts as no depth, so ``follow`` alone would open it
        opens = plan.follow >= 0
        return self._run(
            DriveJob(
                program=program if opens else replace(program, opens=()),
                follow=max(plan.follow, 0),
                hide=tuple(
                    sorted(plan.hide)
                ),  # sorted, so that equal plans are equal bytes under any hash seed of ours
                unshown=plan.unshown,
                whole=plan.whole,
                open_statements=plan.open_statements,
                open_comprehensions=config.comprehensions,
                skip_loops=config.view.skips,
                repeats=config.view.repeats,
                as_file=plan.as_file,
                from_file=bool(self.snippet.file) and reads_source(self.snippet.pieces[0].source),
                view=view_of(config, self.snippet, has_draws=bool(self.native.result.outcomes)),
                # made from the seed again, as in the native run: a session that draws in another order then has
                # another result, which the checks notice
                draws=draws_of(config, self.snippet),
                laws=laws_of(config),
                believes=wants_beliefs(config) and not (self.ends or self.lenient),
                cpu_seconds=config.limits.cpu_seconds * BEFORE_LIMIT if self.ends else 0.0,
                wall_seconds=config.limits.wall_seconds * BEFORE_LIMIT if self.ends else 0.0,
            )
        )

    def _run(self, job: DriveJob) -> Outcome:
        """Run the driver; once more, to the command before, where it is killed in a session that is to end early."""
        if not self.ends:
            return self.recorder.run(job)
        limits = self.config.limits
        killed_at = replace(
            limits,
            cpu_seconds=max(math.ceil(limits.cpu_seconds * KILLED_AT), 1),
            wall_seconds=limits.wall_seconds * KILLED_AT,
        )
        outcome = self.recorder.run(job, killed_at)
        last = max((begun.number for begun in all_of(outcome, CommandBegun)), default=0)
        if outcome.status == "ok" or not last:
            return outcome
        return self.recorder.run(replace(job, stop_before=last), killed_at)

    def _differences(self, driven: DriveSummary) -> tuple[dict[str, str], Blame]:
        """The first of the result check and the path check that fails, as a reason with its evidence; else empty.

        Both are made where the first fails: the path shows a wrong value before anything prints it.
        """
        native = self.native
        unstable = native.unstable or NOTHING
        mismatch: PathMismatch | None = None
        try:
            check_paths(native.frames, driven.frames, unstable)
        except PathMismatch as error:
            mismatch = error
        # The result first: it looks at no frames, and where both differ its evidence says more to a reader.
        is_prompt = self.snippet.kind != "script" or self.snippet.is_notebook
        result = result_difference(native.result, driven, single=is_prompt, unstable=unstable)
        if result is not None:
            command = command_of(native.result, driven, result)
            return {Reason.RESULT_DIFFERS.value: result.evidence}, blame(driven, command, mismatch)
        if mismatch is not None:
            return {Reason.PATH_DIFFERS.value: str(mismatch)}, blame(driven, None, mismatch)
        return {}, Blame()

    def _events(self, differing: Sequence[Collection[str]]) -> EventLog:
        """The events of the native run; variables whose value differed in replay are masked there as in the states."""
        log = events_of(self.config, self.recorder, self.snippet, self.native)
        names = frozenset(name for each in differing for name in each)
        return log.masked(names | {_number_at_end.sub("", name) for name in names}, DIFFERS)

    def _trace_of(
        self, run: Outcome, driven: DriveSummary, steps: list[Step], rendered: repl.Rendered, failed: dict[str, str]
    ) -> Trace:
        """The trace of a session, without choices and beliefs, which are found only for one that passed."""
        native = self.native.result
        account = account_of(
            native.entered,
            driven.frames,
            driven.refused,
            closed=not self.plan.open_statements,
            is_full=driven.is_full,
        )
        last = next((piece.exception for piece in reversed(native.pieces) if piece.exception is not None), None)
        # ``last`` may belong to an example in the middle, after which a doctest goes on: the end is the last piece's
        ended = native.pieces[-1].exception if native.pieces else None
        kept = dict(driven.kept)
        # what earlier rounds learnt is left out of this session too, and the driver knows nothing of earlier rounds
        for reason in self.plan.reasons:
            kept[reason] = kept.get(reason, 0) + 1
        if not self.native.limit and any(frame.is_cut for frame in self.native.frames):
            kept[Reason.TRACING_ENDED.value] = 1
        return Trace(
            text=rendered.text,
            segments=rendered.segments,
            steps=tuple(steps),
            setup={
                "sys_path": list(self.config.sys_path),
                "module": self.snippet.module,
                "code": self._set_up(driven),
                "hash_seed": 0,  # the recording world's
                "choices": list(driven.outcomes),
                **self._setup_of_folder(),
            },
            view=self.config.view.as_json(),
            outcome=self.native.limit.replace("_", "-") if self.ends else outcome_word(ended),
            exception=None if last is None else last.type_name,
            integrity=run.integrity,
            sandbox={"level": self.recorder.level, "layers": self.recorder.layers},
            # the interpreter inside, which need not be the one that runs this
            python=self.recorder.python_version,
            opened_calls=driven.opened_calls,
            kept_whole=kept,
            doctest_passed=native.passed if self.snippet.kind == "doctest" else None,
            failed_checks=failed,
            frames=self.native.frames,
            source=tuple(
                replace(function, path=library_on_host(function.path, self.recorder))
                for function in functions_of(driven, self.snippet, *self._roots)
            ),
            calls=calls_of(driven),
            own_frames=account.entered,
            opened_frames=account.opened,
            unopened_frames=account.unopened,
        )


_number_at_end = re.compile(r"_\d+$")


def _differs(failed: dict[str, str], at: Blame) -> Differs:
    """The one check that failed: an attempt that is not lenient ends with the first."""
    reason, evidence = next(iter(failed.items()))
    return Differs(reason, evidence, at)


def _summary_of(run: Outcome, plan: Plan, *, lenient: bool) -> DriveSummary:
    """The summary of a session that was written. One that tells hidden outcomes is for looking at alone (``lenient``).

    Raises:
        Again: the driver asks for a restart with something kept whole.
        Failed: the run did not end well.
    """
    check_ended(run, "drive")
    # A driver that finds out late that a construct can't be opened has executed part of it already, and executing the
    # rest as one command would run that part twice. So it asks for a new run instead of going on.
    for restart in all_of(run, MustRestart):
        if restart.tells and not lenient:
            where = f"{restart.place.path}:{restart.place.line}"
            raise Failed(Reason.TELLS_OUTCOME, f"{restart.reason} at {where} was met after an outcome was shown")
        raise Again(with_whole(plan, restart.place, restart.reason))
    (summary,) = all_of(run, DriveSummary)
    if summary.tells and not lenient:
        raise Failed(Reason.TELLS_OUTCOME, "a command is written in a way that hangs on a hidden outcome")
    return summary
