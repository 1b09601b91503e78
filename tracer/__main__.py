"""The command ``trace-run``: one script in the sandbox, its session on the terminal.

Each option stands here with its help; ``run_options`` reads what they name, ``run_result`` shows what came of it. The
tracer is imported where a script is run: ``--help``, ``--version`` and wrong usage do without it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from trace_mine.tracer.command_line import ExceptionTypes, ExitCode, make_app, run_app, tell_sandbox
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.run_options import (
    at_least,
    check_view,
    declared_laws,
    imports_of,
    notebook_of,
    read_cells,
    read_source,
    sandbox_level_of,
    script_world,
    seconds,
    size_of,
    typed_input,
    view_of_text,
)
from trace_mine.tracer.views import DEFAULT_FOLLOW, View, ViewError, with_hidden_inputs
from trace_mine.tracer.visible import Colour

EPILOG = """\b
Examples:
  trace-run docs/examples/bank.py
  trace-run --follow 2 --json solve.py 42 > record.json
  trace-run --view branch --beliefs docs/examples/shell_game.py
  trace-run --view branch+every:2+print --seed 3 game.py
  trace-run --root . --environment auto --html session.html scripts/demo.py

The script runs as python FILE does, in a private copy of its own folder: it may read what lies there and write to it,
and nothing that it writes comes back. It imports what is installed in the environment of trace-run (--environment names
another), and reads what is piped in, or --stdin FILE. It sees the folder given by --root read-only at /repo,
and nothing else of this machine. What follows FILE is the script's: options of trace-run stand before it.

Exit codes: 0 a record was made, whatever the script did; 1 none could be made; 2 wrong usage; 3 the session that is
shown differs from the script's own run, at the command that is marked; 130 interrupted."""

DEFAULTS = Limits()

app = make_app()


# An option that stands after FILE is the script's, --help too.
@app.command(context_settings={"allow_interspersed_args": False}, epilog=EPILOG)
def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="the script, a notebook, or - for standard input")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARG", help="the script's sys.argv[1:]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object instead of the session")] = False,
    html: Annotated[
        Path | None, typer.Option(help="write a page to step through it: source, variables, beliefs", metavar="OUT")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="a folder that the script sees, read-only, and imports from (and from its src)", metavar="DIR"
        ),
    ] = None,
    stdin: Annotated[
        Path | None,
        typer.Option(
            help="what the script's input() and sys.stdin read", metavar="IN", show_default="what is piped in"
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            help="the environment whose packages the script imports; auto installs what the repository around it, or "
            "--root, asks for, as trace-mine does",
            metavar="auto|DIR",
            show_default="the interpreter's",
        ),
    ] = None,
    empty_folder: Annotated[
        bool, typer.Option("--empty-folder", help="begin in an empty folder instead of a copy of the script's")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print no summary on standard error")] = False,
    follow: Annotated[int, typer.Option(help="open calls so deep", metavar="N", callback=at_least(0))] = DEFAULT_FOLLOW,
    view: Annotated[
        View,
        typer.Option(
            help="what the session shows: written, branch, skip, inverse:n=1|2|3, with every:K, full, print, joined "
            "by +",
            metavar="VIEW",
            parser=view_of_text,
            show_default="written",
        ),
    ] = View(),  # noqa: B008 - frozen
    beliefs: Annotated[
        bool, typer.Option("--beliefs", help="print what each reveal could have been, and how likely")
    ] = False,
    seed: Annotated[int, typer.Option(help="seed of the draws: of random and numpy.random too", metavar="N")] = 0,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="what input() may return, each as likely; again for further calls", metavar="A|B"),
    ] = None,
    environ: Annotated[
        list[str] | None,
        typer.Option(help="what an environment variable may be, each value as likely", metavar="NAME=A|B"),
    ] = None,
    open_comprehensions: Annotated[
        bool,
        typer.Option(
            "--open-comprehensions",
            help="show all comprehensions as loops, not only those that call the program's own functions",
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            help="limit by the clock; what the run waits for a busy processor does not count",
            metavar="SECONDS",
            callback=seconds,
        ),
    ] = DEFAULTS.wall_seconds,
    cpu: Annotated[
        int | None,
        typer.Option(help="CPU limit", metavar="SECONDS", callback=at_least(1), show_default="the timeout, rounded up"),
    ] = None,
    memory: Annotated[
        int, typer.Option(help="memory, with K, M or G", metavar="SIZE", parser=size_of, show_default="1G")
    ] = DEFAULTS.memory_bytes,
    disk: Annotated[
        int, typer.Option(help="scratch space", metavar="SIZE", parser=size_of, show_default="32M")
    ] = DEFAULTS.disk_bytes,
    output: Annotated[
        int, typer.Option(help="printed text", metavar="SIZE", parser=size_of, show_default="1M")
    ] = DEFAULTS.output_bytes,
    events: Annotated[int, typer.Option(help="recorded lines", metavar="N", callback=at_least(1))] = DEFAULTS.events,
    commands: Annotated[
        int,
        typer.Option(help="commands after which nothing more is opened", metavar="N", callback=at_least(1)),
    ] = DEFAULTS.commands,
    forks: Annotated[
        int,
        typer.Option(
            help="with --beliefs, go on from choices with N processes at most (2 or more) where the way to them is "
            "long; gives up: no processes inside. Each may take a run's memory, and all end with the run",
            metavar="N",
            callback=at_least(0),
        ),
    ] = DEFAULTS.forks,
    python: Annotated[
        str, typer.Option(help="the interpreter that runs the script", metavar="EXE", show_default="this one")
    ] = sys.executable,
    color: Annotated[Colour, typer.Option(help="colours by role")] = Colour.auto,
    sandbox_level: Annotated[
        int | None,
        typer.Option(
            help="force this level of the sandbox: 3 (namespaces) or 2 (without them); 0 confines nothing, and needs "
            "--allow-unsafe-sandbox",
            metavar="N",
            callback=sandbox_level_of,
            show_default="the strongest that works here",
        ),
    ] = None,
    allow_unsafe_sandbox: Annotated[
        bool,
        typer.Option(
            "--allow-unsafe-sandbox", help="run even where there is no sandbox: DANGEROUS, recorded as level 0"
        ),
    ] = False,
) -> None:
    """Runs a Python script in a sandbox and prints what happened as a REPL session that replays."""
    from trace_mine.tracer.run_result import as_object, is_failure, page_of, print_result
    from trace_mine.tracer.schema import Trace
    from trace_mine.tracer.scripts import path_below, script_snippet
    from trace_mine.tracer.session import Tracer, TracerConfig
    from trace_mine.tracer.summary import ScriptFacts, summary

    cells = read_cells(file, view)
    source = read_source(file) if cells is None else "\n".join(cells)
    script = None if file == "-" else Path(file)
    repository, folders = imports_of(root, script)
    world = script_world(None if empty_folder else script, source, python, environment, file=script, root=repository)
    typed = typed_input(stdin, source, is_script=script is not None)
    laws = declared_laws(view, inputs or [], environ or [])
    check_view(view, beliefs=beliefs, forks=forks)
    if sandbox_level == 0 and not allow_unsafe_sandbox:
        raise typer.BadParameter("expected --sandbox-level 3 or 2, got 0, which needs --allow-unsafe-sandbox too")
    config = TracerConfig(
        repository=repository,
        sys_path=folders,
        folder=world.folder,
        site_folders=world.site_folders,
        packages=world.packages,
        warm=world.warm,
        limits=Limits(
            wall_seconds=timeout,
            cpu_seconds=cpu or math.ceil(timeout),  # RLIMIT_CPU takes whole seconds
            memory_bytes=memory,
            disk_bytes=disk,
            output_bytes=output,
            events=events,
            commands=commands,
            forks=forks,
        ),
        follow=follow,
        comprehensions=open_comprehensions,
        view=view,
        seed=seed,
        laws=laws,
        python=python,
        minimum_level=0 if allow_unsafe_sandbox else 2,
        sandbox_level=sandbox_level,
        allow_unsafe=allow_unsafe_sandbox,
    )
    # before the sandbox starts: a view that does not fit the script is wrong usage, and costs no second of waiting
    try:
        source = with_hidden_inputs(source, view) if cells is None else source
    except SyntaxError as error:
        raise typer.BadParameter(str(error)) from None
    name = "<stdin>" if script is None else script.name
    with Tracer(config) as tracer:
        if not as_json and not quiet:  # the object says it
            tell_sandbox(tracer.sandbox)
        # lenient: where no session holds, whoever looks at one program wants to see one, and is told where it differs
        # a view that hides draws decides them itself
        drawn = None if view.hides else seed
        if cells is None:
            snippet = script_snippet(
                source,
                name,
                arguments or (),
                in_folder=world.folder is not None,
                below_root=path_below(repository, script),
                stdin=typed,
                seed=drawn,
            )
        else:
            snippet = notebook_of(cells, name, arguments or (), tracer.run_source, stdin=typed, seed=drawn)
        result = tracer.trace(snippet, lenient=True)
        if isinstance(result, Trace) and html is not None:
            from trace_mine.tracer.viewer import sources_of

            sources = {name: source}
            if (folder := root or (script.parent if script is not None else None)) is not None:
                sources = {**sources_of(result, folder), **sources}
            html.write_text(page_of(result, title=Path(file).name, sources=sources), encoding="utf-8")
        if as_json:
            print(json.dumps(as_object(result, tracer)))
        else:
            print_result(result, beliefs=beliefs, color=color)
        if not quiet:
            facts = ScriptFacts(
                source=source,
                has_input=bool(typed),
                copied=world.copied,
            )
            for line in summary(result, facts):
                print(f"trace-run: {line}", file=sys.stderr)
    if is_failure(result):
        raise typer.Exit(ExitCode.FAILED)
    if isinstance(result, Trace) and result.failed_checks:
        raise typer.Exit(ExitCode.UNTRUE)


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; gives the exit code."""
    return run_app(app, "trace-run", arguments, wrong_usage=(ViewError,), failed=_failures)


def _failures() -> ExceptionTypes:
    from trace_mine.tracer.sandbox import SandboxUnavailable

    return SandboxUnavailable, OSError


if __name__ == "__main__":
    sys.exit(main())
