"""``trace-train``: a recipe in, a run folder out."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLES = """\
Examples:

  trace-train quick --out runs/quick

  trace-train contrast --model lstm --set seed=1 --out runs/lstm-1

  trace-train belief --set model.allow_neg_eigval=false --out runs/belief

  trace-train mined --set dataset=traces --set max_steps=300 --out runs/mined

  trace-train --resume runs/quick

  trace-train belief --show

  trace-train --sweep sweep.yaml --out runs/sweep

A sweep's file, where seeds set data_seed too:

  - {recipe: contrast, model: lstm, seeds: [0, 1, 2], learning_rates: [0.001, 0.003]}

  - {recipe: contrast, set: {model.allow_neg_eigval: false}, name: delta01}

Recipes: quick contrast belief s5-cpu groups paper-s5 mined.
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EXAMPLES)
def command(
    recipe: Annotated[str, typer.Argument(help="a recipe's name")] = "",
    out: Annotated[Path | None, typer.Option(help="run folder [default: runs/RECIPE]")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, model.key=..., task.key=...")
    ] = None,
    model: Annotated[str, typer.Option(help="a model of the registry, with the keys that small ones have")] = "",
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    sweep: Annotated[Path | None, typer.Option(help="YAML list of runs, as below")] = None,
    jobs: Annotated[int, typer.Option(help="processes of a sweep")] = 2,
    show: Annotated[bool, typer.Option("--show", help="print all settings of the run, and stop")] = False,
) -> None:
    """Trains a sequence model by a recipe; every setting has a name that --set takes."""
    if sum((bool(recipe), resume is not None, sweep is not None)) != 1:
        raise typer.BadParameter("expected a RECIPE, --resume RUN or --sweep FILE, one of them")
    if not recipe and (assignments or model or show or (resume is not None and out is not None)):
        raise typer.BadParameter(
            "expected --set, --model, --show and --out with a RECIPE: a run that goes on keeps its settings and "
            "folder, and a sweep's are in its file"
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("transformers", "accelerate", "datasets", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if sweep is not None:
            from trace_mine.train.sweeps import run_sweep

            raise SystemExit(run_sweep(sweep, out or Path("runs") / sweep.stem, jobs))
        if resume is None:
            from trace_mine.train.recipes import recipe as recipe_of
            from trace_mine.train.settings import override

            settings = override(recipe_of(recipe, model or None), assignments or [])
            if show:
                print(told_settings(settings), end="")
                return
            folder = out or Path("runs") / recipe
        try:
            from trace_mine.train import children, run_folder, running
        except ImportError as missing:
            raise ValueError(f"expected the extra [train], got {missing}; pip install 'trace-mine[train]'") from None
        try:
            final = running.train(settings, folder) if resume is None else running.resume(resume)
        except running.Interrupted as stopped:
            if running.first_process():
                how = children.typed(run_folder.num_processes())
                print(f"{stopped}; go on with: {how} --resume {resume or folder}", file=sys.stderr)
            raise SystemExit(130) from None
    except ValueError as error:
        print(f"trace-train: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if "evaluations" in final:  # of several processes the first alone evaluates
        for line in summary(final):
            print(line)


def told_settings(settings: Any) -> str:
    """All settings as YAML, in the words that --set takes."""
    import yaml

    told = settings.as_json()
    nested = {group: told.pop(key) for group, key in (("model", "model_keys"), ("task", "task_parameters"))}
    told |= {f"{group}.{key}": value for group, given in nested.items() for key, value in given.items()}
    plain = json.loads(json.dumps(told))
    return "".join(
        yaml.safe_dump({key: value}, default_flow_style=True, width=1_000)[1:-2] + "\n" for key, value in plain.items()
    )


def summary(final: dict[str, Any]) -> list[str]:
    """A run's end in a few lines."""
    first = f"{final['parameters']} parameters, {final['step']} steps, {final['tokens']} tokens, {final['seconds']} s"
    return [first, *summary_of(final)]


def summary_of(final: dict[str, Any]) -> list[str]:
    """Its measurements, a line each."""
    lines: list[str] = []
    for told in final["evaluations"]:
        lines += by_role(told) if "by_role" in told else [at_length(told)]
    for told in final.get("retention", []):
        lines.append(f"after {told['hold']} commands that don't concern it, an old fact: KL {told['kl']:.4f}")
    rescaled = final.get("rescaled")
    if rescaled:
        lines.append("with the state held at its norm in training:")
        lines += ["  " + line for line in summary_of(rescaled)]
    return lines


def by_role(told: dict[str, Any]) -> list[str]:
    """An evaluation on a dataset."""
    lines = [
        f"{role:8} loss {numbers['loss']:.3f} (unigram {numbers['unigram_loss']:.3f}) "
        f"accuracy {numbers['accuracy']:.3f}, {numbers['tokens']} tokens"
        for role, numbers in told["by_role"].items()
    ]
    if "copy_last_value" in told:
        lines.append(f"values, by copying the last value: accuracy {told['copy_last_value']:.3f}")
    beliefs = told.get("beliefs", {})
    if beliefs.get("num_beliefs"):
        lines.append(
            f"KL to the exact belief {beliefs['kl']:.3f} (its entropy {beliefs['entropy']:.3f}) "
            f"at {beliefs['num_beliefs']} reveals"
        )
    return lines


def at_length(told: dict[str, Any]) -> str:
    """An evaluation on a task."""
    line = f"{told['times']}x: {told['commands']} commands, reveal every {told['spacing']}: "
    line += f"accuracy {told['accuracy_reveal']:.4f}, last reveal {told['accuracy_last_reveal']:.4f}"
    if "kl" in told:
        line += f", KL {told['kl']:.4f}, last quarter {told['kl_last_quarter']:.4f}"
    shown = told["last_shown"]
    return line + f" (chance {told['chance']:.3f}" + ("" if shown is None else f", last shown {shown:.3f}") + ")"


def main() -> None:
    """Console script."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
