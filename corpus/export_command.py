"""The command ``trace-mine export``: a dataset in the format of others, from what its rows keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode
from trace_mine.tracer.visible import one_line

EPILOG = """\
Example: trace-mine export traces --format cwm --out traces-cwm

Formats: repl, the sessions; cwm, frames of Code World Model; lines, events line by line; cruxeval, calls as code, input
and output; codeexecutor, the lines that ran with the variables after each. datasets.load_dataset(OUT) reads it.
"""


def export(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="The folder of data/*.parquet.")],
    kind: Annotated[str, typer.Option("--format", metavar="NAME", help="repl, cwm, lines, cruxeval or codeexecutor.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
) -> None:
    """Writes a dataset in another format, without running any code.

    What a row can't give in the format is counted by reason: on the terminal, in OUT/export.json and in the card.
    """
    from trace_mine.corpus.export.counts import WORDS
    from trace_mine.corpus.export.dataset import export_dataset, sum_of
    from trace_mine.corpus.export.formats import EXPORTS

    if kind not in EXPORTS:
        raise CorpusError(
            f"expected --format to be {', '.join(EXPORTS)}, got {kind!r}; name one of them",
            exit_code=ExitCode.WRONG_USAGE,
        )
    counts = export_dataset(dataset, EXPORTS[kind], out)
    for folder, each in counts.items():
        what = "rows" if folder == "data" else "records"
        splits = ", ".join(f"{one_line(split)} {number}" for split, number in sorted(each.lines.items()))
        print(f"{kind}: {each.lines.total()} lines of {each.read} {what}: {splits or 'none'}")
        for word, number in sorted(each.cut.items()):
            print(f"  events cut ({one_line(word)}): {number}")
    for word, number in sum_of(counts).most_common():
        print(f"  not given: {word} {number}. {WORDS[word]}")
    print(f"written to {one_line(str(out))}")
