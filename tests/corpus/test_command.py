"""The command as it is started: help, exit codes, messages, and what reaches the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from command_here import command
from hypothesis import given
from hypothesis import strategies as st

from trace_mine import __version__
from trace_mine.tracer.show import visible

Make = Callable[..., Path]


def started(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trace_mine.corpus", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_shows_an_example(tmp_path: Path) -> None:
    told = started("--help", cwd=tmp_path)
    assert told.returncode == 0
    assert "trace-mine ./boltons" in told.stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nsys.argv = ['trace-mine', '--help']\nfrom trace_mine.corpus.__main__ import main\nmain()\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    code += "print({'datasets', 'pyarrow', 'joblib', 'rensa', 'numpy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert told.stdout.endswith("set()\n"), told.stdout + told.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "PATH"),
        (["nowhere/at-all"], "does not exist"),
        (["heapq"], "write module:heapq"),
        (["module:no_such_module_here"], "not installed"),
        (["module:heapq", "--sources", "doctest,films"], "got films"),
        (["module:heapq", "--sources", ","], "got none"),
        (["module:heapq", "--licenses", "some"], "all or permissive"),
        (["module:heapq", "--memory", "lots"], "a size like 512M"),
        (["module:heapq", "--packages", "nowhere"], "does not exist"),
        (["module:heapq", "--packages", __file__], "expected a folder of installed packages"),
        (["module:heapq", "--limit", "0"], "--limit"),
        (["module:heapq", "--python", "/no/such/python"], "Python interpreter"),
        (["module:heapq", "--films"], "--films"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_told_and_exits_2(here: Path, arguments: list[str], message: str) -> None:
    told = command(*arguments)  # whose traceback would be an exception here
    assert told.returncode == 2, told.stderr
    assert message in told.stderr
    assert not list(here.glob("traces/data"))


def test_a_process_has_the_exit_code_of_wrong_usage(tmp_path: Path) -> None:
    told = started("nowhere", cwd=tmp_path)
    assert told.returncode == 2 and "does not exist" in told.stderr and "Traceback" not in told.stderr


@pytest.mark.parametrize("name", ["mine", pytest.param("automaton", marks=pytest.mark.slow)])
def test_a_folder_that_is_called_like_a_command_is_named_with_its_path(here: Path, name: str) -> None:
    (here / name).mkdir()
    told = command(f"./{name}", "--jobs", "1")
    assert told.returncode == 1 and "no snippet was found" in told.stderr
    told = command("--out", "automaton", f"./{name}", "--jobs", "1")  # as an option's value it is one
    assert told.returncode == 1 and "no snippet was found" in told.stderr
    assert "trace-mine ./automaton" in command("--help").stdout


def test_the_version_and_the_other_command(tmp_path: Path) -> None:
    told = started("--version", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (0, f"trace-mine {__version__}\n")
    told = command("automaton", "--help")
    assert told.returncode == 0 and "trace-mine automaton traces --variables cups" in told.stdout
    told = command("automaton", "nowhere")
    assert told.returncode == 2 and "trace-mine: expected a dataset, got nowhere" in told.stderr


def test_a_shell_completes_commands_and_options(tmp_path: Path) -> None:
    for words, expected in (
        ("trace-mine au", "automaton"),
        ("trace-mine --lim", "--limit"),
        ("trace-mine ./x --ov", "--overwrite"),
    ):
        environment = {**os.environ, "_TRACE_MINE_COMPLETE": "complete_bash", "COMP_WORDS": words}
        environment["COMP_CWORD"] = str(len(words.split()) - 1)
        code = "import sys; from trace_mine.corpus.__main__ import main; sys.exit(main())"
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert expected in told.stdout.split(), told.stdout + told.stderr


def test_an_empty_folder_exits_1(here: Path) -> None:
    (here / "empty").mkdir()
    told = command("empty", "--jobs", 1)
    assert told.returncode == 1
    assert "no snippet was found" in told.stderr
    assert (here / "traces" / "stats.json").exists()


def test_only_drops_exit_1(tmp_path: Path, make_repository: Make) -> None:
    root = make_repository("r", {"test_a.py": "def test_a(fixture): ...\n", "bad.py": "def f(:\n"})
    told = command(
        root, "--sources", "doctest,test", "--environment", "none", "--jobs", 1, "--out", tmp_path / "traces"
    )
    assert told.returncode == 1
    assert "none of the snippets became a row" in told.stderr
    assert "needs_fixture 1" in told.stdout
    assert "syntax_error 1" in told.stdout


def test_a_broken_archive_exits_1(here: Path) -> None:
    (here / "p-1.0.tar.gz").write_bytes(b"no")
    told = command("p-1.0.tar.gz", "--jobs", 1)
    assert told.returncode == 1
    assert "can't be unpacked" in told.stderr


def test_an_output_that_cannot_be_written(here: Path) -> None:
    (here / "file").write_text("")
    told = command("module:heapq", "--out", "file")
    assert told.returncode == 2
    assert "is a file" in told.stderr


@given(st.text())
def test_what_is_shown_cannot_act_on_a_terminal(text: str) -> None:
    shown = visible(text)
    assert all(char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in shown)
    shown.encode("utf-8")


def test_escapes_are_visible() -> None:
    assert visible("\x1b]0;title\x07\r\u202eab\ud800\x9b") == "\\x1b]0;title\\x07\\r\\u202eab\\ud800\\x9b"
    assert visible("plain é 漢\n\t") == "plain é 漢\n\t"
