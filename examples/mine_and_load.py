"""Mines a folder, or modules of the standard library, into a dataset, and loads it.

python examples/mine_and_load.py ./my_project --out traces
python examples/mine_and_load.py module:fractions module:heapq
"""

from __future__ import annotations

import argparse
import json

import trace_mine


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="folders, files, sdists, wheels, module:NAME")
    parser.add_argument("--out", default="traces", help="folder of the dataset (default traces)")
    parser.add_argument("--limit", type=int, default=None, help="stop after so many snippets")
    chosen = parser.parse_args(arguments)

    trace_mine.mine(chosen.paths, out=chosen.out, limit=chosen.limit)
    for split, rows in trace_mine.load(chosen.out).items():
        commands = sum(len(row["steps"]) for row in rows)
        print(f"{split}: {len(rows)} sessions, {commands} commands")
        first = rows[0]
        print(f"{first['name']} in {first['path']}, licence {first['licence']}:")
        print(first["text"])
        print("variables at its end:", ", ".join(sorted(json.loads(first["states"][-1]))))


if __name__ == "__main__":
    main()
