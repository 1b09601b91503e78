"""Training what is missing within a budget: a few processes at a time, nothing begun that wouldn't finish in time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trace_mine.eval.plan import PlannedRun
from trace_mine.train import children, run_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What became of the plan: names of runs that are ``finished``, left out for want of time (``skipped``), and
    ``failed`` (name to log file); ``seconds`` of wall time.
    """

    finished: list[str]
    skipped: list[str]
    failed: dict[str, Path]
    seconds: float


def is_finished(folder: Path, run: PlannedRun) -> bool:
    """Whether the folder holds this very run, finished.

    Raises:
        ValueError: it holds another run.
    """
    if not (folder / "run.json").is_file():
        return False
    told, wanted = run_folder.settings_of(folder), run.settings()
    if told != wanted:
        raise ValueError(f"expected {folder} to be a run of the plan's settings, got others; give another --out")
    return (folder / "final.json").is_file() and (folder / "model.safetensors").is_file()


def train_missing(
    runs: Sequence[PlannedRun],
    out: Path,
    *,
    seconds: float,
    jobs: int,
    say: Callable[[str], None],
) -> Trained:
    """Trains in the order of the list, ``jobs`` processes at a time, in folders ``out/NAME``; a run is begun while its
    expected time still fits into ``seconds`` from now. Finished runs are kept as they are, interrupted ones go on.

    Interrupted by Ctrl-C the processes save and stop, and KeyboardInterrupt goes on to the caller.
    """
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    finished: list[str] = []
    skipped: list[str] = []
    failed: dict[str, Path] = {}
    lock = threading.Lock()
    stop = threading.Event()
    slowdown = [1.0]  # the largest of measured over expected seconds so far, of this machine today

    def one(run: PlannedRun) -> None:
        folder, log = out / run.name, out / f"{run.name}.log"
        if is_finished(folder, run):
            with lock:
                finished.append(run.name)
            return
        left = seconds - (time.monotonic() - begun)
        if stop.is_set() or run.expected * slowdown[0] > left:
            with lock:
                skipped.append(run.name)
            return
        say(f"training {run.name} (about {run.expected * slowdown[0]:.0f} s)")
        started = time.monotonic()
        model = ["--model", run.model] if run.model else []
        sets = [part for assignment in run.assignments() for part in ("--set", assignment)]
        told = (
            ["--resume", str(folder)]
            if (folder / "run.json").is_file()
            else [run.recipe, *model, *sets, "--out", str(folder)]
        )
        with log.open("ab") as file:
            code = subprocess.run(
                children.command(*told), stdout=file, stderr=file, check=False, env=children.environment()
            ).returncode
        taken = time.monotonic() - started
        with lock:
            if code == 0:
                finished.append(run.name)
                slowdown[0] = max(slowdown[0], taken / run.expected)
            else:
                failed[run.name] = log
        say(f"{run.name}: {'done' if code == 0 else f'failed with {code}, see {log}'} after {taken:.0f} s")

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            list(pool.map(one, runs))
        except KeyboardInterrupt:
            stop.set()
            raise
    order = [run.name for run in runs]
    return Trained(
        finished=sorted(finished, key=order.index),
        skipped=sorted(skipped, key=order.index),
        failed=failed,
        seconds=time.monotonic() - begun,
    )
