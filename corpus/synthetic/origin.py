"""The synthetic origin: the rows of a task as work units, which ``produce`` makes, resumes and merges like mined
ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict, cast

from trace_mine.corpus.hashing import code_hash, content_key
from trace_mine.corpus.rows import RowOrigin, make_row
from trace_mine.corpus.sending.unit import UnitInputs
from trace_mine.corpus.splits import DeclaredSplits, SplitRule
from trace_mine.corpus.stats import Notes
from trace_mine.corpus.synthetic.task import SPLITS, Stage, Task
from trace_mine.corpus.synthetic.tasks import make_task
from trace_mine.corpus.work import Dropped, Item, Payload, SnippetEntry, Traces, WorkUnit
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop

UNIT_ROWS = 256
"""Rows of a unit; those of ``programs`` take some 17 seconds (15 rows a second), those of games far less."""
LICENCE = "CC0-1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthOptions:
    """The options of ``trace-synth``.

    Attributes:
        task: the task's name in the registry.
        parameters: the task's parameters as text, those without a default value of their own left out.
        rows: split to number of rows.
        stages: the rows of a split go through the stages in order, in equal parts.
        seed: another seed, other rows.

    Raises:
        ValueError: there is no stage, a split is unknown, or a number of rows is negative.
    """

    task: str
    parameters: Mapping[str, str]
    rows: Mapping[str, int]
    stages: tuple[Stage, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.stages or not set(self.rows) <= set(SPLITS) or min(self.rows.values(), default=0) < 0:
            raise ValueError(
                f"expected a stage or more, and 0 or more rows of {', '.join(SPLITS)}, got {len(self.stages)} stages "
                f"and {dict(self.rows)}; correct them"
            )

    def as_config(self) -> dict[str, object]:
        """Return the configuration that two runs into one dataset must share, JSON. An automaton's file stands in it by
        its content, so an edited file is another configuration.

        Raises:
            ValueError: the task or a parameter is unknown, or a value does not fit.
        """
        return {
            "task": self.task,
            "parameters": dict(make_task(self.task, self.parameters).parameters),
            "rows": dict(self.rows),  # more rows are another dataset: stages would begin at other rows
            "stages": [{"commands": list(s.commands), "spacing": list(s.spacing)} for s in self.stages],
            "seed": self.seed,
        }


class SynthPayload(TypedDict):
    """The payload of a unit: rows of one task, split and stage; a snippet's ``line`` is the row's number."""

    task: str
    parameters: dict[str, str]
    seed: int
    split: str
    commands: list[int]
    spacing: list[int]
    snippets: list[SnippetEntry]


class Synthetic:
    """An ``Origin``. ``repository`` of a row is ``TASK-SPLIT``, its ``name`` the row's number."""

    name = "synthetic"

    def __init__(self, options: SynthOptions) -> None:
        self._options = options
        self._config = options.as_config()

    @property
    def fingerprint(self) -> str:
        """Hash of the configuration and of the generating code."""
        return content_key(self._config, code_hash(), SCHEMA_VERSION)

    def signature(self) -> str:
        """Return the fingerprint: the rows depend on nothing else."""
        return self.fingerprint

    @property
    def is_settled(self) -> bool:
        """True: the same command gives the same rows."""
        return True

    @property
    def num_inputs(self) -> int:
        """1: all units have the same place, and are planned within a moment."""
        return 1

    @property
    def traces(self) -> Traces:
        """The function that workers call."""
        return generate_unit

    @property
    def inputs(self) -> UnitInputs:
        """The file of an automaton, where a task is made of one."""
        return UnitInputs(paths=_files_of, moved=_moved)

    @property
    def split_rule(self) -> SplitRule:
        """One repository for each split: the rows' sequences of commands decide the split (see ``task``), so all rows
        that were made for a split stand in it.
        """
        return DeclaredSplits({f"{self._options.task}-{split}": split for split in SPLITS})

    @property
    def keeps_copies(self) -> bool:
        """True: sessions of one task resemble each other."""
        return True

    def units(self) -> Iterator[WorkUnit]:
        """Yield units of at most UNIT_ROWS rows of one split and stage."""
        options = self._options
        for split, total in options.rows.items():
            for number, stage in enumerate(options.stages):
                # Cut at fractions of the total: the parts differ by one row at most, and together they have all rows.
                first, last = (total * k // len(options.stages) for k in (number, number + 1))
                for start in range(first, last, UNIT_ROWS):
                    yield self._unit(split, number, stage, range(start, min(start + UNIT_ROWS, last)))

    def _unit(self, split: str, number: int, stage: Stage, indices: range) -> WorkUnit:
        options = self._options
        snippets: list[SnippetEntry] = [
            {
                "path": options.task,
                "name": f"stage {number} row {index}",
                "repository": f"{options.task}-{split}",  # `split_rule` maps it to its split
                "entry": options.task,
                "line": index,
            }
            for index in indices
        ]
        payload: SynthPayload = {
            "task": options.task,
            "parameters": dict(options.parameters),
            "seed": options.seed,
            "split": split,
            "commands": list(stage.commands),
            "spacing": list(stage.spacing),
            "snippets": snippets,
        }
        # The fingerprint holds the parameters with a file's content instead of its name: a path would make the key
        # depend on the machine.
        named = {key: value for key, value in payload.items() if key != "parameters"}
        return WorkUnit(key=content_key(self.fingerprint, named), payload=payload)

    def notes(self) -> Notes:
        """Return no further entries."""
        return {}

    def plan_notes(self) -> tuple[Sequence[tuple[int, Notes]], Notes]:
        """Return no parts."""
        return (), {}


# Once for each worker process, not for each unit: full permutations of 6 variables are a table of 719 x 720 entries.
@cache
def _task(name: str, parameters: tuple[tuple[str, str], ...]) -> Task:
    return make_task(name, dict(parameters))


def generate_unit(payload: Payload) -> Iterator[Item]:
    """Yield a row for each of the unit's snippets, in order, or a drop: ``no_sequence`` where the split has no sequence
    as short as the stage's.

    Args:
        payload: a ``SynthPayload``.
    """
    unit = cast(SynthPayload, payload)  # as `Synthetic._unit` made it: the ledger only stored it as JSON
    task = _task(unit["task"], tuple(sorted(unit["parameters"].items())))
    stage = Stage(commands=_pair(unit["commands"]), spacing=_pair(unit["spacing"]))
    for entry in unit["snippets"]:
        try:
            trace = task.trace(entry["line"], seed=unit["seed"], split=unit["split"], stage=stage)
        except ValueError as error:
            yield Dropped.at(entry, reason=Reason.NO_SEQUENCE.value, evidence=str(error))
            continue
        row = make_row(trace, _row_origin(unit, entry, task))
        yield Dropped.at(entry, reason=row.reason, evidence=row.evidence) if isinstance(row, Drop) else row


def _files_of(payload: Payload) -> Sequence[Path]:
    """The file that a task's parameters name, if any."""
    file = cast(SynthPayload, payload)["parameters"].get("file")
    return (Path(file).absolute(),) if file else ()


def _moved(payload: Payload, places: Mapping[Path, Path]) -> Payload:
    """The payload with the file where another machine has it."""
    unit = cast(SynthPayload, payload)
    parameters = dict(unit["parameters"])
    for path in _files_of(payload):
        parameters["file"] = str(places[path])
    return {**payload, "parameters": parameters}


def _pair(values: list[int]) -> tuple[int, int]:
    low, high = values  # JSON has lists where Stage has tuples
    return low, high


def _row_origin(unit: SynthPayload, entry: SnippetEntry, task: Task) -> RowOrigin:
    return RowOrigin(
        origin=Synthetic.name,
        repository=entry["repository"],
        version=None,
        commit=None,
        licence=LICENCE,
        requires=(),
        path=entry["path"],
        name=entry["name"],
        line=entry["line"],
        end_line=entry["line"],  # a synthetic row has no file: its line is its number
        entry=entry["entry"],
        # of the task's own parameters: which defaults were spelt out, and where a file lies, is no part of the task
        source_hash=content_key(unit["task"], dict(task.parameters)),
        num_skipped=0,
        seed=unit["seed"],
    )
