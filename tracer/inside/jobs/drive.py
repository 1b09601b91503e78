"""The drive job: writes a session, or says with which construct kept as one command to begin again.

Over 400 lines because the job and the answer that it makes stand together.
"""

from __future__ import annotations

import ast
import atexit
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NoReturn

from trace_mine.tracer.inside.draws.deciders import DrawMismatch
from trace_mine.tracer.inside.drive.commands import Command
from trace_mine.tracer.inside.drive.constructs import HANDLERS
from trace_mine.tracer.inside.drive.driver import Driver
from trace_mine.tracer.inside.drive.ending import Stop, end_as_usual, end_early
from trace_mine.tracer.inside.drive.frames import Frame, Raised, Restart, Signal
from trace_mine.tracer.inside.drive.lowering import lower
from trace_mine.tracer.inside.drive.resumable import ResumableWalk
from trace_mine.tracer.inside.drive.rules import FinishedFrame, Rules
from trace_mine.tracer.inside.drive.set_up import SessionSetUp
from trace_mine.tracer.inside.drive.uncaught import show_uncaught
from trace_mine.tracer.inside.drive.variables import Variables
from trace_mine.tracer.inside.drive.writer import SessionWriter
from trace_mine.tracer.inside.jobs.beliefs import report_of
from trace_mine.tracer.inside.jobs.context import (
    JobContext,
    Prepared,
    drawing,
    error_of,
    outcomes_of,
    prepare,
    variables_of,
)
from trace_mine.tracer.inside.jobs.worlds import make_world, watch_files
from trace_mine.tracer.inside.program import OutputFull, Sources, compiled_file, global_names, piece_file, stored_names
from trace_mine.tracer.inside.protocol.answers import (
    Answer,
    CommandBegun,
    DrivenFrame,
    DriveSummary,
    End,
    FollowedCall,
    FollowedFunction,
    MustRestart,
    PieceResult,
    RefusedCalls,
    RunningPlace,
    SessionCommand,
    columns_of,
)
from trace_mine.tracer.inside.protocol.choice_answers import CommandChoice
from trace_mine.tracer.inside.protocol.codec import to_json
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, DriveJob, Piece, Place, Program
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states.beliefs import SessionBeliefs, choices_of
from trace_mine.tracer.inside.states.budget import spent_seconds
from trace_mine.tracer.inside.states.records import CannotSnapshot, Spent
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.comparable_lines import comparable_lines
from trace_mine.tracer.inside.syntax.current_exception import ASKS, asked_for
from trace_mine.tracer.inside.syntax.parsed import read_tree
from trace_mine.tracer.inside.syntax.walking import walk
from trace_mine.tracer.inside.views.choose import choose_opening
from trace_mine.tracer.inside.views.opening import Opening
from trace_mine.tracer.inside.views.spaced_reveals import Spacing

_reads_doc = re.compile(r"\b(?:__doc__|getdoc|pydoc|globals|vars|help)\b")
"""Words of a program that may read its own docstring; elsewhere the docstring would be a command that nobody needs."""


_lists_names = re.compile(r"\b(?:dir|globals|locals|vars|__dict__|f_globals|f_locals|gc|getmembers|getrefcount)\b")
"""Words of a program that may list the names of its module, or count what they hold."""


def run(job: DriveJob, context: JobContext) -> End:
    """Drive the program. Sends a DriveSummary, or MustRestart.

    Nothing is sent before the session is complete, because a restart makes another one.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
    """
    prepared = prepare(job.program, context)
    namespace = prepared.namespace
    names = stored_names(job.program.pieces)
    # the session assigns values to the spare name that a prompt would echo but the program did not
    is_taken = "_" in namespace or any(_binds(piece.source, "_") for piece in job.program.pieces)
    spare = "ignored" if is_taken else "_"
    if job.believes or (job.view is not None and job.view.has_draws):
        watch_files()
    opening = _opening(job, prepared, context, spare)
    variables = Variables(namespace)
    # before anything runs: a variable of ours must not take a name that the program binds later
    variables.reserve(names)
    variables.note_rebound(global_names((job.program.code, *(piece.source for piece in job.program.pieces))))
    writer = SessionWriter(
        variables,
        opening,
        flags=prepared.flags,
        sources=prepared.sources,
        capture=prepared.capture,
        hide=job.hide,
        spare=spare,
        unshown=job.unshown,
    )
    if job.from_file:
        prepared.sources.call(compiled_file(job.program, 0, namespace), piece_file(0))
    rules = _rules(job, context.limits.max_commands, prepared.sources)
    set_up = SessionSetUp(
        variables,
        (job.program.code, *(piece.source for piece in job.program.pieces)),
        job.program.own,
        # a program that lists names, and states that are followed from the set-up on, would see them
        is_open=not rules.lists_names and (job.view is None or not job.view.has_draws),
    )
    driver = Driver(writer, opening, rules, set_up, handlers=HANDLERS, lower=lower, walk=ResumableWalk)
    end = to_json(End(end="ok"))

    def stop(reason: Reason) -> NoReturn:
        end_as_usual()
        context.guard.disarm()
        context.send(_so_far(driver, spare, reason))
        context.guard.stop(end)

    is_bounded = job.cpu_seconds > 0
    if is_bounded:
        writer.begins = _Begins(job.stop_before, context.send, stop)
        end_early(stop, cpu_seconds=job.cpu_seconds, wall_seconds=job.wall_seconds)
    context.guard.arm()
    followed: tuple[SessionBeliefs, tuple[CommandChoice, ...]] | None = None
    try:
        with drawing(job.draws, job.laws) as decider:
            results = [_run_file(writer, names)] if job.as_file else _drive_pieces(driver, job.program, names)
            if prepared.has_exit_functions and not job.program.single and results:
                results[-1] = replace(results[-1], stdout=results[-1].stdout + _exit_output(writer))
        # first: to find the choices the commands are run again, in the session's own namespace
        variables_left = variables_of(namespace, frozenset(names))
        if job.believes and not writer.tells:
            followed = _followed(writer, opening, outcomes_of(decider))
    # a restart is an answer and no failure: the run did what was asked, and says what to ask next
    except Restart as restart:
        place = restart.place
        tells = writer.would_tell(place.path, place.line, place.column)
        context.send(MustRestart(place=place, reason=restart.reason.value, tells=tells))
        return End(end="ok")
    except OutputFull:
        if not is_bounded:
            raise
        context.send(_so_far(driver, spare, Reason.OUTPUT_LIMIT))
        return End(end="ok")
    finally:
        context.guard.disarm()
        if is_bounded:
            end_as_usual()
    # The session is true all the same: without the support it opens less, and the row counts that it does.
    if opening.loss is not None:
        driver.kept.count(opening.loss)
    context.send(
        DriveSummary(
            commands=tuple(map(_command, writer.commands)),
            frames=tuple(map(_frame, driver.calls.finished)),
            pieces=tuple(results),
            kept={reason.value: number for reason, number in driver.kept.counts.items()},
            opened_calls=driver.calls.num_opened,
            outcomes=outcomes_of(decider),
            variables=variables_left,
            spare=spare,
            refused=tuple(
                RefusedCalls(code=code, reason=reason.value, number=number)
                for (code, reason), number in driver.calls.refused.items()
            ),
            is_full=driver.budget.is_full,
            places=_places(writer),
            stands_in=tuple([command.place for command in writer.commands]),
            printed=tuple([command.printed for command in writer.commands]),
            functions=_functions(driver),
            calls=_calls(driver),
            in_call=tuple([command.call for command in writer.commands]),
            set_up=tuple(driver.set_up.names),
            tells=writer.tells,
        )
    )
    if followed is not None:
        beliefs, choices = followed
        context.send(
            report_of(beliefs, choices, None, [command.source for command in writer.commands], prepared.sources)
        )
    return End(end="ok")


def _followed(
    writer: SessionWriter, opening: Opening, outcomes: Sequence[DrawnOutcome]
) -> tuple[SessionBeliefs, tuple[CommandChoice, ...]] | None:
    """The beliefs of the session and the choices that its draws made; None where a job of their own has to find them.

    The opening followed the session's text and nothing else, as that job would.
    """
    commands = [
        (each.source, each.error if each.error is not None else doctext.shown(each.output)) for each in writer.commands
    ]
    beliefs = opening.beliefs(commands) if outcomes else None
    if beliefs is None or beliefs.world is None:
        return None
    try:
        return beliefs, choices_of(commands, beliefs.world, outcomes)
    except (DrawMismatch, CannotSnapshot, Spent):  # this process has run the session already, and may remember it
        return None


@dataclass(slots=True)
class _Begins:
    """Counts commands as they begin: says so of each, and ends the run before the one that is not to run."""

    stop_before: int
    send: Callable[[Answer], None]
    stop: Stop
    number: int = 0

    def __call__(self) -> None:
        self.number += 1
        if self.stop_before == self.number:
            self.stop(Reason.NO_END)
        if not self.stop_before:
            self.send(CommandBegun(number=self.number))


def _binds(source: str, name: str) -> bool:
    """Return True if the name is bound anywhere in a source, by a local of a function too, which may be opened."""
    tree = read_tree(source) if name in source or not source.isascii() else None
    return tree is not None and any(
        (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.alias) and (node.asname or node.name) == name)
        or (isinstance(node, (ast.FunctionDef, ast.ExceptHandler, ast.MatchAs)) and node.name == name)
        for node in walk(tree)
    )


def _so_far(driver: Driver, spare: str, reason: Reason) -> DriveSummary:
    """The session up to the command that runs now, which is in no list yet."""
    writer = driver.writer
    return DriveSummary(
        commands=tuple(map(_command, writer.commands)),
        frames=tuple(map(_frame, driver.calls.finished)),
        pieces=(),
        kept={reason.value: number for reason, number in driver.kept.counts.items()},
        opened_calls=min(driver.calls.num_opened, len(driver.calls.finished)),  # not those that run now
        outcomes=(),
        variables={},
        spare=spare,
        ended=reason.value,
        places=_places(writer),
        stands_in=tuple([command.place for command in writer.commands]),
        printed=tuple([command.printed for command in writer.commands]),
        functions=_functions(driver),
        calls=_calls(driver),
        in_call=tuple([command.call for command in writer.commands]),
        set_up=tuple(driver.set_up.names),
    )


def _functions(driver: Driver) -> tuple[FollowedFunction, ...]:
    return tuple(
        FollowedFunction(name=shown.name, path=path, line=line, text=shown.text)
        for (path, line), shown in driver.calls.shown.items()
    )


def _calls(driver: Driver) -> tuple[FollowedCall, ...]:
    at = {number: index for index, command in enumerate(driver.writer.commands) for number in command.begun}
    return tuple(
        FollowedCall(caller=call.caller, name=call.name, text=call.text, at=at.get(number))
        for number, call in enumerate(driver.calls.begun, 1)
    )


def _places(writer: SessionWriter) -> tuple[RunningPlace, ...]:
    return tuple(
        RunningPlace(outer=outer, place=Place(path=path, line=line, column=column))
        for outer, path, line, column in writer.places.all
    )


def _opening(job: DriveJob, prepared: Prepared, context: JobContext, spare: str) -> Opening:
    """The view's Opening: what the driver may open and show."""
    view, sources = job.view, prepared.sources
    spacing = None
    if view is not None:
        spacing = Spacing(
            every=view.every,
            partial=view.partial,
            style=view.style,
            seed=view.seed,
            repeats=view.repeats,
            uncertain=view.uncertain,
            asked=view.asked,
        )

    # a function, because only one of the openings calls it: a world runs the set-up a second time
    until = spent_seconds() + (0.0 if view is None else view.max_seconds)

    def world(lazy: bool) -> World:
        seconds = max(0.0, until - spent_seconds())
        pieces = [piece.source for piece in job.program.pieces]
        return make_world(
            job.program, job.laws, context, max_seconds=seconds, sources=sources, lazy=lazy, commands=pieces
        )

    return choose_opening(
        prepared.namespace,
        is_own=sources.is_own,
        spare=spare,
        spacing=spacing,
        make_world=world if view is not None and view.has_draws else None,
        opens_statements=job.open_statements,
        skips_loops=job.skip_loops,
        opens_comprehensions=job.open_comprehensions,
        repeats=job.repeats,
    )


def _rules(job: DriveJob, max_commands: int, sources: Sources) -> Rules:
    return Rules(
        follow=job.follow,
        opens=frozenset(job.program.opens),
        # a column tells a statement from a function: both may begin on one line
        kept_statements=frozenset((p.path, p.line, p.column) for p in job.whole if p.column is not None),
        kept_functions=frozenset((p.path, p.line) for p in job.whole if p.column is None),
        max_commands=max_commands,
        lists_names=any(
            map(_lists_names.search, (job.program.code, *(piece.source for piece in job.program.pieces))),
        ),
        reads_qualified=any("__qualname__" in piece.source for piece in job.program.pieces),
        asks=max((asked_for(piece.source) for piece in job.program.pieces), key=ASKS.index, default="nothing"),
        from_file=job.from_file,
        focus=frozenset(job.program.focus),
        focus_names=frozenset(sources.name_at(path, line) for path, line in job.program.focus),
    )


def _drive_pieces(driver: Driver, program: Program, names: Sequence[str]) -> list[PieceResult]:
    """Drive the pieces in order, up to the first that raises where the program does not go on after that."""
    results: list[PieceResult] = []
    for index, piece in enumerate(program.pieces):
        results.append(_drive_piece(driver, program, index, piece, names))
        if results[-1].exception is not None and not program.continue_on_error:
            break
    for waiting in driver.suspended.take_all():
        waiting.finish()
    return results


RUN_FILE = "exec(compile(open(__file__, 'rb').read(), __file__, 'exec'))"
"""The command that runs a script from its file, so that its functions have a source and its lines their numbers."""


def _run_file(writer: SessionWriter, names: Sequence[str]) -> PieceResult:
    """Run the whole script by one command."""
    writer.begin_piece(0)
    writer.move_to((piece_file(0), 1, 0, 0))
    command = writer.execute(RUN_FILE, writes=names, reveal=False)
    error = command.exception
    return PieceResult(
        stdout="".join(writer.printed),
        echoes=tuple(writer.echoes),
        exception=None if error is None else error_of(error),
    )


def _exit_output(writer: SessionWriter) -> str:
    """Run the program's exit functions, as an interpreter does that ends; return what they print.

    The command that does it stands in the session only where there is something to show.
    """
    module = "atexit" if writer.variables.namespace.get("atexit") is atexit else "__import__('atexit')"
    writer.printed.clear()
    command = writer.execute(f"{module}._run_exitfuncs()", reveal=False)
    if not command.output:
        writer.commands.remove(command)
    return "".join(writer.printed)


def _drive_piece(driver: Driver, program: Program, index: int, piece: Piece, names: Sequence[str]) -> PieceResult:
    """Drive one piece: its statements as commands, and the result to compare with the native run's."""
    writer = driver.writer
    writer.begin_piece(index)
    mode = "single" if program.single and not piece.quiet else "exec"
    try:
        tree = ast.parse(piece.source)
        # ``ast.parse`` takes what the compiler refuses (``return`` outside a function, two statements at a prompt)
        compile(piece.source.rstrip("\n") + "\n", "<check>", mode, writer.flags, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
        driver.kept.count(Reason.SYNTAX_ERROR_EXAMPLE)
        return PieceResult(is_syntax_error=True, exception=error_of(broken))
    if not program.single:
        # in the set-up already (``scripts``): a command can't turn one on for the others
        tree.body = [node for node in _with_doc(tree.body, piece.source) if not _is_future(node)]
    # under the name that the native run compiles it by, so that frames of both have one code
    writer.sources.register(piece_file(index), piece.source)
    # at the top level names stay as they are; only those of followed calls may be renamed
    frame = Frame(piece_file(index), {name: name for name in names}, None, echoes=mode == "single")
    error: BaseException | None = None
    try:
        driver.block(tree.body, frame)
    except Raised as raised:
        error = raised.error
        show_uncaught(writer, raised, hides=driver.opening.hides)
    except Signal as signal:  # the compiler refused a ``break`` or ``return`` out of place above
        raise AssertionError(f"{type(signal).__name__} left the program") from signal
    driver.calls.finish(frame, 1, "<module>", comparable_lines(tree.body))
    sizes = [0, *accumulate(map(len, writer.printed))]
    for command in reversed(writer.commands):
        if command.piece != index:
            break
        command.printed = sizes[command.num_texts]
    return PieceResult(
        stdout="".join(writer.printed),
        echoes=tuple(writer.echoes),
        exception=None if error is None else error_of(error),
    )


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _with_doc(body: list[ast.stmt], source: str) -> list[ast.stmt]:
    """The statements as a prompt needs them: a docstring that the program reads is bound by name, as in a module."""
    if not body or not _reads_doc.search(source):
        return body
    first = body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str):
        return body
    # by the compiler, which takes the indentation out from Python 3.13 on
    bound: dict[str, str] = {}
    exec(compile(ast.Module([first], []), "<doc>", "exec", 0, True), bound)
    value = ast.copy_location(ast.Constant(bound["__doc__"]), first)
    target = ast.copy_location(ast.Name("__doc__", ast.Store()), first)
    return [ast.copy_location(ast.Assign([target], value), first), *body[1:]]


def _command(command: Command) -> SessionCommand:
    return SessionCommand(
        source=command.source,
        output=command.output,
        error=command.error,
        kind=command.kind,
        raised=command.raised,
        wrote=tuple(command.wrote),
        changes=command.changes,
        depth=command.depth,
        path=command.path,
        line=command.line,
        piece=command.piece,
    )


def _frame(finished: FinishedFrame) -> DrivenFrame:
    return DrivenFrame(
        code=(finished.filename, finished.first_line, finished.name),
        lines=tuple(line for line, _ in finished.visits),
        columns=columns_of([locals_text for _, locals_text in finished.visits]),
        gaps=tuple(finished.gaps),
        comparable=tuple(finished.lines),
        entries=finished.entries,
    )
