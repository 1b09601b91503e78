"""What CPython does otherwise from one minor version on, where our code or a session's text depends on it.

Each difference has a program as evidence, which prints True where it is so and False elsewhere; a test runs all of
them under every interpreter that is found, and no other file asks for the version. ``tracer.differences_page`` writes
docs/interpreters.md from this list.

Syntax that a version lacks needs no switch where ``ast`` has no node for it: visitors for it are never called.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDifference:
    """One difference between minor versions.

    Attributes:
        since: the first minor version of which ``what`` is true.
        before: the first one of which it is true no more; None: it still is.
        what: the sentence, without its full stop.
        so: what follows from it for sessions or for our code, as a sentence without its full stop.
        evidence: a program that prints True where it is true and False elsewhere.

    Raises:
        ValueError: all versions that run us are alike in it.
    """

    since: tuple[int, int]
    before: tuple[int, int] | None = None
    what: str
    so: str
    evidence: str

    def __post_init__(self) -> None:
        if self.before is None and self.since <= (3, 11):
            raise ValueError(f"expected VersionDifference.since after 3.11, got {self.since}; leave out what all have")

    def holds_in(self, version: tuple[int, ...]) -> bool:
        """Tell if it is true of a version."""
        return version >= self.since and (self.before is None or version < self.before)

    @property
    def holds(self) -> bool:
        """True under the interpreter that asks."""
        return self.holds_in(sys.version_info[:2])


_TRACED = """\
import sys
seen = []
def trace(frame, event, argument):
    seen.append((frame.f_code.co_name, event, frame.f_lineno))
    return trace
"""
_PROMPT = """\
import subprocess, sys
text = {text!r}
done = subprocess.run([sys.executable, "-I", "-q", "-i"], input=text, capture_output=True, text=True, env={{}})
"""

COMPREHENSIONS_ARE_INLINED = VersionDifference(
    since=(3, 12),
    what="A comprehension runs in the frame of the function around it",
    so="It is no own frame; its turns are line events of its function, which are left out of the path",
    evidence=_TRACED + "def f():\n    return [x for x in [1]]\nsys.settrace(trace)\nf()\nsys.settrace(None)\n"
    "print('<listcomp>' not in [name for name, _, _ in seen])\n",
)
TYPE_PARAMETERS = VersionDifference(
    since=(3, 12),
    what="Functions, classes and `type` aliases have type parameters, in a scope of their own (PEP 695)",
    so="They are renamed with a function's locals; their scope is a frame, counted as `within_command`",
    evidence="import ast\nprint(hasattr(ast, 'TypeAlias'))\n",
)
F_STRINGS_ARE_TOKENS = VersionDifference(
    since=(3, 12),
    what="An f-string is several tokens, and may have its own quotes inside (PEP 701)",
    so="`ast.unparse` can write every one; up to 3.11 some expressions stay as they are in the source",
    evidence="import token\nprint(hasattr(token, 'FSTRING_START'))\n",
)
EMPTY_LOOPS_HAVE_LINES = VersionDifference(
    since=(3, 12),
    what="`while True: pass` is a line event every turn",
    so="It ends at the limit of recorded lines (`trace_limit`); under 3.11, where it has none, at that of time (`cpu`)",
    evidence=_TRACED + "import signal\ndef stop(*_):\n    raise TimeoutError\n"
    "signal.signal(signal.SIGALRM, stop)\nsignal.setitimer(signal.ITIMER_REAL, 0.3)\n"
    "def f():\n    while True: pass\nsys.settrace(trace)\ntry:\n    f()\nexcept TimeoutError:\n    pass\n"
    "sys.settrace(None)\nprint(len(seen) > 50)\n",
)
FINALLY_HAS_ANOTHER_LINE = VersionDifference(
    since=(3, 11),
    before=(3, 12),
    what="Where an exception leaves a `finally`, its last line is one more line event, run or not",
    so="That event is left out of the recorded path",
    evidence=_TRACED + "def f(n):\n    try:\n        1 / n\n    finally:\n        if n:\n            n = 2\n"
    "sys.settrace(trace)\ntry:\n    f(0)\nexcept ZeroDivisionError:\n    pass\nsys.settrace(None)\n"
    "print(len([1 for name, event, _ in seen if (name, event) == ('f', 'line')]) == 4)\n",
)
UTCNOW_WARNS = VersionDifference(
    since=(3, 12),
    what="`datetime.utcnow` is deprecated and warns",
    so="So does the one that reads the pinned clock in its place",
    evidence="import datetime, warnings\nwith warnings.catch_warnings(record=True) as told:\n"
    "    warnings.simplefilter('always')\n    datetime.datetime.utcnow()\nprint(bool(told))\n",
)
THREADS_ARE_AUDITED = VersionDifference(
    since=(3, 12),
    what="The start of a thread is an audit event",
    so="Under 3.11 the functions that start one are replaced while fork points wait",
    evidence="import sys, _thread, time\nevents = []\nsys.addaudithook(lambda event, _: events.append(event))\n"
    "_thread.start_new_thread(int, ())\ntime.sleep(0.1)\n"
    "print(any(each.startswith('_thread.start') for each in events))\n",
)
MONITORING = VersionDifference(
    since=(3, 12),
    what="There is `sys.monitoring`",
    so="It is not used: `sys.settrace` tells the same under all versions",
    evidence="import sys\nprint(hasattr(sys, 'monitoring'))\n",
)
LOCALS_ARE_A_PROXY = VersionDifference(
    since=(3, 13),
    what="`f_locals` of a function is a proxy that writes through, and `locals()` a new dict each time (PEP 667)",
    so="The recorder copies it; a function that calls `locals` stays one command under all versions",
    evidence="import sys\ndef f():\n    return type(sys._getframe().f_locals).__name__\n"
    "print(f() == 'FrameLocalsProxy')\n",
)
REAL_PATHS_HIDE_REFUSALS = VersionDifference(
    since=(3, 13),
    what="`os.path.realpath` takes any error of `readlink` for the end of the way",
    so="At level 2, where `readlink` is refused, a real path of a link of the host may be a false one",
    evidence="import os\ndef refuse(path, **_):\n    raise PermissionError(13, 'refused')\nos.readlink = refuse\n"
    "try:\n    os.path.realpath('/proc/self/exe')\n    print(True)\nexcept PermissionError:\n    print(False)\n",
)
DOCSTRINGS_ARE_DEDENTED = VersionDifference(
    since=(3, 13),
    what="The compiler takes the indentation out of docstrings",
    so="A session's `__doc__` is compiled, not copied",
    evidence='def f():\n    """a\n\n        b\n    """\nprint("        b" not in f.__doc__)\n',
)
TYPE_PARAMETERS_HAVE_DEFAULTS = VersionDifference(
    since=(3, 13),
    what="Type parameters may have defaults (PEP 696)",
    so="They are renamed too",
    evidence="import ast\nprint('default_value' in getattr(getattr(ast, 'TypeVar', None), '_fields', ()))\n",
)
CLOSED_GENERATORS_STAY_OUT = VersionDifference(
    since=(3, 13),
    before=(3, 14),
    what="`close` does not enter a generator that catches nothing at its `yield`",
    so="There is one own frame less for each that is left early",
    evidence=_TRACED
    + "def g():\n    yield 1\nsys.settrace(trace)\nit = g()\nnext(it)\nit.close()\nsys.settrace(None)\n"
    "print(len([1 for name, event, _ in seen if (name, event) == ('g', 'call')]) == 1)\n",
)
PROMPTS_ARE_NUMBERED = VersionDifference(
    since=(3, 13),
    what="What is typed at a prompt has a numbered file name, `<stdin>-0` or, from 3.14 on, `<stdin-0>`",
    so="A session that shows the name of its file differs under the readers, and is no row",
    evidence=_PROMPT.format(text="def f(): pass\n\nprint(f.__code__.co_filename)\n")
    + "print(done.stdout.strip() != '<stdin>')\n",
)
ANNOTATIONS_ARE_LAZY = VersionDifference(
    since=(3, 14),
    what="Annotations are evaluated when they are asked for (PEP 649)",
    so="A name in one may be bound later; functions whose annotations read locals keep these as variables",
    evidence="try:\n    exec('def f(x: nowhere): pass')\n    print(True)\nexcept NameError:\n    print(False)\n",
)
TEMPLATE_STRINGS = VersionDifference(
    since=(3, 14),
    what="There are template strings, which hold the texts of their expressions (PEP 750)",
    so="Calls in one stay in it; a function that shows a renamed variable so stays one command (`name_shown`)",
    evidence="import ast\nprint(hasattr(ast, 'TemplateStr'))\n",
)
EXCEPT_LISTS_ARE_BARE = VersionDifference(
    since=(3, 14),
    what="`except A, B:` needs no brackets (PEP 758)",
    so="Sessions write it with brackets, as `ast.unparse` does",
    evidence="try:\n    compile('try: pass\\nexcept A, B: pass', 'f', 'exec')\n    print(True)\n"
    "except SyntaxError:\n    print(False)\n",
)
UNIONS_ARE_ONE_TYPE = VersionDifference(
    since=(3, 14),
    what="`Optional[A]` and `A | None` are one type",
    so="Both forms are read",
    evidence="from typing import Optional\nprint(type(Optional[int]) is type(int | None))\n",
)
SLICES_ARE_CONSTANTS = VersionDifference(
    since=(3, 14),
    what="Constant slices are constants of the code, which `marshal` writes from its version 5 on",
    so="Our compiled code goes into a jail of our own interpreter in its newest version",
    evidence="import marshal\ntry:\n    marshal.dumps(compile('x[1:2]', 'f', 'eval'), 4)\n    print(False)\n"
    "except ValueError:\n    print(True)\n",
)
INTERNED_STRINGS_ARE_SEEN = VersionDifference(
    since=(3, 14),
    what="`gc.get_objects` gives the dict of interned strings",
    so="A program that looks there finds names that our code has had, in replays too",
    evidence="import gc\nname = '__subclasses__'\n"
    "print(any(type(each) is dict and each.get(name) == name for each in gc.get_objects()))\n",
)
UNHASHABLE_KEYS_ARE_TOLD = VersionDifference(
    since=(3, 14),
    what="The TypeError of an unhashable key says what it was to be used as",
    so="As other messages of errors it is the interpreter's own: rows say which version printed them",
    evidence="try:\n    {}[[]]\nexcept TypeError as error:\n    print('dict key' in str(error))\n",
)

DIFFERENCES: dict[str, VersionDifference] = {
    name: value for name, value in sorted(globals().items()) if isinstance(value, VersionDifference)
}
"""All of them by name."""
