"""What all commands share: one line for wrong usage, exit codes, ``--version``, completion, a default command."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

import trace_mine
from trace_mine.tracer.command_line import ExitCode, _ReadyValues, make_app, num_bytes, run_app
from trace_mine.tracer.parent_process import environment_of_child

ROOT = Path(__file__).resolve().parents[2]


class Missing(Exception):
    exit_code = 3


@pytest.fixture
def app():
    made = make_app(default_command=True, epilog="Example: trace-shout runs/a --rows 3")

    @made.command()
    def runs(
        folders: Annotated[list[Path], typer.Argument(metavar="RUN")],
        rows: Annotated[int, typer.Option(min=2)] = 4,
    ) -> None:
        """Measures runs."""
        print("runs", *folders, rows)

    @made.command()
    def figures(name: str) -> None:
        """Draws a figure."""
        if name == "value":
            raise ValueError("expected a figure, got\n value")
        if name == "bug":
            raise KeyError(name)
        if name == "interrupt":
            raise KeyboardInterrupt
        if name == "disk":
            raise OSError("disk \x1b[31mfull")
        if name == "missing":
            raise Missing("nothing there")
        if name == "extra":
            import no_such_module  # noqa: F401
        if name == "five":
            raise typer.Exit(5)
        print("figures", name)

    return made


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["a", "b"], "runs a b 4\n"),
        (["--rows", "3", "a"], "runs a 3\n"),
        (["runs", "a"], "runs a 4\n"),
        (["figures", "fig3"], "figures fig3\n"),
        (["--", "figures"], "runs figures 4\n"),
        (["--version"], f"trace-shout {trace_mine.__version__}\n"),
    ],
)
def test_the_first_command_is_meant_where_none_is_named(app, arguments, printed, capsys):
    assert run_app(app, "trace-shout", arguments) == ExitCode.DONE
    assert capsys.readouterr() == (printed, "")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["figures", "value"], 2, "trace-shout: expected a figure, got value\n"),
        (["figures", "disk"], 1, "trace-shout: disk \\x1b[31mfull\n"),
        (["figures", "missing"], 3, "trace-shout: nothing there\n"),
        (["figures", "five"], 5, ""),
        (["figures", "interrupt"], 130, ""),
        (["figures", "extra"], 2, "pip install 'trace-mine[eval]'\n"),
        ([], 2, "trace-shout: expected RUN, got none; see trace-shout runs --help\n"),
        (["figures"], 2, "trace-shout: expected NAME, got none; see trace-shout figures --help\n"),
        (["figures", "a", "b"], 2, "trace-shout: expected trace-shout figures [OPTIONS] "),
        (["--row", "3"], 2, "trace-shout: expected an option of trace-shout runs, got '--row'; did you mean --rows?\n"),
        (["--rows", "1", "a"], 2, "trace-shout: expected a value that fits --rows, got "),
        (["--rows", "many", "a"], 2, "trace-shout: expected a value that fits --rows, got "),
        (["--rows"], 2, "trace-shout: expected --rows as in the help, got: Option '--rows' requires an argument; see "),
    ],
)
def test_an_end_is_a_code_and_one_line(app, arguments, code, told, capsys):
    assert run_app(app, "trace-shout", arguments, failed=(OSError, Missing), extra="eval") == code
    printed, error = capsys.readouterr()
    assert told in error and error.count("\n") == bool(told) and not printed


def test_a_command_that_does_not_exist_is_told_with_those_that_do(capsys):
    app = make_app()
    app.command("fit")(lambda: None)
    app.command("show")(lambda: None)
    assert run_app(app, "trace-shout", ["fitt"]) == run_app(app, "trace-shout", []) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("trace-shout: expected a command of trace-shout (fit, show), got: No such command 'fitt'")
    assert second.startswith("trace-shout: expected a command of trace-shout (fit, show), got: Missing command;")


def test_our_own_bugs_keep_their_traceback(app):
    with pytest.raises(KeyError):
        run_app(app, "trace-shout", ["figures", "bug"])


def test_a_missing_module_is_a_bug_where_no_extra_has_it(app):
    with pytest.raises(ImportError):
        run_app(app, "trace-shout", ["figures", "extra"])


def test_sizes():
    assert [num_bytes(text) for text in ("7", "2k", "512M", "1 GiB".replace(" ", ""))] == [7, 2048, 512 << 20, 1 << 30]
    for text in ("0", "-1M", "much", "1.5G", ""):
        with pytest.raises(ValueError, match="expected a size such as 512M, got"):
            num_bytes(text)


def test_help_has_the_default_command_s_options_and_all_commands(app, capsys):
    assert run_app(app, "trace-shout", ["--help"]) == 0
    told = capsys.readouterr().out
    for part in ("--rows", "Draws a figure.", "--install-completion", "--version", "Example: trace-shout runs/a"):
        assert part in told


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("trace-tokenize f", {"fit"}),
        ("trace-eval ", {"runs", "figures", "reproduce", "leaderboard", "tasks"}),
        ("trace-eval --prob", {"--probes"}),
        ("trace-eval figures --bud", {"--budget"}),
        ("trace-run --vi", {"--view"}),
    ],
)
def test_shells_complete_commands_and_options(typed, offered):
    module = {"trace-tokenize": "tokenizer", "trace-eval": "eval", "trace-run": "tracer"}[typed.split()[0]]
    asks = {
        f"_{typed.split()[0].upper().replace('-', '_')}_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    command = [sys.executable, "-m", f"trace_mine.{module}"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **asks}, capture_output=True, text=True, check=False)
    assert offered <= set(done.stdout.split()), done


def parameters_of(command, name="command"):
    """All parameters of a command and of those below it, each with its command's name."""
    yield from ((name, parameter) for parameter in command.params)
    for inner, below in getattr(command, "commands", {}).items():
        yield from parameters_of(below, inner)


@pytest.mark.parametrize("room", ["tracer", "corpus", "corpus.synthetic"])
def test_values_that_are_ready_are_what_typer_makes_of_them(room):
    app = importlib.import_module(f"trace_mine.{room}.__main__").app
    command = get_command(app)
    context = typer.Context(command)
    if not hasattr(command, "get_params") or not hasattr(command.get_params(context)[0], "get_runtime_param"):
        pytest.skip("this version of typer converts without pydantic")
    num_ready = 0
    for name, parameter in parameters_of(command):
        values = [parameter.default, None, "text", ("a", "b"), ()]
        for value in values:
            ready = _ReadyValues(parameter.type_descriptor, lambda: None)
            try:
                made = ready.coerce(value, param=parameter, ctx=context)
            except AttributeError:
                continue  # it would have asked the converter, which is None
            wanted = parameter.get_runtime_param().coerce(value, param=parameter, ctx=context)
            assert (made, type(made)) == (wanted, type(wanted)), (name, parameter.name, value)
            num_ready += 1
    assert num_ready > 20


def test_a_plain_command_line_needs_no_pydantic():
    program = "import sys; from trace_mine.tracer.__main__ import main; main(['gone.py', 'a', 'b'])\n"
    program += "raise SystemExit('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "gone.py" in done.stderr, done.stderr


SLEEPER = """
import sys, time
from trace_mine.tracer.command_line import make_app, run_app
app = make_app()
@app.command()
def sleep():
    print("begun", flush=True)
    time.sleep(float(sys.argv[1]))
    print("ended", flush=True)
run_app(app, "trace-sleep", [])
"""
STARTER = """
import os, subprocess, sys
from trace_mine.tracer.parent_process import environment_of_child
subprocess.run([sys.executable, "-c", *sys.argv[1:]], env=environment_of_child(os.environ))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_ends_with_the_one_that_started_it(number):
    with subprocess.Popen([sys.executable, "-c", STARTER, SLEEPER, "60"], stdout=subprocess.PIPE, cwd=ROOT) as starter:
        assert starter.stdout.readline() == b"begun\n"
        starter.send_signal(number)
        # both ends of the pipe are closed: the sleeper has it too
        assert starter.communicate(timeout=30)[0] == b""
    assert starter.returncode == -number


def test_a_command_outlives_another_process_between_them():
    shell = ["sh", "-c", '"$@" & sleep 0.1', "sh", sys.executable, "-c", SLEEPER, "1"]
    done = subprocess.run(shell, capture_output=True, cwd=ROOT, env=environment_of_child(os.environ), check=True)
    assert done.stdout == b"begun\nended\n"
