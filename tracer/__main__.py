"""The command ``trace-run``: one script in the sandbox, its session on the terminal."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop, Piece, Snippet, Trace
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.show import beliefs_shown, coloured, page, visible
from trace_mine.tracer.views import View, ViewError, parse_view, with_hidden_inputs

EPILOG = """\
examples:
  trace-run docs/examples/bank.py
  trace-run --follow 2 --json solve.py 42 > record.json
  trace-run --view branch --beliefs docs/examples/shell_game.py
  trace-run --view branch+every:2+print --seed 3 game.py
  trace-run --root . --timeout 30 --html session.html scripts/demo.py

The script sees an empty scratch folder as its working directory, the folder given by --root read-only at /repo, and
nothing else of this machine. What follows FILE is the script's: options of trace-run stand before it.
Exit codes: 0 a record was made, whatever the script did; 1 none could be made; 2 wrong usage; 130 interrupted."""

DATA_REASONS = frozenset(
    {"syntax_error", "wall", "cpu", "memory", "output_limit", "trace_limit", "disk_limit", "no_end", "empty"}
)
"""Drops that are an outcome of the script, not a failure of the tool: a record without a session."""


class _Usage(Exception):
    """Wrong usage; the message is for the user."""


def _parser() -> argparse.ArgumentParser:
    defaults = Limits()
    parser = argparse.ArgumentParser(
        prog="trace-run",
        description="Runs a Python script in a sandbox and prints what happened as a REPL session that replays.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the script, or - for standard input")
    parser.add_argument("arguments", metavar="ARG", nargs=argparse.REMAINDER, help="the script's sys.argv[1:]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the session")
    parser.add_argument("--html", type=Path, metavar="OUT", help="write the session as a self-contained page")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="a folder that the script sees, read-only, and imports from"
    )
    parser.add_argument("--follow", type=_at_least(0), default=1, metavar="N", help="open calls N deep (default 1)")
    parser.add_argument(
        "--view",
        type=_view,
        default=View(),
        metavar="VIEW",
        help="what the session shows: written, branch, skip, inverse:n=1|2|3, with every:K, full, print, joined by +",
    )
    parser.add_argument("--beliefs", action="store_true", help="print what each reveal could have been, and how likely")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (default 0)")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="A|B",
        help="what input() may return, each as likely; again for further calls",
    )
    parser.add_argument(
        "--environ",
        action="append",
        default=[],
        metavar="NAME=A|B",
        help="what an environment variable may be, each value as likely",
    )
    parser.add_argument("--open-comprehensions", action="store_true", help="show list comprehensions as loops")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=defaults.wall_seconds,
        metavar="SECONDS",
        help="wall-clock limit (default %(default)s)",
    )
    parser.add_argument(
        "--cpu", type=_at_least(1), default=None, metavar="SECONDS", help="CPU limit (default: the timeout, rounded up)"
    )
    parser.add_argument(
        "--memory",
        type=_size,
        default=defaults.memory_bytes,
        metavar="SIZE",
        help="memory, with K, M or G (default 1G)",
    )
    parser.add_argument(
        "--disk", type=_size, default=defaults.disk_bytes, metavar="SIZE", help="scratch space (default 32M)"
    )
    parser.add_argument(
        "--output", type=_size, default=defaults.output_bytes, metavar="SIZE", help="printed text (default 1M)"
    )
    parser.add_argument(
        "--events", type=_at_least(1), default=defaults.events, metavar="N", help="recorded lines (default %(default)s)"
    )
    parser.add_argument(
        "--commands",
        type=_at_least(1),
        default=defaults.commands,
        metavar="N",
        help="commands after which nothing more is opened (default %(default)s)",
    )
    parser.add_argument(
        "--forks",
        type=_at_least(0),
        default=defaults.forks,
        metavar="N",
        help="with --beliefs, go on from choices with N processes at most (2 or more) where the way to them is long; "
        "gives up: no processes inside. Each may take a run's memory, and all end with the run (default 0: none)",
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="EXE",
        help="the interpreter that runs the script (default: this one)",
    )
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colours by role (default auto)"
    )
    parser.add_argument(
        "--allow-unsafe-sandbox",
        action="store_true",
        help="run even where there is no sandbox: DANGEROUS, recorded as level 0",
    )
    return parser


def _view(text: str) -> View:
    try:
        return parse_view(text)
    except ViewError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a number >= {least}, got {text}")
        return value

    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds > 0, got {text}")
    return number


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if found is None or int(found.group(1)) == 0:
        raise argparse.ArgumentTypeError(f"expected a size such as 512M, got {text}")
    return int(found.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[found.group(2).upper()]


def _read(path: str) -> str:
    """The script's source, decoded as Python does.

    Raises:
        _Usage: it can't be read or decoded.
    """
    from trace_mine.tracer.inside.program import ast_lines

    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return "\n".join(ast_lines(raw))
    except OSError as error:
        raise _Usage(f"expected a readable script, got {path!r}: {error.strerror}; give an existing file") from error
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise _Usage(
            f"expected Python source in {path!r}, got bytes that don't decode ({error}); save it as UTF-8"
        ) from error


def script_snippet(source: str, name: str, arguments: Sequence[str]) -> Snippet:
    """A script as a snippet: its future imports move to the set-up, where doctest looks for them."""
    futures = sorted(set(re.findall(r"^from __future__ import (\w+)", source, re.MULTILINE)))
    code = "".join(f"from __future__ import {future}\n" for future in futures)
    code += f"__name__ = '__main__'\n__import__('sys').argv = {[name, *arguments]!r}\n"
    lines = source.count("\n") + 1
    return Snippet(
        kind="script", name=name, path=name, line=1, end_line=lines, code=code, pieces=(Piece(source=source, line=1),)
    )


def _config(options: argparse.Namespace) -> TracerConfig:
    root: Path | None = options.root
    folders: tuple[str, ...] = ()
    if root is not None:
        if not root.is_dir():
            raise _Usage(f"expected a folder for --root, got {str(root)!r}; give an existing folder")
        root = root.resolve()
        folders = (".",)
        if options.file != "-":
            parent = Path(options.file).resolve().parent
            if parent != root and parent.is_relative_to(root):
                folders = (parent.relative_to(root).as_posix(), ".")
    limits = replace(
        Limits(),
        wall_seconds=options.timeout,
        cpu_seconds=options.cpu or math.ceil(options.timeout),
        memory_bytes=options.memory,
        disk_bytes=options.disk,
        output_bytes=options.output,
        events=options.events,
        commands=options.commands,
        forks=options.forks,
    )
    return TracerConfig(
        repository=root,
        sys_path=folders,
        limits=limits,
        follow=options.follow,
        comprehensions=options.open_comprehensions,
        view=options.view,
        seed=options.seed,
        laws=_laws(options),
        python=options.python,
        minimum_level=0 if options.allow_unsafe_sandbox else 2,
        allow_unsafe=options.allow_unsafe_sandbox,
    )


def _laws(options: argparse.Namespace) -> dict[str, Any] | None:
    """The declared laws of inputs and of the environment, each value as likely as the others."""
    if not options.input and not options.environ:
        return None
    if not options.view.hides:
        raise _Usage("expected --view branch or inverse with --input and --environ, got another; add --view branch")
    environ = {}
    for text in options.environ:
        name, equals, values = text.partition("=")
        if not equals or not name:
            raise _Usage(f"expected --environ NAME=A|B, got {text!r}; name the variable and its values")
        environ[name] = _uniform(values)
    return {"inputs": [_uniform(text) for text in options.input], "environ": environ}


def _uniform(text: str) -> list[list[Any]]:
    values = text.split("|")
    return [[value, 1 / len(values)] for value in values]


def as_object(made: Trace | Drop, tracer: Tracer) -> dict[str, Any]:
    """The object that ``--json`` prints; a run without a session has empty ``text``, ``segments`` and ``steps``."""
    limits = tracer.config.limits.as_dict()
    common: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "sandbox": tracer.sandbox,
        "limits": limits,
        "python": tracer.python_version,
    }
    if isinstance(made, Drop):
        outcome = {"syntax_error": "syntax"}.get(made.reason, made.reason.replace("_", "-"))
        empty: dict[str, Any] = {"text": "", "segments": [], "steps": [], "exception": None, "evidence": made.evidence}
        return {**empty, "outcome": outcome, "integrity": "truncated", **common}
    return {**asdict(made), **common}


def _print(made: Trace | Drop, options: argparse.Namespace, tracer: Tracer) -> None:
    if isinstance(made, Trace) and options.html is not None:
        footer = f"Python {made.python}, sandbox level {made.sandbox['level']} ({made.sandbox['layers']})"
        title = Path(options.file).name
        options.html.write_text(page(made.text, made.segments, title=title, footer=footer), encoding="utf-8")
    if options.json:
        json.dump(as_object(made, tracer), sys.stdout)
        sys.stdout.write("\n")
        return
    if isinstance(made, Trace):
        colour = options.color == "always" or (
            options.color == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        )
        if options.beliefs:
            sys.stdout.write(beliefs_shown(made, colour=colour))
        else:
            sys.stdout.write(coloured(made.text, made.segments) if colour else visible(made.text))
        for check, evidence in made.failed_checks.items():
            print(visible(f"trace-run: this session does not replay ({check}): {evidence}"), file=sys.stderr)
    else:
        print(visible(f"trace-run: no session ({made.reason}): {made.evidence}"), file=sys.stderr)


def run(options: argparse.Namespace) -> int:
    """Traces one script; gives the exit code."""
    source = _read(options.file)
    name = "<stdin>" if options.file == "-" else Path(options.file).name
    config = _config(options)
    if options.view.prior not in (None, "declared"):
        raise _Usage(
            f"expected inverse:NAME=A|B with the values of one of the script's constants, got inverse with a "
            f"{options.view.prior} prior; priors of calls are for trace-mine"
        )
    if options.beliefs and not options.view.hides:
        raise _Usage("expected a view that hides outcomes with --beliefs, got another; add --view branch")
    if options.forks and (options.forks < 2 or not options.view.hides):
        raise _Usage(
            f"expected 2 forks or more with a view that hides outcomes, got {options.forks} with "
            f"{'+'.join(options.view.policies)}; one waits and one runs, where beliefs are computed"
        )
    try:
        source = with_hidden_inputs(source, options.view)
    except (ViewError, SyntaxError) as error:
        raise _Usage(str(error)) from error
    with Tracer(config) as tracer:
        made = tracer.trace(script_snippet(source, name, options.arguments), lenient=True)
        _print(made, options, tracer)
    if isinstance(made, Drop) and made.reason not in DATA_REASONS and not made.reason.startswith("signal"):
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; gives the exit code."""
    options = _parser().parse_args(argv)
    try:
        return run(options)
    except _Usage as error:
        print(visible(f"trace-run: {error}"), file=sys.stderr)
        return 2
    except (SandboxUnavailable, OSError) as error:
        print(visible(f"trace-run: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
