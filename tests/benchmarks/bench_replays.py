"""CPU seconds of replaying rows, before and after, in turns.

    python tests/benchmarks/bench_replays.py DATASET --repository FOLDER --before CHECKOUT [--rows 100] [--rounds 3]

DATASET was mined from FOLDER (left out: from modules of the standard library), CHECKOUT is the project at another
commit, with its own ``trace_mine``. Each arm is a process of its own with its jail; rows alternate between them, so
that both meet the same load. CPU is that of the arm's process and of all below it, its zygote included: compare the
arms, not the numbers with those of another day.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--repository", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--warm", default="", help="modules that a miner would import before, with commas between")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.repository, options.warm)
        return
    rows = read_rows(options.dataset, options.rows)
    here = Path(__file__).resolve().parents[2]
    roots = {"after": here} if options.before is None else {"before": options.before, "after": here}
    arms = {name: Arm(root, options.repository, options.warm) for name, root in roots.items()}
    for arm in arms.values():  # one round for nothing: jails start, and import what they must
        for row in rows:
            arm.replay(row)
        arm.wall_seconds, arm.num_refused = 0.0, 0
    started = {name: arm.cpu_seconds() for name, arm in arms.items()}
    for turn in range(options.rounds):
        for index, row in enumerate(rows):
            names = list(arms) if (turn + index) % 2 else list(arms)[::-1]
            for name in names:
                arms[name].replay(row)
    sessions, commands = options.rounds * len(rows), options.rounds * sum(row["num_commands"] for row in rows)
    print(f"{sessions} sessions of {commands / sessions:.0f} commands, load {os.getloadavg()[0]:.1f}")
    spent = {name: arm.cpu_seconds() - started[name] for name, arm in arms.items()}
    for name, arm in arms.items():
        each = spent[name] / sessions * 1e3
        wall = arm.wall_seconds / sessions * 1e3
        print(f"{name:7} {each:7.1f} ms CPU, {wall:7.1f} ms wall a session; {arm.num_refused} refused")
    if len(arms) == 2:
        print(f"after / before: {spent['after'] / spent['before']:.2f}")


def read_rows(dataset: Path, limit: int) -> list[dict[str, Any]]:
    """Rows as the arms take them, the first of each shard."""
    import pyarrow.parquet as parquet

    rows = []
    for path in sorted(dataset.glob("data/*.parquet")):
        rows += parquet.read_table(path, columns=["text", "setup", "states"]).to_pylist()
    return [as_sent(row) for row in rows[:: max(1, len(rows) // limit)][:limit]]


def as_sent(row: dict[str, Any]) -> dict[str, Any]:
    """Text, set-up and what each command changed, by the states before and after it."""
    states = [json.loads(state) if isinstance(state, str) else dict(state) for state in row["states"]]
    setup = json.loads(row["setup"]) if isinstance(row["setup"], str) else row["setup"]
    changes = [
        {name: value for name, value in after.items() if value is not None and before.get(name) != value}
        for before, after in zip([{}, *states], states, strict=False)
    ]
    return {"text": row["text"], "setup": setup, "changes": changes, "num_commands": len(states)}


class Arm:
    """One version of the project, in a process of its own."""

    def __init__(self, root: Path, repository: Path | None, warm: str) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "-", "--serve", "--warm", warm]
        command += [] if repository is None else ["--repository", str(repository.resolve())]
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wall_seconds, self.num_refused = 0.0, 0

    def replay(self, row: dict[str, Any]) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        began = time.perf_counter()
        self.process.stdin.write(json.dumps(row) + "\n")
        self.process.stdin.flush()
        holds = json.loads(self.process.stdout.readline())
        self.wall_seconds += time.perf_counter() - began
        self.num_refused += not holds

    def cpu_seconds(self) -> float:
        """Of the process and all below it: those that live, and those that were waited for."""
        total, waiting = 0, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
        return total / TICKS


def serve(repository: Path | None, warm: str) -> None:
    """Replay what comes on standard input, by whatever this version of the project has for it."""
    import trace_mine.tracer.session as session
    from trace_mine.tracer.two_worlds import jail_of

    replay: Callable[[dict[str, Any]], bool] | None = None
    for line in sys.stdin:
        row = json.loads(line)
        if replay is None:
            paths = tuple(row["setup"]["sys_path"])
            modules = tuple(filter(None, warm.split(",")))
            config = session.TracerConfig(repository=repository, sys_path=paths, warm=modules)
            replay = outside(config) if Path("tracer/replays").is_dir() else inside(config, jail_of)
        print(json.dumps(replay(row)), flush=True)


def outside(config: Any) -> Callable[[dict[str, Any]], bool]:
    """Replays whose verdict is the supervisor's, by the readers that are chosen for a row."""
    from trace_mine.tracer.inside.protocol.jobs import Program
    from trace_mine.tracer.replays.choice import is_chosen, readers_for
    from trace_mine.tracer.replays.jails import ReplayJails
    from trace_mine.tracer.replays.questions import question_of
    from trace_mine.tracer.replays.registry import READERS
    from trace_mine.tracer.replays.session import Session, commands_of, differences

    jails = ReplayJails(config)

    def replay(row: dict[str, Any]) -> bool:
        commands = commands_of(row["text"])
        asked = tuple(tuple(question_of(*each) for each in changes.items()) for changes in row["changes"])
        program = Program(module=row["setup"]["module"], code=row["setup"]["code"])
        given = Session(commands=commands, program=program, questions=asked if len(asked) == len(commands) else ())
        holds = True
        for name in readers_for(commands, (row["text"], program.code), (), audit=is_chosen(row["text"], 0)):
            reader = READERS[name]
            holds = not differences(commands, reader.read(jails.worker(reader.jail), given, 0)) and holds
        return holds

    return replay


def inside(config: Any, jail_of: Callable[..., Any]) -> Callable[[dict[str, Any]], bool]:
    """Replays whose verdict was that of the replaying process: a console and a doctest."""
    from trace_mine.tracer.inside.protocol.jobs import Program, ReplayJob
    from trace_mine.tracer.sandbox import Worker

    worker = Worker(jail_of(config, replaying=True), config.limits)

    def replay(row: dict[str, Any]) -> bool:
        program = Program(module=row["setup"]["module"], code=row["setup"]["code"])
        watch = tuple(tuple(changes) for changes in row["changes"])
        holds = True
        for reader in ("console", "doctest"):
            outcome = worker.run(
                ReplayJob(reader=reader, program=program, text=row["text"], watch=watch)  # type: ignore[call-arg]
            )
            holds = bool(outcome.records) and not getattr(outcome.records[-1], "differences", True) and holds
        return holds

    return replay


if __name__ == "__main__":
    main()
