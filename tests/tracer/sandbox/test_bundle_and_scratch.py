"""The bundle stands alone; scratch folders are emptied and measured whatever a run left in them."""

from __future__ import annotations

import ast
import builtins
import marshal
import os
import signal
import socket
import subprocess
import sys

import pytest

from trace_mine.tracer.sandbox.bundle import BOOTSTRAP, START_SECONDS, bundle_bytes, bundle_sources, imports
from trace_mine.tracer.sandbox.bundle_cache import MAX_KEPT, read_cached, write_cached
from trace_mine.tracer.sandbox.loader import Bundle
from trace_mine.tracer.sandbox.private_files import cache_folder
from trace_mine.tracer.sandbox.scratch import empty_folder


def test_the_bundle_holds_what_it_imports():
    sources = bundle_sources()
    assert {
        "trace_mine.tracer.sandbox.init",
        "trace_mine.tracer.inside.channel",
        "trace_mine.tracer.inside.jobs.plain",
        "trace_mine.tracer.sandbox.wire",
    } <= set(sources)
    assert not {"trace_mine.tracer.sandbox.worker", "trace_mine.tracer.sandbox.jail"} & set(sources)
    bundle = Bundle(sources)
    for name in sources:
        if (
            name != "trace_mine.tracer.sandbox.init"
        ):  # init and what it imports need Linux; they run in every other test
            bundle.load(name)


def test_imports_are_those_of_the_syntax_trees():
    """The bundle reads them by a pattern, since syntax trees of all its files take a third of a second."""
    for name, source in bundle_sources().items():
        wanted = [
            (node.module, {alias.name for alias in node.names})
            for node in sorted(ast.walk(ast.parse(source)), key=lambda node: getattr(node, "lineno", 0))
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "trace_mine"
        ]
        assert imports(source) == wanted, name


@pytest.fixture
def package(tmp_path):
    """A folder as of the package, with two modules."""
    (tmp_path / "tracer" / "sandbox").mkdir(parents=True)
    (tmp_path / "tracer" / "inside").mkdir()
    for name in ("sandbox/a", "inside/b"):
        (tmp_path / "tracer" / f"{name}.py").write_text("x = 1\n")
    return tmp_path


NAMES = ("trace_mine.tracer.sandbox.a", "trace_mine.tracer.inside.b")


def test_a_bundle_is_kept_while_its_files_are_as_they_were(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")

    def after(change):
        write_cached(package, folder, NAMES, b"bundle")
        assert read_cached(package, folder) == b"bundle"
        change()
        return read_cached(package, folder)

    assert after(lambda: None) == b"bundle"
    (kept,) = folder.iterdir()
    assert after(lambda: (package / "tracer" / "sandbox" / "a.py").write_text("x = 22\n")) is None
    assert after(lambda: (package / "tracer" / "inside" / "new.py").write_text("")) is None
    for data in (b"", b"no marshal", marshal.dumps(3), marshal.dumps(((), 2)), kept.read_bytes()[:-3]):
        assert after(lambda data=data: kept.write_bytes(data)) is None
    assert after(lambda: kept.chmod(0o620)) is None  # somebody else may have written it
    kept.unlink()
    os.mkfifo(kept)
    assert read_cached(package, folder) is None
    assert after(lambda: (package / "tracer" / "sandbox" / "a.py").unlink()) is None


def test_old_bundles_go_and_a_link_is_not_followed(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    for number in range(MAX_KEPT + 3):
        (folder / f"bundle-old-{number}").write_bytes(b"")
        os.utime(folder / f"bundle-old-{number}", (number, number))
    write_cached(package, folder, NAMES, b"bundle")
    assert len(list(folder.iterdir())) == MAX_KEPT + 1 and not (folder / "bundle-old-2").exists()
    (kept,) = [path for path in folder.iterdir() if "old" not in path.name]
    elsewhere = folder / "elsewhere"
    kept.rename(elsewhere)
    kept.symlink_to(elsewhere)
    assert read_cached(package, folder) is None


def test_the_folder_of_bundles_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    assert folder == tmp_path / "trace-mine" and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert cache_folder() is None
    folder.rmdir()
    (tmp_path / "other").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "other")
    assert cache_folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() is None


def test_the_bytes_are_the_sources_or_their_code():
    sources, compiled = marshal.loads(bundle_bytes(with_code=True))
    assert set(compiled) == set(sources) == set(bundle_sources()) and set(sources.values()) == {""}
    assert {marshal.loads(code).co_filename for code in compiled.values()} == {f"<{name}>" for name in sources}
    assert marshal.loads(bundle_bytes(with_code=False)) == (bundle_sources(), {})


@pytest.mark.parametrize("sent", [b"", (1 << 40).to_bytes(8, "big") + b"x"], ids=["nothing", "a part"])
def test_a_start_that_never_comes_ends(sent):
    """The socket stays open, as where a fork of a supervisor that died holds it; SIGALRM may be ignored and blocked."""
    program = BOOTSTRAP.replace(f"START_SECONDS = {START_SECONDS}", "START_SECONDS = 1")
    ours, theirs = socket.socketpair()
    begin = "import signal, os, sys\nsignal.signal(14, signal.SIG_IGN)\nsignal.pthread_sigmask(0, {14})\n"
    begin += "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], *sys.argv[2:]])"
    with ours, theirs:
        ours.sendall(sent)
        process = subprocess.Popen(
            [sys.executable, "-c", begin, program, str(theirs.fileno()), "0", "random"], pass_fds=(theirs.fileno(),)
        )
        assert process.wait(60) == -signal.SIGALRM


def test_bundled_modules_are_private():
    bundle = Bundle(
        {
            "trace_mine.tracer.inside.example": "def measure(x):\n    return len(x)\n",
            "trace_mine.tracer.other": "from trace_mine.tracer.inside import example",
        }
    )
    before = sys.modules.get("trace_mine.tracer.inside.example")
    module = bundle.load("trace_mine.tracer.inside.example")
    assert sys.modules.get("trace_mine.tracer.inside.example") is before
    assert bundle.load("trace_mine.tracer.other").example is module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "len", lambda x: -1)
        assert module.measure("abc") == 3
    with pytest.raises(ImportError, match="absent"):
        Bundle({"trace_mine.x": "from trace_mine.absent import name"}).load("trace_mine.x")
    with pytest.raises(ImportError, match="plain imports"):
        Bundle({"trace_mine.x": "import trace_mine.y"}).load("trace_mine.x")


def test_dataclasses_work_in_the_bundle():
    source = """
from __future__ import annotations
import typing
from dataclasses import dataclass
@dataclass(slots=True)
class P:
    x: int = 1
"""
    assert Bundle({"trace_mine.p": source}).load("trace_mine.p").P().x == 1


def test_empty_folder(tmp_path):
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (scratch / "file").write_text("x")
    (scratch / "moved-1").mkdir()
    (scratch / "link").symlink_to(outside)
    (scratch / "dangling").symlink_to("nowhere")
    os.mkfifo(scratch / "fifo")
    make_deep(scratch, 1200)
    (scratch / "locked").mkdir()
    (scratch / "locked" / "inner").mkdir()
    (scratch / "locked" / "inner").chmod(0)
    (scratch / "locked").chmod(0)
    empty_folder(str(scratch))
    assert list(scratch.iterdir()) == []
    assert (outside / "kept").read_text() == "kept"


def make_deep(folder, depth: int) -> None:
    source = f"""
import os
os.chdir({str(folder)!r})
for _ in range({depth}):
    os.mkdir('d'); os.chdir('d')
open('end', 'w').close()
"""
    subprocess.run([sys.executable, "-c", source], check=True)
