"""The level of the sandbox: told by each command that runs snippets, and forced on demand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import no_skips
import trace_mine
from strangers import public_python
from trace_mine.corpus.mined.options import MineOptions
from trace_mine.tracer.__main__ import main
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.differences import REAL_PATHS_HIDE_REFUSALS
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.sandbox import worker as worker_module
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer

LINE = re.compile(r"^sandbox: level ([0-9]) \(([a-z0-9+]+)\)(: NOT a sandbox)?$", re.MULTILINE)
DOCTEST = 'def double(n):\n    """\n    >>> double(2)\n    4\n    """\n    return 2 * n\n'


def offered(level: int) -> None:
    if not no_skips.offers(level):
        pytest.skip(f"level {level} does not work here: the kernel does not offer what it needs")


def command(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text("x = 1\nprint(x)\n")
    return path


@pytest.mark.parametrize("level", [3, 2])
def test_a_run_tells_its_level_and_takes_one(script, level):
    offered(level)
    done = command("trace_mine.tracer", "--sandbox-level", level, script)
    assert [found[1] for found in LINE.finditer(done.stderr)] == [str(level)]
    assert "sandbox" not in done.stdout
    as_json = command("trace_mine.tracer", "--sandbox-level", level, "--json", script)
    sandbox = json.loads(as_json.stdout)["sandbox"]
    assert sandbox["level"] == level and sandbox["layers"].startswith("namespaces+") == (level == 3)
    assert "sandbox" not in as_json.stderr, "the object says it"


def test_without_the_option_the_strongest_is_taken(script):
    offered(3)
    assert LINE.findall(command("trace_mine.tracer", script).stderr)[0][0] == "3"


def test_level_0_says_what_it_is(script):
    # root's jail has a user of its own, which can't read an interpreter in root's home
    python = public_python() if os.geteuid() == 0 else sys.executable
    options = ("--sandbox-level", 0, "--allow-unsafe-sandbox", "--python", python)
    done = command("trace_mine.tracer", *options, script)
    assert LINE.findall(done.stderr) == [("0", "rlimits", ": NOT a sandbox")]


@pytest.mark.parametrize("level", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_mining_tells_its_level_and_takes_one(tmp_path, level):
    offered(level)
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "doubling.py").write_text(DOCTEST)
    arguments = (
        tmp_path / "repo",
        "--out",
        tmp_path / "out",
        "--jobs",
        1,
        "--sandbox-level",
        level,
        "--environment",
        "none",
    )
    done = command("trace_mine.corpus", *arguments, "--sources", "doctest")
    assert [found[1] for found in LINE.finditer(done.stderr)] == [str(level)]
    assert not LINE.search(done.stdout)
    rows = trace_mine.load(tmp_path / "out")["train"]
    assert {row["sandbox_level"] for row in rows} == {level}


def test_a_task_that_runs_programs_tells_its_level():
    offered(2)
    arguments = ("programs", "--show", 1, "--commands", 3, "--spacing", 1)
    assert LINE.search(command("trace_mine.corpus.synthetic", *arguments).stderr)
    others = command("trace_mine.corpus.synthetic", "permutations", "--show", 1, "--commands", 3)
    assert not LINE.search(others.stderr)


def test_from_python():
    offered(2)
    assert trace_mine.run("x = 1\n", sandbox_level=2).sandbox["level"] == 2


def test_a_level_that_is_not_to_be_had_is_refused_and_not_weakened(monkeypatch, capsys, script):
    def refuse(level, *arguments, **options):
        raise SandboxUnavailable(f"unshare: Operation not permitted at level {level.number}")

    monkeypatch.setattr(worker_module, "start_jail", refuse)
    assert main(["--sandbox-level", "3", str(script)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert re.search(r"expected a sandbox of level 3.*got none.*level 3: unshare: Operation not permitted", told.err)
    assert "level 2:" not in told.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sandbox-level", "1"], "level 3, 2 or 0, got 1"),
        (["--sandbox-level", "4"], "level 3, 2 or 0, got 4"),
        (["--sandbox-level", "0"], "--allow-unsafe-sandbox"),
    ],
)
def test_wrong_levels_are_wrong_usage(capsys, script, arguments, told):
    assert main([*arguments, str(script)]) == 2
    assert told in capsys.readouterr().err


def test_wrong_levels_from_python():
    with pytest.raises(ValueError, match="level 3, 2 or 0, got 1"):
        trace_mine.TracerConfig(sandbox_level=1)
    with pytest.raises(ValueError, match="confines nothing"):
        trace_mine.run("x = 1\n", sandbox_level=0)
    with pytest.raises(ValueError, match="confines nothing"):
        MineOptions(sandbox_level=0)
    assert trace_mine.TracerConfig(sandbox_level=0, allow_unsafe=True).worker_levels["maximum_level"] == 0


ANSWERED_OTHERWISE = {
    "a link of its own": "os.symlink('target.txt', 'link.txt')\nprint(os.path.basename(os.path.realpath('link.txt')))",
    "where a link leads": "print(len(os.readlink('/proc/self/exe')) > 0)",
    "no link": "print(os.readlink('target.txt'))",
    "a real path": "print(os.path.realpath('/proc/self/exe')[:0])",
    "attributes": "os.setxattr('target.txt', 'user.x', b'1')\nprint(os.getxattr('target.txt', 'user.x'))",
    "times": "os.utime('target.txt', (0, 0))\nprint(1)",
}


@pytest.fixture(scope="module")
def of_level_2():
    offered(2)
    with Tracer(TracerConfig(sandbox_level=2)) as tracer:
        yield tracer


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(
            does,
            id=name,
            # the library itself swallows the refusal, so that nothing of it is in the session
            marks=pytest.mark.xfail(
                REAL_PATHS_HIDE_REFUSALS.holds and name == "a real path", reason="see docs/sandbox.md"
            ),
        )
        for name, does in ANSWERED_OTHERWISE.items()
    ],
)
def test_an_answer_of_level_2_is_no_row(of_level_2, does):
    """A file system of Linux gives others: what level 2 refuses or feigns is not what the program does elsewhere."""
    source = f"import os\nopen('target.txt', 'w').close()\n{does}\n"
    caught = f"import os\ntry:\n    open('target.txt', 'w').close()\n{textwrap.indent(does, '    ')}\n"
    for text in (source, f"{caught}except OSError as error:\n    print(error)\n"):
        result = of_level_2.trace(script_snippet(text, "script.py", ()))
        assert isinstance(result, Drop) and result.reason == "sandbox_denied", result
