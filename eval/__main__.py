"""``trace-eval``: runs in, results out; figures, the whole reproduction, leaderboards and task files as commands.

Nothing of torch is imported before a command runs: ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from trace_mine.eval.real_beliefs_command import commands
from trace_mine.tracer.command_line import make_app, run_app
from trace_mine.tracer.visible import one_line

EXAMPLES = """\b
Examples:
  trace-eval runs/quick runs/lstm --out results.parquet
  trace-eval runs/mined --dataset uncertain
  trace-eval --hf ./gpt2 --like runs/quick --commands 16 --spacing 2
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
Jobs = Annotated[int, typer.Option(min=1, help="Training processes at a time, one thread each.")]


@app.command("runs", epilog="Example: trace-eval runs runs/quick runs/lstm --out results.parquet")
def evaluate(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN", help="Folders that trace-train left.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for all results, .parquet or .csv.")] = None,
    rows: Annotated[int, typer.Option(min=2, help="Sessions of each measurement.")] = 64,
    dataset: Annotated[Path | None, typer.Option(help="Ask runs on datasets for the beliefs of these rows.")] = None,
    hf: Annotated[Path | None, typer.Option(help="A local AutoModelForCausalLM with its tokenizer.")] = None,
    like: Annotated[Path | None, typer.Option(help="With --hf: the run whose task and sizes it is scored on.")] = None,
    commands: Annotated[int, typer.Option(help="With --hf: commands of a session, instead of RUN's.")] = 0,
    spacing: Annotated[int, typer.Option(help="With --hf: commands between two reveals, instead of RUN's.")] = 0,
    probes: Annotated[bool, typer.Option(help="Also probe the residual stream and the recurrent state.")] = False,
) -> None:
    """Measures finished runs beside their baselines: accuracy, extrapolation, beliefs, drift, retention."""
    if not runs and hf is None:
        raise typer.BadParameter("expected a RUN, or --hf PATH, or a command (reproduce, figures, leaderboard, tasks)")
    if (hf is None) != (like is None):
        raise typer.BadParameter("expected --hf PATH and --like RUN together: the run says what sessions to score")
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
    if hf is not None and like is not None:
        from trace_mine.eval.hf import evaluate_hf

        all_results += evaluate_hf(hf, subject(like), rows=rows, commands=commands, spacing=spacing)
    show(("metric", "where", "model", "value", "95% interval"), summary(all_results))
    if out is not None:
        results.write(out, all_results)
        print(f"{len(all_results)} results in {out}")


@app.command(epilog="Example: trace-eval reproduce --budget 10m --out report")
def reproduce(
    budget: Annotated[
        str, typer.Option(help="Wall time: 10m, 60m, 2h; or gpu, with the paper's configuration.")
    ] = "10m",
    out: Out = Path("report"),
    jobs: Jobs = DEFAULT_JOBS,
) -> None:
    """Trains what is missing, draws every figure, and writes OUT/report.html with verdicts."""
    prepare()
    from trace_mine.eval.reproduce import budget_of
    from trace_mine.eval.reproduce import reproduce as make

    print(make(budget_of(budget), out, jobs=jobs))


@app.command(epilog="Example: trace-eval figures fig9 fig10 belief-drift --out report")
def figures(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Figures' names, or all.")],
    out: Out = Path("report"),
    budget: Annotated[str, typer.Option(help="Also train what is missing, for so long; else only draw.")] = "",
    jobs: Jobs = DEFAULT_JOBS,
) -> None:
    """Draws figures from the finished runs in OUT/runs: PNG, SVG, CSV and a caption each."""
    prepare()
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


def prepare() -> None:
    """Set up logging and torch for a command: plain lines of our own log, other packages' warnings alone, one thread.

    Commands call this before they import anything of ``eval``, since it also is what first needs the extra [train].

    Raises:
        ImportError: torch or transformers isn't installed.
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
