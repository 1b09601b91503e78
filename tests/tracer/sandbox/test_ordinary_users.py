"""Levels 3 and 2 for ordinary users with ids of their own, however they keep their files.

Where root runs this, the supervisor is a process with other ids; else it has the ids of who runs the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from strangers import STRANGER, public_python
from trace_mine.tracer.sandbox import identity

PROJECT = Path(__file__).parents[3]

SUPERVISE = """
import json, os, subprocess, sys
from pathlib import Path
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker
level, repository = int(sys.argv[1]), Path(sys.argv[2])
jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("private",))
try:
    worker = Worker(jail, Limits(), minimum_level=level, maximum_level=level)
except SandboxUnavailable as error:
    print(json.dumps({"unavailable": str(error)})); sys.exit()
source = '''
import os, private, json
import threading
thread = threading.Thread(target=open("note", "w").write, args=("x",)); thread.start(); thread.join()
os.mkdir("locked", 0o300); open("locked/file", "w").write("x")
print(json.dumps([private.value, os.listdir("."), os.getgroups()]))
'''
sleeping = [subprocess.Popen(["/bin/sleep", "100"]) for _ in range(int(sys.argv[3]))]
with worker:
    outcomes = [worker.run(PlainJob(source=source)) for _ in range(2)]
    for other in sleeping: other.kill()
    print(json.dumps({
        "ids": [os.getuid(), os.getgid()], "level": worker.level, "layers": worker.layers, "restarts": worker.restarts,
        "warm_failures": worker.warm_failures,
        "runs": [[run.status, run.integrity, run.stdout.decode()] for run in outcomes],
    }))
"""


def supervise(level: int, home: Path, python: str, path: Path, num_others: int = 0, **given: Any) -> dict[str, Any]:
    """The report of a supervisor whose files lie in ``home``, which is its own; it starts other processes besides."""
    repository = home / "repository"
    repository.mkdir(mode=0o700)
    (repository / "private.py").write_text("value = 'imported'\n")
    (repository / "private.py").chmod(0o600)
    user: dict[str, Any] = STRANGER | given if os.geteuid() == 0 else given
    if os.geteuid() == 0:
        for folder, _, files in os.walk(home):
            for place in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(place, user["user"], user["group"], follow_symlinks=False)
    temporary = home / "temporary"
    temporary.mkdir()
    if os.geteuid() == 0:
        os.chown(temporary, user["user"], user["group"])
    environment = {"PYTHONPATH": str(path), "TMPDIR": str(temporary), "HOME": str(home)}
    command = [python, "-B", "-c", SUPERVISE, str(level), str(repository), str(num_others)]
    done = subprocess.run(command, **user, cwd="/", env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    if "unavailable" in report:
        pytest.skip(f"level {level} does not work here: {report['unavailable']}")
    assert list(temporary.iterdir()) == [], "the scratch folder is gone, whatever a run left in it"
    return report


def holds(report: dict[str, Any], level: int) -> None:
    assert report["level"] == level
    assert report["layers"].startswith("namespaces+") == (level == 3)
    assert report["warm_failures"] == {}
    for status, integrity, told in report["runs"]:
        assert (status, integrity) == ("ok", "clean"), report
        value, listing, groups = json.loads(told)
        assert (value, sorted(listing)) == ("imported", ["locked", "note"]), "each run finds its scratch empty"
        assert groups == [], "what groups the user is in is the host's business"
    assert report["restarts"] == 0
    if os.geteuid() == 0:
        assert report["ids"] != [0, 0]


@pytest.fixture
def home():
    """A folder that its owner alone may enter, in one that all may: pytest's own lie below a closed one of root's."""
    with tempfile.TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        os.chmod(folder, 0o700)
        yield Path(folder)


@pytest.fixture
def python() -> str:
    return public_python() if os.geteuid() == 0 else sys.executable


KINDS: dict[str, dict[str, Any]] = {
    "ids of its own": {},
    "in no other group": {"extra_groups": []},
    "files for itself alone": {"umask": 0o077},
    "in nobody's group": {"group": 65534},
    "nobody": {"user": 65534, "group": 65534, "extra_groups": []},
}


@pytest.mark.parametrize(
    ("level", "kind"),
    [
        # the groups of a user matter to the user namespace, which level 2 does not have
        pytest.param(level, kind, marks=[pytest.mark.slow] * (level == 2 and "group" in kind))
        for level in (3, 2)
        for kind in KINDS
    ],
)
def test_a_level_works_for_an_ordinary_user(level, kind, home, python):
    options = KINDS[kind]
    if os.geteuid() != 0 and options.keys() - {"umask"}:
        pytest.skip("does not apply: only root may become others")
    holds(supervise(level, home, python, PROJECT, **options), level)


@pytest.mark.parametrize("level", [3, 2])
def test_all_may_lie_in_a_home_that_is_closed_to_others(level, home, python):
    """The interpreter and our own code too, as where they were installed there by their user with umask 077."""
    copy = home / "bin" / "python3"
    copy.parent.mkdir()
    shutil.copy(os.path.realpath(python), copy)
    code = home / "code"
    others = shutil.ignore_patterns("corpus", "tokenizer", "train", "eval", "__pycache__")
    shutil.copytree(PROJECT / "trace_mine", code / "trace_mine", ignore=others)
    for folder, _, files in os.walk(code):
        os.chmod(folder, 0o700)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o600)
    holds(supervise(level, home, str(copy), code, umask=0o077), level)


@pytest.mark.parametrize("level", [3, 2])
def test_what_else_the_user_runs_leaves_room_for_a_run(level, home, python):
    """RLIMIT_NPROC counts the user's other processes too; these are started when the jail is there."""
    holds(supervise(level, home, python, PROJECT, num_others=100), level)


@pytest.mark.parametrize(
    ("uid", "namespaces", "version", "counted"),
    [
        (7, False, (6, 1), 0),
        (None, True, (5, 14), 0),
        (None, True, (5, 13), 3 + identity.SHARED_TASKS),
        (None, False, (6, 1), 3 + identity.SHARED_TASKS),
    ],
)
def test_whose_tasks_are_counted(monkeypatch, uid, namespaces, version, counted):
    monkeypatch.setattr(identity, "tasks_of_this_user", lambda: 3)
    monkeypatch.setattr(identity, "_kernel_version", lambda: version)
    assert identity.tasks_beside(uid, namespaces=namespaces) == counted


def test_the_kernels_version(monkeypatch):
    release = ".".join(map(str, identity._kernel_version()))
    assert os.uname().release.startswith(release)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="unknown"))
    assert identity._kernel_version() == (0, 0)
