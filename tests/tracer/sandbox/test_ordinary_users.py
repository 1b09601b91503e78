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
from typing import Any

import pytest

from strangers import STRANGER, public_python

PROJECT = Path(__file__).parents[3]

SUPERVISE = """
import json, os, sys
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
open("note", "w").write("x")
os.mkdir("locked", 0o300); open("locked/file", "w").write("x")
print(json.dumps([private.value, os.listdir("."), os.getgroups()]))
'''
with worker:
    outcomes = [worker.run(PlainJob(source=source)) for _ in range(2)]
    print(json.dumps({
        "ids": [os.getuid(), os.getgid()], "level": worker.level, "layers": worker.layers, "restarts": worker.restarts,
        "warm_failures": worker.warm_failures,
        "runs": [[run.status, run.integrity, run.stdout.decode()] for run in outcomes],
    }))
"""


def supervise(level: int, home: Path, python: str, path: Path, **given: Any) -> dict[str, Any]:
    """The report of a supervisor whose files lie in ``home``, which is its own."""
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
    command = [python, "-B", "-c", SUPERVISE, str(level), str(repository)]
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [3, 2])
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
