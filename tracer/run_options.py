"""What ``trace-run`` is given: options checked, files and folders read. What is wrong in it is wrong usage.

The command's options are made of this file, so what only a run needs is imported in the functions that need it:
``--help`` and ``--version`` answer without the tracer.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trace_mine.tracer.command_line import ExitCode, num_bytes
from trace_mine.tracer.views import View, ViewError, parse_view
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from trace_mine.tracer.limits import Limits
    from trace_mine.tracer.schema import Outcome, Snippet
    from trace_mine.tracer.script_world import ScriptWorld


def at_least(least: int) -> Callable[[int | None], int | None]:
    def checked(number: int | None) -> int | None:
        # None: typer asks the callback of an option that was not given, too
        if number is not None and number < least:
            raise typer.BadParameter(f"expected a number >= {least}, got {number}")
        return number

    return checked


def seconds(number: float) -> float:
    if not 0 < number < math.inf:  # refuses NaN as well
        raise typer.BadParameter(f"expected a number of seconds > 0, got {number:g}")
    return number


def view_of_text(given: str | View) -> View:
    if isinstance(given, View):  # typer hands defaults over too
        return given
    try:
        return parse_view(given)
    except ViewError as error:
        raise typer.BadParameter(str(error)) from None


def sandbox_level_of(given: int | None) -> int | None:
    if given is None:
        return None
    from trace_mine.tracer.config import check_sandbox_level

    try:
        # level 0 is refused once it is known if it was allowed
        check_sandbox_level(given, allow_unsafe=True)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return given


def size_of(given: str | int) -> int:
    try:
        return given if isinstance(given, int) else num_bytes(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def imports_of(root: Path | None, script: Path | None) -> tuple[Path | None, tuple[str, ...]]:
    """The root, resolved, and the folders below it that the script imports from."""
    if root is None:
        return None, ()
    if not root.is_dir():
        raise typer.BadParameter(f"expected a folder for --root, got {str(root)!r}; give an existing folder")
    from trace_mine.tracer.scripts import import_folders

    resolved = root.resolve()
    return resolved, import_folders(resolved, script)


def script_world(
    script: Path | None, source: str, python: str, environment: str | None, *, file: Path | None, root: Path | None
) -> ScriptWorld:
    """What the script is run with.

    Args:
        script: its file; None for a text, or where it begins in an empty folder.
        source: its text.
        python: the interpreter that runs it.
        environment: as it is given.
        file, root: the script's file wherever it begins, and the folder of ``--root``: its repository is there.

    Raises:
        BadParameter: its folder can't be opened, or the environment is none.
    """
    from trace_mine.tracer.own_environment import environment_of
    from trace_mine.tracer.script_world import world_of

    try:
        return world_of(script, source, python, environment_of(environment, file, root, python))
    except OSError as error:
        message = f"expected a script in a folder that can be read, got {str(script)!r}: {error}; give --empty-folder"
        raise typer.BadParameter(message) from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def typed_input(stdin: Path | None, source: str, *, is_script: bool) -> bytes | None:
    """What the script reads: the file's content, or what is piped in where the script seems to read that.

    Raises:
        BadParameter: the file can't be read, or there is more than a session can hold.
    """
    from trace_mine.tracer.scripts import MAX_INPUT_BYTES, may_read_input

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


def read_cells(path: str, view: View) -> list[str] | None:
    """The sources of a notebook's code cells; None where the path is that of a script.

    Raises:
        BadParameter: it can't be read, is no notebook of Python, or the view names a variable of a script.
    """
    if not path.endswith(".ipynb"):
        return None
    from trace_mine.tracer.notebook_cells import MAX_NOTEBOOK_BYTES, NotebookError, code_cells  # few runs need it

    if view.inputs:
        raise typer.BadParameter("expected a view without inputs for a notebook, got inverse; name a script")
    try:
        with open(path, "rb") as file:
            return code_cells(file.read(MAX_NOTEBOOK_BYTES + 1))
    except OSError as error:
        message = f"expected a readable notebook, got {path!r}: {error.strerror}; give an existing file"
    except (NotebookError, RecursionError) as error:
        message = f"in {path!r}: {str(error) or type(error).__name__}"
    raise typer.BadParameter(message)


def notebook_of(
    cells: Sequence[str],
    name: str,
    arguments: Sequence[str],
    run: Callable[[str, Limits], Outcome],
    *,
    stdin: bytes | None,
    seed: int | None,
) -> Snippet:
    """The snippet of a notebook, whose cells are split in the sandbox; the arguments are those of ``notebooks``.

    Raises:
        Exit: a cell is not what a plain interpreter can run, which is told.
    """
    from trace_mine.tracer.notebook_cells import NotebookError
    from trace_mine.tracer.notebooks import notebook_snippet, split_inside

    try:
        split = split_inside(cells, run)
    except NotebookError as error:
        print(f"trace-run: {one_line(str(error), 500)}", file=sys.stderr)
        raise typer.Exit(ExitCode.FAILED) from None
    return notebook_snippet(cells, split, name, arguments=arguments, stdin=stdin, seed=seed)


def read_source(path: str) -> str:
    """The script's source, decoded as Python does.

    Raises:
        BadParameter: it can't be read or decoded.
    """
    from trace_mine.tracer.scripts import decoded

    try:
        return decoded(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    except OSError as error:
        message = f"expected a readable script, got {path!r}: {error.strerror}; give an existing file"
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        message = f"expected Python source in {path!r}, got bytes that don't decode ({error}); save it as UTF-8"
    raise typer.BadParameter(message)


def check_view(view: View, *, beliefs: bool, forks: int) -> None:
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


def declared_laws(view: View, inputs: Sequence[str], environ: Sequence[str]) -> dict[str, Any] | None:
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
