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
from trace_mine.eval.rate_sweeps import chosen, is_finished, rate_of, trials
from trace_mine.train import children


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


def train_missing(
    runs: Sequence[PlannedRun],
    out: Path,
    *,
    seconds: float,
    jobs: int,
    say: Callable[[str], None],
) -> Trained:
    """Train runs in the order of the list, ``jobs`` processes at a time, each in the folder ``out/NAME``.

    A run is begun while its expected time fits into what is left of ``seconds`` from now; before the first one of a
    group whose rate is to be chosen, the trials of its rates are trained. Finished runs are kept as they are, and
    interrupted ones go on from their last checkpoint. A process writes to ``out/NAME.log``; ``say`` gets a line when a
    run begins and when it ends. At Ctrl-C the processes save and stop, and KeyboardInterrupt reaches the caller.
    """
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    finished: list[str] = []
    skipped: list[str] = []
    failed: dict[str, Path] = {}
    lock = threading.Lock()  # threads that wait for a process each share the slowdown
    stop = threading.Event()
    # The largest ratio of measured to expected seconds so far. Expected times are of another machine, and on a busy one
    # a budget would be missed by the same factor. A list, since threads write to it.
    slowdown = [1.0]

    settling = {run.group: threading.Lock() for run in runs}

    def fits(expected: float) -> bool:
        # asked when a process is free, not at the begin: the runs before may have taken longer than expected
        left = seconds - (time.monotonic() - begun)
        return not stop.is_set() and expected * slowdown[0] <= left

    def train_one(run: PlannedRun) -> None:
        settled = run
        if run.rates:
            with settling[run.group]:  # the first run's process tries the rates, the group's others wait for it
                short = [each for each in trials(run).values() if not is_finished(out / each.name, each)]
                if short and not fits(sum(each.expected for each in short) + run.expected):
                    skipped.append(run.name)
                    return
                logs = [log for each in short if (log := train(each, tells_speed=False)) is not None]
                if logs:
                    failed[run.name] = logs[0]
                    return
                choice = chosen(out, run)
                if choice is None:  # a trial was interrupted
                    skipped.append(run.name)
                    return
                settled = run.at_rate(rate_of(choice, run))
        if not is_finished(out / run.name, settled):
            if not fits(run.expected):
                skipped.append(run.name)
                return
            log = train(settled, tells_speed=True)
            if log is not None:
                failed[run.name] = log
                return
        finished.append(run.name)

    def train(run: PlannedRun, *, tells_speed: bool) -> Path | None:
        """Train a run, which tells how fast this machine is unless it is a short one; return its log if it failed."""
        folder, log = out / run.name, out / f"{run.name}.log"
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
        if code == 0 and tells_speed:
            with lock:
                slowdown[0] = max(slowdown[0], taken / run.expected)
        say(f"{run.name}: {'done' if code == 0 else f'failed with {code}, see {log}'} after {taken:.0f} s")
        return log if code else None

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
