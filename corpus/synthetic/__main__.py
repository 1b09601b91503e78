"""The command ``trace-synth``: options to a task and its stages, then sessions on the terminal or a dataset.

Only typer is imported before the command runs, so that ``--help`` answers in under half a second.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.engine_arguments import AddressArgument, EngineArgument, LedgerArgument, OutArgument
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode, make_app, run_app
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from trace_mine.corpus.engines import Engine
    from trace_mine.corpus.remote_dataset import DatasetPlace
    from trace_mine.corpus.synthetic.origin import SynthOptions
    from trace_mine.corpus.synthetic.task import Stage

# "\b" on a line of its own keeps click from refilling the paragraph below it.
EPILOG = """\b
Examples:
  trace-synth permutations --rows 10000 --set n=5 --set moves=full --curriculum paper --out s5
  trace-synth pfsa --set n=3 --set p=0.1 --commands 48 --spacing 2 --show 1
  trace-synth groups --set group=A4xZ5 --rows 1000 --out a4z5
  trace-synth pfsa --set file=docs/examples/leaky_switch.yaml --commands 20 --rows 100 --out switch

\b
An automaton's file (Q states; Sigma symbols; delta: symbol, state: next states, what is left out stays;
rho: states in which a symbol may be emitted, left out: all; q0: the first state):
  Q: [on, off]
  Sigma: [tick, see-on]
  delta: {tick: {on: {on: 9/10, off: 1/10}, off: off}}
  rho: {see-on: [on]}
  q0: on
  emissions: {on: {tick: 1/2, see-on: 1/2}, off: {tick: 1}}
The last is optional: else each symbol that a state allows is as likely. Probabilities are numbers or fractions.

\b
Tasks and their parameters: trace-synth list
"""


def synth(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="permutations, groups, pfsa or programs; list to list them.")
    ],
    rows: Annotated[int, typer.Option(min=0, help="Rows of the train split.")] = 1_000,
    held_out: Annotated[int, typer.Option(min=0, help="Rows of validation and of test, each.")] = 100,
    out: OutArgument = "synthetic",
    ledger: LedgerArgument = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the task.", show_default=False),
    ] = None,
    commands: Annotated[str, typer.Option(help="Commands of a session: N, or N-M.")] = "16",
    spacing: Annotated[str, typer.Option(help="Commands between two reveals: N, or N-M.")] = "2",
    curriculum: Annotated[
        str, typer.Option(help="Stages instead of --commands and --spacing: paper or cpu.", show_default=False)
    ] = "",
    seed: Annotated[int, typer.Option(help="Another seed, other rows.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = len(os.sched_getaffinity(0)),
    engine: EngineArgument = "loky",
    address: AddressArgument = None,
    show: Annotated[int, typer.Option(min=0, help="Print so many sessions and write nothing.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start afresh in --out.")] = False,
) -> None:
    """Makes sessions of a task whose law is known, with the exact belief at every reveal.

    The rows are those of trace-mine; datasets.load_dataset(OUT) reads them.
    """
    # A ValueError from here on is wrong usage: `run_app` prints it on one line and exits with 2.
    stages = _stages(commands, spacing, curriculum)
    # Texts: the task's own defaults tell what types they are read as.
    values = dict(_pair(text) for text in parameters or ())
    if task == "programs":  # the one task whose sessions are runs of programs
        from trace_mine.corpus.sandbox_line import tell_sandbox_of
        from trace_mine.tracer.config import TracerConfig

        tell_sandbox_of(TracerConfig())
    if show:  # nothing is written, so nothing of `produce` is imported
        _show(task, values, stages, seed, show)
        return
    from trace_mine.corpus.engines import make_engine
    from trace_mine.corpus.remote_dataset import DatasetPlace
    from trace_mine.corpus.synthetic.origin import SynthOptions

    split_rows = {"train": rows, "validation": held_out, "test": held_out}
    options = SynthOptions(task=task, parameters=values, rows=split_rows, stages=stages, seed=seed)
    workers = make_engine(engine, jobs, address)
    try:
        _make(options, DatasetPlace(out, ledger), workers, overwrite=overwrite)
    except KeyboardInterrupt:
        print("trace-synth: interrupted; finished units are kept, the same command goes on from there", file=sys.stderr)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def list_tasks() -> None:
    """Lists the tasks with their parameters and defaults."""
    from trace_mine.corpus.synthetic.tasks import TASKS, describe

    print("\n".join(describe(name) for name in TASKS))


def _show(task: str, parameters: Mapping[str, str], stages: Sequence[Stage], seed: int, number: int) -> None:
    from trace_mine.corpus.synthetic.tasks import make_task
    from trace_mine.tracer.show import beliefs_shown

    chosen_task = make_task(task, parameters)
    for index in range(number):
        # As in a dataset, the rows are spread over the stages in equal parts.
        trace = chosen_task.trace(index, seed=seed, split="train", stage=stages[index * len(stages) // number])
        print(beliefs_shown(trace, colour=sys.stdout.isatty()))


def _make(options: SynthOptions, place: DatasetPlace, engine: Engine, *, overwrite: bool) -> None:
    from trace_mine.corpus.produce import open_ledger, produce
    from trace_mine.corpus.report import Progress, print_dataset
    from trace_mine.corpus.synthetic.origin import Synthetic

    origin = Synthetic(options)  # wrong usage is told before anything is written
    out = place.name
    place.check_free(overwrite=overwrite)
    with open_ledger(place.folder, overwrite=overwrite) as ledger, Progress() as progress:
        merged = produce(ledger, origin, options.as_config(), engine=engine, watcher=progress)
        is_published = merged.first_text is not None and place.publish()
    if merged.is_recalled and not is_published:
        print(f"nothing to do: {one_line(out)} is finished, and its inputs are as they were")
    if not print_dataset(merged, out):
        raise CorpusError(f"no row was made; see {place.folder}/stats.json and errors.jsonl")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"expected --set KEY=VALUE, got {text!r}; trace-synth list shows the keys")
    return key, value


def _stages(commands: str, spacing: str, curriculum: str) -> tuple[Stage, ...]:
    from trace_mine.corpus.synthetic.task import Stage
    from trace_mine.corpus.synthetic.tasks import CURRICULA

    if not curriculum:
        return (Stage(commands=_range("commands", commands), spacing=_range("spacing", spacing)),)
    if curriculum not in CURRICULA:
        raise ValueError(f"expected a curriculum among {', '.join(CURRICULA)}, got {curriculum!r}")
    return CURRICULA[curriculum]


def _range(name: str, text: str) -> tuple[int, int]:
    """Return the ends of ``N`` or ``N-M``, both included.

    Raises:
        ValueError: the text is neither, or its ends are out of order.
    """
    low, dash, high = text.partition("-")
    # isdigit, not int(): int() takes "1_6" and " 16 ", and "-3" would be read as a range without a beginning.
    if not low.isdigit() or (dash and not high.isdigit()) or not 1 <= int(low) <= int(high or low):
        raise ValueError(f"expected --{name} N or N-M with 1 <= N <= M, got {text!r}")
    return int(low), int(high or low)


app = make_app(default_command=True)
app.command("make", epilog=EPILOG)(synth)
app.command("list")(list_tasks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script with ``arguments`` (None: ``sys.argv[1:]``), and return its exit code."""
    return run_app(app, "trace-synth", arguments, failed=(CorpusError, OSError))


if __name__ == "__main__":
    sys.exit(main())
