"""What a row costs and where: ``python tests/benchmarks/bench_pipeline.py FOLDER [--sources S] [--limit N]``.

Finds the folder's snippets as ``trace-mine`` does and traces them with one ``Tracer``, in this process;
nothing is written. CPU seconds are of everything: this process and, through rusage, the sandbox's. The shares: the four
kinds of run, by what their own processes used from the fork's end to their end; ``outside``, this process, which
checks,
renders and decodes; ``rest``, the sandbox's start, its imports, and forking and ending runners.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import trace_mine.tracer.replays.jails
import trace_mine.tracer.session
from trace_mine.corpus.mined.dependencies import find_dependencies
from trace_mine.corpus.mined.discovery import Survey
from trace_mine.corpus.mined.miner import warm_modules
from trace_mine.corpus.mined.repositories import NamedInput, find_targets
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.tracer.inside.protocol.jobs import Job
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.prompt import RunRequest
from trace_mine.tracer.schema import Drop, Outcome, Trace
from trace_mine.tracer.session import Tracer, TracerConfig

KINDS = ("native", "drive", "replay", "prompt", "doc", "literal")
REPLAYS = ("replay", "prompt", "doc", "literal")
"""Kinds of replays: with recorded draws, at the interpreter's prompt, and by programs of ours (``inside.readers``)."""


def kind_of(job: Job) -> str:
    """One of KINDS, or the name of another kind of job."""
    return type(job).__name__.removesuffix("Job").lower()


class Meter:
    """CPU and wall seconds and number of runs, by kind of job."""

    def __init__(self) -> None:
        self.cpu_seconds: dict[str, float] = defaultdict(float)
        self.wall_seconds: dict[str, float] = defaultdict(float)
        self.num_runs: Counter[str] = Counter()

    def metered(self) -> type[Worker]:
        """The worker's class with this meter in its ``run``."""
        meter = self

        class MeteredWorker(Worker):
            def run(self, job: Job, *arguments: Any, **options: Any) -> Outcome:
                started = time.perf_counter()
                outcome = super().run(job, *arguments, **options)
                meter.wall_seconds[kind_of(job)] += time.perf_counter() - started
                meter.cpu_seconds[kind_of(job)] += outcome.cpu_seconds
                meter.num_runs[kind_of(job)] += 1
                return outcome

            def converse(self, request: RunRequest, *arguments: Any, **options: Any) -> Any:
                started = time.perf_counter()
                spoken, report = super().converse(request, *arguments, **options)
                kind = "prompt" if request.program is None else request.program.rpartition(".")[2]
                meter.wall_seconds[kind] += time.perf_counter() - started
                meter.cpu_seconds[kind] += report.cpu_seconds
                meter.num_runs[kind] += 1
                return spoken, report

        return MeteredWorker


def cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def trace_folder(folder: Path, sources: list[str], limit: int | None) -> int:
    """Traces the folder's snippets and prints the table; the exit code."""
    meter = Meter()
    trace_mine.tracer.session.Worker = meter.metered()  # type: ignore[misc]
    trace_mine.tracer.replays.jails.Worker = meter.metered()  # type: ignore[misc]
    own_before, children_before = cpu_seconds(resource.RUSAGE_SELF), cpu_seconds(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    traces: list[Trace] = []
    drops: Counter[str] = Counter()
    num_found = 0
    targets = [target for target in find_targets([str(folder)]) if isinstance(target, NamedInput)]
    for target in targets:
        survey = Survey(target.path)
        dependencies = find_dependencies(survey.imports, own=survey.layout.top_level_names())
        groups: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
        for snippet in islice(survey.snippets(sources), limit):
            groups[snippet.sys_path].append(snippet.candidate())
        for sys_path, members in groups.items():
            num_found += len(members)
            config = TracerConfig(
                repository=target.path,
                sys_path=sys_path,
                packages=tuple(dependencies.packages),
                warm=tuple(warm_modules(survey.imports, dependencies, members)),
            )
            with Tracer(config) as live:
                print(f"{target.path.name} {sys_path}: {len(members)} snippets, {live.sandbox}")
                for member in members:
                    result = member.drop or live.trace(member.snippet)
                    if isinstance(result, Drop):
                        drops[result.reason] += 1
                    else:
                        traces.append(result)
    wall = time.perf_counter() - started
    own = cpu_seconds(resource.RUSAGE_SELF) - own_before
    children = cpu_seconds(resource.RUSAGE_CHILDREN) - children_before
    if not traces:
        print(f"no rows of {num_found} snippets; dropped: {dict(drops.most_common())}")
        return 1
    total = own + children
    print(f"found {num_found}, rows {len(traces)}, dropped {dict(drops.most_common())}")
    print(f"{total / len(traces) * 1000:.1f} CPU seconds per 1,000 rows; {len(traces) / wall:.0f} rows/s of wall time")
    shares = {kind: meter.cpu_seconds[kind] for kind in KINDS}
    shares["outside"] = own
    shares["rest"] = children - sum(meter.cpu_seconds.values())
    print(f"{'':10}{'runs':>8}{'CPU s':>9}{'share':>8}{'CPU ms/run':>12}{'wall ms/run':>13}")
    for name, spent in shares.items():
        runs = meter.num_runs[name]
        each = f"{spent / runs * 1e3:12.1f}{meter.wall_seconds[name] / runs * 1e3:13.1f}" if runs else ""
        print(f"{name:10}{runs or '':>8}{spent:9.2f}{spent / total:8.0%}{each}")
    num_replays = sum(meter.num_runs[kind] for kind in REPLAYS)
    replay_cpu = sum(meter.cpu_seconds[kind] for kind in REPLAYS)
    replay_wall = sum(meter.wall_seconds[kind] for kind in REPLAYS)
    num_commands = sum(len(each.steps) for each in traces)
    print(
        f"replays: {num_replays / replay_cpu:.0f} per CPU second, {num_replays / replay_wall:.0f} a second; "
        f"{num_commands} commands in the rows, {num_commands / len(traces):.1f} each"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a checkout or an unpacked sdist")
    parser.add_argument("--sources", default="doctest,script,test", help="as for trace-mine")
    parser.add_argument("--limit", type=int, help="at most this many snippets")
    options = parser.parse_args()
    if not options.folder.exists():
        parser.error(f"expected a folder, got {options.folder}; give the path of a repository")
    return trace_folder(options.folder, options.sources.split(","), options.limit)


if __name__ == "__main__":
    sys.exit(main())
