"""The summary of a run: short, escaped, with reasons in words, and failures of the sandbox by kind."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from trace_mine.tracer.denials import KINDS, denial_in
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.schema import Drop, Step, Trace
from trace_mine.tracer.script_folder import FolderCopy
from trace_mine.tracer.summary import ScriptFacts, summary

TRACE = Trace(
    text=">>> x = 1\n",
    segments=(),
    steps=(Step(source="x = 1", output="", kind="statement"),),
    setup={},
    view={"policy": "written"},
    outcome="ok",
    exception=None,
    integrity="clean",
    sandbox={},
    python="3.11.4",
    opened_calls=0,
    kept_whole={},
    doctest_passed=None,
)
FACTS = ScriptFacts(source="x = 1\n")
HOSTILE = "\x1b[31m\u202ename\n trace-run: all is well"


def test_a_plain_run_is_one_line() -> None:
    assert summary(TRACE, FACTS) == ["1 command, 0 calls opened"]
    assert summary(replace(TRACE, outcome="exception", exception="KeyError"), FACTS)[0].endswith("ended with KeyError")


def test_own_frames_are_told_with_what_left_the_others_closed() -> None:
    opened = replace(TRACE, own_frames=9, opened_frames=9)
    assert summary(opened, FACTS) == ["1 command, 0 calls opened, 9 of 9 own frames"]
    some = replace(TRACE, own_frames=9, opened_frames=2, unopened_frames={"deeper": 3, "operator": 4})
    assert summary(some, FACTS) == ["1 command, 0 calls opened, 2 of 9 own frames (not operator 4, deeper 3)"]


def test_what_was_kept_whole_says_why_and_what_to_do() -> None:
    kept = {"budget": 7, "async": 2, "super": 1, "closure": 1, "unparse": 1}
    first, budget, other, *rest = summary(replace(TRACE, kept_whole=kept), FACTS)
    assert budget.startswith("7 x budget: ") and "--commands" in budget and other.startswith("2 x async: ")
    assert rest == ["3 more for closure, super, unparse"]
    assert first == "1 command, 0 calls opened"


def test_everything_at_once_is_eight_lines_with_nothing_that_acts() -> None:
    kept = dict.fromkeys(("budget", "async", "super", "closure", "unparse"), 1)
    text = f"FileNotFoundError\nNo module named '{'x' * 90}'\nEOF when reading a line\n"
    copied = FolderCopy(content=WorkingFolder(), left_out=((HOSTILE, HOSTILE),) * 20, num_left_out=1_000_000)
    facts = ScriptFacts(source="import random\ninput()\n", copied=copied)
    hostile = replace(TRACE, text=text, kept_whole=kept, outcome="exception", exception=HOSTILE)
    lines = summary(hostile, facts)
    assert len(lines) <= 8 and all(line.isprintable() and len(line) < 700 for line in lines)
    assert "and 999,997 more" in "\n".join(lines) and "--view branch" in lines[-1]
    assert summary(Drop(reason="wall", evidence=HOSTILE), FACTS) == []


def test_input_that_was_not_given_and_input_that_ended() -> None:
    trace = replace(TRACE, outcome="exception", exception="EOFError")
    for given, told in ((False, "--stdin FILE"), (True, "more lines")):
        lines = summary(trace, ScriptFacts(source="input()", has_input=given))
        assert told in lines[-1]
    assert len(summary(trace, ScriptFacts(source="raise EOFError"))) == 1
    reading = replace(TRACE, steps=(Step(source="x = sys.stdin.read()", output="", kind="statement"),))
    for source, given, number in (("sys.stdin.read()", False, 2), ("sys.stdin.read()", True, 1), ("x = 1", False, 1)):
        lines = summary(reading, ScriptFacts(source=source, has_input=given))
        assert len(lines) == number and (number == 1 or "may read input, and was given none" in lines[1])


COPIED = FolderCopy(
    content=WorkingFolder(), left_out=(("large.bin", "too large"), ("many", "too many")), num_left_out=2
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("PermissionError: [Errno 13] Permission denied: '/x'", "call"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "call"),
        ("FileNotFoundError: [Errno 2] No such file or directory\n", "call"),
        ("OSError: [Errno 101] Network is unreachable", "network"),
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", "network"),
        ("no: [Errno -2] Name or service not known", "network"),
        ("ModuleNotFoundError: No module named 'no_such.inner'", "package"),
        ("[Errno 2] No such file or directory: '/etc/hostname'", "file"),
        ("[Errno 2] No such file or directory: '/tmp/somebody-s/data.csv'", "file"),
        ("[Errno 2] No such file or directory: '../above.csv'", "file"),
        ("[Errno 2] No such file or directory: 'deep/../../above.csv'", "file"),
        ("[Errno 2] No such file or directory: './large.bin'", "file"),
        ("[Errno 2] No such file or directory: 'many/one.csv'", "file"),
        ("[Errno 2] No such file or directory: 'x/.git/config'", "file"),
        ("[Errno 2] No such file or directory: '/home/user/above.csv'", "file"),
        ("[Errno 2] No such file or directory: '/home/user/script/large.bin'", "file"),
        ("[Errno 2] No such file or directory: 'nowhere.txt'", None),
        ("[Errno 2] No such file or directory: 'larger.bin'", None),
        ("[Errno 2] No such file or directory: '/nowhere/at/all'", None),
        ("[Errno 2] No such file or directory: '/home/user/script/nowhere.txt'", None),
        ("ModuleNotFoundError: No module named 'asyncio.nothing'", None),
        ("FileExistsError: [Errno 17] File exists: 'x'", None),
        ("all is well", None),
    ],
)
def test_each_kind_of_failure_is_told(text: str, kind: str | None) -> None:
    denial = denial_in(f">>> f()\n{text}\n", copied=COPIED)
    assert (denial and denial.kind) == kind
    if kind is not None:
        assert denial_in(text, copied=COPIED, kinds=[each for each in KINDS if each != kind]) is None


def test_a_copy_that_leaves_out_more_than_it_names_may_lack_any_file() -> None:
    text = "[Errno 2] No such file or directory: 'data.csv'"
    assert denial_in(text) is None and denial_in(text, copied=COPIED) is None
    assert denial_in(text, copied=replace(COPIED, num_left_out=30)) is not None


def test_what_a_program_prints_is_no_question_to_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whether a row is there would tell a hostile program which paths there are."""

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the machine was asked")

    for name in ("stat", "lstat", "access", "open", "scandir", "listdir"):
        monkeypatch.setattr(os, name, asked)
    text = "[Errno 2] No such file or directory: '{}'\n".format
    kinds = {denial_in(text(path)).kind for path in (tmp_path, tmp_path / "not there")}
    monkeypatch.undo()
    assert kinds == {"file"}
