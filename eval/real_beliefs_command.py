"""``trace-eval real-beliefs``: makes the benchmark, scores models on it, writes its task files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The benchmark's folder.")]


def commands(
    prepare: Callable[[], None], show: Callable[[tuple[str, ...], list[tuple[str, ...]]], None]
) -> typer.Typer:
    """The commands as a group.

    Args:
        prepare: sets logging and torch up, before anything of them is imported.
        show: prints a table, from its header and lines.
    """
    app = typer.Typer(no_args_is_help=True, help="Beliefs about programs, from games to real draws: a benchmark.")

    @app.command(epilog="Example: trace-eval real-beliefs make real-beliefs --jobs 4")
    def make(
        out: Folder = Path("real-beliefs"),
        size: Annotated[str, typer.Option(help="full, or tiny for a first look.")] = "full",
        archives: Annotated[
            Path | None, typer.Option(help="A folder with the wheels, instead of downloading them.")
        ] = None,
        jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    ) -> None:
        """Makes the benchmark: wheels by their hashes, rows in the sandbox, questions with exact laws."""
        prepare()
        from trace_mine.eval.real_beliefs.making import make as make_benchmark

        facts = make_benchmark(out, size=size, archives=archives, jobs=jobs)
        show(("rung", "questions"), [(name, str(count)) for name, count in facts["questions"].items()])

    @app.command(epilog="Example: trace-eval real-beliefs train real-beliefs --out ladder-runs --minutes 60")
    def train(
        benchmark: Folder,
        out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("ladder-runs"),
        minutes: Annotated[float, typer.Option(min=0, help="No run is begun that would end later than this.")] = 180,
        jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 2,
        seeds: Annotated[int, typer.Option(min=1, help="Seeds of each run.")] = 3,
        models: Annotated[str, typer.Option(help="Some of lstm, delta, gated, product, transformer, by commas.")] = "",
        data: Annotated[str, typer.Option(help="Some of edited, both, games, by commas: what is trained on.")] = "",
    ) -> None:
        """Trains the ladder's own models: five mixers, with and without games, on equal budgets."""
        prepare()
        from trace_mine.eval.real_beliefs.plan import MODELS, TRAINED_ON, planned_runs
        from trace_mine.eval.training import train_missing

        chosen = [part for part in models.split(",") if part] or [*MODELS]
        trained_on = [part for part in data.split(",") if part] or [*TRAINED_ON]
        runs = planned_runs(benchmark, chosen, trained_on, seeds)
        done = train_missing(runs, out, seconds=60 * minutes, jobs=jobs, say=print)
        show(
            ("outcome", "runs", "names"),
            [
                ("finished", str(len(done.finished)), " ".join(done.finished)),
                ("no time left", str(len(done.skipped)), " ".join(done.skipped)),
                ("failed", str(len(done.failed)), " ".join(map(str, done.failed.values()))),
            ],
        )
        if done.failed:
            raise typer.Exit(1)

    @app.command(epilog="Example: trace-eval real-beliefs report ladder.parquet --out ladder")
    def report(
        scored: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files that `score --out` wrote.")],
        out: Annotated[Path, typer.Option(help="Folder for the page, the figure and the table.")] = Path("ladder"),
    ) -> None:
        """Draws the ladder and judges the claims that were written down before the runs."""
        prepare()
        from trace_mine.eval import results
        from trace_mine.eval.real_beliefs.drawing import write_report

        for path in write_report([each for file in scored for each in results.read(file)], out):
            print(path)

    @app.command(epilog="Example: trace-eval real-beliefs score real-beliefs runs/mined --out ladder.parquet")
    def score(
        benchmark: Folder,
        runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN", help="Folders that trace-train left.")] = None,
        hf: Annotated[
            list[Path] | None, typer.Option(help="A local AutoModelForCausalLM with its tokenizer; again for more.")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="File for all results, .parquet or .csv.")] = None,
    ) -> None:
        """Scores runs and local language models beside the baselines, rung by rung."""
        prepare()
        from trace_mine.eval import results
        from trace_mine.eval.real_beliefs.ranking import score_all, table

        if out is not None:
            results.check_ending(out)  # now, since measuring takes minutes
        all_results = score_all(benchmark, runs or [], hf or [])
        show(*table(all_results))
        if out is not None:
            results.write(out, all_results)
            print(f"{len(all_results)} results in {out}")

    @app.command(epilog="Example: trace-eval real-beliefs tasks real-beliefs --out lm_eval_tasks")
    def tasks(
        benchmark: Folder,
        out: Annotated[Path, typer.Option(help="Folder for the task files.")] = Path("lm_eval_tasks"),
    ) -> None:
        """Writes the questions as task files of lm-evaluation-harness."""
        prepare()
        from trace_mine.eval.real_beliefs.tasks import write_tasks

        for path in write_tasks(benchmark, out):
            print(path)

    return app
