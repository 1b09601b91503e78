"""Exact beliefs of edited sessions against two references: Bayes over all draws, and plain runs of CPython.

    PYTHONPATH=. python tests/benchmarks/exactness.py DATASET REPOSITORY... [--sessions 200] [--runs 1000] [--json FILE]

DATASET is what ``trace-mine --inject`` wrote of the repositories (archives or folders). Of the sessions with an open
exact belief, taken in the order of their hashes, each is run in a jail in two ways, with nothing of the engine:

* once for every outcome of every draw (``tests/reference/edited_runs.py``), where these are at most ``--ways``: the
  largest difference of a probability is printed;
* ``--runs`` times with CPython's own generator: for each open belief the outcomes of those runs that had shown the same
  before are held against it by a chi-square test. Of so many tests the least p-value is expected near 1 / their number.

The jail's hash seed is not the row's: an outcome that shows the order of a set of texts may come out otherwise.
"""

from __future__ import annotations

import argparse
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reach import Plan, Repository
from scipy.stats import chi2

from trace_mine.eval.mined import rows_of
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.two_worlds import jail_of

HERE = Path(__file__).parent
CODE = (HERE.parent / "reference" / "edited_runs.py").read_text() + (HERE / "exactness_inside.py").read_text().replace(
    "from __future__ import annotations\n", "", 1
)
LIMITS = Limits(cpu_seconds=120, wall_seconds=600.0, memory_bytes=2 << 30, output_bytes=64 << 20)
FEWEST = 5.0
"""Expected number of an outcome below which it is counted together with others."""


def ask(worker: Worker, function: str, *arguments: object) -> tuple[Any, str]:
    """The answer of a function of ``exactness_inside``, or None, and how it ended."""
    word = secrets.token_hex(16)
    source = f"{CODE}\n{function}{(word, *arguments)!r}\n"
    outcome = worker.run(PlainJob(source=source, counts_events=False), LIMITS)
    for line in outcome.stdout.split(b"\n"):
        if line.startswith(f"{word} ".encode()):
            return json.loads(line[33:]), "ok"
    return None, f"{outcome.status} {outcome.stderr.decode('utf-8', 'replace').strip()[-200:]}"


def p_value(law: Mapping[str, float], counts: Mapping[str, int]) -> float:
    """Of a chi-square test; 0 where a text came that the law does not have."""
    total = sum(counts.values())
    if set(counts) - {text for text, p in law.items() if p > 0}:
        return 0.0
    cells: list[tuple[float, int]] = []
    rest: tuple[float, int] = (0.0, 0)
    for text, p in law.items():
        if p * total >= FEWEST:
            cells.append((p * total, counts.get(text, 0)))
        else:
            rest = (rest[0] + p * total, rest[1] + counts.get(text, 0))
    if rest[0] >= FEWEST:
        cells.append(rest)
    if len(cells) < 2:
        return 1.0
    return float(chi2.sf(sum((seen - expected) ** 2 / expected for expected, seen in cells), len(cells) - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("repositories", nargs="+")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--ways", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [row for row in rows_of(given.dataset) if any(is_open(belief) for belief in row["beliefs"])]
    rows = sorted(rows, key=lambda row: row["trace_id"])[: given.sessions]
    results: list[dict[str, Any]] = []
    for text in given.repositories:
        with tempfile.TemporaryDirectory(prefix="exactness-") as folder:
            Path(folder).chmod(0o755)
            plan = Plan(text, Path(folder), entries=("doctest",))
            mine = [row for row in rows if row["repository"] == plan.name]
            if mine:
                results += of_repository(Repository(plan.tracer), mine, given.runs, given.ways)
            plan.units.close()  # type: ignore[attr-defined]
    summary(results)
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1))


def of_repository(repository: Repository, rows: Sequence[Mapping[str, Any]], runs: int, ways: int) -> list[Any]:
    """Hold each session against both references."""
    made = []
    for row in rows:
        sent = json.dumps({key: row[key] for key in ("setup", "steps", "segments")} | {"beliefs": exact_of(row)})
        with Worker(jail_of(repository.config, replaying=True), LIMITS, **repository.config.worker_levels) as worker:
            root = worker.inside(repository.config.repository)
            worst, how = ask(worker, "by_all_draws", root, sent, ways)
            seen, how_seen = ask(worker, "by_chance", root, sent, runs, 60.0)
        values = []
        for belief, counts in zip(exact_of(row), (seen or {}).get("counts", ()), strict=False):
            law = dict(zip(belief["outcomes"], belief["probabilities"], strict=True))
            if sum(counts.values()) >= 50:
                values.append(p_value(law, counts))
        made.append(
            {
                "name": f"{row['repository']} {row['name']}",
                "worst": worst,
                "how": how,
                "runs": (seen or {}).get("runs", 0),
                "how_seen": how_seen,
                "p_values": values,
            }
        )
        print(made[-1], flush=True)
    return made


def is_open(belief: Mapping[str, Any]) -> bool:
    return belief["method"] == "exact" and len(belief["outcomes"]) > 1


def exact_of(row: Mapping[str, Any]) -> list[Any]:
    return [belief for belief in row["beliefs"] if is_open(belief)]


def summary(results: Sequence[Mapping[str, Any]]) -> None:
    """Print the worst of all sessions."""
    brute = [each["worst"] for each in results if each["worst"] is not None]
    values = sorted(p for each in results for p in each["p_values"])
    ends = Counter(end for each in results for end in (each["how"], each["how_seen"]))
    print(f"{len(results)} sessions; runs ended {dict(ends.most_common(5))}")
    if brute:
        print(f"all draws: {len(brute)} sessions, largest difference {max(brute):.2g}")
    if values:
        runs = sum(each["runs"] for each in results)
        few = sum(p < 0.001 for p in values)
        print(f"plain runs: {runs} runs, {len(values)} tests, least p {values[0]:.2g}, {few} below .001")


if __name__ == "__main__":
    main()
