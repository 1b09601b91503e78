"""Sweeps: a YAML list of runs, trained a few processes at a time, with a table at the end.

- {recipe: contrast, model: lstm, seeds: [0, 1, 2], learning_rates: [0.001, 0.003]}
- {recipe: contrast, set: {model.allow_neg_eigval: false}, name: delta01}
- {recipe: contrast, model: gru, learning_rates: [0.001, 0.003, 0.01], choose: true}

Runs of an entry with ``choose`` are evaluated on validation alone, and the best of its rates is told (``rate_choice``).
Each run is a ``trace-train`` process of its own in a folder named after it, so that a run that fails takes no other
with it, and a sweep that was interrupted resumes by the same command.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict, cast

import yaml

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.visible import visible
from trace_mine.train import children, run_folder
from trace_mine.train.rate_choice import ChosenRate, RateChoice, choose, sentences
from trace_mine.train.recipes import recipe
from trace_mine.train.settings import EXPONENT, Settings, merge, override, read_config
from trace_mine.train.summary import Evaluation

# Any: an entry is YAML as the user wrote it; _check_entry looks at its keys, and settings_of at the values.
Entry = Mapping[str, Any]
"""An entry of a sweep's file: one run for each pair of a learning rate and a seed."""

NUMBER = re.compile(r"[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?$")
"""Learning rates as the command line takes them."""

KEYS = ("recipe", "model", "name", "seeds", "learning_rates", "choose", "set")
"""Keys that an entry may have; ``recipe`` alone is required."""


class ResultLine(TypedDict, total=False):
    """A line of ``sweep.jsonl``: ``name`` beside all of ``final.json``, or beside how the run failed and its log."""

    name: str
    failed: int
    log: str
    seconds: float
    evaluations: list[Evaluation]


class Sweep:
    """The runs of a sweep, and the rates that are to be chosen among them.

    Attributes:
        runs: (name, arguments of ``trace-train``) of every run.
        choices: the choices to make once all have ended.
        source: what the runs were read from, for messages.

    Raises:
        ValueError: two runs have one name, or a run has an unknown key or setting.
    """

    def __init__(self, entries: Sequence[Entry], source: Path | str, more: Sequence[str] = ()) -> None:
        """Make the runs of entries; each has the arguments ``more`` too."""
        runs: dict[str, list[str]] = {}
        self.source = source
        self.choices: list[RateChoice] = []
        for entry in entries:
            _check_entry(entry, source)
            by_rate: dict[str, list[str]] = {}
            for rate, name, arguments in _runs_of_entry(entry, more):
                if name in runs:
                    raise ValueError(f"expected runs with names of their own, got {name!r} twice; give name: to one")
                settings_of(arguments)  # a wrong setting of the last run is refused now, not after hours of the others
                runs[name] = arguments
                by_rate.setdefault(rate, []).append(name)
            if entry.get("choose"):
                self.choices.append(RateChoice(name=_name(entry), runs=by_rate))
        self.runs = list(runs.items())


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's file.

    Raises:
        ValueError: as ``Sweep``; or the file isn't a list of runs.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"expected a YAML file with a list of runs, got {path}: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "recipe" in entry for entry in entries):
        raise ValueError(f"expected a list of runs, each with a recipe, got something else in {path}")
    return Sweep(entries, path)


def rates_of_recipe(recipe_name: str, model: str, rates: Sequence[str], seed: int, more: Sequence[str]) -> Sweep:
    """Make the sweep of one recipe over learning rates, of which the best on validation is to be chosen.

    Args:
        recipe_name, model: a recipe, and a model or "" for the recipe's own.
        rates: as the command line has them.
        seed: of weights and data.
        more: ``--config`` and ``--set`` of the command line.

    Raises:
        ValueError: as ``Sweep``; or fewer than two rates are given, or one is no number.
    """
    if len(rates) < 2 or not all(NUMBER.match(rate) and float(rate) > 0 for rate in rates):
        raise ValueError(f"expected two or more learning rates, such as 0.001,0.003,0.01, got {','.join(rates)!r}")
    entry: Entry = {"recipe": recipe_name, "learning_rates": rates, "seeds": [seed], "choose": True}
    return Sweep([{**entry, "model": model} if model else entry], "the command line", more)


def _check_entry(entry: Entry, path: Path | str) -> None:
    """Check an entry's keys.

    Raises:
        ValueError: a key is unknown, ``set`` isn't a mapping, or there are no rates to choose from.
    """
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"expected a key of a run ({', '.join(KEYS)}), got {key!r} in {path}")
    if entry.get("choose", False) not in (True, False) or (entry.get("choose") and len(_rates(entry)) < 2):
        raise ValueError(
            f"expected choose: true with two or more learning_rates, got {entry['choose']!r} with "
            f"{entry.get('learning_rates')!r} in {path}"
        )
    if not isinstance(entry.get("set", {}), dict):
        raise ValueError(f"expected set: {{name: value}}, got {entry['set']!r} in {path}")


def _rates(entry: Entry) -> Sequence[Any]:
    """Return an entry's learning rates, [None] for the recipe's own."""
    return entry.get("learning_rates", [None])


def _name(entry: Entry) -> str:
    """Return the common part of the names of an entry's runs."""
    # names say what differs within an entry; between entries `name` has to
    return entry.get("name") or "-".join([entry["recipe"], *([entry["model"]] if "model" in entry else [])])


def _runs_of_entry(entry: Entry, more: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (rate, name, arguments of ``trace-train``) for each learning rate and seed of an entry."""
    model = ["--model", entry["model"]] if "model" in entry else []
    fixed = [f"{key}={_yaml(value)}" for key, value in entry.get("set", {}).items()]
    if entry.get("choose"):
        fixed.append("final_split=validation")
    for rate in _rates(entry):
        for seed in entry.get("seeds", [0]):
            name = _name(entry)
            # both seeds: runs that shared their data would not say how much depends on it
            assignments = [*fixed, f"seed={seed}", f"data_seed={seed}"]
            if rate is not None:
                name += f"-lr{rate}"
                assignments.append(f"learning_rate={rate}")
            sets = [argument for assignment in assignments for argument in ("--set", assignment)]
            yield str(rate), f"{name}-s{seed}", [entry["recipe"], *model, *more, *sets]


def _yaml(value: object) -> str:
    """Write a value as ``--set`` takes it.

    1e-3 in a sweep's file is text for PyYAML (see ``settings.EXPONENT``), and is passed on without quotes as a number.
    """
    return value if isinstance(value, str) and EXPONENT.match(value) else json.dumps(value)


def settings_of(arguments: list[str]) -> Settings:
    """Return the settings that ``trace-train`` would make of a run's arguments.

    Raises:
        ValueError: recipe, model or a setting is unknown, or a value doesn't fit.
    """
    model = arguments[arguments.index("--model") + 1] if "--model" in arguments else None
    sets = [argument for option, argument in pairwise(arguments) if option == "--set"]
    settings = recipe(arguments[0], model)
    if "--config" in arguments:
        settings = merge(settings, read_config(Path(arguments[arguments.index("--config") + 1])))
    return override(settings, sets)


def run_sweep(sweep: Sweep, out: Path, jobs: int) -> int:
    """Train all runs of a sweep, ``jobs`` at a time, each in a process of its own.

    Runs that have begun are resumed, finished ones left alone. Prints the table and writes it to ``sweep.jsonl``; rates
    that were chosen are printed too, and written to ``chosen.jsonl``.

    Returns:
        the exit code: 1 if a run failed, else 0.

    Raises:
        ValueError: a folder in ``out`` holds a run of other settings.
    """
    runs = sweep.runs
    out.mkdir(parents=True, exist_ok=True)
    # A sweep's file that was edited after it began: without this a run of the old settings would go on under the name
    # of the new ones, and its numbers stand in the table.
    for name, arguments in runs:
        begun = out / name / "run.json"
        if begun.is_file() and run_folder.settings_of(out / name) != settings_of(arguments):
            raise ValueError(
                f"expected {out / name} to be a run of {sweep.source}'s settings, got others; "
                "give another --out or name"
            )
    # Threads suffice: each waits for a process.
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        codes = list(pool.map(lambda run: _run_in_a_process(run[0], run[1], out), runs))
    lines = [_result_line(name, code, out) for (name, _), code in zip(runs, codes, strict=True)]
    write_atomically(out / "sweep.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    for line in lines:
        failure = f"failed with {line['failed']}, see {line['log']}" if "failed" in line else None
        print(visible(f"{line['name']} {failure or _measurements(line)}"))
    _tell_choices(sweep, lines, out)
    return int(any(codes))


def _tell_choices(sweep: Sweep, lines: Sequence[ResultLine], out: Path) -> None:
    """Print the rates that are chosen, and write them to ``chosen.jsonl``."""
    evaluations = {line["name"]: line["evaluations"] for line in lines if "failed" not in line}
    made: list[ChosenRate] = []
    for choice in sweep.choices:
        if not any(all(run in evaluations for run in runs) for runs in choice.runs.values()):
            print(visible(f"{choice.name}: no learning rate is chosen, since at each a run failed"))
            continue
        made.append(choose(choice, evaluations))
        print(*map(visible, sentences(made[-1])), sep="\n")
        folders = " ".join(str(out / run) for run in made[-1]["runs"])
        print(visible(f"  the test split was not looked at: trace-eval {folders}"))
    if made:
        write_atomically(out / "chosen.jsonl", "".join(json.dumps(line) + "\n" for line in made).encode())


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
        on = " on validation" if evaluation.get("split") == "validation" else ""
        parts.append(f"{evaluation.get('times', 1)}x {metric} {value:.4f}{on}")
    return f"{line['seconds']:.0f} s  " + "  ".join(parts)
