"""Traces of Code World Model read by its prompting guide alone, and what ``sys.settrace`` tells of a program as frames.

Both know nothing of ``corpus.export``: the reader was written from the guide (facebookresearch/cwm, PROMPTING_GUIDE.md:
``<|trace_context_start|>$CONTEXT<|frame_sep|>``, then frames, each ended by ``<|frame_sep|>``), so that what is
exported can be held to the format and not to the exporter's own idea of it.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass

MARKER = "<< START_OF_TRACE"
SEPARATOR = re.compile(r"<\|(\w+)\|>")
PARTS = {
    "call_sep": ("observation", "action_sep"),
    "line_sep": ("observation", "action_sep"),
    "return_sep": ("", "action_sep", "arg_sep"),
    "exception_sep": ("", "action_sep", "arg_sep"),
}


@dataclass(frozen=True)
class Frame:
    """A frame: its kind, the line, and all locals of the scope (calls, lines) or the value (returns, exceptions)."""

    kind: str
    line: str
    told: object


def read(text: str) -> tuple[str, list[Frame]]:
    """The program and the frames of a trace; AssertionError where the text is not as the guide has it.

    A text of the program that looks like a separator stands there with a backslash after its ``<``.
    """
    parts = SEPARATOR.split(text)  # text, separator, text, separator, ..., text
    assert parts[0] == "" and parts[1] == "trace_context_start" and parts[3] == "frame_sep", parts[:4]
    context = plain(parts[2])
    assert context.count(MARKER) >= 1
    separators, texts = parts[5::2], parts[6::2]
    assert parts[4] == "", "text between the program and the first frame"
    frames, scopes, place = [], [], 0
    while place < len(separators):
        kind = separators[place].removesuffix("_sep")
        needs = PARTS[separators[place]]
        end = place + len(needs)
        assert separators[place + 1 : end + 1] == [*needs[1:], "frame_sep"], separators[place : end + 1]
        assert texts[end] == "", "text between two frames"
        values = texts[place:end]
        if kind == "call":
            scopes.append({})
        assert scopes, f"a {kind} in no scope"
        if kind in ("call", "line"):
            given = json.loads(values[0])
            assert all(type(value) is str for value in given.values())
            assert kind == "line" or ".." not in given.values() or scopes[-1] == {}
            scopes[-1] = {name: scopes[-1][name] if value == ".." else value for name, value in given.items()}
            told: object = scopes[-1]
        else:
            assert values[0] == "", f"locals in a {kind}"
            told = json.loads(values[2])
            assert type(told) is str
        frames.append(Frame(kind, plain(values[1]), told))
        if kind == "return":
            scopes.pop()
            assert scopes or end + 1 == len(separators), "a frame after the end of the first scope"
        place = end + 1
    return context, frames


def plain(text: str) -> str:
    """A text of the program without the backslashes that stand in what looks like a separator."""
    return re.sub(r"<\\(\\*\|\w+\|>)", r"<\1", text)


def traced(source: str, examples: list[str], filename: str = "<module>") -> list[Frame]:
    """The frames of examples that run after a module's source, by ``sys.settrace``; values by ``repr``.

    The examples are one scope, as those of a docstring are for a reader; of its own variables nothing is told.
    """
    lines = {filename: source.split("\n")}
    namespace: dict[str, object] = {"__name__": "traced"}
    exec(compile(source, filename, "exec"), namespace)  # a program of the tests' own
    frames: list[Frame] = []

    def tell(frame, event, value):
        code = frame.f_code
        is_example = code.co_name == "<module>"
        if code.co_filename not in lines or (code.co_name.startswith("<") and not is_example):
            return None  # of comprehensions and lambdas nothing is told
        line = lines[code.co_filename][frame.f_lineno - 1]
        if event in ("call", "line"):
            told = {} if is_example else {name: repr(each) for name, each in frame.f_locals.items()}
        else:
            told = repr(value[1] if event == "exception" else value)
        if not is_example or event in ("line", "exception"):
            frames.append(Frame(event, line, told))
        return tell

    for number, example in enumerate(examples):
        lines[f"<example {number}>"] = example.split("\n")
    codes = [compile(example, f"<example {number}>", "single") for number, example in enumerate(examples)]
    hook, shows = sys.gettrace(), sys.displayhook
    sys.displayhook = lambda value: None
    try:
        for code in codes:
            sys.settrace(tell)
            try:
                exec(code, namespace)
            except Exception:
                continue
            finally:
                sys.settrace(hook)
    finally:
        sys.displayhook = shows
    return frames
