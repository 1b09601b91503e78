"""The command ``trace-run``: what it prints, what its JSON holds, its exit codes, and that no control byte gets out."""

import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kept_jails import kept_jails
from trace_mine.tracer.__main__ import main
from trace_mine.tracer.schema import ROLES

ROOT = Path(__file__).resolve().parents[2]
GREETING = "import sys\nwho = sys.argv[1]\nprint('hello', who)\n"


def trace_run(*arguments, source=None):
    """The command in the process of the tests; a process of its own takes a quarter of a second of CPU to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((source or "").encode()), encoding="utf-8"))
        code = main([*map(str, arguments)])
    out.flush()
    err.flush()
    stdout, stderr = (each.buffer.getvalue().decode() for each in (out, err))
    if "expected a sandbox of level" in stderr and code == 1:
        pytest.skip(f"no sandbox here: {stderr.strip()[:200]}")
    return SimpleNamespace(returncode=code, stdout=stdout, stderr=stderr)


def started(*arguments, source=None):
    done = subprocess.run(
        [sys.executable, "-m", "trace_mine.tracer", *map(str, arguments)],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    if "expected a sandbox of level" in done.stderr and done.returncode == 1:
        pytest.skip(f"no sandbox here: {done.stderr.strip()[:200]}")
    return done


@pytest.fixture(autouse=True, scope="module")
def few_jails():
    with kept_jails():
        yield


@pytest.fixture
def script(tmp_path):
    folder = tmp_path / "scripts"  # of one name: jails of scripts in folders of other names are others
    folder.mkdir()

    def write(source, name="script.py"):
        path = folder / name
        path.write_text(source, encoding="utf-8")
        return path

    return write


def test_a_session_as_it_ran(script):
    done = started(script(GREETING), "Ada", "--json")
    assert done.returncode == 0
    assert done.stdout == ">>> import sys\n>>> who = sys.argv[1]\n>>> who\n'Ada'\n>>> print('hello', who)\nhello Ada\n"


@pytest.mark.slow
def test_forks_are_a_limit_and_change_no_belief(script):
    source = "from random import randrange\nx = sum(range(2_000_000)) % 2, randrange(3), randrange(2)\nprint(x)\n"
    plain, forked = (
        json.loads(trace_run("--json", "--view", "branch", "--forks", forks, script(source)).stdout) for forks in (0, 3)
    )
    assert (plain["limits"].pop("forks"), forked["limits"].pop("forks")) == (0, 3)
    assert plain == forked and plain["beliefs"]
    for arguments in (("--forks", "-1"), ("--forks", "1", "--view", "branch"), ("--forks", "3")):
        told = trace_run(*arguments, script(source))
        assert told.returncode == 2 and "Traceback" not in told.stderr


def test_json_holds_the_contract(script):
    told = json.loads(trace_run("--json", "--timeout", 7, script(GREETING), "Ada").stdout)
    assert {"text", "segments", "steps", "outcome", "integrity", "sandbox", "limits", "python", "setup"} <= told.keys()
    assert told["sandbox"]["level"] >= 2 and told["sandbox"]["layers"]
    assert (told["outcome"], told["integrity"], told["limits"]["wall_seconds"]) == ("ok", "clean", 7)
    segments = told["segments"]
    assert "".join(told["text"][each["start"] : each["end"]] for each in segments) == told["text"]
    assert {each["role"] for each in segments} <= set(ROLES)
    namespace = {}
    exec(told["setup"]["code"], namespace)
    test = doctest.DocTestParser().get_doctest(told["text"], namespace, "session", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 0


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("x = (1\n", "syntax"),
        ("while True: pass\n", "cpu"),
        ("import os\nos._exit(3)\n", "no-end"),
        ("1 / 0\n", "exception"),
        ("raise SystemExit(2)\n", "exit"),
    ],
)
def test_whatever_the_script_does_is_data(script, source, outcome):
    done = trace_run("--json", "--timeout", 1, "--cpu", 9, script(source))
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == outcome


def test_control_bytes_never_come_out_raw(script):
    source = "print('\\x1b[31mred\\x07', '\\u202e')\n"
    for colour in ("never", "always"):
        shown = trace_run("--color", colour, script(source)).stdout
        plain = re.sub(r"\x1b\[\d+m", "", shown)
        assert "\\x1b[31mred\\x07" in plain and not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", plain)
    assert "\x1b" not in trace_run("--json", script(source)).stdout


def test_a_page_needs_nothing_else_and_escapes(script, tmp_path):
    page = tmp_path / "page.html"
    assert trace_run("--html", page, script("print('<script>alert(1)</script>')\n")).returncode == 0
    told = page.read_text(encoding="utf-8")
    assert (
        "<script>alert" not in told and "&lt;script&gt;alert" in told and "http:" not in told and "https:" not in told
    )


def test_follow_opens_calls_and_a_root_is_imported_from(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "helper.py").write_text("def double(n):\n    result = n * 2\n    return result\n", encoding="utf-8")
    script = tmp_path / "main.py"
    script.write_text("from helper import double\nprint(double(4))\n", encoding="utf-8")
    opened = trace_run("--root", tmp_path, script).stdout
    assert ">>> result = n * 2\n>>> result\n8\n" in opened
    whole = trace_run("--root", tmp_path, "--follow", 0, script).stdout
    assert whole == ">>> from helper import double\n>>> print(double(4))\n8\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root runs snippets as themselves and reads their own folders")
def test_a_root_that_only_root_may_read_is_said_so(tmp_path, script):
    tmp_path.chmod(0o700)
    done = trace_run("--root", tmp_path, script("print(1)\n"))
    assert done.returncode == 1 and "chmod -R o+rX" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("folder", "is_seen"), [("src/shop", True), ("src", False), ("lib/shop", False)])
def test_packages_of_a_src_folder_are_imported(tmp_path, folder: str, is_seen: bool):
    """``src`` with packages in it, and no package itself, is what an editable install puts on the path."""
    root = tmp_path / "repository"
    (root / folder).mkdir(parents=True)
    (root / folder / "__init__.py").write_text("def price(x):\n    return 2 * x\n")
    (root / "scripts").mkdir()
    (root / "scripts" / "a.py").write_text("from shop import price\nprint(price(2))\n")
    tmp_path.chmod(0o755)
    done = trace_run("--root", root, root / "scripts" / "a.py")
    assert ("\n4\n" in f"{done.stdout}\n") == is_seen, done.stderr


def test_a_script_finds_its_repository_above_its_own_file(tmp_path):
    root = tmp_path / "repository"
    (root / "jobs").mkdir(parents=True)
    (root / "prices.txt").write_text("3 4")
    script = root / "jobs" / "sum.py"
    script.write_text(
        "import os, inspect\nROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
        "def first():\n    return open(os.path.join(ROOT, 'prices.txt')).read()\n"
        "open('mine', 'w').close()\nprint(first(), os.listdir())\nprint(inspect.getsource(first))\n"
    )
    tmp_path.chmod(0o755)
    done = trace_run("--root", root, script)
    assert done.returncode == 0 and "3 4 ['mine', 'sum.py']\n" in done.stdout, done.stderr
    assert "def first():\n    return open(" in done.stdout.partition("getsource")[2]
    without = trace_run(script)  # its folder alone
    assert "show its folder by --root DIR" in without.stderr, "what is above its folder there may be here"


def test_a_session_that_does_not_replay_is_shown_with_the_command_that_differs(script):
    done = trace_run(script("import secrets\nprint(secrets.randbelow(10**9))\n"))
    assert done.returncode == 3
    # the command that differs is marked
    assert "\n# differs from the script's own run:\n>>> print(secrets.randbelow(10**9))\n" in done.stdout
    assert "is not true (replay_mismatch)" in done.stderr


def test_a_script_that_draws_has_the_session_of_one_seed(script):
    source = "import random\nimport random as r\nprint(random.random(), r.sample('abc', 2))\n"
    first, again, other = (trace_run("--json", *options, script(source)) for options in ((), (), ("--seed", "5")))
    assert [done.returncode for done in (first, again, other)] == [0, 0, 0]
    made = [json.loads(done.stdout) for done in (first, again, other)]
    assert made[0]["text"] == made[1]["text"] != made[2]["text"]
    assert "__import__('random').seed(0)\n" in made[0]["setup"]["code"]
    assert "random.seed(0), --seed N shows another" in first.stderr and "random.seed(5)" in other.stderr
    namespace = {}
    exec(made[2]["setup"]["code"], namespace)  # what a row needs before its first command: our own code
    drawn = namespace["__builtins__"]["__import__"]("random")
    assert f"{drawn.random()} {drawn.sample('abc', 2)}\n" in made[2]["text"]


def test_a_session_with_an_unstable_end_keeps_what_is_open(script):
    source = "def f(n):\n    return n + 1\nfor i in range(9):\n    x = f(i)\nimport time\nprint(time.time())\n"
    done = trace_run(script(source))
    assert done.returncode == 3 and done.stdout.count(">>> returned_1 = n + 1") == 9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing.py"], "expected a readable script"),
        (["."], "expected a readable script"),
        (["--root", "nowhere", "README.md"], "expected a folder for --root"),
        (["--timeout", "0", "README.md"], "expected a number of seconds > 0"),
        (["--follow", "-1", "README.md"], "expected a number >= 0"),
        (["--memory", "much", "README.md"], "expected a size such as 512M"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments, told):
    done = trace_run(*arguments)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


def test_sources_are_decoded_as_python_does(tmp_path):
    latin = tmp_path / "latin.py"
    latin.write_bytes(b"# -*- coding: latin-1 -*-\nprint('\xe9')\n")
    assert "é" in trace_run(latin).stdout
    assert trace_run("-", source="\ufeffprint('bom')\n").stdout.endswith("bom\n")
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\x00\x01\xff")
    done = trace_run(binary)
    assert done.returncode == 2 and "don't decode" in done.stderr


def test_options_after_the_file_are_the_script_s(script):
    echo = script("import sys\nprint(sys.argv[1:])\n")
    asked = ["--help", "--version", "--view", "branch", "--", "-x"]
    assert trace_run("--", echo, *asked).stdout == trace_run(echo, *asked).stdout
    assert f"{asked}\n" in trace_run(echo, *asked).stdout


def test_what_is_piped_in_is_the_script_s_input(script, tmp_path):
    path = script("n = int(input('n? '))\nprint(n * 2)\n")
    assert trace_run(path, source="21\n").stdout.endswith(">>> print(n * 2)\n42\n")
    (tmp_path / "in.txt").write_text("4\n")
    assert trace_run("--stdin", tmp_path / "in.txt", path).stdout.endswith(">>> print(n * 2)\n8\n")
    told = trace_run(path, source="")
    assert told.returncode == 0 and "pipe it in, or give --stdin FILE" in told.stderr
    assert trace_run("--stdin", tmp_path / "nowhere", path).returncode == 2


def test_a_pipe_is_not_waited_for_by_a_script_that_asks_for_nothing(script):
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "trace_mine.tracer", "--quiet", script("print(1)\n")],
            cwd=ROOT, stdin=reader, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    finally:
        os.close(reader)
        os.close(writer)
    assert "expected a sandbox" in done.stderr or done.stdout == ">>> print(1)\n1\n"


def test_packages_are_those_of_the_environment_that_is_named(script, tmp_path):
    packages = tmp_path / "env" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "planted.py").write_text("WORD = 'seen'\n")
    for folder in (tmp_path, *packages.parents, packages):
        if folder.is_relative_to(tmp_path):
            folder.chmod(0o755)
    path = script("import planted\nprint(planted.WORD)\n")
    assert "seen\n" in trace_run("--environment", tmp_path / "env", path).stdout
    without = trace_run(path)
    assert "Install planted in the environment" in without.stderr and "ModuleNotFoundError" in without.stdout
    assert trace_run("--environment", tmp_path, path).returncode == 2


def test_the_summary_can_be_left_out_and_the_folder_be_empty(script):
    path = script("import os\nprint(os.listdir())\n")
    told = trace_run(path)
    assert "trace-run: 2 commands, 0 calls opened\n" in told.stderr and "['script.py']" in told.stdout
    assert trace_run("--quiet", path).stderr == ""
    assert "\n[]\n" in trace_run("--empty-folder", path).stdout


def test_importing_the_command_costs_no_library_but_typer():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, trace_mine.tracer.__main__; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "typer" in loaded and not loaded & {"torch", "transformers", "datasets", "pyarrow", "numpy", "rich"}
