"""Holds a classifier that sees a dataset's commands against the beliefs of its sessions.

    PYTHONPATH=.:tests/reference python tests/benchmarks/told_by_classifier.py DATASET... [--draws 100]

DATASET has several sessions of each program (``--sessions 12``), under any view that hides outcomes: unlike
``told_by_commands.py`` this also judges views whose reveals are drawn anew for each session. Sessions are read from the
results that its units left in its ledger, where those that came twice are there twice: a dataset has each once, so that
rare outcomes are more frequent in it than they are. Printed is the gain of the
classifier over the beliefs on sessions that it has not learnt from, where it stands among the gains with outcomes that
were drawn from the beliefs, and what it gains where commands at some places tell the outcome.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from told_classifier import gain, null_gains, places_of, with_leak
from trace_mine.train.held_out import Row


def sessions_of(dataset: Path) -> list[Row]:
    """All sessions that a dataset's units gave, before duplicates were taken out."""
    rows: list[Row] = []
    for path in sorted((dataset / ".ledger" / "results").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows += [row for row in map(json.loads, file) if "beliefs" in row]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--draws", type=int, default=100, help="gains with outcomes that are drawn")
    arguments = parser.parse_args()
    for dataset in arguments.datasets:
        rows = sessions_of(dataset)
        places = places_of(rows)
        if not places:
            print(f"{dataset}: {len(rows)} sessions, no open output")
            continue
        seen, nulls = gain(places), np.array(null_gains(places, arguments.draws))
        above = (1 + int(np.sum(nulls >= seen))) / (1 + len(nulls))
        programs = {(row["path"], row["name"]) for row in rows}
        print(f"{dataset}: {len(rows)} sessions of {len(programs)} programs, {len(places)} open outputs")
        print(
            f"  gain {seen:+.5f} nats; where outcomes are drawn {nulls.mean():+.5f} ({nulls.std():.5f}); p {above:.3f}"
        )
        leaks = [f"{gain(with_leak(places, share)):+.5f} at {share:.0%}" for share in (0.02, 0.05, 0.1, 0.3)]
        print(f"  where commands tell outcomes: {', '.join(leaks)}")


if __name__ == "__main__":
    main()
