"""The command ``trace-train finetune``: any local causal language model, trained on tasks and datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trace_mine.train.settings import Settings

EPILOG = """\
Example: trace-train finetune --hf ./qwen --dataset traces --lora --out runs/tuned

On a task: trace-train finetune --hf ./gpt2 --task permutations --set task.n=3 --set reveal_weight=3 --out runs/tuned

Afterwards: trace-eval --hf runs/tuned --task permutations, trace-eval real-beliefs score DIR --hf runs/tuned, and
trace-train --resume runs/tuned where it was interrupted. Settings: the same with --show.
"""
LORA_RANK = 16
"""Rank of LoRA's updates where --lora alone is given."""


MAX_LENGTH = 1_024
"""Tokens of a row where the model's context has room for them."""


def longest_rows(folder: Path) -> int:
    """Return the tokens of a row: ``MAX_LENGTH``, or the model's context, which its config says, if that is shorter.

    Raises:
        ValueError: the folder holds no model.
    """
    from trace_mine.tracer.bounded import read_json

    if not (folder / "config.json").exists():
        raise ValueError(f"expected a local folder with config.json, got {folder}; save_pretrained the model there")
    config = read_json(folder / "config.json")
    contexts = [config.get(name) for name in ("max_position_embeddings", "n_positions")]
    return min([MAX_LENGTH, *(size for size in contexts if type(size) is int and size > 0)])


def finetune_command(train: Callable[[Settings | None, Path], None]) -> Callable[..., None]:
    """Make the command; ``train`` trains settings in a folder and prints what came of it."""

    def finetune(
        hf: Annotated[Path, typer.Option(metavar="PATH", help="A local AutoModelForCausalLM with its tokenizer.")],
        dataset: Annotated[
            str, typer.Option(metavar="FOLDER", help="What trace-mine or trace-synth wrote; several by commas.")
        ] = "",
        task: Annotated[str, typer.Option(help="A task of trace-synth instead, its sessions as text.")] = "",
        lora: Annotated[
            bool, typer.Option("--lora", help=f"Train LoRA's updates (rank {LORA_RANK}) instead of all weights.")
        ] = False,
        out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/finetune"),
        config: Annotated[
            Path | None, typer.Option(help="YAML file of settings that are put over these, as --show prints them.")
        ] = None,
        assignments: Annotated[
            list[str] | None,
            typer.Option("--set", help="name=value, model.lora_rank=..., task.key=..., over the file's."),
        ] = None,
        show: Annotated[bool, typer.Option("--show", help="Print all settings of the run, and stop.")] = False,
    ) -> None:
        """Trains a local causal language model on datasets or a task, in all weights or by LoRA.

        The loss is that of our own runs: other_weight times the mean over other tokens plus reveal_weight times the
        mean over tokens of outcomes, whose places are found by characters. OUT becomes a folder that plain transformers
        opens; with --lora its updates alone stand in OUT/adapter, for peft.
        """
        from trace_mine.train.recipes import finetune as settings_for
        from trace_mine.train.settings import as_yaml, merge, override, read_config

        if bool(dataset) == bool(task):
            raise typer.BadParameter("expected --dataset FOLDER or --task NAME, one of them")
        settings = settings_for(
            hf, dataset=dataset, task=task, lora_rank=LORA_RANK if lora else 0, max_length=longest_rows(hf)
        )
        if config is not None:
            settings = merge(settings, read_config(config))
        settings = override(settings, assignments or [])
        if show:
            print(as_yaml(settings), end="")
            return
        train(settings, out)

    return finetune
