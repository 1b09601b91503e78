"""What is kept of a native run: its events, and the record of one of which there is no session that replays."""

from __future__ import annotations

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.event_log import EventLog, event_log
from trace_mine.tracer.inside.protocol.answers import Error
from trace_mine.tracer.rounds import Native
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Snippet, Trace
from trace_mine.tracer.two_worlds import library_on_host, root_of


def events_of(config: TracerConfig, recorder: Worker, snippet: Snippet, native: Native) -> EventLog:
    """The events of a native run, with paths as steps have them."""
    root = root_of(config, recorder)
    scratch = f"{recorder.scratch}/" if config.folder is not None else ""

    def relative(path: str) -> str:
        return library_on_host(path.removeprefix(f"{root}/").removeprefix(scratch), recorder)

    return event_log(native.result, native.frames, snippet.pieces, snippet.path, relative)


def record_of(config: TracerConfig, recorder: Worker, snippet: Snippet, native: Native, reason: str) -> Trace:
    """A trace of a native run of which there is no session that replays: no text and no steps, but events.

    Its frames count as not opened for ``reason``, the word for which there is no session.
    """
    result = native.result
    last = next((piece.exception for piece in reversed(result.pieces) if piece.exception is not None), None)
    number = sum(each.number for each in result.entered)
    return Trace(
        text="",
        segments=(),
        steps=(),
        setup={
            "sys_path": list(config.sys_path),
            "module": snippet.module,
            "code": snippet.code,
            "hash_seed": 0,
            "choices": list(result.outcomes),
        },
        view=config.view.as_json(),
        outcome=outcome_word(result.pieces[-1].exception if result.pieces else None),
        exception=None if last is None else last.type_name,
        integrity="clean",  # ``native_runs`` gives no other run
        sandbox={"level": recorder.level, "layers": recorder.layers},
        python=recorder.python_version,
        opened_calls=0,
        kept_whole={},
        doctest_passed=result.passed if snippet.kind == "doctest" else None,
        own_frames=number,
        unopened_frames={reason: number} if number else {},
        events=events_of(config, recorder, snippet, native),
    )


def outcome_word(ended: Error | None) -> str:
    """The word for how a program ended, by the exception that its last piece raised."""
    if ended is None:
        return "ok"
    return "exit" if ended.type_name == "SystemExit" else "exception"
