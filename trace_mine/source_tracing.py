"""``run``: one program, given as text or as a file, traced in the sandbox."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace
from pathlib import Path

from trace_mine.errors import NoTraceError
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.own_environment import environment_of
from trace_mine.tracer.schema import Drop, Snippet, Trace
from trace_mine.tracer.script_world import world_of
from trace_mine.tracer.scripts import decoded, import_folders, path_below, script_snippet
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.views import View, parse_view, with_hidden_inputs

NAME = "<source>"
"""The name of a program that was given as text."""


def run(
    source: str | os.PathLike[str],
    *arguments: str,
    view: str | View = "written",
    follow: int = 3,
    seed: int = 0,
    timeout: float | None = None,
    limits: Limits | None = None,
    root: str | os.PathLike[str] | None = None,
    stdin: str | None = None,
    environment: str | os.PathLike[str] | None = None,
    comprehensions: bool = False,
    python: str = sys.executable,
    lenient: bool = False,
    sandbox_level: int | None = None,
    allow_unsafe_sandbox: bool = False,
) -> Trace:
    r"""Runs a program in the sandbox, and returns its trace.

    Args:
        source: a file as a ``Path``, or text: the name of an existing file, or else the program itself.
        arguments: the program's ``sys.argv[1:]``.
        view: what the session shows, as text (``"branch+every:4"``) or as a ``View``.
        follow: how deep calls are opened; 0 keeps each call one command.
        seed: seed of the program's draws.
        timeout: seconds by the clock, not counting what the run waits for a busy processor, and CPU seconds rounded up;
            None: those of ``limits``, 10 by default.
        limits: what the run may use.
        root: a folder that the program sees, read-only, and imports from (with its ``src``). Without it, a file's
            program sees a private copy of its own folder, in which it runs, and a text's program an empty folder.
        stdin: what the program's ``input()`` and ``sys.stdin`` read; None: nothing.
        environment: the folder of the environment whose packages the program imports; ``"auto"``: what the repository
            around the file, or ``root``, asks for, is installed as ``trace-mine`` does; None: that of ``python``.
        comprehensions: show all comprehensions as loops, not only those that call functions of the program's own.
        python: the interpreter that runs the program.
        lenient: give a session that fails a check too, with the evidence in its ``failed_checks``.
        sandbox_level: force this level of the sandbox, 3 or 2; None: the strongest that works here.
        allow_unsafe_sandbox: run even where this machine has no sandbox. DANGEROUS.

    Raises:
        NoTraceError: the program gave no session that replays; the error has the reason and a cure.
        ValueError: the text of the view names no view, or the view needs something that the program lacks.
        ValueError: the environment has no packages for the interpreter, or ``stdin`` is longer than a row can hold.
        FileNotFoundError: there is no such file.
        trace_mine.tracer.sandbox.SandboxUnavailable: this machine has no sandbox, or not of that level.

    >>> import trace_mine
    >>> trace = trace_mine.run("total = 1\nwhile total < 4:\n    total *= 2\n")
    >>> print([step.source for step in trace.steps])
    ['total = 1', 'total < 4', 'total *= 2', 'total', 'total < 4', 'total *= 2', 'total', 'total < 4']
    >>> trace.states[-1]
    {'total': '4'}

    The view ``branch`` hides what a program draws; each output then has the exact belief over what it could be:

    >>> game = "from random import random\nx = 1\nif random() < 0.25:\n    x = 2\nprint(x)\n"
    >>> trace = trace_mine.run(game, view="branch")
    >>> [(belief.outcomes, belief.probabilities) for belief in trace.beliefs]
    [(('1', '2'), (0.75, 0.25)), (('1',), (1.0,))]
    """
    path = _file(source)
    if path is None:
        name, text = NAME, str(source)
    else:
        name, text = path.name, _decoded(path)
    chosen = view if isinstance(view, View) else parse_view(view)
    # Other priors of hidden inputs come from a repository's calls, and a single program has no repository.
    if chosen.prior not in (None, "declared"):
        raise ValueError(
            f"expected inverse:NAME=A|B with the values of one of the program's constants, got an inverse view with a "
            f"{chosen.prior} prior; priors of calls are for mine"
        )
    try:
        text = with_hidden_inputs(text, chosen)
    except SyntaxError as error:
        raise NoTraceError(name, Drop(reason=Reason.SYNTAX_ERROR.value, evidence=str(error))) from None
    folder = None if root is None else _folder(root)
    named = None if environment is None else os.fspath(environment)
    world = world_of(path, text, python, environment_of(named, path, folder, python))
    typed = None if stdin is None else stdin.encode("utf-8", "surrogateescape")
    config = TracerConfig(
        repository=folder,
        sys_path=() if folder is None else import_folders(folder, path),
        folder=world.folder,
        site_folders=world.site_folders,
        packages=world.packages,
        warm=world.warm,
        limits=with_timeout(limits, timeout),
        follow=follow,
        comprehensions=comprehensions,
        view=chosen,
        seed=seed,
        python=python,
        # Below level 2 nothing promises that the program can't touch the host (see SECURITY.md).
        minimum_level=0 if allow_unsafe_sandbox else 2,
        sandbox_level=sandbox_level,
        allow_unsafe=allow_unsafe_sandbox,
    )
    drawn = None if chosen.hides else seed  # a view that hides draws decides them itself
    below = path_below(folder, path)
    snippet = script_snippet(
        text, name, arguments, in_folder=path is not None, below_root=below, stdin=typed, seed=drawn
    )
    return traced(snippet, config, lenient=lenient)


def traced(snippet: Snippet, config: TracerConfig, *, lenient: bool) -> Trace:
    """Trace one snippet with a Tracer of its own, and return the trace.

    Raises:
        NoTraceError: the snippet gave no trace.
    """
    with Tracer(config) as tracer:
        result = tracer.trace(snippet, lenient=lenient)
    if isinstance(result, Drop):
        raise NoTraceError(snippet.name, result)
    return result


def with_timeout(limits: Limits | None, timeout: float | None) -> Limits:
    """Return the limits with ``timeout`` seconds of a run's own time (see ``Limits``), and as many of CPU, rounded up
    (RLIMIT_CPU takes whole
    seconds); None leaves them as they are.
    """
    chosen = limits or Limits()
    if timeout is None:
        return chosen
    return replace(chosen, wall_seconds=timeout, cpu_seconds=max(1, math.ceil(timeout)))


def _file(source: str | os.PathLike[str]) -> Path | None:
    """Return the file that ``source`` names, or None if ``source`` is the program itself.

    Raises:
        FileNotFoundError: ``source`` can only be meant as a file, and there is no such file.
        TypeError: ``source`` is neither text nor a path.
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"expected a program as text or a pathlib.Path, got {type(source).__name__}; trace(function) is for "
            "functions"
        )
    # Text of several lines is a program, whatever files there are; a null byte would be an error of the file system.
    if isinstance(source, str) and ("\n" in source or "\0" in source):
        return None
    try:
        is_file = Path(source).is_file()
    except OSError:  # longer than a file's name may be
        is_file = False
    if is_file:
        return Path(source)
    # One word that ends in `.py` is a mistyped path rather than the attribute `py` of a name.
    if not isinstance(source, str) or (source.endswith(".py") and not source.split()[1:]):
        raise FileNotFoundError(f"expected a program or an existing file, got {str(source)!r}; check the path")
    return None


def _decoded(path: Path) -> str:
    """Return a file's source, decoded as Python decodes it (coding line, byte order mark).

    Raises:
        ValueError: the bytes don't decode.
    """
    try:
        return decoded(path.read_bytes())
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"expected Python source in {str(path)!r}, got bytes that don't decode ({error})") from error


def _folder(root: str | os.PathLike[str]) -> Path:
    folder = Path(root).resolve()
    if not folder.is_dir():
        raise NotADirectoryError(f"expected a folder as root, got {str(root)!r}; give an existing folder")
    return folder
