"""``trace-train``: the command that turns a recipe, or a file of several runs, into run folders.

What imports torch is imported in the functions that need it, so that ``--help``, completion and wrong usage answer at
once: torch and transformers take 6 s.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode, make_app, run_app
from trace_mine.tracer.visible import visible
from trace_mine.train.finetune_command import EPILOG as FINETUNE_EPILOG
from trace_mine.train.finetune_command import finetune_command
from trace_mine.train.push_command import EPILOG as PUSH_EPILOG
from trace_mine.train.push_command import push
from trace_mine.train.sample_command import EPILOG as SAMPLE_EPILOG
from trace_mine.train.sample_command import sample

if TYPE_CHECKING:
    from trace_mine.train.settings import Settings

EXAMPLES = """\b
Examples:
  trace-train quick --out runs/quick
  trace-train contrast --model lstm --set seed=1 --out runs/lstm-1
  trace-train belief --set model.allow_neg_eigval=false --out runs/belief
  trace-train mined --set dataset=traces --set max_steps=300 --out runs/mined
  trace-train quick --set stages.0.steps=100 --set 'evaluate_at=[1, 8]'
  trace-train --resume runs/quick
  trace-train belief --show > belief.yaml
  trace-train belief --config belief.yaml --set seed=1
  trace-train contrast --model gru --set max_tokens=500000 --learning-rates 0.001,0.003,0.01
  trace-train --sweep sweep.yaml --out runs/sweep
  trace-train sample runs/quick --prompt session.txt
  trace-train finetune --hf ./qwen --dataset traces --lora --out runs/tuned
  trace-train push runs/quick me/shell-game

\b
A sweep's file, where seeds set data_seed too:
  - {recipe: contrast, model: lstm, seeds: [0, 1, 2], learning_rates: [0.001, 0.003]}
  - {recipe: contrast, set: {model.allow_neg_eigval: false}, name: delta01}
  - {recipe: contrast, model: gru, learning_rates: [0.001, 0.003], choose: true}

Recipes: quick contrast belief s5-cpu s5-full groups paper-s5 mined.

Where no command's name comes first, run is meant."""

app = make_app(epilog=EXAMPLES, default_command=True)


@app.command("run", epilog="Example: trace-train quick --out runs/quick")
def command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="a recipe's name", show_default=False)] = "",
    out: Annotated[Path | None, typer.Option(help="run folder", show_default="runs/RECIPE")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings that are put over the recipe's, as --show prints them")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value, model.key=..., task.key=..., over the recipe's and the file's"),
    ] = None,
    model: Annotated[
        str, typer.Option(help="a model of the registry, with the keys that small ones have", show_default=False)
    ] = "",
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    sweep: Annotated[Path | None, typer.Option(help="YAML list of runs, as below")] = None,
    learning_rates: Annotated[
        str,
        typer.Option(
            help="rates, by commas: trains a run at each and tells the best on validation", show_default=False
        ),
    ] = "",
    jobs: Annotated[int, typer.Option(help="processes of a sweep")] = 2,
    show: Annotated[bool, typer.Option("--show", help="print all settings of the run, and stop")] = False,
) -> None:
    """Trains a sequence model by a recipe; every setting has a name that --set takes."""
    # The default command, with three forms rather than three commands: RECIPE is what nearly everyone gives, and reads
    # best without a word before it.
    _check_options(
        bool(recipe), resume, sweep, out, has_settings=bool(assignments or model or config or show or learning_rates)
    )
    if sweep is not None:
        _log_plainly()
        from trace_mine.train.sweeps import read_sweep, run_sweep

        raise typer.Exit(run_sweep(read_sweep(sweep), out or Path("runs") / sweep.stem, jobs))
    if resume is not None:
        _train(None, resume)
        return
    settings = _settings(recipe, model or None, config, assignments or [])
    if show:
        from trace_mine.train.settings import as_yaml

        print(as_yaml(settings), end="")
        return
    if learning_rates:
        from trace_mine.train.sweeps import rates_of_recipe, run_sweep

        more = ["--config", str(config)] if config is not None else []
        more += [part for assignment in assignments or [] for part in ("--set", assignment)]
        rates = [rate.strip() for rate in learning_rates.split(",")]
        runs = rates_of_recipe(recipe, model, rates, settings.seed, more)
        raise typer.Exit(run_sweep(runs, out or Path("runs") / f"{recipe}-rates", jobs))
    _train(settings, out or Path("runs") / recipe)


def _check_options(
    has_recipe: bool, resume: Path | None, sweep: Path | None, out: Path | None, *, has_settings: bool
) -> None:
    """Check that the command line asks for one thing, and that each of its options has an effect there.

    Raises:
        BadParameter: it hasn't exactly one of RECIPE, --resume and --sweep, or has options that would do nothing.
    """
    if sum((has_recipe, resume is not None, sweep is not None)) != 1:
        raise typer.BadParameter("expected a RECIPE, --resume RUN or --sweep FILE, one of them")
    if not has_recipe and (has_settings or (resume is not None and out is not None)):
        raise typer.BadParameter(
            "expected --set, --model, --show and --out with a RECIPE, --config too: a run that goes on keeps its "
            "settings and folder, and a sweep's are in its file"
        )


def _settings(recipe: str, model: str | None, config: Path | None, assignments: Sequence[str]) -> Settings:
    """Return the recipe's settings with the file's values over them and the assignments over both."""
    from trace_mine.train import recipes
    from trace_mine.train.settings import merge, override, read_config

    settings = recipes.recipe(recipe, model)
    if config is not None:
        settings = merge(settings, read_config(config))
    return override(settings, assignments)


def _train(settings: Settings | None, folder: Path) -> None:
    """Train a new run in the folder, or resume the one there if ``settings`` is None; print its evaluations."""
    _log_plainly()
    from trace_mine.train import children, run_folder, running
    from trace_mine.train.summary import summary

    try:
        final = running.resume(folder) if settings is None else running.train(settings, folder)
    except running.Interrupted as interruption:
        if running.is_first_process():
            typed = children.typed_command(run_folder.num_processes())
            print(f"{interruption}; go on with: {typed} --resume {folder}", file=sys.stderr)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    # Of several processes the first alone evaluates, and it alone prints.
    if "evaluations" in final:
        print(*map(visible, summary(final)), sep="\n")


def _log_plainly() -> None:
    """Set up logging: our own messages as plain lines on stderr, of noisy packages warnings only."""
    # stderr, because --show and the summary on stdout are meant to be piped
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("transformers", "accelerate", "datasets", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


app.command("finetune", epilog=FINETUNE_EPILOG)(finetune_command(_train))
app.command("sample", epilog=SAMPLE_EPILOG)(sample)
app.command("push", epilog=PUSH_EPILOG)(push)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script ``trace-train`` and return its exit code."""
    return run_app(app, "trace-train", arguments, failed=(CorpusError, OSError), extra="train")


if __name__ == "__main__":
    sys.exit(main())
