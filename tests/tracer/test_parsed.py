"""Walks of a program's trees that stop early, against what they stand for."""

import ast
import copy
import random
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.tracer.inside.observe.reveals import assigned
from trace_mine.tracer.inside.syntax import current_exception, parsed, text
from trace_mine.tracer.inside.syntax.current_exception import asked_for

STATEMENTS = [
    node for file in ("contextlib", "functools") for node in ast.parse(Path(__import__(file).__file__).read_text()).body
]
dump = partial(ast.dump, show_empty=True) if sys.version_info >= (3, 13) else ast.dump
"""From 3.13 on a dump leaves out empty lists, and so does not tell one from None, which no parser puts there."""
CONSTANTS = ["0.0", "-0.0", "0", "False", "0j", "1", "True", "1.0", "'a'", "b'a'", "u'a'", "None", "...", "''", "1e999"]


@given(st.sampled_from(STATEMENTS), st.integers())
def test_trees_are_the_same_where_their_dumps_are(statement, seed):
    """Of a statement and a copy of it with one node changed, dropped or renamed."""
    draw = random.Random(seed)
    other = copy.deepcopy(statement)
    node = draw.choice([*ast.walk(other)])
    field = draw.choice([*(node._fields or ("lineno",))])
    value = getattr(node, field, None)
    changes = [None, "name", [], ast.Load(), value]
    if isinstance(value, list) and value:
        changes += [value[1:], [*value, value[0]], value[::-1]]
    setattr(node, field, draw.choice(changes))
    assert text.same_tree(statement, other) is (dump(statement) == dump(other))
    assert text.same_tree(other, statement) is (dump(statement) == dump(other))


@pytest.mark.parametrize("one", CONSTANTS)
@pytest.mark.parametrize("other", CONSTANTS)
def test_constants_are_the_same_where_their_dumps_are(one, other):
    left, right = ast.parse(one), ast.parse(other)
    assert text.same_tree(left, right) is (dump(left) == dump(right))


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "raise",
        "raise ValueError",
        "try:\n    x\nexcept E:\n    raise\n",
        "import sys; sys.exc_info()",
        "sys.ｅxc_info()",  # in other letters, which Python reads as these
        "logging.exception('x')",
        "'exc_info'",
        "import traceback; traceback.print_exc()",
        "e.__context__",
        "def f():\n    raise\n",
        "x = (",
        "\0",
        "",
    ],
)
def test_a_source_without_a_word_asks_for_nothing(source):
    """The walk is left out only where it would find nothing."""
    try:
        wanted = current_exception._asked_in(ast.parse(source))
    except (SyntaxError, ValueError):
        wanted = "current"
    assert asked_for(source) == wanted


def test_a_tree_is_parsed_once_and_none_where_there_is_none():
    assert parsed.read_tree("x = 1\n") is parsed.read_tree("x = 1\n")
    assert parsed.read_tree("x = (") is None and parsed.read_tree("\0") is None
    assert parsed.read_tree("-" * 100_000 + "1") is None  # too deep for the compiler


@pytest.mark.parametrize(
    ("source", "names", "fields", "is_spelt", "other"),
    [
        ("a = 5", ("a",), (), True, None),
        ("a = b = [1, 2]", ("a", "b"), (), True, None),
        ("a = b", ("a",), (), False, "b"),
        ("a.b = c = d.e = b", ("c",), ("a.b", "d.e"), False, "b"),
        ("a = b.c.d", ("a",), (), False, "b.c.d"),
        ("a = f().d", ("a",), (), False, None),
        ("a = -1", ("a",), (), True, None),
        ("a = -True", ("a",), (), False, None),  # an expression: nobody can read it as a literal
        ("a == 5", (), (), False, None),
        ("a += 5", (), (), False, None),
        ("f(a=b)", (), (), False, None),
        ("a: int = 5", ("a",), (), True, None),
        ("a: int", (), (), False, None),
        ("a = 5; b = a", (), (), False, None),
        ("a = (", (), (), False, None),
    ],
)
def test_what_a_command_assigns(source, names, fields, is_spelt, other):
    command = assigned(source)
    assert (command.names, command.fields, command.is_spelt, command.other) == (names, fields, is_spelt, other)
