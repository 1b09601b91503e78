"""Sweeps: a list of runs, a few processes at a time, and a table at the end.

- {recipe: contrast, model: lstm, seeds: [0, 1, 2], learning_rates: [0.001, 0.003]}
- {recipe: contrast, set: {model.allow_neg_eigval: false}, name: delta01}
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from trace_mine.train import children, run_folder
from trace_mine.train.recipes import recipe
from trace_mine.train.settings import EXPONENT, Settings, override

KEYS = ("recipe", "model", "name", "seeds", "learning_rates", "set")


def runs_of(path: Path) -> list[tuple[str, list[str]]]:
    """(name, arguments of trace-train) of every run of the file.

    Raises:
        ValueError: the file is no list of runs, or a run has an unknown key or setting.
    """
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"expected a YAML file with a list of runs, got {path}: {error}") from None
    if not isinstance(told, list) or not all(isinstance(entry, dict) and "recipe" in entry for entry in told):
        raise ValueError(f"expected a list of runs, each with a recipe, got something else in {path}")
    found: dict[str, list[str]] = {}
    for entry in told:
        _check_entry(entry, path)
        for name, arguments in _runs_of_entry(entry):
            if name in found:
                raise ValueError(f"expected runs with names of their own, got {name!r} twice; give name: to one")
            settings_of(arguments)  # refuses now what would fail later
            found[name] = arguments
    return list(found.items())


def _check_entry(entry: Mapping[str, Any], path: Path) -> None:
    """Raises ValueError where an entry of the file has an unknown key, or a ``set`` that is no mapping."""
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"expected a key of a run ({', '.join(KEYS)}), got {key!r} in {path}")
    if not isinstance(entry.get("set", {}), dict):
        raise ValueError(f"expected set: {{name: value}}, got {entry['set']!r} in {path}")


def _runs_of_entry(entry: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """(name, arguments) for each learning rate and seed of an entry."""
    model = ["--model", entry["model"]] if "model" in entry else []
    fixed = [f"{key}={_yaml(value)}" for key, value in entry.get("set", {}).items()]
    for rate in entry.get("learning_rates", [None]):
        for seed in entry.get("seeds", [0]):
            name = entry.get("name") or "-".join([entry["recipe"], *model[1:]])
            chosen = [*fixed, f"seed={seed}", f"data_seed={seed}"]
            if rate is not None:
                name += f"-lr{rate}"
                chosen.append(f"learning_rate={rate}")
            yield f"{name}-s{seed}", [entry["recipe"], *model, *(part for s in chosen for part in ("--set", s))]


def _yaml(value: object) -> str:
    """A value as --set takes it; 1e-3, which is text in a sweep's file, is a number there."""
    return value if isinstance(value, str) and EXPONENT.match(value) else json.dumps(value)


def settings_of(arguments: list[str]) -> Settings:
    """The settings of a run that ``runs_of`` gave.

    Raises:
        ValueError: they can't be.
    """
    model = arguments[arguments.index("--model") + 1] if "--model" in arguments else None
    sets = [told for before, told in pairwise(arguments) if before == "--set"]
    return override(recipe(arguments[0], model), sets)


def run_sweep(path: Path, out: Path, jobs: int) -> int:
    """Runs all, ``jobs`` at a time, each in a process of its own; finished ones are left alone and begun ones go on.
    Prints the table, writes it to ``sweep.jsonl``, and returns the exit code: 1 where a run failed.

    Raises:
        ValueError: as ``runs_of``; or a folder in ``out`` holds a run of other settings.
    """
    runs = runs_of(path)
    out.mkdir(parents=True, exist_ok=True)
    for name, arguments in runs:
        begun = out / name / "run.json"
        if begun.is_file() and run_folder.settings_of(out / name) != settings_of(arguments):
            raise ValueError(
                f"expected {out / name} to be a run of {path}'s settings, got others; give another --out or name"
            )
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        codes = list(pool.map(lambda run: _run_in_a_process(run[0], run[1], out), runs))
    lines = [_line_of(name, code, out) for (name, _), code in zip(runs, codes, strict=True)]
    (out / "sweep.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for line in lines:
        print(line["name"], f"failed with {line['failed']}, see {line['log']}" if "failed" in line else told_of(line))
    return int(any(codes))


def _run_in_a_process(name: str, arguments: list[str], out: Path) -> int:
    """Trains one run, or lets it go on, with its output in ``out/NAME.log``; returns the exit code."""
    folder = out / name
    begun = (folder / "run.json").is_file()
    told = ["--resume", str(folder)] if begun else [*arguments, "--out", str(folder)]
    print(f"{name}: {'going on' if begun else 'training'}, log in {out / name}.log", file=sys.stderr)
    with (out / f"{name}.log").open("ab") as log:
        code = subprocess.run(
            children.command(*told), stdout=log, stderr=log, check=False, env=children.environment()
        ).returncode
    print(f"{name}: {'done' if code == 0 else f'ended with {code}'}", file=sys.stderr)
    return code


def _line_of(name: str, code: int, out: Path) -> dict[str, Any]:
    """A run's line of ``sweep.jsonl``: what ``final.json`` says, or how it failed and where its log is."""
    final = out / name / "final.json"
    if code or not final.is_file():
        return {"name": name, "failed": code, "log": str(out / f"{name}.log")}
    return {"name": name, **json.loads(final.read_text(encoding="utf-8"))}


def told_of(line: Mapping[str, Any]) -> str:
    """A finished run's line of the table: seconds, then KL or accuracy at each length."""
    parts = []
    for each in line["evaluations"]:
        number = each.get("kl", each.get("accuracy_reveal"))
        parts.append(f"{each.get('times', 1)}x {'KL' if 'kl' in each else 'accuracy'} {number:.4f}")
    return f"{line['seconds']:.0f} s  " + "  ".join(parts)
