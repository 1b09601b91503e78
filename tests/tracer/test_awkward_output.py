"""Output that no doctest can hold has a form that replays all the same, at every reader and outside of all of them."""

from __future__ import annotations

import ast
import code
import contextlib
import doctest
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.session import Tracer

AWKWARD = [
    "a\tb\n",
    "\t",
    "progress 1\rprogress 2\n",
    "page\x0cbreak\x0b",
    "line\u2028and\u2029\x85more\n",
    "\x1c\x1d\x1e",
    ">>> 1 + 1\n2\n",
    "   >>> indented",
    "...\n",
    "first\n... and more\n",
    "<BLANKLINE>\n",
    "\n\n<BLANKLINE>  \n \n",
    "Traceback (most recent call last):\n  boom\n",
    "Traceback (most recent call last):\n    ...\nValueError: no\n",
    "lone \ud800\n",
    "nul \x00 bell \x07 escape \x1b[1m\n",
    "quotes ' \" and \\\\ backslashes\n",
]


@pytest.fixture(scope="module")
def traced(kit):
    """Traces a script in the plain tracer, all of whose checks must hold."""
    with kit.PlainTracer(kit.TracerConfig()) as tracer:

        def trace(source: str) -> Trace:
            made = tracer.trace(kit.script(source))
            assert isinstance(made, Trace), made
            assert made.failed_checks == {} and repl.parse(made.text) == [(s.source, s.output) for s in made.steps]
            return made

        yield trace


def shown(trace: Trace) -> str:
    """What the program printed, put together from the session: raw outputs, and those that are shown by repr."""
    parts = []
    for step in trace.steps:
        if step.source.startswith("printed") and step.source.endswith(".getvalue()"):
            parts.append(ast.literal_eval(step.output))
        elif step.source.startswith("print") and step.output:
            parts.append(doctext.unmarked(step.output) + "\n")
    return "".join(parts)


def run_as_doctest(text: str) -> doctest.TestResults:
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, "session", None, None)
    return doctest.DocTestRunner(verbose=False).run(test, out=lambda report: None)


def run_at_a_console(text: str) -> str:
    """Feed the commands of a session to ``code.InteractiveConsole``; return what was printed."""
    console = code.InteractiveConsole({"__name__": "__main__"})
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for source, _ in repl.parse(text):
            more = False
            for line in source.split("\n"):
                more = console.push(line)
            assert not more or not console.push("")
    return printed.getvalue()


@pytest.mark.parametrize("output", AWKWARD)
def test_every_awkward_output_is_shown_to_the_character_and_replays(traced, output):
    trace = traced(f"print({output!r}, end='')\nprint('after')\n")
    assert shown(trace) == output + "after\n"
    assert trace.verification.printed[:1] == ("doc",)
    results = run_as_doctest(trace.text)
    assert results.failed == 0 and results.attempted == len(trace.steps)
    assert run_at_a_console(trace.text) == "".join(doctext.unmarked(s.output) + "\n" for s in trace.steps if s.output)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text("ab \t\r\n>.<\x0c\u2028\x85BLANKLINE'\"\\\\", max_size=14), min_size=1, max_size=6))
def test_whatever_is_printed_stands_in_the_session(traced, outputs):
    trace = traced("".join(f"print({each!r})\n" for each in outputs))
    # lines of white space are all alike to a doctest
    told = [line if line.strip() else "" for line in shown(trace).split("\n")]
    ran = [line if line.strip() else "" for line in "".join(f"{each}\n" for each in outputs).split("\n")]
    assert told == ran
    assert run_as_doctest(trace.text).failed == 0


def test_awkward_output_in_every_place_of_a_program(traced):
    trace = traced(
        "def talk(n):\n    print('n', n, sep='\\t')\n    return n\n"
        "def fail(n):\n    print('no\\tway')\n    raise KeyError(n)\n"
        "x = talk(1)\n"
        "if talk(0) or talk(2):\n    y = [talk(k) for k in range(2)]\n"
        "for k in map(talk, (3, 4)):\n    pass\n"
        "try:\n    fail(5)\nexcept KeyError as error:\n    print('caught', error, sep='\\t')\n"
        "try:\n    [fail(k) for k in (6,)]\nexcept KeyError as error:\n    seen = error.args\n"
        "with open('/dev/null') as file:\n    talk(7)\n"
        "printed = StringIO = 'names of the program'\n"
        "print(printed, StringIO, sep='\\t')\n"
    )
    assert "result_differs" not in trace.kept_whole
    assert ">>> printed_1.getvalue()\n'names of the program\\tnames of the program\\n'\n" in trace.text
    assert run_as_doctest(trace.text).failed == 0


def test_a_printed_traceback_is_shown_without_the_frames_that_differ_in_each_run(traced):
    trace = traced("import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    print(traceback.format_exc())\n")
    assert trace.steps[-1].output == "['Traceback (most recent call last):', 'ZeroDivisionError: division by zero', '']"


@pytest.mark.parametrize(
    "message, told",
    [
        ("a\tb", r"('ValueError', 'a\tb')"),
        (">>> no\n... nor this", r"('ValueError', '>>> no\n... nor this')"),
        ("<BLANKLINE>", None),
        ("x\n<BLANKLINE>", r"('ValueError', 'x\n<BLANKLINE>')"),
    ],
)
def test_an_exception_whose_words_no_traceback_can_show_tells_them_by_repr(traced, message, told):
    trace = traced(f"def f():\n    raise ValueError({message!r})\nf()\n")
    assert trace.exception == "ValueError" and trace.outcome == "exception"
    if told is None:
        assert trace.steps[-1].output.endswith(f"ValueError: {message}")
    else:
        assert (trace.steps[-1].source, trace.steps[-1].output) == ("type(error_1).__name__, str(error_1)", told)
    assert run_as_doctest(trace.text).failed == 0


def test_an_uncaught_exception_is_shown_with_its_notes(traced):
    trace = traced("def f():\n    error = ValueError('no')\n    error.add_note('try\\n\\nyes')\n    raise error\nf()\n")
    assert trace.text.endswith("Traceback (most recent call last):\n    ...\nValueError: no\ntry\n<BLANKLINE>\nyes\n")
    assert run_as_doctest(trace.text).failed == 0


def test_an_uncaught_exception_is_shown_with_its_cause_and_a_group_with_its_members(traced):
    trace = traced(
        "def load(d):\n    try:\n        return d['k']\n    except KeyError as e:\n"
        "        raise ValueError('bad') from e\n"
        "load({})\n"
    )
    shown = ">>> error_1.__cause__\nKeyError('k')\n>>> raise error_1\nTraceback (most recent call last):\n"
    assert shown in trace.text and trace.text.endswith("ValueError: bad\n") and run_as_doctest(trace.text).failed == 0
    trace = traced("raise ExceptionGroup('many', [ValueError(1), ExceptionGroup('inner', [KeyError('x\\ty')])])\n")
    shown = ">>> error_1.exceptions\n(ValueError(1), ExceptionGroup('inner', [KeyError('x\\ty')]))\n>>> raise error_1\n"
    assert shown in trace.text and trace.text.endswith("ExceptionGroup: many (2 sub-exceptions)\n")


HOSTILE = {
    "cause": "    @property\n    def __cause__(self):\n        print('asked')\n        raise KeyError(1)\n",
    "context": "    @property\n    def __context__(self):\n        print('asked')\n        raise KeyError(1)\n",
    "notes": "    @property\n    def __notes__(self):\n        print('asked')\n        raise KeyError(1)\n",
    "no list": "    __notes__ = 5\n",
    "str": "    def __str__(self):\n        print('asked')\n        raise KeyError(1)\n",
    "exits": "    def __str__(self):\n        raise SystemExit(3)\n",
    "class": "    @property\n    def __class__(self):\n        print('asked')\n        raise KeyError(1)\n",
    "every attribute": "    def __getattribute__(self, name):\n        print('asked')\n        raise KeyError(name)\n",
    "suppress": "    @property\n    def __suppress_context__(self):\n        raise KeyError(1)\n",
    "equality": "    def __eq__(self, other):\n        raise KeyError(1)\n    __hash__ = None\n",
    "repr": "    def __repr__(self):\n        raise KeyError(1)\n",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_exceptions_whose_attributes_raise_have_sessions(traced, body):
    kind = f"class E(Exception):\n{body}def f(n):\n    raise E(n)\n"
    caught = traced(kind + "try:\n    f(1)\nexcept E as e:\n    print('caught')\nprint('end')\n")
    assert caught.outcome == "ok" and caught.text.endswith(">>> print('end')\nend\n") and caught.opened_calls == 1
    uncaught = traced(kind + "print('begin')\nf(2)\n")
    assert (uncaught.outcome, uncaught.exception) == ("exception", "E")
    assert not any(step.output.startswith("asked") for step in (*caught.steps, *uncaught.steps))


def test_an_exception_whose_class_answers_nothing_has_a_session(traced):
    trace = traced(
        "class M(type):\n    def __getattribute__(cls, name):\n        print('asked')\n        raise KeyError(name)\n"
        "class E(Exception, metaclass=M):\n    pass\nprint('begin')\nraise E\n"
    )
    assert trace.exception == "E" and "asked" not in "".join(step.output for step in trace.steps)


def test_a_command_that_prints_and_raises_shows_both(traced):
    # called by a library function, so that the call is not opened
    trace = traced("def f(n):\n    print('in f')\n    raise ValueError(n)\n[1].sort(key=f)\n")
    assert trace.text.endswith("in f\n>>> raise error_1\nTraceback (most recent call last):\n    ...\nValueError: 1\n")


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nprint('one')\nsys.stdout.close()\n",
        "import sys\ndef main(n):\n    with sys.stdout as out:\n        out.write(str(n))\nmain(2)\n",
        "import sys\nprint('one')\nsys.stdout.close()\nprint('two')\n",
    ],
)
def test_a_program_that_closes_its_output_is_a_drop_of_its_own_kind(kit, source):
    """No prompt goes on without its output: such a session can't replay, which is no fault of the tracer."""
    with Tracer(TracerConfig()) as tracer:
        drop = tracer.trace(kit.script(source))
    assert not isinstance(drop, Trace)
    assert drop.reason in ("replay_mismatch", "result_differs", "path_differs"), drop


def test_what_was_printed_before_the_output_was_closed_is_kept():
    capture = Capture(100)
    capture.write("one\n")
    assert capture.take() == "one\n"
    capture.write("two\n")
    capture.close()
    capture.close()
    assert (capture.take(), capture.take()) == ("two\n", "")
