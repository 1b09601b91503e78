"""Every reason is produced by something that a user could give: a source, a repository, a file.

A contract test over the enumeration: each meaning of each member has a case below, and a case gives exactly what a
dataset would say. What no program can bring about stands in ``UNREACHABLE``, with the proof.

Over 400 lines because the cases are one table over one enumeration.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from own_process import in_own_process
from trace_mine.corpus.engines import ENGINES, KeyList
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.mined.archives import is_archive
from trace_mine.corpus.mined.discovery import Survey
from trace_mine.corpus.mined.files import read, walk
from trace_mine.corpus.mined.ignore_file import IGNORE_FILE, IgnoreRules, ignore_lines
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.tag_version import describe
from trace_mine.corpus.mined.tracing import close_tracer, trace_unit
from trace_mine.corpus.rows import Row, RowOrigin, make_row
from trace_mine.corpus.synthetic.origin import Synthetic, SynthOptions, generate_unit
from trace_mine.corpus.synthetic.task import Stage as TaskStage
from trace_mine.corpus.units import run_units
from trace_mine.corpus.work import Dropped, WorkUnit
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.inside.reasons import Reason, ReasonStage, reason_of
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.text import without_blank_lines
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.rounds import Failed, check_ended
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
from trace_mine.tracer.schema import Drop, Outcome, Piece, Segment, Snippet, Step, Trace
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

LIMITS = Limits(memory_bytes=256 << 20)

AS_FILE = "import sys\nprint(sys._getframe().f_lineno)\n"
"""At a prompt this is another line."""

# the repository that the traced programs import from

MODULES = {
    "unreachable.py": "LIMIT = 3\ndef f(x):\n    return x + LIMIT\n__name__ = 'nowhere'\n",
    "counting.py": """\
count = 0
def up():
    global count
    count += 1
    return count
def counter():
    n = 0
    def tick():
        nonlocal n
        n += 1
        return n
    return tick
tick = counter()
def load():
    global sqrt
    from math import sqrt
    return sqrt(count)
def stepping():
    n = 0
    def step():
        nonlocal n
        return (n := n + 1)
    return step
step = stepping()
""",
    "family.py": """\
class Base:
    def told(self):
        return 1
class Child(Base):
    def told(self):
        return super().told() + 1
child = Child()
class Gone(Base):
    def told(self):
        return super().told() + 2
gone = Gone()
del Gone
""",
    "twins.py": "def f():\n    yield 1\n",
    "program.py": AS_FILE,
    "lonely.py": "def load():\n    from ... import nothing\n    return nothing\n",
}

REDIRECTED = "with contextlib.redirect_stdout(held):\n    print({})\n"
HELD = "import contextlib, io\nheld = io.StringIO()\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A snippet for the real Tracer: a script, or examples at a prompt where ``source`` is a tuple."""

    source: str | tuple[str, ...]
    view: str = "written"
    only_choices: bool = False
    kind: str = ""
    module: str | None = None
    code: str = "__name__ = '__main__'"
    evidence: str = ""
    file: str = ""
    focus: tuple[tuple[str, int], ...] = ()
    limits: Limits = LIMITS

    def snippet(self) -> Snippet:
        at_prompt = isinstance(self.source, tuple)
        sources = self.source if isinstance(self.source, tuple) else (self.source,)
        return Snippet(
            kind=self.kind or ("doctest" if at_prompt else "script"),
            name="program",
            path="program.py",
            line=1,
            end_line=len(sources),
            pieces=tuple(Piece(source=source, line=line) for line, source in enumerate(sources, 1)),
            module=self.module,
            code="" if self.module else self.code,
            continue_on_error=at_prompt and not self.kind,
            file=self.file,
            focus=self.focus,
        )


TRACING: dict[Reason, Program] = {
    Reason.SYNTAX_ERROR: Program(source="x = = 1\n"),
    Reason.NO_END: Program(source="import os\nos._exit(0)\n"),
    Reason.SIGNAL: Program(source="import os\nos.abort()\n"),
    Reason.MEMORY: Program(source="kept = []\nwhile True:\n    kept.append(bytes(1 << 22))\n"),
    Reason.OUTPUT_LIMIT: Program(source="import os\nfor i in range(40):\n    n = os.write(1, b'x' * 65536)\n"),
    Reason.INTEGRITY_SUSPECT: Program(source="import ctypes\nctypes.CDLL(None)\n"),
    Reason.IMPORT_ERROR: Program(source=("1 + 1\n",), module="nowhere"),
    Reason.SETUP_ERROR: Program(source="x = 1\n", code="1 / 0"),
    Reason.MISSING_CONTEXT: Program(source=("plugin(1)\n",)),
    Reason.TEST_SKIPPED: Program(source=("import unittest\n", "raise unittest.SkipTest('not here')\n"), kind="test"),
    Reason.NO_CHOICES: Program(source="x = 1\n", view="branch", only_choices=True),
    Reason.EMPTY: Program(source="pass\n"),
    Reason.FOCUS_MISSED: Program(source="import counting\nx = counting.step()\n", focus=(("counting.py", 20),)),
    Reason.SANDBOX_DENIED: Program(
        source="try:\n    open('/etc/x', 'w')\nexcept OSError as error:\n    print(error)\n"
    ),
    Reason.RESULT_DIFFERS: Program(source="import sys\n\nx = sys._getframe().f_lineno\n"),
    Reason.PATH_DIFFERS: Program(source="import sys\n\nx = sys._getframe().f_lineno\nx = 0\n"),
    Reason.REPLAY_MISMATCH: Program(source="import os\nprint(os.getpid())\n"),
    Reason.DRAWS_DIFFER: Program(
        source="from random import random\nprint(random() < 0.5)\n", view="branch", code="left = (n for n in [1])"
    ),
    Reason.UNFAITHFUL: Program(source=HELD + "".join(REDIRECTED.format(n) for n in range(11))),
    # no doctest shows the traceback that one of two outcomes has
    Reason.TELLS_OUTCOME: Program(
        source="from random import random\nx = 'a' if random() < 0.5 else 'a\\tb'\nassert len(x) > 4, x\n",
        view="branch",
    ),
    # a traceback can't be left out
    Reason.OUTCOMES_DIFFER: Program(
        source="from random import random\nclass A:\n    pass\nassert random() > 0.001, A()\n", view="branch"
    ),
}
"""Programs that give no session."""

WHOLE: dict[Reason, Program] = {
    Reason.SKIPPED: Program(source="for i in range(3):\n    x = i\n", view="skip"),
    Reason.PATH_DIFFERS: Program(
        source="import traceback\ndef f():\n    x = traceback.extract_stack()[-1].lineno\n    return 0\ny = f()\n"
    ),
    Reason.UNFAITHFUL: Program(source=HELD + REDIRECTED.format(1)),
    Reason.BUDGET: Program(source="for i in range(500):\n    x = i\n"),
    Reason.RUN_AS_FILE: Program(
        source=AS_FILE,
        file="program.py",
        code="__name__ = '__main__'\n__file__ = __import__('os').path.abspath('program.py')",
    ),
    # closures of two statements keep names, so that neither statement alone is to blame
    Reason.CLOSED: Program(
        source="def f(n):\n    return lambda: n\nif 1 < 2:\n    x = f(1)\nif x:\n    y = f(2)\nprint(dir())\n"
    ),
    Reason.HIDDEN: Program(
        source="from random import random\nx = 1\nif random() < 0.5:\n    x = 2\nprint(x)\n", view="branch"
    ),
    Reason.EXCEPTION_CONTEXT: Program(
        source="import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    n = traceback.format_exc()[:9]\n"
    ),
    Reason.HANDLER_TYPE: Program(
        source="def kinds():\n    return ZeroDivisionError\ntry:\n    1 / 0\nexcept kinds():\n    x = 1\n"
    ),
    Reason.WITH_YIELD: Program(
        source="from contextlib import nullcontext\ndef g():\n    with nullcontext():\n        yield 1\nx = list(g())\n"
    ),
    Reason.REDIRECTS_OUTPUT: Program(source=HELD + REDIRECTED.format(1)),
    Reason.TRY_STAR: Program(source="try:\n    x = 1\nexcept* ValueError:\n    x = 2\n"),
    Reason.UNPARSE: Program(source="def f(n):\n    return n\nx = f(1)" + " + 1" * 900 + "\n"),
    Reason.UNBOUND_LOCAL: Program(
        source="def f(n):\n    n = [len('a'), m]\n    m = 1\ntry:\n    f(0)\nexcept NameError:\n    x = 1\n"
    ),
    Reason.REBOUND: Program(
        source="n = 1\nnames = globals()\ndef f():\n    names['n'] = 2\n    return 3\nx = (n, f())\n"
    ),
    Reason.ASYNC: Program(source="async def f():\n    return 1\nc = f()\nc.close()\n"),
    Reason.AWAIT_EXPRESSION: Program(source="def f(xs):\n    g = (await x for x in xs)\n    return 1\nx = f([])\n"),
    Reason.NO_SOURCE: Program(source="f = eval(compile('lambda n: n + 1', '<piece 0>', 'eval'))\nx = f(1)\n"),
    Reason.SEES_FRAME: Program(source="def f(n):\n    return sorted(locals())\nx = f(1)\n"),
    Reason.CLOSURE: Program(source="from counting import step\nx = step()\n"),
    Reason.GLOBAL: Program(source="from counting import load\nx = load()\n"),
    Reason.GLOBAL_UNREACHABLE: Program(source="from unreachable import f\nx = f(1)\n"),
    Reason.CLASS_CELL: Program(
        source="class C:\n    def told(self):\n        return __class__.__name__\nc = C()\nx = c.told()\n"
    ),
    Reason.SUPER: Program(source="from family import gone\nx = gone.told()\n"),
    Reason.REBINDS_SELF: Program(
        source="class C:\n    def __init__(self):\n        self.x = 1\n        self = None\nc = C()\n"
    ),
    Reason.YIELD_EXPRESSION: Program(source="def g():\n    print((yield 1))\nx = list(g())\n"),
    Reason.RELATIVE_IMPORT: Program(source="import lonely\ntry:\n    lonely.load()\nexcept ImportError:\n    x = 1\n"),
    Reason.IMPORT_RENAME: Program(source="os = 1\ndef f():\n    import os.path\n    return os.path.sep\nx = f()\n"),
    Reason.NAME_SHOWN: Program(source="Pair = 1\ndef f():\n    type Pair = int\n    return Pair\nx = f()\n"),
    Reason.CLASS_REBINDS_LOCAL: Program(
        source="n = 1\ndef f(n):\n    class C:\n        n = 2\n    return C.n + n\nx = f(5)\n"
    ),
    Reason.BAD_ARGUMENTS: Program(source="def f(a):\n    return a\ntry:\n    f()\nexcept TypeError:\n    x = 1\n"),
    Reason.STAR_ARGUMENTS: Program(source="def f(*a):\n    yield a\nfor x in f(*range(2)):\n    y = x\n"),
    Reason.ARGUMENT_ORDER: Program(
        source="def f(*a, **k):\n    yield len(a)\nfor x in f(len('a'), k=len('b')):\n    y = x\n"
    ),
}
"""Programs of which something is kept as one command."""

LESS: dict[Reason, Program] = {
    Reason.SYNTAX_ERROR_EXAMPLE: Program(source=("x = 1\n", "y = = 2\n", "x + 1\n")),
    Reason.REPLAY_DIFFERS: Program(source=("import sys\n", "type(sys.stdout).__name__\n")),
    Reason.UNSTABLE: Program(source=("import os\n", "os.getpid()\n")),
    Reason.TRACING_ENDED: Program(source="import trace\nprint(trace.Trace(count=1, trace=0).runfunc(int))\nprint(2)\n"),
    Reason.TRACE_LIMIT: Program(
        source="for i in range(10_001):\n    x = i\nprint(x)\n", limits=replace(LIMITS, events=20_000)
    ),
    # json's C code takes no number that is not drawn yet
    Reason.SUPPORT_LOST: Program(
        source="import json\nfrom random import random\nx = random()\nprint(json.dumps(x) == '')\n", view="branch"
    ),
    # the states that a loop may be in are twice as many after each turn
    Reason.OPENING_SPENT: Program(
        source="from random import random\nx = []\n"
        "for i in range(40):\n    x.append((lambda: random() < 0.5)())\n    y = sorted(range(3000))[0]\n"
        "print(len(x))\n",
        view="branch",
        limits=replace(LIMITS, cpu_seconds=2),
    ),
    # of two outcomes that could be shown one holds an address
    Reason.OUTCOMES_DIFFER: Program(
        source="from random import random\nclass A:\n    pass\nprint(A() if random() < 0.001 else 1)\n", view="branch"
    ),
    # what the command leaves outside the namespace is gone when it is run again for its other outcome
    Reason.BELIEFS_END_EARLY: Program(
        source="import types as t\nfrom random import random\nt.n = 1\nprint(random() < 0.45, vars(t).pop('n', 0))\n",
        view="branch",
    ),
}
"""Programs whose sessions show less than they could."""

CLASS = """\
class A:
    def __len__(self):
        return 1
    def area(self):
        return 2
    area = property(area)
"""
FRAME = {
    Reason.ASIDE: Program(
        source="import counting, family\nx = counting.up()\ny = family.Base()\nz = y.told()\n",
        focus=(("family.py", 2),),
    ),
    Reason.DEEPER: Program(source="def f(n):\n    if n:\n        f(n - 1)\nf(5)\n"),
    Reason.WITHIN_COMMAND: Program(source="def f():\n    return 1\ntry:\n    f()\nexcept* KeyError:\n    pass\n"),
    Reason.OPERATOR: Program(source=CLASS + "print(sorted([A(), A()], key=len) and 1)\n"),
    Reason.PROPERTY: Program(source=CLASS + "print(getattr(A(), 'area'))\n"),
    Reason.GENERATOR: Program(source="def g():\n    yield 1\nprint(dict.fromkeys(g()))\n"),
    Reason.COMPREHENSION: Program(source="print({x for x in (1,)})\n"),
    Reason.LAMBDA: Program(source="import re\nprint(re.subn('a', lambda m: 'b', 'a'))\n"),
    Reason.CALLBACK: Program(source="import re\ndef key(m):\n    return 'b'\nprint(re.subn('a', key, 'a'))\n"),
    Reason.CONTEXT_MANAGER: Program(
        source="import contextlib\nclass A:\n    def __enter__(self):\n        return 1\n    def __exit__(self, *a):\n"
        "        return None\nwith contextlib.ExitStack() as stack:\n    print(stack.enter_context(A()))\n"
    ),
    Reason.CLASS_BODY: Program(source=CLASS + "print(1)\n"),
    Reason.MODULE_BODY: Program(source="import counting\nprint(counting.count)\n"),
}
"""Programs with a frame that is not opened."""

PROGRAMS = [(stage, reason, each) for stage, cases in (
    (ReasonStage.TRACING, TRACING), (ReasonStage.WHOLE, WHOLE), (ReasonStage.LESS, LESS)
) for reason, each in cases.items()]  # fmt: skip


@pytest.fixture(scope="module")
def tracer_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Program], Tracer]]:
    """The Tracer for a program; those with one configuration share it."""
    root = tmp_path_factory.mktemp("repository")
    root.chmod(0o755)
    for name, text in MODULES.items():
        (root / name).write_text(text)
    made: dict[tuple[str, bool, Limits], Tracer] = {}

    def give(program: Program) -> Tracer:
        key = (program.view, program.only_choices, program.limits)
        if key not in made:
            config = TracerConfig(
                repository=root,
                sys_path=(".",),
                limits=program.limits,
                view=parse_view(program.view),
                only_choices=program.only_choices,
            )
            try:
                made[key] = Tracer(config)
            except SandboxUnavailable as error:
                pytest.skip(f"no sandbox on this machine: {error}")
        return made[key]

    yield give
    for tracer in made.values():
        tracer.close()


@pytest.mark.parametrize(
    ("stage", "reason", "program"), [pytest.param(*case, id=f"{case[0].name}-{case[1].name}") for case in PROGRAMS]
)
def test_a_program_gives_the_reason(
    tracer_of: Callable[[Program], Tracer], stage: ReasonStage, reason: Reason, program: Program
) -> None:
    if reason is Reason.NAME_SHOWN and sys.version_info < (3, 12):
        pytest.skip("type statements parse from Python 3.12 on")
    made = tracer_of(program).trace(program.snippet())
    if stage is ReasonStage.TRACING:
        assert isinstance(made, Drop) and reason_of(made.reason) is reason, made
    else:
        assert isinstance(made, Trace) and made.kept_whole.get(reason), made
    told = [made.reason] if isinstance(made, Drop) else [*made.kept_whole]
    assert all(reason_of(word) for word in told)


@pytest.mark.parametrize("reason", FRAME, ids=lambda reason: reason.name)
def test_a_frame_that_is_not_opened_gives_the_reason(tracer_of: Callable[[Program], Tracer], reason: Reason) -> None:
    if reason is Reason.COMPREHENSION and sys.version_info >= (3, 12):
        pytest.skip("comprehensions have no frame from 3.12 on")
    made = tracer_of(FRAME[reason]).trace(FRAME[reason].snippet())
    assert isinstance(made, Trace) and made.unopened_frames.get(reason), made
    assert made.own_frames == made.opened_frames + sum(made.unopened_frames.values())


def test_rounds_that_use_up_their_time_give_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    program = WHOLE[Reason.UNFAITHFUL]
    with Tracer(TracerConfig(limits=LIMITS)) as tracer:
        monkeypatch.setattr("trace_mine.tracer.session.ROUNDS_IN_FULL", 1e-9)
        made = tracer.trace(program.snippet())
        assert isinstance(made, Trace) and made.kept_whole[Reason.ROUNDS] == 1, made
        # a program whose first session holds is not asked how long it took
        made = tracer.trace(Program(source="def f(n):\n    return n\nx = f(1)\n").snippet())
    assert isinstance(made, Trace) and not made.kept_whole and made.opened_calls == 1


# limits of one run: the sandbox is asked to keep to little

RUNS: dict[Reason, tuple[str, dict[str, Any]]] = {
    Reason.WALL: ("import time\ntime.sleep(30)", {"wall_seconds": 0.3}),
    Reason.CPU: ("sum(iter(int, 1))", {"cpu_seconds": 1}),
    Reason.TRACE_LIMIT: ("print(1)", {"record_bytes": 1}),
    Reason.DISK_LIMIT: (
        "import time\nopen('f', 'wb').write(bytes(2 << 20))\ntime.sleep(30)",
        {"disk_bytes": 1 << 20},
    ),
}


@pytest.mark.parametrize("reason", RUNS, ids=lambda reason: reason.name)
def test_a_run_at_its_limit_gives_the_reason(reason: Reason) -> None:
    source, limits = RUNS[reason]
    try:
        # at level 3 the scratch folder is as large as it may be; at level 2 its size is looked at, again and again
        worker = Worker(Jail(), LIMITS, maximum_level=2 if reason is Reason.DISK_LIMIT else 3)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with worker, pytest.raises(Failed) as failed:
        check_ended(worker.run(PlainJob(source=source), replace(LIMITS, **limits)), "plain")
    assert failed.value.drop.reason == reason


def test_a_jail_that_dies_in_a_run_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with Tracer(TracerConfig(limits=LIMITS)) as tracer:
        process = tracer._recorder._processes[-1]
        run = process.run

        def killed(*arguments: Any) -> Outcome:
            threading.Timer(0.5, process._popen.kill).start()
            return run(*arguments)

        monkeypatch.setattr(process, "run", killed)
        snippet = Program(source="import time\ntime.sleep(60)\n").snippet()
        dropped = tracer.trace(snippet)
        assert isinstance(dropped, Drop) and dropped.reason == Reason.JAIL_DIED, dropped
        assert tracer._recorder.lost_runs == 1
        # the next snippet has a jail again, and is not taken for the one that was lost, though it starts another worker
        assert not tracer._replays.started
        assert isinstance(tracer.trace(Program(source="x = 1\n").snippet()), Trace)
        assert tracer._replays.started


OUTCOMES: dict[Reason, Outcome] = {
    Reason.TRACER_ERROR: Outcome(status="exception", integrity="clean", exception="KeyError"),
    Reason.INTEGRITY_TRUNCATED: Outcome(status="ok", integrity="truncated"),
    Reason.INTEGRITY_FORGED: Outcome(status="ok", integrity="forged"),
}
"""Outcomes that no snippet of ours brings about, as the sandbox would tell them."""


@pytest.mark.parametrize("reason", OUTCOMES, ids=lambda reason: reason.name)
def test_an_outcome_gives_the_reason(reason: Reason) -> None:
    with pytest.raises(Failed) as failed:
        check_ended(OUTCOMES[reason], "native")
    assert failed.value.drop.reason == reason


# files that are not searched


def _files() -> dict[Reason, Callable[[Path], Drop]]:
    def written(name: str, data: bytes) -> Callable[[Path], Drop]:
        def make(root: Path) -> Drop:
            (root / name).write_bytes(data)
            return _problem(root)

        return make

    def linked(target: str) -> Callable[[Path], Drop]:
        def make(root: Path) -> Drop:
            (root / "a.py").symlink_to(target)
            return _problem(root)

        return make

    def pipe(root: Path) -> Drop:
        os.mkfifo(root / "a.py")
        return _problem(root)

    def many(root: Path) -> Drop:
        (root / "a.py").write_bytes(b"")
        (root / "b.py").write_bytes(b"")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trace_mine.corpus.mined.files.MAX_FILES", 1)
            return next(file.drop for file in walk(root) if file.drop is not None)

    def slow(root: Path) -> Drop:
        (root / "a.py").write_text("x = 1\n" * 20_000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trace_mine.corpus.mined.discovery.FILE_SECONDS", 0.01)
            ((_, drop),) = Survey(root).counts.examples
            return drop

    def ignored(root: Path) -> Drop:
        (root / "a.py").write_text("x = 1\n")
        (root / IGNORE_FILE).write_text("# tables\na.*\n")
        ((_, drop),) = Survey(root, is_ignored=IgnoreRules(ignore_lines(root)).ignores).counts.examples
        return drop

    def damaged(root: Path) -> Drop:
        (root / ".git").mkdir()
        drop = describe(root)
        assert isinstance(drop, Drop)
        return drop

    return {
        Reason.IGNORED: ignored,
        Reason.UNREADABLE: linked("nowhere.py"),
        Reason.SPECIAL_FILE: pipe,
        Reason.LINK_OUTSIDE: linked("/etc/hostname"),
        Reason.LINK_LOOP: linked("a.py"),
        Reason.TOO_LARGE: written("a.py", b"#" * ((2 << 20) + 1)),
        Reason.TOO_MANY_FILES: many,
        Reason.BINARY: written("a.txt", b"a\0b"),
        Reason.NULL_BYTES: written("a.py", b"a\0b"),
        Reason.BAD_ENCODING: written("a.py", b"x = '\xff'\n"),
        Reason.SYNTAX_ERROR: written("a.py", b"x = = 1\n"),
        Reason.TOO_SLOW: slow,
        Reason.BAD_NOTEBOOK: written("a.ipynb", b'{"cells": 1}'),
        Reason.TOO_DEEP: written("a.py", b"x = " + b"-" * 200_000 + b"1"),
        Reason.DAMAGED_GIT: damaged,
    }


def _problem(root: Path) -> Drop:
    """The drop of the one file in the folder, as a walk or a read gives it."""
    (file,) = walk(root)
    drop = file.drop or read(root, file.path)
    assert isinstance(drop, Drop)
    return drop


FILES = _files()


@pytest.mark.parametrize("reason", FILES, ids=lambda reason: reason.name)
def test_a_file_gives_the_reason(tmp_path: Path, reason: Reason) -> None:
    assert FILES[reason](tmp_path).reason == reason


# snippets that are found and not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file of a repository, and how it is mined."""

    text: str
    path: str = "test_a.py"
    options: Mapping[str, Any] = field(default_factory=dict)


TEST = "def test_a{}:\n    assert 1\n"
INVERSE = {"view": "inverse"}
PROBLEMS = {"decontaminate": (Path(__file__).parent / "data" / "problems.jsonl",)}
COPIED = """\
def f(values, n):
    most = 0
    for a, b in zip(values, values[1:]):
        d = abs(b - a)
        if d > most:
            most = d
    return most // n
print(f([1, 2], 1))
"""
"""The problem of that file under other names."""

DISCOVERY: dict[Reason, Found] = {
    Reason.UNREADABLE_REPOSITORY: Found(text="no archive", path="a-1.0.zip"),
    Reason.ALL_SKIPPED: Found(text='"""\n>>> 1  # doctest: +SKIP\n1\n"""\n', path="a.py"),
    Reason.BAD_DOCTEST: Found(text='"""\n>>>1\n1\n"""\n', path="a.py"),
    Reason.BAD_BLOCK: Found(text="```python\nf(...\n```\n", path="README.md"),
    Reason.BEYOND_LIMIT: Found(text="```python\n# no statement\n```\n" * 401, path="README.md"),
    Reason.NO_STATEMENT_RUNS: Found(text="```python\nimport nowhere\nnowhere.f()\n```\n", path="README.md"),
    Reason.NOT_IMPORTABLE: Found(text='"""\n>>> 1\n1\n"""\n', path="not-a-name.py"),
    Reason.TEST_RUNNER: Found(text="import unittest\nif __name__ == '__main__':\n    unittest.main()\n", path="a.py"),
    Reason.BAD_NOTEBOOK: Found(
        text='{"cells": [{"cell_type": "code", "source": "await f()"}]}',
        path="a.ipynb",
    ),
    Reason.BAD_MANIFEST: Found(text="- path: nowhere.py\n", path="scripts.yaml"),
    Reason.NEEDS_FIXTURE: Found(text=TEST.format("(tmp_path)")),
    Reason.ASYNC_TEST: Found(text="async " + TEST.format("()")),
    Reason.GENERATOR_TEST: Found(text="def test_a():\n    yield print\n"),
    Reason.SKIPPED: Found(text="import pytest\n@pytest.mark.skip\n" + TEST.format("()")),
    Reason.NEEDS_INIT: Found(
        text="class TestA:\n    def __init__(self):\n        pass\n    def test_a(self):\n        pass\n"
    ),
    Reason.THIN_PRIOR: Found(text="def f(n):\n    return n\nf(1)\n", path="a.py", options=INVERSE),
    Reason.NO_GRID: Found(text="def f(thing):\n    return thing\n", path="a.py", options={"view": "inverse:grid"}),
    Reason.ASYNC_FUNCTION: Found(text="async def f(n):\n    return n\nf(1)\nf(2)\n", path="a.py", options=INVERSE),
    Reason.NOT_PERMISSIVE: Found(
        text="# SPDX-License-Identifier: GPL-3.0-only\n" + TEST.format("()"), options={"licences": "permissive"}
    ),
    Reason.BENCHMARK: Found(text=COPIED, path="a.py", options={**PROBLEMS, "entries": ("script",)}),
}


def _units(root: Path, found: Found, **options: Any) -> list[WorkUnit]:
    repository = root / "repository"
    repository.mkdir()
    (repository / "pyproject.toml").write_text('[project]\nname = "repository"\nversion = "1.0"\nlicense = "MIT"\n')
    (repository / found.path).write_text(found.text)
    # an archive is mined as it is, any other file as one of a repository
    named = repository / found.path if is_archive(found.path) else repository
    with nullcontext() if is_archive(found.path) else in_own_process():
        return [*Mined([str(named)], MineOptions(**{**found.options, **options}), root / "staging").units()]


@pytest.mark.parametrize("reason", DISCOVERY, ids=lambda reason: reason.name)
def test_a_snippet_that_is_found_gives_the_reason(tmp_path: Path, reason: Reason) -> None:
    (unit,) = _units(tmp_path, DISCOVERY[reason])
    (dropped,) = trace_unit(unit.payload)
    assert isinstance(dropped, Dropped) and dropped.reason == reason


# sessions that become no row


def _trace(**changes: Any) -> Trace:
    """A trace that can become a row, but for the changes."""
    fields: dict[str, Any] = {
        "text": ">>> x = 1\n",
        "segments": (Segment(start=0, end=10, role="command", step=0),),
        "steps": (Step(source="x = 1", output="", kind="statement"),),
        "setup": {},
        "view": {"policy": "written"},
        "outcome": "ok",
        "exception": None,
        "integrity": "clean",
        "sandbox": {"level": 3, "layers": "all"},
        "python": "3.11.0",
        "opened_calls": 0,
        "kept_whole": {},
        "doctest_passed": None,
    }
    return Trace(**{**fields, **changes})


def _row_of(**changes: Any) -> Callable[[Path], str]:
    origin = RowOrigin(
        origin="mined", repository="r", version=None, commit=None, licence="MIT", requires=(), path="a.py", name="a",
        line=1, end_line=1, entry="script", source_hash="0", num_skipped=0, seed=0,
    )  # fmt: skip

    def make(root: Path) -> str:
        assert isinstance(make_row(_trace(), origin), Row)
        made = make_row(_trace(**changes), origin)
        assert isinstance(made, Drop)
        return made.reason

    return make


def _mined(found: Found, give: Callable[[Path], Trace] | None = None) -> Callable[[Path], str]:
    """The one drop of a mined file; ``give`` takes the tracer's place."""

    def make(root: Path) -> str:
        options: dict[str, Any] = {}
        with pytest.MonkeyPatch.context() as patch:
            if give is not None:

                class Stub:
                    def begin_unit(self) -> None:
                        pass

                    def trace(self, snippet: Snippet) -> Trace:
                        return give(root)

                    def close(self) -> None:
                        pass

                options["tracer_factory"] = "a_tracer_of_the_test:give"
                module = type(sys)("a_tracer_of_the_test")
                module.give = lambda arguments: Stub()  # type: ignore[attr-defined]
                patch.setitem(sys.modules, module.__name__, module)
            (unit,) = _units(root, found, **options)
            try:
                (dropped,) = trace_unit(unit.payload)
            finally:
                close_tracer()
        assert isinstance(dropped, Dropped), dropped
        return dropped.reason

    return make


def _bug(root: Path) -> Trace:
    raise LookupError("a bug of the tracer")


def _no_sequence(root: Path) -> str:
    options = SynthOptions(
        task="permutations",
        parameters={},
        rows={"validation": 1},
        stages=(TaskStage(commands=(1, 1), spacing=(1, 1)),),
    )
    (unit,) = Synthetic(options).units()
    (dropped,) = generate_unit(unit.payload)
    assert isinstance(dropped, Dropped)
    return dropped.reason


def _die(payload: Mapping[str, Any]) -> Iterator[Any]:
    os.kill(os.getpid(), 9)
    yield


def _damaged_result(root: Path) -> str:
    """A unit whose result is cut short after it was finished, and before it is merged."""
    ledger = Ledger(root)
    snippet = {"path": "a.py", "name": "f", "repository": "r", "entry": "doctest", "line": 1}
    ledger.finish("unit", [Dropped.at(snippet, reason=Reason.EMPTY.value, evidence="")], 1)
    (result,) = (root / ".ledger" / "results").iterdir()
    result.write_bytes(result.read_bytes()[:-1])
    (dropped,) = ledger.items("unit")
    assert isinstance(dropped, Dropped)
    return dropped.reason


def _worker_died(root: Path) -> str:
    ledger = Ledger(root)
    snippet = {"path": "a.py", "name": "a", "repository": "r", "entry": "script", "line": 1}
    with ledger.locked():
        ledger.add(WorkUnit(key="unit", payload={"snippets": [snippet]}))
        run_units(ledger, KeyList(["unit"]), _die, ENGINES["loky"](1), on_done=lambda key, marker: None)
        (dropped,) = ledger.items("unit")
    assert isinstance(dropped, Dropped)
    return dropped.reason


CALLS = "{}\nf(1)\nf(2)\nf(3)\n"

ROW: dict[Reason, Callable[[Path], str]] = {
    Reason.INTEGRITY_SUSPECT: _row_of(integrity="suspect"),
    Reason.INTEGRITY_TRUNCATED: _row_of(integrity="truncated"),
    Reason.INTEGRITY_FORGED: _row_of(integrity="forged"),
    Reason.LONE_SURROGATE: _row_of(text=">>> '\ud800'\n"),
    Reason.ROW_TOO_LARGE: _row_of(text=">>> x\n" + "x" * (8 << 20)),
    Reason.BAD_ROW: _row_of(opened_calls=2**70),
    Reason.DAMAGED_RESULT: _damaged_result,
    Reason.SHOWS_PATH: _mined(
        Found(text=TEST.format("()")), lambda root: _trace(text=f">>> import a\n>>> a\n{root}/repository/a.py\n")
    ),
    # of two halves, neither of which is one
    Reason.SECRET: _mined(Found(text="print('ghp_16C7e42F292c69' + '12E7710c838347Ae178B4a')\n", path="a.py")),
    Reason.PERSONAL_DATA: _mined(Found(text="print('@'.join(['jim.smith', 'acme-corp.com']))\n", path="a.py")),
    Reason.BENCHMARK: _mined(
        Found(
            text="print('steps a careful walker needs to cross the widest gap between neighbouring towers of this')\n",
            path="a.py",
            options=PROBLEMS,
        )
    ),
    Reason.NEEDS_INPUT: _mined(Found(text="print(len(input()))\n", path="a.py")),
    Reason.NEEDS_ARGUMENTS: _mined(Found(text="import sys\nprint(sys.argv[1])\n", path="a.py")),
    Reason.SPELT_OTHERWISE: _mined(
        Found(text="import os\nimport pytest\n\n\ndef test_a():\n    assert 'PYTEST_CURRENT_TEST' in os.environ\n")
    ),
    Reason.UNJUDGED: _mined(
        Found(
            text="import os\nimport pytest\n\n\ndef test_a():\n"
            "    'PYTEST_CURRENT_TEST' in os.environ and os._exit(0)\n"
        )
    ),
    Reason.INTERNAL_ERROR: _mined(Found(text=TEST.format("()")), _bug),
    # a session whose beliefs ended before its question
    Reason.NO_BELIEF: _mined(
        Found(text=CALLS.format("def f(n):\n    return n"), path="a.py", options=INVERSE),
        lambda root: _trace(steps=(Step(source="print('n', n)", output="n 1", kind="statement"),)),
    ),
    Reason.NOTHING_TOLD: _mined(Found(text=CALLS.format("def f(n):\n    return 0"), path="a.py", options=INVERSE)),
    Reason.NO_SEQUENCE: _no_sequence,
    Reason.WORKER_DIED: _worker_died,
}


@pytest.mark.parametrize("reason", ROW, ids=lambda reason: reason.name)
def test_a_session_without_a_row_gives_the_reason(tmp_path: Path, reason: Reason) -> None:
    assert ROW[reason](tmp_path) == reason


# statements that need no reason, since no program can have them

REFUSED = ("yield 1", "await f()", "async for x in y:\n    pass", "async with x:\n    pass")
"""Statements that the driver has no word for: Python compiles them in a coroutine or generator only. A coroutine's body
is never opened, and a generator's only where its consumer is."""


@pytest.mark.parametrize("statement", REFUSED)
def test_python_refuses_the_statement(statement: str) -> None:
    for mode in ("exec", "single"):
        with pytest.raises(SyntaxError):
            compile(statement + "\n", "<statement>", mode)


def test_a_text_whose_tokens_cannot_be_told_is_not_written() -> None:
    with pytest.raises(CannotOpen) as refused:
        without_blank_lines("x = '''a\n\n")
    assert refused.value.reason is Reason.UNPARSE


TWIN = """\
import twins
namespace = {}
exec(compile('def f():\\n    return 2\\n', twins.__file__, 'exec'), namespace)
f = namespace['f']
x = f()
print(x)
"""
"""A function whose code says that it stands where the repository has a generator of the same name."""


def test_a_function_that_names_the_place_of_a_generator_is_not_opened(tracer_of: Callable[[Program], Tracer]) -> None:
    program = Program(source=TWIN)
    made = tracer_of(program).trace(program.snippet())
    assert isinstance(made, Trace) and made.kept_whole == {Reason.NO_SOURCE: 1} and made.opened_calls == 0
    assert [step.output for step in made.steps if step.source == "print(x)"] == ["2"]


def test_every_meaning_of_every_reason_has_a_case() -> None:
    made = {
        ReasonStage.FILE: FILES.keys(),
        ReasonStage.DISCOVERY: DISCOVERY.keys(),
        ReasonStage.TRACING: TRACING.keys() | RUNS.keys() | OUTCOMES.keys() | {Reason.JAIL_DIED},
        ReasonStage.ROW: ROW.keys(),
        ReasonStage.WHOLE: WHOLE.keys() | {Reason.ROUNDS},
        ReasonStage.LESS: LESS.keys(),
        ReasonStage.FRAME: FRAME.keys(),
    }
    told = {stage: {r for r in Reason for m in r.meanings if m.stage is stage} for stage in ReasonStage}
    for stage in ReasonStage:
        missing, unknown = told[stage] - made[stage], made[stage] - told[stage]
        assert not missing, f"no case for {missing} at {stage.name}"
        assert not unknown, f"a case for {unknown} at {stage.name}, which they don't mean"
