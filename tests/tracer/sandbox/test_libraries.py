"""Shared libraries are found without loading any, and hostile files neither lead astray nor stop the search."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.sandbox import libraries
from trace_mine.tracer.sandbox.jail import probe_interpreter
from trace_mine.tracer.sandbox.libraries import (
    LibraryFinder,
    extension_modules,
    loader_cache,
    needed_libraries,
    read_elf,
)

LOADED = """
import importlib, os, sys
for folder in sys.path:
    for name in sorted(os.listdir(folder)) if folder.endswith("lib-dynload") else ():
        try:
            importlib.import_module(name.partition(".")[0])
        except ImportError:
            pass
for line in open("/proc/self/maps"):
    path = line.split(maxsplit=5)[-1].strip()
    if ".so" in path and "lib-dynload" not in path:
        print(path)
"""
X86_64 = 62


def elf(needed: list[str], search: str = "", machine: int = X86_64) -> bytes:
    """A library that needs others: a header, two segments, a dynamic section and its texts."""
    texts, places = b"\0", []
    for name in [*needed, search]:
        places.append(len(texts))
        texts += name.encode() + b"\0"
    tags = [(1, place) for place in places[: len(needed)]] + ([(29, places[-1])] if search else [])
    at = 64 + 2 * 56
    tags += [(5, at + 16 * (len(tags) + 2)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    size = at + len(dynamic) + len(texts)
    header = struct.pack("<4sBB10xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    segments = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, size, size, 0)
    segments += struct.pack("<IIQQQQQQ", 2, 4, at, at, at, len(dynamic), len(dynamic), 0)
    return header + segments + dynamic + texts


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_all_that_the_loader_loads_is_found():
    """What an interpreter has mapped, once it has imported all its extension modules, is the oracle."""
    installation = probe_interpreter(sys.executable)
    command = [installation.executable, "-I", "-S", "-c", LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": "/"})
    loaded = {os.path.realpath(path) for path in done.stdout.split("\n") if path}
    own_folders = (f"{installation.prefix}/lib",)
    found = needed_libraries(installation.executable, installation.search[1:], (), own_folders)
    assert loaded <= set(found.values())
    assert len(loaded) > 3
    assert all("/" not in name for name in found)


def test_names_folders_and_loaders_are_read(tmp_path):
    path = write(tmp_path / "one.so", elf(["libm.so.6", "libx.so"], "$ORIGIN/../libs:/opt/lib"))
    assert read_elf(path) == libraries.ElfFile(
        machine=X86_64, needed=("libm.so.6", "libx.so"), search=("$ORIGIN/../libs", "/opt/lib"), loader=""
    )
    assert read_elf(sys.executable).loader.startswith("/lib")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_are_none_or_a_record(tmp_path_factory, data):
    whole = bytearray(elf(["libm.so.6", "libx.so"], "$ORIGIN"))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    path = write(tmp_path_factory.mktemp("elf") / "damaged.so", bytes(whole[:cut]))
    found = read_elf(path)
    assert found is None or all("/" not in name and len(name) < 256 for name in found.needed)
    LibraryFinder(X86_64, ()).closure([path], trusted=False)


def test_what_is_no_file_is_none(tmp_path):
    os.mkfifo(tmp_path / "fifo.so")
    os.symlink("/dev/zero", tmp_path / "endless.so")
    os.symlink("loop.so", tmp_path / "loop.so")
    (tmp_path / "folder.so").mkdir()
    for name in ("fifo.so", "endless.so", "loop.so", "folder.so", "absent.so"):
        assert read_elf(str(tmp_path / name)) is None
    assert sorted(os.path.basename(path) for path in extension_modules([str(tmp_path)])) == []


def test_a_package_can_not_have_any_file_shown(tmp_path):
    """Only what lies where the system's loader looks; names with folders are no names."""
    secret = write(tmp_path / "secret", elf([]))
    hostile = write(tmp_path / "hostile.so", elf(["secret", "../secret", secret, "libm.so.6"], f"{tmp_path}:$ORIGIN"))
    finder = LibraryFinder(read_elf(sys.executable).machine, ())
    found = finder.closure([hostile], trusted=False)
    assert "libm.so.6" in found and "libc.so.6" in found
    assert not [place for place in found.values() if str(tmp_path) in place]
    assert finder.closure([hostile], trusted=True)["secret"] == secret, "an interpreter's own folders are looked in"


def test_libraries_of_other_machines_are_passed_over(tmp_path):
    other = write(tmp_path / "libother.so", elf([], machine=183))
    user = write(tmp_path / "user.so", elf(["libother.so"], "$ORIGIN"))
    assert LibraryFinder(X86_64, ()).closure([user], trusted=True) == {}
    assert LibraryFinder(183, ()).find("libother.so", [str(tmp_path)]) == other


def test_many_files_end_the_walk(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "MAX_FILES", 3)
    for index in range(9):
        write(tmp_path / f"m{index}.so", elf([]))
    assert len(list(extension_modules([str(tmp_path)]))) == 3


@pytest.mark.parametrize("data", [b"", b"glibc-ld.so.cache1.1", b"glibc-ld.so.cache1.1" + b"\xff" * 40])
def test_a_damaged_cache_is_empty(tmp_path, data):
    assert loader_cache(write(tmp_path / "cache", data)) in ({}, {"": [""]})
