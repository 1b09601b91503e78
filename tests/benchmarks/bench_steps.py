"""Training steps of a recipe against those of another checkout, step by step in turns, in CPU seconds.

    python tests/benchmarks/bench_steps.py CHECKOUT [RECIPE] [STEPS]

CHECKOUT is a folder with another version of this repository, its C library built. Each of the two trains the recipe
(``quick``) on one thread in a process of its own, which does one step when it is asked to, so that a busy machine slows
both. A step is all that the Trainer does between two of them: data, forward, backward, optimiser, counts. Logs,
evaluations and checkpoints are left out of both. The ratio is the median over steps of (theirs / ours): steps have the
same rows in both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
STEPS = 60


def work(recipe: str, steps: int) -> None:
    """Train the recipe's last stage; before each step wait for a line, after it say what it took."""
    import time
    from dataclasses import replace

    from transformers import TrainerCallback

    from trace_mine.train.own_models import OwnModels
    from trace_mine.train.recipes import RECIPES
    from trace_mine.train.running import check_machine, seed_everything

    settings = RECIPES[recipe]()
    last = replace(settings.stages[-1], steps=steps)
    settings = replace(settings, stages=(last,), log_every=10**6, save_every=10**6, evaluate_every=0, device="cpu")
    check_machine(settings)
    kind = OwnModels(settings)
    seed_everything(0)

    class Turns(TrainerCallback):  # type: ignore[misc, unused-ignore]
        started = 0.0

        def on_train_begin(self, *_: object, **__: object) -> None:
            self.wait()

        def on_step_end(self, *_: object, **__: object) -> None:
            print(f"step {time.process_time() - self.started}", flush=True)
            self.wait()

        def wait(self) -> None:
            sys.stdin.readline()
            self.started = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        kind.trainer(kind.make(), settings, kind.data, Path(folder), [Turns()]).train()


def main() -> None:
    checkout, recipe = Path(sys.argv[1]).resolve(), (sys.argv[2:3] or ["quick"])[0]
    steps = int((sys.argv[3:4] or [STEPS])[0])
    workers = []
    for root in (checkout, HERE):
        arguments = [sys.executable, __file__, "--work", str(root), recipe, str(steps)]
        workers.append(subprocess.Popen(arguments, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    seconds: list[list[float]] = [[], []]
    for step in range(steps):
        for place, worker in enumerate(workers):
            assert worker.stdin is not None and worker.stdout is not None
            print(file=worker.stdin, flush=True)
            line = next((line for line in worker.stdout if line.startswith("step ")), None)
            if line is None:
                raise SystemExit(f"expected a step of {(checkout, HERE)[place]}, got the end of its process")
            if step >= 3:  # the first ones make streams and warm caches
                seconds[place].append(float(line.split()[1]))
    for worker in workers:
        worker.communicate("\n")
    ratios = sorted(theirs / ours for theirs, ours in zip(*seconds, strict=True))
    for name, each in zip((checkout, HERE), seconds, strict=True):
        print(f"{name}: {1000 * statistics.median(each):.0f} ms a step, {sum(each):.1f} CPU seconds")
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    print(
        f"{recipe}: a step of the first takes {statistics.median(ratios):.2f} times as long ({low:.2f} to {high:.2f})"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        sys.path.insert(0, sys.argv[2])
        work(sys.argv[3], int(sys.argv[4]))
    else:
        main()
