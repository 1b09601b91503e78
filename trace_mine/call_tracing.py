"""``trace``: one call of a function of the caller's own, traced in the sandbox."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trace_mine.corpus.mined.dependencies import find_dependencies
from trace_mine.function_source import WRAPPERS, FunctionSourceError, Statements
from trace_mine.literals import NotLiteralError
from trace_mine.source_tracing import traced, with_timeout
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.schema import Piece, Snippet, Trace
from trace_mine.tracer.views import View, parse_view

RESULT = "result"
"""The variable that holds what the call returned."""


def trace(
    function: Callable[..., object],
    *args: object,
    view: str | View = "written",
    follow: int = 1,
    seed: int = 0,
    timeout: float | None = None,
    limits: Limits | None = None,
    root: str | os.PathLike[str] | None = None,
    lenient: bool = False,
    allow_unsafe_sandbox: bool = False,
    **kwargs: object,
) -> Trace:
    r"""Calls a function of yours in the sandbox, and gives the trace of the call. Nothing is run in this process.

    The function's source goes into the session with all that it needs of its module: other functions and classes as
    source, values of built-in types as they are now, everything of other modules as imports. What it returns is the
    session's variable ``result``; a generator is read to its end. Installed packages that it imports are shown to the
    sandbox.

    Args:
        function: written with ``def``, in a file or a notebook's cell.
        args: its arguments: values of built-in types, functions and classes.
        kwargs: the same by name.
        view, follow, seed, timeout, limits, root, lenient, allow_unsafe_sandbox: as ``run`` has them.

    Raises:
        FunctionSourceError: the function, what it needs or an argument can't be written as source (a ValueError).
        NoTraceError: the call gave no session that replays.
        trace_mine.tracer.sandbox.SandboxUnavailable: this machine has no sandbox.

    >>> import trace_mine
    >>> def swapped(pair):
    ...     first, second = pair
    ...     return (second, first)
    >>> trace = trace_mine.trace(swapped, ("a", "b"))
    >>> for step in trace.steps[1:]:
    ...     print(step.source, "->", step.output)
    pair = ('a', 'b') ->
    first, second = pair ->
    first -> 'a'
    second -> 'b'
    returned_1 = (second, first) ->
    returned_1 -> ('b', 'a')
    result = returned_1 ->
    result -> ('b', 'a')
    """
    if type(function) not in WRAPPERS:
        raise FunctionSourceError(
            f"expected a function written with def, got {type(function).__name__}; write a function that makes what "
            "it needs and calls it, or give text to run"
        )
    code = inspect.unwrap(function).__code__
    if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise FunctionSourceError(
            f"expected a plain function, got the async function {function.__name__}; write one that calls asyncio.run"
        )
    given = {"view": view, "follow": follow, "seed": seed, "timeout": timeout, "limits": limits, "root": root}
    given |= {"lenient": lenient, "allow_unsafe_sandbox": allow_unsafe_sandbox}
    _check_options(function.__name__, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], given)
    statements = Statements()
    name = statements.add_function(function)
    call = f"{name}({', '.join(_arguments(statements, name, args, kwargs))})"
    if code.co_flags & inspect.CO_GENERATOR:
        call = f"list({call})"
    result = RESULT
    while not statements.is_free(result):
        result += "_"
    pieces = [Piece(source=text, line=line) for text, line in zip(statements.texts, statements.lines, strict=True)]
    pieces.append(Piece(source=f"{result} = {call}\n", line=1))
    folder = None if root is None else Path(root).resolve()
    chosen = view if isinstance(view, View) else parse_view(view)
    snippet = Snippet(
        kind="call",
        name=function.__qualname__,
        path=Path(code.co_filename).name,
        line=code.co_firstlineno,
        end_line=code.co_firstlineno,
        pieces=tuple(pieces),
        code="".join(f"from __future__ import {each}\n" for each in sorted(statements.futures))
        + "__name__ = '__main__'\n",
    )
    config = TracerConfig(
        repository=folder,
        sys_path=() if folder is None else (".",),
        packages=_packages(statements.modules, folder),
        limits=with_timeout(limits, timeout),
        follow=follow,
        view=chosen,
        seed=seed,
        minimum_level=0 if allow_unsafe_sandbox else 2,
        allow_unsafe=allow_unsafe_sandbox,
    )
    return traced(snippet, config, lenient=lenient)


def _check_options(name: str, parameters: Sequence[str], given: Mapping[str, object]) -> None:
    """Refuses an option that could be meant for the function.

    Raises:
        FunctionSourceError: the function has a parameter of that name.
    """
    known = inspect.signature(trace).parameters
    for option in set(given) & set(parameters):
        if given[option] is not known[option].default and given[option] != known[option].default:
            raise FunctionSourceError(
                f"expected {option}= to be of trace or of {name}, got a function that has it too; give the function's "
                "by position, or write a function without parameters that calls it"
            )


def _arguments(statements: Statements, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> list[str]:
    spelt = []
    for key, value in (*enumerate(args), *kwargs.items()):
        try:
            text = statements.spell(value)
        except NotLiteralError as error:
            raise FunctionSourceError(
                f"expected argument {key!r} of {name} to be made of built-in types, got {error}; write a function "
                "that makes it and calls this one"
            ) from None
        spelt.append(text if isinstance(key, int) else f"{key}={text}")
    return spelt


def _packages(modules: set[str], root: Path | None) -> tuple[Path, ...]:
    """Installed packages for the imports, with what they require.

    Raises:
        FunctionSourceError: a module is neither the standard library's, nor installed, nor below the root.
    """
    own = {each for each in modules if root and ((root / each).is_dir() or (root / f"{each}.py").is_file())}
    found = find_dependencies(modules, own=own)
    if found.missing:
        raise FunctionSourceError(
            f"expected modules that the sandbox has, got {', '.join(found.missing)}, which the function imports; give "
            "root=FOLDER, below which they lie"
        )
    return found.packages
