"""The command ``trace-mine``: options to a ``MineOptions``, and one call of ``produce``.

Only typer is imported before the command runs, so that ``--help`` answers in under half a second.

Over 400 lines because each option is a parameter with its help.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.browse_command import EPILOG as BROWSE_EPILOG
from trace_mine.corpus.browse_command import browse
from trace_mine.corpus.engine_arguments import AddressArgument, EngineArgument, LedgerArgument, OutArgument
from trace_mine.corpus.environment_arguments import (
    AsOfArgument,
    EnvironmentArgument,
    FindLinksArgument,
    OfflineArgument,
    PythonArgument,
)
from trace_mine.corpus.environment_command import EPILOG as ENVIRONMENT_EPILOG
from trace_mine.corpus.environment_command import environment as environment_command
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.export_command import EPILOG as EXPORT_EPILOG
from trace_mine.corpus.export_command import export
from trace_mine.corpus.fit_command import EPILOG as FIT_EPILOG
from trace_mine.corpus.fit_command import fit
from trace_mine.corpus.inspect_command import EPILOG as INSPECT_EPILOG
from trace_mine.corpus.inspect_command import inspect
from trace_mine.corpus.merge_command import EPILOG as MERGE_EPILOG
from trace_mine.corpus.merge_command import merge_datasets
from trace_mine.corpus.push_command import EPILOG as PUSH_EPILOG
from trace_mine.corpus.push_command import push
from trace_mine.corpus.verify_command import EPILOG as VERIFY_EPILOG
from trace_mine.corpus.verify_command import verify
from trace_mine.tracer.command_line import ExitCode, make_app, run_app
from trace_mine.tracer.views import DEFAULT_FOLLOW
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from trace_mine.corpus.engines import Engine
    from trace_mine.corpus.mined.options import MineOptions
    from trace_mine.corpus.mined.shard import Shard
    from trace_mine.corpus.remote_dataset import DatasetPlace

EPILOG = """\
Example: trace-mine ./boltons toolz-1.2.0.tar.gz module:heapq --out traces --jobs 4 --sources doctest,test

Hidden inputs, asked for at the end: trace-mine toolz-1.2.0.tar.gz --view inverse --out calls

A folder that is called like one of the commands below is named with its path: trace-mine ./automaton
"""

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...", help="File, folder, git checkout, sdist, wheel, or module:NAME.", show_default=False
    ),
]


def mine(
    paths: Paths,
    out: OutArgument = "traces",
    ledger: LedgerArgument = None,
    # The cores that this process may use: in a container there are often fewer than os.cpu_count() says.
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = len(os.sched_getaffinity(0)),
    engine: EngineArgument = "loky",
    address: AddressArgument = None,
    sources: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: doctest, script, test, call, docs; an inverse view mines calls and nothing else.",
            show_default="doctest,script,test,call,docs",
        ),
    ] = None,
    follow: Annotated[
        int, typer.Option(min=0, help="How deep calls of the repository's own functions are opened.")
    ] = DEFAULT_FOLLOW,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many snippets.", show_default=False)] = None,
    per_repository: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of each repository at most so many snippets, spread over its sources and files.",
            show_default=False,
        ),
    ] = None,
    siblings: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tests that differ in parameters, literals or their class alone, of which sessions are made: the most "
            "unlike ones.",
            show_default="4",
        ),
    ] = None,
    licences: Annotated[
        str | None,
        typer.Option(
            "--licenses",
            help="all, or permissive: leave out other and unknown licences.",
            show_default="permissive for repositories, a folder's may be unknown; all for files and modules",
        ),
    ] = None,
    keep_personal: Annotated[
        bool,
        typer.Option("--keep-personal", help="Keep secrets and personal data, which are replaced by fakes otherwise."),
    ] = False,
    decontaminate: Annotated[
        list[Path] | None,
        typer.Option(
            help="Benchmark problems (.jsonl, .jsonl.gz, .json, .parquet) that no row may hold; again for more files.",
            metavar="FILE",
            show_default="the index that python -m trace_mine.corpus.decontamination built",
        ),
    ] = None,
    scripts: Annotated[
        list[str] | None,
        typer.Option(
            help="Take the files of a repository that match as scripts, and no others; again for more patterns.",
            metavar="GLOB",
            show_default="those that no other file imports and that do something",
        ),
    ] = None,
    packages: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of installed packages that snippets may import.", show_default=False),
    ] = None,
    environment: EnvironmentArgument = "auto",
    as_of: AsOfArgument = None,
    find_links: FindLinksArgument = None,
    offline: OfflineArgument = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds of one run, not counting its waits for a busy processor; four fifths of it CPU.",
        ),
    ] = 10.0,
    memory: Annotated[str, typer.Option(help="Memory of one run, with K, M or G.")] = "1G",
    forks: Annotated[
        int,
        typer.Option(
            min=0,
            help="Processes of a run of beliefs (2 or more: for long ways to a choice), each with a run's memory. "
            "Gives up: no processes inside.",
        ),
    ] = 0,
    python: PythonArgument = None,
    seed: Annotated[int, typer.Option(help="Seed of the random module inside.")] = 0,
    view: Annotated[
        str,
        typer.Option(
            help="What sessions show: written, branch, skip, inverse (inputs are drawn from the repository's literal "
            "calls) or inverse:grid (from declared values), with every:K, full, partial, print, echo, by +."
        ),
    ] = "written",
    only_choices: Annotated[
        bool, typer.Option("--only-choices", help="Drop snippets that draw nothing at random (with --view branch).")
    ] = False,
    windows: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Beside each exact belief what a reader of the outputs of the last N commands would believe, as in "
            "1,4,16 (with a view that hides outcomes).",
            show_default=False,
        ),
    ] = None,
    inject: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS",
            help="Put draws into the programs (with a view that hides outcomes): maybe, either, order, each with laws "
            "as in maybe:p=.1|.5.",
            show_default=False,
        ),
    ] = None,
    edits: Annotated[int, typer.Option(min=1, help="Draws put into one program, at most (with --inject).")] = 3,
    variants: Annotated[int, typer.Option(min=1, help="Programs made of one snippet (with --inject).")] = 1,
    draws: Annotated[
        int, typer.Option(min=0, help="Draws of one run that edits are added for, up to --edits (with --inject).")
    ] = 0,
    reveals: Annotated[
        int, typer.Option(min=0, help="Partial reveals put into one program, at most (with --inject).")
    ] = 0,
    inputs: Annotated[
        int,
        typer.Option(
            min=0, help="Further calls of each edited function, with other literals, at most (with --inject)."
        ),
    ] = 0,
    keep: Annotated[
        str,
        typer.Option(
            metavar="records",
            help="records: keep the runs of snippets without a session that replays, in OUT/records.",
            show_default=False,
        ),
    ] = "",
    sessions: Annotated[
        int, typer.Option(min=1, help="Sessions of each snippet that draws, each with draws of its own.")
    ] = 1,
    keep_duplicates: Annotated[
        bool,
        typer.Option("--keep-duplicates", help="Keep sessions that nearly repeat another one of their split."),
    ] = False,
    split_by: Annotated[
        str,
        typer.Option(
            metavar="repository|function",
            help="Which rows stand in one split: those of a repository, by its name, or those that open a function, so "
            "that one repository has a held-out part.",
        ),
    ] = "repository",
    sandbox_level: Annotated[
        int | None,
        typer.Option(
            help="Force this level of the sandbox: 3 (namespaces) or 2 (without them); 0 confines nothing, and needs "
            "--allow-unsafe-sandbox.",
            metavar="N",
            show_default="the strongest that works here",
        ),
    ] = None,
    allow_unsafe_sandbox: Annotated[
        bool, typer.Option("--allow-unsafe-sandbox", help="Run without a sandbox where there is none. DANGEROUS.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Mine the I-th of N parts of the repositories, into an --out of its own; trace-mine merge joins them.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh in --out, whatever was begun there.")
    ] = False,
) -> None:
    """Turns real Python code into a dataset of REPL sessions that replay.

    Finds doctest examples, scripts, tests, calls and code of documentation, runs each in a sandbox, and writes what
    happened; datasets.load_dataset(OUT) reads it.
    """
    from trace_mine.corpus.decontamination.benchmark_index import SUFFIXES
    from trace_mine.corpus.engines import make_engine
    from trace_mine.corpus.mined.injection.inject_options import parse_inject
    from trace_mine.corpus.mined.items.siblings import SIBLINGS
    from trace_mine.corpus.mined.options import MineOptions, parse_windows
    from trace_mine.corpus.mined.shard import parse_shard
    from trace_mine.corpus.remote_dataset import DatasetPlace
    from trace_mine.tracer.limits import Limits

    # `--decontaminate a.jsonl b.jsonl`: an option takes one file, and the others come as paths
    benchmarks = list(decontaminate or ())
    if benchmarks:
        benchmarks += [Path(path) for path in paths if path.endswith(SUFFIXES)]
        paths = [path for path in paths if not path.endswith(SUFFIXES)]
    # MineOptions checks its own values; what it refuses is wrong usage (exit code 2), not a failure of the run.
    try:
        options = MineOptions(
            entries=None if sources is None else tuple(p.strip() for p in sources.split(",") if p.strip()),
            follow=follow,
            limits=Limits(
                wall_seconds=timeout,
                # Below the wall clock, so that a busy loop is counted as `cpu`, which repeats on a loaded machine, and
                # only what waits is counted as `wall`. RLIMIT_CPU takes whole seconds.
                cpu_seconds=math.ceil(0.8 * timeout),
                memory_bytes=_num_bytes(memory),
                forks=forks,
            ),
            limit=limit,
            per_repository=per_repository,
            siblings=SIBLINGS if siblings is None else siblings,
            licences=licences,
            keep_personal=keep_personal,
            decontaminate=tuple(benchmarks),
            scripts=tuple(scripts or ()),
            packages=tuple(packages or ()),
            environment=environment,
            as_of=as_of,
            find_links=tuple(find_links or ()),
            offline=offline,
            python=python,
            seed=seed,
            view=view,
            only_choices=only_choices,
            windows=parse_windows(windows),
            inject=None
            if inject is None
            else parse_inject(inject, edits=edits, variants=variants, reveals=reveals, draws=draws, inputs=inputs),
            keep=keep,
            sessions=sessions,
            keep_duplicates=keep_duplicates,
            split_by=split_by,
            sandbox_level=sandbox_level,
            allow_unsafe=allow_unsafe_sandbox,
        )
        part = None if shard is None else parse_shard(shard)
        if part is not None and limit is not None:
            raise ValueError(f"expected --limit without --shard, got {limit}; the limit is one of all snippets")
        workers = make_engine(engine, jobs, address)
    except ValueError as error:
        raise CorpusError(str(error), exit_code=ExitCode.WRONG_USAGE) from error
    folders = [*options.packages, *options.find_links]
    if options.environment not in ("auto", "none"):
        folders.append(Path(options.environment))
    _check(paths, folders)
    try:
        _mine(paths, options, DatasetPlace(out, ledger), workers, part, overwrite=overwrite)
    except KeyboardInterrupt:
        # To standard error: standard output may be piped, and its reader is to see the counts or nothing.
        print("trace-mine: interrupted; finished units are kept, the same command goes on from there", file=sys.stderr)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _mine(
    paths: list[str], options: MineOptions, place: DatasetPlace, engine: Engine, shard: Shard | None, *, overwrite: bool
) -> None:
    from trace_mine.corpus.decontamination.benchmark_file import no_benchmarks
    from trace_mine.corpus.mined.miner import Mined
    from trace_mine.corpus.produce import open_ledger, produce
    from trace_mine.corpus.report import MAX_REASON, Progress, print_dataset, why_nothing
    from trace_mine.corpus.sandbox_line import tell_sandbox_of

    # Before the first unit: who mines at level 2 because 3 is not to be had should know it while that can be mended.
    tell_sandbox_of(options.tracer_config())
    out = place.name
    place.check_free(overwrite=overwrite)
    with open_ledger(place.folder, overwrite=overwrite) as ledger, Progress() as progress:
        # `inputs` stand in the configuration, so that a second command with other paths is refused instead of
        # replacing the first one's rows.
        if not options.benchmarks:
            progress.tell(no_benchmarks())
        origin = Mined(paths, options, ledger.sources, progress.tell, shard)
        config = {**options.as_config(), "inputs": origin.input_names}
        if shard is not None:
            config["shard"] = str(shard)
        merged = produce(ledger, origin, config, engine=engine, watcher=progress)
        is_published = merged.first_text is not None and place.publish()
    if merged.is_recalled and not is_published:
        print(f"nothing to do: {one_line(out)} is finished, and its inputs are as they were")
    if not print_dataset(merged, out):
        if shard is not None:
            # a job of an array that has no repository, or none with rows, is no failure of the array
            print(f"no rows in shard {shard}: {one_line(why_nothing(merged.stats), MAX_REASON)}")
            return
        # An exit code of 0 would tell a script that there is a dataset to train on.
        explanation = why_nothing(merged.stats)
        if origin.unreadable:  # a single broken archive, mostly: say at once what is wrong with it
            explanation = f"{len(origin.unreadable)} unreadable repositories, the first one {origin.unreadable[0]}"
        raise CorpusError(f"nothing could be mined: {explanation}; see {place.folder}/stats.json and errors.jsonl")


def _check(paths: list[str], folders: Sequence[Path]) -> None:
    """Checks that all inputs exist, before the dataset's folder is made.

    Args:
        paths: the inputs.
        folders: of packages, of wheels, or an environment.

    Raises:
        CorpusError: one of them does not exist.
    """
    for path in (*(path for path in paths if not path.startswith("module:")), *map(str, folders)):
        if not Path(path).exists():
            hint = f"for an installed module write module:{path}" if path.isidentifier() else "check the spelling"
            raise CorpusError(
                f"expected a file or folder, got {path!r}, which does not exist; {hint}", exit_code=ExitCode.WRONG_USAGE
            )
    for folder in folders:
        if not folder.is_dir():
            raise CorpusError(
                f"expected a folder of installed packages, or of wheels, got the file {str(folder)!r}; "
                "give the folder that holds it",
                exit_code=ExitCode.WRONG_USAGE,
            )


def _num_bytes(text: str) -> int:
    """Turn a size like ``512M`` into bytes; K, M and G are powers of 1,024.

    Raises:
        CorpusError: the text is no size.
    """
    match = re.fullmatch(r"(\d+)([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise CorpusError(
            f"expected a size like 512M or 2G, got {text!r}; write a number with K, M or G",
            exit_code=ExitCode.WRONG_USAGE,
        )
    return int(match.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[match.group(2).upper()]


app = make_app(default_command=True, epilog=None)
# The default command: `trace-mine PATH` is `trace-mine mine PATH`.
app.command("mine", epilog=EPILOG)(mine)
app.command("automaton", epilog=FIT_EPILOG)(fit)
app.command("verify", epilog=VERIFY_EPILOG)(verify)
app.command("export", epilog=EXPORT_EPILOG)(export)
app.command("browse", epilog=BROWSE_EPILOG)(browse)
app.command("inspect", epilog=INSPECT_EPILOG)(inspect)
app.command("merge", epilog=MERGE_EPILOG)(merge_datasets)
app.command("push", epilog=PUSH_EPILOG)(push)
app.command("environment", epilog=ENVIRONMENT_EPILOG)(environment_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script with ``arguments`` (None: ``sys.argv[1:]``), and return its exit code."""
    return run_app(app, "trace-mine", arguments, wrong_usage=(), failed=(CorpusError, OSError))


if __name__ == "__main__":
    sys.exit(main())
