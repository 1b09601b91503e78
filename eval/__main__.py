"""``trace-eval``: runs in, results out; figures, the whole reproduction, leaderboards and task files as commands.

Nothing of torch is imported before a command runs: ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.eval.real_beliefs_command import commands
from trace_mine.tracer.command_line import make_app, run_app
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from trace_mine.eval.results import Result

EXAMPLES = """\b
Examples:
  trace-eval runs/quick runs/lstm --out results.parquet
  trace-eval runs/mined --dataset uncertain
  trace-eval --hf ./gpt2 --task permutations --set n=3 --set p=0.25 --commands 16 --spacing 2
  trace-eval --hf ./gpt2 --like runs/quick
  trace-eval reproduce --budget 10m --out report
  trace-eval figures fig9 belief-drift --out report
  trace-eval leaderboard results.parquet --metric accuracy
  trace-eval tasks --out lm_eval_tasks
  trace-eval real-beliefs make real-beliefs

Where no command's name comes first, runs is meant."""

app = make_app(epilog=EXAMPLES, default_command=True)
# The plan's expected times were measured with two processes on two cores.
DEFAULT_JOBS = min(2, len(os.sched_getaffinity(0)))

Out = Annotated[Path, typer.Option(help="Folder of runs, figures, results and reports; what is there is used again.")]
Style = Annotated[
    str, typer.Option(help="A style that matplotlib knows, or a .mplstyle file: fonts, sizes, grids of figures.")
]
Jobs = Annotated[int, typer.Option(min=1, help="Training processes at a time, one thread each.")]


@app.command("runs", epilog="Example: trace-eval runs runs/quick runs/lstm --out results.parquet")
def evaluate(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN", help="Folders that trace-train left.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for all results, .parquet or .csv.")] = None,
    rows: Annotated[int, typer.Option(min=2, help="Sessions of each measurement.")] = 64,
    dataset: Annotated[Path | None, typer.Option(help="Ask runs on datasets for the beliefs of these rows.")] = None,
    hf: Annotated[Path | None, typer.Option(help="A local AutoModelForCausalLM with its tokenizer.")] = None,
    like: Annotated[Path | None, typer.Option(help="With --hf: the run whose task and sizes it is scored on.")] = None,
    task: Annotated[str, typer.Option(help="With --hf: a task to score it on, such as permutations.")] = "",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With --task: a parameter of it (trace-synth list)."),
    ] = None,
    commands: Annotated[int, typer.Option(help="With --hf: commands of a session; else RUN's, or 16.")] = 0,
    spacing: Annotated[int, typer.Option(help="With --hf: commands between two reveals; else RUN's, or 4.")] = 0,
    probes: Annotated[bool, typer.Option(help="Also probe the residual stream and the recurrent state.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Print all numbers with their intervals, not an overview.")
    ] = False,
) -> None:
    """Measures finished runs beside their baselines: accuracy, extrapolation, beliefs, drift, retention."""
    if not runs and hf is None:
        raise typer.BadParameter("expected a RUN, or --hf PATH, or a command (reproduce, figures, leaderboard, tasks)")
    if hf is not None and (like is None) == (not task):
        raise typer.BadParameter(
            "expected --hf PATH with --like RUN or --task NAME: either says what sessions to score"
        )
    if hf is None and (like is not None or task):
        raise typer.BadParameter("expected --hf PATH beside --like and --task: runs are measured on their own sessions")
    if parameters and not task:
        raise typer.BadParameter("expected --task NAME beside --set: its parameters are the task's")
    if hf is None and (commands or spacing):
        raise typer.BadParameter("expected --commands and --spacing with --hf: runs are measured at their own sizes")
    # wrong usage is told above, before torch is imported, which takes seconds
    prepare()
    from trace_mine.eval import results
    from trace_mine.eval.runs import evaluate_run, summary
    from trace_mine.eval.subjects import subject

    if out is not None:
        results.check_ending(out)  # now, since measuring takes minutes
    all_results = []
    for folder in runs or []:
        run = subject(folder)
        all_results += evaluate_run(run, rows=rows, dataset=dataset)
        if probes:
            from trace_mine.eval.probes import probe_run

            all_results += probe_run(run, rows=rows)
    if hf is not None:
        from trace_mine.eval.hf import SIZE, evaluate_hf, task_named

        if like is None:
            batches, trained = task_named(task, parameters or []), SIZE
        else:
            run = subject(like)
            batches, trained = run.task_batches, run.trained
        all_results += evaluate_hf(hf, batches, trained=trained, rows=rows, commands=commands, spacing=spacing)
    if every:
        show(("metric", "where", "model", "value", "95% interval"), summary(all_results))
    else:
        show_overview(all_results)
    if out is not None:
        results.write(out, all_results)
        print(f"{len(all_results)} results in {out}")
    elif not every:
        print(f"{len(all_results)} results in all: --all prints them, --out FILE keeps them")


@app.command(epilog="Example: trace-eval reproduce --budget 10m --out report")
def reproduce(
    budget: Annotated[
        str, typer.Option(help="Wall time: 10m, 60m, 2h; or gpu, with the paper's configuration.")
    ] = "10m",
    out: Out = Path("report"),
    jobs: Jobs = DEFAULT_JOBS,
    style: Style = "",
) -> None:
    """Trains what is missing, draws every figure, and writes OUT/report.html with verdicts."""
    prepare(style)
    from trace_mine.eval.reproduce import budget_of
    from trace_mine.eval.reproduce import reproduce as make

    print(make(budget_of(budget), out, jobs=jobs))


@app.command(epilog="Example: trace-eval figures fig9 fig10 belief-drift --out report")
def figures(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Figures' names, or all.")],
    out: Out = Path("report"),
    budget: Annotated[str, typer.Option(help="Also train what is missing, for so long; else only draw.")] = "",
    jobs: Jobs = DEFAULT_JOBS,
    style: Style = "",
) -> None:
    """Draws figures from the finished runs in OUT/runs: PNG, SVG, PDF, CSV and a caption each."""
    prepare(style)
    from trace_mine.eval.reproduce import budget_of, draw_only
    from trace_mine.eval.reproduce import reproduce as make

    if budget:
        print(make(budget_of(budget), out, jobs=jobs, names=names))
        return
    for path in draw_only(names, out):
        print(path)


@app.command(epilog='Example: trace-eval leaderboard results.parquet --metric "belief KL"')
def leaderboard(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Results, .parquet or .csv.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="A metric (accuracy where none is given), again for more.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the table, .md or .csv.")] = None,
) -> None:
    """Puts the results of many runs side by side: a line a model, mean and spread over seeds."""
    prepare()
    from trace_mine.eval.leaderboard import COLUMNS, make_board

    show(COLUMNS, [line.cells() for line in make_board(files, metric or ["accuracy"], out)])


@app.command(epilog="Example: trace-eval tasks --out lm_eval_tasks")
def tasks(
    out: Annotated[Path, typer.Option(help="Folder for the task files.")] = Path("lm_eval_tasks"),
    docs: Annotated[int, typer.Option(min=1, help="Questions of each task.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the sessions.")] = 0,
) -> None:
    """Writes the permutation and belief suites as task files of lm-evaluation-harness."""
    prepare()
    from trace_mine.eval.harness import write_tasks

    for path in write_tasks(out, docs=docs, seed=seed):
        print(path)


def prepare(style: str = "") -> None:
    """Set up logging, torch and the style of figures for a command.

    The log has plain lines of our own and other packages' warnings alone; torch has one thread. Commands call this
    before they import anything of ``eval``, since it also is what first needs the extra [train].

    Raises:
        ImportError: torch or transformers isn't installed.
        ValueError: there is no such style.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # at level INFO these report every file they open and every font they look for
    for noisy in ("transformers", "accelerate", "datasets", "httpx", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    import torch
    import transformers

    # one thread a process: two on busy cores were 2.5 to 7 times slower
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    if style:
        from trace_mine.eval.figures.style import use_style

        use_style(style)


def show_overview(all_results: Sequence[Result]) -> None:
    """Print a table for each question and a verdict on each model."""
    from trace_mine.eval.overview import tables, verdicts

    for title, header, lines in tables(all_results):
        print(title)
        show(header, lines)
        print()
    for sentence in verdicts(all_results):
        print(one_line(sentence, 400))


def show(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> None:
    """Print a table on a terminal, or tab-separated lines into a pipe, where other programs read them."""
    if not sys.stdout.isatty():
        for line in (header, *lines):
            print("\t".join(map(one_line, line)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*header)
    for line in lines:
        table.add_row(*map(one_line, line))
    # Without markup: `[red]` in a run's name is text.
    Console(markup=False, highlight=False, emoji=False).print(table)


app.add_typer(commands(prepare, show), name="real-beliefs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script ``trace-eval`` with these arguments (None: the process's) and return its exit code."""
    return run_app(app, "trace-eval", arguments, extra="eval")


if __name__ == "__main__":
    sys.exit(main())
