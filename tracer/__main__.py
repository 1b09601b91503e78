"""The command ``trace-run``: one script in the sandbox, its session on the terminal.

Over 400 lines because each option stands here with its help.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from trace_mine.tracer.command_line import ExitCode, make_app, num_bytes, run_app, tell_sandbox
from trace_mine.tracer.config import DEFAULT_FOLLOW, check_sandbox_level
from trace_mine.tracer.inside.reasons import Reason, reason_of
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop, Trace
from trace_mine.tracer.script_world import ScriptWorld, world_of
from trace_mine.tracer.scripts import MAX_INPUT_BYTES, decoded, import_folders, may_read_input, script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.show import beliefs_shown, session_shown
from trace_mine.tracer.summary import ScriptFacts, summary
from trace_mine.tracer.viewer import page, sources_of
from trace_mine.tracer.views import View, ViewError, parse_view, with_hidden_inputs
from trace_mine.tracer.visible import indented

EPILOG = """\b
Examples:
  trace-run docs/examples/bank.py
  trace-run --follow 2 --json solve.py 42 > record.json
  trace-run --view branch --beliefs docs/examples/shell_game.py
  trace-run --view branch+every:2+print --seed 3 game.py
  trace-run --root . --timeout 30 --html session.html scripts/demo.py

The script runs as python FILE does, in a private copy of its own folder: it may read what lies there and write to it,
and nothing that it writes comes back. It imports what is installed in the environment of trace-run (--environment names
another), and reads what is piped in, or --stdin FILE. It sees the folder given by --root read-only at /repo,
and nothing else of this machine. What follows FILE is the script's: options of trace-run stand before it.

Exit codes: 0 a record was made, whatever the script did; 1 none could be made; 2 wrong usage; 3 the session that is
shown differs from the script's own run, at the command that is marked; 130 interrupted."""

DATA_REASONS = frozenset(
    {
        Reason.SYNTAX_ERROR,
        Reason.WALL,
        Reason.CPU,
        Reason.MEMORY,
        Reason.OUTPUT_LIMIT,
        Reason.TRACE_LIMIT,
        Reason.DISK_LIMIT,
        Reason.NO_END,
        Reason.EMPTY,
    }
)
"""Reasons that are an outcome of the script, not a failure of the tool: a record without a session, exit code 0."""

DEFAULTS = Limits()

app = make_app()


class Colour(StrEnum):
    """When the session is coloured."""

    auto = "auto"
    always = "always"
    never = "never"


def _at_least(least: int) -> Callable[[int | None], int | None]:
    def checked(number: int | None) -> int | None:
        # None: typer asks the callback of an option that was not given, too
        if number is not None and number < least:
            raise typer.BadParameter(f"expected a number >= {least}, got {number}")
        return number

    return checked


def _seconds(number: float) -> float:
    if not 0 < number < math.inf:  # refuses NaN as well
        raise typer.BadParameter(f"expected a number of seconds > 0, got {number:g}")
    return number


def _view(given: str | View) -> View:
    if isinstance(given, View):  # typer hands defaults over too
        return given
    try:
        return parse_view(given)
    except ViewError as error:
        raise typer.BadParameter(str(error)) from None


def _sandbox_level(given: int | None) -> int | None:
    try:
        # level 0 is refused once it is known if it was allowed
        check_sandbox_level(given, allow_unsafe=True)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return given


def _size(given: str | int) -> int:
    try:
        return given if isinstance(given, int) else num_bytes(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


# An option that stands after FILE is the script's, --help too.
@app.command(context_settings={"allow_interspersed_args": False}, epilog=EPILOG)
def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="the script, or - for standard input")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARG", help="the script's sys.argv[1:]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object instead of the session")] = False,
    html: Annotated[
        Path | None, typer.Option(help="write a page to step through it: source, variables, beliefs", metavar="OUT")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="a folder that the script sees, read-only, and imports from", metavar="DIR")
    ] = None,
    stdin: Annotated[
        Path | None,
        typer.Option(
            help="what the script's input() and sys.stdin read", metavar="IN", show_default="what is piped in"
        ),
    ] = None,
    environment: Annotated[
        Path | None,
        typer.Option(
            help="the environment whose packages the script imports", metavar="DIR", show_default="the interpreter's"
        ),
    ] = None,
    empty_folder: Annotated[
        bool, typer.Option("--empty-folder", help="begin in an empty folder instead of a copy of the script's")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print no summary on standard error")] = False,
    follow: Annotated[
        int, typer.Option(help="open calls so deep", metavar="N", callback=_at_least(0))
    ] = DEFAULT_FOLLOW,
    view: Annotated[
        View,
        typer.Option(
            help="what the session shows: written, branch, skip, inverse:n=1|2|3, with every:K, full, print, joined "
            "by +",
            metavar="VIEW",
            parser=_view,
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
        bool, typer.Option("--open-comprehensions", help="show list comprehensions as loops")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            help="limit by the clock; what the run waits for a busy processor does not count",
            metavar="SECONDS",
            callback=_seconds,
        ),
    ] = DEFAULTS.wall_seconds,
    cpu: Annotated[
        int | None,
        typer.Option(
            help="CPU limit", metavar="SECONDS", callback=_at_least(1), show_default="the timeout, rounded up"
        ),
    ] = None,
    memory: Annotated[
        int, typer.Option(help="memory, with K, M or G", metavar="SIZE", parser=_size, show_default="1G")
    ] = DEFAULTS.memory_bytes,
    disk: Annotated[
        int, typer.Option(help="scratch space", metavar="SIZE", parser=_size, show_default="32M")
    ] = DEFAULTS.disk_bytes,
    output: Annotated[
        int, typer.Option(help="printed text", metavar="SIZE", parser=_size, show_default="1M")
    ] = DEFAULTS.output_bytes,
    events: Annotated[int, typer.Option(help="recorded lines", metavar="N", callback=_at_least(1))] = DEFAULTS.events,
    commands: Annotated[
        int,
        typer.Option(help="commands after which nothing more is opened", metavar="N", callback=_at_least(1)),
    ] = DEFAULTS.commands,
    forks: Annotated[
        int,
        typer.Option(
            help="with --beliefs, go on from choices with N processes at most (2 or more) where the way to them is "
            "long; gives up: no processes inside. Each may take a run's memory, and all end with the run",
            metavar="N",
            callback=_at_least(0),
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
            callback=_sandbox_level,
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
    source = _read(file)
    script = None if file == "-" else Path(file)
    repository, folders = _imports(root, script)
    world = _world(None if empty_folder else script, source, python, environment)
    typed = _input(stdin, source, is_script=script is not None)
    laws = _laws(view, inputs or [], environ or [])
    _check_view(view, beliefs=beliefs, forks=forks)
    if sandbox_level == 0 and not allow_unsafe_sandbox:
        raise typer.BadParameter("expected --sandbox-level 3 or 2, got 0, which needs --allow-unsafe-sandbox too")
    config = TracerConfig(
        repository=repository,
        sys_path=folders,
        folder=world.folder,
        site_folders=world.site_folders,
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
        source = with_hidden_inputs(source, view)
    except SyntaxError as error:
        raise typer.BadParameter(str(error)) from None
    name = "<stdin>" if script is None else script.name
    with Tracer(config) as tracer:
        if not as_json and not quiet:  # the object says it
            tell_sandbox(tracer.sandbox)
        # lenient: where no session holds, whoever looks at one program wants to see one, and is told where it differs
        # a view that hides draws decides them itself
        drawn = None if view.hides else seed
        snippet = script_snippet(
            source, name, arguments or (), in_folder=world.folder is not None, stdin=typed, seed=drawn
        )
        result = tracer.trace(snippet, lenient=True)
        if isinstance(result, Trace) and html is not None:
            sources = {name: source}
            if (folder := root or (script.parent if script is not None else None)) is not None:
                sources = {**sources_of(result, folder), **sources}
            html.write_text(_page(result, title=Path(file).name, sources=sources), encoding="utf-8")
        if as_json:
            print(json.dumps(as_object(result, tracer)))
        else:
            _print(result, beliefs=beliefs, color=color)
        if not quiet:
            facts = ScriptFacts(
                source=source,
                has_input=bool(typed),
                copied=world.copied,
            )
            for line in summary(result, facts):
                print(f"trace-run: {line}", file=sys.stderr)
    if _is_failure(result):
        raise typer.Exit(ExitCode.FAILED)
    if isinstance(result, Trace) and result.failed_checks:
        raise typer.Exit(ExitCode.UNTRUE)


def _imports(root: Path | None, script: Path | None) -> tuple[Path | None, tuple[str, ...]]:
    """The root, resolved, and the folders below it that the script imports from."""
    if root is None:
        return None, ()
    if not root.is_dir():
        raise typer.BadParameter(f"expected a folder for --root, got {str(root)!r}; give an existing folder")
    resolved = root.resolve()
    return resolved, import_folders(resolved, script)


def _world(script: Path | None, source: str, python: str, environment: Path | None) -> ScriptWorld:
    """What the script is run with.

    Raises:
        BadParameter: its folder can't be opened, or the environment is none.
    """
    try:
        return world_of(script, source, python, environment)
    except OSError as error:
        message = f"expected a script in a folder that can be read, got {str(script)!r}: {error}; give --empty-folder"
        raise typer.BadParameter(message) from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _input(stdin: Path | None, source: str, *, is_script: bool) -> bytes | None:
    """What the script reads: the file's content, or what is piped in where the script seems to read that.

    Raises:
        BadParameter: the file can't be read, or there is more than a session can hold.
    """
    try:
        if stdin is not None:
            data = stdin.read_bytes()
        # a pipe that nobody writes to would be waited for by a script that asks for nothing
        elif is_script and may_read_input(source) and sys.stdin is not None and not sys.stdin.isatty():
            data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            return None
    except OSError as error:
        raise typer.BadParameter(
            f"expected a readable file for --stdin, got {str(stdin)!r}: {error.strerror}; give an existing file"
        ) from None
    if len(data) > MAX_INPUT_BYTES:
        raise typer.BadParameter(
            f"expected at most {MAX_INPUT_BYTES:,} bytes of standard input, got more; let the script read a file"
        )
    return data


def _is_failure(result: Trace | Drop) -> bool:
    """Return True if there is no session, for a reason that is no outcome of the script."""
    return isinstance(result, Drop) and reason_of(result.reason) not in DATA_REASONS | {Reason.SIGNAL}


def _page(trace: Trace, *, title: str, sources: Mapping[str, str] | None = None) -> str:
    footer = f"Python {trace.python}, sandbox level {trace.sandbox['level']} ({trace.sandbox['layers']})"
    return page(trace, title=title, footer=footer, sources=sources)


def _read(path: str) -> str:
    """The script's source, decoded as Python does.

    Raises:
        BadParameter: it can't be read or decoded.
    """
    try:
        return decoded(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    except OSError as error:
        message = f"expected a readable script, got {path!r}: {error.strerror}; give an existing file"
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        message = f"expected Python source in {path!r}, got bytes that don't decode ({error}); save it as UTF-8"
    raise typer.BadParameter(message)


def _check_view(view: View, *, beliefs: bool, forks: int) -> None:
    """Raises BadParameter where options ask for more than the view has."""
    if view.prior not in (None, "declared"):
        raise typer.BadParameter(
            f"expected inverse:NAME=A|B with the values of one of the script's constants, got inverse with a "
            f"{view.prior} prior; priors of calls are for trace-mine"
        )
    if beliefs and not view.hides:
        raise typer.BadParameter("expected a view that hides outcomes with --beliefs, got another; add --view branch")
    # one fork alone can only wait: the path that goes on from it is a second process
    if forks and (forks < 2 or not view.hides):
        raise typer.BadParameter(
            f"expected 2 forks or more with a view that hides outcomes, got {forks} with "
            f"{'+'.join(view.policies)}; one waits and one runs, where beliefs are computed"
        )


def _laws(view: View, inputs: Sequence[str], environ: Sequence[str]) -> dict[str, Any] | None:
    """The declared laws of inputs and of the environment, each value as likely as the others; None: there are none."""
    if not inputs and not environ:
        return None
    # elsewhere nothing replaces ``input``, and the laws would be declared for nothing
    if not view.hides:
        raise typer.BadParameter(
            "expected --view branch or inverse with --input and --environ, got another; add --view branch"
        )
    variables = {}
    for text in environ:
        name, equals, values = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"expected --environ NAME=A|B, got {text!r}; name the variable and its values")
        variables[name] = _uniform(values)
    return {"inputs": [_uniform(text) for text in inputs], "environ": variables}


def _uniform(text: str) -> list[list[str | float]]:
    values = text.split("|")
    return [[value, 1 / len(values)] for value in values]


def as_object(result: Trace | Drop, tracer: Tracer) -> Mapping[str, object]:
    """The object that ``--json`` prints; a run without a session has empty ``text``, ``segments`` and ``steps``."""
    common: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "sandbox": tracer.sandbox,
        "limits": tracer.config.limits.as_dict(),
        "python": tracer.python_version,
    }
    if isinstance(result, Trace):
        fields = asdict(replace(result, frames=()))
        del fields["frames"]  # as long as the run was; the JSON is of the session
        return {**fields, **common}
    # the words of ``schema.STATUSES``: a reason is written with _, a status with -
    outcome = {"syntax_error": "syntax"}.get(result.reason, result.reason.replace("_", "-"))
    empty: dict[str, object] = {"text": "", "segments": [], "steps": [], "exception": None, "evidence": result.evidence}
    return {**empty, "outcome": outcome, "integrity": "truncated", **common}


def _print(result: Trace | Drop, *, beliefs: bool, color: Colour) -> None:
    """Print the session, and on standard error the reason why it doesn't replay, or why there is none."""
    if isinstance(result, Drop):
        print(indented(f"trace-run: no session ({result.reason}): {result.evidence}"), file=sys.stderr)
        return
    # NO_COLOR (https://no-color.org) is a wish for all programs, --color a wish for this run, which goes before it
    terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    colour = color is Colour.always or (color is Colour.auto and terminal)
    if beliefs:
        sys.stdout.write(beliefs_shown(result, colour=colour))
    else:
        sys.stdout.write(session_shown(result, colour=colour))
    if result.outcome not in ("ok", "exit", "exception"):
        print(f"trace-run: the script did not end ({result.outcome}); this is what it did before", file=sys.stderr)
    for check, evidence in result.failed_checks.items():
        print(indented(f"trace-run: this session is not true ({check}): {evidence}"), file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; gives the exit code."""
    return run_app(app, "trace-run", arguments, wrong_usage=(ViewError,), failed=(SandboxUnavailable, OSError))


if __name__ == "__main__":
    sys.exit(main())
