"""The interpreter stands at a neutral path in a jail of level 3, whichever starts on the host."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, start_up
from trace_mine.tracer.sandbox.interpreter_place import host_place, neutral_place
from trace_mine.tracer.sandbox.jail import probe_interpreter
from trace_mine.tracer.schema import Drop, Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer

EXTENSIONS = "_ssl _sqlite3 _ctypes _decimal _lzma _bz2 zlib _hashlib pyexpat _uuid math _socket select"
ASK = f"""
import importlib, json, os, sys, sysconfig
found = {{}}
for name in {EXTENSIONS!r}.split():
    try:
        importlib.import_module(name)
    except ImportError as error:
        found[name] = str(error)
try:
    os.listdir(os.path.dirname(sys.executable))
    listed = True
except PermissionError:
    listed = False
print(json.dumps({{
    "missing": found, "version": list(sys.version_info[:2]),
    "paths": [sys.executable, sys.prefix, os.__file__, *sys.path],
    "build": [str(value) for value in sysconfig.get_config_vars().values()],
    "library": sorted(os.listdir(os.path.dirname(os.__file__))), "listed": listed,
    "code": json.loads.__code__.co_filename,
    "site": os.listdir(os.path.dirname(os.__file__) + "/site-packages")
    if os.path.isdir(os.path.dirname(os.__file__) + "/site-packages") else [],
}}))
"""


def answers(python: str) -> dict[str, object]:
    try:
        with Worker(Jail(python=python, interpreter="/neutral"), Limits(), minimum_level=3) as worker:
            outcome = worker.run(PlainJob(source=ASK))
    except SandboxUnavailable as error:
        pytest.skip(f"level 3 does not work here: {error}")
    assert outcome.status == "ok", outcome.stderr
    return json.loads(outcome.stdout)


def test_an_interpreter_at_a_neutral_path(interpreter):
    found = answers(interpreter)
    major, minor = found["version"]
    assert found["paths"][:3] == [
        f"/neutral/bin/python{major}.{minor}", "/neutral", f"/neutral/lib/python{major}.{minor}/os.py"
    ]  # fmt: skip
    assert all(path.startswith("/neutral/") for path in found["paths"][3:])
    assert found["code"] == f"/neutral/lib/python{major}.{minor}/json/__init__.py"
    on_host = set(outside(interpreter))
    assert found["missing"].keys() <= on_host, "an extension module finds no library in the jail"
    prefix = probe_interpreter(interpreter).prefix
    assert not [value for value in found["build"] if prefix in value and prefix != "/usr"]
    assert not [name for name in found["library"] if name.startswith("config-") and found["listed"]]
    assert found["site"] == []


def outside(python: str) -> list[str]:
    """The extension modules that the interpreter can't import on the host either."""
    source = f"""
import importlib
for name in {EXTENSIONS!r}.split():
    try: importlib.import_module(name)
    except ImportError: print(name)
"""
    return subprocess.run([python, "-I", "-S", "-c", source], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("python", ["/usr/bin/python3"])
def test_a_distributions_interpreter(python):
    try:
        probe_interpreter(python)
    except ValueError as error:
        pytest.skip(str(error))
    test_an_interpreter_at_a_neutral_path(python)


@pytest.mark.parametrize("copies", [False, True])
def test_a_virtual_environment(tmp_path, copies):
    options = ["--copies"] if copies else []
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", *options, str(tmp_path / "env")], check=True)
    tmp_path.chmod(0o755)
    test_an_interpreter_at_a_neutral_path(str(tmp_path / "env" / "bin" / "python"))


def test_what_can_not_be_moved_has_its_own_path():
    installation = probe_interpreter(sys.executable)
    assert neutral_place(installation, "/neutral", ()) is not None
    for wrong in ({"library": "/elsewhere/lib/python3.11"}, {"search": (*installation.search, "/usr/share")}):
        assert neutral_place(dataclasses.replace(installation, **wrong), "/neutral", ()) is None
    assert neutral_place(dataclasses.replace(installation, executable=__file__), "/neutral", ()) is None
    place = host_place(installation)
    assert place.executable == installation.executable and place.library == installation.library


def test_an_interpreter_that_does_not_start_there_has_its_own_path(monkeypatch):
    """Level 3 all the same; and a session that shows a path of the host gives no row."""

    def broken(*arguments):
        place = neutral_place(*arguments)
        return dataclasses.replace(place, libraries=tuple(pair for pair in place.libraries if "libc." not in pair[0]))

    monkeypatch.setattr(start_up, "neutral_place", broken)
    monkeypatch.setattr(start_up, "_immovable", set())
    try:
        tracer = Tracer(TracerConfig(minimum_level=3))
    except SandboxUnavailable as error:
        pytest.skip(f"level 3 does not work here: {error}")
    with tracer:
        assert start_up._immovable == {os.path.realpath(sys.executable)}
        shows = tracer.trace(script_snippet("import os\nprint(os.__file__)\n", "script.py", ()))
        assert isinstance(shows, Drop) and shows.reason == "shows_path"
        assert os.path.dirname(os.__file__) not in shows.evidence
        assert isinstance(tracer.trace(script_snippet("x = 1\nprint(x)\n", "script.py", ())), Trace)
