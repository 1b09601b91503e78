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
