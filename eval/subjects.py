"""Finished runs, opened to be evaluated: the model, the data it was trained on, and its name in results."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
"""The key of a model's config that says if eigenvalues lie in [-1, 1] or in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A finished run that was opened.

    ``run`` is its folder's name. ``label`` is the model's name with the settings that distinguish it from others of
    that name (``delta_net [0, 1]``); runs that differ in seeds alone have one label.
    """

    run: str
    label: str
    seed: int
    settings: Settings
    model: SequenceModel
    batches: TaskBatches | DatasetBatches

    def __post_init__(self) -> None:
        if not self.run or not self.label:
            raise ValueError(f"expected a run's name and label, got {self.run!r} and {self.label!r}; results need both")

    @property
    def predictor(self) -> ModelPredictor:
        """The model as a predictor, named by its label."""
        return ModelPredictor(name=self.label, model=self.model)

    @property
    def task_batches(self) -> TaskBatches:
        """The batches of a run on a task alone, with whose task sessions of any size are made.

        Raises:
            ValueError: the run was trained on a dataset, whose rows are no sessions of any size.
        """
        if not isinstance(self.batches, TaskBatches):
            raise ValueError(f"expected a run on a task alone, got {self.run}, trained on a dataset")
        return self.batches

    @property
    def trained(self) -> tuple[int, int]:
        """(commands, spacing) of the longest and sparsest sessions that the run was trained on; 0 where it has none.

        Those of the last stage: a curriculum's stages grow, so no earlier one has longer sessions.
        """
        stage = self.settings.stages[-1]
        return max(stage.commands, default=0), max(stage.spacings, default=0)

    @property
    def named(self) -> dict[str, Where]:
        """The fields of a result that say whose it is: ``run``, ``model`` and ``seed``."""
        return {"run": self.run, "model": self.label, "seed": self.settings.seed}


def subject(folder: Path) -> Subject:
    """Open the finished run of a folder that ``trace-train`` left.

    Raises:
        ValueError: the folder holds no run or an unfinished one, or the run's vocabulary or data have changed.
        DamagedFile: a file of the run isn't what ``trace-train`` wrote.
    """
    settings = run_folder.settings_of(folder)
    if not (folder / "model.safetensors").exists():
        raise ValueError(
            f"expected a finished run, got {folder} without model.safetensors; trace-train --resume {folder}"
        )
    run_folder.check_files(folder)
    # not used here, but by whoever uses the run next: a broken one should be told of by whoever looks first
    run_folder.check_tokenizer(folder)
    # made from the settings again, and compared with the hashes in the folder: a task's code or a dataset may have
    # changed since, and then results would be of other sessions than the run's
    # on the test, also of a run whose own evaluations left it alone because it was one to choose from
    batches = batches_of(replace(settings, final_split="test"))
    run_folder.check_data(folder, batches)
    model = load_model(folder)
    model.eval()
    name = folder.resolve().name
    return Subject(
        run=name, label=label_of(settings), seed=settings.seed, settings=settings, model=model, batches=batches
    )


def label_of(settings: Settings) -> str:
    """Name a model by its type, the range of its eigenvalues where it has one, and the keys that aren't its recipe's.

    Keys are compared through the config, so that a key which is given its default's value makes no new label.
    """
    keys, config = settings.model_keys, MODELS[settings.model].config_class
    label = settings.model
    # also where it is the default: the range is the comparison of half of the figures
    if RANGE in config.own:
        label += " [-1, 1]" if config(**keys).allow_neg_eigval else " [0, 1]"
    # settings of a recipe of the caller's own can't be compared with it
    if settings.recipe not in RECIPES:
        return label
    recipe_keys = recipe(settings.recipe, settings.model).model_keys
    own, usual = config(**keys), config(**recipe_keys)
    # the range is in the label already; the size of the vocabulary follows from the data
    compared = sorted({*keys, *recipe_keys} - {RANGE, "vocab_size"})
    changes = [f"{key}={getattr(own, key)}" for key in compared if getattr(own, key) != getattr(usual, key, None)]
    return f"{label} ({', '.join(changes)})" if changes else label
