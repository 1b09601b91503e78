"""Tampering with the tracer, the channel and what our own code stands on: noticed and graded, or without effect."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.settrace(None)",
        "import sys\nsys.settrace(lambda *a: None)",
        "import sys\nsys.setprofile(lambda *a: None)",
        "import gc\ngc.get_objects()",
        "import gc\ngc.get_referrers(print)",
        "import sys\nsys.addaudithook(lambda *a: None)",
        "import sys\nsys._current_frames()",
        "f = lambda: 1\nf.__code__ = f.__code__.replace(co_consts=(2,))",
        "import ctypes\nctypes.string_at(0x1000, 0)",
        "import ctypes\nctypes.CDLL(None)",
        # under the names of the library's files and functions
        "import bdb\nexec(compile('import sys\\nsys.settrace(None)', bdb.__file__, 'exec'))",
        "import doctest\nexec(compile('import sys\\ndef run(): sys.settrace(None)\\nrun()', doctest.__file__, 'exec'))",
        "import sys, types\nclass bdb:\n    set_trace = sys.settrace\nbdb.set_trace(None)",
        "import sys, doctest\nclass Text(str):\n    def __eq__(self, other):\n        sys.settrace(None)\n"
        "        return True\n    __hash__ = str.__hash__\nprint(Text() == 1)",
        "import sys, doctest\ndef f():\n    'Text.\\n\\n>>> import sys\\n>>> sys.settrace(None)\\n'\ndoctest.testmod()",
        # code that differs from the library's in a constant alone
        "import bdb\nf = bdb.Bdb.set_continue\nf.__code__ = f.__code__.replace(co_consts=f.__code__.co_consts + (2,))",
    ],
)
def test_tampering_with_the_tracer_is_noticed(target, source):
    outcome = target.run(source)
    assert (outcome.status, outcome.integrity) == ("ok", "suspect"), outcome
    assert outcome.tripped


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio, dataclasses, collections, typing, enum, unittest.mock, inspect, ctypes, uuid, logging",
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass A:\n    x: int = 1\nprint(A())",
        "from collections import namedtuple\nprint(namedtuple('P', 'x y')(1, 2))",
        "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
        "import gc, weakref, copy, pickle\ngc.collect()\npickle.loads(pickle.dumps(copy.deepcopy([1])))",
        'import doctest\ndef f():\n    """\n    >>> f()\n    1\n    """\n    return 1\nprint(doctest.testmod())',
        "import trace\nprint(trace.Trace(count=1, trace=0).runfunc(lambda: 1))",
        "import bdb\nd = bdb.Bdb()\nd.reset()\nd.set_continue()\nd.runcall(print, 1)",
        "def f(n):\n    return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError:\n    print(1)",
        "exit()",
    ],
)
def test_ordinary_code_stays_clean(target, source):
    outcome = target.run(source, events=10**9)
    assert (outcome.integrity, outcome.tripped) == ("clean", ()), outcome
    assert outcome.status == ("exit" if source == "exit()" else "ok")


def test_forged_frames(target):
    outcome = target.run("""
import os, struct
payload = b'{"end":"ok","exception":null,"tripped":[],"tampered":false}'
for fd in range(3, 1024):
    try:
        os.write(fd, struct.pack(">IIB", len(payload), 0, 2) + payload + bytes(16)); print("written")
    except OSError:
        pass
""", events=10**9)  # fmt: skip
    assert outcome.stdout == b"written\n"
    assert (outcome.status, outcome.integrity, outcome.records) == ("no-end", "forged", ())


def test_forged_end_and_quick_exit(target):
    outcome = target.run("""
import os, struct
payload = b'{"end":"ok","exception":null}'
for fd in range(3, 1024):
    try:
        os.write(fd, struct.pack(">IIB", len(payload), 0, 2) + payload + bytes(16))
    except OSError:
        pass
os._exit(0)
""", events=10**9)  # fmt: skip
    assert (outcome.status, outcome.integrity) == ("no-end", "forged")


@pytest.mark.parametrize("code", [0, 1, 70])
def test_quick_exit_is_never_ok(target, code):
    outcome = target.run(f"print('before', flush=True)\nimport os\nos._exit({code})")
    assert (outcome.status, outcome.integrity, outcome.stdout) == ("no-end", "truncated", b"before\n")


def test_the_status_is_not_the_runners(target):
    outcome = target.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert outcome.status == "signal:9" or (target.level == 2 and outcome.exception == "PermissionError")
    abort = target.run("import os\nos.abort()")
    assert abort.status in ("signal:6", "signal:11"), abort
    crash = target.run("import ctypes\nctypes.string_at(0)")
    assert crash.status == "signal:11"


def test_closed_descriptors(target):
    outcome = target.run("import os\nos.closerange(0, 4096)")
    assert (outcome.status, outcome.integrity) == ("no-end", "truncated")


def test_patched_foundations_change_nothing(target):
    outcome = target.run("""
import builtins, collections, io, json, json.encoder, os, struct, sys, types
def broken(*arguments, **named):
    raise RuntimeError("patched")
print("before")
for module in (json, json.encoder, struct, types):
    for name in dir(module):
        if callable(getattr(module, name)) and not name.startswith("__"):
            setattr(module, name, broken)
os.write = os.read = os.fstat = broken
sys.exc_info = sys.gettrace = broken
for name in ("len", "isinstance", "getattr", "type", "list", "dict", "str", "bytes", "print", "repr", "iter", "min"):
    setattr(builtins, name, broken)
sys.stdout.flush = broken
sys.stdout = None
""")
    assert (outcome.status, outcome.integrity, outcome.stdout) == ("ok", "clean", b"before\n"), outcome


def test_hostile_representations_and_names(target):
    outcome = target.run("""
class Meta(type):
    def __getattribute__(cls, name):
        if name == "__name__":
            import os; os._exit(0)
        return super().__getattribute__(name)
class Nasty(Exception, metaclass=Meta):
    def __repr__(self): raise SystemExit(3)
    __str__ = __repr__
raise Nasty()
""")
    assert (outcome.status, outcome.exception) in (("exception", "Nasty"), ("no-end", None)), outcome


def test_our_packages_are_not_there(target):
    names = 3 + 5  # of the package and its modules, and of the rooms
    outcome = target.run("""
import sys
rooms = ("tracer", "corpus", "train", "tokenizer", "eval")
for name in ("trace_mine", "trace_mine.tracer", "trace_mine.tracer.inside.channel", *rooms):
    try:
        __import__(name); print(name, "imported")
    except ImportError:
        print("absent")
print([name for name in sys.modules if name.startswith(("trace_mine", "tracer"))])
""")
    assert outcome.stdout == b"absent\n" * names + b"[]\n"
