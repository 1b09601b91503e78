"""Training the runs of a plan that are missing, within a budget: a few processes at a time, in the plan's order.

A run is begun only where its expected time still fits into the budget, since half a run is of no use to any figure.
"""

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
    """The outcome of a plan, which took ``seconds`` of wall time.

    ``finished`` are names of runs, those that an earlier call had finished among them; ``skipped`` ones would not have
    finished in time; ``failed`` ones left a log file each.
    """

    finished: list[str]
    skipped: list[str]
    failed: dict[str, Path]
    seconds: float

    def __post_init__(self) -> None:
        names = [*self.finished, *self.skipped, *self.failed]
        if len(set(names)) != len(names):
            raise ValueError(f"expected every run under one outcome, got {', '.join(names)}")


def is_finished(folder: Path, run: PlannedRun) -> bool:
    """Tell if the folder holds this very run, finished.

    Raises:
        ValueError: the folder holds a run of other settings.
    """
    if not (folder / "run.json").is_file():
        return False
    if run_folder.settings_of(folder) != run.settings():
        raise ValueError(f"expected {folder} to be a run of the plan's settings, got others; give another --out")
    # the weights are written before the last measurement: a run that died between the two has no final.json yet
    return (folder / "final.json").is_file() and (folder / "model.safetensors").is_file()


def train_missing(
    runs: Sequence[PlannedRun],
    out: Path,
    *,
    seconds: float,
    jobs: int,
    say: Callable[[str], None],
) -> Trained:
    """Train runs in the order of the list, ``jobs`` processes at a time, each in the folder ``out/NAME``.

    A run is begun while its expected time fits into what is left of ``seconds`` from now. Finished runs are kept as
    they are, and interrupted ones go on from their last checkpoint. A process writes to ``out/NAME.log``; ``say`` gets
    a line when a run begins and when it ends. At Ctrl-C the processes save and stop, and KeyboardInterrupt reaches the
    caller.
    """
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    finished: list[str] = []
    skipped: list[str] = []
    failed: dict[str, Path] = {}
    lock = threading.Lock()  # threads that wait for a process each share the lists and the slowdown
    stop = threading.Event()
    # The largest ratio of measured to expected seconds so far. Expected times are of another machine, and on a busy one
    # a budget would be missed by the same factor. A list, since threads write to it.
    slowdown = [1.0]

    def train_one(run: PlannedRun) -> None:
        folder, log = out / run.name, out / f"{run.name}.log"
        if is_finished(folder, run):
            with lock:
                finished.append(run.name)
            return
        # asked when a process is free, not at the begin: the runs before may have taken longer than expected
        left = seconds - (time.monotonic() - begun)
        if stop.is_set() or run.expected * slowdown[0] > left:
            with lock:
                skipped.append(run.name)
            return
        say(f"training {run.name} (about {run.expected * slowdown[0]:.0f} s)")
        started = time.monotonic()
        # as a process of its own: torch's threads, its memory and a crash stay there
        model = ["--model", run.model] if run.model else []
        sets = [part for assignment in run.assignments() for part in ("--set", assignment)]
        arguments = [run.recipe, *model, *sets, "--out", str(folder)]
        if (folder / "run.json").is_file():
            arguments = ["--resume", str(folder)]
        # appended: what an earlier call wrote about an interrupted run is part of its story
        with log.open("ab") as file:
            code = subprocess.run(
                children.command(*arguments), stdout=file, stderr=file, check=False, env=children.environment()
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
            list(pool.map(train_one, runs))
        except KeyboardInterrupt:
            stop.set()  # the pool waits for every run in its queue: those must return at once
            raise
    order = [run.name for run in runs]
    return Trained(
        finished=sorted(finished, key=order.index),
        skipped=sorted(skipped, key=order.index),
        failed=failed,
        seconds=time.monotonic() - begun,
    )
