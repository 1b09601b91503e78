"""A replayer's processes hold nothing of ours, are confined like any run, and end like any run."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.session import Session, commands_of, differences
from trace_mine.tracer.rounds import Failed
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker, selftest
from trace_mine.tracer.sandbox.layers import LAYERS, LEVELS

LIMITS = Limits(wall_seconds=2.5, cpu_seconds=1, memory_bytes=192 << 20, output_bytes=1 << 18)
AT_PROMPT = ("doc", "stock", "literal")


def jail(**changes) -> Jail:
    return Jail(**{"zygote": "replayer", "pinned_clock": False, "aslr": True, "hash_seed": 4_242, **changes})


@pytest.fixture(scope="module", params=[3, 2])
def replayer(request, tmp_path_factory):
    """A replayer of each level, with a repository whose import is hostile."""
    repository = tmp_path_factory.mktemp("repository")
    (repository / "hostile.py").write_text(HOSTILE)
    (repository / "numbers.py").write_text("raise RuntimeError('a module of the standard library by that name')\n")
    (repository / "future.py").write_text("from __future__ import annotations\ndef f(x: no_such_name): return x\n")
    repository.chmod(0o755)
    made = jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("hostile", "future"))
    try:
        worker = Worker(made, LIMITS, minimum_level=request.param, maximum_level=request.param)
    except SandboxUnavailable as error:
        pytest.skip(f"level {request.param} does not work here: {error}")
    with worker:
        yield worker


HOSTILE = """
import os, sys
FRAMES = []
frame = sys._getframe()
while frame is not None:
    FRAMES.append(frame.f_code.co_name)
    frame = frame.f_back
LEFT = os.open("/dev/null", os.O_RDONLY)
"""


def printed(worker: Worker, reader: str, *sources: str, **program) -> list[str]:
    """What a reader says that each command printed."""
    session = Session(
        commands=commands_of("".join(f">>> {source}\n" for source in sources)), program=Program(**program)
    )
    reading = READERS[reader].read(worker, session, 0)
    assert not reading.why, reading
    assert not any("Traceback" in each.error for each in reading.printed), reading
    return [each.out for each in reading.printed]


def test_it_passes_the_self_test_of_its_level(replayer):
    assert selftest.failures(replayer.ask, replayer.claim()) == []


@pytest.mark.parametrize("level", [3, 2])
@pytest.mark.parametrize("layer", ["seccomp", "landlock", "rlimits", "namespaces"])
def test_a_layer_that_is_left_out_is_missed(level, layer):
    if (level, layer) == (2, "namespaces"):
        return  # level 2 has none
    try:
        worker = Worker(jail(), LIMITS, minimum_level=level, maximum_level=level, ablate=frozenset({layer}))
    except SandboxUnavailable as error:
        if "can't read the interpreter" in str(error):
            pytest.skip(f"without Landlock root keeps no capability to read this interpreter: {error}")
        raise
    with worker:
        whole = "+".join(each.name for each in LEVELS[level].layers)
        answers = selftest.self_test(worker.ask)
        broken = selftest.broken_promises(answers, replace(worker.claim(), layers=whole))
    alone = {each.name for each in next(x for x in LAYERS if x.name == layer).questions if level in each.alone_at}
    assert alone and alone <= {line.partition(":")[0] for line in broken}


LOOK = """
import gc, json, os, sys, types
def look():
    ours = lambda text: isinstance(text, str) and "trace" in text and "mine" in text
    open_files = []
    for fd in range(2000):
        try: open_files.append((fd, os.fstat(fd).st_mode))
        except OSError: pass
    held = []
    gc.unfreeze()
    for each in gc.get_objects():
        if type(each) is types.FunctionType: names = (each.__module__, each.__code__.co_filename)
        elif issubclass(type(each), type): names = (type.__getattribute__(each, "__module__"),)
        elif type(each) is types.FrameType: names = (each.f_code.co_filename,)
        elif type(each) is types.ModuleType: names = (vars(each).get("__name__"),)
        elif type(each) is dict: names = [key for key in list(each) if key in ("ps1", "first_fd", "init_pid")]
        else: continue
        # the second: all interned strings, each of which is its own value; 3.14 shows that dict too
        if type(each) is dict and (each is vars(sys) or each.get("__subclasses__") == "__subclasses__"): continue
        if any(map(ours, names)) or (type(each) is dict and names):
            held.append(str(names))
    modules = sorted(name for name in sys.modules if ours(name))
    return [[fd for fd, _ in open_files], held, modules, sys.argv, len(sys.orig_argv)]
def frames():
    frame, names = sys._getframe(1), []
    while frame is not None: names.append(frame.f_code.co_filename); frame = frame.f_back
    return names
"""


def test_nothing_of_ours_is_at_the_prompt(replayer):
    shown = printed(replayer, "stock", "print(json.dumps(look()))", "frames()", code=LOOK)
    open_files, held, modules, argv, num_arguments = json.loads(shown[0])
    # the pipes of commands, output and errors, and the empty file that is sys.stdin
    assert open_files == [0, 1, 2, 3]
    assert (held, modules, argv, num_arguments) == ([], [], [""], 1)
    assert re.fullmatch(r"\['<stdin(>|>-\d+|-\d+>)'\]\n", shown[1])  # numbered from 3.13 on


def test_what_it_looks_for_would_be_found(replayer):
    """The same look in ``doc``, whose loop is ours, finds it."""
    shown = printed(replayer, "doc", "print(json.dumps(look()))", "len(frames()) > 1", code=LOOK)
    open_files, held, _, _, _ = json.loads(shown[0])
    assert len(open_files) > 4 and held and shown[1] == "True\n"


@pytest.mark.parametrize("reader", ["doc", "stock", "literal"])
def test_no_reader_has_the_wanted_output_or_the_text(replayer, reader):
    """The words of the output are searched in all that the garbage collector knows, and in what hangs on it."""
    search = """
import gc, sys
def search():
    gc.unfreeze()
    wanted = " ".join(("wanted", "words"))  # not as one text, which would be a constant of this very function
    for each in gc.get_objects():
        texts = list(each.values()) + list(each) if type(each) is dict else each if type(each) in (list, tuple) else ()
        for text in texts:
            if type(text) is str and wanted in text: return "found"
    return "nothing"
"""
    text = ">>> search()\n'wanted words'\n>>> 1\nanother of the wanted words\n"
    session = Session(commands=commands_of(text), program=Program(code=search))
    reading = READERS[reader].read(replayer, session, 0)
    assert [each.out for each in reading.printed] == ["'nothing'\n", "1\n"]
    assert len(differences(session.commands, reading)) == 2


def test_runs_share_nothing(replayer):
    """One run's file, variable and module are not there in the next."""
    leave = "import os, sys; open('left', 'w').close(); sys.left = 1; left = 1"
    for reader in AT_PROMPT:
        printed(replayer, reader, leave)
        assert printed(
            replayer, reader, "import os, sys", "os.listdir(), hasattr(sys, 'left'), 'left' in globals()"
        ) == ["", "([], False, False)\n"]


def test_a_module_of_the_repository_does_not_stand_in_for_one_of_ours(replayer):
    """``numbers`` of the repository raises; our programs inside import the standard library's, before."""
    assert replayer.warm_failures == {}
    assert printed(replayer, "doc", "1 + 1") == ["2\n"]


@pytest.mark.parametrize("reader", AT_PROMPT)
def test_future_statements_of_a_module_hold(replayer, reader):
    assert printed(replayer, reader, "def g(x: missing): pass", "g.__annotations__", module="future") == [
        "",
        "{'x': 'missing'}\n",
    ]


@pytest.mark.parametrize("reader", AT_PROMPT)
@pytest.mark.parametrize(
    ("program", "reason", "evidence"),
    [
        ({"module": "no_such_module"}, "import_error", "No module named"),
        ({"code": "1 / 0"}, "setup_error", "ZeroDivisionError"),
        ({"code": "raise SystemExit('away')"}, "setup_error", "SystemExit: away"),
    ],
)
def test_a_set_up_that_fails_is_a_drop(replayer, reader, program, reason, evidence):
    with pytest.raises(Failed) as failed:
        printed(replayer, reader, "1", **program)
    assert failed.value.drop.reason == reason and evidence in failed.value.drop.evidence


# what is printed under ``doc`` and ``literal`` comes as an answer, which another limit bounds (below)
@pytest.mark.parametrize(
    ("reader", "source", "reason"),
    [
        ("stock", "while True: pass", "cpu"),
        # the same limit of the same jail
        *(
            pytest.param(each, "while True: pass", "cpu", marks=pytest.mark.slow)
            for each in AT_PROMPT
            if each != "stock"
        ),
        *((reader, "import os; os.kill(os.getpid(), 11)", "signal:11") for reader in AT_PROMPT),
        ("stock", "import time; time.sleep(100)", "wall"),
        ("doc", "import time; time.sleep(100)", "wall"),
        ("stock", "print('x' * (1 << 20))", "output_limit"),
        ("stock", "while True: print('x' * 1000)", "output_limit"),
    ],
)
def test_a_run_that_comes_to_a_limit_is_a_drop(replayer, reader, source, reason):
    with pytest.raises(Failed) as failed:
        READERS[reader].read(replayer, Session(commands=commands_of(f">>> {source}\n\n"), program=Program()), 0)
    assert failed.value.drop.reason == reason
    assert printed(replayer, reader, "1") == ["1\n"]  # and the jail goes on


@pytest.mark.parametrize("reader", ["doc", "literal"])
def test_an_answer_without_end_is_bounded(replayer, reader):
    bounded = Limits(wall_seconds=5.0, cpu_seconds=2, memory_bytes=192 << 20, record_bytes=1 << 16)
    before, replayer.limits = replayer.limits, bounded
    try:
        with pytest.raises(Failed) as failed:
            printed(replayer, reader, "print('x' * (1 << 20))")
    finally:
        replayer.limits = before
    assert failed.value.drop.reason == "output_limit"


@pytest.mark.parametrize("reader", AT_PROMPT)
def test_standard_input_is_empty_and_takes_no_command(replayer, reader):
    error = "Traceback (most recent call last):\n    ...\nEOFError: EOF when reading a line\n"
    text = f">>> import sys\n>>> sys.stdin.read()\n''\n>>> input()\n{error}>>> 1\n1\n"
    session = Session(commands=commands_of(text), program=Program())
    assert not differences(session.commands, READERS[reader].read(replayer, session, 0))


@pytest.mark.parametrize(
    ("source", "message", "holds"),
    [
        ("sys.exit(3)", "SystemExit: 3", True),
        ("sys.exit(3)", "SystemExit: 4", False),
        ("sys.exit()", "SystemExit", True),
        ("sys.exit('words')", "SystemExit: words", True),
        ("os._exit(0)", "SystemExit: 3", False),
        ("os._exit(7)", "ValueError: 3", False),
        ("os._exit(1)", "ValueError: no", False),
        ("os._exit(0)", "ValueError", False),
        ("os._exit(1)", "SystemExitLike", False),
        ("os._exit(1)", "SystemExit: words", False),
        ("os._exit(1)", "SystemExit", False),
        ("_ = os.write(1, b'5'), sys.exit(3)", "SystemExit: 3", False),
        ("sys.exit(b'words')", "SystemExit: b'words'", True),
        ("raise SystemExit(True)", "SystemExit: True", True),
        ("raise SystemExit('3')", "SystemExit: 3", True),
        ("raise SystemExit('')", "SystemExit", True),
        ("raise SystemExit(None)", "SystemExit: None", True),
        ("raise SystemExit('two\\nlines')", "SystemExit: two\nlines", True),
        ("raise SystemExit(1, 2)", "SystemExit: (1, 2)", True),
    ],
)
def test_the_exit_status_of_a_session_comes_from_init(replayer, source, message, holds):
    text = f">>> import os, sys\n>>> {source}\nTraceback (most recent call last):\n    ...\n{message}\n"
    session = Session(commands=commands_of(text), program=Program())
    assert (not differences(session.commands, READERS["stock"].read(replayer, session, 0))) == holds


@pytest.mark.parametrize("reader", ["doc", "stock", "literal"])
def test_a_set_up_that_no_message_holds_is_a_failure_of_that_session(replayer, reader):
    code = "#" + "\u20ac" * 12_000_000
    with pytest.raises(Failed) as failed:
        printed(replayer, reader, "1", code=code)
    assert "expected a message of at most" in failed.value.drop.evidence
    assert printed(replayer, reader, "1") == ["1\n"]


KEEPS = """
import sys
HELD = [sys._getframe()]
while HELD[-1].f_back is not None: HELD.append(HELD[-1].f_back)
"""
ASKED = (
    "sorted({name for frame in HELD for name in frame.f_locals} & {'job', 'config', 'programs', 'ps1', 'message'})",
    "[frame.f_code.co_name for frame in HELD if frame.f_code.co_filename == '<stdin>']",
    "any(sys.ps1 in repr(frame.f_locals) for frame in HELD if frame.f_locals is not globals())",
)


@pytest.mark.parametrize("place", ["silent code", "a module", "an import before"])
def test_no_frame_of_ours_that_a_set_up_keeps_holds_anything(request, tmp_path, place):
    """The module and the silent code run below ``open_prompt``, which has descriptors and the program itself."""
    (tmp_path / "keeps.py").write_text(KEEPS)
    tmp_path.chmod(0o755)
    warm = ("keeps",) if place == "an import before" else ()
    made = jail(mounts=(Mount(source=tmp_path, target="/repo"),), sys_path=("/repo",), warm=warm)
    program = {"code": KEEPS} if place == "silent code" else {"module": "keeps"}
    try:
        worker = Worker(made, LIMITS)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with worker:
        assert printed(worker, "stock", *ASKED, **program) == ["[]\n", "[]\n", "False\n"]
        found = printed(worker, "stock", "[frame.f_code.co_name for frame in HELD][-3:]", **program)[0]
    if place != "an import before":
        assert found.endswith("'set_up', 'open_prompt']\n")  # what is below them is the interpreter itself


def test_a_set_up_meets_no_prompt(replayer):
    """It runs before the interpreter has the secrets, so that it can't print one."""
    names = "[name for name in vars(sys.modules['__main__']) if name[:2] != '__']"
    code = f"import sys\nMET = hasattr(sys, 'ps1'), {names}\n"
    assert printed(replayer, "stock", "MET", code=code) == ["(False, ['sys'])\n"]
