"""The settings of a run: one flat record, overridden by name, and rejected where a name is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import yaml

MEANT = {
    "lr": "learning_rate",
    "save_steps": "save_every",
    "logging_steps": "log_every",
    "eval_steps": "evaluate_every",
}
"""Names that other trainers have for our settings."""

REQUIRED_VIEWS = ("any", "branch")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """``steps`` optimiser steps on sessions whose numbers of commands and spacings are drawn from these, a pair for a
    step; on a dataset steps alone. A stage should keep the spacings of those before it: a model forgets one that is
    dropped.
    """

    steps: int
    commands: tuple[int, ...] = ()
    spacings: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a run depends on. ``model`` and ``task`` are names in their registries, ``model_keys`` and
    ``task_parameters`` what they are made with (``--set model.hidden_size=128``, ``--set task.n=5``).

    ``dataset``: a folder that trace-mine or trace-synth wrote, or several by comma; then ``task`` is "" and stages say
    steps alone.
    ``mixture``: share of steps that take the dataset where both are given; the rest take the task. ``per``: a token is
    a word or a command. ``reveal_weight``: loss = mean over other tokens + weight x mean over reveal tokens.
    ``max_steps``: stop there; 0: the stages' steps. ``schedule``: ``constant_then_linear`` (the last ``decay_share`` of
    the steps go down to ``min_rate`` of the rate) or ``cosine``. ``evaluate_at``: lengths of the final evaluation, as
    multiples of the last stage's longest. Times in steps.
    """

    recipe: str
    model: str
    model_keys: Mapping[str, Any] = field(default_factory=dict)
    task: str = "permutations"
    task_parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    requires: str = "any"
    mixture: float = 1.0
    per: str = "word"
    vocab_size: int = 4_096
    max_length: int = 512
    stages: tuple[StageSettings, ...] = ()
    max_steps: int = 0
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    warmup: int = 100
    schedule: str = "constant_then_linear"
    decay_share: float = 0.4
    min_rate: float = 0.05
    reveal_weight: float = 1.0
    seed: int = 0
    data_seed: int = 0
    log_every: int = 25
    evaluate_every: int = 100
    evaluate_rows: int = 128
    evaluate_at: tuple[int, ...] = (1, 4)
    save_every: int = 200
    keep: int = 2
    threads: int = 1
    device: str = "auto"
    precision: str = "fp32"
    report_to: str = "none"
    fsdp: bool = False

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError(f"expected a recipe with stages, got none in {self.recipe!r}; give at least one")
        least = dict.fromkeys(("batch_size", "accumulate", "threads", "log_every", "save_every", "keep"), 1)
        for name, low in {**least, "max_steps": 0, "evaluate_every": 0, "evaluate_rows": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"expected {name} >= {low}, got {getattr(self, name)}")
        for name, known in (
            ("per", ("word", "command")),
            ("schedule", ("constant_then_linear", "cosine")),
            ("device", ("auto", "cpu", "cuda")),
            ("precision", ("fp32", "bf16")),
            ("requires", REQUIRED_VIEWS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"expected {name} to be {' or '.join(known)}, got {getattr(self, name)!r}")
        if not 0 <= self.mixture <= 1:
            raise ValueError(f"expected mixture from 0 to 1, a share of steps, got {self.mixture}")
        if not self.task and not self.dataset:
            raise ValueError("expected a task or a dataset, got neither; give --set task=NAME or --set dataset=FOLDER")

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.max_steps or sum(stage.steps for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON; ``from_json`` reads them."""
        return asdict(self)


def from_json(told: Mapping[str, Any]) -> Settings:
    """The settings that ``as_json`` wrote."""
    stages = tuple(_stage(told) for told in told["stages"])
    pairs = {key: tuple(told[key]) for key in ("betas", "evaluate_at")}
    return Settings(**{**told, **pairs, "stages": stages})


def override(settings: Settings, assignments: list[str]) -> Settings:
    """The settings with ``name=value`` (YAML values), ``model.key=value`` and ``task.key=value`` put in.

    Raises:
        ValueError: a name is unknown (the nearest known one is named), or a value doesn't fit.
    """
    known = {each.name for each in fields(Settings)} - {"model_keys", "task_parameters", "recipe"}
    changes: dict[str, Any] = {}
    model_keys, parameters = dict(settings.model_keys), dict(settings.task_parameters)
    # a task's parameters are no other task's, so that the task is chosen first
    for assignment in sorted(assignments, key=lambda told: not told.startswith("task=")):
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"expected --set name=value, got {assignment!r}")
        try:
            value = yaml.safe_load(text) if text else ""
        except yaml.YAMLError as error:
            why = " ".join(str(error).split())
            raise ValueError(f"expected --set {name}=VALUE in YAML, got {text!r}: {why}") from None
        group, dot, key = name.partition(".")
        if dot and group in ("model", "task"):
            (model_keys if group == "model" else parameters)[key] = value
            continue
        if name not in known:
            near = difflib.get_close_matches(MEANT.get(name, name), known, n=1)
            hint = (
                f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}, model.KEY, task.KEY"
            )
            raise ValueError(f"expected the name of a setting, got {name!r}{hint}")
        if name == "task" and value != settings.task:
            parameters = {}
        changes[name] = _fitted(name, value, getattr(settings, name))
    return replace(settings, **changes, model_keys=model_keys, task_parameters=parameters)


def _fitted(name: str, value: Any, old: Any) -> Any:
    if name == "stages":
        try:
            return tuple(_stage(told) for told in value)
        except (TypeError, KeyError, AttributeError):
            raise ValueError(
                f"expected stages to be like [{{steps: 300, commands: [8, 16], spacings: [1, 2]}}], got {value!r}"
            ) from None
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(old, float) and not isinstance(value, bool):
        try:
            return float(value)  # YAML takes 1e-3 for text
        except (TypeError, ValueError):
            raise ValueError(f"expected {name} to be a number, got {value!r}") from None
    if isinstance(old, tuple):
        raise ValueError(f"expected {name} to be a list such as {list(old)}, got {value!r}")
    if type(value) is not type(old):
        raise ValueError(f"expected {name} to be {type(old).__name__}, got {value!r}")
    return value


def _stage(told: Mapping[str, Any]) -> StageSettings:
    if not set(told) <= {"steps", "commands", "spacings"} or not isinstance(told["steps"], int):
        raise TypeError(told)
    return StageSettings(steps=told["steps"], **{key: tuple(told.get(key, ())) for key in ("commands", "spacings")})
