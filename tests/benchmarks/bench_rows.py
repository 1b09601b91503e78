"""What a mined row costs and where, by one checkout or by two in turns.

    python tests/benchmarks/bench_rows.py --after . --before ../before sdist/more_itertools --limit 60 --follow 1
    python tests/benchmarks/bench_rows.py --before ../before a.tar.gz --sources test --environment auto --every 10

The snippets are found as ``trace-mine`` finds them, cut into its units, and some of a unit at a time are traced by one
process for each checkout, in turns, so that both meet the same load. CPU seconds are those of all processes, jails
included; jobs are what runners used from their fork to their end. The rows of both checkouts are compared whole: how
many are equal is told, and in which columns the others differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
Costs = dict[str, tuple[int, float]]
"""By kind of job: the number of runs, and their CPU seconds."""


class Meter:
    """Counts what the runs of all workers of this process take."""

    def __init__(self) -> None:
        self.num_runs: Counter[str] = Counter()
        self.cpu_seconds: dict[str, float] = defaultdict(float)

    def note(self, kind: str, cpu_seconds: float) -> None:
        self.num_runs[kind] += 1
        self.cpu_seconds[kind] += cpu_seconds

    def install(self) -> None:
        """Have all tracers of this process use metered workers."""
        from trace_mine.tracer import session
        from trace_mine.tracer.replays import jails
        from trace_mine.tracer.sandbox import Worker

        note = self.note

        class MeteredWorker(Worker):
            def run(self, job: Any, *arguments: Any, **options: Any) -> Any:
                outcome = super().run(job, *arguments, **options)
                note(type(job).__name__.removesuffix("Job").lower(), outcome.cpu_seconds)
                return outcome

            def converse(self, request: Any, *arguments: Any, **options: Any) -> Any:
                spoken, report = super().converse(request, *arguments, **options)
                prompt = "stock" if self.jail.warm else "fresh"
                note(prompt if request.program is None else request.program.rpartition(".")[2], report.cpu_seconds)
                return spoken, report

        session.Worker = jails.Worker = MeteredWorker  # type: ignore[misc, attr-defined]


def serve() -> None:
    """Trace the units that come on standard input, by the checkout that PYTHONPATH names."""
    from trace_mine.corpus.mined.tracing import close_tracer, trace_unit
    from trace_mine.corpus.rows import Row

    meter = Meter()
    meter.install()
    for line in sys.stdin:
        items = [each.columns if isinstance(each, Row) else None for each in trace_unit(json.loads(line))]
        costs = {kind: (num, meter.cpu_seconds[kind]) for kind, num in meter.num_runs.items()}
        print(json.dumps({"rows": items, "costs": costs}, default=repr), flush=True)
    close_tracer()


class Arm:
    """One checkout, in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), "--serve"],
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.rows: list[dict[str, Any] | None] = []
        self.costs: Costs = {}

    def trace(self, payload: dict[str, Any]) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(payload) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.rows += answer["rows"]
        self.costs = {kind: (num, seconds) for kind, (num, seconds) in answer["costs"].items()}

    @property
    def num_rows(self) -> int:
        return sum(row is not None for row in self.rows)

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

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


TOGETHER = 8
"""Snippets that one checkout traces before it is the other one's turn."""


def units_of(
    repository: Path, sources: Sequence[str], follow: int, limit: int, staging: Path, environment: str, every: int
) -> Iterator[Any]:
    """The payloads of the repository's units, of each the snippets that are taken, a few at a time."""
    from trace_mine.corpus.mined.miner import Mined, MineOptions

    options = MineOptions(entries=tuple(sources), follow=follow, limit=limit, environment=environment)
    number = 0
    for unit in Mined([str(repository)], options, staging).units():
        if "tracer" not in unit.payload:
            continue  # a repository that could not be read
        snippets: Any = unit.payload["snippets"]
        taken = [each for index, each in enumerate(snippets, number) if index % every == 0]
        number += len(snippets)
        for start in range(0, len(taken), TOGETHER):
            yield {**unit.payload, "snippets": taken[start : start + TOGETHER]}


def show(name: str, arm: Arm, cpu_seconds: float) -> float:
    """Print a table of what the rows cost; return the CPU seconds of their jobs."""
    rows = max(arm.num_rows, 1)
    jobs = sum(seconds for _, seconds in arm.costs.values())
    commands = sum(len(row["steps"]) for row in arm.rows if row is not None)
    print(
        f"{name}: {arm.num_rows} rows of {len(arm.rows)} snippets, {commands / rows:.1f} commands each; "
        f"{jobs / rows * 1e3:.1f} ms of jobs, {cpu_seconds / rows * 1e3:.1f} ms of CPU a row"
    )
    for kind, (num, seconds) in sorted(arm.costs.items()):
        each, share = seconds / num * 1e3, seconds / rows * 1e3
        print(f"  {kind:10}{num / rows:6.2f} runs a row{each:8.1f} ms each{share:8.1f} ms a row")
    return jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repositories", type=Path, nargs="+", help="checkouts or unpacked sdists")
    parser.add_argument("--after", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--before", type=Path)
    parser.add_argument("--sources", default="doctest")
    parser.add_argument("--limit", type=int, default=60, help="snippets of each repository")
    parser.add_argument("--follow", type=int, default=3)
    parser.add_argument("--environment", default="none", help="as of trace-mine")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th snippet")
    options = parser.parse_args()
    arms = {"before": Arm(options.before)} if options.before else {}
    arms["after"] = Arm(options.after)
    turn = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as staging:
        for repository in options.repositories:
            path = repository.resolve()
            for payload in units_of(
                path,
                options.sources.split(","),
                options.follow,
                options.limit,
                Path(staging),
                options.environment,
                options.every,
            ):
                turn += 1
                for arm in [*arms.values()][:: 1 if turn % 2 else -1]:
                    arm.trace(payload)
    cpu = {name: arm.cpu_seconds() for name, arm in arms.items()}
    jobs = {name: show(name, arm, cpu[name]) for name, arm in arms.items()}
    for arm in arms.values():
        arm.close()
    if options.before:
        before, after = arms["before"].rows, arms["after"].rows
        different = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        print(f"after / before: jobs {jobs['after'] / jobs['before']:.3f}, all {cpu['after'] / cpu['before']:.3f}")
        print(f"rows equal: {sum(row is not None for row in before) - len(different)}, different: {len(different)}")
        for first, second in different:
            columns = [name for name in first or () if second is None or first[name] != second[name]]  # type: ignore[index]
            print(f"different in {(first or second or {}).get('name')}: {', '.join(columns) or 'a row is missing'}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main()
