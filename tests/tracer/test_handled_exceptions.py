"""Handlers, ``finally`` and managers run with their exception current: opened, and printing what Python prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.tracer.inside.syntax.current_exception import asked_for, file_asks_for
from trace_mine.tracer.schema import Drop

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch", "unfaithful"}


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(kit, tracer, source: str):
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), trace
    return trace


DIVIDE = "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        "
NOTE = """import sys
def note(where):
    kind, error, _ = sys.exc_info()
    print(where, None if kind is None else kind.__name__, error)
"""
SHOWN = "print(type(error).__name__, repr(error.__context__), repr(error.__cause__), error.__suppress_context__)\n"
TRY = "try:\n    f()\nexcept Exception as error:\n    "

PROGRAMS = {
    "helper": NOTE
    + "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        note('in')\n    note('out')\nf()\n",
    "nested": (
        NOTE + "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        try:\n            int('x')\n"
        "        except ValueError as error:\n            note('inner')\n        note('outer')\n    note('out')\nf()\n"
    ),
    "finally": (
        NOTE + "def f():\n    try:\n        return 1 / 0\n    finally:\n        note('finally')\n"
        "try:\n    f()\nexcept ZeroDivisionError:\n    note('handler')\n"
    ),
    "manager": (
        NOTE + "class M:\n    def __enter__(self):\n        return self\n    def __exit__(self, kind, error, frames):\n"
        "        note('exit')\n        return True\nwith M():\n    {}['k']\nnote('out')\n"
    ),
    "raise in helper": (
        "def again():\n    raise\ndef f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        again()\n"
        + TRY
        + SHOWN
    ),
    "raise without one": "def f():\n    raise\n" + TRY + SHOWN,
    "context": "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        {}['k']\n" + TRY + SHOWN,
    "context of a callee": ("def g(n):\n    raise KeyError(n)\n" + DIVIDE + "g(3)\n" + TRY + SHOWN),
    "from none": (
        "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        raise KeyError('k') from None\n"
        + TRY
        + SHOWN
    ),
    "cause": (
        "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise KeyError('k') from e\n"
        + TRY
        + SHOWN
    ),
    "context in finally": "def f():\n    try:\n        1 / 0\n    finally:\n        {}['k']\n" + TRY + SHOWN,
    "context in a manager": (
        "class M:\n    def __enter__(self):\n        return self\n"
        "    def __exit__(self, *_):\n        raise KeyError('k')\n"
        "def f():\n    with M():\n        1 / 0\n" + TRY + SHOWN
    ),
    "chain of three": (
        "def f():\n    try:\n        try:\n            1 / 0\n        except ZeroDivisionError:\n            {}['k']\n"
        "    except KeyError:\n        int('x')\n"
        + TRY
        + SHOWN.replace("error.__context__", "error.__context__.__context__")
    ),
    "after a handler": (
        "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        pass\n    {}['k']\n" + TRY + SHOWN
    ),
    "function that stays whole": (
        NOTE + "import functools\ndef f(n):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
        "        functools.partial(note, n)()\n        raise\n"
        "try:\n    f('in partial')\nexcept ZeroDivisionError:\n    print('caught')\n"
    ),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_handlers_are_opened_with_their_exception_current(kit, tracer, kind):
    """What is printed is compared with the native run; every function is opened, but the one that ``partial`` calls."""
    trace = traced(kit, tracer, PROGRAMS[kind])
    assert not FLAT & trace.kept_whole.keys(), (trace.kept_whole, trace.text)
    left = {reason: number for reason, number in trace.unopened_frames.items() if reason != "class_body"}
    assert left == ({"within_command": 1} if kind == "function that stays whole" else {})


def test_a_program_that_asks_for_no_exception_has_no_commands_inside_of_handlers(kit, tracer):
    source = "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        return int('3')\nprint(f())\n"
    assert "raise" not in traced(kit, tracer, source).text.split("print(f")[-1]


def test_an_uncaught_exception_shows_the_one_that_was_handled(kit, tracer):
    trace = traced(kit, tracer, "try:\n    1 / 0\nexcept ZeroDivisionError:\n    int('x')\n")
    assert trace.text.endswith(
        """>>> try:
...     _ = 1 / 0
... except BaseException as caught:
...     error_1 = caught
>>> try:
...     try:
...         raise error_1
...     except BaseException:
...         int('x')
... except BaseException as caught:
...     error_2 = caught
>>> error_2.__context__
ZeroDivisionError('division by zero')
>>> raise error_2
Traceback (most recent call last):
    ...
ValueError: invalid literal for int() with base 10: 'x'
"""
    ), trace.text


def test_a_handler_that_shows_frames_is_kept_whole(kit, tracer):
    handler = "except ZeroDivisionError:\n    x = 'by zero' in traceback.format_exc()\n"
    source = f"import traceback\ntry:\n    1 / 0\n{handler}print(x)\n"
    assert traced(kit, tracer, source).kept_whole == {"exception_context": 1}


def test_a_handler_that_rebinds_the_exceptions_name_is_kept_whole(kit, tracer):
    source = NOTE + "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    error = 3\n    note('in')\n"
    trace = traced(kit, tracer, source)
    assert "exception_context" in trace.kept_whole and "in ZeroDivisionError" in trace.text


def test_an_uncaught_exception_that_went_through_managers_keeps_its_context(kit, tracer):
    source = (
        "class M:\n    def __enter__(self):\n        return self\n    def __exit__(self, *exception):\n"
        "        return False\n"
        "with M():\n    with M():\n        try:\n            raise KeyError('first')\n        finally:\n"
        "            raise ValueError('second')\n"
    )
    trace = traced(kit, tracer, source)
    assert not FLAT & trace.kept_whole.keys()
    assert "__context__\nKeyError('first')\n" in trace.text


FILES = {
    "nothing": "def f():\n    'an exception; raise it — says the docstring'\n    raise ValueError(1)\n",
    "current": "import sys\ndef f():\n    pass\n\n@g\ndef f():\n    return sys.exception()\n",
    "chain": "def f(e):\n    return e.__context__\n\nclass A:\n    def g(self): pass\n",
    "bare raise": "def f():\n    raise\n",
    "raise in a handler": "def f():\n    try: pass\n    except E:\n        raise\n\ndef g(): pass\n",
    "raise in a function of a handler": "try: pass\nexcept E:\n    def f():\n        raise  # now\n",
    "a ligature": "def f(o):\n    return o.e\N{MATHEMATICAL SANS-SERIF SMALL X}c_info()\n",
    "a decorator": "@traceback.wrapped(1,\n2)\ndef f(): pass\n",
    "no part by itself": "x = '''\ndef f():\n    exc_info()\n'''\ndef g(): pass\n",
    "no program": "def f(:\n    exc_info\n",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_asks_for_what_its_whole_text_asks_for(name):
    assert file_asks_for(FILES[name].split("\n")) == asked_for(FILES[name])


@given(st.lists(st.sampled_from([*FILES.values()][:-1])))
def test_files_ask_for_what_their_whole_texts_ask_for(parts):
    source = "".join(parts)
    assert file_asks_for(source.split("\n")) == asked_for(source)


LAZY = """class Lazy(Exception):
    def __str__(self):
        if not vars(self):
            log.append("asked")
        self.said = "lazy"
        return self.said
log = []
def f(n):
    if n > 2:
        raise Lazy(n)
    return n
"""
UNASKED = {
    "handler": "def g(n):\n    try:\n        return f(n)\n    except Lazy as e:\n        return vars(e), len(log)\n"
    "print(g(3), log)\n",
    "another handler": "try:\n    try:\n        f(3)\n    except KeyError:\n        pass\n"
    "except Lazy as e:\n    print(vars(e), log)\n",
    "finally": "def g(n):\n    try:\n        return f(n)\n    finally:\n        log.append(n)\n"
    "try:\n    g(4)\nexcept Exception:\n    print(log)\n",
    "manager": "class M:\n    def __enter__(self):\n        return self\n    def __exit__(self, kind, error, frames):\n"
    "        log.append(len(vars(error)))\n        return True\nwith M():\n    f(3)\nprint(log)\n",
    "generator": "def g(n):\n    for i in range(n):\n        m = i + 2\n        try:\n            m = f(m)\n"
    "        except Lazy as e:\n            m = len(vars(e))\n        yield m\nfor x in g(2):\n    print(x, log)\n",
    "another one in the handler": "def h():\n    try:\n        [].index(1)\n    except ValueError:\n        return 7\n"
    "def g(n):\n    try:\n        return f(n)\n    except Lazy as e:\n        return h(), vars(e)\nprint(g(3), log)\n",
    "uncaught": "def g(n):\n    try:\n        f(n)\n    finally:\n        print(log)\ng(5)\n",
}


@pytest.mark.parametrize("name", UNASKED)
def test_what_a_caught_exception_says_is_not_asked(kit, tracer, name):
    """Its ``__str__`` may change things: a parser's errors make their messages when they are asked."""
    trace = traced(kit, tracer, LAZY + UNASKED[name])
    assert FLAT.isdisjoint(trace.kept_whole), trace.kept_whole
    assert " > 2\nTrue\n" in trace.text, "the call that raises is opened"
