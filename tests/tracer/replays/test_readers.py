"""The contract of readers, what is asked of variables, and the comparison of what was printed."""

from __future__ import annotations

import ast
import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.protocol.choice_answers import ReplayedCommand, ReplayReport
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replay_check import ReplayResult, _compare_values, _verification
from trace_mine.tracer.replays.choice import AUDITED, file_reflects, is_chosen, makes_set, readers_for
from trace_mine.tracer.replays.jails import replaying_jail
from trace_mine.tracer.replays.questions import question_of
from trace_mine.tracer.replays.reader import ORDERS
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.rows import RowVerifier
from trace_mine.tracer.replays.session import (
    Printed,
    Session,
    SessionReading,
    TextCommand,
    agrees,
    commands_of,
    differences,
    shows,
)
from trace_mine.tracer.replays.set_orders import further_orders
from trace_mine.tracer.rounds import Failed
from trace_mine.tracer.sandbox.conversation import RunLost
from trace_mine.tracer.schema import Outcome

HEAD = "Traceback (most recent call last):\n    ...\n"
SILENT = Printed(out="")
SESSION = """>>> x = {'b': [1, 2], 'a': None}
>>> y = {3, 1, 2}
>>> class C: pass
>>> c = C()
>>> c.n = 5
>>> print("no newline", end="")
no newline
>>> print("one\\n\\ntwo")
one
<BLANKLINE>
two
>>> x['c']
Traceback (most recent call last):
    ...
KeyError: 'c'
>>> raise ValueError("two\\n\\nlines")
Traceback (most recent call last):
    ...
ValueError: two
<BLANKLINE>
lines
>>> del x
"""


@pytest.fixture(scope="module")
def workers(other_worker, plain_replayer):
    return {"other world": other_worker, "replayer": plain_replayer, "fresh replayer": plain_replayer}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_keeps_its_contract(workers, name):
    """It gives what each command printed, answers the questions if it asks any, and never compares."""
    reader = READERS[name]
    assert reader.name == name and reader.promise
    commands = commands_of(SESSION)
    asked = [{} for _ in commands]
    asked[0] = {"x": "{'b': [1, 2], 'a': None}"}
    asked[1] = {"y": "{1, 2, 3}"}
    asked[4] = {"c": "C(n=5)"}
    asked[-1] = {"x": "not bound any more"}
    questions = tuple(tuple(question_of(*each) for each in pairs.items()) for pairs in asked)
    session = Session(commands=commands, program=Program(), questions=questions)
    reading = reader.read(workers[reader.jail], session, 0)
    assert not reading.why and len(reading.printed) == len(commands)
    assert differences(commands, reading) == []
    lies = tuple(TextCommand(source=each.source, want="a lie\n", message=None) for each in commands)
    assert len(differences(lies, reading)) == len(commands)
    if reader.asks:
        answers = {name: text for told in reading.answers for name, text in told.items()}
        assert answers == {"x": None, "y": "{1, 2, 3}", "c": "C(n=5)"}
        assert reading.answers[0] == {"x": "{'b': [1, 2], 'a': None}"}
    else:
        assert reading.answers == ()


@pytest.mark.parametrize("name", READERS)
def test_a_reseeded_replay_draws_otherwise(workers, name):
    reader = READERS[name]
    session = Session(commands=commands_of(">>> import random\n>>> random.random()\n"), program=Program())
    drawn = [reader.read(workers[reader.jail], session, seed).printed[1].out for seed in (2, 2, 3)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_value_whose_own_repr_is_a_literal_is_verified_by_nobody(plain_replayer):
    """``repr`` is asked of exact built-in types alone: what a class says of itself is no literal of the session's."""
    text = """>>> class Five:
...     def __repr__(self): return "5"
>>> class Six(int):
...     def __repr__(self): return "5"
>>> x, y, z, w = Five(), [Five()], Six(6), 5
"""
    questions = ((), (), tuple(question_of(name, "[5]" if name == "y" else "5") for name in "xyzw"))
    session = Session(commands=commands_of(text), program=Program(), questions=questions)
    (answers,) = READERS["doc"].read(plain_replayer, session, 0).answers[2:]
    assert answers.pop("w") == "5"
    assert not {"5", "[5]"} & {*answers.values()}


class Reports:
    """Stands in for a worker: what a process with our code in it, which programs can change, reports of a replay."""

    def __init__(self, report: ReplayReport) -> None:
        self.report = report

    def run(self, job):
        return Outcome(status="ok", integrity="clean", records=(self.report,))


TWO = Session(
    commands=commands_of(">>> x = 1\n>>> y = 2\n"),
    program=Program(),
    questions=((question_of("x", "1"),), (question_of("y", "2"),)),
)


@pytest.mark.parametrize(
    ("num_commands", "values"), [(2, ()), (2, ({"x": "1"},)), (1, ({}, {})), (3, ({}, {}, {})), (2, ({}, {}, {}))]
)
def test_a_report_of_another_session_is_no_replay(num_commands, values):
    report = ReplayReport(commands=(ReplayedCommand(output="", error=None),) * num_commands, values=values)
    reading = READERS["patched"].read(Reports(report), TWO, 0)
    assert [each.command for each in differences(TWO.commands, reading)] == [0]


@pytest.mark.parametrize(
    ("answers", "vouches", "verified"),
    [
        (({"x": "1"}, {"y": "2"}), True, 2),
        (({"x": "1"}, {"y": "3"}), True, 1),
        (({"x": "1"},), True, 1),
        ((), True, 0),
        (({"x": "1"}, {"y": "2"}), False, 0),
    ],
)
def test_only_equal_answers_that_came_verify_a_state(answers, vouches, verified):
    commands = [SimpleNamespace(changes={"x": "1"}), SimpleNamespace(changes={"y": "2"})]
    result = ReplayResult(**{name: [set(), set()] for name in ("differing", "unbound", "answered")})
    _compare_values(TWO, SessionReading(printed=(SILENT, SILENT), answers=answers), result, vouches=vouches)
    verification = _verification(TWO, SimpleNamespace(commands=commands), result, {"doc"})
    assert (verification.states_verified, verification.states_total) == (verified, 2)


def test_which_readers_vouch_for_values():
    assert [name for name, reader in READERS.items() if reader.vouches] == ["doc"]


def test_of_a_session_that_goes_on_after_an_exit_a_prompt_reads_the_part_before(plain_replayer):
    def verdict(text):
        with RowVerifier() as verifier:
            return verifier.verify(text, {"module": None, "code": ""}, ("stock", "literal"))

    ends = ">>> 1\n{}\n>>> raise SystemExit\n" + HEAD + "SystemExit\n"
    assert verdict(ends.format(1)).printed == ("literal", "stock")
    part = verdict(ends.format(1) + ">>> 2\n2\n")
    assert (part.printed, part.in_part, part.holds) == (("literal",), ("stock",), False)
    assert sorted(verdict(ends.format(2) + ">>> 2\n2\n").failures) == ["literal", "stock"]
    at_prompt = ">>> import sys\n>>> class SystemExitLike(Exception): pass\n>>> raise SystemExitLike\n" + HEAD
    at_prompt += "SystemExitLike\n>>> 4 if hasattr(sys, 'ps1') else 5\n5\n"
    assert sorted(verdict(at_prompt).failures) == ["stock"]


class LostJail:
    """Stands in for a worker whose jail dies."""

    limits = Limits()

    def converse(self, request, talk):
        raise RunLost("the jail died")


@pytest.mark.parametrize("name", ["doc", "stock", "literal", "fresh"])
def test_evidence_names_the_reader_that_was_asked(name):
    session = Session(commands=commands_of(">>> 1\n1\n"), program=Program())
    with pytest.raises(Failed) as failed:
        READERS[name].read(LostJail(), session, 0)
    assert failed.value.drop.evidence == f"the {name} run was lost: the jail died"


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9)
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=4)
        | st.sets(st.integers() | st.text(max_size=3), max_size=4)
    ),
    max_leaves=12,
)


@given(plain_values)
def test_what_is_asked_for_by_repr_is_what_repr_gives(value):
    """Of any value: where ``repr`` is asked, equal values give equal bytes; and a literal reads back."""
    text = values.text(values.snapshot(value))
    question = question_of("x", text)
    if question.by_repr:
        assert repr(value) == text
    if question.is_literal and "nan" not in text and "inf" not in text:
        ast.literal_eval(text)
    if type(value) in (int, bool, str, bytes, type(None)) and "<" not in text:
        assert question.by_repr


@pytest.mark.parametrize(
    "text",
    (
        *(
            "C(x=1)",
            "<function f>",
            "[1, C()]",
            "",
            "   ",
            "1, 2",
            "[1",
            "1]",
            "(1}",
            "set()",
            "Decimal('1')",
            "x",
            "{",
        ),
        *(
            "[" * 50_000,
            "'" + "\\'" * 50_000,
            "1" * 50_000 + "x",
            "{1: C()}",
            "<differs from run to run>",
            "...",
            "a: b",
        ),
        *("[1 2]", "True False", "'a' 'b'", "[1,, 2]", "[,]", "{1: 2, 3}", "{1, 2: 3}", "{1: 2: 3}", "{1:}", "[1: 2]"),
        *("1 [2]", "[1] [2]", "[1](2)", "{: 1}", "[] 1"),
    ),
)
def test_what_is_no_literal_is_not_called_one(text):
    assert not question_of("x", text).is_literal


@pytest.mark.parametrize(
    ("error", "message", "is_shown"),
    [
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no\n", True),
        ("Traceback (most recent call last):\n  File x\nValueError: not\n", "ValueError: no\n", False),
        ("ValueError: no\n\nDuring handling ...\n\nTraceback\nKeyError: 1\n", "KeyError: 1\n", True),
        ("  | ExceptionGroup: two (1 sub-exception)\n  +-+---\n", "ExceptionGroup: two (1 sub-exception)\n", True),
        ("NameError: name 'x' is not defined. Did you mean: 'y'?\n", "NameError: name 'x' is not defined\n", True),
        (
            "NameError: name 'sys' is not defined. Did you forget to import 'sys'?\n",
            "NameError: name 'sys' is not defined. Did you forget to import 'sys'?\n",
            True,
        ),
        ("ValueError: a\n   \nb\n", "ValueError: a\n<BLANKLINE>\nb\n", True),
        ("ValueError: no\na note\n", "a note\n", True),
        ("", "ValueError: no\n", False),
    ],
)
def test_a_message_on_standard_error(error, message, is_shown):
    assert shows(error, message) == is_shown


@pytest.mark.parametrize(
    ("want", "message", "printed", "does"),
    [
        ("1\n", None, Printed(out="1\n", raised=False), True),
        ("1\n", None, Printed(out="1", raised=False), True),
        ("True\n", None, Printed(out="1\n", raised=False), False),  # which doctest accepts
        ("", None, Printed(out="", raised=False), True),
        ("", None, Printed(out="", error="E: 1\n", raised=True), False),
        ("", None, Printed(out="", error="a warning\n"), True),
        ("<BLANKLINE>\n", None, Printed(out="\n", raised=False), True),
        ("x\n", "E: 1\n", Printed(out="", error="E: 1\n", raised=True), True),
        ("x\n", "E: 1\n", Printed(out="", error="E: 12\n", raised=True), False),
        ("x\n", "E: 1\n", Printed(out="", raised=False), False),
        ("\\xe9\n", None, Printed(out="é\n", raised=False), False),  # which doctest accepts
        ("é\n", None, Printed(out="é\n", raised=False), True),
        ("", None, Printed(out="\n", raised=False), False),
        ("a\n", None, Printed(out="a\n\n", raised=False), False),
        ("a\n<BLANKLINE>\nb\n", None, Printed(out="a\n  \nb\n", raised=False), True),
        ("x\n", "E: \\xe9\n", Printed(out="", error="E: é\n", raised=True), False),
        ("x\n", "E: a\n<BLANKLINE>\n", Printed(out="", error="E: a\n\n", raised=True), True),
        ("x\n", "E: 1\n", Printed(out="first\n", error="E: 1\n", raised=True), False),  # which doctest accepts
    ],
)
def test_a_command_and_what_it_printed(want, message, printed, does):
    assert agrees(TextCommand(source="x", want=want, message=message), printed) == does


FIRST = (Printed(out="1\n"),)


def missing(message, *, why="ended", printed=FIRST, left=SILENT, **ending):
    commands = commands_of(f">>> 1\n1\n>>> f()\n{HEAD}{message}\n")
    return [
        each.command for each in differences(commands, SessionReading(why=why, printed=printed, left=left, **ending))
    ]


@pytest.mark.parametrize(
    ("message", "status", "left"),
    [
        ("SystemExit: 3", 3, SILENT),
        ("SystemExit: 3", 1, Printed(out="", error="3\n")),  # a text of digits as the exit code
        ("SystemExit: -1", 255, SILENT),
        ("SystemExit", 0, SILENT),
        ("SystemExit: None", 0, SILENT),
        ("SystemExit: True", 1, SILENT),
        ("SystemExit: no", 1, Printed(out="", error="no\n")),
    ],
)
def test_a_run_that_ends_in_its_last_command_as_shown(message, status, left):
    assert missing(message, exit_status=status, left=left) == []
    assert missing(message, exit_status=status + 1, left=left) == [1]
    assert missing(message, left=left) == [1]
    assert missing(message, exit_status=status, left=left, printed=()) == [0]
    assert missing(message, exit_status=status, left=left, why="more prompts than lines") == [1]
    assert missing(message, exit_status=status, left=Printed(out="5\n", error=left.error)) == [1]


@pytest.mark.parametrize(
    "message", ["ValueError: no", "ValueError", "SystemExitLike", "SystemExitLike: 1", "KeyError: 1"]
)
@pytest.mark.parametrize("status", [0, 1])
def test_a_run_that_ends_shows_no_exception_that_ends_no_interpreter(message, status):
    left = Printed(out="", error=message + "\n")
    assert missing(message, exit_status=status, left=left) == [1]


def test_an_exit_whose_message_was_not_written_is_not_shown():
    assert missing("SystemExit: no", exit_status=1) == [1]
    assert missing("SystemExit: no", exit_status=0) == [1]


def test_the_readers_of_a_session():
    def readers(text, noticed=()):
        return readers_for(commands_of(text), (text,), noticed)

    assert readers(">>> 1\n1\n") == ["doc", "stock"]
    assert readers(">>> import gc\n") == ["doc", "stock", "literal"]
    assert readers(">>> f()\n", ("sys._getframe",)) == ["doc", "stock", "literal"]
    assert readers(">>> import threading\n") == ["doc", "stock"]
    assert len(readers(">>> f()\n", ("_thread.start_new_thread",))) == 22
    ends = ">>> exit()\nTraceback (most recent call last):\n    ...\nSystemExit\n"
    assert readers(ends) == ["doc", "stock"]
    assert readers(ends + ">>> 1\n1\n") == ["doc", "stock", "literal"]  # no prompt goes on after that
    like = ends.replace("SystemExit", "SystemExitLike")
    assert readers(like + ">>> 1\n1\n") == ["doc", "stock"]  # but after that


def test_one_session_in_fifty_is_chosen():
    audited = sum(is_chosen(f">>> {number}\n{number}\n", 0) for number in range(10_000))
    assert 0.7 < audited * AUDITED / 10_000 < 1.3


def test_the_sources_that_ran_choose_readers_too(tmp_path):
    """Not only the text: a function that it calls may look at frames."""
    plain, looking, pipe = tmp_path / "plain.py", tmp_path / "looking.py", tmp_path / "pipe.py"
    plain.write_text("def f(): return 5\n")
    looking.write_text("def f(error): return error.__traceback__.tb_frame\n")
    os.mkfifo(pipe)

    def readers(*files):
        return readers_for(commands_of(">>> f()\n5\n"), (">>> f()\n5\n",), (), files=map(str, files))

    assert readers(plain, pipe, tmp_path, tmp_path / "no.py") == ["doc", "stock"]
    assert readers(plain, looking) == ["doc", "stock", "literal"]


@pytest.mark.parametrize(
    ("source", "reflects"),
    [
        ('def f():\n    """Writes to stdout, as sys._getframe does."""\n    return 5  # no stdout\n', False),
        ("def f():\n    r'''stdout \\''' stdout'''\n    return '#'  # stdout\n", False),
        ('import doctest\nif __name__ == "__main__":\n    doctest.testmod()\n', False),
        ("def f():\n    return getattr(sys, 'stdout')\n", True),
        ('exec("""\nsys.stdout\n""")\n', True),
        ('a = "#"; sys.stdout\n', True),
        ("a = 'it\\'s # '; sys.stdout\n", True),
        ('"""no end\nsys.stdout\n', False),
        ('f = """\n"""; sys.stdout\n', True),
        ('"""a docstring"""; sys.stdout\n', True),
        ("'a line without an end\nsys.stdout\n", True),
    ],
)
def test_docstrings_and_comments_look_at_nothing(source, reflects, tmp_path):
    path = tmp_path / "source.py"
    path.write_text(source)
    assert file_reflects(str(path)) is reflects


@pytest.mark.parametrize(
    "source, makes",
    [
        ("x = {'a', 'b'}", True),
        ("print(list({word for word in words}))", True),
        ("x = set(words)", True),
        ("x = frozenset('ab')", True),
        ("x = {\n    'a',\n    'b',\n}", True),
        ("x = {}", False),
        ("x = {'a': 1}", False),
        ("x = {a: b for a, b in c}", False),
        ("print(f'{x} {y!r}', \"{a, b}\")", False),
        ("offset(1)", False),
    ],
)
def test_a_session_that_makes_a_set_is_read_under_a_third_hash_seed(source, makes):
    assert makes_set(source) is makes
    readers = readers_for((TextCommand(source=source, want="", message=None),), (source,), ())
    assert ("fresh" in readers) is makes


def test_every_replaying_jail_but_the_other_world_has_a_hash_seed_of_its_own():
    seeds = {kind: replaying_jail(TracerConfig(), kind).hash_seed for kind in ("replayer", "fresh replayer", *ORDERS)}
    assert len({0, *seeds.values()}) == 1 + len(seeds)


@pytest.mark.parametrize(
    ("text", "values", "number"),
    [
        (">>> x = {'a', 'b'}\n", ("{'a', 'b'}",), 4),
        (">>> x = {'a', 'b', 'c'}\n", (), 1),
        (">>> x = {'a', 'b', 'c', 'd'}\n", (), 0),
        (">>> x = list({'a', b'b'})[0]\n", ("'a'",), 4),
        (">>> x = set(words)\n", ("{'a', 'b', 'c', 'd', 'e'}",), 0),
        (">>> print(set(words))\n{'a', 'b'}\n", (), 4),
        (">>> first = next(iter(set(words)))\n", ("'a'",), 4),
        (">>> x = a.keys() & b\n", (), 4),
        (">>> x = {word for word in words}\n", ("{1, 2}",), 0),
        (">>> x = {1, 2}\n", ("{1, 2}",), 0),
        (">>> x = set()\n", (), 0),
        (">>> x = {'a': 1, 'b': 2}\n", ("{'a': 1, 'b': 2}",), 0),
        (">>> x = 'set(a), {a, b}'\n", (), 0),
        (">>> x = 1\n", ("C(tags={'a', 'b'})",), 4),
    ],
)
def test_a_session_that_a_set_of_few_texts_may_decide_is_read_under_further_hash_seeds(text, values, number):
    assert further_orders(commands_of(text), [values]) == ORDERS[:number]
