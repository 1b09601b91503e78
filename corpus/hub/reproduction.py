"""The command that makes a dataset again, from the configuration that its ``stats.json`` has; how to cite it."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterator, Mapping

from trace_mine.corpus.stats import Stats
from trace_mine.tracer.visible import in_markdown, one_line

_PLACE = re.compile(r" \([0-9a-f]{8}\)\Z")
"""The end of an input's name in the configuration: a hash of where it lay."""
MOST_INPUTS = 100
"""Inputs that are named in the command; ``stats.json`` has all of them."""


def command_of(config: Mapping[str, object]) -> str:
    """Return the command line that makes a dataset of this configuration, on one line.

    Options stand in it whether or not they are the defaults, so that it means the same under a version with others.
    Inputs are named without the folders in which they lay. A name with control characters, or of more than 200
    characters, is shown as what a terminal would show.

    >>> command_of({"inputs": ["module:heapq", "kit (0123abcd)"], "sources": ["doctest"], "seed": 0, "follow": 3})
    'trace-mine module:heapq kit --sources doctest --seed 0 --follow 3 --out traces'
    """
    if "task" in config:
        words = ["trace-synth", *_synthetic(config), "--out", "synthetic"]
    else:
        names = config.get("inputs")
        inputs = [_PLACE.sub("", str(name)) for name in names] if isinstance(names, list) else []
        words = ["trace-mine", *inputs[:MOST_INPUTS]]
        if len(inputs) > MOST_INPUTS:
            words.append("...")
        words += [*_mined(config), "--out", "traces"]
    return " ".join(one_line(shlex.quote(word)) if word != "..." else word for word in words)


def versions_sentence(stats: Stats) -> str:
    """Return the versions that decide the dataset's bytes, as a sentence of Markdown."""
    # here and not at the top: a room doesn't ask the package above it when it is imported
    from trace_mine import __version__

    pythons = ", ".join(f"{in_markdown(version)} ({count} rows)" for version, count in stats["by_python"].items())
    return (
        f"trace-mine {__version__}, pyarrow {importlib.metadata.version('pyarrow')}, Python "
        f"{pythons or 'of no row'}; schema version {stats['schema_version']}."
    )


def citation() -> str:
    """Return how to cite trace-mine and its datasets, as BibTeX; ``CITATION.cff`` says the same."""
    from trace_mine import __version__

    return (
        "@software{trace_mine, title = {trace-mine}, author = {{The trace-mine authors}}, "
        f"version = {{{__version__}}}, year = {{2026}}, license = {{MIT}}}}"
    )


def _mined(config: Mapping[str, object]) -> Iterator[str]:
    for key, option in (
        ("sources", "--sources"),
        ("view", "--view"),
        ("seed", "--seed"),
        ("follow", "--follow"),
        ("limit", "--limit"),
        ("siblings", "--siblings"),
        ("sessions", "--sessions"),
        ("windows", "--windows"),
        ("licences", "--licenses"),
        ("keep", "--keep"),
        ("split_by", "--split-by"),
        ("environment", "--environment"),
        ("as_of", "--as-of"),
        ("sandbox_level", "--sandbox-level"),
        ("shard", "--shard"),
    ):
        value = config.get(key)
        if value in (None, "default"):
            continue
        yield from (option, ",".join(map(str, value)) if isinstance(value, list) else str(value))
    for key, option in (
        ("only_choices", "--only-choices"),
        ("keep_duplicates", "--keep-duplicates"),
        ("keep_personal", "--keep-personal"),
        ("allow_unsafe", "--allow-unsafe-sandbox"),
    ):
        if config.get(key):
            yield option
    for key, option in (("scripts", "--scripts"), ("packages", "--packages")):
        values = config.get(key)
        for value in values if isinstance(values, list) else ():
            yield from (option, str(value))
    limits = config.get("limits")
    if isinstance(limits, Mapping):
        yield from ("--timeout", f"{limits['wall_seconds']:g}", "--memory", str(limits["memory_bytes"]))
        if limits.get("forks"):
            yield from ("--forks", str(limits["forks"]))
    if config.get("python") not in (None, "auto"):
        yield from ("--python", f"python{'.'.join(str(config['python']).split('.')[:2])}")
    if "benchmarks" in config:
        yield from ("--decontaminate", "BENCHMARKS.jsonl")


def _synthetic(config: Mapping[str, object]) -> Iterator[str]:
    yield str(config["task"])
    rows = config.get("rows")
    if isinstance(rows, Mapping):
        yield from ("--rows", str(rows.get("train", 0)), "--held-out", str(rows.get("test", 0)))
    parameters = config.get("parameters")
    for key, value in sorted(parameters.items()) if isinstance(parameters, Mapping) else ():
        if key != "sha256":  # of an automaton's file: it is no parameter that could be given
            yield from ("--set", f"{key}={value}")
    stages = config.get("stages")
    if isinstance(stages, list) and len(stages) == 1:
        for name in ("commands", "spacing"):
            low, high = stages[0][name]
            yield from (f"--{name}", f"{low}-{high}" if low != high else str(low))
    elif isinstance(stages, list):
        yield from ("--curriculum", "paper" if len(stages) == 4 else "cpu")
    yield from ("--seed", str(config.get("seed", 0)))
