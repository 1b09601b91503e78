"""The settings of a run: nested frozen records. pydantic types what is put over them by name, and its errors are told
in one line each.

A recipe gives the base; a YAML file is put over it (``merge``), and ``name=value`` over that (``override``). Files, the
command line and run folders use the same names: those of the fields of ``Settings``, and ``model.KEY`` and ``task.KEY``
for what the model and the task are made with. ``as_yaml`` writes what ``merge`` reads.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from trace_mine.train.models.keys import KEYS

MEANT = {
    "lr": "learning_rate",
    "save_steps": "save_every",
    "logging_steps": "log_every",
    "eval_steps": "evaluate_every",
}
"""Names that other trainers have for our settings."""

GROUPS = {"model": "model_keys", "task": "task_parameters"}
"""Group to field: ``model.KEY`` is a key of ``model_keys``, the name that run folders have."""

Per = Literal["word", "command"]
Schedule = Literal["constant_then_linear", "cosine"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
RequiredView = Literal["any", "branch"]
CHOICES = {"per": Per, "schedule": Schedule, "device": Device, "precision": Precision, "requires": RequiredView}
"""Settings that are one of a few words."""

EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
"""Numbers as 1e-3 that YAML 1.2 has; PyYAML reads YAML 1.1, where they are text."""


class _Loader(yaml.SafeLoader):
    """Plain data, with YAML 1.2's numbers."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789"))

# Strict, so that true is no number, "8" no 8 and 8.0 no 8; whole numbers and lists do for floats and tuples, since all
# is validated as JSON.
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """``steps`` optimiser steps on sessions whose numbers of commands and spacings are drawn from these, a pair for a
    step; on a dataset steps alone. A stage should keep the spacings of those before it: a model forgets one that is
    dropped.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

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

    Raises:
        ValueError: a number is out of range, a word is none of those known, or there is nothing to train on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    recipe: str
    model: str
    model_keys: Mapping[str, Any] = field(default_factory=dict)
    task: str = "permutations"
    task_parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    requires: RequiredView = "any"
    mixture: float = 1.0
    per: Per = "word"
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
    schedule: Schedule = "constant_then_linear"
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
    device: Device = "auto"
    precision: Precision = "fp32"
    report_to: str = "none"
    fsdp: bool = False

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError(f"expected a recipe with stages, got none in {self.recipe!r}; give at least one")
        least = dict.fromkeys(("batch_size", "accumulate", "threads", "log_every", "save_every", "keep"), 1)
        for name, low in {**least, "max_steps": 0, "evaluate_every": 0, "evaluate_rows": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"expected {name} >= {low}, got {getattr(self, name)}")
        for name, words in CHOICES.items():
            if getattr(self, name) not in get_args(words):
                raise ValueError(_one_of(name, getattr(self, name)))
        if not 0 <= self.mixture <= 1:
            raise ValueError(f"expected mixture from 0 to 1, a share of steps, got {self.mixture}")
        if not self.task and not self.dataset:
            raise ValueError("expected a task or a dataset, got neither; give --set task=NAME or --set dataset=FOLDER")

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.max_steps or sum(stage.steps for stage in self.stages)

    def as_json(self) -> dict[str, object]:
        """The settings as JSON; ``from_json`` reads them."""
        return asdict(self)


def from_json(told: Mapping[str, object]) -> Settings:
    """The settings that ``as_json`` wrote, in this version or an older one: what is not told has its default.

    Raises:
        ValueError: a name is unknown, or a value doesn't fit.
    """
    settings: Settings = _validated(Settings, told)
    return replace(settings, model_keys=_model_keys(settings.model, settings.model_keys))


def as_yaml(settings: Settings) -> str:
    """All settings as YAML, a line each, in the words that ``--set`` takes; ``merge`` reads it."""
    told = json.loads(json.dumps(settings.as_json()))  # YAML has no tuples
    for group, name in GROUPS.items():
        told |= {f"{group}.{key}": value for key, value in told.pop(name).items()}
    return "".join(
        yaml.safe_dump({name: value}, default_flow_style=True, width=float("inf"), allow_unicode=True)[1:-2] + "\n"
        for name, value in told.items()
    )


def read_config(path: Path) -> Mapping[str, object]:
    """The names and values of a YAML file, which ``merge`` takes.

    Raises:
        ValueError: it can't be read, is no YAML, or no mapping with names.
    """
    try:
        told = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no UTF-8, or a date that is none
        why = " ".join(str(error).split())
        raise ValueError(f"expected a YAML file with settings, got {path}: {why}") from None
    if not isinstance(told, dict) or not all(isinstance(name, str) for name in told):
        raise ValueError(
            f"expected NAME: VALUE lines in {path}, got {told!r:.60}; trace-train RECIPE --show prints some"
        )
    return told


def merge(settings: Settings, told: Mapping[str, object]) -> Settings:
    """The settings with these put over them: names as ``override`` has them, or those of the fields.

    Another model or task than the settings' has no key but those told: keys are no other model's.

    Raises:
        ValueError: as ``override``; or ``recipe`` is told and isn't the settings'.
    """
    data: dict[str, Any] = settings.as_json()
    if told.get("recipe", settings.recipe) != settings.recipe:
        raise ValueError(
            f"expected settings of the recipe {settings.recipe}, got those of {told['recipe']!r}; name that recipe"
        )
    for group, name in GROUPS.items():
        if told.get(group, data[group]) != data[group]:
            data[name] = {}
        keys = told.get(name, {})
        if not isinstance(keys, dict):
            raise ValueError(f"expected {name} to be {{KEY: VALUE}}, got {keys!r}")
        data[name] = {**data[name], **keys}
    known = {"recipe", *GROUPS.values()}
    for name, value in told.items():
        if name not in known:
            _put(data, name, value)
    return from_json(data)


def override(settings: Settings, assignments: Sequence[str]) -> Settings:
    """The settings with ``name=value`` (YAML values), ``model.key=value``, ``task.key=value`` and parts of lists, as
    ``stages.0.steps=300``, put in.

    Raises:
        ValueError: a name is unknown (the nearest known one is named), or a value doesn't fit.
    """
    data: dict[str, Any] = settings.as_json()
    # a task's parameters are no other task's, so that the task is chosen first
    for assignment in sorted(assignments, key=lambda told: not told.startswith("task=")):
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"expected --set name=value, got {assignment!r}")
        try:
            value = yaml.load(text, Loader=_Loader) if text else ""
        except (ValueError, yaml.YAMLError) as error:
            why = " ".join(str(error).split())
            raise ValueError(f"expected --set {name}=VALUE in YAML, got {text!r}: {why}") from None
        if name == "task" and value != data["task"]:
            data["task_parameters"] = {}
        _put(data, name, value)
    return from_json(data)


def _put(data: dict[str, Any], name: str, value: object) -> None:
    """Puts a value at a dotted name."""
    first, *rest = name.split(".")
    known = [each.name for each in fields(Settings) if each.name not in ("recipe", *GROUPS.values())]
    if first in GROUPS and rest:
        data[GROUPS[first]] = {**data[GROUPS[first]], ".".join(rest): value}
        return
    if first not in known:
        near = difflib.get_close_matches(MEANT.get(first, first), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}, model.KEY, task.KEY"
        raise ValueError(f"expected the name of a setting, got {name!r}{hint}")
    data[first] = _changed(data[first], rest, value, name)


def _changed(old: object, path: Sequence[str], value: object, name: str) -> object:
    """``old`` with the value at the path of indices and keys below it."""
    if not path:
        return value
    first, *rest = path
    if isinstance(old, list | tuple):
        if not first.isdecimal() or int(first) >= len(old):
            raise ValueError(f"expected an index from 0 to {len(old) - 1} in {name!r}, got {first!r}")
        index = int(first)
        return [*old[:index], _changed(old[index], rest, value, name), *old[index + 1 :]]
    if isinstance(old, dict):
        return {**old, first: _changed(old.get(first), rest, value, name)}
    raise ValueError(f"expected the name of a setting, got {name!r}; nothing is below {old!r}")


@functools.cache
def _adapters() -> dict[type[Any], TypeAdapter[Any]]:
    records: list[type[Any]] = [Settings, *KEYS.values()]
    return {record: TypeAdapter(record) for record in records}


def _validated(record: type[Any], told: Mapping[str, Any]) -> Any:
    """The record of these values, typed by pydantic.

    Raises:
        ValueError: in one line, of the first value that doesn't fit.
    """
    try:
        return _adapters()[record].validate_json(json.dumps(told, default=str))
    except ValidationError as error:
        # an unknown name before the known one that is missing for it
        found = sorted(error.errors(), key=lambda told: told["type"] != "unexpected_keyword_argument")
        raise ValueError(_sentence(record, found[0], told)) from None


def _model_keys(model: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a model of the registry, typed; those that aren't told stay so."""
    if model not in KEYS:
        raise ValueError(f"expected a model among {', '.join(KEYS)}, got {model!r}")
    keys = _validated(KEYS[model], told)
    return {key: getattr(keys, key) for key in told}


EXAMPLES = {
    "stages": "[{steps: 300, commands: [8, 16], spacings: [1, 2]}]",
    "betas": "[0.9, 0.98]",
    "evaluate_at": "[1, 4]",
}
TYPES = {"int": "int", "float": "a number", "bool": "bool", "string": "str", "tuple": "a list"}
"""Our word for the first part of pydantic's name of an error."""


def _sentence(record: type[Any], error: ErrorDetails, told: Mapping[str, Any]) -> str:
    """pydantic's error in our form, ``expected X, got Y``."""
    first = str(error["loc"][0]) if error["loc"] else ""
    name = ".".join(map(str, error["loc"]))
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if first == "stages":
        got = f"{name}={error['input']!r}" if len(error["loc"]) > 1 and kind != "missing" else repr(told[first])
        return f"expected stages to be like {EXAMPLES[first]}, got {got}"
    if kind == "unexpected_keyword_argument":
        known = [each.name for each in fields(record)]
        near = difflib.get_close_matches(first, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
        of = next((f"a key of {model}" for model, keys in KEYS.items() if keys is record), "the name of a setting")
        return f"expected {of}, got {first!r}; {hint}"
    if kind == "literal_error":
        return _one_of(first, told[first])
    if first in EXAMPLES:
        return f"expected {first} to be a list such as {EXAMPLES[first]}, got {told[first]!r}"
    prefix = "model." if record is not Settings else ""
    return f"expected {prefix}{name} to be {TYPES.get(kind.partition('_')[0], error['msg'])}, got {error['input']!r}"


def _one_of(name: str, value: object) -> str:
    return f"expected {name} to be {' or '.join(get_args(CHOICES[name]))}, got {value!r}"
