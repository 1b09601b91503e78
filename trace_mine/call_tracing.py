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
"""The session's variable for the returned value; with underscores behind it where the function's module uses the
name.
"""


def trace(
    function: Callable[..., object],
    *args: object,
    view: str | View = "written",
    follow: int = 3,
    seed: int = 0,
    timeout: float | None = None,
    limits: Limits | None = None,
    root: str | os.PathLike[str] | None = None,
    lenient: bool = False,
    sandbox_level: int | None = None,
    allow_unsafe_sandbox: bool = False,
    **kwargs: object,
) -> Trace:
    r"""Calls a function of yours in the sandbox, and returns the trace of the call. Nothing is run in this process.

    The session holds the function's source with all that it needs of its module: other functions and classes as source,
    values of built-in types as they are now, everything of other modules as imports. The returned value is the
    session's variable ``result``; a generator is read to its end. The sandbox can import the installed packages that
    the function imports.

    Args:
        function: a function written with ``def``, in a file or a notebook's cell.
        args: its positional arguments: values of built-in types, functions and classes.
        kwargs: its arguments by name.
        view, follow, seed, timeout, limits, root, lenient, sandbox_level, allow_unsafe_sandbox: see ``run``.

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
    # swapped(('a', 'b'))
    pair = ('a', 'b') ->
    first, second = pair ->
    first -> 'a'
    second -> 'b'
    returned_1 = (second, first) ->
    returned_1 -> ('b', 'a')
    del pair, first, second ->
    result = returned_1 ->
    """
    # The exact type: an object with __call__, or a subclass, could run its own code when it is looked at.
    if type(function) not in WRAPPERS:
        raise FunctionSourceError(
            f"expected a function written with def, got {type(function).__name__}; write a function that makes what "
            "it needs and calls it, or give text to run"
        )
    code = inspect.unwrap(function).__code__  # the written function's, below functools.wraps
    if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise FunctionSourceError(
            f"expected a plain function, got the async function {function.__name__}; write one that calls asyncio.run"
        )
    options = {"view": view, "follow": follow, "seed": seed, "timeout": timeout, "limits": limits, "root": root}
    options |= {"lenient": lenient, "sandbox_level": sandbox_level, "allow_unsafe_sandbox": allow_unsafe_sandbox}
    # co_varnames begins with the parameters: positional ones, then keyword-only ones.
    _check_options(function.__name__, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], options)
    statements = Statements()
    name = statements.add_function(function)
    call = f"{name}({', '.join(_arguments(statements, name, args, kwargs))})"
    if code.co_flags & inspect.CO_GENERATOR:
        # Called alone, a generator function runs none of its body.
        call = f"list({call})"
    # A name that the function's module uses would be rebound under it.
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
        # Features of the source's module, so that annotations and the like mean the same; the name, so that a guarded
        # `if __name__ == "__main__"` and pickling see a script.
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
        sandbox_level=sandbox_level,
        allow_unsafe=allow_unsafe_sandbox,
    )
    return traced(snippet, config, lenient=lenient)


def _check_options(name: str, parameters: Sequence[str], options: Mapping[str, object]) -> None:
    """Refuse an option of ``trace`` that could be meant for the function.

    An option that has its default was most probably not given at all, so it is no cause for refusal.

    Raises:
        FunctionSourceError: the function has a parameter of that name.
    """
    signature = inspect.signature(trace).parameters
    for option in set(options) & set(parameters):
        if options[option] is not signature[option].default and options[option] != signature[option].default:
            raise FunctionSourceError(
                f"expected {option}= to be of trace or of {name}, got a function that has it too; give the function's "
                "by position, or write a function without parameters that calls it"
            )


def _arguments(statements: Statements, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> list[str]:
    """Return the call's arguments as source.

    Raises:
        FunctionSourceError: an argument has no source.
    """
    sources = []
    for key, value in (*enumerate(args), *kwargs.items()):
        try:
            text = statements.spell(value)
        except NotLiteralError as error:
            raise FunctionSourceError(
                f"expected argument {key!r} of {name} to be made of built-in types, got {error}; write a function "
                "that makes it and calls this one"
            ) from None
        sources.append(text if isinstance(key, int) else f"{key}={text}")
    return sources


def _packages(modules: set[str], root: Path | None) -> tuple[Path, ...]:
    """Return the installed packages of the imported modules, with the packages that those require.

    Raises:
        FunctionSourceError: a module is neither in the standard library, nor installed, nor below the root.
    """
    # As an import would: the root comes first on the session's sys.path.
    own = {each for each in modules if root and ((root / each).is_dir() or (root / f"{each}.py").is_file())}
    dependencies = find_dependencies(modules, own=own)
    if dependencies.missing:
        raise FunctionSourceError(
            f"expected modules that the sandbox has, got {', '.join(dependencies.missing)}, which the function "
            "imports; give root=FOLDER, below which they lie"
        )
    return dependencies.packages
