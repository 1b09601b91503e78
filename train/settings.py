"""The settings of a run: frozen records, overridden by name and typed by pydantic.

A recipe gives the base; ``merge`` puts a YAML file over it, and ``override`` puts ``name=value`` over that. Files, the
command line and run folders use the same names: the fields of ``Settings``, and ``model.KEY`` and ``task.KEY`` for the
keys that the model and the task are made with. ``as_yaml`` writes text that ``merge`` reads.

Overriding works on the plain form of the settings (JSON values) and makes the record again through pydantic, whose
errors become one sentence each. docs/decisions/0009 says which libraries were tried and why pydantic was taken.

Over 400 lines, because names, values, what they mean and what is said of wrong ones are one idea.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from trace_mine.train.models.keys import FOREIGN, KEYS, AnyKeys, ForeignKeys, ModelKeys

# Any: which type a value has depends on the model or task; pydantic checks a model's keys by its record in ``KEYS``.
Keys = Mapping[str, Any]
"""Keys of a model or a task with their values, which JSON can hold."""

SYNONYMS = {
    "lr": "learning_rate",
    "save_steps": "save_every",
    "logging_steps": "log_every",
    "eval_steps": "evaluate_every",
}
"""Names that other trainers give our settings: hints after an unknown name use them."""

GROUPS = {"model": "model_keys", "task": "task_parameters"}
"""First part of a dotted name -> field: ``model.KEY`` is a key of ``model_keys``, as run folders call it."""

Per = Literal["word", "name", "command"]
Schedule = Literal["constant_then_linear", "cosine"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
RequiredView = Literal["any", "branch"]
FinalSplit = Literal["test", "validation", "none"]
ENUMERATIONS = {
    "per": Per,
    "schedule": Schedule,
    "device": Device,
    "precision": Precision,
    "requires": RequiredView,
    "final_split": FinalSplit,
}
"""Settings that take one of a few words -> the type that lists the words."""

EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
"""Numbers such as 1e-3, which are numbers in YAML 1.2; PyYAML reads YAML 1.1, where they are text."""


class _Loader(yaml.SafeLoader):
    """Loads plain data, with the numbers of YAML 1.2."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789"))

# Strict: true isn't a number, and neither "8" nor 8.0 a whole one. As all is validated as JSON, whole numbers still do
# for floats and lists for tuples.
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """A stage of the curriculum: optimiser steps, each on sessions of one size.

    For each step a number of commands and a spacing (commands from one reveal to the next) are drawn from ``commands``
    and ``spacings``. Stages on a dataset have ``steps`` alone. A stage should keep the spacings of earlier ones: after
    spacing 1 was dropped, accuracy there fell to 0.52.

    Attributes:
        steps: how long the stage is. With ``advance_at`` it lasts as long as it takes instead, and its steps are what
            it adds to the run's length: what an early end leaves over, later stages have.
        commands, spacings: what sizes are drawn from.
        advance_at: the share of reveal tokens that are right, over the last ``advance_over`` steps of the stage's own
            sizes, at which it ends; 0: it ends after ``steps``. The last stage goes on to the run's end in either case.
        advance_over: see above.
        earlier: share of the stage's steps that take the sizes of an earlier stage, each as often.
        rows: share of the rows that ``batch_size`` allows which a step of these sizes has: long sessions have tokens
            enough in fewer.

    Raises:
        ValueError: ``steps`` is negative, a size or ``advance_over`` is less than 1, or a share isn't one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    steps: int
    commands: tuple[int, ...] = ()
    spacings: tuple[int, ...] = ()
    advance_at: float = 0.0
    advance_over: int = 12
    earlier: float = 0.0
    rows: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.advance_at <= 1 and 0 <= self.earlier < 1 and self.advance_over >= 1):
            raise ValueError(
                "expected advance_at of a stage from 0 to 1, earlier from 0 to below 1 and advance_over >= 1, got "
                f"{self.advance_at}, {self.earlier} and {self.advance_over}; give shares, and a number of steps"
            )
        if not 0 < self.rows <= 1:
            raise ValueError(f"expected rows of a stage above 0 and up to 1, got {self.rows}; give a share")
        if self.steps < 0:
            raise ValueError(f"expected steps of a stage >= 0, got {self.steps}; give a number of optimiser steps")
        if min((*self.commands, *self.spacings), default=1) < 1:
            got = f"commands {list(self.commands)} and spacings {list(self.spacings)}"
            raise ValueError(f"expected commands and spacings of a stage >= 1, got {got}; give numbers of commands")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a run depends on, but for versions and data on disk. Run folders keep it as JSON.

    Attributes:
        recipe: name of the recipe that made the settings.
        model, model_keys: name in the registry of models, and the keys that it is made with.
        task, task_parameters: name in the registry of tasks, and its parameters; "" for no task.
        dataset: folder that trace-mine or trace-synth wrote, or several, by commas; "" for none.
        requires: ``branch`` refuses data without hidden outcomes.
        mixture: share of the steps that take the dataset, if there is a task too.
        per: a token of a task's sessions is a ``word``, a ``name`` with its separator, or a ``command``.
        vocab_size, max_length: tokens in the vocabulary of a dataset, and of a row, which is cut there.
        stages: the curriculum, in order.
        max_steps: optimiser steps of the run; 0 means the sum of the stages'.
        max_tokens: tokens of the run instead, padding left out: it ends with the step that reaches them, and the
            schedule counts in them; 0 means that steps are counted.
        final_split: the split that the final evaluations take; ``validation`` leaves the test for later, ``none``
            makes no final evaluations, which take longer than a short run itself.
        batch_size, accumulate: rows of a micro-batch on one process, and micro-batches of a step.
        schedule: ``constant_then_linear`` (over the last ``decay_share`` of the steps down to ``min_rate`` times the
            learning rate) or ``cosine`` (down to the same); both after ``warmup`` steps.
        clip: largest norm of the gradient.
        reveal_weight, other_weight: w and v in loss = v * mean over other tokens + w * mean over reveal tokens.
        seed, data_seed: of the weights, and of the sessions and their order.
        log_every, evaluate_every, save_every: in steps; 0 for ``evaluate_every`` means never.
        evaluate_rows: rows of an evaluation.
        evaluate_at: lengths of the final evaluation, as multiples of the last stage's longest sessions.
        keep: number of checkpoints that are kept.
        threads: torch's threads in a process.
        report_to: trackers, by commas, beside the JSON lines.
        fsdp: spread parameters over the processes.

    Raises:
        ValueError: a number is out of range, a word isn't one of those known, or there is nothing to train on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    recipe: str
    model: str
    model_keys: Keys = field(default_factory=dict)
    task: str = "permutations"
    task_parameters: Keys = field(default_factory=dict)
    dataset: str = ""
    requires: RequiredView = "any"
    mixture: float = 1.0
    per: Per = "word"
    vocab_size: int = 4_096
    max_length: int = 512
    stages: tuple[StageSettings, ...] = ()
    max_steps: int = 0
    max_tokens: int = 0
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
    other_weight: float = 1.0
    seed: int = 0
    data_seed: int = 0
    log_every: int = 25
    evaluate_every: int = 100
    evaluate_rows: int = 128
    evaluate_at: tuple[int, ...] = (1, 4)
    final_split: FinalSplit = "test"
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
        # Types are pydantic's; ranges are checked here, so that a recipe in Python is checked too.
        least = dict.fromkeys(("batch_size", "accumulate", "threads", "log_every", "save_every", "keep"), 1)
        for name, low in {**least, "max_steps": 0, "max_tokens": 0, "evaluate_every": 0, "evaluate_rows": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"expected {name} >= {low}, got {getattr(self, name)}")
        for name, words in ENUMERATIONS.items():
            if getattr(self, name) not in get_args(words):
                raise ValueError(_one_of(name, getattr(self, name)))
        if self.max_steps and self.max_tokens:
            raise ValueError(
                f"expected max_steps or max_tokens, got both, {self.max_steps} and {self.max_tokens}; give one of them"
            )
        if not 0 <= self.mixture <= 1:
            raise ValueError(f"expected mixture from 0 to 1, a share of steps, got {self.mixture}")
        if not self.task and not self.dataset:
            raise ValueError("expected a task or a dataset, got neither; give --set task=NAME or --set dataset=FOLDER")
        if self.dataset and any(stage.advance_at or stage.earlier or stage.rows < 1 for stage in self.stages):
            raise ValueError(
                f"expected stages that end by steps, for the dataset {self.dataset}, got advance_at, earlier or rows; "
                "a task alone can have them"
            )

    @property
    def num_steps(self) -> int:
        """The number of optimiser steps of the whole run; with ``max_tokens`` the most that it could have."""
        # of one token each
        return self.max_tokens or self.max_steps or sum(stage.steps for stage in self.stages)

    def as_json(self) -> dict[str, object]:
        """Return the settings as values that JSON can hold; ``from_json`` reads them."""
        return asdict(self)


def from_json(values: Mapping[str, object]) -> Settings:
    """Read settings that ``as_json`` wrote, in this version or an older one: missing ones have their defaults.

    Raises:
        ValueError: a name is unknown, or a value doesn't fit.
    """
    settings: Settings = _validated(Settings, values)
    return replace(settings, model_keys=_model_keys(settings.model, settings.model_keys))


def as_yaml(settings: Settings) -> str:
    """Write all settings as YAML, one line each, under the names that ``--set`` takes; ``merge`` reads the text."""
    values = json.loads(json.dumps(settings.as_json()))  # YAML has no tuples
    for group, name in GROUPS.items():
        values |= {f"{group}.{key}": value for key, value in values.pop(name).items()}
    return "".join(_line_of_yaml(name, value) for name, value in values.items())


_line_breaks = re.compile("[\x85\u2028\u2029]")
"""Characters that end a line for YAML, though PyYAML writes them as they stand."""


def _line_of_yaml(name: str, value: object) -> str:
    is_plain = _line_breaks.search(json.dumps(value, ensure_ascii=False)) is None
    # A mapping of one name in flow style is one line, `{name: value}`; without its braces it is a line of the file.
    text = yaml.safe_dump({name: value}, default_flow_style=True, width=float("inf"), allow_unicode=is_plain)
    return text[1:-2] + "\n"


def read_config(path: Path) -> Mapping[str, object]:
    """Read the names and values of a YAML file of settings, for ``merge``.

    Raises:
        ValueError: the file can't be read, or isn't YAML with a mapping from names.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: not UTF-8, or a date such as 2026-02-31
        why = " ".join(str(error).split())
        raise ValueError(f"expected a YAML file with settings, got {path}: {why}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(
            f"expected NAME: VALUE lines in {path}, got {values!r:.60}; trace-train RECIPE --show prints some"
        )
    return values


def merge(settings: Settings, values: Mapping[str, object]) -> Settings:
    """Put values, by the names that ``override`` takes or those of the fields, over the settings.

    If they name another model or task than the settings, none of the old one's keys or parameters stay: one model's
    keys mean nothing to another.

    Raises:
        ValueError: as ``override``; or ``recipe`` is named and isn't the settings' own.
    """
    data: dict[str, Any] = settings.as_json()
    if values.get("recipe", settings.recipe) != settings.recipe:
        raise ValueError(
            f"expected settings of the recipe {settings.recipe}, got those of {values['recipe']!r}; name that recipe"
        )
    # First the groups: whether keys stay depends on the model and task that the values name, wherever they stand.
    for group, name in GROUPS.items():
        if values.get(group, data[group]) != data[group]:
            data[name] = {}
        keys = values.get(name, {})
        if not isinstance(keys, dict):
            raise ValueError(f"expected {name} to be {{KEY: VALUE}}, got {keys!r}")
        data[name] = {**data[name], **keys}
    already_merged = {"recipe", *GROUPS.values()}
    for name, value in values.items():
        if name not in already_merged:
            _set_value(data, name, value)
    return from_json(data)


def override(settings: Settings, assignments: Sequence[str]) -> Settings:
    """Put assignments ``name=value`` over the settings. Values are YAML.

    A name is a field's, ``model.KEY``, ``task.KEY``, or a part of a list such as ``stages.0.steps``.

    Raises:
        ValueError: a name is unknown (the message has the nearest known one), or a value doesn't fit.
    """
    data: dict[str, Any] = settings.as_json()
    # task= first: it empties the old task's parameters, and must not empty those that other assignments give.
    for assignment in sorted(assignments, key=lambda text: not text.startswith("task=")):
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
        _set_value(data, name, value)
    return from_json(data)


def _set_value(data: dict[str, Any], name: str, value: object) -> None:
    """Set the value of a dotted name in the plain form of settings."""
    first, *rest = name.split(".")
    # A recipe isn't set but chosen, and keys have their dotted names.
    settable = [each.name for each in fields(Settings) if each.name not in ("recipe", *GROUPS.values())]
    # Keys of a model or task may hold dots themselves, and aren't known here: from_json checks those of models.
    if first in GROUPS and rest:
        data[GROUPS[first]] = {**data[GROUPS[first]], ".".join(rest): value}
        return
    if first not in settable:
        nearest = difflib.get_close_matches(SYNONYMS.get(first, first), settable, n=1)
        names = f"; known: {', '.join(sorted(settable))}, model.KEY, task.KEY"
        hint = f"; did you mean {nearest[0]!r}?" if nearest else names
        raise ValueError(f"expected the name of a setting, got {name!r}{hint}")
    data[first] = _with_part(data[first], rest, value, name)


def _with_part(old: object, path: Sequence[str], value: object, name: str) -> object:
    """Return ``old`` with ``value`` at the path of indices and keys below it; ``name`` is the whole, for errors."""
    if not path:
        return value
    first, *rest = path
    if isinstance(old, list | tuple):
        if not first.isdecimal() or int(first) >= len(old):
            raise ValueError(f"expected an index from 0 to {len(old) - 1} in {name!r}, got {first!r}")
        index = int(first)
        return [*old[:index], _with_part(old[index], rest, value, name), *old[index + 1 :]]
    if isinstance(old, dict):
        return {**old, first: _with_part(old.get(first), rest, value, name)}
    raise ValueError(f"expected the name of a setting, got {name!r}; nothing is below {old!r}")


Record = TypeVar("Record", Settings, ModelKeys, ForeignKeys)
KEYS_OF: Mapping[str, type[AnyKeys]] = {**KEYS, FOREIGN: ForeignKeys}
"""Name of a model in settings -> the record of its keys."""


@functools.cache
def _adapters() -> dict[type[Settings | AnyKeys], TypeAdapter[Settings | AnyKeys]]:
    """Return record -> pydantic's validator of it, built once: building takes longer than validating."""
    records: list[type[Settings | AnyKeys]] = [Settings, *KEYS_OF.values()]
    return {record: TypeAdapter(record) for record in records}


def _validated(record: type[Record], values: Mapping[str, object]) -> Record:
    """Make a record of values, typed by pydantic.

    Raises:
        ValueError: a value doesn't fit; the message is one sentence about the first one.
    """
    try:
        validated = _adapters()[record].validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        # A misspelt name gives two errors, an unknown name and a missing one: the first says more to whoever wrote it.
        errors = sorted(error.errors(), key=lambda error: error["type"] != "unexpected_keyword_argument")
        raise ValueError(_sentence(record, errors[0], values)) from None
    assert isinstance(validated, record)
    return validated


def _model_keys(model: str, values: Keys) -> Keys:
    """Type the keys of a model of the registry. Keys that aren't given stay absent: later defaults may differ."""
    if model not in KEYS_OF:
        raise ValueError(f"expected a model among {', '.join(KEYS)}, got {model!r}")
    foreign = model == FOREIGN
    keys: AnyKeys = _validated(ForeignKeys, values) if foreign else _validated(KEYS[model], values)
    return {key: getattr(keys, key) for key in values}


EXAMPLES = {
    "stages": "[{steps: 300, commands: [8, 16], spacings: [1, 2]}]",
    "betas": "[0.9, 0.98]",
    "evaluate_at": "[1, 4]",
}
"""Settings that are lists -> an example, which says more than the place of the element that doesn't fit."""

TYPES = {"int": "int", "float": "a number", "bool": "bool", "string": "str", "tuple": "a list"}
"""First part of pydantic's name of an error (``int_type``, ``int_from_float``, ...) -> our word for the type."""


def _sentence(record: type[Settings | AnyKeys], error: ErrorDetails, values: Mapping[str, object]) -> str:
    """Turn pydantic's error into a sentence of our form, ``expected X, got Y``."""
    first = str(error["loc"][0]) if error["loc"] else ""
    name = ".".join(map(str, error["loc"]))
    kind = error["type"]
    if kind == "value_error":  # one of ours, of a record's __post_init__
        return str(error["ctx"]["error"])
    if first == "stages":
        is_nested = len(error["loc"]) > 1 and kind != "missing"
        got = f"{name}={error['input']!r}" if is_nested else repr(values[first])
        return f"expected stages to be like {EXAMPLES[first]}, got {got}"
    if kind == "unexpected_keyword_argument":
        return _unknown_name(record, first)
    if kind == "literal_error":
        return _one_of(first, values[first])
    if first in EXAMPLES:
        return f"expected {first} to be a list such as {EXAMPLES[first]}, got {values[first]!r}"
    prefix = "model." if record is not Settings else ""
    return f"expected {prefix}{name} to be {TYPES.get(kind.partition('_')[0], error['msg'])}, got {error['input']!r}"


def _unknown_name(record: type[Settings | AnyKeys], name: str) -> str:
    """Return the sentence about a name that isn't a field of the record, with the nearest one that is."""
    known = [each.name for each in fields(record)]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(sorted(known))}"
    expected = next((f"a key of {model}" for model, keys in KEYS_OF.items() if keys is record), "the name of a setting")
    return f"expected {expected}, got {name!r}; {hint}"


def _one_of(name: str, value: object) -> str:
    """Return the sentence about a value of an enumeration that isn't one of its words."""
    return f"expected {name} to be {' or '.join(get_args(ENUMERATIONS[name]))}, got {value!r}"
