"""The bundle stands alone; scratch folders are emptied and measured whatever a run left in them."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest

from trace_mine.tracer.sandbox.bundle import bundle_sources
from trace_mine.tracer.sandbox.loader import Bundle
from trace_mine.tracer.sandbox.scratch import MAX_DEPTH, MAX_FILES, empty_folder, folder_exceeds


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


def test_folder_exceeds(tmp_path):
    assert not folder_exceeds(str(tmp_path), 1)
    (tmp_path / "file").write_bytes(bytes(100_000))
    assert folder_exceeds(str(tmp_path), 99_999)
    assert not folder_exceeds(str(tmp_path), 200_000)
    assert not folder_exceeds(str(tmp_path / "absent"), 1)


def test_folder_exceeds_by_depth_and_number(tmp_path):
    deep, wide = tmp_path / "deep", tmp_path / "wide"
    deep.mkdir()
    wide.mkdir()
    make_deep(deep, MAX_DEPTH + 2)
    assert folder_exceeds(str(deep), 1 << 30)
    for number in range(MAX_FILES + 1):
        (wide / str(number)).symlink_to("x")
    assert folder_exceeds(str(wide), 1 << 30)


def test_folder_exceeds_to_the_byte(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100_000))
    used = (tmp_path / "file").stat().st_blocks * 512
    assert not folder_exceeds(str(tmp_path), used)
    assert folder_exceeds(str(tmp_path), used - 1)


def test_folder_exceeds_follows_no_links(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "file").write_bytes(bytes(100_000))
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "file")
    assert not folder_exceeds(str(inside), 50_000)


def test_depth_and_number_alone(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    make_deep(deep, MAX_DEPTH - 1)
    assert not folder_exceeds(str(deep), 1 << 30)
    make_deep(deep / "/".join("d" * (MAX_DEPTH - 1)), 2)
    assert folder_exceeds(str(deep), 1 << 30)
