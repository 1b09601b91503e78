"""The command ``trace-mine inspect``: what ``trace-mine browse`` shows, as text."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode
from trace_mine.tracer.visible import one_line, visible

if TYPE_CHECKING:
    from trace_mine.corpus.browse.index import RowLine
    from trace_mine.tracer.schema import Belief, BeliefStates, Trace
    from trace_mine.tracer.viewer import ShownEdit

EPILOG = """\
Example: trace-mine inspect traces --find median --sort uncertain, then trace-mine inspect traces --row 12

Drops: trace-mine inspect traces --drops --find test_shop
"""
SORTS: dict[str, Callable[[RowLine], float]] = {
    "dataset": lambda line: line.number,
    "uncertain": lambda line: -line.entropy,
    "longest": lambda line: -line.num_characters,
    "shortest": lambda line: line.num_characters,
    "opened": lambda line: -line.opened_frames,
}
"""Orders of rows by their names; of equal rows the first in the dataset comes first."""
MAX_OUTCOMES = 6
"""Outcomes of a belief that are listed, the likeliest first."""
MAX_OUTCOME = 1_000
"""Characters of an outcome that are shown."""
MIN_COLUMNS = 60
"""Columns that lines are wrapped to at least, on however narrow a terminal; where there is none, ``FILE_COLUMNS``."""
FILE_COLUMNS = 120


def inspect(
    named: Annotated[str, typer.Argument(metavar="DATASET", help="The folder of data/*.parquet, or a URL.")],
    find: Annotated[
        str, typer.Option(metavar="TEXT", help="Words of the repository, name, file or an opened function.")
    ] = "",
    least_bits: Annotated[float, typer.Option("--bits", min=0, help="Rows with a belief at least so uncertain.")] = 0.0,
    sort: Annotated[str, typer.Option(help=f"{', '.join(SORTS)}.")] = "dataset",
    number: Annotated[
        int | None, typer.Option("--row", min=0, help="Show one session, by its number.", show_default=False)
    ] = None,
    drops: Annotated[bool, typer.Option("--drops", help="List drops, with their evidence, instead of rows.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Lines.")] = 20,
) -> None:
    """Shows a dataset as text: its rows, one session with its source and beliefs, or its drops with evidence."""
    from trace_mine.corpus.browse.index import row_files, row_lines
    from trace_mine.corpus.remote_dataset import local_dataset

    dataset = local_dataset(named)
    if not dataset.is_dir():
        raise CorpusError(f"expected a dataset, got {named!r}; give its folder", exit_code=ExitCode.WRONG_USAGE)
    if sort not in SORTS:
        raise CorpusError(
            f"expected --sort to be {', '.join(SORTS)}, got {sort!r}; name one of them", exit_code=ExitCode.WRONG_USAGE
        )
    if number is not None:
        _print_row(dataset, number)
        return
    words = find.lower().split()
    if drops:
        _print_drops(dataset, words, limit)
        return
    lines = [line for line in row_lines(row_files(dataset)) if line is not None]
    chosen = [line for line in lines if line.entropy >= least_bits and _has(line, words)]
    print(f"{len(chosen)} of {len(lines)} rows" + (f", the first {limit}" if len(chosen) > limit else ""))
    print("   row  steps   chars  opened   bits  session")
    for line in sorted(chosen, key=SORTS[sort])[:limit]:
        split, entry, repository, name, place, _ = line.where
        opened = f"{line.opened_frames}/{line.own_frames}" if line.own_frames else ""
        bits = f"{line.entropy:.2f}" if line.num_open else ""
        print(
            f"{line.number:6d} {line.num_steps:6d} {line.num_characters:7d} {opened:>7} {bits:>6}  "
            f"{name} ({repository} {place}, {entry}, {split})"
        )


def _has(line: RowLine, words: Sequence[str]) -> bool:
    text = "\n".join((*line.where, *line.functions)).lower()
    return all(word in text for word in words)


def _print_drops(dataset: Path, words: Sequence[str], limit: int) -> None:
    from trace_mine.corpus.browse.index import drop_lines
    from trace_mine.corpus.browse.page import sentences_of

    lines, total = drop_lines(dataset, most=1_000_000)
    chosen = [line for line in lines if all(word in "\n".join(map(str, line)).lower() for word in words)]
    print(f"{len(chosen)} of {total} drops" + (f", the first {limit}" if len(chosen) > limit else ""))
    for reason, repository, place, name, entry, evidence in chosen[:limit]:
        print(f"{reason}: {name} ({repository} {place}, {entry})\n    {evidence}")
    for word, sentence in sentences_of({str(line[0]) for line in chosen[:limit]}).items():
        print(f"{word}: {sentence}")


def _print_row(dataset: Path, number: int) -> None:
    from trace_mine.corpus.browse.index import row_files
    from trace_mine.corpus.browse.row_trace import edits_of, trace_of
    from trace_mine.corpus.dataset_rows import UnreadableRow, num_rows, rows_at

    files = row_files(dataset)
    sizes = [num_rows(file) for file in files]
    row = next(rows_at(files, sizes, [number]), None)
    if row is None:
        raise CorpusError(
            f"expected a row from 0 to {sum(sizes) - 1}, got {number}; see trace-mine inspect {one_line(str(dataset))}",
            exit_code=ExitCode.WRONG_USAGE,
        )
    if isinstance(row, UnreadableRow):
        raise CorpusError(f"row {number} can't be shown: {one_line(row.evidence, 500)}")
    try:
        trace = trace_of(row)
        words = ("repository", "version", "path", "line", "entry", "split", "licence", "python", "outcome", "trace_id")
        print("\n".join(f"{word + ':':12}{one_line(str(row[word]))}" for word in ("name", *words)))
        setup = str(trace.setup.get("code", ""))
        edits = edits_of(row)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorpusError(f"row {number} is damaged ({type(error).__name__}); get the dataset again") from error
    if trace.kept_whole:
        print(f"{'kept whole:':12}{', '.join(f'{one_line(word)} {n}' for word, n in trace.kept_whole.items())}")
    for line in _edit_lines(edits):
        print(line)
    if setup:
        print(f"\nset-up:\n{visible(setup)}")
    columns = max(MIN_COLUMNS, shutil.get_terminal_size((FILE_COLUMNS, 24)).columns)
    print(f"\nsession:\n{visible(''.join(_with_beliefs(trace, columns)))}")


def _edit_lines(edits: Sequence[ShownEdit]) -> Iterator[str]:
    """Yield what was edited in the program: the author's lines after ``-``, those that ran after ``+``."""
    for edit in edits:
        law = f" with {', '.join(f'{p:g}' for p in edit.law)}" if edit.law else ""
        yield f"{'edit:':12}{one_line(edit.kind)} {one_line(edit.place)}{law}"
        for sign, text in (("-", edit.before), ("+", edit.after)):
            yield from (f"{'':12}{sign} {visible(line)}" for line in text.splitlines())


def _with_beliefs(trace: Trace, columns: int) -> Iterator[str]:
    """Yield the session's text; after an output that could have been another one, its law as comments, which are
    wrapped to so many columns.
    """
    beliefs = {belief.segment: belief for belief in trace.beliefs}
    laws_of_states = {law.segment: law for law in trace.belief_states}
    for index, segment in enumerate(trace.segments):
        text = trace.text[segment.start : segment.end]
        yield text
        belief = beliefs.get(index)
        if belief is None or len(belief.outcomes) < 2:
            continue
        lines = [*_law_lines(belief, columns - len("    # "))]
        law = laws_of_states.get(index)
        if law is not None:
            lines += _wrapped(_states_line(law), columns - len("    # "))
        yield "".join(f"    # {line}\n" for line in lines)


def _law_lines(belief: Belief, columns: int) -> Iterator[str]:
    """Yield the law on one line where it has room there; else an outcome on a line of its own, or on several."""
    ranked = sorted(zip(belief.probabilities, belief.outcomes, strict=True), key=lambda each: -each[0])
    laws = [(f"{probability:.3g} ", one_line(outcome, MAX_OUTCOME)) for probability, outcome in ranked[:MAX_OUTCOMES]]
    more = [f"{len(ranked) - MAX_OUTCOMES} more"] if len(ranked) > MAX_OUTCOMES else []
    head = f"could be ({belief.method}):"
    short = f"{head} {', '.join([*(f'{number}{text}' for number, text in laws), *more])}"
    if len(short) <= columns:
        yield short
        return
    yield head
    for number, text in laws:
        room = columns - len(number) - 2
        # cut by characters: an outcome is the text that would have been printed, and its spaces count
        for start in range(0, max(len(text), 1), room):
            yield f"  {' ' * len(number) if start else number}{text[start : start + room]}"
    yield from (f"  {line}" for line in more)


def _wrapped(text: str, columns: int) -> Iterator[str]:
    """Yield a long line in pieces, the later ones indented."""
    yield text[:columns]
    for start in range(columns, len(text), columns - 2):
        yield f"  {text[start : start + columns - 2]}"


def _states_line(law: BeliefStates) -> str:
    """The law of the variables that vary, the likeliest states first."""
    if law.absent:
        return f"no law of states ({law.absent})"
    masses: dict[tuple[str | None, ...], float] = {}
    for state, probability in zip(law.states, law.probabilities, strict=True):
        masses[state] = masses.get(state, 0.0) + probability
    ranked = sorted(masses.items(), key=lambda each: -each[1])
    lines = [
        f"{mass:.3g} " + " ".join(f"{name}={value}" for name, value in zip(law.variables, state, strict=True))
        for state, mass in ranked[:MAX_OUTCOMES]
    ]
    more = f", {len(ranked) - MAX_OUTCOMES} more" if len(ranked) > MAX_OUTCOMES else ""
    return f"states before it was read: {one_line('; '.join(lines))}{more}" if law.variables else "one state"
