"""A session's text has nothing in it that no reader compares, and is read in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.replays.literal import _head, _reading
from trace_mine.tracer.replays.session import commands_of
from trace_mine.tracer.replays.session_text import MAX_COMMAND, check_written, parts_of
from trace_mine.tracer.schema import Step

HEAD = "Traceback (most recent call last):\n    ...\n"


def written(*pairs: tuple[str, str]) -> str:
    return repl.render([Step(source=source, output=output, kind="statement") for source, output in pairs]).text


HONEST = [
    ("x = 2", ""),
    ("for each in (1, 2):\n    print(each)\n", "1\n2"),
    ('text = """a\n\nb"""', ""),
    ("print('a\\n\\n')", "a\n<BLANKLINE>"),
    ("x = 1\t# a tab", ""),
    ("1 / 0", HEAD + "ZeroDivisionError: division by zero"),
    ("f()", HEAD + "ValueError: a\n<BLANKLINE>\nb"),
    ("x  # doctest: +SKIP", "2"),
]
FALSE = {
    "text after a blank line": [("x = 2 + 2", "\n2 + 2 is 5")],
    "text after a blank line of an output": [("x", "4\n\n5")],
    "text after a line of white space": [("x", "4\n   \nso x + 1 is 6")],
    "a comment with an output": [("x = 2 + 2", ""), ("# x", "5")],
    "an empty command": [("", "5")],
    "a stack that says something": [("f()", "Traceback (most recent call last):\n  x is 5\nValueError: no")],
    "no stack": [("f()", "Traceback (most recent call last):\nValueError: no")],
    "a traceback without an exception": [("f()", HEAD + "    x is 5")],
    "text before the exception": [("f()", HEAD + "  x is 5\nValueError: no")],
    "another header": [("f()", "Traceback (innermost last):\n  x is 5\nValueError: no")],
    "an output that is a prompt": [("x", "4\n>>> x\n5")],
    "an output that goes on with the command": [("x", "... + 1\n5")],
    "a tab": [("x", "4\t5")],
    "a carriage return": [("x = 4 # \r>>> x\r5", "")],
}


def check(pairs):
    text = written(*pairs)
    parts_of(text)
    check_written(text, pairs)


@pytest.mark.parametrize("name", FALSE)
def test_a_text_that_says_more_than_readers_compare_is_no_session(name):
    with pytest.raises(ValueError, match="expected"):
        check([*FALSE[name], ("y = 1", "")])
    with pytest.raises(ValueError, match="expected"):
        check([("y = 1", ""), *FALSE[name]])


def test_an_honest_text_is_a_session():
    text = written(*HONEST)
    check(HONEST)
    commands = commands_of(text)
    assert len(commands) == len(HONEST)
    assert [each.message for each in commands][-3:-1] == [
        "ZeroDivisionError: division by zero\n",
        "ValueError: a\n<BLANKLINE>\nb\n",
    ]


@given(st.lists(st.tuples(st.sampled_from(["x", "f()", "if x:\n    y", "# c"]), st.text("a5 \n\t<>.#", max_size=12))))
def test_all_of_a_text_is_commands_and_wanted_outputs(pairs):
    """What is read of a text is all of it: written again, it is the same text."""
    text = written(*pairs)
    try:
        commands = commands_of(text)
        check_written(text, pairs)
    except ValueError:
        return
    assert written(*((each.source.removesuffix("\n"), each.want.removesuffix("\n")) for each in commands)) == text
    assert all(doctext.is_showable(doctext.unmarked(each.want)) for each in commands)


def test_a_command_is_bounded():
    parts_of(f">>> x = '{'a' * (MAX_COMMAND - 6)}'\n")
    with pytest.raises(ValueError, match="characters"):
        parts_of(f">>> x = '{'a' * (MAX_COMMAND - 5)}'\n")


def test_directives_are_read_in_linear_time():
    """Of a command of 44 kB doctest's own expression took 11 seconds, and of this one a quarter of an hour."""
    with pytest.raises(ValueError, match="invalid option"):
        parts_of(">>> x = 1  " + "# doctest: " * 20_000 + "'\n>>> y = 1 # doctest: +NO_OPTION\n")


def test_reports_are_cut_in_linear_time():
    """Cut so that each command copied what was left, these reports took minutes."""
    heads = [_head(f"f({index})\n", f"{index:032}") for index in range(4_000)]
    commands = commands_of("".join(f">>> f({index})\n" for index in range(len(heads))))
    report = "Got:\n" + "    x\n" * 2_000_000
    reading = _reading(commands, heads, "".join(head + "Got nothing\n" for head in heads[:-1]) + heads[-1] + report)
    assert [each.out for each in reading.printed[:-1]] == [""] * (len(heads) - 1)
    assert len(reading.printed[-1].out) == 4_000_000
