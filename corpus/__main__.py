"""The command ``trace-mine``. Only typer is imported before the command runs: ``--help`` answers in under half a
second.
"""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """\
Example: trace-mine ./boltons toolz-1.2.0.tar.gz module:heapq --out traces --jobs 4 --sources doctest,test

Hidden inputs, asked for at the end: trace-mine toolz-1.2.0.tar.gz --view inverse --out calls
"""

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...", help="File, folder, git checkout, sdist, wheel, or module:NAME.", show_default=False
    ),
]


def mine(
    paths: Paths,
    out: Annotated[Path, typer.Option(help="Folder of the dataset; a run that was cut off goes on there.")] = Path(
        "traces"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = len(os.sched_getaffinity(0)),
    sources: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: doctest, script, test; an inverse view mines calls and nothing else.",
            show_default="doctest,script,test",
        ),
    ] = None,
    follow: Annotated[
        int, typer.Option(min=0, help="How deep calls of the repository's own functions are opened.")
    ] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many snippets.", show_default=False)] = None,
    licences: Annotated[
        str, typer.Option("--licenses", help="all, or permissive: leave out other and unknown licences.")
    ] = "all",
    packages: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of installed packages that snippets may import.", show_default=False),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Wall-clock seconds of one run; four fifths of it CPU.")
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
    python: Annotated[str, typer.Option(help="The interpreter that runs the snippets.", show_default="this one")] = "",
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
    sessions: Annotated[
        int, typer.Option(min=1, help="Sessions of each snippet that draws, each with draws of its own.")
    ] = 1,
    allow_unsafe_sandbox: Annotated[
        bool, typer.Option("--allow-unsafe-sandbox", help="Run without a sandbox where there is none. DANGEROUS.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh in --out, whatever was begun there.")
    ] = False,
) -> None:
    """Turns real Python code into a dataset of REPL sessions that replay.

    Finds doctest examples, scripts and tests, runs each in a sandbox, and writes what happened;
    datasets.load_dataset(OUT) reads it. trace-mine automaton OUT fits automata to rows with choices (--help there).
    """
    from trace_mine.corpus.errors import CorpusError

    try:
        code = _run(
            paths,
            out,
            jobs,
            overwrite,
            {
                "entries": None if sources is None else tuple(p.strip() for p in sources.split(",") if p.strip()),
                "follow": follow,
                "limit": limit,
                "licences": licences,
                "packages": tuple(packages or ()),
                "python": python or sys.executable,
                "seed": seed,
                "view": view,
                "only_choices": only_choices,
                "sessions": sessions,
                "allow_unsafe": allow_unsafe_sandbox,
            },
            {
                "wall_seconds": timeout,
                "cpu_seconds": math.ceil(0.8 * timeout),
                "memory_bytes": _num_bytes(memory),
                "forks": forks,
            },
        )
    except CorpusError as error:
        from trace_mine.tracer.show import visible

        print(visible(f"trace-mine: {error}"), file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("trace-mine: interrupted; finished units are kept, the same command goes on from there", file=sys.stderr)
        code = 130
    raise typer.Exit(code)


def _run(
    paths: list[str], out: Path, jobs: int, overwrite: bool, options: dict[str, object], limits: dict[str, float]
) -> int:
    from trace_mine.corpus.engines import ENGINES
    from trace_mine.corpus.errors import CorpusError
    from trace_mine.corpus.mined.miner import Mined, MineOptions
    from trace_mine.corpus.produce import open_ledger, produce
    from trace_mine.corpus.report import Progress, print_session, print_summary
    from trace_mine.tracer.limits import Limits

    try:
        chosen = MineOptions(limits=Limits(**limits), **options)  # type: ignore[arg-type]
    except ValueError as error:
        raise CorpusError(str(error), exit_code=2) from error
    _check(paths, chosen.packages)
    with open_ledger(out, overwrite=overwrite) as ledger, Progress() as progress:
        origin = Mined(paths, chosen, ledger.sources)
        config = {**chosen.as_config(), "inputs": origin.input_names}
        merged = produce(ledger, origin, config, engine=ENGINES["loky"](jobs), watcher=progress)
    print_summary(merged.stats)
    if merged.first_text is None:
        what = "no snippet was found" if not merged.stats["found"] else "none of the snippets became a row"
        print(f"trace-mine: nothing could be mined: {what}; see {out}/stats.json and errors.jsonl", file=sys.stderr)
        return 1
    print(f"\nThe first of {merged.stats['rows']} sessions in {out}:\n")
    print_session(merged.first_text)
    return 0


def _check(paths: list[str], packages: tuple[Path, ...]) -> None:
    """Wrong usage is told before anything is written."""
    from trace_mine.corpus.errors import CorpusError

    for path in (*(path for path in paths if not path.startswith("module:")), *(str(folder) for folder in packages)):
        if not Path(path).exists():
            hint = f"for an installed module write module:{path}" if path.isidentifier() else "check the spelling"
            raise CorpusError(f"expected a file or folder, got {path!r}, which does not exist; {hint}", exit_code=2)
    for folder in packages:
        if not folder.is_dir():
            raise CorpusError(
                f"expected a folder of installed packages, got the file {str(folder)!r}; give the folder that holds it",
                exit_code=2,
            )


def _num_bytes(text: str) -> int:
    """``512M`` in bytes.

    Raises:
        CorpusError: the text is no size.
    """
    from trace_mine.corpus.errors import CorpusError

    match = re.fullmatch(r"(\d+)([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise CorpusError(f"expected a size like 512M or 2G, got {text!r}; write a number with K, M or G", exit_code=2)
    return int(match.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[match.group(2).upper()]


def main() -> None:
    """Entry point of the console script; ``automaton`` as the first word is the other command."""
    if sys.argv[1:2] == ["automaton"]:
        from trace_mine.corpus.fit_command import main as fit_main

        fit_main()
        return
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(epilog=EPILOG)(mine)
    app(prog_name="trace-mine")


if __name__ == "__main__":
    main()
