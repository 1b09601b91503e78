"""Counts places where the commands of a dataset's sessions tell what its view hides.

    python tests/benchmarks/told_by_commands.py DATASET [--show N]

DATASET has several sessions of each program (``--sessions 6``) under a view whose reveals don't differ by themselves
(``branch+every:0`` or ``+full``; which variable a partial reveal shows is drawn anew in each session). Two sessions of
one program that look the same so far must go on with the same command: then no reader, and no classifier, learns an
outcome from a command. Each text after which they don't is a *fork*; forks are counted, those of sessions that were
written again because a check failed apart.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from trace_mine.eval.mined import rows_of
from trace_mine.eval.real_beliefs.questions import was_written_again
from trace_mine.train.held_out import Row


def forks(rows: Sequence[Row]) -> dict[tuple[str, str, str], dict[str, list[Row]]]:
    """(path, name and edits, text so far) -> next command -> its sessions; of two commands or more."""
    following: defaultdict[tuple[str, str, str], dict[str, list[Row]]] = defaultdict(dict)
    for row in rows:
        program = row["path"], f"{row['name']} {json.dumps(row['edits'])}"
        starts: dict[int, int] = {}
        for segment in row["segments"]:
            starts.setdefault(segment["step"], segment["start"])
        for step, start in starts.items():
            command = row["steps"][step]["source"]
            following[(*program, row["text"][:start])].setdefault(command, []).append(row)
    return {key: commands for key, commands in following.items() if len(commands) > 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N forks")
    arguments = parser.parse_args()
    rows = rows_of(arguments.dataset)
    sessions = Counter((row["path"], row["name"], json.dumps(row["edits"])) for row in rows)
    found = forks(rows)
    again = sum(
        any(was_written_again(row) for those in commands.values() for row in those) for commands in found.values()
    )
    print(f"{len(rows)} sessions of {len(sessions)} programs, {sum(n > 1 for n in sessions.values())} with several")
    print(f"{sum(map(was_written_again, rows))} sessions were written again because a check failed")
    print(f"{len(found)} forks, {again} of them with such a session")
    for (path, name, text), commands in [*found.items()][: arguments.show]:
        print(f"\n--- {path} {name}\n{text[-600:]}")
        for command, those in commands.items():
            print(f"  {len(those)} sessions go on with {command!r}: {[row['kept_whole'] for row in those][:3]}")


if __name__ == "__main__":
    main()
