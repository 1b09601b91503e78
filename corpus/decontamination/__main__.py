"""Builds the index of benchmarks from files that the user has: ``python -m trace_mine.corpus.decontamination FILE...``.

Without ``--out`` it is written to the place where ``trace-mine`` looks for it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trace_mine.corpus.decontamination.benchmark_file import default_place, save_index
from trace_mine.corpus.decontamination.benchmark_index import SUFFIXES, index_of
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.visible import one_line

MAX_MESSAGE = 1000
"""Characters of a message that are shown."""


def main(arguments: list[str] | None = None) -> int:
    """Build the index that the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trace_mine.corpus.decontamination", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=f"benchmarks: {', '.join(SUFFIXES)}")
    parser.add_argument("--out", type=Path, default=default_place(), help="the index")
    chosen = parser.parse_args(arguments)
    try:
        made = save_index(index_of(chosen.files), chosen.out)
    except (CorpusError, OSError) as error:
        print(f"error: {one_line(str(error), MAX_MESSAGE)}", file=sys.stderr)
        return 2
    print(f"{made.num_problems} problems in {one_line(str(made.path), MAX_MESSAGE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
