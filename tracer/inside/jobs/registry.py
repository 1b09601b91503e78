"""The kinds of job that a runner does for the tracer.

``native``   runs the program under settrace, as its author's tools would, and sends what happened
``drive``    writes the session
``console``  replays a session's text through ``code.InteractiveConsole``
``doctest``  replays it through ``doctest``
``beliefs``  says what each output of a session could have been
``samples``  runs a session's commands natively, again and again: what beliefs are held against
``path``     runs one path of them in a process of its own: the slow reference
``kernel``   fits the automaton that its commands are

A job with ``draws`` runs under recorded draws: ``{"seed": n}`` makes and logs them, ``{"values": [...]}`` gives them
again, so that the native run, the driver and the replays see the same.

Each sends its result as records and ends with ``{"end": "ok"}``; the snippet's own exceptions are part of the result.
"""

from __future__ import annotations

import ast
import doctest
import random
import sys
import zlib
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.drive.commands import Command, Unshowable
from trace_mine.tracer.inside.drive.constructs import HANDLERS
from trace_mine.tracer.inside.drive.driver import Driver
from trace_mine.tracer.inside.drive.frames import Frame, Raised, Restart, Signal
from trace_mine.tracer.inside.drive.lowering import lower
from trace_mine.tracer.inside.drive.rules import Rules
from trace_mine.tracer.inside.drive.variables import Variables
from trace_mine.tracer.inside.drive.writer import Writer
from trace_mine.tracer.inside.jobs.beliefs import beliefs, drawing, kernel, make_world, one_path, samples
from trace_mine.tracer.inside.jobs.replay import replay_console, replay_doctest
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.record import EventsFull, Recorder
from trace_mine.tracer.inside.program import (
    Capture,
    OutputFull,
    SetupError,
    Sources,
    fresh_namespace,
    future_flags,
    piece_file,
    stored_names,
    words,
)
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.comparable_lines import comparable_lines
from trace_mine.tracer.inside.views.choose import choose_opening
from trace_mine.tracer.inside.views.spaced_reveals import Spacing

Send = Callable[[object], None]
_check_output = doctest.OutputChecker().check_output


def _told(error: BaseException) -> list[str]:
    """An exception's type and text with addresses masked: what V2 compares."""
    return [values.type_name(type(error)), doctext.without_addresses(words(error))]


def _prepare(job: dict[str, Any]) -> tuple[Sources, Capture, dict[str, Any], int]:
    """What native runs and driven ones begin with: sources, captured output, the namespace and its compiler flags."""
    sources = Sources(job["program"]["own"])
    capture = Capture(job["output_limit"])
    sys.stdout = capture
    namespace = fresh_namespace(job["program"])
    capture.take()
    return sources, capture, namespace, future_flags(namespace)


def _reseed(job: dict[str, Any]) -> None:
    """Seeds ``random`` anew where nobody decides what is drawn: a generator that is seeded is no choice any more."""
    if job.get("reseed") and job.get("draws") is None:
        random.seed(job["reseed"])


def native(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """Runs the program as its author's tools would, under settrace."""
    sources, capture, namespace, flags = _prepare(job)
    _reseed(job)
    with drawing(job) as decider:
        return _native(job, send, guard, sources, capture, namespace, flags, decider)


def _native(
    job: dict[str, Any],
    send: Send,
    guard: Any,
    sources: Sources,
    capture: Capture,
    namespace: dict[str, Any],
    flags: int,
    decider: Any,
) -> dict[str, Any]:
    program = job["program"]
    names = frozenset(stored_names(program["pieces"]))
    pieces = {piece_file(i) for i in range(len(program["pieces"]))}
    recorder = Recorder(
        lambda filename: filename in pieces or sources.is_own(filename),
        max_depth=job["depth"],
        max_events=job["events"],
        module_names=names,
    )
    echoes: list[str] = []

    def display(value: Any) -> None:
        if value is None:
            return
        echoes.append(values.text(values.snapshot(value)))
        repeated.append(repr(value))
        vars(sys.modules["builtins"])["_"] = value

    repeated: list[str] = []
    passed = True
    results: list[dict[str, Any]] = []
    for index, piece in enumerate(program["pieces"]):
        error: BaseException | None = None
        repeated.clear()
        echoes.clear()
        sys.displayhook = display
        try:
            mode = "single" if program["single"] else "exec"
            compiled = compile(piece["source"].rstrip("\n") + "\n", piece_file(index), mode, flags, True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
            results.append({"syntax": True, "exception": _told(broken), "stdout": "", "echoes": []})
            passed = False
            if not program["continue_on_error"]:
                break
            continue
        recorder.start()
        guard.arm()
        try:
            exec(compiled, namespace)
        except (EventsFull, OutputFull):  # ours, not the snippet's
            raise
        except BaseException as raised:
            error = raised
        finally:
            complete = recorder.complete()
            guard.disarm()
            recorder.stop()
        recorder.depth = 0
        printed = capture.take()
        results.append(
            {
                "stdout": printed,
                "echoes": list(echoes),
                "shown": [zlib.crc32(doctext.without_addresses(t).encode("utf-8", "replace")) for t in repeated],
                "exception": None if error is None else _told(error),
                "complete": complete,
            }
        )
        kept = _as_promised(piece, printed, repeated, error)
        results[-1]["unmet"] = error is not None and not (piece.get("want") is not None and kept)
        passed = passed and kept
        if error is not None and not program["continue_on_error"]:
            break
    drawn = [] if decider is None else list(decider.values)
    send({"pieces": results, "passed": passed, "names": _variables(namespace, names), "draws": drawn})
    for record in recorder.frames:
        send({"frame": record.as_json(names if record.code.co_name == "<module>" else None)})
    return {"end": "ok", "exception": None}


def _as_promised(piece: dict[str, Any], printed: str, repeated: list[str], error: BaseException | None) -> bool:
    """Whether an example printed what its docstring promises, by doctest's own comparison."""
    want = piece.get("want")
    if want is None:
        return True
    flags = 0
    for option in piece.get("options", ()):
        flags |= doctest.OPTIONFLAGS_BY_NAME.get(option, 0)
    if error is not None:
        message = doctest.DocTestParser._EXCEPTION_RE.match(want)  # type: ignore[attr-defined]
        told = doctext.shown_error(error).split("\n", 2)[2] + "\n"
        if message is None:
            return False
        expected = message.group("msg")
        if flags & doctest.IGNORE_EXCEPTION_DETAIL:
            return _name_of_error(told) == _name_of_error(str(expected))
        return bool(_check_output(expected, told, flags))
    got = printed + "".join(line + "\n" for line in repeated)
    if got and not got.endswith("\n"):
        got += "\n"
    return bool(_check_output(want, got, flags))


def _name_of_error(told: str) -> str:
    """The exception's class name, without module and message."""
    return told.split(":")[0].rpartition(".")[2].strip()


def _variables(namespace: dict[str, Any], names: frozenset[str]) -> dict[str, str]:
    return {name: values.text(values.snapshot(namespace[name])) for name in sorted(names) if name in namespace}


def drive(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """Writes the session: commands, frames, and what was kept whole, or where to restart."""
    program = job["program"]
    sources, capture, namespace, flags = _prepare(job)
    names = stored_names(program["pieces"])
    spare = "_" if "_" not in names and "_" not in namespace else "ignored"
    view = job.get("view")
    opening = choose_opening(
        namespace,
        is_own=sources.is_own,
        spare=spare,
        spacing=None if view is None else _spacing(view),
        make_world=(lambda: make_world(job, sources, 0, view["seconds"])) if view and view["draws"] else None,
        opens_statements=job["open"],
        skips_loops=job["skip"],
        opens_comprehensions=job["comprehensions"],
    )
    variables = Variables(namespace)
    variables.reserve(names)
    writer = Writer(variables, opening, flags=flags, sources=sources, capture=capture, hide=job["hide"], spare=spare)
    rules = Rules(
        follow=job["follow"],
        opens=frozenset(program["opens"]),
        kept_statements=frozenset(tuple(key) for key in job["whole"] if len(key) == 3),
        kept_functions=frozenset(tuple(key) for key in job["whole"] if len(key) == 2),
        max_commands=job["commands"],
        at_prompt=program["single"],
    )
    driver = Driver(writer, opening, rules, handlers=HANDLERS, lower=lower)
    guard.arm()
    results: list[dict[str, Any]] = []
    try:
        with drawing(job) as decider:
            for index, piece in enumerate(program["pieces"]):
                result = _drive_piece(driver, program, index, piece, names)
                results.append(result)
                if result["exception"] is not None and not program["continue_on_error"]:
                    break
    except Restart as restart:
        return _end(send, {"restart": restart.key, "reason": restart.reason})
    except Unshowable as unshowable:
        return _end(send, {"unshowable": str(unshowable)})
    finally:
        guard.disarm()
    for command in writer.commands:
        send({"command": _as_json(command)})
    for finished in driver.calls.finished:
        send({"frame": finished})
    if opening.failure is not None:
        driver.kept.count("support_lost")
    drawn = [] if decider is None else list(decider.values)
    summary = {"pieces": results, "kept": driver.kept.counts, "opened": driver.calls.num_opened, "draws": drawn}
    return _end(send, {**summary, "names": _variables(namespace, frozenset(names)), "spare": spare})


def _spacing(view: dict[str, Any]) -> Spacing:
    return Spacing(
        every=view["every"], partial=view["partial"], style=view["style"], seed=view["seed"], asked=view["asked"]
    )


def _end(send: Send, result: dict[str, Any]) -> dict[str, Any]:
    send(result)
    return {"end": "ok", "exception": None}


def _drive_piece(
    driver: Driver, program: dict[str, Any], index: int, piece: dict[str, Any], names: list[str]
) -> dict[str, Any]:
    writer = driver.writer
    writer.begin_piece(index)
    try:
        tree = ast.parse(piece["source"])
        compile(
            piece["source"].rstrip("\n") + "\n",
            "<check>",
            "single" if program["single"] else "exec",
            writer.flags,
            True,
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
        driver.kept.count("syntax_error_example")
        return {"syntax": True, "exception": _told(broken), "stdout": "", "echoes": []}
    if not program["single"]:
        tree.body = [node for node in tree.body if not _is_future(node)]
    writer.sources.register(piece_file(index), piece["source"])
    frame = Frame(piece_file(index), {name: name for name in names}, None)
    error: BaseException | None = None
    try:
        driver.block(tree.body, frame)
    except Raised as raised:
        error = raised.error
    except Signal as signal:
        raise AssertionError(f"{type(signal).__name__} left the program") from signal
    driver.calls.finish([frame.filename, 1, "<module>"], frame, comparable_lines(tree.body))
    return {
        "stdout": "".join(writer.printed),
        "echoes": list(writer.echoes),
        "exception": None if error is None else _told(error),
    }


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _as_json(command: Command) -> dict[str, Any]:
    return {
        "source": command.source,
        "output": command.output,
        "error": command.error,
        "kind": command.kind,
        "raised": command.exception is not None,
        "echoed": command.echoed,
        "wrote": command.wrote,
        "changes": command.changes,
        "depth": command.depth,
        "path": command.path,
        "line": command.line,
        "piece": command.piece,
    }


def console(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """Replays a text through a console."""
    _reseed(job)
    with drawing(job):
        return _end(send, replay_console(job["text"], job["program"], job["output_limit"], job.get("watch")))


def doctests(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """Replays a text through doctest."""
    with drawing(job):
        return _end(send, replay_doctest(job["text"], job["program"]))


KINDS: dict[str, Callable[[dict[str, Any], Send, Any], dict[str, Any]]] = {
    "native": native,
    "drive": drive,
    "console": console,
    "doctest": doctests,
    "beliefs": beliefs,
    "samples": samples,
    "path": one_path,
    "kernel": kernel,
}


def run(job: dict[str, Any], send: Send, guard: Any) -> dict[str, Any]:
    """Does one job; gives its end record. A limit that a job enforces itself ends it as ``trace-limit``."""
    if job.get("draws") is not None or job["kind"] in ("beliefs", "path", "kernel"):
        install()
    try:
        return KINDS[job["kind"]](job, send, guard)
    except SetupError as error:
        send({"setup": error.reason, "evidence": str(error)})
        return {"end": "ok", "exception": None}
    except EventsFull:
        return {"end": "trace-limit", "exception": "events"}
    except OutputFull:
        return {"end": "output-limit", "exception": "output"}
