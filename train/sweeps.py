"""Sweeps: a YAML list of runs, trained a few processes at a time, with a table at the end.

- {recipe: contrast, model: lstm, seeds: [0, 1, 2], learning_rates: [0.001, 0.003]}
- {recipe: contrast, set: {model.allow_neg_eigval: false}, name: delta01}

Each run is a ``trace-train`` process of its own in a folder named after it, so that a run that fails takes no other
with it, and a sweep that was interrupted resumes by the same command.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict, cast

import yaml

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.visible import visible
from trace_mine.train import children, run_folder
from trace_mine.train.recipes import recipe
from trace_mine.train.settings import EXPONENT, Settings, override
from trace_mine.train.summary import Evaluation

# Any: an entry is YAML as the user wrote it; _check_entry looks at its keys, and settings_of at the values.
Entry = Mapping[str, Any]
"""An entry of a sweep's file: one run for each pair of a learning rate and a seed."""

KEYS = ("recipe", "model", "name", "seeds", "learning_rates", "set")
"""Keys that an entry may have; ``recipe`` alone is required."""


class ResultLine(TypedDict, total=False):
    """A line of ``sweep.jsonl``: ``name`` beside all of ``final.json``, or beside how the run failed and its log."""

    name: str
    failed: int
    log: str
    seconds: float
    evaluations: list[Evaluation]


def runs_of(path: Path) -> list[tuple[str, list[str]]]:
    """Read a sweep's file as (name, arguments of ``trace-train``) of every run.

    Raises:
        ValueError: the file isn't a list of runs, two runs have one name, or a run has an unknown key or setting.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"expected a YAML file with a list of runs, got {path}: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "recipe" in entry for entry in entries):
        raise ValueError(f"expected a list of runs, each with a recipe, got something else in {path}")
    runs: dict[str, list[str]] = {}
    for entry in entries:
        _check_entry(entry, path)
        for name, arguments in _runs_of_entry(entry):
            if name in runs:
                raise ValueError(f"expected runs with names of their own, got {name!r} twice; give name: to one")
            settings_of(arguments)  # a wrong setting of the last run is refused now, not after hours of the others
            runs[name] = arguments
    return list(runs.items())


def _check_entry(entry: Entry, path: Path) -> None:
    """Check an entry's keys.

    Raises:
        ValueError: a key is unknown, or ``set`` isn't a mapping.
    """
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"expected a key of a run ({', '.join(KEYS)}), got {key!r} in {path}")
    if not isinstance(entry.get("set", {}), dict):
        raise ValueError(f"expected set: {{name: value}}, got {entry['set']!r} in {path}")


def _runs_of_entry(entry: Entry) -> Iterator[tuple[str, list[str]]]:
    """Yield (name, arguments of ``trace-train``) for each learning rate and seed of an entry."""
    model = ["--model", entry["model"]] if "model" in entry else []
    fixed = [f"{key}={_yaml(value)}" for key, value in entry.get("set", {}).items()]
    for rate in entry.get("learning_rates", [None]):
        for seed in entry.get("seeds", [0]):
            # names say what differs within an entry; between entries `name` has to
            name = entry.get("name") or "-".join([entry["recipe"], *model[1:]])
            # both seeds: runs that shared their data would not say how much depends on it
            assignments = [*fixed, f"seed={seed}", f"data_seed={seed}"]
            if rate is not None:
                name += f"-lr{rate}"
                assignments.append(f"learning_rate={rate}")
            sets = [argument for assignment in assignments for argument in ("--set", assignment)]
            yield f"{name}-s{seed}", [entry["recipe"], *model, *sets]


def _yaml(value: object) -> str:
    """Write a value as ``--set`` takes it.

    1e-3 in a sweep's file is text for PyYAML (see ``settings.EXPONENT``), and is passed on without quotes as a number.
    """
    return value if isinstance(value, str) and EXPONENT.match(value) else json.dumps(value)


def settings_of(arguments: list[str]) -> Settings:
    """Return the settings that ``trace-train`` would make of arguments from ``runs_of``.

    Raises:
        ValueError: recipe, model or a setting is unknown, or a value doesn't fit.
    """
    model = arguments[arguments.index("--model") + 1] if "--model" in arguments else None
    sets = [argument for option, argument in pairwise(arguments) if option == "--set"]
    return override(recipe(arguments[0], model), sets)


def run_sweep(path: Path, out: Path, jobs: int) -> int:
    """Train all runs of a sweep's file, ``jobs`` at a time, each in a process of its own.

    Runs that have begun are resumed, finished ones left alone. Prints the table and writes it to ``sweep.jsonl``.

    Returns:
        the exit code: 1 if a run failed, else 0.

    Raises:
        ValueError: as ``runs_of``; or a folder in ``out`` holds a run of other settings.
    """
    runs = runs_of(path)
    out.mkdir(parents=True, exist_ok=True)
    # A sweep's file that was edited after it began: without this a run of the old settings would go on under the name
    # of the new ones, and its numbers stand in the table.
    for name, arguments in runs:
        begun = out / name / "run.json"
        if begun.is_file() and run_folder.settings_of(out / name) != settings_of(arguments):
            raise ValueError(
                f"expected {out / name} to be a run of {path}'s settings, got others; give another --out or name"
            )
    # Threads suffice: each waits for a process.
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        codes = list(pool.map(lambda run: _run_in_a_process(run[0], run[1], out), runs))
    lines = [_result_line(name, code, out) for (name, _), code in zip(runs, codes, strict=True)]
    write_atomically(out / "sweep.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    for line in lines:
        failure = f"failed with {line['failed']}, see {line['log']}" if "failed" in line else None
        print(visible(f"{line['name']} {failure or _measurements(line)}"))
    return int(any(codes))


def _run_in_a_process(name: str, arguments: list[str], out: Path) -> int:
    """Train or resume one run with its output in ``out/NAME.log``; return the exit code of its process."""
    folder = out / name
    begun = (folder / "run.json").is_file()
    child_arguments = ["--resume", str(folder)] if begun else [*arguments, "--out", str(folder)]
    print(f"{name}: {'going on' if begun else 'training'}, log in {out / name}.log", file=sys.stderr)
    # appended: a resumed run's log goes on below what was written before
    with (out / f"{name}.log").open("ab") as log:
        code = subprocess.run(
            children.command(*child_arguments), stdout=log, stderr=log, check=False, env=children.environment()
        ).returncode
    print(f"{name}: {'done' if code == 0 else f'ended with {code}'}", file=sys.stderr)
    return code


def _result_line(name: str, code: int, out: Path) -> ResultLine:
    """Return a run's line of ``sweep.jsonl``, where ``code`` is the exit code of its process."""
    final = out / name / "final.json"
    if code or not final.is_file():
        return {"name": name, "failed": code, "log": str(out / f"{name}.log")}
    measurements = cast(ResultLine, run_folder.read_final(final.parent))
    return {"name": name, **measurements}


def _measurements(line: ResultLine) -> str:
    """Return a finished run's part of the table: seconds, then KL or accuracy at each length."""
    parts = []
    for evaluation in line["evaluations"]:
        metric = "KL" if "kl" in evaluation else "accuracy"
        value = evaluation["kl"] if "kl" in evaluation else evaluation["accuracy_reveal"]
        parts.append(f"{evaluation.get('times', 1)}x {metric} {value:.4f}")
    return f"{line['seconds']:.0f} s  " + "  ".join(parts)
