"""The same programs under each interpreter that is found, side by side: outcomes, commands, own frames, drops.

    PYTHONPATH=.:tests/reference python tests/benchmarks/compare_interpreters.py --random 200 [FOLDER ...]

Prints a table by interpreter, then each program whose outcome, exit code or printed text is not the same under all. The
samples are always among the programs; a folder's are its ``*.py`` and ``*/input.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import interpreters
import rich_programs
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a program under one interpreter."""

    ended: str
    printed: str
    exit_code: int
    commands: int
    frames: int
    opened: int
    kept: Counter[str]


def programs(folders: list[Path], num_random: int, seed: int) -> dict[str, str]:
    """Name to source."""
    paths = [path for folder in (TESTS / "samples", *folders) for path in folder.glob("*.py")]
    paths += [path for folder in folders for path in folder.glob("*/input.py")]
    named = {
        path.parent.name if path.name == "input.py" else path.stem: path.read_text(encoding="utf-8")
        for path in sorted(paths)
    }
    return named | {
        f"random {seed + n}": rich_programs.rich_program(random.Random(seed + n)) for n in range(num_random)
    }


def seen(tracer: Tracer, name: str, source: str) -> Seen:
    """Trace a program as ``trace-run`` does."""
    made = tracer.trace(script_snippet(source, f"{name}.py", (), stdin=b"3\n4\n"), lenient=True)
    if not isinstance(made, Trace):
        return Seen(
            ended=f"drop: {made.reason}", printed="", exit_code=1, commands=0, frames=0, opened=0, kept=Counter()
        )
    shown = "".join(step.output for step in made.steps if step.kind == "statement" and "print" in step.source)
    return Seen(
        ended=f"{made.outcome} {made.exception or ''}".strip(),
        printed=hashlib.sha256(shown.encode()).hexdigest()[:8],
        exit_code=3 if made.failed_checks else 0,
        commands=len(made.steps),
        frames=made.own_frames,
        opened=made.opened_frames,
        kept=Counter(made.kept_whole),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", action="append", default=[])
    given = parser.parse_args()
    pythons = given.python or [path for minor in interpreters.MINORS if (path := interpreters.found(minor))]
    sources = programs(given.folders, given.random, given.seed)
    table: dict[str, dict[str, Seen]] = {}
    for python in pythons:
        with Tracer(TracerConfig(python=python)) as tracer:
            table[tracer.python_version] = {name: seen(tracer, name, source) for name, source in sources.items()}
    print("| Python | programs | sessions | marked | commands | own frames | opened | kept whole |")
    print("|---|---|---|---|---|---|---|---|")
    for version, found in table.items():
        sessions = [each for each in found.values() if each.exit_code != 1]
        kept = sum((each.kept for each in sessions), Counter[str]())
        frames, opened = sum(each.frames for each in sessions), sum(each.opened for each in sessions)
        print(
            f"| {version} | {len(found)} | {len(sessions)} | {sum(each.exit_code == 3 for each in sessions)} | "
            f"{sum(each.commands for each in sessions):,} | {frames:,} | {opened:,} ({opened / max(frames, 1):.1%}) | "
            f"{kept.total():,} |"
        )
    for name in sources:
        rows = {version: found[name] for version, found in table.items()}
        if len({(each.ended, each.exit_code, each.printed) for each in rows.values()}) > 1:
            print(f"{name}: the outcome differs", *(f"\n    {v}: {each}" for v, each in rows.items()))
        elif len({each.commands for each in rows.values()}) > 1:
            told = ", ".join(f"{v} {each.commands} ({each.opened} of {each.frames})" for v, each in rows.items())
            print(f"{name}: commands {told}")


if __name__ == "__main__":
    main()
