"""Tries calls: which lines they run, and which commands show what they give and what they change."""

from __future__ import annotations

import io
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence

from trace_mine_harvest.operators import is_statement
from trace_mine_harvest.runs import OwnTimeIsOver, within
from trace_mine_harvest.watched_call import CallTexts

MAX_ITEMS = 60
"""Items of an iterator that a session shows at once; of a longer one it shows the first ``NEXT``."""
NEXT = 3
MAX_SHOWN = 1_500
"""Characters of a value."""
MAX_LINES = 400
MAX_BEFORE = 150
"""Lines on the way to a function: a session has a command or more for each, and may have 400."""
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
_READERS = (list, tuple, dict, set)


def try_calls(
    write: Callable[[dict[str, object]], None], calls: Sequence[GivenCall], root: str, seconds: float
) -> None:
    """Try calls one after the other, each in a namespace of its own.

    Args:
        write: writes a record for each.
        calls: for each its ``number``, and what ``harvest_protocol.SeenCall`` holds.
        root: the folder that paths are relative to.
        seconds: of CPU for one of them.
    """
    for call in calls:
        sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), io.StringIO()
        trial = _Trial(call, root)
        problem = ""
        try:
            with within(seconds):
                trial.run()
        except OwnTimeIsOver:
            problem = "no_end"
        except _Far:
            problem = "far"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            problem = trial.problem or "set_up_fails"
        finally:
            sys.settrace(None)
        if not problem and not trial.is_entered:
            problem = "not_entered"
        write(
            {
                "tried_call": {
                    "number": call["number"],
                    "problem": problem or trial.problem,
                    "raised": trial.raised[:200],
                    "lines": sorted(trial.lines)[:MAX_LINES],
                    "commands": trial.commands,
                    "num_before": trial.num_before,
                }
            }
        )


class _Far(BaseException):
    """Too many lines of others were run before the function. No ``Exception``, which the repository's code catches."""


class GivenCall(CallTexts):
    """A call that is to be tried, as ``harvest_protocol.SeenCall`` with its number; only what is used of it."""

    number: int
    path: str
    qualname: str
    kind: str
    focus: Sequence[tuple[str, int]]


class _Trial:
    """One call: run with all that may change in variables, then written as it is best read."""

    def __init__(self, call: GivenCall, root: str) -> None:
        self._call = call
        self.target = f"{root}/{call['path']}", call["qualname"]
        self.focus = frozenset((f"{root}/{path}", line) for path, line in call["focus"])
        self.lines: set[int] = set()
        self.num_before = 0
        self.commands: list[str] = []
        self.is_entered = False
        self.raised = ""
        self.problem = ""
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        self._names = main.__dict__

    def run(self) -> None:
        """Run the call and choose the commands."""
        call = self._call
        before = [*call["named_imports"], *call["named_before"]]
        for command in before:
            exec(compile(command, "<set-up>", "exec"), self._names)
        given = call["given"]
        variables = [*call["variables"], *given]
        states = {name: self._shown_state(name) for name in variables}
        text = call["named_call"]
        statement = is_statement(text)
        shows: list[str] = []
        try:
            with self._watching():
                if statement:
                    exec(compile(text, "<call>", "exec"), self._names)
                    value: object = None
                else:
                    value = eval(compile(text, "<call>", "eval"), self._names)
                    reader, value = self._read(value)
            if not statement:
                shows = self._shows(reader, value)
        except Exception as error:
            self.raised = type(error).__name__
            shows = [""]
        changed = [name for name in variables if self._shown_state(name) != states[name]]
        if any(name in given for name in changed):
            commands, text = before, call["named_call"]
        else:
            commands, text = [*call["imports"], *call["before"]], call["call"]
        self.commands = [*commands, *self._with(text, shows, is_statement=statement)]
        for name in changed:
            state = self._shown_state(name)
            if state and state[0] and any(command.startswith(f"{name} = ") for command in self.commands):
                self.commands.append(state[0])

    def _with(self, text: str, shows: Sequence[str], *, is_statement: bool) -> list[str]:
        if is_statement or not shows:
            return [text]
        if self._call["qualname"].endswith(".__iter__") and text.startswith("iter("):
            # what `list(iter(a))` does
            shows = ["list" + text.removeprefix("iter") if show == "list(\x01)" else show for show in shows]
        return [show.replace("\x01", text) or text for show in shows]

    def _watching(self) -> _Lines:
        return _Lines(self)

    def _read(self, value: object) -> tuple[str, object]:
        """Use an iterator up; the built-in that reads it, and what it gave."""
        kind = type(value)
        if kind is types.CoroutineType or kind is types.AsyncGeneratorType:
            self.problem = "async_function"
            if isinstance(value, types.CoroutineType):
                value.close()
            return "", None
        if not hasattr(kind, "__next__") or (_has_text(kind) and _is_shown(value)):
            return "", value
        items: list[object] = []
        iterator: Iterator[object] = value  # type: ignore[assignment]
        for item in iterator:
            items.append(item)
            if len(items) > MAX_ITEMS:
                return "next", items[:NEXT]
        return "list", items

    def _shows(self, reader: str, value: object) -> list[str]:
        """The commands around the call's text, which the character 1 stands for."""
        if self.problem:
            return []
        if reader == "next":
            name = self._unused("iterator")
            return [f"{name} = \x01", *[f"next({name})"] * NEXT] if _is_shown(value) else self._without(value)
        if reader == "list":
            return ["list(\x01)"] if _is_shown(value) else self._without(value)
        if isinstance(value, (set, frozenset)) and len(value) > 1 and _is_shown(value):
            # its order differs from run to run
            return ["sorted(\x01)"] if _has_order(value) else ["len(\x01)"]
        if value is None or _is_shown(value):
            return ["\x01"]
        fields = getattr(value, "__dict__", None)
        name = self._unused("result")
        if type(fields) is dict and fields and _is_shown(fields):
            return [f"{name} = \x01", f"vars({name})"]
        for built_in in _READERS:
            if isinstance(value, built_in) and _is_shown(built_in(value)):
                return [f"{built_in.__name__}(\x01)"]
        return [f"{name} = \x01", f"type({name})"]

    def _without(self, value: object) -> list[str]:
        """An iterator's items whose text differs from run to run: how many there are."""
        assert isinstance(value, list)
        return ["sum(1 for _ in \x01)"] if len(value) <= MAX_ITEMS else ["\x01"]

    def _unused(self, name: str) -> str:
        while name in self._names:
            name += "_"
        return name

    def _shown_state(self, name: str) -> tuple[str, str]:
        """The command that shows a variable's object, and what it shows; empty where it would show an address."""
        value = self._names.get(name)
        if _is_shown(value):
            text = _text(value)
            fields = getattr(value, "__dict__", None)
            if type(fields) is dict and fields and _is_shown(fields) and _has_text(type(value)):
                return name, f"{text} {_text(fields)}"
            return name, text
        fields = getattr(value, "__dict__", None)
        if type(fields) is dict and _is_shown(fields):
            return f"vars({name})", _text(fields)
        return "", ""


class _Lines:
    """Notes the lines of one function that are run, and counts those of the functions on the way to it."""

    def __init__(self, trial: _Trial) -> None:
        self._trial = trial

    def __enter__(self) -> None:
        sys.settrace(self._global)  # type: ignore[arg-type]

    def __exit__(self, *exception: object) -> None:
        sys.settrace(None)

    def _global(self, frame: types.FrameType, event: str, argument: object) -> object:
        code = frame.f_code
        if (code.co_filename, code.co_qualname) == self._trial.target:
            self._trial.is_entered = True
            return self._local
        is_on_way = not self._trial.is_entered and (code.co_filename, code.co_firstlineno) in self._trial.focus
        return self._on_way if is_on_way else None

    def _on_way(self, frame: types.FrameType, event: str, argument: object) -> object:
        if event == "line" and not self._trial.is_entered:
            self._trial.num_before += 1
            if self._trial.num_before > MAX_BEFORE:
                raise _Far
        return self._on_way

    def _local(self, frame: types.FrameType, event: str, argument: object) -> object:
        if event == "line":
            self._trial.lines.add(frame.f_lineno)
        return self._local


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return "at 0x0"


def _has_text(kind: type[object]) -> bool:
    """Return True if objects of the class have another text than their address."""
    shows: object = kind.__repr__
    return shows is not object.__repr__


def _has_order(value: set[object] | frozenset[object]) -> bool:
    try:
        sorted(value)  # type: ignore[type-var]
    except Exception:
        return False
    return True


def _is_shown(value: object) -> bool:
    """Return True if a value's text is the same in another process, as far as one can tell, and not too long."""
    text = _text(value)
    return len(text) <= MAX_SHOWN and not _ADDRESS.search(text)
