"""State that the standard library keeps for the whole process is part of states: settings, loggers, exit functions,
modules.

The reference is a fork for each way, in which the commands simply run.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import pickle
import sys
import types
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.draws import exit_functions, patches, settings
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.states.library_modules import LibraryModule
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.world import World

SETUP = """
import atexit, builtins, calendar, csv, decimal, gc, io, logging, math, mimetypes, os, random, signal, socket, sys
import threading, warnings, weakref
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
for number in range(40):  # as a library makes them; each counts, as the process of other tests has as many
    logging.getLogger(f"trace_mine_many.{number}")
log = logging.getLogger("trace_mine_test_of_states")
log.propagate = False
buffer = io.StringIO()
log.addHandler(logging.StreamHandler(buffer))
context = decimal.getcontext()
old = sys.stdout
class Tee:
    def __init__(self):
        self.texts = []
    def write(self, text):
        self.texts.append(text)
tee = Tee()
end = weakref.finalize(Tee, len, "x")
end.atexit = False  # as this process may have registered that of ``weakref`` with C, which forgets it once it has run
class Counting(logging.Handler):
    def emit(self, record):
        buffer.write("counted")
def umask():
    mask = os.umask(0o22)
    os.umask(mask)
    return mask
def dialect(name):
    return csv.get_dialect(name).delimiter if name in csv.list_dialects() else None
def hooked(x): return -x
"""
USES = (
    ("sys.setrecursionlimit(sys.getrecursionlimit() + 1)", "sys.getrecursionlimit()"),
    ("gc.disable() if gc.isenabled() else gc.enable()", "gc.isenabled()"),
    ("os.umask(umask() ^ 0o11)", "umask()"),
    ("socket.setdefaulttimeout({} + 1.0)", "socket.getdefaulttimeout()"),
    ("decimal.getcontext().prec -= 1", "decimal.Decimal(1) / 3"),
    ("decimal.Decimal(1) / 3", "context.flags[decimal.Inexact]"),
    ("context.prec = 6", "decimal.getcontext().prec"),
    ("decimal.setcontext(decimal.Context(prec={} + 2))", "decimal.getcontext().prec"),
    ("warnings.simplefilter('ignore', UserWarning)", "[each[:3:2] for each in warnings.filters][:2]"),
    ("signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN"),
    ("csv.register_dialect('x', delimiter='ab'[{} % 2])", "dialect('x')"),
    ("csv.unregister_dialect('unix') if dialect('unix') else 0", "dialect('unix')"),
    ("log.setLevel(log.level + 1)", "(log.level, log.isEnabledFor(2))"),
    ("log.warning('w{}')", "buffer.getvalue()"),
    ("log.addHandler(Counting())", "len(log.handlers)"),
    ("log.handlers.pop() if log.handlers else 0", "len(log.handlers)"),
    ("logging.getLogger('trace_mine_test_a.b{}')", "[n for n in logging.root.manager.loggerDict if '_test_a' in n]"),
    ("logging.getLogger('trace_mine_test_a')", "logging.getLogger('trace_mine_test_a.b0').parent.name"),
    ("logging.addLevelName(7, 'SEVEN{}')", "logging.getLevelName(7)"),
    ("logging.disable(logging.disable.__defaults__[0] - {})", "logging.root.manager.disable"),
    ("atexit.register(tee.write, 'bye {}')", "(atexit._run_exitfuncs(), tee.texts)"),
    ("atexit.unregister(tee.write)", "tee.texts"),
    ("atexit._run_exitfuncs()", "tee.texts"),
    ("end.detach() and 0", "end.alive"),
    ("threading.Thread(target=len)", "threading.Thread(target=len).name"),
    ("ThreadPoolExecutor()", "ThreadPoolExecutor()._thread_name_prefix"),
    ("sys.path.append('nowhere{}')", "sys.path[-1:]"),
    ("sys.zap = {}", "getattr(sys, 'zap', None)"),
    ("builtins.abs = hooked", "abs(3)"),
    ("del builtins.zap if hasattr(builtins, 'zap') else 0", "hasattr(builtins, 'zap')"),
    ("builtins.zap = {}", "getattr(builtins, 'zap', None)"),
    ("math.tau = {}", "math.tau"),
    ("math.zap = hooked", "hasattr(math, 'zap') and math.zap(1)"),
    ("ET.register_namespace('p{}', 'http://x/{}')", "sorted(k for k in ET._namespace_map if '//x/' in k)"),
    ("calendar.setfirstweekday((calendar.firstweekday() + 1) % 7)", "calendar.firstweekday()"),
    ("mimetypes.add_type('a/b{}', '.zzz')", "mimetypes.guess_type('f.zzz')"),
    ("sys.stdout = tee", "type(sys.stdout).__name__ == 'Tee'"),
    ("sys.stdout = old", "type(sys.stdout).__name__ == 'Tee'"),
)
"""Command, with the number of its place in the way, and an expression that shows what it did."""
LOOKS = [f"{number} {look}" for number, (_, look) in enumerate(USES)]
LOOK_AT_ALL = "shown = [" + ", ".join(f"repr({look})" for _, look in USES) + "]"
FAULTY = "del builtins.zap if"


def command_of(use: int, place: int) -> str:
    command = USES[use][0].replace("{}", str(place))
    return "vars(builtins).pop('zap', None)" if command.startswith(FAULTY) else command


@pytest.fixture
def beginning() -> Iterator[None]:
    """Settings as they are at the start of a program; the test's own changes are undone."""
    registers = atexit.register, atexit.unregister
    is_shut_down = weakref.finalize._shutdown  # type: ignore[attr-defined]
    exit_functions.install()
    settings.begin()
    before = settings.now()
    yield
    settings.put_back(before)
    atexit.register, atexit.unregister = registers
    # exit functions ran, that of ``weakref`` among them, after which no finalizer of this process would run
    weakref.finalize._shutdown = is_shut_down  # type: ignore[attr-defined]
    settings.forget()


def looks_in_fork(namespace: dict[str, object], way: list[int]) -> list[str]:
    """The texts of the expressions after the commands of a way, in a fork, where nothing is brought back."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        try:
            for place, use in enumerate(way):
                exec(command_of(use, place), namespace)
            os.write(sender, pickle.dumps([repr(eval(look, namespace)) for _, look in USES]))
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as answer:
        looks: list[str] = pickle.loads(answer.read())
    os.waitpid(child, 0)
    return looks


EACH_ALONE = [[use] for use in range(len(USES))] + [[]]
WAYS = st.lists(st.lists(st.integers(0, len(USES) - 1), max_size=6), min_size=2, max_size=4)


@given(ways=WAYS)
@example(ways=EACH_ALONE)
@hypothesis_settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_the_library_keeps_is_part_of_a_state(beginning: None, ways: list[list[int]]) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    stream, sys.stdout = sys.stdout, Capture(100_000)  # not before: pytest puts its own there for each phase
    try:
        exec(SETUP, namespace)
        expected = [looks_in_fork(namespace, way) for way in ways]
        world = World(namespace, 0, lambda path: False, output_limit=100_000, max_seconds=60)
        session = {**namespace}
        before = looks_in_fork(session, [])
        ends = []
        for way in ways:
            state = world.start
            for place, use in enumerate(way):
                (result,) = world.run(command_of(use, place), "exec", state).results
                assert result.raised is None, (way, use)
                state = result.state
            ends.append(state)
        # after all ways, so that the process is in another state than the one that is looked at
        for way, state, looks in zip(ways, ends, expected, strict=True):
            # all of them in one command, as in the fork: to look may set a flag
            (result,) = world.run(LOOK_AT_ALL, "exec", state).results
            # by a variable, as ``sys.stdout`` may be another one
            (result,) = world.run("sys.stdout = old\nprint(*shown, sep=chr(10))", "exec", result.state).results
            shown = result.text.split("\n")
            assert dict(zip(LOOKS, shown, strict=True)) == dict(zip(LOOKS, looks, strict=True)), way
        assert looks_in_fork(session, []) == before, "the session's own run sees none of it"
    finally:
        sys.stdout = stream
        logging.getLogger("trace_mine_test_of_states").handlers.clear()
        names = logging.root.manager.loggerDict
        for name in [name for name in names if name.startswith("trace_mine_many")]:
            del names[name]
        gc.enable()


def test_a_handler_that_writes_to_a_file_is_one_and_the_same(beginning: None, tmp_path) -> None:
    """It can't be saved; states have the object itself, and the program's other variables are saved as before."""
    handler = logging.FileHandler(tmp_path / "log")
    log = logging.getLogger("trace_mine_test_of_files")
    log.addHandler(handler)
    try:
        namespace: dict[str, object] = {"__name__": "__main__", "log": log, "n": 0}
        world = World(namespace, 0, lambda path: False, output_limit=10_000, max_seconds=60)
        (result,) = world.run("n += 1", "exec", world.start).results
        (result,) = world.run("print(n, log.handlers[0].baseFilename)", "exec", result.state).results
        assert result.text == f"1 {handler.baseFilename}"
    finally:
        handler.close()
        log.handlers.clear()


@pytest.mark.parametrize("is_constant", [True, False])
def test_finalizers_are_alive_in_those_states_that_have_not_detached_them(beginning: None, is_constant: bool) -> None:
    """Of one that holds a list there is no state: it is run again."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec("import weakref\nclass N: pass\nn, done = N(), []", namespace)
    begin = "f = weakref.finalize(n, {})".format("print, 'x'" if is_constant else "done.append, 1")
    if is_constant:
        exec(begin, namespace)
    session = {**namespace}  # it holds the objects themselves, as a session does
    world = World(namespace, 0, lambda path: False, output_limit=10_000, max_seconds=60)
    state = world.start
    if not is_constant:
        (begun,) = world.run(begin, "exec", state).results
        state = begun.state
    for _ in range(2):
        (result,) = world.run("n.x = 1", "exec", state).results
        (alive,) = world.run("print(f.alive, n.x, done)", "exec", result.state).results
        assert alive.text == "True 1 []"
        (detached,) = world.run("print(f.detach() is not None)", "exec", result.state).results
        (dead,) = world.run("print(f.alive, n.x, done)", "exec", detached.state).results
        assert (detached.text, dead.text) == ("True", "False 1 []")
    assert type(result.state) is (bytes if is_constant else tuple)
    assert not is_constant or eval("f.detach() is not None", session), "the session's own is alive"


def test_a_module_whose_objects_can_be_read_alone_is_brought_back() -> None:
    module = types.ModuleType("library_of_this_test")
    source = """
class Fixed:
    def __init__(self):
        vars(self)["n"] = 1
    def __setattr__(self, name, value):
        raise AttributeError("readonly attribute")
class Slotted:
    __slots__ = ("n",)
fixed, slotted, table, items = Fixed(), Slotted(), {"a": 1}, [1]
slotted.n = 1
"""
    exec(source, vars(module))
    library = LibraryModule(module)
    before = library.changes()
    for change in ("slotted.n = 2", "table['b'] = 2", "items.clear()", "table = {}", "del items", "new = 3"):
        exec(change, vars(module))
        changed = library.changes()
        assert changed
        library.put(before)
        assert (module.slotted.n, module.table, module.items, hasattr(module, "new")) == (1, {"a": 1}, [1], False)
        library.put(changed)
        assert library.changes() == changed
        library.put(before)


def test_a_module_that_prints_while_a_path_imports_it_ends_the_beliefs(
    beginning: None, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would print once in a process: for the first path that imports it, and neither for others nor the session."""
    patches.install()
    (tmp_path / "prints_at_import.py").write_text("print('loading')\n")
    (tmp_path / "quiet_at_import.py").write_text("value = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    world = World(namespace, 0, lambda path: False, output_limit=10_000, max_seconds=60)
    (result,) = world.run("import quiet_at_import as q; print(q.value)", "exec", world.start).results
    assert result.text == "3"
    for _ in range(2):
        with pytest.raises(RunsDisagree, match="importing prints_at_import prints"):
            world.run("import prints_at_import", "exec", world.start)
        assert "prints_at_import" not in sys.modules
    sys.modules.pop("quiet_at_import")


def test_exit_functions_run_in_order_and_once(
    beginning: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As C has it: the last one first, each taken off; one that raises is told, and the others run."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: told.append(each.exc_type))
    done: list[object] = []
    assert atexit.register(done.append, 1) == done.append
    atexit.register(done.append, 2)
    atexit.register(int, "x")
    atexit.register(print, "gone")
    atexit.unregister(print)
    with pytest.raises(TypeError, match="callable"):
        atexit.register(3)  # type: ignore[arg-type]
    saved = settings.now()
    exit_functions._run_all()
    assert done == [2, 1] and told == [ValueError]
    assert not capsys.readouterr().out
    assert not exit_functions._calls
    settings.put_back(saved)
    exit_functions._run_all()
    assert done == [2, 1, 2, 1]
