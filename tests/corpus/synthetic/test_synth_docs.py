"""docs/synthetic.md and ``trace-synth --help`` show what really comes out, and wrong usage has its exit code."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from trace_mine import __version__
from trace_mine.corpus.synthetic.__main__ import main
from trace_mine.corpus.synthetic.automaton_yaml import parse_automaton
from trace_mine.corpus.synthetic.tasks import TASKS

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "synthetic.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Told:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments):
    """The command in this process, where its imports are made already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return Told(code, out.getvalue(), err.getvalue())


def test_a_process_says_the_same():
    command = [sys.executable, "-m", "trace_mine.corpus.synthetic", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    told = run("nothing")
    assert (done.returncode, done.stdout, done.stderr) == (2, told.stdout, told.stderr)


def test_the_session_that_is_shown_is_made():
    (command,) = re.findall(r"`trace-synth ([^`]+)` prints", DOCUMENT)
    shown = re.search(r"```text\n(>>> .*?)```", DOCUMENT, re.DOTALL).group(1)
    assert run(*command.split()).stdout.strip("\n") == shown.strip("\n")


def test_the_code_that_is_shown_prints_what_is_shown():
    code, printed = re.search(r"```python\n(.*?)```\n```text\n(.*?)```", DOCUMENT, re.DOTALL).groups()
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(code, {"__name__": "example"})
    assert told.getvalue() == printed


def test_automata_that_are_shown_read():
    shown = re.search(r"\n    Q: .*?\n\n", DOCUMENT, re.DOTALL).group(0)
    in_help = re.search(r"\n +Q: .*?(?=\n +The last)", run("--help").stdout, re.DOTALL).group(0)
    told = [parse_automaton(re.sub(r"\n +", "\n", text)) for text in (shown, in_help)]
    for automaton in told:
        assert automaton.states == ("on", "off")
        assert automaton.emissions.tolist() == [[0.5, 1.0], [0.5, 0.0]]


def test_every_task_is_in_the_help_and_in_the_list():
    told, listed = run("--help").stdout, run("list").stdout
    for name in TASKS:
        assert name in told.partition("Options:")[0] and f"{name}: " in listed


def test_the_version():
    assert run("--version").stdout == f"trace-synth {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "expected a task among"),
        (["permutations", "--set", "n"], "expected --set KEY=VALUE"),
        (["permutations", "--set", "n=99", "--show", "1"], "2 <= n <= 6"),
        (["permutations", "--commands", "0"], "expected --commands N or N-M"),
        (["pfsa", "--set", "file=nowhere.yaml"], "expected a YAML file"),
        (["permutations", "--out", "README.md"], "which is a file"),
    ],
)
def test_wrong_usage_is_2_and_leaves_nothing(arguments, says, tmp_path):
    out = tmp_path / "out"
    done = run(*arguments, *(() if "--out" in arguments else ("--out", str(out))))
    assert not out.exists()
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_dataset_goes_on_and_refuses_another_configuration(tmp_path):
    out = tmp_path / "rows"
    command = ["permutations", "--rows", "20", "--held-out", "4", "--jobs", "1", "--out", str(out)]
    assert run(*command).returncode == 0
    made = {path.name: path.read_bytes() for path in out.rglob("*") if path.suffix in (".parquet", ".json", ".md")}
    assert run(*command).returncode == 0
    assert made == {path.name: path.read_bytes() for path in out.rglob("*") if path.name in made}
    other = run(*command, "--seed", "1")
    assert other.returncode == 2 and "--overwrite" in other.stderr
