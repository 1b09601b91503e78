"""What an import leaves in a warm zygote runs in no fork of it that it would not run in, in a fresh interpreter."""

from __future__ import annotations

import pytest

from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.session import Session, commands_of
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker
from trace_mine.tracer.schema import Drop, Piece, Snippet
from trace_mine.tracer.session import Tracer, TracerConfig

LIE = """
import builtins, os, sys
real = print
def lie(*ignored):
    builtins.print = lambda *values, **rest: real(*[5 if value == 4 else value for value in values], **rest)
"""
LIARS = {
    "at a fork, in the child": "os.register_at_fork(after_in_child=lie)",
    "at a fork, before it": "os.register_at_fork(before=lie, after_in_parent=lie)",
    "at a fork, by another copy of posix": """
import importlib.util
spec = importlib.util.find_spec("posix")
posix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(posix)
posix.register_at_fork(after_in_child=lie)
""",
    "at the fork of a module of the standard library": """
import threading
threading._after_fork.__code__ = (lambda: __import__("kept").lie()).__code__
sys.modules["kept"] = sys.modules[__name__]
""",
    "at the fork of a thread's process": """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
os.register_at_fork(after_in_child=lie)
""",
    "at a collection": """
import gc
gc.collect()
gc.callbacks.append(lie)
""",
    "at the end of an object": """
class Ends:
    def __del__(self): lie()
import gc
gc.disable()
held = Ends()
held.held = held
del held
""",
    "at the end of a stream": """
class Stream:
    def __getattr__(self, name): return getattr(sys.__stdout__, name)
    def __del__(self): lie()
sys.stdout = Stream()
""",
}


@pytest.fixture(scope="module", params=LIARS)
def liar(request, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    (repository / "liar.py").write_text(LIE + LIARS[request.param])
    repository.chmod(0o755)
    return repository


def test_a_package_that_acts_in_forks_alone_deceives_no_reader(liar):
    made = Jail(
        zygote="replayer",
        pinned_clock=False,
        mounts=(Mount(source=liar, target="/repo"),),
        sys_path=("/repo",),
        warm=("liar",),
    )
    session = Session(commands=commands_of(">>> print(2 + 2)\n4\n"), program=Program(module="liar"))
    try:
        worker = Worker(made, Limits())
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with worker:
        assert worker.warm_failures == {}
        for name in ("doc", "stock", "literal"):
            assert READERS[name].read(worker, session, 0).printed[0].out == "4\n", name


def test_it_does_not_deceive_the_recorder(liar):
    snippet = Snippet(
        kind="doctest",
        name="f",
        path="liar.py",
        line=1,
        end_line=2,
        pieces=(Piece(source="print(2 + 2)\n", line=1),),
        module="liar",
    )
    try:
        tracer = Tracer(TracerConfig(repository=liar, sys_path=(".",), warm=("liar",)))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with tracer:
        made = tracer.trace(snippet)
    assert not isinstance(made, Drop), made
    assert [step.output for step in made.steps] == ["4"], made.text


KNOWS_FORKS = """
import os
HERE = os.getpid()
def f(): return 4 if os.getpid() == HERE else 5
def g(): return 6
"""


def example(source: str, line: int = 1) -> Snippet:
    piece = Piece(source=source, line=line)
    return Snippet(kind="doctest", name="f", path="knows.py", line=1, end_line=2, pieces=(piece,), module="knows")


def test_a_package_that_knows_a_fork_by_its_process_id_is_audited_from_its_first_row_on(tmp_path):
    """Its import is all that it takes, and no fork can hide it: a fresh interpreter has to read."""
    (tmp_path / "knows.py").write_text(KNOWS_FORKS)
    tmp_path.chmod(0o755)
    try:
        tracer = Tracer(TracerConfig(repository=tmp_path, sys_path=(".",), warm=("knows",), follow=0))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with tracer:
        made = tracer.trace(example("print(f())\n"))
        assert isinstance(made, Drop) and made.reason == "replay_mismatch", made
        assert "fresh" in made.evidence
        for number in range(2):  # what is true is a row, and read by ``fresh``
            after = tracer.trace(example(f"print(g(), {number})\n"))
            assert not isinstance(after, Drop) and "fresh" in after.verification.printed, after
        tracer.begin_unit()
        audited = []
        for number in range(3):
            honest = tracer.trace(example(f"print(g(), {number})\n"))
            assert not isinstance(honest, Drop), honest
            audited.append("fresh" in honest.verification.printed)
    assert audited[0] and not all(audited)
