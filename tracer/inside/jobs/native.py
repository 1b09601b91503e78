"""The native job: runs a program as its author's tools would, under ``sys.settrace``, for a session to be checked by.

Doctest's own comparison says if an example printed what its docstring promises.
"""

from __future__ import annotations

import atexit
import doctest
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType

from trace_mine.tracer.inside.jobs.context import (
    JobContext,
    Prepared,
    drawing,
    error_of,
    outcomes_of,
    prepare,
    reseed,
    variables_of,
    watched,
)
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.function_text import function_text
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.inside.observe.record import EventsFull, FrameRecord, Recorder
from trace_mine.tracer.inside.program import OutputFull, compiled_file, piece_file, stored_names
from trace_mine.tracer.inside.protocol.answers import (
    MAX_CODE_TEXT,
    MAX_CODE_TEXTS,
    Code,
    CodeText,
    End,
    EnteredFrames,
    FrameMark,
    NativeFrame,
    NativeFrames,
    NativePieceResult,
    NativeSummary,
)
from trace_mine.tracer.inside.protocol.jobs import NativeJob, Piece
from trace_mine.tracer.inside.syntax import doctext

LINES_IN_ONE_ANSWER = 1_000
"""Frames are sent together until they have so many lines: one message for each frame costs more than its content where
frames are short (a recursion), and one for all could take more memory than a run may have."""

DEEPER = 17
"""Calls that a run with a seed of its own lies deeper on the stack, so that what hangs on the room below the limit of
recursion differs from the run before."""

_check_output = doctest.OutputChecker().check_output


def run(job: NativeJob, context: JobContext) -> End:
    """Run the program under settrace. Sends a NativeSummary, then NativeFrames until all activations are sent.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
        EventsFull, OutputFull: the run went through more lines or values, or printed more, than it may.
    """
    prepared = prepare(job.program, context)
    reseed(job.reseed, job.draws)  # after the set-up, which may draw: the pieces begin alike in each run
    names = frozenset(stored_names(job.program.pieces))
    # by the names that they are compiled under, those by which answers know them
    files = {
        compiled_file(job.program, index, prepared.namespace): piece_file(index)
        for index in range(len(job.program.pieces))
    }
    compiled = {piece: file for file, piece in files.items()}  # the focus has the names of the answers
    # not registered with the sources: a native run must be what it would be without us
    lines = {file: piece.source.split("\n") for file, piece in zip(files, job.program.pieces, strict=False)}

    def lines_of(filename: str) -> Sequence[str] | None:
        return lines[filename] if filename in lines else prepared.sources.lines(filename)

    recorder = Recorder(
        lambda filename: filename in files or prepared.sources.is_own(filename),
        max_depth=job.max_depth,
        max_events=context.limits.max_events,
        module_names=names,
        cuts=job.cuts,
        lines_of=lines_of,
        focus=frozenset((compiled.get(file, file), line) for file, line in job.program.focus),
    )
    with drawing(job.draws, job.laws) as decider:
        results, passed = _run_pieces(job, prepared, recorder, context.guard, tuple(files))
        if prepared.has_exit_functions and not job.program.single and results:
            # as an interpreter does that ends; what they print is the program's as well
            with watched(context):
                atexit._run_exitfuncs()
            results[-1] = replace(results[-1], stdout=results[-1].stdout + prepared.capture.take())
        outcomes = outcomes_of(decider)
        variables = variables_of(prepared.namespace, names)
        noticed = context.guard.noticed
        records = recorder.frames if job.traces else _beginnings(results)
        context.send(
            NativeSummary(
                pieces=tuple(results),
                passed=passed,
                variables=variables,
                outcomes=outcomes,
                noticed=noticed,
                entered=_entered(recorder, files),
                texts=_texts(records, files, lines_of),
                num_lost_marks=recorder.num_lost,
            )
        )
        frames: list[NativeFrame] = []
        num_lines = 0
        for record in records:
            frames.append(_frame(record, names, files))
            num_lines += len(frames[-1].lines) + 1  # a frame with no lines has its name and place, which are sent too
            if num_lines >= LINES_IN_ONE_ANSWER:
                context.send(NativeFrames(frames=tuple(frames)))
                frames, num_lines = [], 0
        context.send(NativeFrames(frames=tuple(frames)))
    return End(end="ok")


def _frame(record: FrameRecord, module_names: frozenset[str], files: Mapping[str, str]) -> NativeFrame:
    names = record.names_of(module_names if record.code.co_name == "<module>" else None)
    lines, columns = record.as_columns(names)
    return NativeFrame(
        code=_code(record.code, files),
        lines=tuple(lines),
        columns={name: tuple(column) for name, column in columns.items()},
        is_cut=record.is_cut,
        marks=tuple(
            [
                FrameMark(
                    at=mark.at,
                    kind=mark.kind,
                    value=None if mark.value is None else doctext.without_addresses(values.text(mark.value)),
                    after={
                        name: None if after is None else values.text(after)
                        for name, after in mark.after.items()
                        if name in names
                    },
                )
                for mark in record.marks
            ]
        ),
    )


def _code(code: CodeType, files: Mapping[str, str]) -> Code:
    return files.get(code.co_filename, code.co_filename), code.co_firstlineno, code.co_name


def _texts(
    records: Sequence[FrameRecord], files: Mapping[str, str], lines_of: Callable[[str], Sequence[str] | None]
) -> tuple[CodeText, ...]:
    """The sources of the activations' code; the supervisor has those of the pieces."""
    codes = {id(record.code): record.code for record in records}  # a code object hashes all that it holds
    texts: list[CodeText] = []
    for code in codes.values():
        if code.co_filename in files and code.co_name == "<module>":
            continue
        if len(texts) == MAX_CODE_TEXTS:
            break
        lines = lines_of(code.co_filename)
        text = "" if lines is None else function_text(code, lines)
        texts.append(
            CodeText(
                code=_code(code, files),
                qualname=code.co_qualname,
                text=text if len(text) <= MAX_CODE_TEXT else "",
            )
        )
    return tuple(texts)


def _beginnings(pieces: Sequence[NativePieceResult]) -> list[FrameRecord]:
    """Records of the pieces' own frames in a run that was not traced: cut before the first line."""
    return [
        FrameRecord(compile("", piece_file(index), "exec"), 0, [])
        for index, piece in enumerate(pieces)
        if not piece.is_syntax_error
    ]


def _entered(recorder: Recorder, files: Mapping[str, str]) -> tuple[EnteredFrames, ...]:
    """The own frames that were entered, but for the pieces' own: those are the session itself.

    ``files``: from the names that pieces are compiled under to those by which answers know them.
    """
    numbers: dict[tuple[Code, str], int] = {}
    for code, way, number in recorder.entries.totals():
        if code.co_name == "<module>" and code.co_filename in files:
            continue
        key = _code(code, files), way.value
        numbers[key] = numbers.get(key, 0) + number
    return tuple(EnteredFrames(code=code, way=way, number=number) for (code, way), number in numbers.items())


def _run_pieces(
    job: NativeJob, prepared: Prepared, recorder: Recorder, guard: Guard, files: Sequence[str]
) -> tuple[list[NativePieceResult], bool]:
    """The result of each piece that ran, and if all of them printed what their docstring promises."""
    program = job.program
    results: list[NativePieceResult] = []
    passed = True
    echoes = _Echoes()
    for index, piece in enumerate(program.pieces):
        echoes.begin()
        mode = "single" if program.single and not piece.quiet else "exec"
        try:
            # Mode ``single`` wants a newline at the end of a block. The last argument: our own future imports must not
            # hold for the program.
            compiled = compile(piece.source.rstrip("\n") + "\n", files[index], mode, prepared.flags, True)
        # ValueError of null bytes; the others where the source nests more deeply than the compiler goes
        except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
            results.append(NativePieceResult(is_syntax_error=True, exception=error_of(broken)))
            passed = False
        else:
            error, is_complete = _execute(
                compiled, prepared.namespace, recorder if job.traces else None, guard, DEEPER if job.reseed else 0
            )
            printed = prepared.capture.take()
            # the doctest's own comparison comes last: it may run the snippet's __str__
            checksums = tuple(_checksum(text) for text in echoes.reprs)
            exception = None if error is None else error_of(error)
            kept = _as_promised(piece, printed, echoes.reprs, error)
            results.append(
                NativePieceResult(
                    stdout=printed,
                    echoes=tuple(echoes.texts),
                    repr_checksums=checksums,
                    exception=exception,
                    is_complete=is_complete,
                    is_unpromised=error is not None and not (piece.want is not None and kept),
                )
            )
            passed = passed and kept
        if results[-1].exception is not None and not program.continue_on_error:
            break
    return results, passed


@dataclass(slots=True)
class _Echoes:
    """The values that a prompt would echo of a piece.

    ``texts`` are what the result check compares: they are made without running the snippet's code. ``reprs`` are what
    doctest compares, which do run it.
    """

    texts: list[str] = field(default_factory=list)
    reprs: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Start anew, before each piece: the one before may have set a display hook of its own."""
        self.texts.clear()
        self.reprs.clear()
        sys.displayhook = self._display

    def _display(self, value: object) -> None:
        if value is None:
            return
        # the text first: ``repr`` is the snippet's code, and may change the value that it shows
        self.texts.append(values.text(values.snapshot(value)))
        self.reprs.append(repr(value))
        vars(sys.modules["builtins"])["_"] = value  # as ``sys.displayhook`` does: examples may use ``_``


def _execute(
    compiled: CodeType, namespace: dict[str, object], recorder: Recorder | None, guard: Guard, depth: int
) -> tuple[BaseException | None, bool]:
    """Run a piece under the recorder, if any: the exception that it ended with, and if tracing was on to the end.

    ``depth``: it lies so many calls deeper on the stack.

    Raises:
        EventsFull, OutputFull: a limit is reached. Both are BaseExceptions, so that no ``except Exception`` of the
            snippet swallows them.
    """
    error: BaseException | None = None
    # armed after the recorder's own ``sys.settrace``, and disarmed before it is taken off: the guard reports both
    if recorder is not None:
        recorder.start()
    guard.arm()
    try:
        _execute_at(depth, compiled, namespace)
    except (EventsFull, OutputFull):
        raise
    except BaseException as raised:  # SystemExit and KeyboardInterrupt are the program's own ends, too
        error = raised
    finally:
        # first, while the trace function is still ours
        is_complete = recorder is None or recorder.complete()
        guard.disarm()
        if recorder is not None:
            recorder.stop()
            recorder.depth = 0  # an exception left frames without a return event
    return error, is_complete


def _execute_at(depth: int, compiled: CodeType, namespace: dict[str, object]) -> None:
    if depth:
        _execute_at(depth - 1, compiled, namespace)
    else:
        exec(compiled, namespace)


def _checksum(text: str) -> int:
    """A number for a text that may be long: two runs only need to know if they echoed the same."""
    return zlib.crc32(doctext.without_addresses(text).encode("utf-8", "replace"))


def _as_promised(piece: Piece, printed: str, reprs: list[str], error: BaseException | None) -> bool:
    """Return True if an example printed what its docstring promises, by doctest's own comparison."""
    if piece.want is None:
        return True
    flags = 0
    for option in piece.options:
        flags |= doctest.OPTIONFLAGS_BY_NAME.get(option, 0)
    if error is not None:
        return _raised_as_promised(piece.want, error, flags)
    got = printed + "".join(line + "\n" for line in reprs)
    if got and not got.endswith("\n"):
        got += "\n"
    return bool(_check_output(piece.want, got, flags))


def _raised_as_promised(want: str, error: BaseException, flags: int) -> bool:
    # doctest parses a promised traceback by this expression, and has no public way to ask for that
    message = doctest.DocTestParser._EXCEPTION_RE.match(want)  # type: ignore[attr-defined]
    lines = doctext.message_of(error)
    if message is None or lines is None:
        return False
    raised = doctext.shown(lines) + "\n"
    expected = message.group("msg")
    if flags & doctest.IGNORE_EXCEPTION_DETAIL:
        return _name_of_error(raised) == _name_of_error(str(expected))
    return bool(_check_output(expected, raised, flags))


def _name_of_error(message: str) -> str:
    """The exception's class name, without module and message."""
    return message.split(":")[0].rpartition(".")[2].strip()
