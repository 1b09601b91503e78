"""The command ``trace-eval`` as a user calls it: results on the terminal and in files, errors in one line."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trace_mine.eval import results
from trace_mine.eval.__main__ import main
from trace_mine.eval.mined import on_beliefs
from trace_mine.eval.runs import evaluate_run, summary

ROOT = Path(__file__).resolve().parents[2]


Told = tuple[subprocess.CompletedProcess[str], Path]


def called(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A process of its own: it imports torch, which takes some seconds of CPU."""
    command = [sys.executable, "-m", "trace_mine.eval", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def told(tiny_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Told:
    out = tmp_path_factory.mktemp("told") / "results.parquet"
    runs = [tiny_run("belief", "delta_net"), tiny_run("contrast", "lstm")]
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        code = main([*map(str, runs), "--rows", "4", "--out", str(out)])
    return subprocess.CompletedProcess([], code, printed.getvalue(), said.getvalue()), out


def test_runs_are_measured_beside_their_baselines(told: Told) -> None:
    done, out = told
    assert done.returncode == 0, done.stderr
    found = results.read(out)
    metrics = {row.metric for row in found}
    assert metrics >= {
        "accuracy",
        "accuracy by reveal",
        "belief KL",
        "calibration error",
        "retention KL",
        "belief KL, drift",
    }
    assert {row.model for row in found if not row.run} >= {
        "exact filter",
        "chance",
        "last shown",
        "most common",
        "no memory",
    }
    for metric in {row.metric for row in found} - {"calibration error"}:
        assert any(row.metric == metric and not row.run for row in found), f"{metric} has no baseline"
    assert {row.variant for row in found} == {"", "calibrated rescale"}
    assert "belief KL" in done.stdout and f"{len(found)} results" in done.stdout
    (floor,) = {
        round(r.value, 9) for r in found if (r.model, r.metric) == ("exact filter", "belief KL") and not r.place
    }
    assert floor == 0


@pytest.mark.slow
def test_a_leaderboard_of_that_file(told: Told, tmp_path: Path) -> None:
    done = called("leaderboard", told[1], "--metric", "belief KL", "--out", tmp_path / "board.md")
    assert done.returncode == 0, done.stderr
    assert "delta_net [-1, 1]" in (tmp_path / "board.md").read_text()
    wrong = called("leaderboard", told[1], "--metric", "nope")  # as a process, so that nothing else is said
    assert wrong.returncode == 2 and wrong.stderr.startswith("trace-eval: expected a metric among")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-run"], "trace-eval: expected a run folder with run.json, got no-such-run"),
        (["figures", "fig99"], "trace-eval: expected a figure among fig3"),
        (["figures", "fig4", "--out", "nowhere"], "trace-eval: expected finished runs in nowhere/runs for fig4"),
        (["reproduce", "--budget", "soon"], "trace-eval: expected a budget such as 10m, 60m, 2h or gpu, got 'soon'"),
        (["--hf", "x"], "expected --hf PATH with --like RUN or --task NAME"),
        (["--hf", "x", "--like", "y", "--task", "permutations"], "expected --hf PATH with --like RUN or --task NAME"),
        (["x", "--task", "permutations"], "expected --hf PATH beside --like and --task"),
        (["--hf", "x", "--like", "y", "--set", "n=3"], "expected --task NAME beside --set"),
        (["--hf", "x", "--task", "nope"], "expected a task among"),
        (["--hf", "x", "--task", "permutations", "--set", "nope=3"], "nope"),
        ([], "expected a RUN, or --hf PATH"),
        (["nowhere", "--commands", "8"], "expected --commands and --spacing with --hf"),
        (["nowhere", "--out", "x.json"], "expected a file that ends in .parquet or .csv, got x.json"),
    ],
)
def test_wrong_use_is_one_clear_line(arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed, error = capfd.readouterr()
    assert says in error and error.startswith("trace-eval: ") and error.count("\n") == 1 and not printed


@pytest.mark.parametrize("command", [[], ["runs"], ["reproduce"], ["figures"], ["leaderboard"], ["tasks"]])
def test_help_shows_a_real_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "trace-eval" in printed and "Example" in printed


@pytest.mark.slow
def test_figures_that_need_no_runs_are_drawn_anywhere(tmp_path: Path) -> None:
    done = called("figures", "fig9", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figures" / "fig9.svg").is_file() and str(tmp_path) in done.stdout


@pytest.mark.slow
def test_task_files_are_written(tmp_path: Path) -> None:
    done = called("tasks", "--out", tmp_path, "--docs", "2")
    assert done.returncode == 0 and (tmp_path / "trace_beliefs.yaml").is_file()


def test_a_summary_leaves_details_to_files(tiny_subject: Callable) -> None:
    found = evaluate_run(tiny_subject("contrast", "lstm"), rows=4)
    lines = summary(found)
    assert 0 < len(lines) < len(found)
    assert all(len(line) == 5 for line in lines)
    assert not any(line[0] == "accuracy by reveal" for line in lines)


def test_runs_on_tasks_cannot_read_code(tiny_subject: Callable) -> None:
    with pytest.raises(ValueError, match="expected a run with an open vocabulary"):
        on_beliefs(tiny_subject("contrast", "lstm"), [], name="x")
