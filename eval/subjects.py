"""Finished runs as what is evaluated: the model, where its sessions come from, and what results call it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trace_mine.eval.results import Where
from trace_mine.train import run_folder
from trace_mine.train.batches import DatasetBatches, TaskBatches, batches_of
from trace_mine.train.measure.predictors import ModelPredictor
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.registry import MODELS, load_model
from trace_mine.train.recipes import RECIPES, recipe
from trace_mine.train.settings import Settings

RANGE = "allow_neg_eigval"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A run that was opened. ``label`` is the model's name, with what parts it from others of that name
    (``delta_net [0, 1]``); runs that differ in nothing but seeds have one label.
    """

    run: str
    label: str
    seed: int
    settings: Settings
    model: SequenceModel
    batches: TaskBatches | DatasetBatches

    @property
    def predictor(self) -> ModelPredictor:
        """The model as a predictor."""
        return ModelPredictor(name=self.label, model=self.model)

    @property
    def task_batches(self) -> TaskBatches:
        """Its batches, of a run on a task alone.

        Raises:
            ValueError: the run was trained on a dataset, whose rows are no sessions of any size.
        """
        if not isinstance(self.batches, TaskBatches):
            raise ValueError(f"expected a run on a task alone, got {self.run}, trained on a dataset")
        return self.batches

    @property
    def trained(self) -> tuple[int, int]:
        """(commands, spacing) of the longest and sparsest sessions it was trained on."""
        stage = self.settings.stages[-1]
        return max(stage.commands, default=0), max(stage.spacings, default=0)

    @property
    def named(self) -> dict[str, Where]:
        """The fields of a result that say whose it is."""
        return {"run": self.run, "model": self.label, "seed": self.settings.seed}


def subject(folder: Path) -> Subject:
    """Opens a finished run.

    Raises:
        ValueError: no run there, it isn't finished, or its vocabulary or data are no longer the same.
    """
    settings = run_folder.settings_of(folder)
    if not (folder / "model.safetensors").is_file():
        raise ValueError(
            f"expected a finished run, got {folder} without model.safetensors; trace-train --resume {folder}"
        )
    batches = batches_of(settings)
    run_folder.check_data(folder, batches)
    model = load_model(folder)
    model.eval()
    name = folder.resolve().name
    return Subject(
        run=name, label=label_of(settings), seed=settings.seed, settings=settings, model=model, batches=batches
    )


def label_of(settings: Settings) -> str:
    """The model's name, the range of its eigenvalues where it has one, and which of its keys aren't its recipe's."""
    keys, config = settings.model_keys, MODELS[settings.model].config_class
    ranged = RANGE in config.own
    label = (
        f"{settings.model} {'[-1, 1]' if config(**keys).allow_neg_eigval else '[0, 1]'}" if ranged else settings.model
    )
    if settings.recipe not in RECIPES:
        return label
    usual_keys = recipe(settings.recipe, settings.model).model_keys
    own, usual = config(**keys), config(**usual_keys)
    both = sorted({*keys, *usual_keys} - {RANGE, "vocab_size"})
    other = ", ".join(f"{key}={getattr(own, key)}" for key in both if getattr(own, key) != getattr(usual, key, None))
    return f"{label} ({other})" if other else label
